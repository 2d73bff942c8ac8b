/* tensor.c - see tensor.h. */
#include "kernels/tensor.h"

#include <assert.h>

size_t tensor_shape(struct tensor *t, enum dtype type, const int64_t dim[4]) {
    const struct dtype_info *info = dtype_info(type);
    assert(info != NULL && dim[0] > 0 && dim[0] % info->elems == 0);
    t->type = type;
    t->stride[0] = info->bytes;
    t->stride[1] = dtype_row_bytes(type, (size_t)dim[0]);
    for (int i = 0; i < 4; i++) {
        assert(dim[i] > 0);
        t->dim[i] = dim[i];
        if (i > 1) t->stride[i] = t->stride[i - 1] * (size_t)dim[i - 1];
    }
    return t->stride[3] * (size_t)dim[3];
}

const void *tensor_row(const struct tensor *t, int64_t i) {
    assert(i >= 0 && i < t->dim[1] * t->dim[2] * t->dim[3]);
    size_t i1 = (size_t)(i % t->dim[1]), rest = (size_t)(i / t->dim[1]);
    size_t i2 = rest % (size_t)t->dim[2], i3 = rest / (size_t)t->dim[2];
    return (const char *)t->data + i1 * t->stride[1] + i2 * t->stride[2] + i3 * t->stride[3];
}
