/* cpu_attn_test.c - attention on the CPU backend against its definition: shapes, windows, parts of
 * cells, lists of chosen cells. */
#include "kernels/cpu/testing.h"

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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_attn),
        cmocka_unit_test(test_attn_random),
        cmocka_unit_test(test_kv_parts),
        cmocka_unit_test(test_attn_select),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
