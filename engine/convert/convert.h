/* convert.h - model folders of safetensors as published on model hubs into GGUF files, and LoRA
 * adapters into adapter GGUFs (spec/safetensors.md).
 *
 * A folder is a list of files: the names that its author gave them, and where their bytes are. Only
 * the listed files are opened, only regular ones, and never by a name that stands in one of them.
 *
 * What happens: config.json selects a table (convert/arch/): which metadata keys come from which
 * fields, how tensors are called, and which of them are views of a source tensor in another order.
 * Then tensor after tensor is written; none is held in memory as a whole. The same folder gives the
 * same bytes. All functions may be called from any thread. */
#ifndef CRIA_ENGINE_CONVERT_H
#define CRIA_ENGINE_CONVERT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "engine/file/gguf.h"

struct convert_file {
    const char *name; /* relative, with slashes: "config.json", "1_Pooling/config.json" */
    const char *path; /* on this disk; NULL: in memory, */
    const void *data; /* these bytes, which outlive the conversion */
    size_t size;
};

/* Where a GGUF goes: called with its bytes in order. Not ST_OK: the conversion ends with that. */
typedef enum status convert_sink(void *arg, const void *data, size_t n, struct err *e);

struct convert_spec {
    const struct convert_file *files; /* borrowed */
    size_t n_files;
    const char *name;        /* general.name; NULL: none */
    const struct gguf *base; /* adapters: the model that they are for */
};

struct conversion;

/* Reads everything but the tensors' contents and checks it. *out is freed with convert_free; the
 * files must not change until then. ST_FORMAT and ST_INVALID: the folder is wrong ("unknown
 * architecture", `unsupported architecture "X"`, "unknown tokenizer format", "unknown tensor
 * format", "missing shard X", ...); ST_UNSUPPORTED; ST_NOT_FOUND, ST_IO; ST_NO_MEMORY. */
enum status convert_open_model(struct conversion **out, const struct convert_spec *spec,
                               struct err *e);
enum status convert_open_adapter(struct conversion **out, const struct convert_spec *spec,
                                 struct err *e);
void convert_free(struct conversion *c); /* NULL is fine */

/* Some vision models become two files: the text model, and the projector. */
enum convert_part { CONVERT_MODEL, CONVERT_PROJECTOR };
bool convert_has(const struct conversion *c, enum convert_part part);
/* Source weights were 8-bit floats: without another wish such a model is quantized to Q8_0. */
bool convert_was_fp8(const struct conversion *c);
/* Each part can be written once. */
enum status convert_write(struct conversion *c, enum convert_part part, convert_sink *sink,
                          void *arg, struct err *e);
/* The same to a file: a temporary one beside it, synced and renamed. */
enum status convert_write_file(struct conversion *c, enum convert_part part, const char *path,
                               struct err *e);

#endif
