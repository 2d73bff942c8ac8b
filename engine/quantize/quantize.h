/* quantize.h - a GGUF file in other tensor types.
 *
 * The source is read only through its checked view (engine/file/gguf.h), tensor by tensor and slice
 * by slice, encoded by several threads and streamed out; memory is a few slices, whatever the size
 * of the model. Numbers that are not finite are refused on the way in and on the way out.
 * Equal input gives equal bytes, with any number of threads. */
#ifndef CRIA_ENGINE_QUANTIZE_H
#define CRIA_ENGINE_QUANTIZE_H

#include "engine/file/gguf_write.h"
#include "engine/quantize/imatrix.h"
#include "engine/quantize/mix.h"

struct quantize_rule {
    const char *pattern; /* POSIX extended regular expression, searched in the tensor's name; \d is
                          * a digit */
    enum dtype type;
};

struct quantize_pair { /* a pair of the result, in place of the source's */
    const char *key;
    enum gguf_type type; /* GGUF_I64 (written as u32), GGUF_F32, GGUF_BOOL, GGUF_STRING */
    int64_t i;           /* also of bools */
    float f;
    const char *text;
};

struct quantize_params { /* zeroed but for the types: DT_COUNT means not given */
    enum ftype ftype;    /* FT_COPY: every tensor as it is */
    enum dtype token_embedding_type, output_tensor_type;
    const struct quantize_rule *rules; /* the first one that matches decides */
    size_t n_rules;
    const struct quantize_pair *pairs;
    size_t n_pairs;
    bool pure;             /* all quantized tensors get the default type */
    bool leave_output;     /* output.weight stays as it is */
    bool allow_requantize; /* also from types that are quantized themselves */
    bool ollama; /* rules of spec/quants.md 9.7 too; embedded projectors and drafts stay */
    const struct imatrix *imatrix; /* or NULL */
    const char *imatrix_file;      /* its name for quantize.imatrix.file */
    unsigned n_threads;            /* 0: one for each processor */

    /* Called between slices with bytes of the result written so far; false: ST_CANCELLED. */
    bool (*progress)(void *arg, const char *tensor, uint64_t done, uint64_t total);
    /* One line about a decision that the user may want to know. */
    void (*note)(void *arg, const char *text);
    void *arg;
};
struct quantize_params quantize_default_params(enum ftype ftype);

struct quantize_tensor { /* a decision */
    const struct gguf_tensor *from;
    enum dtype type;
    bool fell_back;  /* its rows did not fit the type that it should have had */
    const float *iw; /* [n_iw][dim[0]] or NULL */
    size_t n_iw;     /* matrices that have weights of their own */
    uint64_t size;
};

struct quantize_plan {
    struct quantize_tensor *tensors; /* in the order of the result; owned */
    size_t n;
    uint64_t data_size, source_size; /* bytes of all tensors: of the result, of the source */
    size_t n_fallback;
};
/* Decides everything, and refuses what cannot be done, before a byte is written. */
enum status quantize_plan(struct quantize_plan *plan, const struct gguf *from,
                          const struct quantize_params *p, struct err *e);
void quantize_plan_free(struct quantize_plan *plan);

/* To a file, which appears when it is complete, or to anybody who takes bytes. The plan must have
 * been made from the same source and parameters. */
enum status quantize_file(const struct gguf *from, const struct quantize_plan *plan,
                          const struct quantize_params *p, const char *path, struct err *e);
enum status quantize_to(const struct gguf *from, const struct quantize_plan *plan,
                        const struct quantize_params *p, gguf_sink *sink, void *sink_arg,
                        struct err *e);

/* Bytes that the file will have; 0: no memory. */
uint64_t quantize_file_size(const struct gguf *from, const struct quantize_plan *plan,
                            const struct quantize_params *p);

/* The name that Ollama's API takes, in any case; ST_INVALID with Ollama's text. */
enum status quantize_parse_level(const char *text, enum ftype *out, struct err *e);

#endif
