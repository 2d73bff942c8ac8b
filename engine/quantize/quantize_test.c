/* quantize_test.c - the work of quantizing: the same bytes with any number of threads, every
 * option, every refusal, failing allocations, and what crafted files must not be able to do. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/os.h"
#include "engine/quantize/quantize.h"

enum { N_COLS = 256, N_ROWS = 9 };

/* ---- a small model ---- */

static const struct {
    const char *name;
    enum dtype type;
    uint32_t n_dims;
    int64_t dim[4];
} shapes[] = {
    {"token_embd.weight", DT_F16, 2, {N_COLS, N_ROWS, 1, 1}},
    {"output_norm.weight", DT_F32, 1, {N_COLS, 1, 1, 1}},
    {"output.weight", DT_F32, 2, {N_COLS, N_ROWS, 1, 1}},
    {"blk.1.ffn_down_exps.weight", DT_BF16, 3, {N_COLS, 5, 3, 1}},
    {"blk.0.attn_v.weight", DT_F16, 2, {N_COLS, N_ROWS, 1, 1}},
    {"blk.0.attn_q.weight", DT_F16, 2, {48, N_ROWS, 1, 1}}, /* no whole blocks of 32 */
    {"blk.0.attn_norm.weight", DT_F32, 1, {N_COLS, 1, 1, 1}},
    {"blk.0.nothing.weight", DT_F16, 2, {32, 0, 1, 1}},
};
enum { N_SHAPES = sizeof shapes / sizeof *shapes };

/* The value of element i of tensor k; of tensor `bad` element 70 is `value`. */
static float element(size_t k, size_t i, int bad, float value) {
    if ((int)k == bad && i == 20) return value;
    return (float)((int)((i * 2654435761u >> 7) % 201) - 100) / 64.0f;
}

static struct buf make_model(int bad, float value) {
    struct buf b = {0};
    struct gguf_writer *w;
    assert_int_equal(gguf_writer_new(&w, NULL), ST_OK);
    gguf_put_text(w, "general.architecture", "llama");
    gguf_put_u32(w, "general.file_type", 1);
    gguf_put_u32(w, "llama.block_count", 2);
    gguf_put_u32(w, "llama.attention.head_count", 8);
    gguf_put_u32(w, "llama.attention.head_count_kv", 2);
    for (size_t k = 0; k < N_SHAPES; k++)
        gguf_add_tensor(w, gguf_str_of(shapes[k].name), shapes[k].type, shapes[k].n_dims,
                        shapes[k].dim);
    assert_int_equal(gguf_write_to(w, gguf_to_buf, &b, NULL), ST_OK);
    for (size_t k = 0; k < N_SHAPES; k++) {
        const int64_t *d = shapes[k].dim;
        const size_t n = (size_t)(d[0] * d[1] * d[2]);
        float *x = mem_array(n + 1, sizeof *x);
        unsigned char *data = mem_array(n + 1, sizeof *x);
        for (size_t i = 0; i < n; i++) x[i] = element(k, i, bad, value);
        dtype_info(shapes[k].type)->encode(x, data, n, NULL);
        assert_int_equal(gguf_write_data(w, data, n * dtype_info(shapes[k].type)->bytes, NULL),
                         ST_OK);
        mem_free(x);
        mem_free(data);
    }
    assert_int_equal(gguf_write_finish(w, NULL), ST_OK);
    gguf_writer_free(w);
    return b;
}

static struct gguf *open_buf(const struct buf *b) {
    struct gguf *g = NULL;
    struct err e = {0};
    if (gguf_open_memory(&g, b->data, b->len, "t.gguf", &e) != ST_OK) fail_msg("%s", e.msg);
    return g;
}

static enum status quantize(const struct gguf *g, const struct quantize_params *p, struct buf *out,
                            struct err *e) {
    struct quantize_plan plan = {0};
    enum status st = quantize_plan(&plan, g, p, e);
    if (st == ST_OK) st = quantize_to(g, &plan, p, gguf_to_buf, out, e);
    quantize_plan_free(&plan);
    return st;
}

/* The types of the result, "name=TYPE" of what is asked for. */
static void check_type(const struct buf *b, const char *name, enum dtype type) {
    struct gguf *g = open_buf(b);
    const struct gguf_tensor *t = gguf_find_tensor(g, name);
    assert_non_null(t);
    if (t->type != type) fail_msg("%s is %s", name, dtype_info(t->type)->name);
    gguf_close(g);
}

/* ---- the work ---- */

static void test_threads_do_not_show(void **state) {
    (void)state;
    struct buf model = make_model(-1, 0);
    struct gguf *g = open_buf(&model);
    struct quantize_params p = quantize_default_params(FT_Q8_0);
    struct buf first = {0};
    for (unsigned n = 1; n <= 5; n++) {
        struct buf b = {0};
        p.n_threads = n;
        assert_int_equal(quantize(g, &p, n == 1 ? &first : &b, NULL), ST_OK);
        if (n > 1) {
            assert_int_equal(first.len, b.len);
            assert_memory_equal(first.data, b.data, b.len);
        }
        buf_free(&b);
    }
    check_type(&first, "token_embd.weight", DT_Q8_0);
    check_type(&first, "blk.1.ffn_down_exps.weight", DT_Q8_0);
    check_type(&first, "blk.0.attn_q.weight", DT_F16); /* 48 columns: nothing fits */
    check_type(&first, "blk.0.attn_norm.weight", DT_F32);
    buf_free(&first);
    gguf_close(g);
    buf_free(&model);
}

/* Each element is what the type makes of it. */
static void test_values(void **state) {
    (void)state;
    struct buf model = make_model(-1, 0), b = {0};
    struct gguf *g = open_buf(&model);
    struct quantize_params p = quantize_default_params(FT_Q8_0);
    assert_int_equal(quantize(g, &p, &b, NULL), ST_OK);
    struct gguf *q = open_buf(&b);
    for (size_t k = 0; k < N_SHAPES; k++) {
        const struct gguf_tensor *t = gguf_find_tensor(q, shapes[k].name);
        const size_t n = (size_t)(t->dim[0] * t->dim[1] * t->dim[2]);
        float *x = mem_array(n + 1, sizeof *x);
        dtype_info(t->type)->decode(t->data, x, n);
        for (size_t i = 0; i < n; i++)
            assert_true(fabsf(x[i] - element(k, i, -1, 0)) <= 1.7f / 127);
        mem_free(x);
    }
    uint32_t v = 0;
    assert_int_equal(gguf_get_u32(q, "general.file_type", &v, NULL), ST_OK);
    assert_int_equal(v, FT_Q8_0);
    gguf_close(q);
    gguf_close(g);
    buf_free(&b);
    buf_free(&model);
}

static void test_options(void **state) {
    (void)state;
    struct buf model = make_model(-1, 0), b = {0};
    struct gguf *g = open_buf(&model);
    struct quantize_params p = quantize_default_params(FT_Q8_0);
    const struct quantize_rule rules[] = {{"blk\\.\\d+\\.FFN_down", DT_Q5_1}, {"ffn", DT_Q4_0}};
    const struct quantize_pair pairs[] = {{"general.name", GGUF_STRING, 0, 0, "new"},
                                          {"x.n", GGUF_I64, -7, 0, NULL},
                                          {"x.f", GGUF_F32, 0, 0.5f, NULL},
                                          {"x.b", GGUF_BOOL, 1, 0, NULL}};
    p.rules = rules;
    p.n_rules = 2;
    p.pairs = pairs;
    p.n_pairs = 4;
    p.token_embedding_type = DT_Q4_1;
    p.leave_output = true;
    assert_int_equal(quantize(g, &p, &b, NULL), ST_OK);
    check_type(&b, "blk.1.ffn_down_exps.weight", DT_Q5_1);
    check_type(&b, "blk.0.attn_v.weight", DT_Q8_0);
    check_type(&b, "token_embd.weight", DT_Q4_1);
    check_type(&b, "output.weight", DT_F32);
    struct gguf *q = open_buf(&b);
    assert_int_equal(gguf_elem_int(gguf_find(q, "x.n"), 0), 7);
    assert_int_equal(gguf_find(q, "x.n")->type, GGUF_U32);
    assert_true(gguf_elem_float(gguf_find(q, "x.f"), 0) == 0.5);
    assert_int_equal(gguf_find(q, "x.b")->type, GGUF_BOOL);
    assert_memory_equal(gguf_elem_str(q, gguf_find(q, "general.name"), 0).ptr, "new", 3);
    gguf_close(q);
    buf_clear(&b);
    p = quantize_default_params(FT_Q4_0);
    p.pure = true;
    p.output_tensor_type = DT_Q5_0;
    assert_int_equal(quantize(g, &p, &b, NULL), ST_OK);
    check_type(&b, "output.weight", DT_Q5_0);
    check_type(&b, "token_embd.weight", DT_Q4_0);
    buf_clear(&b);
    p = quantize_default_params(FT_COPY);
    assert_int_equal(quantize(g, &p, &b, NULL), ST_OK);
    check_type(&b, "blk.1.ffn_down_exps.weight", DT_BF16);
    gguf_close(g);
    buf_free(&b);
    buf_free(&model);
}

/* ---- refusals ---- */

static void refused(const struct buf *model, const struct quantize_params *p, enum status code,
                    const char *text) {
    struct gguf *g = open_buf(model);
    struct buf b = {0};
    struct err e = {0};
    const long live = mem_live();
    assert_int_equal(quantize(g, p, &b, &e), code);
    if (strstr(e.msg, text) == NULL) fail_msg("\"%s\", expected \"%s\"", e.msg, text);
    buf_free(&b);
    assert_int_equal(mem_live(), live);
    gguf_close(g);
}

static void test_refusals(void **state) {
    (void)state;
    struct buf model = make_model(-1, 0), q = {0};
    struct gguf *g = open_buf(&model);
    struct quantize_params p = quantize_default_params(FT_Q8_0);
    struct quantize_rule rule = {"attn_(v", DT_Q4_0};
    assert_int_equal(quantize(g, &p, &q, NULL), ST_OK);
    gguf_close(g);
    p.rules = &rule;
    p.n_rules = 1;
    refused(&model, &p, ST_INVALID, "tensor type pattern 'attn_(v': ");
    p = quantize_default_params(FT_Q4_1);
    p.output_tensor_type = DT_Q8_0;
    refused(&q, &p, ST_INVALID,
            "t.gguf: tensor 'token_embd.weight': requantizing from type Q8_0 is disabled");
    p.allow_requantize = true;
    g = open_buf(&q);
    struct buf again = {0};
    assert_int_equal(quantize(g, &p, &again, NULL), ST_OK);
    check_type(&again, "token_embd.weight", DT_Q4_1);
    gguf_close(g);
    buf_free(&again);
    p = quantize_default_params(FT_IQ2_XXS);
    refused(&model, &p, ST_INVALID, "this quantization requires an imatrix!");
    p = quantize_default_params(FT_Q1_0);
    refused(&model, &p, ST_UNSUPPORTED, "no tensor type fallback is defined for type q1_0");
    buf_free(&q);
    buf_free(&model);
}

static void test_numbers_that_are_not_finite(void **state) {
    (void)state;
    struct quantize_params p = quantize_default_params(FT_Q8_0);
    static const float bad[] = {INFINITY, -INFINITY, NAN};
    for (size_t i = 0; i < 3; i++) {
        for (int k = 0; k < (int)N_SHAPES - 1; k++) {
            struct buf model = make_model(k, bad[i]);
            char text[128];
            snprintf(text, sizeof text, "tensor '%s': ", shapes[k].name);
            refused(&model, &p, ST_FORMAT, text);
            refused(&model, &p, ST_FORMAT, "holds a number that is not finite");
            buf_free(&model);
        }
    }
    /* Finite, but the scale of the result is not. */
    struct buf model = make_model(2, 3e38f);
    refused(&model, &p, ST_FORMAT, "tensor 'output.weight': row 0: does not fit the type");
    p.ftype = FT_F16;
    refused(&model, &p, ST_FORMAT, "does not fit the type: its scale overflows");
    buf_free(&model);
}

static bool stop(void *arg, const char *tensor, uint64_t done, uint64_t total) {
    int *left = arg;
    assert_true(done <= total && *tensor != '\0');
    return (*left)-- > 0;
}

static void test_cancel_and_faults(void **state) {
    (void)state;
    struct buf model = make_model(-1, 0);
    struct quantize_params p = quantize_default_params(FT_Q8_0);
    char path[] = "/tmp/cria-quantize-XXXXXX";
    int left = 2;
    p.progress = stop;
    p.arg = &left;
    refused(&model, &p, ST_CANCELLED, "canceled");
    p.progress = NULL;
    p.n_threads = 2;
    struct gguf *g = open_buf(&model);
    assert_true(close(mkstemp(path)) == 0);
    const long live = mem_live();
    for (long n = 1;; n++) {
        struct quantize_plan plan = {0};
        mem_fail_at(n);
        enum status st = quantize_plan(&plan, g, &p, NULL);
        if (st == ST_OK) st = quantize_file(g, &plan, &p, path, NULL);
        mem_fail_at(0);
        quantize_plan_free(&plan);
        assert_int_equal(mem_live(), live);
        if (st == ST_OK) break;
        assert_int_equal(st, ST_NO_MEMORY);
        struct gguf *none = NULL;
        assert_int_not_equal(gguf_open(&none, path, NULL), ST_OK); /* still the empty file */
        assert_true(n < 1000);
    }
    gguf_close(g);
    assert_int_equal(gguf_open(&g, path, NULL), ST_OK);
    gguf_close(g);
    unlink(path);
    buf_free(&model);
}

/* ---- importance matrices in use ---- */

static void test_weights(void **state) {
    (void)state;
    struct buf model = make_model(-1, 0), plain = {0}, weighted = {0};
    struct gguf *g = open_buf(&model);
    struct imatrix_sums *sums;
    struct imatrix *im = NULL;
    char path[] = "/tmp/cria-imatrix-XXXXXX";
    assert_true(close(mkstemp(path)) == 0);
    assert_int_equal(imatrix_sums_new(&sums, NULL), ST_OK);
    struct imatrix_sum *s = imatrix_sums_get(sums, "blk.1.ffn_down_exps.weight", N_COLS, 3);
    for (size_t i = 0; i < 3 * N_COLS; i++) s->sum2[i] = (double)(i % 5 + 1);
    s->count[0] = 2;
    s->count[1] = 4; /* the last expert was never chosen */
    assert_int_equal(imatrix_sums_write(sums, path, "text", 9, 512, NULL), ST_OK);
    assert_int_equal(imatrix_open(&im, path, NULL), ST_OK);
    const struct imatrix_entry *entry = imatrix_at(im, 0);
    assert_true(entry->iw[1] == 1.0f && entry->iw[N_COLS] == (float)(N_COLS % 5 + 1) / 4);
    assert_true(entry->iw[2 * N_COLS + 3] == 1.0f);
    struct quantize_params p = quantize_default_params(FT_Q4_0);
    p.output_tensor_type = DT_Q8_0;
    assert_int_equal(quantize(g, &p, &plain, NULL), ST_OK);
    p.imatrix = im;
    p.imatrix_file = "im.gguf";
    assert_int_equal(quantize(g, &p, &weighted, NULL), ST_OK);
    struct gguf *q = open_buf(&weighted);
    uint32_t v = 0;
    assert_int_equal(gguf_get_u32(q, "quantize.imatrix.entries_count", &v, NULL), ST_OK);
    assert_int_equal(v, 1);
    assert_int_equal(gguf_get_u32(q, "quantize.imatrix.chunks_count", &v, NULL), ST_OK);
    assert_int_equal(v, 9);
    gguf_close(q);
    gguf_close(g);
    /* A vector of the wrong size. */
    imatrix_close(im);
    imatrix_sums_get(sums, "blk.0.attn_v.weight", N_COLS / 2, 1)->count[0] = 1;
    assert_int_equal(imatrix_sums_write(sums, path, "text", 9, 512, NULL), ST_OK);
    assert_int_equal(imatrix_open(&im, path, NULL), ST_OK);
    p.imatrix = im;
    refused(&model, &p, ST_INVALID,
            "imatrix size 128 is different from tensor size 256 for blk.0.attn_v.weight");
    p.ftype = FT_IQ2_XXS;
    p.imatrix = NULL;
    imatrix_close(im);
    imatrix_sums_free(sums);
    unlink(path);
    buf_free(&plain);
    buf_free(&weighted);
    buf_free(&model);
}

/* ---- crafted files ---- */

static const char canary[] = "CANARY-CANARY-CANARY-CANARY-CANARY-CANARY-CANARY";

/* The file's exact bytes between canaries: nothing of those may show up in what is made of it. */
static void try_crafted(const char *file, size_t n) {
    const size_t c = sizeof canary - 1, around = 64 * c;
    char *area = mem_alloc(n + 2 * around);
    for (size_t i = 0; i < 64; i++) {
        memcpy(area + i * c, canary, c);
        memcpy(area + around + n + i * c, canary, c);
    }
    memcpy(area + around, file, n);
    static const enum ftype types[] = {FT_COPY, FT_F16, FT_Q8_0};
    struct gguf *g = NULL;
    if (gguf_open_memory(&g, area + around, n, "t.gguf", NULL) == ST_OK) {
        for (size_t k = 0; k < 3; k++) {
            struct quantize_params p = quantize_default_params(types[k]);
            struct buf b = {0};
            p.n_threads = 1;
            p.allow_requantize = true;
            if (quantize(g, &p, &b, NULL) == ST_OK) assert_null(memmem(b.data, b.len, canary, 16));
            buf_free(&b);
        }
        gguf_close(g);
    }
    mem_free(area);
}

static size_t metadata_size(const struct buf *model) {
    struct gguf *g = open_buf(model);
    const size_t n = (size_t)gguf_data_offset(g);
    gguf_close(g);
    return n;
}

/* Heap bytes must not get into a quantized model: every length of the file, and every field of the
 * metadata (offsets, dimensions, types, lengths) with hostile values. */
static void sec_CVE_2026_7482(void **state) {
    (void)state;
    static const uint64_t values[] = {0,        1,         31,         INT32_MAX,      UINT32_MAX,
                                      1u << 20, INT64_MAX, UINT64_MAX, UINT64_MAX - 31};
    struct buf model = make_model(-1, 0);
    const size_t meta = metadata_size(&model);
    for (size_t n = 0; n < model.len; n += n < meta ? 1 : 311) try_crafted(model.data, n);
    for (size_t at = 0; at + 8 <= meta; at++) {
        char old[8];
        memcpy(old, model.data + at, 8);
        for (size_t k = 0; k < sizeof values / sizeof *values; k++) {
            memcpy(model.data + at, &values[k], at % 2 == 0 ? 8 : 4);
            try_crafted(model.data, model.len);
            memcpy(model.data + at, old, 8);
        }
    }
    buf_free(&model);
}

/* Keys away one by one, and two by two; numbers of the model with every kind of value: the planner
 * divides by some of them. */
static void sec_CVE_2025_0312(void **state) {
    (void)state;
    static const char *const keys[] = {"general.architecture", "llama.block_count",
                                       "llama.attention.head_count",
                                       "llama.attention.head_count_kv", "general.file_type"};
    enum { N = sizeof keys / sizeof *keys };
    struct buf model = make_model(-1, 0);
    struct gguf *g = open_buf(&model);
    for (size_t i = 0; i < N; i++) {
        for (size_t k = 0; k < N; k++) {
            struct gguf_writer *w;
            struct buf b = {0};
            assert_int_equal(gguf_writer_new(&w, NULL), ST_OK);
            gguf_put_all(w, g);
            gguf_drop(w, keys[i]);
            gguf_drop(w, keys[k]);
            assert_int_equal(gguf_write_to(w, gguf_to_buf, &b, NULL), ST_OK);
            gguf_writer_free(w);
            try_crafted(b.data, b.len);
            buf_free(&b);
        }
    }
    gguf_close(g);
    buf_free(&model);
}

static void sec_CVE_2024_8063(void **state) {
    (void)state;
    static const char *const keys[] = {"llama.block_count", "llama.attention.head_count",
                                       "llama.attention.head_count_kv", "llama.expert_count"};
    struct buf model = make_model(-1, 0);
    struct gguf *g = open_buf(&model);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        for (int kind = 0; kind < 7; kind++) {
            struct quantize_params p = quantize_default_params(FT_Q4_K_M);
            struct gguf_writer *w;
            struct buf b = {0};
            assert_int_equal(gguf_writer_new(&w, NULL), ST_OK);
            gguf_put_all(w, g);
            if (kind == 0) gguf_put_u32(w, keys[i], 0);
            if (kind == 1) gguf_put_u32(w, keys[i], UINT32_MAX);
            if (kind == 2) gguf_put_scalar(w, keys[i], GGUF_I64, &(int64_t){-1});
            if (kind == 3) gguf_put_scalar(w, keys[i], GGUF_U64, &(uint64_t){UINT64_MAX});
            if (kind == 4) gguf_put_text(w, keys[i], "8");
            if (kind == 5) gguf_put_f32(w, keys[i], NAN);
            if (kind == 6) gguf_put_array(w, keys[i], GGUF_I32, 0, NULL);
            gguf_add_tensors(w, g);
            assert_int_equal(gguf_write_to(w, gguf_to_buf, &b, NULL), ST_OK);
            assert_int_equal(gguf_write_tensors(w, g, NULL), ST_OK);
            gguf_writer_free(w);
            struct gguf *odd = open_buf(&b);
            struct quantize_plan plan = {0};
            quantize_plan(&plan, odd, &p, NULL); /* decides, or refuses */
            quantize_plan_free(&plan);
            gguf_close(odd);
            buf_free(&b);
        }
    }
    gguf_close(g);
    buf_free(&model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_threads_do_not_show),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_numbers_that_are_not_finite),
        cmocka_unit_test(test_cancel_and_faults),
        cmocka_unit_test(test_weights),
        cmocka_unit_test(sec_CVE_2026_7482),
        cmocka_unit_test(sec_CVE_2025_0312),
        cmocka_unit_test(sec_CVE_2024_8063),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
