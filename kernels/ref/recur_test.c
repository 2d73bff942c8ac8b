/* Tests of the ops with a state per sequence: results made by hand, sequences that do not see each
 * other, parts that make up the whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "kernels/ref/ref.h"

/* One op over up to five inputs and one output, ROWS rows, two sequences with a state each. */
enum { ROWS = 6, WIDTH = 16, N_IN = 5, OUT = N_IN, N_VALS = N_IN + 1, N_STATE = 64 };
struct rig {
    struct op op;
    struct value vals[N_VALS];
    float data[N_VALS][ROWS][WIDTH];
    float state[2][N_STATE];
    uint32_t seq[ROWS], index[ROWS];
    struct tensor plane, w[2], bias;
    struct kv_cache kv;
    struct program prog;
    struct batch batch;
    struct step step;
};

static void rig_init(struct rig *g, enum op_code code, uint32_t n_rows, uint32_t width_out) {
    memset(g, 0, sizeof *g);
    g->op.code = (uint8_t)code;
    for (int k = 0; k < OP_MAX_IN; k++) g->op.in[k] = VAL_NONE;
    for (uint32_t v = 0; v < N_VALS; v++)
        g->vals[v] =
            (struct value){.pitch = WIDTH, .parent = VAL_NONE, .off = v * sizeof g->data[0]};
    g->op.out[0] = OUT;
    g->vals[OUT].width = width_out;
    for (uint32_t t = 0; t < ROWS; t++) g->index[t] = t;
    for (uint32_t i = 0; i < 2 * N_STATE; i++) (&g->state[0][0])[i] = NAN; /* of somebody before */
    tensor_shape(&g->plane, DT_F32, (const int64_t[4]){N_STATE, 2, 1, 1});
    g->plane.data = g->state;
    g->kv = (struct kv_cache){.state = &g->plane, .n_layer = 1, .n_seqs = 2};
    g->prog = (struct program){.ops = &g->op, .n_ops = 1, .vals = g->vals, .n_vals = N_VALS};
    g->batch = (struct batch){.n_tokens = n_rows, .seq = g->seq, .index = g->index};
    g->step = (struct step){.prog = &g->prog,
                            .batch = &g->batch,
                            .kv = &g->kv,
                            .n_rows = {n_rows, 0},
                            .scratch = (unsigned char *)g->data};
}

/* Input k: n_rows rows of `width` numbers. */
static void rig_in(struct rig *g, int k, uint32_t width, const float *x) {
    g->op.in[k] = (val)k;
    g->vals[k].width = width;
    for (uint32_t t = 0; t < g->batch.n_tokens; t++)
        memcpy(g->data[k][t], x + t * width, width * sizeof *x);
}

static const struct tensor *weight(struct tensor *t, float *data, int64_t n0, int64_t n1) {
    tensor_shape(t, DT_F32, (const int64_t[4]){n0, n1, 1, 1});
    t->data = data;
    return t;
}

static void expect(const struct rig *g, uint32_t t, const float *want) {
    for (uint32_t i = 0; i < g->vals[OUT].width; i++)
        if (!(fabsf(g->data[OUT][t][i] - want[i]) <= 1e-5f * (1 + fabsf(want[i]))))
            fail_msg("row %u, element %u is %g, not %g", t, i, (double)g->data[OUT][t][i],
                     (double)want[i]);
}

static void test_columns(void **state) {
    (void)state;
    struct rig g;
    rig_init(&g, OP_COLUMNS, 1, 4);
    rig_in(&g, 0, 8, (const float[]){0, 1, 2, 3, 4, 5, 6, 7});
    g.op.p.columns.piece = 4;
    g.op.p.columns.first = 1;
    g.op.p.columns.n = 2;
    ref_columns(&g.step, &g.op);
    expect(&g, 0, (const float[]){1, 2, 5, 6});
}

static void conv_rig(struct rig *g, float *w, float *bias) {
    rig_init(g, OP_CONV_STATE, 3, 2);
    rig_in(g, 0, 2, (const float[]){1, 10, 2, 20, 3, 30});
    g->op.w[0] = weight(&g->w[0], w, 3, 2);
    g->op.b[0] = weight(&g->bias, bias, 2, 1);
    g->op.p.conv_state.n_kernel = 3;
    g->op.p.conv_state.col = 5;
}

static void test_convolution(void **state) {
    (void)state;
    struct rig g;
    float w[] = {100, 10, 1, 0, 0, 2}, bias[] = {0, 0.5f};
    conv_rig(&g, w, bias);
    ref_conv_state(&g.step, &g.op);
    expect(&g, 0, (const float[]){1, 20.5f});
    expect(&g, 1, (const float[]){12, 40.5f});
    expect(&g, 2, (const float[]){123, 60.5f});
    assert_true(isnan(g.state[0][4]) && isnan(g.state[0][9]) && isnan(g.state[1][5]));
}

/* Rows of two sequences in turns, in two steps: as if each were alone. */
static void test_sequences_are_apart(void **state) {
    (void)state;
    struct rig g;
    float w[] = {100, 10, 1, 0, 0, 2}, bias[] = {0, 0};
    conv_rig(&g, w, bias);
    memcpy(g.seq, (const uint32_t[]){0, 1, 0}, 3 * sizeof *g.seq);
    memcpy(g.index, (const uint32_t[]){0, 0, 1}, 3 * sizeof *g.index);
    ref_conv_state_part(&g.step, &g.op, 1, 2);
    ref_conv_state_part(&g.step, &g.op, 0, 1);
    expect(&g, 0, (const float[]){1, 20});
    expect(&g, 1, (const float[]){2, 40});
    expect(&g, 2, (const float[]){13, 60});
    memcpy(g.index, (const uint32_t[]){2, 1, 3}, 3 * sizeof *g.index);
    ref_conv_state(&g.step, &g.op);
    expect(&g, 0, (const float[]){131, 20});
    expect(&g, 1, (const float[]){22, 40});
    expect(&g, 2, (const float[]){313, 60});
}

/* softplus(30) is 30: the state is halved in each row, and 30 x B is added. */
static void test_scan(void **state) {
    (void)state;
    struct rig g;
    float a[] = {-logf(2) / 30}, d[] = {1}, bias[] = {10};
    rig_init(&g, OP_SSM_SCAN, 2, 2);
    rig_in(&g, 0, 2, (const float[]){1, 2, 0, 1});
    rig_in(&g, 1, 1, (const float[]){20, 20});
    rig_in(&g, 2, 2, (const float[]){1, 0, 1, 1});
    rig_in(&g, 3, 2, (const float[]){1, 1, 1, 2});
    g.op.w[0] = weight(&g.w[0], a, 1, 1);
    g.op.w[1] = weight(&g.w[1], d, 1, 1);
    g.op.b[0] = weight(&g.bias, bias, 1, 1);
    g.op.p.ssm_scan.n_head = g.op.p.ssm_scan.n_group = 1;
    g.op.p.ssm_scan.head_dim = g.op.p.ssm_scan.n_state = 2;
    ref_ssm_scan(&g.step, &g.op);
    expect(&g, 0, (const float[]){30 + 1, 60 + 2});
    expect(&g, 1, (const float[]){15, (30 + 30) + 2 * 30 + 1});
}

/* A decay for each element of the state: one is halved, one is kept. */
static void test_scan_by_element(void **state) {
    (void)state;
    struct rig g;
    float a[] = {-logf(2) / 30, 0}, d[] = {0};
    rig_init(&g, OP_SSM_SCAN, 2, 1);
    rig_in(&g, 0, 1, (const float[]){1, 0});
    rig_in(&g, 1, 1, (const float[]){30, 30});
    rig_in(&g, 2, 2, (const float[]){1, 2, 1, 1});
    rig_in(&g, 3, 2, (const float[]){1, 1, 1, 1});
    g.op.w[0] = weight(&g.w[0], a, 2, 1);
    g.op.w[1] = weight(&g.w[1], d, 1, 1);
    g.op.p.ssm_scan.n_head = g.op.p.ssm_scan.n_group = g.op.p.ssm_scan.head_dim = 1;
    g.op.p.ssm_scan.n_state = 2;
    ref_ssm_scan(&g.step, &g.op);
    expect(&g, 0, (const float[]){90});
    expect(&g, 1, (const float[]){15 + 60});
}

/* Two value heads on one key head; beta and decay are a half. */
static void test_delta_rule(void **state) {
    (void)state;
    struct rig g;
    float a[] = {-logf(2) / 30, -logf(2) / 30}, bias[] = {0, 0};
    const float r = 1 / sqrtf(2);
    rig_init(&g, OP_DELTA_NET, 2, 2);
    rig_in(&g, 0, 2, (const float[]){1, 0, 1, 1});
    rig_in(&g, 1, 2, (const float[]){1, 0, 0, 1});
    rig_in(&g, 2, 2, (const float[]){4, 8, 2, 0});
    rig_in(&g, 3, 2, (const float[]){30, 30, 30, 30});
    rig_in(&g, 4, 2, (const float[]){0, 0, 0, 0});
    g.op.w[0] = weight(&g.w[0], a, 2, 1);
    g.op.b[0] = weight(&g.bias, bias, 2, 1);
    g.op.p.delta_net.n_head = g.op.p.delta_net.dim_k = 2;
    g.op.p.delta_net.n_head_k = g.op.p.delta_net.dim_v = 1;
    ref_delta_net(&g.step, &g.op);
    expect(&g, 0, (const float[]){2 * r, 4 * r});
    expect(&g, 1, (const float[]){(1 + 1) * r, (2 + 0) * r});
    memset(g.data[OUT], 0, sizeof g.data[OUT]); /* again from the beginning, by heads */
    ref_delta_net_part(&g.step, &g.op, 1, 2);
    ref_delta_net_part(&g.step, &g.op, 0, 1);
    expect(&g, 1, (const float[]){2 * r, 2 * r});
}

/* A decay for each column, and heads that take key heads in turn. */
static void test_delta_rule_by_column(void **state) {
    (void)state;
    struct rig g;
    float a[] = {-1, -1}, bias[] = {0, 0, 0, 0};
    const float half = logf(expf(logf(2)) - 1); /* softplus of it is ln 2 */
    rig_init(&g, OP_DELTA_NET, 2, 2);
    rig_in(&g, 0, 4, (const float[]){1, 0, 0, 0, 1, 1, 0, 1});
    rig_in(&g, 1, 4, (const float[]){1, 1, 0, 1, 0, 0, 0, 0});
    rig_in(&g, 2, 2, (const float[]){2, 6, 0, 0});
    rig_in(&g, 3, 4, (const float[]){0, 0, 0, 0, half, -90, half, half});
    rig_in(&g, 4, 2, (const float[]){90, 90, 0, 0});
    g.op.w[0] = weight(&g.w[0], a, 2, 1);
    g.op.b[0] = weight(&g.bias, bias, 4, 1);
    g.op.p.delta_net.n_head = g.op.p.delta_net.n_head_k = g.op.p.delta_net.dim_k = 2;
    g.op.p.delta_net.dim_v = 1;
    g.op.p.delta_net.tiled = true;
    ref_delta_net(&g.step, &g.op);
    expect(&g, 0, (const float[]){2 / sqrtf(2), 0});
    expect(&g, 1, (const float[]){(1 + 2) / sqrtf(2), 3 / sqrtf(2)});
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_columns),
        cmocka_unit_test(test_convolution),
        cmocka_unit_test(test_sequences_are_apart),
        cmocka_unit_test(test_scan),
        cmocka_unit_test(test_scan_by_element),
        cmocka_unit_test(test_delta_rule),
        cmocka_unit_test(test_delta_rule_by_column),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
