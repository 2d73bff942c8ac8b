/* gguf_edit.h - changes to an opened GGUF file, in memory: the file itself is never written.
 *
 * For files whose layout differs from what the rest of the engine reads (engine/legacy.c). Edits
 * come right after gguf_open, before anybody else looks at the file: pointers to pairs and tensors
 * taken before an edit are stale behind it. Names and values that are made here belong to the
 * struct gguf. Functions without a status cannot fail. */
#ifndef CRIA_ENGINE_GGUF_EDIT_H
#define CRIA_ENGINE_GGUF_EDIT_H

#include "engine/file/gguf.h"

/* general.architecture becomes `to`, and keys "<from>.x" become "<to>.x". ST_FORMAT if a key
 * exists already. */
enum status gguf_edit_arch(struct gguf *g, const char *from, const char *to, struct err *e);
/* Sets a pair, new or not. */
enum status gguf_edit_u32(struct gguf *g, const char *key, uint32_t x, struct err *e);
enum status gguf_edit_f32(struct gguf *g, const char *key, float x, struct err *e);
enum status gguf_edit_str(struct gguf *g, const char *key, const char *x, struct err *e);
enum status gguf_edit_bool(struct gguf *g, const char *key, bool x, struct err *e);
enum status gguf_edit_f32s(struct gguf *g, const char *key, const float *x, size_t n,
                           struct err *e);
enum status gguf_edit_i32s(struct gguf *g, const char *key, const int32_t *x, size_t n,
                           struct err *e);
enum status gguf_edit_bytes(struct gguf *g, const char *key, const void *x, size_t n,
                            struct err *e); /* n >= 1: an array of u8 */
/* `to` gets the value of `from`; nothing if there is no `from`. */
enum status gguf_edit_copy(struct gguf *g, const char *to, const char *from, struct err *e);
enum status gguf_edit_drop(struct gguf *g, const char *key, struct err *e);
/* An array of integers becomes one of i32, each element what fn says; nothing if there is none. */
typedef int32_t gguf_edit_fn(const struct gguf *g, uint64_t i, int64_t old);
enum status gguf_edit_each(struct gguf *g, const char *key, gguf_edit_fn *fn, struct err *e);
void gguf_edit_shorten(struct gguf *g, const char *key, uint64_t count); /* an array, if longer */
/* In every tensor name the first `from` becomes `to`. ST_FORMAT if two become one. */
enum status gguf_edit_tensor_names(struct gguf *g, const char *from, const char *to, struct err *e);
/* The tensor of exactly this name gets another; nothing if there is none. ST_FORMAT as above. */
enum status gguf_edit_tensor_name(struct gguf *g, const char *from, const char *to, struct err *e);
void gguf_edit_rows(struct gguf *g, const char *tensor, int64_t n); /* keeps the first n rows */
/* Only tensors whose name begins with one of these stay; the list ends with NULL. */
enum status gguf_edit_keep_tensors(struct gguf *g, const char *const *prefixes, struct err *e);
/* A tensor of floats with room for its elements, to be filled: new, or in the place of the one of
 * this name. The dims are not larger than what other tensors of the file give rise to. */
enum status gguf_edit_floats(struct gguf *g, const char *name, uint32_t n_dims,
                             const int64_t dim[4], float **data, struct err *e);
/* A tensor becomes f32; nothing if there is none. ST_UNSUPPORTED: a type without a decoder. */
enum status gguf_edit_decode(struct gguf *g, const char *name, struct err *e);
/* The rows of `first` come in front of those of `second`, under the name of `second`; nothing if
 * one is not there. ST_FORMAT: rows of other types or lengths. */
enum status gguf_edit_stack(struct gguf *g, const char *first, const char *second, struct err *e);
/* Every element gets x added, and the tensor becomes f32; nothing if there is none.
 * ST_UNSUPPORTED as above. */
enum status gguf_edit_add(struct gguf *g, const char *name, float x, struct err *e);
/* The matrices <before>0<behind>, <before>1<behind> and so on become those of one tensor, copied;
 * nothing if there is no first one. ST_FORMAT: other types or shapes. */
enum status gguf_edit_join(struct gguf *g, const char *before, const char *behind, const char *name,
                           struct err *e);
/* Row i of a matrix becomes the old row from(i, arg), which is asserted to exist; nothing if there
 * is no such tensor. */
typedef uint64_t gguf_row_fn(uint64_t i, const void *arg);
enum status gguf_edit_permute(struct gguf *g, const char *name, gguf_row_fn *from, const void *arg,
                              struct err *e);

#endif
