/* Tests of definitions that have no other form: small cases with results made by hand. (Kernels are
 * compared with ref in kernels/cpu; whole models in golden/models.) */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "kernels/ref/ref.h"

/* One op over values of one or two rows; the rows of all values lie in one array. */
enum { MAX_WIDTH = 16, MAX_VALS = 4 };
struct rig {
    struct op op;
    struct value vals[MAX_VALS];
    float data[MAX_VALS][2][MAX_WIDTH];
    struct program prog;
    struct batch batch;
    int32_t pos[2];
    struct step step;
};

static void rig_init(struct rig *g, enum op_code code) {
    memset(g, 0, sizeof *g);
    g->op.code = (uint8_t)code;
    for (int k = 0; k < OP_MAX_IN; k++) g->op.in[k] = VAL_NONE;
    for (int k = 0; k < OP_MAX_OUT; k++) g->op.out[k] = VAL_NONE;
    for (uint32_t v = 0; v < MAX_VALS; v++)
        g->vals[v] =
            (struct value){.pitch = MAX_WIDTH, .parent = VAL_NONE, .off = v * sizeof g->data[0]};
    g->prog = (struct program){.ops = &g->op, .n_ops = 1, .vals = g->vals, .n_vals = MAX_VALS};
    g->batch = (struct batch){.n_tokens = 1, .pos = g->pos};
    g->step = (struct step){.prog = &g->prog,
                            .batch = &g->batch,
                            .n_rows = {1, 1},
                            .scratch = (unsigned char *)g->data};
}

static void rig_in(struct rig *g, int k, uint32_t width, const float *x) {
    g->op.in[k] = (val)k;
    g->vals[k].width = width;
    memcpy(g->data[k][0], x, width * sizeof *x);
}

static void rig_out(struct rig *g, int k, uint32_t width) {
    g->op.out[k] = (val)(2 + k);
    g->vals[2 + k].width = width;
}

static void expect(const struct rig *g, int k, const float *want) {
    for (uint32_t i = 0; i < g->vals[2 + k].width; i++)
        if (fabsf(g->data[2 + k][0][i] - want[i]) > 1e-6f * (1 + fabsf(want[i])))
            fail_msg("element %u is %g, not %g", i, (double)g->data[2 + k][0][i], (double)want[i]);
}

static struct tensor vector(float *data, int64_t n) {
    struct tensor t = {.name = "w", .data = data};
    tensor_shape(&t, DT_F32, (const int64_t[4]){n, 1, 1, 1});
    return t;
}

static void test_rescale(void **state) {
    (void)state;
    struct rig g;
    rig_init(&g, OP_RESCALE);
    rig_in(&g, 0, 2, (const float[]){6, 8});
    rig_in(&g, 1, 2, (const float[]){0, 2});
    rig_out(&g, 0, 2);
    ref_rescale(&g.step, &g.op);
    expect(&g, 0, (const float[]){0, 10});
    rig_in(&g, 1, 2, (const float[]){0, 0}); /* no direction: stays nothing */
    ref_rescale(&g.step, &g.op);
    expect(&g, 0, (const float[]){0, 0});
}

static void test_sparsify(void **state) {
    (void)state;
    struct rig g;
    rig_init(&g, OP_SPARSIFY);
    rig_in(&g, 0, 3, (const float[]){1, 2, 6}); /* mean 3, deviation sqrt((4 + 1 + 9) / 2) */
    rig_out(&g, 0, 3);
    g.op.p.sparsify.c = 1;
    ref_sparsify(&g.step, &g.op);
    expect(&g, 0, (const float[]){0, 0, 3 - sqrtf(7)});
}

static void test_pos_scale(void **state) {
    (void)state;
    struct rig g;
    rig_init(&g, OP_POS_SCALE);
    rig_in(&g, 0, 1, (const float[]){10});
    rig_out(&g, 0, 1);
    g.op.p.pos_scale.a = 0.5f;
    g.op.p.pos_scale.offset = 1;
    g.op.p.pos_scale.floor = 8;
    g.pos[0] = 6; /* floor(7 / 8) = 0 */
    ref_pos_scale(&g.step, &g.op);
    expect(&g, 0, (const float[]){10});
    g.pos[0] = 7;
    ref_pos_scale(&g.step, &g.op);
    expect(&g, 0, (const float[]){10 * (logf(2) * 0.5f + 1)});
}

static void test_mul_by_pieces(void **state) {
    (void)state;
    struct rig g;
    rig_init(&g, OP_MUL);
    rig_in(&g, 0, 4, (const float[]){1, 2, 3, 4});
    rig_in(&g, 1, 2, (const float[]){10, 100});
    rig_out(&g, 0, 4);
    ref_mul(&g.step, &g.op);
    expect(&g, 0, (const float[]){10, 20, 300, 400});
}

static void test_layer_norm(void **state) {
    (void)state;
    float w[] = {1, 2}, b[] = {0, 5};
    struct tensor wt = vector(w, 2), bt = vector(b, 2);
    struct rig g;
    rig_init(&g, OP_NORM);
    rig_in(&g, 0, 2, (const float[]){3, 7});
    rig_out(&g, 0, 2);
    g.op.w[0] = &wt;
    g.op.b[0] = &bt;
    g.op.p.norm.group = 2;
    g.op.p.norm.kind = NORM_LAYER;
    ref_norm(&g.step, &g.op);
    expect(&g, 0, (const float[]){-1, 2 + 5});
}

static void test_glu_halves(void **state) {
    (void)state;
    struct rig g;
    rig_init(&g, OP_GLU);
    rig_in(&g, 0, 4, (const float[]){-1, 3, 2, 5}); /* gate -1, up 3; gate 2, up 5 */
    rig_out(&g, 0, 2);
    g.op.p.glu.kind = ACT_RELU;
    g.op.p.glu.piece = 1;
    ref_glu(&g.step, &g.op);
    expect(&g, 0, (const float[]){0, 10});
}

/* Six experts in three groups; two groups may be used. Sums of the two best: 1.0, 0.9, 1.1. */
static void test_route_by_groups(void **state) {
    (void)state;
    static const float p[] = {0.9f, 0.1f, 0.5f, 0.4f, 0.55f, 0.55f};
    float logits[6];
    struct rig g;
    rig_init(&g, OP_MOE_ROUTE);
    for (int i = 0; i < 6; i++) logits[i] = logf(p[i] / (1 - p[i]));
    rig_in(&g, 0, 6, logits);
    rig_out(&g, 0, 3);
    rig_out(&g, 1, 3);
    g.op.p.moe_route.n_expert = 6;
    g.op.p.moe_route.n_used = 3;
    g.op.p.moe_route.gating = MOE_SIGMOID;
    g.op.p.moe_route.n_group = 3;
    g.op.p.moe_route.n_chosen = 2;
    g.op.p.moe_route.weights_scale = 2;
    ref_moe_route(&g.step, &g.op);
    expect(&g, 1, (const float[]){1.8f, 1.1f, 1.1f}); /* the last two are equal: any order */
    assert_true(g.data[2][0][0] == 0 && g.data[2][0][1] + g.data[2][0][2] == 9);
}

/* A bias changes who is chosen, not the weight; factors change the weight alone. */
static void test_route_bias(void **state) {
    (void)state;
    float bias[] = {0, 0, 1}, factors[] = {1, 10, 100};
    struct tensor b = vector(bias, 3), f = vector(factors, 3);
    struct rig g;
    rig_init(&g, OP_MOE_ROUTE);
    rig_in(&g, 0, 3, (const float[]){0, 1, -1});
    rig_out(&g, 0, 2);
    rig_out(&g, 1, 2);
    g.op.w[0] = &b;
    g.op.w[1] = &f;
    g.op.p.moe_route.n_expert = 3;
    g.op.p.moe_route.n_used = 2;
    g.op.p.moe_route.gating = MOE_SIGMOID;
    ref_moe_route(&g.step, &g.op);
    expect(&g, 0, (const float[]){2, 1});
    expect(&g, 1, (const float[]){100 / (1 + expf(1)), 10 / (1 + expf(-1))});
}

static void test_softmax_of_the_chosen(void **state) {
    (void)state;
    struct rig g;
    rig_init(&g, OP_MOE_ROUTE);
    rig_in(&g, 0, 3, (const float[]){1, 5, 1 + logf(3)});
    rig_out(&g, 0, 2);
    rig_out(&g, 1, 2);
    g.op.p.moe_route.n_expert = 3;
    g.op.p.moe_route.n_used = 2;
    g.op.p.moe_route.gating = MOE_SOFTMAX_AFTER;
    ref_moe_route(&g.step, &g.op);
    float e = expf(4) / 3;
    expect(&g, 0, (const float[]){1, 2});
    expect(&g, 1, (const float[]){e / (e + 1), 1 / (e + 1)});
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rescale),
        cmocka_unit_test(test_sparsify),
        cmocka_unit_test(test_pos_scale),
        cmocka_unit_test(test_mul_by_pieces),
        cmocka_unit_test(test_layer_norm),
        cmocka_unit_test(test_glu_halves),
        cmocka_unit_test(test_route_by_groups),
        cmocka_unit_test(test_route_bias),
        cmocka_unit_test(test_softmax_of_the_chosen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
