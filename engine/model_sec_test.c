/* model_sec_test.c - models whose metadata lie (spec/known-weaknesses.md): keys that are missing,
 * and numbers that are 0, 1, huge, negative or no numbers. Opening ends with an error or a model
 * that can be evaluated; never with a crash, and never with much memory. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"
#include "engine/cria.h"
#include "engine/file/gguf_write.h"

static const char *const models[] = {"golden/models/llama-moe/model.gguf",
                                     "golden/models/gemma3/model.gguf",
                                     "golden/models/qwen2/model.gguf"};

/* Closes the writer: its pairs with the tensors of g. */
static struct buf finish(struct gguf_writer *w, const struct gguf *g) {
    struct buf b = {0};
    gguf_add_tensors(w, g);
    assert_int_equal(gguf_write_to(w, gguf_to_buf, &b, NULL), ST_OK);
    assert_int_equal(gguf_write_tensors(w, g, NULL), ST_OK);
    assert_int_equal(gguf_write_finish(w, NULL), ST_OK);
    gguf_writer_free(w);
    return b;
}

static void try_model(const struct buf *b) {
    struct cria_engine_params p = cria_engine_default_params();
    struct cria_engine *eng = NULL;
    struct cria_timeline *tl = NULL;
    struct err e = {0};
    const token_id ids[] = {0, 1};
    p.backend = "cpu";
    p.n_threads = 1;
    p.n_ctx = 16;
    p.n_batch = 4;
    const long live = mem_live();
    if (cria_engine_open_memory(&eng, b->data, b->len, "t.gguf", &p, &e) == ST_OK) {
        if (cria_timeline_open(&tl, eng, NULL) == ST_OK) {
            cria_timeline_eval(tl, ids, 2, 0, NULL, NULL);
            cria_timeline_close(tl);
        }
        cria_engine_close(eng);
    } else {
        assert_true(e.msg[0] != '\0');
    }
    assert_int_equal(mem_live(), live);
}

static struct gguf_writer *copy_of(const struct gguf *g) {
    struct gguf_writer *w;
    assert_int_equal(gguf_writer_new(&w, NULL), ST_OK);
    gguf_put_all(w, g);
    return w;
}

static char *key_at(const struct gguf *g, size_t i) {
    return mem_strndup(gguf_kv_at(g, i)->key.ptr, gguf_kv_at(g, i)->key.len);
}

static void without(const struct gguf *g, size_t i, size_t k) {
    struct gguf_writer *w = copy_of(g);
    char *a = key_at(g, i), *b = key_at(g, k);
    gguf_drop(w, a);
    gguf_drop(w, b);
    mem_free(a);
    mem_free(b);
    struct buf file = finish(w, g);
    try_model(&file);
    buf_free(&file);
}

/* Keys away, one by one and two by two. */
static void sec_CVE_2025_0312(void **state) {
    (void)state;
    for (size_t m = 0; m < sizeof models / sizeof *models; m++) {
        struct gguf *g = NULL;
        assert_int_equal(gguf_open(&g, models[m], NULL), ST_OK);
        for (size_t i = 0; i < gguf_n_kv(g); i++)
            for (size_t k = i; k < gguf_n_kv(g); k++)
                if (m == 0 || k == i) without(g, i, k); /* pairs: of one model */
        gguf_close(g);
    }
}

/* A hostile value of each kind in the place of key `key`. */
enum { KINDS = 11 };
static void put_kind(struct gguf_writer *w, const char *key, int kind) {
    static const float nan_value = NAN, huge = 3e38f;
    if (kind == 0) gguf_put_u32(w, key, 0);
    if (kind == 1) gguf_put_u32(w, key, 1);
    if (kind == 2) gguf_put_u32(w, key, UINT32_MAX);
    if (kind == 3) gguf_put_scalar(w, key, GGUF_I32, &(int32_t){-1});
    if (kind == 4) gguf_put_scalar(w, key, GGUF_U64, &(uint64_t){UINT64_MAX});
    if (kind == 5) gguf_put_text(w, key, "8");
    if (kind == 6) gguf_put_f32(w, key, nan_value);
    if (kind == 7) gguf_put_f32(w, key, huge);
    if (kind == 8) gguf_put_array(w, key, GGUF_I32, 0, NULL);
    if (kind == 9) gguf_put_array(w, key, GGUF_U32, 1, (uint32_t[]){INT32_MAX});
    if (kind == 10) gguf_put_u32(w, key, 7); /* odd: divides nothing */
}

static void sec_CVE_2024_8063(void **state) {
    (void)state;
    for (size_t m = 0; m < sizeof models / sizeof *models; m++) {
        struct gguf *g = NULL;
        assert_int_equal(gguf_open(&g, models[m], NULL), ST_OK);
        for (size_t i = 0; i < gguf_n_kv(g); i++) {
            for (int kind = 0; kind < KINDS; kind++) {
                char *key = key_at(g, i);
                struct gguf_writer *w = copy_of(g);
                const bool alignment = strcmp(key, "general.alignment") == 0;
                if (!alignment) put_kind(w, key, kind);
                mem_free(key);
                struct buf file = finish(w, g);
                try_model(&file);
                buf_free(&file);
            }
        }
        gguf_close(g);
    }
}

/* Arrays with a value for each layer where there is one number, of every wrong length, with indices
 * far outside. */
static void sec_mllama_metadata(void **state) {
    (void)state;
    static uint32_t values[600];
    static const uint64_t lens[] = {1, 2, 3, 5, 64, 512, 513, 600};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        values[i] = i % 3 == 0 ? UINT32_MAX : i % 3 == 1 ? 600 : 2;
    for (size_t m = 0; m < sizeof models / sizeof *models; m++) {
        struct gguf *g = NULL;
        assert_int_equal(gguf_open(&g, models[m], NULL), ST_OK);
        for (size_t i = 0; i < gguf_n_kv(g); i++) {
            if (gguf_kv_at(g, i)->type != GGUF_U32) continue;
            for (size_t k = 0; k < sizeof lens / sizeof *lens; k++) {
                char *key = key_at(g, i);
                struct gguf_writer *w = copy_of(g);
                if (strcmp(key, "general.alignment") != 0)
                    gguf_put_array(w, key, GGUF_U32, lens[k], values);
                mem_free(key);
                struct buf file = finish(w, g);
                try_model(&file);
                buf_free(&file);
            }
        }
        gguf_close(g);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sec_CVE_2025_0312),
        cmocka_unit_test(sec_CVE_2024_8063),
        cmocka_unit_test(sec_mllama_metadata),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
