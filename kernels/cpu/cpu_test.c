/* cpu_test.c - the CPU backend against the definitions: every op, several weight types, threads,
 * and batches. Results must not depend on the number of threads or on the other rows of a batch:
 * those are compared bit by bit. */
#include "kernels/cpu/testing.h"

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
        for (uint32_t rows = 1; rows <= MAX_ROWS; rows += rows < 9 ? 4 : MAX_ROWS - 9) {
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
        cmocka_unit_test(test_batch_invariance),
        cmocka_unit_test(test_failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
