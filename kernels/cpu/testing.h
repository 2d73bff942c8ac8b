/* testing.h - for tests of the CPU backend: a program of one op or a few over random values, and
 * its comparison with the definitions. */
#ifndef CRIA_KERNELS_CPU_TESTING_H
#define CRIA_KERNELS_CPU_TESTING_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "kernels/device.h"

/* ---- a small program under construction: one op, its values, a batch of two sequences ---- */

enum { MAX_ROWS = 40, N_PAGES = 64, MAX_VALS = 8, N_LAYER = 2 };

struct rig {
    struct op op[2];
    struct value vals[MAX_VALS];
    struct program prog;
    struct batch batch;
    struct kv_cache kv;
    struct kv_seq seq[2];
    struct tensor plane[2 * N_LAYER];
    uint32_t page[2][N_PAGES / 2];
    int32_t token[MAX_ROWS], pos[MAX_ROWS];
    float adapt[2 * MAX_ROWS];
    uint32_t seq_of[MAX_ROWS], index[MAX_ROWS], kv_len[MAX_ROWS], output[3];
    struct step step;
};

static inline float gauss(void) {
    float sum = 0;
    for (int i = 0; i < 4; i++) sum += (float)rand() / (float)RAND_MAX * 2 - 1;
    return sum;
}

static inline void fill(float *x, size_t n) {
    for (size_t i = 0; i < n; i++) x[i] = gauss();
}

/* Rows of two sequences in turn: sequence 0 decodes at 40.., sequence 1 is at its beginning. */
static inline void rig_rows(struct rig *g, uint32_t n) {
    for (uint32_t t = 0; t < n; t++) {
        g->seq_of[t] = t % 2;
        g->index[t] = t / 2 + (t % 2 == 0 ? 40 : 0);
        g->pos[t] = (int32_t)g->index[t] * 3;
        g->kv_len[t] = g->index[t] + 1;
        g->token[t] = t == 4 || t == 6 ? -1 : (int32_t)(t * 7 % 11);
    }
    g->output[0] = 0;
    g->output[1] = n - 1;
    for (uint32_t i = 0; i < 2 * n; i++) g->adapt[i] = i % 3 == 1 ? 0 : (float)i * 0.3f - 1;
    g->batch = (struct batch){.n_tokens = n,
                              .n_outputs = 2,
                              .token = g->token,
                              .pos = g->pos,
                              .seq = g->seq_of,
                              .index = g->index,
                              .kv_len = g->kv_len,
                              .output = g->output,
                              .adapt = g->adapt,
                              .n_adapters = 2};
    g->step.n_rows[ROWS_TOKENS] = n;
    g->step.n_rows[ROWS_OUTPUTS] = 2;
}

static inline void rig_init(struct rig *g, enum op_code code, uint32_t n_rows) {
    memset(g, 0, sizeof *g);
    g->op[0].code = (uint8_t)code;
    for (int k = 0; k < OP_MAX_IN; k++) g->op[0].in[k] = VAL_NONE;
    for (int k = 0; k < OP_MAX_OUT; k++) g->op[0].out[k] = VAL_NONE;
    g->prog = (struct program){.ops = g->op, .n_ops = 1, .vals = g->vals};
    g->step = (struct step){.prog = &g->prog, .batch = &g->batch, .kv = &g->kv};
    for (uint32_t p = 0; p < N_PAGES; p++) g->page[p % 2][p / 2] = N_PAGES - 1 - p;
    for (int s = 0; s < 2; s++) g->seq[s] = (struct kv_seq){g->page[s], N_PAGES / 2, 60, 0};
    g->kv = (struct kv_cache){.n_layer = N_LAYER,
                              .n_pages = N_PAGES,
                              .k = g->plane,
                              .v = g->plane + N_LAYER,
                              .seq = g->seq,
                              .n_seqs = 2};
    rig_rows(g, n_rows);
}

static inline val rig_value(struct rig *g, uint32_t width, enum rows rows) {
    uint32_t pitch = width + 16 - width % 16;
    g->vals[g->prog.n_vals] =
        (struct value){"x", width, pitch, rows, VAL_NONE, 0, g->prog.scratch, 0, 0};
    g->prog.scratch += (size_t)pitch * MAX_ROWS * sizeof(float);
    return (val)g->prog.n_vals++;
}
static inline val rig_in(struct rig *g, int k, uint32_t width) {
    return g->op[0].in[k] = rig_value(g, width, ROWS_TOKENS);
}
static inline val rig_out(struct rig *g, int k, uint32_t width) {
    return g->op[0].out[k] = rig_value(g, width, ROWS_TOKENS);
}

static inline bool computes(uint32_t t) {
    return dtype_info(t) != NULL && dtype_info(t)->decode != NULL;
}

static inline struct tensor *new_tensor(enum dtype type, int64_t n0, int64_t n1, int64_t n2) {
    const struct dtype_info *info = dtype_info(type);
    struct tensor *t = mem_zalloc(1, sizeof *t);
    size_t bytes = tensor_shape(t, type, (int64_t[4]){n0, n1, n2, 1});
    uint8_t *data = mem_alloc(bytes);
    t->name = "w";
    t->data = data;
    for (size_t b = 0; b < bytes / info->bytes; b++, data += info->bytes) {
        float x[256];
        fill(x, info->elems);
        info->encode(x, data, info->elems, NULL);
    }
    return t;
}

static inline void free_tensor(const struct tensor *t) {
    if (t == NULL) return;
    mem_free(t->data);
    mem_free((void *)(uintptr_t)t);
}

static inline void rig_free(struct rig *g) {
    for (int k = 0; k < OP_MAX_W; k++) {
        free_tensor(g->op[0].w[k]);
        free_tensor(g->op[0].b[k]);
    }
    for (int k = 0; k < 2 * N_LAYER; k++) mem_free(g->plane[k].data);
}

/* Runs the rig's program on a backend with the given input values; the scratch memory is the
 * result. */
static inline unsigned char *rig_run(struct rig *g, const char *backend, unsigned threads,
                                     const unsigned char *inputs) {
    struct device d;
    struct err e = {0};
    const struct device_params p = {threads, NULL};
    if (device_open(&d, backend, &p, &e) != ST_OK) fail_msg("%s", e.msg);
    g->step.scratch = d.backend->alloc(&d, g->prog.scratch);
    assert_int_equal(d.backend->upload(&d, g->step.scratch, inputs, g->prog.scratch, &e), ST_OK);
    for (int again = 0; again < 2; again++) { /* the second step allocates nothing */
        long live = mem_live();
        if (d.backend->run(&d, &g->step, &e) != ST_OK) fail_msg("%s", e.msg);
        if (again == 1) assert_int_equal(mem_live(), live);
    }
    unsigned char *out = mem_alloc(g->prog.scratch);
    assert_int_equal(d.backend->download(&d, out, g->step.scratch, g->prog.scratch, &e), ST_OK);
    d.backend->release(&d, g->step.scratch);
    device_close(&d);
    return out;
}

static inline unsigned char *rig_inputs(const struct rig *g) {
    unsigned char *scratch = mem_alloc(g->prog.scratch);
    fill((float *)(void *)scratch, g->prog.scratch / sizeof(float));
    return scratch;
}

/* Largest difference of an output, relative to its largest value. */
static inline double difference(struct rig *g, val v, unsigned char *a, unsigned char *b) {
    double diff = 0, max = 0;
    for (uint32_t r = 0; r < step_rows(&g->step, v); r++) {
        g->step.scratch = a;
        const float *x = step_row(&g->step, v, r);
        g->step.scratch = b;
        const float *y = step_row(&g->step, v, r);
        for (uint32_t i = 0; i < g->vals[v].width; i++) {
            if (!(fabs((double)x[i] - (double)y[i]) <= diff))
                diff = fabs((double)x[i] - (double)y[i]);
            max = fmax(max, fabs((double)y[i]));
        }
    }
    return max > 0 ? diff / max : diff;
}

/* The op on the cpu backend: close to ref, and equal for 1, 2 and 3 threads. */
static inline void rig_check(struct rig *g, double tolerance) {
    unsigned char *in = rig_inputs(g), *ref = rig_run(g, "ref", 1, in),
                  *one = rig_run(g, "cpu", 1, in);
    for (int k = 0; k < OP_MAX_OUT; k++) {
        if (g->op[0].out[k] == VAL_NONE) continue;
        double diff = difference(g, g->op[0].out[k], one, ref);
        if (!(diff <= tolerance))
            fail_msg("op %s: differs by %g", op_infos[g->op[0].code].name, diff);
    }
    for (unsigned n = 2; n <= 3; n++) {
        unsigned char *more = rig_run(g, "cpu", n, in);
        assert_memory_equal(more, one, g->prog.scratch);
        mem_free(more);
    }
    mem_free(in);
    mem_free(ref);
    mem_free(one);
}

#endif
