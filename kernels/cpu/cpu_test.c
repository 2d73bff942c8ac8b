/* cpu_test.c - the CPU backend against the definitions: every op, several weight types, threads,
 * and batches. Results must not depend on the number of threads or on the other rows of a batch:
 * those are compared bit by bit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "kernels/device.h"

/* ---- a small program under construction: one op, its values, a batch of two sequences ---- */

enum { MAX_ROWS = 9, N_PAGES = 64, MAX_VALS = 8, N_LAYER = 2 };

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

static float gauss(void) {
    float sum = 0;
    for (int i = 0; i < 4; i++) sum += (float)rand() / (float)RAND_MAX * 2 - 1;
    return sum;
}

static void fill(float *x, size_t n) {
    for (size_t i = 0; i < n; i++) x[i] = gauss();
}

/* Rows of two sequences in turn: sequence 0 decodes at 40.., sequence 1 is at its beginning. */
static void rig_rows(struct rig *g, uint32_t n) {
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

static void rig_init(struct rig *g, enum op_code code, uint32_t n_rows) {
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

static val rig_value(struct rig *g, uint32_t width, enum rows rows) {
    uint32_t pitch = width + 16 - width % 16;
    g->vals[g->prog.n_vals] =
        (struct value){"x", width, pitch, rows, VAL_NONE, 0, g->prog.scratch, 0, 0};
    g->prog.scratch += (size_t)pitch * MAX_ROWS * sizeof(float);
    return (val)g->prog.n_vals++;
}
static val rig_in(struct rig *g, int k, uint32_t width) {
    return g->op[0].in[k] = rig_value(g, width, ROWS_TOKENS);
}
static val rig_out(struct rig *g, int k, uint32_t width) {
    return g->op[0].out[k] = rig_value(g, width, ROWS_TOKENS);
}

static bool computes(uint32_t t) { return dtype_info(t) != NULL && dtype_info(t)->decode != NULL; }

static struct tensor *new_tensor(enum dtype type, int64_t n0, int64_t n1, int64_t n2) {
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

static void free_tensor(const struct tensor *t) {
    if (t == NULL) return;
    mem_free(t->data);
    mem_free((void *)(uintptr_t)t);
}

static void rig_free(struct rig *g) {
    for (int k = 0; k < OP_MAX_W; k++) {
        free_tensor(g->op[0].w[k]);
        free_tensor(g->op[0].b[k]);
    }
    for (int k = 0; k < 2 * N_LAYER; k++) mem_free(g->plane[k].data);
}

/* Runs the rig's program on a backend with the given input values; the scratch memory is the
 * result. */
static unsigned char *rig_run(struct rig *g, const char *backend, unsigned threads,
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

static unsigned char *rig_inputs(const struct rig *g) {
    unsigned char *scratch = mem_alloc(g->prog.scratch);
    fill((float *)(void *)scratch, g->prog.scratch / sizeof(float));
    return scratch;
}

/* Largest difference of an output, relative to its largest value. */
static double difference(struct rig *g, val v, unsigned char *a, unsigned char *b) {
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
static void rig_check(struct rig *g, double tolerance) {
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

/* ---- ops ---- */

static void test_embed_rows(void **state) {
    (void)state;
    for (uint32_t k = 0; k < DT_COUNT; k++) {
        struct rig g;
        if (!computes(k)) continue;
        float embd[2 * 512];
        fill(embd, 2 * 512);
        rig_init(&g, OP_EMBED, 9);
        g.batch.embd = embd;
        g.op[0].w[0] = new_tensor((enum dtype)k, 512, 11, 1);
        g.op[0].p.embed.scale = k == 0 ? 1 : 22.6f;
        rig_out(&g, 0, 512);
        rig_check(&g, 0);
        rig_free(&g);
    }
    struct rig g;
    rig_init(&g, OP_ROWS, 9);
    rig_in(&g, 0, 100);
    g.op[0].out[0] = rig_value(&g, 100, ROWS_OUTPUTS);
    rig_check(&g, 0);
}

static void test_embed_beside(void **state) {
    (void)state;
    float beside[9 * 100];
    struct rig g;
    fill(beside, 9 * 100);
    rig_init(&g, OP_EMBED, 9);
    g.batch.beside = beside;
    g.op[0].p.embed.kind = EMBED_BESIDE;
    rig_out(&g, 0, 100);
    rig_check(&g, 0);
}

/* Each row by what its token's request gives the adapter; zeros, even of NaN, where that is none.
 */
static void test_adapt(void **state) {
    (void)state;
    for (int outputs = 0; outputs < 2; outputs++) {
        struct rig g;
        rig_init(&g, OP_ADAPT, 9);
        g.op[0].in[0] = rig_value(&g, 20, outputs != 0 ? ROWS_OUTPUTS : ROWS_TOKENS);
        g.op[0].out[0] = rig_value(&g, 20, outputs != 0 ? ROWS_OUTPUTS : ROWS_TOKENS);
        g.op[0].p.adapt.adapter = 1;
        g.op[0].p.adapt.scale = 0.5f;
        g.op[0].p.adapt.tokens = outputs == 0;
        rig_check(&g, 0);
        unsigned char *in = rig_inputs(&g);
        g.step.scratch = in;
        step_row(&g.step, g.op[0].in[0], 0)[3] = NAN;
        unsigned char *out = rig_run(&g, "cpu", 2, in);
        for (uint32_t r = 0; r < (outputs != 0 ? 2 : 9); r++) {
            const uint32_t t = outputs != 0 ? g.output[r] : r;
            float f = g.adapt[2 * t + 1] * 0.5f;
            if (outputs == 0 && g.token[t] < 0) f = 0;
            g.step.scratch = in;
            const float x = step_row(&g.step, g.op[0].in[0], r)[3];
            g.step.scratch = out;
            const float y = step_row(&g.step, g.op[0].out[0], r)[3];
            if (f == 0)
                assert_true(y == 0);
            else
                assert_true(y == x * f || x != x);
        }
        mem_free(in);
        mem_free(out);
    }
}

static void test_rowwise(void **state) {
    (void)state;
    static const enum op_code codes[] = {OP_ADD, OP_SCALE, OP_ACT, OP_GLU, OP_NORM, OP_NORM};
    static const uint32_t widths[] = {64, 2050, 3000};
    for (int k = 0; k < 6; k++) {
        for (int i = 0; i < 9; i++) {
            struct rig g;
            uint32_t width = widths[i % 3];
            rig_init(&g, codes[k], i / 3 == 0 ? 1 : i / 3 == 1 ? 2 : 9);
            rig_in(&g, 0, width);
            if (op_infos[codes[k]].n_in == 2) rig_in(&g, 1, width);
            rig_out(&g, 0, width);
            if (codes[k] == OP_SCALE) g.op[0].p.scale.a = 1.5f, g.op[0].p.scale.b = -0.25f;
            if (codes[k] == OP_ACT) g.op[0].p.act.kind = ACT_SOFTCAP, g.op[0].p.act.cap = 2;
            if (codes[k] == OP_GLU) g.op[0].p.glu.kind = i % 2 ? ACT_SILU : ACT_GELU;
            if (codes[k] == OP_NORM) {
                g.op[0].p.norm.eps = 1e-5f;
                g.op[0].p.norm.group = k == 4 ? width : width / 2;
                g.op[0].p.norm.kind = i / 3 == 1 ? NORM_LAYER : NORM_RMS;
                /* A weight for all pieces, or one of its own for each of two. */
                if (i % 2)
                    g.op[0].w[0] = new_tensor(DT_F32, g.op[0].p.norm.group, k == 4 ? 1 : 2, 1);
                if (i % 4 == 1)
                    g.op[0].b[0] = new_tensor(DT_F32, g.op[0].p.norm.group, k == 4 ? 1 : 2, 1);
            }
            rig_check(&g, 2e-6);
            rig_free(&g);
        }
    }
}

/* Mixed weight types in one op, bias, and outputs of odd widths. The tolerance is that of 8-bit
 * activations; what the kernels add to it is tested in isa_test.c. */
static void test_linear(void **state) {
    (void)state;
    static const enum dtype types[][3] = {
        {DT_F32, DT_F16, DT_BF16},  {DT_Q4_0, DT_Q8_0, DT_Q5_1}, {DT_Q4_K, DT_Q4_K, DT_Q6_K},
        {DT_Q5_K, DT_Q8_0, DT_F16}, {DT_Q4_1, DT_Q5_0, DT_F32},
    };
    for (int k = 0; k < 5; k++) {
        for (uint32_t rows = 1; rows <= 9; rows += 4) {
            struct rig g;
            rig_init(&g, OP_LINEAR, rows);
            rig_in(&g, 0, 512);
            for (int i = 0; i < 3; i++) {
                uint32_t width = i == 0 ? 300 : i == 1 ? 17 : k == 0 ? 1 : 50;
                g.op[0].w[i] = new_tensor(types[k][i], 512, width, 1);
                if (i == 1) g.op[0].b[i] = new_tensor(DT_F32, width, 1, 1);
                rig_out(&g, i, width);
            }
            rig_check(&g, k == 0 ? 1e-6 : 2e-2);
            rig_free(&g);
        }
    }
}

/* Every type beside its neighbours in the table. */
static void test_linear_types(void **state) {
    (void)state;
    for (uint32_t t = 0; t < DT_COUNT; t++) {
        struct rig g;
        if (!computes(t)) continue;
        rig_init(&g, OP_LINEAR, 9);
        rig_in(&g, 0, 512);
        for (uint32_t i = 0, k = t; i < 3; i++, k = (k + 1) % DT_COUNT) {
            while (!computes(k)) k = (k + 1) % DT_COUNT;
            g.op[0].w[i] = new_tensor((enum dtype)k, 512, 33, 1);
            rig_out(&g, (int)i, 33);
        }
        rig_check(&g, 2e-2);
        rig_free(&g);
    }
}

/* ids: row r chooses experts r, r + 3 (mod 7); all rows choose expert 0 if r is 3 or 5. */
static void make_ids(const struct rig *g, unsigned char *scratch, val ids) {
    const struct value *v = &g->vals[ids];
    for (uint32_t r = 0; r < MAX_ROWS; r++) {
        float *x = (float *)(void *)(scratch + v->off) + (size_t)r * v->pitch;
        x[0] = r == 3 || r == 5 ? 0 : (float)(r % 7);
        x[1] = (float)((r + 3) % 7 == 0 ? 1 : (r + 3) % 7);
    }
}

static void check_linear_id(enum dtype type, bool per_expert, uint32_t rows) {
    struct rig g;
    rig_init(&g, OP_LINEAR_ID, rows);
    rig_in(&g, 0, per_expert ? 2 * 256 : 256);
    val ids = rig_in(&g, 1, 2);
    g.op[0].p.linear_id.n_used = 2;
    g.op[0].p.linear_id.per_expert_input = per_expert;
    for (int i = 0; i < (per_expert ? 1 : 2); i++) {
        g.op[0].w[i] = new_tensor(type, 256, 40, 7);
        rig_out(&g, i, 2 * 40);
    }
    unsigned char *in = rig_inputs(&g);
    make_ids(&g, in, ids);
    unsigned char *ref = rig_run(&g, "ref", 1, in), *one = rig_run(&g, "cpu", 1, in);
    unsigned char *three = rig_run(&g, "cpu", 3, in);
    assert_true(difference(&g, g.op[0].out[0], one, ref) <= (type == DT_F32 ? 1e-6 : 2e-2));
    assert_memory_equal(one, three, g.prog.scratch);
    mem_free(in);
    mem_free(ref);
    mem_free(one);
    mem_free(three);
    rig_free(&g);
}

static void test_linear_id(void **state) {
    (void)state;
    static const enum dtype types[] = {DT_F32, DT_Q4_0, DT_Q4_K, DT_Q6_K, DT_MXFP4, DT_Q8_1};
    for (int k = 0; k < 6; k++) {
        for (uint32_t rows = 1; rows <= 9; rows += 4) {
            check_linear_id(types[k], false, rows);
            check_linear_id(types[k], true, rows);
        }
    }
}

/* Biases of the chosen experts are a part of the product. */
static void test_linear_id_bias(void **state) {
    (void)state;
    struct rig g;
    rig_init(&g, OP_LINEAR_ID, 5);
    rig_in(&g, 0, 256);
    val ids = rig_in(&g, 1, 2);
    g.op[0].p.linear_id.n_used = 2;
    g.op[0].w[0] = new_tensor(DT_F32, 256, 40, 7);
    g.op[0].b[0] = new_tensor(DT_F32, 40, 7, 1);
    rig_out(&g, 0, 2 * 40);
    unsigned char *in = rig_inputs(&g);
    make_ids(&g, in, ids);
    unsigned char *ref = rig_run(&g, "ref", 1, in), *one = rig_run(&g, "cpu", 2, in);
    assert_true(difference(&g, g.op[0].out[0], one, ref) <= 1e-6);
    mem_free(in);
    mem_free(ref);
    mem_free(one);
    rig_free(&g);
}

static void test_heads_mm(void **state) {
    (void)state;
    static const enum dtype types[] = {DT_F32, DT_Q8_0, DT_Q4_K};
    for (int k = 0; k < 6; k++) {
        for (uint32_t rows = 1; rows <= 9; rows += 4) {
            struct rig g;
            const uint32_t tail = k < 3 ? 0 : 24;
            rig_init(&g, OP_HEADS_MM, rows);
            g.op[0].w[0] = new_tensor(types[k % 3], 256, 70, 5);
            g.op[0].p.heads_mm.n_head = 5;
            g.op[0].p.heads_mm.tail = tail;
            rig_in(&g, 0, 5 * (256 + tail));
            rig_out(&g, 0, 5 * (70 + tail));
            rig_check(&g, k % 3 == 0 ? 1e-6 : 2e-2);
            rig_free(&g);
        }
    }
}

/* b as wide as a, one element for a piece, one for the row; or a weight. */
static void test_mul(void **state) {
    (void)state;
    static const uint32_t widths[] = {2048, 8, 1};
    for (int k = 0; k < 6; k++) {
        struct rig g;
        rig_init(&g, OP_MUL, k % 2 ? 9 : 1);
        rig_in(&g, 0, 2048);
        if (k < 3)
            rig_in(&g, 1, widths[k]);
        else
            g.op[0].w[0] = new_tensor(DT_F32, widths[k - 3], 1, 1);
        rig_out(&g, 0, 2048);
        rig_check(&g, 0);
        rig_free(&g);
    }
}

static void test_glu_halves(void **state) {
    (void)state;
    for (uint32_t pieces = 1; pieces <= 3; pieces++) {
        struct rig g;
        rig_init(&g, OP_GLU, 4);
        rig_in(&g, 0, pieces * 2 * 70);
        rig_out(&g, 0, pieces * 70);
        g.op[0].p.glu.kind = pieces == 2 ? ACT_SWIGLU_OAI : ACT_SILU;
        g.op[0].p.glu.piece = 70;
        rig_check(&g, 2e-6);
    }
}

/* Ops without a kernel run their definition, each worker some of the rows. */
static void test_by_rows(void **state) {
    (void)state;
    static const enum op_code codes[] = {OP_CONCAT, OP_RESCALE, OP_SPARSIFY, OP_POS_SCALE};
    for (int k = 0; k < 4; k++) {
        for (uint32_t rows = 1; rows <= 9; rows += 4) {
            struct rig g;
            const int n_in = codes[k] == OP_CONCAT ? 3 : op_infos[codes[k]].n_in;
            rig_init(&g, codes[k], rows);
            for (int i = 0; i < n_in; i++) rig_in(&g, i, 64);
            rig_out(&g, 0, codes[k] == OP_CONCAT ? 3 * 64 : 64);
            if (codes[k] == OP_SPARSIFY) g.op[0].p.sparsify.c = 0.5f;
            if (codes[k] == OP_POS_SCALE)
                g.op[0].p.pos_scale.a = 0.3f, g.op[0].p.pos_scale.floor = 16;
            rig_check(&g, 0);
        }
    }
}

static void test_moe(void **state) {
    (void)state;
    struct rig g;
    rig_init(&g, OP_MOE_ROUTE, 5);
    rig_in(&g, 0, 16);
    rig_out(&g, 0, 4);
    rig_out(&g, 1, 4);
    g.op[0].p.moe_route.n_expert = 16;
    g.op[0].p.moe_route.n_used = 4;
    g.op[0].p.moe_route.gating = MOE_SOFTMAX;
    g.op[0].p.moe_route.norm_weights = true;
    rig_check(&g, 1e-6);
    g.op[0].p.moe_route.gating = MOE_SIGMOID;
    g.op[0].p.moe_route.n_group = 4;
    g.op[0].p.moe_route.n_chosen = 2;
    g.op[0].p.moe_route.weights_scale = 2.5f;
    g.op[0].w[0] = new_tensor(DT_F32, 16, 1, 1);
    g.op[0].w[1] = new_tensor(DT_F32, 16, 1, 1);
    rig_check(&g, 1e-6);
    rig_free(&g);
    rig_init(&g, OP_MOE_SUM, 5);
    rig_in(&g, 0, 4 * 64);
    rig_in(&g, 1, 4);
    rig_out(&g, 0, 64);
    g.op[0].p.moe_sum.n_used = 4;
    rig_check(&g, 1e-6);
}

static void test_rope(void **state) {
    (void)state;
    for (int k = 0; k < 8; k++) {
        struct rig g;
        rig_init(&g, OP_ROPE, k < 4 ? 9 : 1);
        rig_in(&g, 0, 3 * 96);
        rig_out(&g, 0, 3 * 96);
        if (k % 2) g.op[0].w[0] = new_tensor(DT_F32, 48, 1, 1);
        if (k % 2) {
            for (int i = 0; i < 48; i++) ((float *)g.op[0].w[0]->data)[i] = 1 + (float)i / 10;
        }
        g.op[0].p.rope.kind = k / 2 % 2 ? ROPE_NEOX : ROPE_NORM;
        g.op[0].p.rope.n_head = 3;
        g.op[0].p.rope.head_dim = 96;
        g.op[0].p.rope.n_rot = k == 2 || k == 4 ? 64 : 96;
        g.op[0].p.rope.first = k == 4 ? 24 : 0;
        g.op[0].p.rope.base = 10000;
        g.op[0].p.rope.freq_scale = k == 3 ? 0.25f : 1;
        g.op[0].p.rope.ext_factor = k == 3 ? 1 : 0;
        g.op[0].p.rope.corr_low = 10;
        g.op[0].p.rope.corr_high = 30;
        g.op[0].p.rope.mscale = k == 3 ? 1.1f : 1;
        rig_check(&g, 1e-6);
        rig_free(&g);
    }
}

/* Four positions for each row. */
static void test_rope_axes(void **state) {
    (void)state;
    static const enum rope_axes axes[] = {ROPE_ONE, ROPE_SECTIONS, ROPE_INTERLEAVED, ROPE_VISION};
    int32_t given[9 * 3];
    for (int i = 0; i < 27; i++) given[i] = i * 7 % 31;
    for (int k = 0; k < 8; k++) {
        struct rig g;
        rig_init(&g, OP_ROPE, 9);
        rig_in(&g, 0, 2 * 96);
        rig_out(&g, 0, 2 * 96);
        g.batch.axes = given;
        g.op[0].p.rope.kind = k % 2 ? ROPE_NEOX : ROPE_NORM;
        g.op[0].p.rope.n_head = 2;
        g.op[0].p.rope.head_dim = g.op[0].p.rope.n_rot = 96;
        g.op[0].p.rope.base = 10000;
        g.op[0].p.rope.freq_scale = g.op[0].p.rope.mscale = 1;
        g.op[0].p.rope.axes = axes[k / 2];
        g.op[0].p.rope.axis = 2;
        for (uint32_t i = 0; i < 4; i++) g.op[0].p.rope.sections[i] = 11 - 3 * i;
        rig_check(&g, 1e-6);
        rig_free(&g);
    }
}

static void test_clamp(void **state) {
    (void)state;
    struct rig g;
    rig_init(&g, OP_CLAMP, 9);
    rig_in(&g, 0, 100);
    rig_out(&g, 0, 100);
    g.op[0].p.clamp.low = -0.5f;
    g.op[0].p.clamp.high = 0.25f;
    rig_check(&g, 0);
}

/* Some rows are the caller's: all of them, or columns of wider ones. */
static void test_embed_given(void **state) {
    (void)state;
    for (uint32_t k = 0; k < 3; k++) {
        struct rig g;
        float embd[5 * 40];
        fill(embd, 5 * 40);
        rig_init(&g, OP_EMBED, 9);
        rig_out(&g, 0, 16);
        if (k == 0) g.op[0].w[0] = new_tensor(DT_F32, 16, 64, 1);
        g.op[0].p.embed.kind = k == 0 ? EMBED_TOKENS : EMBED_GIVEN;
        g.op[0].p.embed.scale = 1;
        g.op[0].p.embed.col = k == 2 ? 24 : 0;
        int32_t token[9] = {3, -1, -1, 5, -1, 0, -1, 7, -1};
        g.batch.token = token;
        g.batch.embd = embd;
        g.batch.embd_width = 40;
        rig_check(&g, 0);
        rig_free(&g);
    }
}

/* KV_STORE then ATTN in one program: the second op reads what the first wrote. */
struct attn_shape {
    enum dtype type;
    uint32_t n_head, n_kv, dim, dim_v;
    uint32_t window;
    bool chunked, latent, sinks;
    float alibi;
    uint32_t listed;       /* cells that are named one by one; 0: all visible ones */
    bool symmetric, whole; /* windows to both sides; rows see all of their sequence */
    float softcap;
    uint32_t n_bucket; /* T5's biases */
};

static void rig_planes(struct rig *g, const struct attn_shape *a) {
    const struct dtype_info *info = dtype_info(a->type);
    for (uint32_t k = 0; k < 2 * N_LAYER; k++) {
        if (k >= N_LAYER && a->latent) continue;
        const int64_t dim = k < N_LAYER ? a->dim + (a->listed != 0 ? 32 : 0) : a->dim_v;
        size_t bytes =
            tensor_shape(&g->plane[k], a->type, (int64_t[4]){dim, KV_PAGE, a->n_kv, N_PAGES});
        g->plane[k].data = mem_alloc(bytes);
        for (size_t i = 0; i < bytes; i += info->bytes) {
            float x[32];
            fill(x, info->elems);
            info->encode(x, (char *)g->plane[k].data + i, info->elems, NULL);
        }
    }
}

/* Some cells of each row, rising; -1 behind the last. */
static void make_list(const struct rig *g, unsigned char *scratch, val list) {
    const struct value *v = &g->vals[list];
    for (uint32_t r = 0; r < g->batch.n_tokens; r++) {
        float *x = (float *)(void *)(scratch + v->off) + (size_t)r * v->pitch;
        uint32_t n = 0;
        for (uint32_t c = 0; c < g->kv_len[r] && n < v->width; c++)
            if (c % 5 != 2 || c + 1 == g->kv_len[r]) x[n++] = (float)c;
        while (n < v->width) x[n++] = -1;
    }
}

static void check_attn(const struct attn_shape *a, uint32_t rows) {
    struct rig g;
    rig_init(&g, OP_ATTN, rows);
    rig_in(&g, 0, a->n_head * a->dim);
    rig_out(&g, 0, a->n_head * a->dim_v);
    val list = a->listed != 0 ? rig_in(&g, 1, a->listed) : VAL_NONE;
    g.op[0].p.attn.layer = 1;
    g.op[0].p.attn.n_head = a->n_head;
    g.op[0].p.attn.n_head_kv = a->n_kv;
    g.op[0].p.attn.head_dim = a->dim;
    g.op[0].p.attn.head_dim_v = a->dim_v;
    g.op[0].p.attn.window = a->window;
    g.op[0].p.attn.chunked = a->chunked;
    g.op[0].p.attn.latent = a->latent;
    g.op[0].p.attn.symmetric = a->symmetric;
    g.op[0].p.attn.softcap = a->softcap;
    g.op[0].p.attn.n_bucket = a->n_bucket;
    if (a->n_bucket != 0) g.op[0].w[1] = new_tensor(DT_F32, a->n_head, a->n_bucket, 1);
    for (uint32_t t = 0; t < rows && a->whole; t++)
        g.kv_len[t] = (t % 2 == 0 ? 40 : 0) + (rows + (t % 2 == 0)) / 2;
    g.op[0].p.attn.alibi = a->alibi;
    g.op[0].p.attn.scale = 0.144f;
    if (a->sinks) g.op[0].w[0] = new_tensor(DT_F32, a->n_head, 1, 1);
    rig_planes(&g, a);
    g.op[1] = g.op[0];
    g.op[0] = (struct op){.code = OP_KV_STORE,
                          .in = {VAL_NONE, VAL_NONE, VAL_NONE, VAL_NONE, VAL_NONE},
                          .out = {VAL_NONE, VAL_NONE, VAL_NONE}};
    g.op[0].p.kv_store.layer = 1;
    g.op[0].p.kv_store.n_head_kv = a->n_kv;
    g.op[0].p.kv_store.head_dim = g.op[0].p.kv_store.step = a->dim;
    g.op[0].p.kv_store.head_dim_v = a->dim_v;
    g.prog.n_ops = 2;
    rig_in(&g, 0, a->n_kv * a->dim);
    if (!a->latent) rig_in(&g, 1, a->n_kv * a->dim_v);
    unsigned char *in = rig_inputs(&g);
    if (a->listed != 0) make_list(&g, in, list);
    unsigned char *ref = rig_run(&g, "ref", 1, in), *one = rig_run(&g, "cpu", 1, in);
    unsigned char *three = rig_run(&g, "cpu", 3, in);
    assert_true(difference(&g, g.op[1].out[0], one, ref) <= 2e-6);
    assert_memory_equal(one, three, g.prog.scratch);
    mem_free(in);
    mem_free(ref);
    mem_free(one);
    mem_free(three);
    g.op[0] = g.op[1]; /* whose weight is freed */
    rig_free(&g);
}

/* Any shape with any of the flags, as far as they go together. */
static void test_attn_random(void **state) {
    (void)state;
    static const enum dtype types[] = {DT_F16, DT_F32, DT_F16, DT_F32, DT_Q8_0};
    srand(7);
    for (int k = 0; k < 150; k++) {
        const uint32_t n_kv = 1 + (uint32_t)rand() % 4, rows = 1 + (uint32_t)rand() % 9;
        struct attn_shape a = {.type = types[rand() % 5], .n_kv = n_kv};
        a.n_head = n_kv * (1 + (uint32_t)rand() % 5);
        a.dim = a.type == DT_Q8_0 ? 32 * (1 + (uint32_t)rand() % 3) : 4 + (uint32_t)rand() % 90;
        a.dim_v = a.type == DT_Q8_0 ? 32 * (1 + (uint32_t)rand() % 3) : 4 + (uint32_t)rand() % 90;
        a.latent = rand() % 6 == 0;
        if (a.latent && a.dim_v > a.dim) a.dim_v = a.dim;
        a.sinks = rand() % 3 == 0;
        a.softcap = rand() % 3 == 0 ? 1 + (float)(rand() % 50) : 0;
        a.whole = rand() % 3 == 0;
        if (rand() % 2 == 0) a.window = 1 + (uint32_t)rand() % 50;
        a.chunked = a.window != 0 && !a.whole && rand() % 3 == 0;
        a.symmetric = a.window != 0 && a.whole;
        if (rand() % 4 == 0) a.alibi = 8;
        if (rand() % 5 == 0 && !a.latent) a.n_bucket = 8 * (1 + (uint32_t)rand() % 4);
        if (rand() % 5 == 0 && a.type != DT_Q8_0 && a.n_bucket == 0)
            a.listed = 1 + (uint32_t)rand() % 40;
        check_attn(&a, rows);
    }
}

static void test_attn(void **state) {
    (void)state;
    static const struct attn_shape shapes[] = {
        {DT_F16, 8, 2, 48, 32, 0, false, false, false, 0, 0, false, false, 0, 0},
        {DT_F32, 8, 2, 48, 32, 7, false, false, false, 0, 0, false, false, 0, 0},
        {DT_F32, 8, 2, 48, 32, 16, true, false, false, 0, 0, false, false, 0, 0},
        {DT_F16, 6, 3, 48, 32, 0, false, false, true, 0, 0, false, false, 0, 0},
        {DT_F32, 6, 3, 48, 32, 5, false, false, false, 8, 0, false, false, 0, 0},
        {DT_F32, 40, 1, 48, 32, 0, false, true, false, 0, 0, false, false, 0,
         0}, /* more heads than a task has */
        {DT_F16, 20, 1, 48, 32, 0, false, true, false, 0, 30, false, false, 0, 0},
        {DT_F32, 4, 2, 48, 32, 0, false, false, true, 0, 11, false, false, 0, 0},
        {DT_Q8_0, 8, 2, 64, 32, 0, false, false, false, 8, 0, false, false, 0, 0},
        {DT_Q4_0, 8, 2, 64, 32, 7, false, false, true, 0, 0, false, false, 0, 0},
        {DT_IQ4_NL, 8, 2, 64, 32, 0, false, false, false, 0, 0, false, false, 0, 0},
        {DT_Q8_0, 20, 1, 64, 32, 0, false, true, false, 0, 0, false, false, 0, 0},
    };
    for (size_t k = 0; k < sizeof shapes / sizeof shapes[0]; k++)
        for (uint32_t rows = 1; rows <= 9; rows += 4) check_attn(&shapes[k], rows);
}

/* Parts of a cell: one part of each head, one for all heads, the values. */
static void test_kv_parts(void **state) {
    (void)state;
    const struct attn_shape a = {.type = DT_F32, .n_kv = 3, .dim = 24, .dim_v = 16};
    for (int k = 0; k < 3; k++) {
        struct rig g;
        unsigned char *copy[2];
        rig_init(&g, OP_KV_STORE, 5);
        rig_planes(&g, &a);
        rig_in(&g, 0, k == 1 ? 8 : 2 * 30 + 16);
        g.op[0].p.kv_store.layer = 1;
        g.op[0].p.kv_store.n_head_kv = 3;
        g.op[0].p.kv_store.head_dim = k == 1 ? 8 : 16;
        g.op[0].p.kv_store.step = k == 1 ? 0 : 30;
        g.op[0].p.kv_store.col = k == 1 ? 16 : 0;
        g.op[0].p.kv_store.values = k == 2;
        const struct tensor *plane = k == 2 ? &g.kv.v[1] : &g.kv.k[1];
        const size_t bytes = plane->stride[3] * N_PAGES;
        unsigned char *in = rig_inputs(&g), *before = mem_alloc(bytes);
        memcpy(before, plane->data, bytes);
        for (int b = 0; b < 2; b++) {
            memcpy(plane->data, before, bytes);
            mem_free(rig_run(&g, b == 0 ? "ref" : "cpu", 2, in));
            copy[b] = mem_alloc(bytes);
            memcpy(copy[b], plane->data, bytes);
        }
        assert_memory_equal(copy[0], copy[1], bytes);
        g.step.scratch = in;
        for (uint32_t t = 0; t < 5; t++) {
            const size_t off = kv_offset(plane, &g.seq[g.seq_of[t]], g.index[t], 2);
            const float *cell = (const float *)(const void *)(copy[0] + off);
            const float *x = step_row(&g.step, g.op[0].in[0], t) + (k == 1 ? 0 : 2 * 30);
            assert_memory_equal(cell + (k == 1 ? 16 : 0), x, (k == 1 ? 8 : 16) * sizeof *x);
        }
        mem_free(copy[0]);
        mem_free(copy[1]);
        mem_free(before);
        mem_free(in);
        rig_free(&g);
    }
}

static void test_attn_select(void **state) {
    (void)state;
    const struct attn_shape a = {.type = DT_F32, .n_kv = 1, .dim = 16, .dim_v = 16};
    struct rig g;
    rig_init(&g, OP_ATTN_SELECT, 9);
    rig_planes(&g, &a);
    rig_in(&g, 0, 3 * 8);
    rig_in(&g, 1, 3);
    rig_out(&g, 0, 12);
    g.op[0].p.attn_select.layer = 1;
    g.op[0].p.attn_select.n_head = 3;
    g.op[0].p.attn_select.head_dim = 8;
    g.op[0].p.attn_select.col = 8;
    g.op[0].p.attn_select.top_k = 12;
    g.op[0].p.attn_select.scale = 0.5f;
    rig_check(&g, 0);
    unsigned char *in = rig_inputs(&g), *out = rig_run(&g, "ref", 1, in);
    g.step.scratch = out;
    for (uint32_t t = 0; t < 9; t++) { /* rising cells that the row may see, as many as there are */
        const float *x = step_row(&g.step, g.op[0].out[0], t);
        const uint32_t n = g.kv_len[t] < 12 ? g.kv_len[t] : 12;
        for (uint32_t i = 0; i < 12; i++) {
            if (i >= n) assert_true(x[i] == -1);
            if (i < n) assert_true(x[i] >= 0 && x[i] < (float)g.kv_len[t]);
            if (i > 0 && i < n) assert_true(x[i] > x[i - 1]);
        }
    }
    mem_free(in);
    mem_free(out);
    rig_free(&g);
}

/* ---- the rows of a batch do not know of each other ---- */

static void test_batch_invariance(void **state) {
    (void)state;
    struct rig g;
    rig_init(&g, OP_LINEAR, 9);
    rig_in(&g, 0, 512);
    g.op[0].w[0] = new_tensor(DT_Q4_K, 512, 70, 1);
    g.op[0].w[1] = new_tensor(DT_Q4_0, 512, 70, 1);
    rig_out(&g, 0, 70);
    rig_out(&g, 1, 70);
    unsigned char *in = rig_inputs(&g), *all = rig_run(&g, "cpu", 2, in);
    for (uint32_t n = 1; n < 9; n++) {
        g.step.n_rows[ROWS_TOKENS] = g.batch.n_tokens = n;
        unsigned char *some = rig_run(&g, "cpu", 2, in);
        assert_true(difference(&g, g.op[0].out[0], some, all) == 0);
        assert_true(difference(&g, g.op[0].out[1], some, all) == 0);
        mem_free(some);
    }
    mem_free(in);
    mem_free(all);
    rig_free(&g);
}

/* ---- opening ---- */

static void test_open(void **state) {
    (void)state;
    struct device d;
    struct err e = {0};
    const struct device_params p = {1, "pdp11"}, scalar = {1, "scalar"};
    assert_int_equal(device_open(&d, "cpu", &p, &e), ST_INVALID);
    assert_non_null(strstr(e.msg, "'pdp11'"));
    assert_non_null(strstr(e.msg, " scalar"));
    assert_int_equal(device_open(&d, "cpu", &scalar, &e), ST_OK);
    assert_string_equal(d.isa, "scalar");
    assert_int_equal(d.n_threads, 1);
    device_close(&d);
}

static void test_failing_allocations(void **state) {
    (void)state;
    struct rig g;
    rig_init(&g, OP_LINEAR, 3);
    rig_in(&g, 0, 256);
    g.op[0].w[0] = new_tensor(DT_Q4_K, 256, 8, 1);
    rig_out(&g, 0, 8);
    unsigned char *scratch = rig_inputs(&g);
    g.step.scratch = scratch;
    long live = mem_live();
    for (long n = 1, done = 0; !done; n++) {
        struct device d;
        struct err e = {0};
        const struct device_params p = {2, NULL};
        mem_fail_at(n);
        enum status st = device_open(&d, "cpu", &p, &e);
        if (st == ST_OK) st = d.backend->run(&d, &g.step, &e);
        mem_fail_at(0);
        done = st == ST_OK;
        if (!done) assert_int_equal(st, ST_NO_MEMORY);
        device_close(&d);
        assert_int_equal(mem_live(), live);
    }
    mem_free(scratch);
    rig_free(&g);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_open),
        cmocka_unit_test(test_embed_rows),
        cmocka_unit_test(test_embed_given),
        cmocka_unit_test(test_embed_beside),
        cmocka_unit_test(test_rope_axes),
        cmocka_unit_test(test_clamp),
        cmocka_unit_test(test_adapt),
        cmocka_unit_test(test_rowwise),
        cmocka_unit_test(test_linear),
        cmocka_unit_test(test_linear_types),
        cmocka_unit_test(test_linear_id),
        cmocka_unit_test(test_linear_id_bias),
        cmocka_unit_test(test_heads_mm),
        cmocka_unit_test(test_mul),
        cmocka_unit_test(test_glu_halves),
        cmocka_unit_test(test_by_rows),
        cmocka_unit_test(test_moe),
        cmocka_unit_test(test_rope),
        cmocka_unit_test(test_attn),
        cmocka_unit_test(test_attn_random),
        cmocka_unit_test(test_kv_parts),
        cmocka_unit_test(test_attn_select),
        cmocka_unit_test(test_batch_invariance),
        cmocka_unit_test(test_failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
