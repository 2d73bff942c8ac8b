/* ref.c - the reference backend: every op by its plain C definition, one thread, host memory. */
#include "kernels/ref/ref.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"

ref_fn *const ref_table[OP_COUNT] = {
#define OP(NAME, name, ins, outs, weights, text) [OP_##NAME] = ref_##name,
#include "kernels/ops.def"
#undef OP
};

static enum status ref_open(struct device *d, const struct device_params *p, struct err *e) {
    (void)p;
    (void)e;
    d->isa = "";
    d->n_threads = 1;
    d->uses_host_memory = true;
    return ST_OK;
}

static void ref_close(struct device *d) { (void)d; }

static void *ref_alloc(struct device *d, size_t size) {
    (void)d;
    return mem_pages(size);
}

static void ref_release(struct device *d, void *mem) {
    (void)d;
    mem_pages_free(mem);
}

static enum status ref_copy(struct device *d, void *dst, const void *src, size_t n, struct err *e) {
    (void)d;
    (void)e;
    memcpy(dst, src, n);
    return ST_OK;
}

static enum status ref_clear(struct device *d, void *dst, size_t n, struct err *e) {
    (void)d;
    (void)e;
    memset(dst, 0, n);
    return ST_OK;
}

#ifdef CRIA_HARD
void step_poison(const struct step *s, const struct op *op) {
    for (int k = 0; k < OP_MAX_OUT; k++) {
        if (op->out[k] == VAL_NONE) continue;
        for (uint32_t r = 0; r < step_rows(s, op->out[k]); r++) {
            float *y = step_row(s, op->out[k], r);
            for (uint32_t i = 0; i < s->prog->vals[op->out[k]].width; i++) y[i] = NAN;
        }
    }
}
#endif

static enum status ref_run(struct device *d, const struct step *s, struct err *e) {
    (void)d;
    (void)e;
    for (uint32_t i = 0; i < s->prog->n_ops; i++) {
        const struct op *op = &s->prog->ops[i];
#ifdef CRIA_HARD
        step_poison(s, op);
#endif
        step_observe(s, op);
        ref_table[op->code](s, op);
    }
    return ST_OK;
}

extern const struct backend backend_ref;
const struct backend backend_ref = {
    .name = "ref",
    .open = ref_open,
    .close = ref_close,
    .alloc = ref_alloc,
    .release = ref_release,
    .upload = ref_copy,
    .download = ref_copy,
    .copy = ref_copy,
    .clear = ref_clear,
    .run = ref_run,
};
