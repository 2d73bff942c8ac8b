/* Tests of layers with windows whose cache keeps little more than these (engine/kv.h): answers are
 * those of a cache that keeps everything, in company, from prefixes, and behind a full context. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "engine/engine_impl.h"
#include "engine/file/gguf_write.h"

enum { N_CTX = 640, N_VOCAB = 320, N_PROMPT = 560, N_PREDICT = 24 };

static struct buf file; /* the golden gemma3 (window 12) for longer contexts */

static int make_file(void **state) {
    struct gguf *g;
    struct gguf_writer *w;
    (void)state;
    assert_int_equal(gguf_open(&g, "golden/models/gemma3/model.gguf", NULL), ST_OK);
    assert_int_equal(gguf_writer_new(&w, NULL), ST_OK);
    gguf_put_all(w, g);
    gguf_put_u32(w, "gemma3.context_length", 4096);
    gguf_add_tensors(w, g);
    assert_int_equal(gguf_write_to(w, gguf_to_buf, &file, NULL), ST_OK);
    assert_int_equal(gguf_write_tensors(w, g, NULL), ST_OK);
    assert_int_equal(gguf_write_finish(w, NULL), ST_OK);
    gguf_writer_free(w);
    gguf_close(g);
    return 0;
}

static int drop_file(void **state) {
    (void)state;
    buf_free(&file);
    return 0;
}

/* A step as long as the context leaves nothing to let go of. */
static struct cria_engine *open_engine(uint32_t n_parallel, uint32_t n_batch) {
    struct cria_engine_params p = cria_engine_default_params();
    struct cria_engine *eng;
    struct err e = {0};
    p.n_threads = 2;
    p.n_ctx = N_CTX;
    p.n_parallel = n_parallel;
    p.n_batch = n_batch;
    if (cria_engine_open_memory(&eng, file.data, file.len, "gemma3", &p, &e) != ST_OK)
        fail_msg("%s", e.msg);
    assert_int_equal(eng->kv->n_window != 0, n_batch < N_CTX);
    return eng;
}

static void make_prompt(token_id *ids, size_t n, unsigned seed) {
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        ids[i] = 3 + (token_id)(seed >> 8) % (N_VOCAB - 3);
    }
}

struct answer {
    token_id ids[2 * N_CTX];
    size_t n;
    uint32_t n_cached;
};

static struct cria_generation *start(struct cria_engine *eng, const token_id *ids, size_t n,
                                     int64_t n_predict) {
    struct cria_request r = {.prompt = ids,
                             .n_prompt = n,
                             .sampler = sampler_default_params(),
                             .n_predict = n_predict,
                             .shift = true,
                             .n_keep = 4};
    struct logit_bias bias[N_VOCAB];
    struct cria_generation *g;
    struct err e = {0};
    r.sampler.seed = 3;
    r.sampler.bias = bias;
    for (token_id id = 0; id < N_VOCAB; id++) /* no end before the limit */
        if (vocab_is_eog(cria_engine_vocab(eng), id))
            bias[r.sampler.n_bias++] = (struct logit_bias){id, -1000};
    if (cria_generation_start(&g, eng, &r, &e) != ST_OK) fail_msg("%s", e.msg);
    return g;
}

static void collect(struct cria_generation *g, struct answer *a) {
    struct cria_chunk c;
    do assert_int_equal(cria_generation_next(g, &c, NULL), ST_OK);
    while (c.done == CRIA_RUNNING);
    const token_id *ids = cria_generation_tokens(g, &a->n);
    assert_true(a->n <= 2 * N_CTX);
    memcpy(a->ids, ids, a->n * sizeof *ids);
    a->n_cached = cria_generation_stats(g)->n_cached;
    cria_generation_free(g);
}

static void assert_same(const struct answer *a, const struct answer *b) {
    assert_int_equal(a->n, b->n);
    assert_memory_equal(a->ids, b->ids, a->n * sizeof *a->ids);
}

static void test_company_and_prefixes(void **state) {
    (void)state;
    static token_id prompt[3][N_PROMPT];
    static struct answer want[3], got;
    const size_t n[] = {N_PROMPT, 350, N_PROMPT - 30};
    struct cria_engine *all = open_engine(1, N_CTX), *some = open_engine(3, 16);
    for (unsigned i = 0; i < 3; i++) make_prompt(prompt[i], N_PROMPT, i);
    memcpy(prompt[2], prompt[0], (N_PROMPT - 60) * sizeof prompt[0][0]); /* a common beginning */
    for (unsigned i = 0; i < 3; i++) collect(start(all, prompt[i], n[i], N_PREDICT), &want[i]);
    for (int round = 0; round < 2; round++) {
        struct cria_generation *g[3];
        for (unsigned i = 0; i < 3; i++) g[i] = start(some, prompt[i], n[i], N_PREDICT);
        for (unsigned i = 0; i < 3; i++) {
            collect(g[i], &got);
            assert_same(&got, &want[i]);
        }
    }
    /* An answer is continued from its cells, as always. */
    collect(start(some, want[1].ids, want[1].n, 1), &got);
    assert_int_equal(got.n_cached, want[1].n - 1);
    /* A short beginning, whose cells may be gone. */
    collect(start(some, prompt[0], 100, N_PREDICT), &got);
    collect(start(all, prompt[0], 100, N_PREDICT), &want[0]);
    assert_same(&got, &want[0]);
    assert_true(cria_engine_info(some)->kv_bytes < 2 * cria_engine_info(all)->kv_bytes);
    cria_engine_close(some);
    cria_engine_close(all);
}

static void test_full_context(void **state) {
    (void)state;
    static token_id prompt[N_PROMPT];
    static struct answer want, got;
    struct cria_engine *all = open_engine(1, N_CTX), *some = open_engine(1, 16);
    make_prompt(prompt, N_PROMPT, 7);
    collect(start(all, prompt, N_PROMPT, 130), &want);
    collect(start(some, prompt, N_PROMPT, 130), &got);
    assert_same(&got, &want);
    cria_engine_close(some);
    cria_engine_close(all);
}

static void test_timelines(void **state) {
    (void)state;
    static token_id prompt[N_PROMPT];
    static float want[N_VOCAB], got[N_VOCAB];
    struct cria_engine *some = open_engine(1, 16);
    struct cria_timeline *tl;
    struct err e = {0};
    make_prompt(prompt, N_PROMPT, 9);
    assert_int_equal(cria_timeline_open(&tl, some, &e), ST_OK);
    assert_int_equal(cria_timeline_eval(tl, prompt, N_PROMPT, 1, want, &e), ST_OK);
    assert_int_equal(cria_timeline_truncate(tl, N_PROMPT - 20), N_PROMPT - 20);
    assert_int_equal(cria_timeline_eval(tl, prompt + N_PROMPT - 20, 20, 1, got, &e), ST_OK);
    assert_memory_equal(got, want, sizeof want);
    assert_int_equal(cria_timeline_truncate(tl, 10), 0); /* what row 10 would see is gone */
    assert_int_equal(cria_timeline_eval(tl, prompt, N_PROMPT, 1, got, &e), ST_OK);
    assert_memory_equal(got, want, sizeof want);
    cria_timeline_close(tl);
    cria_engine_close(some);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_company_and_prefixes),
        cmocka_unit_test(test_full_context),
        cmocka_unit_test(test_timelines),
    };
    return cmocka_run_group_tests(tests, make_file, drop_file);
}
