/* safetensors.h - reader of one safetensors file (spec/safetensors.md 1) over a mapping.
 *
 *   u64 N | N bytes of JSON | tensors, one after the other, without gaps
 *
 * Every check of section 1.3 is made in sft_open(); after it succeeded each tensor's bytes lie
 * inside the mapping, its size fits its shape, and no two tensors share a byte. Names are copied
 * out of the JSON; data is borrowed from the mapping. Messages name file, tensor and defect; the
 * class of section 1.3 is kept aside for tests (sft_error_class). */
#ifndef CRIA_ENGINE_SAFETENSORS_H
#define CRIA_ENGINE_SAFETENSORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum sft_dtype {
#define SFT_DTYPE(name, bits) SFT_##name,
#include "engine/file/safetensors.def"
#undef SFT_DTYPE
    SFT_COUNT
};

enum { SFT_MAX_DIMS = 16, SFT_MAX_NAME = 1024, SFT_MAX_TENSORS = 1 << 20 };

struct sft_tensor {
    const char *name; /* NUL-terminated, 1 to SFT_MAX_NAME bytes of UTF-8; owned by the reader */
    enum sft_dtype dtype;
    uint32_t n_dims;           /* 0: a scalar, one element */
    int64_t dim[SFT_MAX_DIMS]; /* C order: the last one is contiguous; may be 0 */
    int64_t n_elems;           /* product of the dimensions */
    const unsigned char *data; /* into the mapping; any alignment */
    size_t size;               /* bytes */
};

struct sft_file;

/* Maps and checks a file; *out is freed with sft_close. Errors: ST_NOT_FOUND, ST_IO, ST_FORMAT,
 * ST_LIMIT, ST_NO_MEMORY. */
enum status sft_open(struct sft_file **out, const char *path, const char *label, struct err *e);
/* The same over memory that outlives the reader; label takes the file name's place in messages. */
enum status sft_open_memory(struct sft_file **out, const void *data, size_t size, const char *label,
                            struct err *e);
void sft_close(struct sft_file *f); /* NULL is fine */

size_t sft_n_tensors(const struct sft_file *f);
const struct sft_tensor *sft_tensor_at(const struct sft_file *f,
                                       size_t i); /* order of the header */
const struct sft_tensor *sft_find(const struct sft_file *f, const char *name); /* NULL: absent */
/* Its pages need not stay in memory: they were read for the last time in a while. */
void sft_forget(const struct sft_file *f, const struct sft_tensor *t);
const char *sft_dtype_name(enum sft_dtype t); /* "BF16" */
unsigned sft_dtype_bits(enum sft_dtype t);

/* Class of the last failed sft_open in this thread ("truncated", "header_length", "json", "name",
 * "entry", "size", "offset"; "" none): the column of section 1.3, for golden-check. */
const char *sft_error_class(void);

#endif
