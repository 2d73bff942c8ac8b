/* gguf_write.h - writer of GGUF files (version 3, little-endian; spec/gguf.md 1, 7): first the
 * metadata is collected, then tensor data is streamed. The data is never held: memory is that of
 * the pairs and tensor infos.
 *
 *     struct gguf_writer *w;
 *     if ((st = gguf_writer_new(&w, e)) != ST_OK) return st;
 *     gguf_put_all(w, source);                            // pairs of another file, and/or
 *     gguf_put_text(w, "general.architecture", "llama");  // pairs of our own
 *     gguf_put_u32(w, "general.file_type", 1);
 *     gguf_put_array(w, "x.sections", GGUF_I32, 4, ints); // elements in host form
 *     gguf_add_tensor(w, gguf_str_of("output.weight"), DT_F16, 2, (int64_t[]){n_embd, n_vocab});
 *     ...                                                 // all tensors, in the order of the file
 *     st = gguf_write_file(w, path, e);                   // or gguf_write_to(w, sink, arg, e)
 *     for each tensor, in that order, in as many pieces as convenient:
 *         if (st == ST_OK) st = gguf_write_data(w, bytes, n, e);
 *     if (st == ST_OK) st = gguf_write_finish(w, e);      // synced, renamed: now it is there
 *     gguf_writer_free(w);                                // before that: nothing is left behind
 *
 * The put and add functions return nothing: the first mistake (a key that is empty, too long or has
 * a NUL; a tensor name twice; a row that is no whole number of blocks; no memory ...) is kept and
 * returned by gguf_write_file() / gguf_write_to(). What they are given is copied. A key that is put
 * again takes the new value in its old place, so the order is: copy all, then change.
 *
 * Offsets and padding are the writer's business. The alignment is 32 unless general.alignment has
 * been put. Pairs keep the order in which they were put; gguf_writer_sort() asks for byte order of
 * the keys. Equal input gives equal bytes. One thread at a time. */
#ifndef CRIA_ENGINE_GGUF_WRITE_H
#define CRIA_ENGINE_GGUF_WRITE_H

#include <string.h>

#include "engine/file/gguf.h"

struct gguf_writer;

enum status gguf_writer_new(struct gguf_writer **out, struct err *e);
void gguf_writer_free(struct gguf_writer *w); /* removes an unfinished file; NULL is fine */

static inline struct gguf_str gguf_str_of(const char *text) {
    return (struct gguf_str){text, strlen(text)};
}

/* ---- pairs ---- */

void gguf_put_u32(struct gguf_writer *w, const char *key, uint32_t v);
void gguf_put_f32(struct gguf_writer *w, const char *key, float v);
void gguf_put_bool(struct gguf_writer *w, const char *key, bool v);
void gguf_put_text(struct gguf_writer *w, const char *key, const char *text);
void gguf_put_str(struct gguf_writer *w, const char *key, struct gguf_str text); /* NULs are fine */
/* Any scalar type but string; ints, floats and bools in the host's form at *value. */
void gguf_put_scalar(struct gguf_writer *w, const char *key, enum gguf_type type,
                     const void *value);
/* count elements of a scalar type in the host's form (int32_t for GGUF_I32, bool for GGUF_BOOL...);
 * for GGUF_STRING an array of struct gguf_str. */
void gguf_put_array(struct gguf_writer *w, const char *key, enum gguf_type elem, size_t count,
                    const void *elems);
/* A pair of a checked file, or all of them, as they are. */
void gguf_put_kv(struct gguf_writer *w, const struct gguf *from, const struct gguf_kv *kv);
void gguf_put_all(struct gguf_writer *w, const struct gguf *from);
void gguf_drop(struct gguf_writer *w, const char *key); /* as if never put */
void gguf_writer_sort(struct gguf_writer *w);           /* keys in byte order */

/* ---- tensors ---- */

/* n_dims 0..4, dim[0] contiguous, in elements; at most 63 bytes of name. */
void gguf_add_tensor(struct gguf_writer *w, struct gguf_str name, enum dtype type, uint32_t n_dims,
                     const int64_t *dim);
/* All tensors of another file, and (behind gguf_write_file or _to) their data. */
void gguf_add_tensors(struct gguf_writer *w, const struct gguf *from);
enum status gguf_write_tensors(struct gguf_writer *w, const struct gguf *from, struct err *e);

/* ---- output: one of the two, then data, then finish ---- */

/* To a temporary file beside path that gets its name in gguf_write_finish() (base/os.h, os_out). */
enum status gguf_write_file(struct gguf_writer *w, const char *path, struct err *e);
/* To anybody who takes bytes in order. */
typedef enum status gguf_sink(void *arg, const void *data, size_t n, struct err *e);
enum status gguf_write_to(struct gguf_writer *w, gguf_sink *sink, void *arg, struct err *e);
gguf_sink gguf_to_buf; /* arg: a struct buf */

/* Bytes of the whole file; known once one of the two above has been called. */
uint64_t gguf_writer_size(const struct gguf_writer *w);

/* The next n bytes of tensor data. A call may end anywhere in a tensor but not go beyond its end
 * (asserted); tensors of no bytes are skipped by themselves. */
enum status gguf_write_data(struct gguf_writer *w, const void *data, size_t n, struct err *e);
/* All data has been written (asserted). */
enum status gguf_write_finish(struct gguf_writer *w, struct err *e);

#endif
