/* Tests of the block that predicts a further token: it changes nothing else, and what is behind a
 * truncation is what it was. (The values are those of golden/mtp.) */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "engine/cria.h"
#include "engine/engine_impl.h"
#include "engine/file/gguf_edit.h"
#include "engine/file/gguf_write.h"

static const char *const models[] = {"golden/mtp/qwen35/model.gguf",
                                     "golden/mtp/deepseek2/model.gguf"};
enum { N_VOCAB = 320, N_EMBD = 64, N = 12 };

static struct cria_engine *open_engine(const char *path, bool mtp, uint32_t n_batch) {
    struct cria_engine_params p = cria_engine_default_params();
    struct cria_engine *eng;
    struct err e = {0};
    p.n_threads = 2;
    p.n_ctx = 64;
    p.n_batch = n_batch;
    p.n_parallel = 2;
    p.mtp = mtp;
    if (cria_engine_open(&eng, path, &p, &e) != ST_OK) fail_msg("%s", e.msg);
    return eng;
}

static struct cria_timeline *open_timeline(struct cria_engine *eng) {
    struct cria_timeline *tl;
    assert_int_equal(cria_timeline_open(&tl, eng, NULL), ST_OK);
    return tl;
}

static void make_tokens(token_id ids[N]) {
    for (int i = 0; i < N; i++) ids[i] = 3 + (i * 37 + 11) % (N_VOCAB - 3);
}

static void test_the_rest_is_as_without(void **state) {
    (void)state;
    static float with[N_VOCAB], without[N_VOCAB], drafts[N_VOCAB], hidden[N_EMBD];
    token_id ids[N];
    struct err e = {0};
    make_tokens(ids);
    for (int i = 0; i < 2; i++) {
        struct cria_engine *a = open_engine(models[i], true, 5),
                           *b = open_engine(models[i], false, 64);
        struct cria_timeline *x = open_timeline(a), *y = open_timeline(b);
        assert_int_equal(cria_engine_info(a)->n_mtp, 1);
        assert_int_equal(cria_engine_info(b)->n_mtp, 0);
        assert_int_equal(cria_timeline_eval(x, ids, N, 1, with, &e), ST_OK);
        assert_int_equal(cria_timeline_eval(y, ids, N, 1, without, &e), ST_OK);
        assert_memory_equal(with, without, sizeof with);
        const struct cria_rows all = {1, with, hidden, drafts};
        assert_int_equal(cria_timeline_eval_rows(y, ids, 1, &all, &e), ST_UNSUPPORTED);
        assert_int_equal(cria_timeline_len(y), N);
        assert_int_equal(cria_timeline_eval_rows(x, ids, 1, &all, &e), ST_OK);
        assert_memory_not_equal(with, drafts, sizeof with);
        cria_timeline_close(x);
        cria_timeline_close(y);
        cria_engine_close(a);
        cria_engine_close(b);
    }
}

/* Two sequences in turns; one begun again from nothing. */
static void test_sequences_do_not_mix(void **state) {
    (void)state;
    static float want[N][N_VOCAB], got[N_VOCAB];
    token_id ids[N];
    struct err e = {0};
    make_tokens(ids);
    struct cria_engine *eng = open_engine(models[1], true, 64);
    struct cria_timeline *a = open_timeline(eng), *b = open_timeline(eng);
    const struct cria_rows all = {.n_rows = N, .drafts = want[0]}, one = {1, NULL, NULL, got};
    assert_int_equal(cria_timeline_eval_rows(a, ids, N, &all, &e), ST_OK);
    assert_int_equal(cria_timeline_truncate(a, 0), 0);
    for (int i = 0; i < N; i++) {
        assert_int_equal(cria_timeline_eval_rows(a, ids + i, 1, &one, &e), ST_OK);
        assert_memory_equal(got, want[i], sizeof got);
        assert_int_equal(cria_timeline_eval_rows(b, ids + N - 1 - i, 1, &one, &e), ST_OK);
    }
    cria_timeline_close(a);
    cria_timeline_close(b);
    cria_engine_close(eng);
}

/* A file that has no such block opens all the same. */
static void test_models_without(void **state) {
    (void)state;
    struct cria_engine *eng = open_engine("golden/models/llama-base/model.gguf", true, 16);
    assert_int_equal(cria_engine_info(eng)->n_mtp, 0);
    cria_engine_close(eng);
}

/* The rows of a model's embedding table: what an image would be that looks like these tokens. */
static float *read_rows(const char *path, const token_id *ids, uint32_t n) {
    struct gguf *g;
    float *rows = mem_array((size_t)n * N_EMBD, sizeof *rows);
    assert_int_equal(gguf_open(&g, path, NULL), ST_OK);
    const struct gguf_tensor *t = gguf_find_tensor(g, "token_embd.weight");
    assert_true(t != NULL && t->type == DT_F32 && t->dim[0] == N_EMBD);
    for (uint32_t i = 0; i < n; i++)
        memcpy(rows + i * N_EMBD, (const float *)t->data + ids[i] * N_EMBD, N_EMBD * sizeof *rows);
    gguf_close(g);
    return rows;
}

/* Rows first .. first + n of the tokens as one image; `nx`: 0, or 1 where positions have axes. */
static struct cria_image make_image(float *rows, uint32_t n, uint32_t nx, bool non_causal) {
    return (struct cria_image){.rows = rows,
                               .n_rows = n,
                               .n_out = N_EMBD,
                               .n_positions = n,
                               .nx = nx,
                               .non_causal = non_causal,
                               .key = {1}};
}

struct results {
    float logits[N_VOCAB], hidden[N_EMBD], drafts[N_VOCAB];
};

static void eval_last(struct cria_timeline *tl, const token_id *ids, uint32_t n,
                      struct results *r) {
    const struct cria_rows last = {1, r->logits, r->hidden, r->drafts};
    struct err e = {0};
    if (cria_timeline_eval_rows(tl, ids, n, &last, &e) != ST_OK) fail_msg("%s", e.msg);
}

/* An image of the tokens' own embeddings gives what the tokens give, to the block, too. */
static void test_images(void **state) {
    (void)state;
    static struct results want, got;
    token_id ids[N];
    struct err e = {0};
    make_tokens(ids);
    for (uint32_t i = 0; i < 2; i++) {
        const uint32_t n = i == 0 ? 1 : 5; /* a grid of two axes is as a token if it is one row */
        float *rows = read_rows(models[i], ids + 3, n);
        const struct cria_image image = make_image(rows, n, i == 0 ? 1 : 0, false);
        for (uint32_t n_batch = 2; n_batch < 8; n_batch += 3) {
            struct cria_engine *eng = open_engine(models[i], true, n_batch);
            struct cria_timeline *tokens = open_timeline(eng), *mixed = open_timeline(eng);
            eval_last(tokens, ids, N, &want);
            eval_last(mixed, ids, 3, &got);
            if (cria_timeline_eval_image(mixed, &image, &e) != ST_OK) fail_msg("%s", e.msg);
            eval_last(mixed, ids + 3 + n, N - 3 - n, &got);
            assert_memory_equal(&got, &want, sizeof got);
            cria_timeline_close(tokens);
            cria_timeline_close(mixed);
            cria_engine_close(eng);
        }
        mem_free(rows);
    }
}

/* A step may have to grow for an image whose rows see each other; the block's program with it. */
static void test_large_images(void **state) {
    (void)state;
    static struct results want, got;
    enum { LARGE = 9 };
    token_id ids[N];
    struct err e = {0};
    make_tokens(ids);
    float *rows = read_rows(models[1], ids, LARGE);
    const struct cria_image image = make_image(rows, LARGE, 0, true);
    for (uint32_t n_batch = 2; n_batch < 64; n_batch += 30) {
        struct cria_engine *eng = open_engine(models[1], true, n_batch);
        struct cria_timeline *tl = open_timeline(eng);
        if (n_batch < LARGE) {
            assert_int_equal(cria_timeline_eval_image(tl, &image, &e), ST_LIMIT);
            if (engine_reserve_rows(eng, LARGE, &e) != ST_OK) fail_msg("%s", e.msg);
        }
        eval_last(tl, ids, 1, &got);
        if (cria_timeline_eval_image(tl, &image, &e) != ST_OK) fail_msg("%s", e.msg);
        eval_last(tl, ids, 2, n_batch < LARGE ? &want : &got);
        cria_timeline_close(tl);
        cria_engine_close(eng);
    }
    assert_memory_equal(&got, &want, sizeof got);
    mem_free(rows);
}

/* ---- files of older layouts ---- */

static void rename_to(struct gguf *g, const char *today, const char *old) {
    struct err e = {0};
    if (gguf_edit_tensor_names(g, today, old, &e) != ST_OK) fail_msg("%s", e.msg);
}

/* What a norm's weight lacks in them; exact, as the weights are near 1. */
static void take_one(struct gguf *g, const char *weight) {
    struct err e = {0};
    assert_non_null(gguf_find_tensor(g, weight));
    if (gguf_edit_add(g, weight, -1, &e) != ST_OK) fail_msg("%s", e.msg);
}

/* The same model as older files have it. */
static void make_old(struct gguf *g) {
    static const char *const names[][2] = {{"nextn.eh_proj", "mtp.fc"},
                                           {"nextn.enorm", "mtp.pre_fc_norm_embedding"},
                                           {"nextn.hnorm", "mtp.pre_fc_norm_hidden"},
                                           {"nextn.shared_head_norm", "mtp.norm"}};
    static const char *const norms[] = {"mtp.layers.0.attn_norm.weight",
                                        "mtp.layers.0.attn_q_norm.weight",
                                        "mtp.layers.0.attn_k_norm.weight",
                                        "mtp.layers.0.post_attention_norm.weight",
                                        "mtp.pre_fc_norm_embedding.weight",
                                        "mtp.pre_fc_norm_hidden.weight",
                                        "mtp.norm.weight",
                                        NULL};
    uint32_t blocks;
    char block[32], from[64];
    assert_int_equal(gguf_get_u32(g, "qwen35.block_count", &blocks, NULL), ST_OK);
    blocks--;
    assert_int_equal(gguf_edit_u32(g, "qwen35.block_count", blocks, NULL), ST_OK);
    assert_int_equal(gguf_edit_drop(g, "qwen35.nextn_predict_layers", NULL), ST_OK);
    snprintf(block, sizeof block, "blk.%u.", blocks);
    for (int i = 0; i < 4; i++) {
        snprintf(from, sizeof from, "%s%s", block, names[i][0]);
        rename_to(g, from, names[i][1]);
    }
    rename_to(g, block, "mtp.layers.0.");
    for (int i = 0; norms[i] != NULL; i++) take_one(g, norms[i]);
}

static void save_gguf(const struct gguf *g, char path[64]) {
    struct gguf_writer *w;
    struct err e = {0};
    strcpy(path, "/tmp/cria-mtp-XXXXXX");
    close(mkstemp(path));
    assert_int_equal(gguf_writer_new(&w, &e), ST_OK);
    gguf_put_all(w, g);
    gguf_add_tensors(w, g);
    enum status st = gguf_write_file(w, path, &e);
    if (st == ST_OK) st = gguf_write_tensors(w, g, &e);
    if (st == ST_OK) st = gguf_write_finish(w, &e);
    if (st != ST_OK) fail_msg("%s", e.msg);
    gguf_writer_free(w);
}

static void test_older_layout(void **state) {
    (void)state;
    static struct results want, got;
    char path[64];
    token_id ids[N];
    struct gguf *g;
    struct err e = {0};
    make_tokens(ids);
    if (gguf_open(&g, models[0], &e) != ST_OK) fail_msg("%s", e.msg);
    make_old(g);
    save_gguf(g, path);
    gguf_close(g);
    for (int old = 0; old < 2; old++) {
        struct cria_engine *eng = open_engine(old ? path : models[0], true, 64);
        struct cria_timeline *tl = open_timeline(eng);
        assert_int_equal(cria_engine_info(eng)->n_mtp, 1);
        eval_last(tl, ids, N, old ? &got : &want);
        cria_timeline_close(tl);
        cria_engine_close(eng);
    }
    assert_memory_equal(&got, &want, sizeof got);
    struct cria_engine *eng =
        open_engine(path, false, 64); /* who does not ask gets the text model */
    assert_int_equal(cria_engine_info(eng)->n_mtp, 0);
    cria_engine_close(eng);
    unlink(path);
}

static void test_open_without_memory(void **state) {
    (void)state;
    struct cria_engine_params p = cria_engine_default_params();
    const long live = mem_live();
    enum status st = ST_NO_MEMORY;
    p.n_threads = 1;
    p.n_ctx = 32;
    p.mtp = true;
    for (long n = 1; st != ST_OK; n += 3) {
        struct cria_engine *eng;
        mem_fail_at(n);
        st = cria_engine_open(&eng, models[1], &p, NULL);
        mem_fail_at(0);
        if (st == ST_OK) cria_engine_close(eng);
        assert_int_equal(mem_live(), live);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_rest_is_as_without), cmocka_unit_test(test_sequences_do_not_mix),
        cmocka_unit_test(test_models_without),         cmocka_unit_test(test_images),
        cmocka_unit_test(test_large_images),           cmocka_unit_test(test_older_layout),
        cmocka_unit_test(test_open_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
