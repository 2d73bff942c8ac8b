/* isa_test.c - the kernels of every instruction set this processor has, each type and many shapes:
 * against plain arithmetic, and against themselves (results must not depend on what else is
 * computed in the same call). A new type or instruction set is in the loops by being in the tables.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cpu/isa.h"

static const struct cpu_isa *isa; /* the one under test */

#define FOR_EACH_ISA                                                                               \
    for (const struct cpu_isa *const *at_ = cpu_isas; (isa = *at_) != NULL; at_++)                 \
        if (isa->usable())

/* splitmix64; rand() took two thirds of the test's time. */
static uint32_t random32(void) {
    static uint64_t seed;
    uint64_t x = seed += UINT64_C(0x9E3779B97F4A7C15);
    x = (x ^ x >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    x = (x ^ x >> 27) * UINT64_C(0x94D049BB133111EB);
    return (uint32_t)(x >> 32);
}
static float uniform(void) { return (float)random32() * 0x1p-31f - 1; }
static float gauss(void) { return uniform() + uniform() + uniform() + uniform(); }

static float *new_floats(size_t n) {
    float *x = aligned_alloc(64, (n * sizeof *x + 63) / 64 * 64);
    for (size_t i = 0; i < n; i++) x[i] = gauss();
    return x;
}

/* Every type of types.def that can be decoded has a product. */
static bool computes(uint32_t t) { return dtype_info(t) != NULL && dtype_info(t)->decode != NULL; }

/* ---- weights ---- */

static bool sensible(const float *x, size_t n) {
    float max = 0;
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(x[i])) return false;
        max = fmaxf(max, fabsf(x[i]));
    }
    return max > 0.01f && max < 100;
}

/* n elements of a type: encoded noise, or, where there is no encoder or it searches for long
 * (blocks of 256), random bytes drawn again until the block's values are of ordinary size. */
static void make_weights(enum dtype t, uint8_t *out, size_t n) {
    const struct dtype_info *info = dtype_info(t);
    bool encode = info->encode != NULL && info->elems < 256;
    float x[256];
    for (size_t b = 0; b < n / info->elems; b++, out += info->bytes) {
        do {
            for (uint32_t i = 0; encode && i < info->elems; i++) x[i] = gauss();
            for (uint32_t i = 0; i < info->bytes; i++) out[i] = (uint8_t)random32();
            if (encode) info->encode(x, out, info->elems, NULL);
            info->decode(out, x, info->elems);
        } while (!encode && !sensible(x, info->elems));
    }
}

/* ---- activations ---- */

/* What a packed row stands for. */
static void unpack(enum act_row kind, const unsigned char *row, size_t n, float *x) {
    const float *d = (const float *)(const void *)(row + n);
    if (kind == ACT_ROW_F32) memcpy(x, row, n * sizeof *x);
    for (size_t i = 0; kind != ACT_ROW_F32 && i < n; i++) {
        x[i] = (float)(int8_t)row[i] * d[i / 32];
    }
}

static void check_q8(const float *x, size_t n, const unsigned char *row) {
    const float *d = (const float *)(const void *)(row + n);
    const int16_t *sums = (const int16_t *)(const void *)(d + n / 32);
    for (size_t b = 0; b < n / 32; b++) {
        uint8_t block[34];
        int sum[2] = {0, 0};
        dtype_info(DT_Q8_0)->encode(x + 32 * b, block, 32, NULL);
        assert_memory_equal(block + 2, row + 32 * b, 32);
        assert_true(d[b] == f16_to_f32((uint16_t)(block[0] | block[1] << 8)));
        for (size_t i = 0; i < 32; i++) sum[i / 16] += (int8_t)row[32 * b + i];
        assert_int_equal(sum[0], sums[2 * b]);
        assert_int_equal(sum[1], sums[2 * b + 1]);
    }
}

static void test_pack(void **state) {
    (void)state;
    enum { N = 2048 };
    float *x = new_floats(N);
    for (size_t i = 256; i < 512; i++) x[i] = 0;                               /* zeros */
    for (size_t i = 512; i < 768; i++) x[i] = (float)((int)i % 255 - 127) / 2; /* ties */
    for (size_t i = 768; i < 1024; i++) x[i] = i % 2 != 0 ? 3 : -3;            /* equal maxima */
    x[1100] = 1e20f;
    x[1400] = 1e-41f;
    FOR_EACH_ISA {
        unsigned char row[N * 4];
        isa->pack[ACT_ROW_Q8](x, N, row);
        check_q8(x, N, row);
    }
    free(x);
}

/* A NaN or infinity must not become an ordinary number. */
static void test_pack_poison(void **state) {
    (void)state;
    const float bad[] = {NAN, -NAN, INFINITY, -INFINITY};
    FOR_EACH_ISA for (size_t k = 0; k < 4; k++) for (size_t at = 0; at < 256; at += 51) {
        float x[256] = {0}, d;
        unsigned char row[256 * 4];
        x[(at + 7) % 256] = 1;
        x[at] = bad[k];
        isa->pack[ACT_ROW_Q8](x, 256, row);
        memcpy(&d, row + 256 + at / 32 * 4, sizeof d);
        assert_true(isnan(d));
    }
}

/* ---- dot ---- */

struct dot_case {
    enum dtype t;
    size_t n, rows, cols, w_bytes, a_bytes;
    uint8_t *w;
    unsigned char *a;
    float *y;
};

static struct dot_case new_dot(enum dtype t, size_t n, size_t rows, size_t cols) {
    struct dot_case k = {.t = t, .n = n, .rows = rows, .cols = cols};
    enum act_row kind = isa->act_row[t];
    k.w_bytes = dtype_row_bytes(t, n);
    k.a_bytes = act_row_bytes(kind, n);
    k.w = malloc(k.w_bytes * rows); /* exact: the sanitizer watches the end */
    k.a = aligned_alloc(64, k.a_bytes * cols);
    k.y = new_floats(rows * cols);
    for (size_t i = 0; i < rows; i++) make_weights(t, k.w + i * k.w_bytes, n);
    for (size_t j = 0; j < cols; j++) {
        float *x = new_floats(n);
        isa->pack[kind](x, n, k.a + j * k.a_bytes);
        free(x);
    }
    isa_dot(isa, t, n, k.w, k.w_bytes, rows, k.a, k.a_bytes, cols, k.y, rows);
    return k;
}

static void free_dot(struct dot_case *k) {
    free(k->w);
    free(k->a);
    free(k->y);
}

/* 4e-6 of the sum of absolute terms is the tolerance of the golden data. */
static void check_dot(const struct dot_case *k) {
    float *w = new_floats(k->n), *a = new_floats(k->n);
    for (size_t i = 0; i < k->rows; i++) {
        dtype_info(k->t)->decode(k->w + i * k->w_bytes, w, k->n);
        for (size_t j = 0; j < k->cols; j++) {
            double sum = 0, scale = 0;
            unpack(isa->act_row[k->t], k->a + j * k->a_bytes, k->n, a);
            for (size_t e = 0; e < k->n; e++) {
                sum += (double)w[e] * (double)a[e];
                scale += fabs((double)w[e] * (double)a[e]);
            }
            if (fabs((double)k->y[j * k->rows + i] - sum) <= 4e-6 * scale) continue;
            fail_msg("%s %s n=%zu row %zu of %zu col %zu of %zu: %g for %g", isa->name,
                     dtype_info(k->t)->name, k->n, i, k->rows, j, k->cols,
                     (double)k->y[j * k->rows + i], sum);
        }
    }
    free(w);
    free(a);
}

/* Each pair of rows alone gives the same bits. */
static void check_dot_alone(const struct dot_case *k) {
    for (size_t i = 0; i < k->rows; i++) {
        for (size_t j = 0; j < k->cols; j++) {
            float y;
            isa_dot(isa, k->t, k->n, k->w + i * k->w_bytes, k->w_bytes, 1, k->a + j * k->a_bytes,
                    k->a_bytes, 1, &y, 1);
            assert_memory_equal(&y, &k->y[j * k->rows + i], sizeof y);
        }
    }
}

static void test_dot(void **state) {
    (void)state;
    static const size_t blocks[] = {1, 2, 3, 8, 17}, counts[] = {1, 2, 4, 5, 9};
    FOR_EACH_ISA for (uint32_t t = 0; t < DT_COUNT; t++) {
        if (!computes(t)) continue;
        size_t elems = dtype_info(t)->elems;
        for (size_t b = 0; b < 5; b++) {
            for (size_t c = 0; c < 25; c++) {
                struct dot_case k =
                    new_dot((enum dtype)t, blocks[b] * elems, counts[c / 5], counts[c % 5]);
                check_dot(&k);
                check_dot_alone(&k);
                free_dot(&k);
            }
        }
    }
}

/* Where the floats of a block are: what must stay when the rest is filled. */
static void scale_field(enum dtype t, size_t *at, size_t *n) {
    static const struct {
        enum dtype t;
        uint8_t at, n;
    } fields[] = {{DT_Q4_1, 0, 4},   {DT_Q5_1, 0, 4},   {DT_Q8_1, 0, 4},   {DT_Q8_K, 0, 4},
                  {DT_Q2_K, 80, 4},  {DT_Q3_K, 108, 2}, {DT_Q4_K, 0, 4},   {DT_Q5_K, 0, 4},
                  {DT_Q6_K, 208, 2}, {DT_TQ1_0, 52, 2}, {DT_TQ2_0, 64, 2}, {DT_MXFP4, 0, 1},
                  {DT_IQ1_M, 48, 8}};
    *at = 0;
    *n = dtype_info(t)->elems == 1 ? dtype_info(t)->bytes : 2;
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        if (fields[i].t != t) continue;
        *at = fields[i].at;
        *n = fields[i].n;
    }
}

/* A long row, and codes at the ends of their range against activations at theirs. */
static void test_dot_extremes(void **state) {
    (void)state;
    FOR_EACH_ISA for (uint32_t t = 0; t < DT_COUNT; t++) {
        if (!computes(t)) continue;
        struct dot_case k = new_dot((enum dtype)t, 4096, 4, 4);
        check_dot(&k);
        float *x = new_floats(4096);
        size_t bytes = dtype_info(t)->bytes, at, n;
        for (size_t i = 0; i < 4096; i++) x[i] = 1;
        for (size_t j = 0; j < 4; j++) isa->pack[isa->act_row[t]](x, 4096, k.a + j * k.a_bytes);
        scale_field((enum dtype)t, &at, &n);
        for (size_t b = 0; b < 4 * 4096 / dtype_info(t)->elems; b++) {
            uint8_t *block = k.w + b * bytes, keep[8];
            memcpy(keep, block + at, n);
            memset(block, t == DT_Q8_0 ? 0x80 : 0xFF, bytes);
            if (t == DT_Q6_K) memset(block + 192, 0x80, 16); /* scale -128 */
            memcpy(block + at, keep, n);
        }
        isa_dot(isa, (enum dtype)t, 4096, k.w, k.w_bytes, 4, k.a, k.a_bytes, 4, k.y, 4);
        check_dot(&k);
        free(x);
        free_dot(&k);
    }
}

/* ---- rows ---- */

static void assert_close(float got, double want, double tolerance, const char *what, float x) {
    if (fabs((double)got - want) <= tolerance) return;
    fail_msg("%s %s(%g): %.9g for %.9g", isa->name, what, (double)x, (double)got, want);
}

static double act1(enum act kind, double cap, double x) {
    if (kind == ACT_SILU) return x / (1 + exp(-x));
    if (kind == ACT_GELU)
        return 0.5 * x * (1 + tanh(0.79788456080286535588 * (x + 0.044715 * x * x * x)));
    if (kind == ACT_SOFTCAP) return cap * tanh(x / cap);
    if (kind == ACT_GELU_ERF) return 0.5 * x * (1 + erf(x / sqrt(2)));
    if (kind == ACT_GELU_QUICK) return x / (1 + exp(-1.702 * x));
    if (kind == ACT_RELU) return fmax(x, 0);
    if (kind == ACT_RELU2) return fmax(x, 0) * fmax(x, 0);
    if (kind == ACT_SIGMOID) return 1 / (1 + exp(-x));
    if (kind == ACT_TANH) return tanh(x);
    if (kind == ACT_SOFTPLUS) return x > 30 ? x : log1p(exp(x));
    return x;
}

static void test_act(void **state) {
    (void)state;
    enum { N = 4001 };
    float *x = new_floats(N), *y = new_floats(N), *up = new_floats(N);
    for (int i = 0; i < N; i++) x[i] = (float)(i - 2000) / 40;
    x[0] = -1e4f;
    x[1] = 1e4f;
    for (int i = 0; i < 40; i++) x[100 + i] = ldexpf(i % 2 != 0 ? 1 : -1, -i);
    FOR_EACH_ISA for (enum act kind = ACT_NONE; kind < ACT_COUNT; kind++) {
        if (kind == ACT_SWIGLU_OAI) continue; /* has two inputs: test_swiglu_oai */
        isa->act(kind, 30, x, y, N);
        for (int i = 0; i < N; i++) {
            double want = act1(kind, 30, (double)x[i]);
            assert_close(y[i], want, 6e-7 * fabs(want) + 1e-8 * fabs((double)x[i]), "act", x[i]);
        }
        if (kind == ACT_SOFTCAP) continue;
        isa->glu(kind, x, up, y, N);
        for (int i = 0; i < N; i++) {
            double want = act1(kind, 30, (double)x[i]) * (double)up[i];
            assert_close(y[i], want, 6e-7 * fabs(want) + 4e-8 * fabs((double)x[i]), "glu", x[i]);
        }
    }
    free(x);
    free(y);
    free(up);
}

static void test_swiglu_oai(void **state) {
    (void)state;
    enum { N = 1001 };
    float *x = new_floats(N), *up = new_floats(N), *y = new_floats(N);
    for (int i = 0; i < N; i++) {
        x[i] *= 5;
        up[i] *= 5;
    }
    FOR_EACH_ISA {
        isa->glu(ACT_SWIGLU_OAI, x, up, y, N);
        for (int i = 0; i < N; i++) {
            double g = fmin((double)x[i], 7), u = fmin(fmax((double)up[i], -7), 7);
            double want = g / (1 + exp(-1.702 * g)) * (u + 1);
            assert_close(y[i], want, 2e-6 * fabs(want) + 1e-7, "swiglu-oai", x[i]);
        }
    }
    free(x);
    free(up);
    free(y);
}

static void check_layer_norm(size_t n, const float *x, const float *w, float *y) {
    double mean = 0, sum = 0;
    for (size_t i = 0; i < n; i++) mean += (double)x[i] / (double)n;
    for (size_t i = 0; i < n; i++) sum += ((double)x[i] - mean) * ((double)x[i] - mean);
    double scale = 1 / sqrt(sum / (double)n + 1e-5);
    isa->norm(NORM_LAYER, x, w, w, y, n, 1e-5f);
    for (size_t i = 0; i < n; i++)
        assert_close(y[i], (((double)x[i] - mean) * scale + 1) * (double)w[i],
                     2e-6 * (scale + 1) * 16, "layer norm", x[i]);
}

static void check_rows(size_t n) {
    float *x = new_floats(n), *w = new_floats(n), *y = new_floats(n + 1), end = 7;
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)x[i] * (double)x[i];
    double scale = 1 / sqrt(sum / (double)n + 1e-5);
    y[n] = end; /* nothing is written behind the row */
    isa->norm(NORM_RMS, x, w, NULL, y, n, 1e-5f);
    for (size_t i = 0; i < n; i++)
        assert_close(y[i], (double)x[i] * scale * (double)w[i], 1e-6 * scale * 16, "norm", x[i]);
    isa->norm(NORM_RMS, x, NULL, NULL, y, n, 1e-5f);
    for (size_t i = 0; i < n; i++)
        assert_close(y[i], (double)x[i] * scale, 1e-6 * scale * 4, "norm", x[i]);
    check_layer_norm(n, x, w, y);
    isa->mul(x, w, y, n);
    for (size_t i = 0; i < n; i++) assert_true(y[i] == x[i] * w[i]);
    isa->add(x, w, y, n);
    for (size_t i = 0; i < n; i++) assert_true(y[i] == x[i] + w[i]);
    isa->scale(x, y, n, 3, 0.5f);
    for (size_t i = 0; i < n; i++) assert_close(y[i], (double)x[i] * 3 + 0.5, 2e-6, "scale", x[i]);
    isa->act(ACT_NONE, 0, x, y, n);
    assert_memory_equal(x, y, n * sizeof *x);
    assert_true(y[n] == end);
    free(x);
    free(w);
    free(y);
}

static void test_rows(void **state) {
    (void)state;
    FOR_EACH_ISA {
        for (size_t n = 1; n < 70; n++) check_rows(n);
        check_rows(2048);
    }
}

/* ---- attention ---- */

struct attn_case {
    struct tensor k, v;
    struct kv_seq seq;
    uint32_t group, dim, dim_v, n_head_kv;
    float *q;
};
enum { N_PAGES = 9 };

static void fill_plane(struct tensor *t, enum dtype type, uint32_t dim, uint32_t n_head) {
    size_t bytes = tensor_shape(t, type, (int64_t[4]){dim, KV_PAGE, n_head, N_PAGES});
    t->data = aligned_alloc(64, (bytes + 63) / 64 * 64);
    for (size_t i = 0; i < bytes / dtype_info(type)->bytes; i++) {
        float x[256];
        for (uint32_t k = 0; k < dtype_info(type)->elems; k++) x[k] = gauss();
        dtype_encode_fast(type, x, (char *)t->data + i * dtype_info(type)->bytes,
                          dtype_info(type)->elems);
    }
}

static struct attn_case new_attn(enum dtype k, enum dtype v, uint32_t group, uint32_t dim,
                                 uint32_t dim_v) {
    static uint32_t pages[N_PAGES] = {4, 7, 0, 2, 8, 1, 6, 3, 5};
    struct attn_case c = {.seq = {pages, N_PAGES, N_PAGES * KV_PAGE, 0},
                          .group = group,
                          .dim = dim,
                          .dim_v = dim_v,
                          .n_head_kv = 3,
                          .q = new_floats((size_t)group * dim)};
    fill_plane(&c.k, k, dim, c.n_head_kv);
    fill_plane(&c.v, v, dim_v, c.n_head_kv);
    return c;
}

static void free_attn(struct attn_case *c) {
    free(c->k.data);
    free(c->v.data);
    free(c->q);
}

static void run_attn(const struct attn_case *c, uint32_t head, uint32_t begin, uint32_t end,
                     float softcap, float *out) {
    float tmp[16 * (KV_PAGE + 3) + KV_PAGE * 512];
    const struct attn_args a = {.q = c->q,
                                .out = out,
                                .tmp = tmp,
                                .group = c->group,
                                .head_dim = c->dim,
                                .head_dim_v = c->dim_v,
                                .scale = 0.3f,
                                .softcap = softcap,
                                .k = &c->k,
                                .v = &c->v,
                                .seq = &c->seq,
                                .head_kv = head,
                                .begin = begin,
                                .end = end};
    isa->attn(&a);
}

static void cell(const struct tensor *plane, const struct kv_seq *seq, uint32_t i, uint32_t head,
                 float *x) {
    const char *p = (const char *)plane->data + kv_offset(plane, seq, i, head);
    dtype_info(plane->type)->decode(p, x, (size_t)plane->dim[0]);
}

static void naive_attn(const struct attn_case *c, uint32_t g, uint32_t head, uint32_t begin,
                       uint32_t end, double softcap, double *out) {
    double p[N_PAGES * KV_PAGE], sum = 0, max = -1e300;
    float x[256];
    for (uint32_t i = begin; i < end; i++) {
        cell(&c->k, &c->seq, i, head, x);
        p[i] = 0;
        for (uint32_t e = 0; e < c->dim; e++) p[i] += (double)c->q[g * c->dim + e] * (double)x[e];
        p[i] *= 0.3;
        if (softcap > 0) p[i] = softcap * tanh(p[i] / softcap);
        max = fmax(max, p[i]);
    }
    for (uint32_t i = begin; i < end; i++) sum += p[i] = exp(p[i] - max);
    memset(out, 0, c->dim_v * sizeof *out);
    for (uint32_t i = begin; i < end; i++) {
        cell(&c->v, &c->seq, i, head, x);
        for (uint32_t e = 0; e < c->dim_v; e++) out[e] += p[i] / sum * (double)x[e];
    }
}

static void check_attn(const struct attn_case *c, uint32_t begin, uint32_t end, float softcap) {
    float out[16 * 256];
    double want[256];
    for (uint32_t head = 0; head < c->n_head_kv; head++) {
        run_attn(c, head, begin, end, softcap, out);
        for (uint32_t g = 0; g < c->group; g++) {
            naive_attn(c, g, head, begin, end, (double)softcap, want);
            for (uint32_t e = 0; e < c->dim_v; e++)
                assert_close(out[g * c->dim_v + e], want[e], 5e-6, "attn", (float)end);
        }
    }
}

static void test_attn(void **state) {
    (void)state;
    static const struct {
        enum dtype k, v;
        uint32_t group, dim, dim_v;
    } shapes[] = {{DT_F16, DT_F16, 4, 64, 64},     {DT_F32, DT_F32, 1, 128, 128},
                  {DT_F16, DT_F16, 7, 24, 40},     {DT_F32, DT_F32, 9, 5, 3},
                  {DT_Q8_0, DT_Q8_0, 5, 64, 96},   {DT_Q4_0, DT_F16, 2, 32, 24},
                  {DT_IQ4_NL, DT_Q5_1, 4, 64, 64}, {DT_Q4_K, DT_BF16, 1, 256, 7}};
    const uint32_t cells = N_PAGES * KV_PAGE;
    FOR_EACH_ISA for (size_t k = 0; k < sizeof shapes / sizeof *shapes; k++) {
        struct attn_case c =
            new_attn(shapes[k].k, shapes[k].v, shapes[k].group, shapes[k].dim, shapes[k].dim_v);
        for (uint32_t end = 1; end <= cells; end += end < KV_PAGE + 3 ? 1 : 37) {
            check_attn(&c, 0, end, 0);
            check_attn(&c, end / 3, end, 0);
        }
        check_attn(&c, 0, cells, 5);
        for (size_t i = 0; i < (size_t)c.group * c.dim; i++) c.q[i] *= 100; /* one cell takes all */
        check_attn(&c, 0, 1, 0);
        free_attn(&c);
    }
}

/* The same cells in other pages, and the same heads in another group: the same bits. */
static void test_attn_invariance(void **state) {
    (void)state;
    FOR_EACH_ISA {
        struct attn_case c = new_attn(DT_F16, DT_F16, 6, 64, 64), one = c, moved = c;
        uint32_t pages[N_PAGES] = {8, 7, 6, 5, 4, 3, 2, 1, 0}, end = N_PAGES * KV_PAGE - 1;
        float out[6 * 64], alone[64], other[6 * 64];
        run_attn(&c, 1, 1, end, 0, out);
        one.group = 1;
        for (uint32_t g = 0; g < 6; g++, one.q += 64) {
            run_attn(&one, 1, 1, end, 0, alone);
            assert_memory_equal(alone, out + g * 64, sizeof alone);
        }
        moved.seq.page = pages;
        moved.k.data = malloc(moved.k.stride[3] * N_PAGES);
        moved.v.data = malloc(moved.v.stride[3] * N_PAGES);
        for (uint32_t p = 0; p < N_PAGES; p++) {
            memcpy((char *)moved.k.data + pages[p] * c.k.stride[3],
                   (char *)c.k.data + c.seq.page[p] * c.k.stride[3], c.k.stride[3]);
            memcpy((char *)moved.v.data + pages[p] * c.v.stride[3],
                   (char *)c.v.data + c.seq.page[p] * c.v.stride[3], c.v.stride[3]);
        }
        run_attn(&moved, 1, 1, end, 0, other);
        assert_memory_equal(other, out, sizeof out);
        free(moved.k.data);
        free(moved.v.data);
        free_attn(&c);
    }
}

static void test_pick(void **state) {
    (void)state;
    assert_non_null(cpu_pick(NULL));
    assert_string_equal(cpu_pick("scalar")->name, "scalar");
    assert_null(cpu_pick("pdp11"));
    FOR_EACH_ISA {
        assert_ptr_equal(cpu_pick(isa->name), isa);
        for (uint32_t t = 0; t < DT_COUNT; t++) {
            assert_true(isa->dot[t] == NULL || computes(t));
            assert_true(isa->dot[t] != NULL || isa->act_row[t] == ACT_ROW_F32); /* dot_any */
        }
        print_message("isa %s\n", isa->name);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pick),         cmocka_unit_test(test_pack),
        cmocka_unit_test(test_pack_poison),  cmocka_unit_test(test_dot),
        cmocka_unit_test(test_dot_extremes), cmocka_unit_test(test_act),
        cmocka_unit_test(test_rows),         cmocka_unit_test(test_swiglu_oai),
        cmocka_unit_test(test_attn),         cmocka_unit_test(test_attn_invariance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
