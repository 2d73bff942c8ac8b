/* observe_test.c - what goes into products is seen as it is: against the first layer computed by
 * hand, the same from every backend, and one vector for each expert. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "engine/cria.h"
#include "engine/file/gguf.h"
#include "engine/quantize/imatrix.h"

static const token_id ids[] = {1, 7, 3, 9, 4, 4, 2};
enum { N_IDS = sizeof ids / sizeof *ids };

static void add_up(void *arg, const char *weight, size_t n_cols, size_t n_mat, size_t mat,
                   const float *x) {
    struct imatrix_sum *s = imatrix_sums_get(arg, weight, n_cols, n_mat);
    assert_non_null(s);
    assert_int_equal(s->n_cols, n_cols);
    assert_int_equal(s->n_mat, n_mat);
    assert_true(mat < n_mat);
    for (size_t i = 0; i < n_cols; i++) s->sum2[mat * n_cols + i] += (double)x[i] * (double)x[i];
    s->count[mat]++;
}

static struct cria_engine *open_engine(const char *path, const char *backend) {
    struct cria_engine_params p = cria_engine_default_params();
    struct cria_engine *eng = NULL;
    struct err e = {0};
    p.backend = backend;
    p.n_threads = 3;
    if (cria_engine_open(&eng, path, &p, &e) != ST_OK) fail_msg("%s", e.msg);
    return eng;
}

static void evaluate(struct cria_engine *eng, struct imatrix_sums *sums) {
    struct cria_timeline *tl = NULL;
    assert_int_equal(cria_timeline_open(&tl, eng, NULL), ST_OK);
    if (sums != NULL) cria_engine_observe(eng, add_up, sums);
    assert_int_equal(cria_timeline_eval(tl, ids, N_IDS, 0, NULL, NULL), ST_OK);
    cria_engine_observe(eng, NULL, NULL);
    cria_timeline_close(tl);
}

static struct imatrix_sums *measure(const char *path, const char *backend) {
    struct imatrix_sums *sums = NULL;
    struct cria_engine *eng = open_engine(path, backend);
    assert_int_equal(imatrix_sums_new(&sums, NULL), ST_OK);
    evaluate(eng, sums);
    evaluate(eng, NULL); /* nobody looks any more */
    cria_engine_close(eng);
    return sums;
}

/* Row of an F32 or other tensor as floats. */
static void row(const struct gguf *g, const char *name, size_t i, float *x) {
    const struct gguf_tensor *t = gguf_find_tensor(g, name);
    assert_non_null(t);
    const size_t n = (size_t)t->dim[0];
    dtype_info(t->type)->decode(t->data + i * dtype_row_bytes(t->type, n), x, n);
}

static void test_first_layer(void **state) {
    (void)state;
    static const char path[] = "golden/models/llama-base/model.gguf";
    struct imatrix_sums *sums = measure(path, "ref");
    struct gguf *g = NULL;
    float x[4096], w[4096], eps = 0;
    double want[4096] = {0};
    assert_int_equal(gguf_open(&g, path, NULL), ST_OK);
    assert_int_equal(gguf_get_f32(g, "llama.attention.layer_norm_rms_epsilon", &eps, NULL), ST_OK);
    const size_t n = (size_t)gguf_find_tensor(g, "token_embd.weight")->dim[0];
    assert_true(n <= 4096);
    row(g, "blk.0.attn_norm.weight", 0, w);
    for (size_t t = 0; t < N_IDS; t++) {
        double square = 0;
        row(g, "token_embd.weight", (size_t)ids[t], x);
        for (size_t i = 0; i < n; i++) square += (double)x[i] * (double)x[i];
        const double scale = 1 / sqrt(square / (double)n + (double)eps);
        for (size_t i = 0; i < n; i++) want[i] += pow((double)x[i] * scale * (double)w[i], 2);
    }
    static const char *const names[] = {"blk.0.attn_q.weight", "blk.0.attn_k.weight",
                                        "blk.0.attn_v.weight"};
    for (size_t k = 0; k < 3; k++) {
        const struct imatrix_sum *s = imatrix_sums_get(sums, names[k], n, 1);
        assert_true(s->count[0] == N_IDS);
        for (size_t i = 0; i < n; i++) assert_true(fabs(s->sum2[i] - want[i]) <= 1e-4 * want[i]);
    }
    gguf_close(g);
    imatrix_sums_free(sums);
}

static void test_experts_and_backends(void **state) {
    (void)state;
    static const char path[] = "golden/models/llama-moe/model.gguf";
    static const char down[] = "blk.1.ffn_down_exps.weight", out[] = "blk.1.attn_output.weight";
    struct imatrix_sums *ref = measure(path, "ref"), *cpu = measure(path, "cpu");
    struct gguf *g = NULL;
    uint32_t n_used = 0;
    assert_int_equal(gguf_open(&g, path, NULL), ST_OK);
    assert_int_equal(gguf_get_u32(g, "llama.expert_used_count", &n_used, NULL), ST_OK);
    const struct gguf_tensor *t = gguf_find_tensor(g, down);
    const size_t n = (size_t)t->dim[0], n_expert = (size_t)t->dim[2];
    const struct imatrix_sum *a = imatrix_sums_get(ref, down, n, n_expert);
    const struct imatrix_sum *b = imatrix_sums_get(cpu, down, n, n_expert);
    double rows = 0;
    for (size_t k = 0; k < n_expert; k++) {
        rows += a->count[k];
        assert_true(a->count[k] == b->count[k]);
        for (size_t i = 0; i < n; i++) {
            const double x = a->sum2[k * n + i], y = b->sum2[k * n + i];
            assert_true(a->count[k] > 0 || x == 0);
            assert_true(fabs(x - y) <= 0.2 * x + 1e-6);
        }
    }
    assert_true(rows == (double)(N_IDS * n_used));
    const size_t n_out = (size_t)gguf_find_tensor(g, out)->dim[0];
    assert_true(imatrix_sums_get(cpu, out, n_out, 1)->count[0] == N_IDS);
    gguf_close(g);
    imatrix_sums_free(ref);
    imatrix_sums_free(cpu);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_layer),
        cmocka_unit_test(test_experts_and_backends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
