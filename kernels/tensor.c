/* tensor.c - see tensor.h. */
#include "kernels/tensor.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

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

/* As dtype_info.check, of types without arithmetic: only F64 can be unsound. */
static size_t check_opaque(enum dtype t, const void *src, size_t n) {
    size_t i = 0;
    for (double x; t == DT_F64 && i < n; i++) {
        memcpy(&x, (const char *)src + i * sizeof x, sizeof x);
        if (!isfinite(x)) return i;
    }
    return n;
}

enum status tensor_check_rows(const struct tensor *t, int64_t first, int64_t n_rows,
                              struct err *e) {
    const struct dtype_info *info = dtype_info(t->type);
    const size_t n = (size_t)t->dim[0];
    bool whole = t->type >= DT_I8 && t->type <= DT_I64, f64 = t->type == DT_F64;
    if (info == NULL || t->type == DT_Q8_1 || (info->check == NULL && !whole && !f64))
        return err_set(e, ST_UNSUPPORTED, "tensor '%s': data of type %s cannot be checked", t->name,
                       info != NULL ? info->name : "?");
    for (int64_t r = first; r < first + n_rows; r++) {
        const void *row = tensor_row(t, r);
        size_t bad = info->check != NULL ? info->check(row, n) : check_opaque(t->type, row, n);
        if (bad == n / info->elems) continue;
        return err_set(e, ST_FORMAT, "tensor '%s': row %" PRId64 ", %s %zu: %s is not finite",
                       t->name, r, info->elems > 1 ? "block" : "value", bad,
                       info->elems > 1 ? "its scale" : "it");
    }
    return ST_OK;
}

enum status tensor_check(const struct tensor *t, struct err *e) {
    return tensor_check_rows(t, 0, t->dim[1] * t->dim[2] * t->dim[3], e);
}
