/* gguf_check.c - whether the data of a file make sense (spec/quants.md 7.2). */
#include <stdio.h>

#include "engine/file/gguf.h"
#include "kernels/tensor.h"

enum status gguf_check_data(const struct gguf *g, struct err *e) {
    for (size_t i = 0; i < gguf_n_tensors(g); i++) {
        const struct gguf_tensor *from = gguf_tensor_at(g, i);
        char name[256];
        if (from->size == 0) continue;
        snprintf(name, sizeof name, "%.*s", (int)from->name.len, from->name.ptr);
        struct tensor t = {.name = name, .data = (void *)(uintptr_t)from->data};
        tensor_shape(&t, from->type, from->dim);
        if (tensor_check(&t, e) != ST_OK) return err_wrap(e, "%s", gguf_label(g));
    }
    return ST_OK;
}
