/* Tests of recurrent models in the engine: a state cannot be taken back to an earlier token, and
 * still the same request gives the same tokens: in company, with a warm prefix, after a shift. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "engine/cria.h"

enum { N_VOCAB = 320, MAX_TOKENS = 200, N_REQUESTS = 3 };
static const char *const models[] = {"golden/models/mamba/model.gguf", /* no attention at all */
                                     "golden/models/lfm2/model.gguf"}; /* some layers */
enum { N_MODELS = 2 };

static struct cria_engine *open_engine(int model, uint32_t n_ctx, uint32_t n_parallel,
                                       uint32_t n_batch) {
    struct cria_engine_params p = cria_engine_default_params();
    struct cria_engine *eng;
    struct err e = {0};
    p.n_threads = 2;
    p.n_ctx = n_ctx;
    p.n_parallel = n_parallel;
    p.n_batch = n_batch;
    if (cria_engine_open(&eng, models[model], &p, &e) != ST_OK) fail_msg("%s", e.msg);
    return eng;
}

static void make_prompt(token_id *ids, size_t n, unsigned seed) {
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        ids[i] = 3 + (token_id)(seed >> 8) % (N_VOCAB - 3);
    }
}

/* Greedy, and without an end token: `bias` forbids all of them. */
static struct cria_generation *start(struct cria_engine *eng, const token_id *prompt, size_t n,
                                     int64_t n_predict, bool shift) {
    struct cria_request r = {.prompt = prompt,
                             .n_prompt = n,
                             .sampler = sampler_default_params(),
                             .n_predict = n_predict,
                             .shift = shift,
                             .n_keep = 5};
    struct logit_bias bias[N_VOCAB];
    struct cria_generation *g;
    struct err e = {0};
    r.sampler.temperature = 0;
    r.sampler.bias = bias;
    for (token_id id = 0; id < N_VOCAB; id++)
        if (vocab_is_eog(cria_engine_vocab(eng), id))
            bias[r.sampler.n_bias++] = (struct logit_bias){id, -1000};
    if (cria_generation_start(&g, eng, &r, &e) != ST_OK) fail_msg("%s", e.msg);
    return g;
}

struct answer {
    token_id ids[MAX_TOKENS];
    size_t n;
    uint32_t n_cached;
};

static struct answer finish(struct cria_generation *g) {
    struct answer a = {.n = 0};
    struct cria_chunk c;
    struct err e = {0};
    do {
        if (cria_generation_next(g, &c, &e) != ST_OK) fail_msg("%s", e.msg);
    } while (c.done == CRIA_RUNNING);
    const token_id *ids = cria_generation_tokens(g, &a.n);
    assert_true(a.n <= MAX_TOKENS);
    memcpy(a.ids, ids, a.n * sizeof *ids);
    a.n_cached = cria_generation_stats(g)->n_cached;
    cria_generation_free(g);
    return a;
}

static void assert_same(const struct answer *a, const struct answer *b) {
    assert_int_equal(a->n, b->n);
    assert_memory_equal(a->ids, b->ids, a->n * sizeof *a->ids);
}

static void test_company(void **state) {
    (void)state;
    for (int m = 0; m < N_MODELS; m++) {
        struct cria_engine *alone = open_engine(m, 128, 1, 64),
                           *eng = open_engine(m, 128, N_REQUESTS, 7);
        struct answer want[N_REQUESTS];
        token_id prompt[N_REQUESTS][30];
        for (unsigned i = 0; i < N_REQUESTS; i++) {
            make_prompt(prompt[i], 30, i);
            want[i] = finish(start(alone, prompt[i], 10 + 10 * i, 20, false));
        }
        for (int round = 0; round < 2; round++) {
            struct cria_generation *g[N_REQUESTS];
            for (unsigned i = 0; i < N_REQUESTS; i++)
                g[i] = start(eng, prompt[i], 10 + 10 * i, 20, false);
            for (int i = 0; i < N_REQUESTS; i++) {
                struct answer got = finish(g[i]);
                assert_same(&got, &want[i]);
            }
        }
        cria_engine_close(eng);
        cria_engine_close(alone);
    }
}

/* What continues a sequence from its end finds its state; what leaves it earlier finds that of the
 * prompt's end, or none. Neither spoils the other. */
static void test_prefixes(void **state) {
    (void)state;
    for (int m = 0; m < N_MODELS; m++) {
        struct cria_engine *eng = open_engine(m, 256, 1, 64), *fresh = open_engine(m, 256, 1, 64);
        token_id prompt[40];
        make_prompt(prompt, 40, 7);
        struct answer first = finish(start(eng, prompt, 20, 8, false));
        assert_int_equal(first.n_cached, 0);
        for (int branch = 0; branch < 2; branch++) {
            struct answer next = first; /* 28 tokens, of which 27 were evaluated */
            for (int i = 0; i < 4; i++) next.ids[next.n++] = prompt[30 + 4 * branch + i];
            struct answer got = finish(start(eng, next.ids, next.n, 8, false));
            struct answer want = finish(start(fresh, next.ids, next.n, 8, false));
            assert_int_equal(got.n_cached, 27);
            assert_same(&got, &want);
        }
        struct answer got = finish(start(eng, prompt, 24, 8, false)); /* leaves it after 20 */
        struct answer want = finish(start(fresh, prompt, 24, 8, false));
        assert_int_equal(got.n_cached, 19);
        assert_same(&got, &want);
        got = finish(start(eng, prompt, 24, 8, false)); /* the same again */
        assert_int_equal(got.n_cached, 23);
        assert_same(&got, &want);
        got = finish(start(eng, prompt, 15, 8, false));
        want = finish(start(fresh, prompt, 15, 8, false));
        assert_int_equal(got.n_cached, 0);
        assert_same(&got, &want);
        cria_engine_close(fresh);
        cria_engine_close(eng);
    }
}

static void test_shift_equals_fresh_prompt(void **state) {
    (void)state;
    for (int m = 0; m < N_MODELS; m++) {
        struct cria_engine *eng = open_engine(m, 32, 1, 16);
        token_id prompt[31], fresh[32];
        make_prompt(prompt, 31, 13);
        struct answer a = finish(start(eng, prompt, 31, 2, true));
        assert_int_equal(a.n, 33); /* (32 - 5) / 2 = 13 dropped behind 5, then one more */
        memcpy(fresh, a.ids, 5 * sizeof *fresh);
        memcpy(fresh + 5, a.ids + 18, 14 * sizeof *fresh);
        struct answer b = finish(start(eng, fresh, 19, 1, false));
        assert_int_equal(b.ids[19], a.ids[32]);
        cria_engine_close(eng);
    }
}

static void test_timeline_begins_anew(void **state) {
    (void)state;
    static float a[N_VOCAB], b[N_VOCAB];
    for (int m = 0; m < N_MODELS; m++) {
        struct cria_engine *eng = open_engine(m, 64, 1, 16);
        struct cria_timeline *tl;
        struct err e = {0};
        token_id prompt[40];
        make_prompt(prompt, 40, 21);
        assert_int_equal(cria_timeline_open(&tl, eng, &e), ST_OK);
        assert_int_equal(cria_timeline_eval(tl, prompt, 40, 1, a, &e), ST_OK);
        assert_int_equal(cria_timeline_truncate(tl, 40), 40);
        assert_int_equal(cria_timeline_truncate(tl, 39), 0);
        assert_int_equal(cria_timeline_len(tl), 0);
        assert_int_equal(cria_timeline_eval(tl, prompt, 40, 1, b, &e), ST_OK);
        assert_memory_equal(a, b, sizeof a);
        cria_timeline_close(tl);
        cria_engine_close(eng);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_company),
        cmocka_unit_test(test_prefixes),
        cmocka_unit_test(test_shift_equals_fresh_prompt),
        cmocka_unit_test(test_timeline_begins_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
