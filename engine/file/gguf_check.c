/* gguf_check.c - whether the data of a file make sense (spec/quants.md 7.2). */
#include <stdio.h>

#include "engine/file/gguf.h"
#include "kernels/tensor.h"

enum { SLICE = 16 << 20 }; /* bytes between two questions */

/* A slice of rows at a time: reading a large tensor from a disk takes long. */
static enum status check_tensor(const struct tensor *t, bool (*cancelled)(void *arg), void *arg,
                                struct err *e) {
    const int64_t rows = t->dim[1] * t->dim[2] * t->dim[3];
    const int64_t most = t->stride[1] < SLICE ? SLICE / (int64_t)t->stride[1] : 1;
    enum status st = ST_OK;
    for (int64_t r = 0; r < rows && st == ST_OK; r += most) {
        if (cancelled != NULL && cancelled(arg))
            return err_set(e, ST_CANCELLED, "checking the data was cancelled");
        st = tensor_check_rows(t, r, rows - r < most ? rows - r : most, e);
    }
    return st;
}

enum status gguf_check_data(const struct gguf *g, bool (*cancelled)(void *arg), void *arg,
                            struct err *e) {
    for (size_t i = 0; i < gguf_n_tensors(g); i++) {
        const struct gguf_tensor *from = gguf_tensor_at(g, i);
        char name[256];
        if (from->size == 0) continue;
        snprintf(name, sizeof name, "%.*s", (int)from->name.len, from->name.ptr);
        struct tensor t = {.name = name, .data = (void *)(uintptr_t)from->data};
        tensor_shape(&t, from->type, from->dim);
        if (check_tensor(&t, cancelled, arg, e) != ST_OK) return err_wrap(e, "%s", gguf_label(g));
    }
    return ST_OK;
}
