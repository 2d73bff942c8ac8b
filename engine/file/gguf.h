/* gguf.h - reader of GGUF files (spec/gguf.md): metadata pairs and tensor infos over a mapping.
 *
 * The whole metadata part is checked once, in order, with every check of spec/gguf.md 3; after
 * gguf_open() succeeds every pair and tensor can be used without another bounds check. Nothing is
 * copied but two small tables: strings, arrays and tensor data point into the mapping (pairs and
 * names are not NUL-terminated there: see the lengths). Memory is proportional to the number of
 * pairs, tensors and array strings, never to a count that the file merely claims.
 *
 * Messages name file, key or tensor and the defect: "m.gguf: tensor 'blk.0.attn_q.weight': type 99
 * is not known". The class of spec/gguf.md 3 is kept aside for tests (gguf_error_class). */
#ifndef CRIA_ENGINE_GGUF_H
#define CRIA_ENGINE_GGUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "kernels/dtype.h"

enum gguf_type {
    GGUF_U8,
    GGUF_I8,
    GGUF_U16,
    GGUF_I16,
    GGUF_U32,
    GGUF_I32,
    GGUF_F32,
    GGUF_BOOL,
    GGUF_STRING,
    GGUF_ARRAY,
    GGUF_U64,
    GGUF_I64,
    GGUF_F64,
    GGUF_TYPE_COUNT
};

struct gguf_str { /* borrowed from the mapping; no NUL behind it; may contain NUL */
    const char *ptr;
    size_t len;
};
static inline bool gguf_str_is(struct gguf_str s, const char *text) {
    return s.len == strlen(text) && memcmp(s.ptr, text, s.len) == 0;
}
static inline bool gguf_str_ends(struct gguf_str s, const char *end) {
    const size_t n = strlen(end);
    return s.len >= n && memcmp(s.ptr + s.len - n, end, n) == 0;
}

struct gguf_kv {
    struct gguf_str key;
    enum gguf_type type;       /* GGUF_ARRAY: see elem, count */
    enum gguf_type elem;       /* element type of an array, else == type */
    uint64_t count;            /* elements; 1 for a scalar */
    const unsigned char *data; /* first element as stored: little-endian, unaligned */
    uint32_t first_str;        /* arrays of strings: index of the first one in the string table */
};

struct gguf_tensor {
    struct gguf_str name;
    uint32_t n_dims; /* 0..4 */
    int64_t dim[4];  /* dim[0] is contiguous; missing dims are 1 */
    enum dtype type;
    uint64_t offset;           /* from the start of the data section, as stored */
    size_t size;               /* bytes */
    const unsigned char *data; /* into the mapping; aligned to min(alignment, page) */
};

struct gguf;

/* Maps and checks a file; *out is freed with gguf_close. Errors: ST_NOT_FOUND, ST_IO, ST_FORMAT,
 * ST_UNSUPPORTED (version, byte order, removed types), ST_LIMIT, ST_NO_MEMORY. */
enum status gguf_open(struct gguf **out, const char *path, struct err *e);
/* The same over memory that outlives the reader; label takes the file name's place in messages. */
enum status gguf_open_memory(struct gguf **out, const void *data, size_t size, const char *label,
                             struct err *e);
void gguf_close(struct gguf *g); /* NULL is fine */

/* Split sets (spec/gguf.md 4, gguf_split.c): `x-00001-of-0000N.gguf` and its other parts as one
 * file: the pairs of the first part, the tensors of all. A file that is not split is opened as by
 * gguf_open(). The path must be that of the first part; the other paths are made from it alone. */
enum status gguf_open_set(struct gguf **out, const char *path, struct err *e);
/* All parts are there: what a file that was opened without the others is not. */
enum status gguf_check_set(const struct gguf *g, struct err *e);
/* split.count of a part, 1 if there is none or it is 0; ST_FORMAT if it is no u16. */
enum status gguf_split_count(const struct gguf *g, uint32_t *count, struct err *e);

/* n bytes of tensor data will not be read again soon: their pages need not stay in memory. They can
 * still be read. Nothing happens to memory that somebody else owns. */
void gguf_forget(const struct gguf *g, const unsigned char *data, size_t n);
/* ST_IO: somebody cut the file, and something behind its new end was read since: it was zeros
 * (spec/security.md S-ST-9). Who computed with the data asks this afterwards. */
enum status gguf_check_whole(const struct gguf *g, struct err *e);

/* Reads all data: every float and scale is finite (tensor_check). The message names file, tensor,
 * row and block. Opening does not do this: it would read the whole file. cancelled (NULL: nobody)
 * is asked every few megabytes; true: ST_CANCELLED. */
enum status gguf_check_data(const struct gguf *g, bool (*cancelled)(void *arg), void *arg,
                            struct err *e);

const char *gguf_label(const struct gguf *g);
uint32_t gguf_version(const struct gguf *g);
uint32_t gguf_alignment(const struct gguf *g);
uint64_t gguf_data_offset(const struct gguf *g); /* padded only if there are tensors */
size_t gguf_file_size(const struct gguf *g);     /* of all parts */

size_t gguf_n_kv(const struct gguf *g);
size_t gguf_n_tensors(const struct gguf *g);
const struct gguf_kv *gguf_kv_at(const struct gguf *g, size_t i); /* file order */
const struct gguf_tensor *gguf_tensor_at(const struct gguf *g, size_t i);
const struct gguf_kv *gguf_find(const struct gguf *g, const char *key); /* NULL: absent */
const struct gguf_tensor *gguf_find_tensor(const struct gguf *g, const char *name);

/* Typed getters. Absent key: ST_NOT_FOUND; a kind that cannot give the value: ST_FORMAT naming key
 * and type. Integers: any integer type whose value fits (bool is no integer); floats: f32 or f64 or
 * any integer type; never aborts. *out is untouched on failure. */
enum status gguf_get_u32(const struct gguf *g, const char *key, uint32_t *out, struct err *e);
enum status gguf_get_i64(const struct gguf *g, const char *key, int64_t *out, struct err *e);
enum status gguf_get_f32(const struct gguf *g, const char *key, float *out, struct err *e);
enum status gguf_get_bool(const struct gguf *g, const char *key, bool *out, struct err *e);
enum status gguf_get_str(const struct gguf *g, const char *key, struct gguf_str *out,
                         struct err *e);

/* Elements of a pair (a scalar is one element). The caller has checked kind and i < count;
 * integers of any width come back as i64 (u64 beyond 2^63 saturates), bool as 0/1. */
bool gguf_is_int(enum gguf_type t);
bool gguf_is_float(enum gguf_type t);
int64_t gguf_elem_int(const struct gguf_kv *kv, uint64_t i);
double gguf_elem_float(const struct gguf_kv *kv, uint64_t i);
struct gguf_str gguf_elem_str(const struct gguf *g, const struct gguf_kv *kv,
                              uint64_t i);    /* O(1) */
const char *gguf_type_name(enum gguf_type t); /* "u8", ..., "string", "array" */

/* Class of the last failed gguf_open in this thread ("truncated", "magic", ... "split"; "" none):
 * the column of spec/gguf.md 3, for golden-check. */
const char *gguf_error_class(void);

/* general.file_type (spec/gguf.md 6.3) as Ollama shows it ("Q4_K_M", "F16", "unknown"); guessed
 * from the tensors if the key is absent. */
const char *gguf_file_type_name(const struct gguf *g);
uint64_t gguf_parameter_count(const struct gguf *g); /* elements of all tensors */

#endif
