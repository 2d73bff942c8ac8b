/* Tests of embeddings as a whole on tiny models: a text's vector does not depend on its company
 * (alone, packed, beside generations), in encoders and in causal models; what cannot be embedded is
 * refused, and failures leak nothing. What vectors are right is golden-check's affair. */
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "engine/cria.h"

static const char encoder_path[] = "golden/models/bert-cls/model.gguf";
static const char causal_path[] = "golden/models/llama-base/model.gguf";
enum { N_TEXTS = 150, LONGEST = 60, MAX_WIDTH = 64 };

static struct cria_engine *open_engine(const char *path, uint32_t n_batch) {
    struct cria_engine_params p = cria_engine_default_params();
    struct cria_engine *eng;
    struct err e = {0};
    p.n_threads = 2;
    p.n_ctx = LONGEST;
    p.n_batch = n_batch;
    if (cria_engine_open(&eng, path, &p, &e) != ST_OK) fail_msg("%s", e.msg);
    return eng;
}

struct texts {
    token_id ids[N_TEXTS][LONGEST];
    struct cria_text list[N_TEXTS];
};

static void make_texts(struct texts *t, uint32_t n_vocab) {
    unsigned seed = 7;
    for (size_t k = 0; k < N_TEXTS; k++) {
        t->list[k] = (struct cria_text){t->ids[k], 1 + k * 37 % LONGEST};
        for (size_t i = 0; i < LONGEST; i++) {
            seed = seed * 1664525u + 1013904223u;
            t->ids[k][i] = (token_id)((seed >> 8) % n_vocab);
        }
    }
}

static void embed(struct cria_engine *eng, const struct cria_text *texts, size_t n,
                  enum cria_pooling pooling, float *out) {
    struct err e = {0};
    const struct cria_embed_request r = {
        .texts = texts, .n_texts = n, .pooling = pooling, .normalize = true};
    if (cria_embed(eng, &r, out, &e) != ST_OK) fail_msg("%s", e.msg);
}

static void check_company(const char *path, uint32_t n_batch, enum cria_pooling pooling) {
    static struct texts t;
    static float all[N_TEXTS][MAX_WIDTH], one[MAX_WIDTH];
    struct cria_engine *eng = open_engine(path, n_batch);
    const uint32_t width = cria_embed_width(eng, pooling);
    assert_int_equal(width, MAX_WIDTH);
    make_texts(&t, cria_engine_info(eng)->n_vocab);
    embed(eng, t.list, N_TEXTS, pooling, all[0]);
    for (size_t k = 0; k < N_TEXTS; k += 7) {
        double length = 0;
        embed(eng, &t.list[k], 1, pooling, one);
        assert_memory_equal(one, all[k], sizeof one);
        for (size_t i = 0; i < width; i++) length += (double)one[i] * (double)one[i];
        assert_true(fabs(length - 1) < 1e-5);
    }
    cria_engine_close(eng);
}

static void test_company(void **state) {
    (void)state;
    for (int p = CRIA_POOL_MEAN; p <= CRIA_POOL_LAST; p++) {
        check_company(encoder_path, 512, (enum cria_pooling)p);
        check_company(causal_path, 512, (enum cria_pooling)p);
        check_company(causal_path, 7, (enum cria_pooling)p); /* texts in several steps */
    }
}

/* Each token's vector: of a causal model the mean of them is the mean that pooling gives. */
static void test_vectors_of_tokens(void **state) {
    (void)state;
    static struct texts t;
    static float rows[LONGEST][MAX_WIDTH], mean[MAX_WIDTH];
    struct cria_engine *eng = open_engine(causal_path, 16);
    struct err e = {0};
    make_texts(&t, cria_engine_info(eng)->n_vocab);
    struct cria_embed_request r = {.texts = &t.list[1], .n_texts = 1};
    const size_t n = t.list[1].n;
    assert_true(n > 16);
    assert_int_equal(cria_embed(eng, &r, rows[0], &e), ST_OK);
    r.pooling = CRIA_POOL_MEAN;
    assert_int_equal(cria_embed(eng, &r, mean, &e), ST_OK);
    for (size_t i = 0; i < MAX_WIDTH; i++) {
        double sum = 0;
        for (size_t k = 0; k < n; k++) sum += (double)rows[k][i];
        assert_true(fabs(sum / (double)n - (double)mean[i]) < 1e-5);
    }
    cria_engine_close(eng);
}

/* ---- beside generations ------------------------------------------------------------------------
 */

static void *generate(void *arg) {
    struct cria_engine *eng = arg;
    static const token_id prompt[] = {5, 6, 7, 8};
    struct cria_request r = {.prompt = prompt,
                             .n_prompt = 4,
                             .sampler = sampler_default_params(),
                             .n_predict = 200,
                             .shift = true};
    struct cria_generation *g;
    struct cria_chunk c;
    r.sampler.temperature = 0;
    if (cria_generation_start(&g, eng, &r, NULL) != ST_OK) return NULL;
    do {
        if (cria_generation_next(g, &c, NULL) != ST_OK) break;
    } while (c.done == CRIA_RUNNING);
    size_t n;
    const token_id *ids = cria_generation_tokens(g, &n);
    uint64_t *hash = mem_zalloc(1, sizeof *hash);
    for (size_t i = 0; i < n; i++) *hash = *hash * 31 + (uint64_t)ids[i] + 1;
    cria_generation_free(g);
    return hash;
}

static void test_beside_generations(void **state) {
    (void)state;
    static struct texts t;
    static float want[N_TEXTS][MAX_WIDTH], got[N_TEXTS][MAX_WIDTH];
    struct cria_engine *eng = open_engine(causal_path, 64);
    make_texts(&t, cria_engine_info(eng)->n_vocab);
    uint64_t *alone = generate(eng);
    embed(eng, t.list, N_TEXTS, CRIA_POOL_MEAN, want[0]);
    pthread_t thread;
    void *beside;
    assert_int_equal(pthread_create(&thread, NULL, generate, eng), 0);
    for (size_t k = 0; k < N_TEXTS; k++) embed(eng, &t.list[k], 1, CRIA_POOL_MEAN, got[k]);
    pthread_join(thread, &beside);
    assert_memory_equal(got, want, sizeof want);
    assert_true(alone != NULL && beside != NULL && *alone == *(uint64_t *)beside);
    mem_free(alone);
    mem_free(beside);
    cria_engine_close(eng);
}

/* ---- refused -----------------------------------------------------------------------------------
 */

static bool yes(void *arg) {
    (void)arg;
    return true;
}

static void test_refused(void **state) {
    (void)state;
    struct cria_engine *eng = open_engine(encoder_path, 512);
    struct cria_timeline *tl;
    struct cria_generation *g;
    token_id ids[LONGEST + 1] = {1};
    float out[MAX_WIDTH];
    struct err e = {0};
    struct cria_text text = {ids, LONGEST + 1};
    struct cria_embed_request r = {.texts = &text, .n_texts = 1, .pooling = CRIA_POOL_CLS};
    assert_int_equal(cria_embed(eng, &r, out, &e), ST_LIMIT);
    assert_string_equal(e.msg, "the input length exceeds the context length");
    text.n = 0;
    assert_int_equal(cria_embed(eng, &r, out, &e), ST_INVALID);
    text.n = 2;
    ids[1] = (token_id)cria_engine_info(eng)->n_vocab;
    assert_int_equal(cria_embed(eng, &r, out, &e), ST_INVALID);
    ids[1] = -1;
    assert_int_equal(cria_embed(eng, &r, out, &e), ST_INVALID);
    ids[1] = 2;
    r.pooling = CRIA_POOL_RANK;
    assert_int_equal(cria_embed(eng, &r, out, &e), ST_UNSUPPORTED);
    r.pooling = CRIA_POOL_CLS;
    r.cancelled = yes;
    assert_int_equal(cria_embed(eng, &r, out, &e), ST_CANCELLED);
    /* an encoder has no next token */
    assert_int_equal(cria_timeline_open(&tl, eng, &e), ST_UNSUPPORTED);
    const struct cria_request q = {
        .prompt = ids, .n_prompt = 2, .sampler = sampler_default_params(), .n_predict = 1};
    assert_int_equal(cria_generation_start(&g, eng, &q, &e), ST_UNSUPPORTED);
    cria_engine_close(eng);
}

static void test_without_memory(void **state) {
    (void)state;
    static const char *const path[] = {encoder_path, "golden/models/bert-rerank/model.gguf"};
    const token_id ids[] = {1, 2, 3};
    const struct cria_text text = {ids, 3};
    float out[MAX_WIDTH];
    for (int i = 0; i < 2; i++) {
        const struct cria_embed_request r = {
            .texts = &text, .n_texts = 1, .pooling = i == 0 ? CRIA_POOL_CLS : CRIA_POOL_RANK};
        for (long n = 1;; n++) {
            struct cria_engine *eng = open_engine(path[i], 8);
            struct err e = {0};
            mem_fail_at(n);
            enum status st = cria_embed(eng, &r, out, &e);
            mem_fail_at(0);
            if (st != ST_OK) assert_int_equal(st, ST_NO_MEMORY);
            cria_engine_close(eng);
            if (st == ST_OK) break;
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_company),
        cmocka_unit_test(test_vectors_of_tokens),
        cmocka_unit_test(test_beside_generations),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
