/* imatrix.h - importance matrices: how much each column of each weight matrix counts
 * (spec/quants.md 8).
 *
 * For a weight {in, out} the importance of column i is the mean of a_i^2 over the rows of some
 * calibration text, a being the input of that matrix product; a stack of expert matrices has a
 * vector for each. Two files hold them: a GGUF (sums of squares and counts), and an older form
 * without a magic. Both are outside data: every length is compared with the bytes that are left. */
#ifndef CRIA_ENGINE_IMATRIX_H
#define CRIA_ENGINE_IMATRIX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "engine/file/gguf.h"

struct imatrix;

/* ---- reading ---- */

/* GGUF, else the older form. Refused: values that are not finite or negative, pairs of tensors that
 * do not belong together, a GGUF without the imatrix.* keys. */
enum status imatrix_open(struct imatrix **out, const char *path, struct err *e);
enum status imatrix_open_memory(struct imatrix **out, const void *data, size_t size,
                                const char *label, struct err *e);
void imatrix_close(struct imatrix *m); /* NULL is fine */

struct imatrix_entry {
    struct gguf_str name; /* of the weight */
    size_t n;             /* columns times matrices */
    const float *iw;      /* [matrices][columns] */
};
size_t imatrix_count(const struct imatrix *m);
const struct imatrix_entry *imatrix_at(const struct imatrix *m, size_t i); /* file order */
const struct imatrix_entry *imatrix_find(const struct imatrix *m, struct gguf_str name); /* NULL */
struct gguf_str imatrix_dataset(const struct imatrix *m); /* the first; len 0: unknown */
uint32_t imatrix_chunks(const struct imatrix *m);         /* 0: unknown */

/* ---- collecting and writing ---- */

struct imatrix_sums; /* sums of squares under collection; not thread-safe */
enum status imatrix_sums_new(struct imatrix_sums **out, struct err *e);
void imatrix_sums_free(struct imatrix_sums *s); /* NULL is fine */
/* The place for a weight of n_mat matrices of n_cols columns, made at the first use: sums
 * [n_mat][n_cols] and counts [n_mat] (rows seen). NULL: no memory. Valid until freed. */
struct imatrix_sum {
    double *sum2;
    double *count;
    size_t n_cols, n_mat;
    const char *name;
};
struct imatrix_sum *imatrix_sums_get(struct imatrix_sums *s, const char *name, size_t n_cols,
                                     size_t n_mat);
/* Writes the GGUF form, weights in byte order of their names. */
enum status imatrix_sums_write(const struct imatrix_sums *s, const char *path, const char *dataset,
                               uint32_t chunks, uint32_t chunk_size, struct err *e);

#endif
