/* Tests of the block that predicts a further token: it changes nothing else, and what is behind a
 * truncation is what it was. (The values are those of golden/mtp.) */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "engine/cria.h"

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
        cmocka_unit_test(test_the_rest_is_as_without),
        cmocka_unit_test(test_sequences_do_not_mix),
        cmocka_unit_test(test_models_without),
        cmocka_unit_test(test_open_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
