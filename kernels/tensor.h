/* tensor.h - stored data: a weight or a plane of the KV cache. */
#ifndef CRIA_KERNELS_TENSOR_H
#define CRIA_KERNELS_TENSOR_H

#include "base/err.h"
#include "kernels/dtype.h"

struct tensor {
    const char *name; /* borrowed from the model */
    void *data;       /* address in the memory of the device that holds it; rows may be unaligned */
    enum dtype type;
    int64_t dim[4];   /* dim[0] is contiguous; unused dims are 1 */
    size_t stride[4]; /* bytes from element to element; stride[0] is one block */
};

/* Sets dims and the strides of a densely stored tensor; returns its bytes. */
size_t tensor_shape(struct tensor *t, enum dtype type, const int64_t dim[4]);
/* Address of row i (counted over dims 1..3 as one). */
const void *tensor_row(const struct tensor *t, int64_t i);
/* Whether the data can be computed with (spec/quants.md 7.2): all floats and scales finite. Reads
 * all of it, which must be in host memory. ST_FORMAT names tensor, row and block; Q8_1, a form of
 * activations, is refused (ST_UNSUPPORTED); integers are always sound. */
enum status tensor_check(const struct tensor *t, struct err *e);
/* The same of rows first .. first + n - 1 only. */
enum status tensor_check_rows(const struct tensor *t, int64_t first, int64_t n, struct err *e);

#endif
