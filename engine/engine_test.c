/* Tests of the engine as a whole on a tiny model with random weights: results do not depend on
 * company (alone, in a batch, with a warm prefix), requests end as they should, nothing leaks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/os.h"
#include "engine/cria.h"

static const char model_path[] = "golden/models/llama-base/model.gguf";
enum { N_VOCAB = 320, MAX_TOKENS = 600 };

static struct cria_engine *open_engine(uint32_t n_ctx, uint32_t n_parallel, uint32_t n_batch) {
    struct cria_engine_params p = cria_engine_default_params();
    struct cria_engine *eng;
    struct err e = {0};
    p.n_threads = 2;
    p.n_ctx = n_ctx;
    p.n_parallel = n_parallel;
    p.n_batch = n_batch;
    if (cria_engine_open(&eng, model_path, &p, &e) != ST_OK) fail_msg("%s", e.msg);
    return eng;
}

/* A prompt of n tokens that depends on the seed. */
static void make_prompt(token_id *ids, size_t n, unsigned seed) {
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        ids[i] = 3 + (token_id)(seed >> 8) % (N_VOCAB - 3);
    }
}

static struct cria_request request(const token_id *prompt, size_t n, int64_t n_predict,
                                   float temperature) {
    struct cria_request r = {.prompt = prompt,
                             .n_prompt = n,
                             .sampler = sampler_default_params(),
                             .n_predict = n_predict};
    r.sampler.temperature = temperature;
    r.sampler.seed = 42;
    return r;
}

static struct cria_generation *start(struct cria_engine *eng, const struct cria_request *r) {
    struct cria_generation *g;
    struct err e = {0};
    if (cria_generation_start(&g, eng, r, &e) != ST_OK) fail_msg("%s", e.msg);
    return g;
}

static enum cria_done drain(struct cria_generation *g) {
    struct cria_chunk c;
    struct err e = {0};
    do {
        if (cria_generation_next(g, &c, &e) != ST_OK) fail_msg("%s", e.msg);
    } while (c.done == CRIA_RUNNING);
    return c.done;
}

struct result {
    token_id ids[MAX_TOKENS];
    size_t n;
};

static struct result collect(struct cria_generation *g) {
    struct result r = {.n = 0};
    drain(g);
    const token_id *ids = cria_generation_tokens(g, &r.n);
    assert_true(r.n <= MAX_TOKENS);
    memcpy(r.ids, ids, r.n * sizeof *ids);
    cria_generation_free(g);
    return r;
}

static void assert_same(const struct result *a, const struct result *b) {
    assert_int_equal(a->n, b->n);
    assert_memory_equal(a->ids, b->ids, a->n * sizeof *a->ids);
}

/* The same request alone, in a batch of four and after itself, greedy and with a seed. */
static void check_company(float temperature) {
    token_id prompt[4][50];
    struct cria_request r[4];
    struct cria_generation *g[4];
    for (unsigned i = 0; i < 4; i++) {
        make_prompt(prompt[i], 50, i + 1);
        if (i == 3)
            memcpy(prompt[3], prompt[0], 30 * sizeof prompt[0][0]); /* shares a prefix with 0 */
        r[i] = request(prompt[i], 35 + 5 * i, 40, temperature);
    }
    struct cria_engine *alone = open_engine(256, 1, 512), *eng = open_engine(256, 4, 23);
    struct result want[4];
    for (int i = 0; i < 4; i++) want[i] = collect(start(alone, &r[i]));
    for (int round = 0; round < 3; round++) { /* from the second round on everything is cached */
        for (int i = 0; i < 4; i++) g[i] = start(eng, &r[i]);
        for (int i = 0; i < 4; i++) {
            drain(g[i]);
            if (round > 0)
                assert_int_equal(cria_generation_stats(g[i])->n_cached, r[i].n_prompt - 1);
        }
        for (int i = 0; i < 4; i++) {
            struct result got = collect(g[i]);
            assert_same(&got, &want[i]);
        }
    }
    cria_engine_close(eng);
    cria_engine_close(alone);
}

static void test_company_greedy(void **state) {
    (void)state;
    check_company(0);
}

static void test_company_sampled(void **state) {
    (void)state;
    check_company(0.8f);
}

static void test_more_requests_than_slots_wait_in_order(void **state) {
    (void)state;
    struct cria_engine *eng = open_engine(128, 2, 16);
    struct cria_generation *g[9];
    token_id prompt[20];
    struct result first = {.n = 0};
    make_prompt(prompt, 20, 7);
    struct cria_request r = request(prompt, 20, 15, 0);
    for (int i = 0; i < 9; i++) g[i] = start(eng, &r);
    for (int i = 0; i < 9; i++) {
        struct result got = collect(g[i]);
        if (i == 0) first = got;
        assert_same(&got, &first);
    }
    cria_engine_close(eng);
}

static void test_cancelled_and_abandoned(void **state) {
    (void)state;
    struct cria_engine *eng = open_engine(128, 1, 16);
    token_id prompt[20];
    make_prompt(prompt, 20, 9);
    struct cria_request r = request(prompt, 20, 1000, 0.8f);
    r.shift = true;
    struct cria_generation *a = start(eng, &r), *b = start(eng, &r);
    struct cria_chunk c;
    assert_int_equal(cria_generation_next(a, &c, NULL), ST_OK);
    cria_generation_cancel(b); /* while it waits */
    cria_generation_cancel(a); /* while it runs */
    assert_int_equal(drain(a), CRIA_DONE_CANCELLED);
    assert_int_equal(drain(b), CRIA_DONE_CANCELLED);
    cria_generation_free(a);
    cria_generation_free(b);
    cria_generation_free(start(eng, &r)); /* nobody reads */
    r.n_predict = 3;
    struct result ok = collect(start(eng, &r));
    assert_true(ok.n > 20);
    cria_engine_close(eng);
}

/* Forbids the end of generation, so that a test reaches its limit. */
static void forbid_end(const struct cria_engine *eng, struct cria_request *r,
                       struct logit_bias bias[N_VOCAB]) {
    r->sampler.n_bias = 0;
    r->sampler.bias = bias;
    for (token_id id = 0; id < N_VOCAB; id++)
        if (vocab_is_eog(cria_engine_vocab(eng), id))
            bias[r->sampler.n_bias++] = (struct logit_bias){id, -1000};
}

static void test_full_context_ends_or_shifts(void **state) {
    (void)state;
    struct cria_engine *eng = open_engine(32, 1, 16);
    token_id prompt[20];
    make_prompt(prompt, 20, 11);
    struct cria_request r = request(prompt, 20, 100, 0);
    struct logit_bias bias[N_VOCAB];
    forbid_end(eng, &r, bias);
    struct cria_generation *g = start(eng, &r);
    assert_int_equal(drain(g), CRIA_DONE_LENGTH);
    assert_int_equal(cria_generation_stats(g)->n_generated, 12); /* 20 + 12 = 32 */
    cria_generation_free(g);
    r.shift = true;
    r.n_keep = 4;
    g = start(eng, &r);
    assert_int_equal(drain(g), CRIA_DONE_LENGTH);
    assert_int_equal(cria_generation_stats(g)->n_generated, 100);
    cria_generation_free(g);
    cria_engine_close(eng);
}

/* A shift must give what a fresh request with the shortened prompt gives. */
static void test_shift_equals_fresh_prompt(void **state) {
    (void)state;
    struct cria_engine *eng = open_engine(32, 1, 16);
    token_id prompt[31], fresh[32];
    size_t n;
    make_prompt(prompt, 31, 13);
    struct cria_request r = request(prompt, 31, 2, 0);
    r.shift = true;
    r.n_keep = 5;
    struct logit_bias bias[N_VOCAB];
    forbid_end(eng, &r, bias);
    struct cria_generation *g = start(eng, &r);
    drain(g);
    const token_id *ids = cria_generation_tokens(g, &n);
    assert_int_equal(
        n, 33); /* token 32 filled the context; 33 came after dropping (32-5)/2 = 13 behind 5 */
    memcpy(fresh, ids, 5 * sizeof *ids);
    memcpy(fresh + 5, ids + 18, 14 * sizeof *ids);
    struct cria_request again = request(fresh, 19, 1, 0);
    forbid_end(eng, &again, bias);
    struct result got = collect(start(eng, &again));
    assert_int_equal(got.n, 20);
    assert_int_equal(got.ids[19], ids[32]);
    cria_generation_free(g);
    cria_engine_close(eng);
}

/* Keeping more than there is room for must not swallow the newest token. */
static void test_shift_that_keeps_too_much(void **state) {
    (void)state;
    struct cria_engine *eng = open_engine(32, 1, 16);
    token_id prompt[31];
    struct logit_bias bias[N_VOCAB];
    make_prompt(prompt, 31, 17);
    struct cria_request r = request(prompt, 31, 10, 0);
    r.shift = true;
    r.n_keep = -1;
    forbid_end(eng, &r, bias);
    struct cria_generation *g = start(eng, &r);
    assert_int_equal(drain(g), CRIA_DONE_LENGTH);
    assert_int_equal(cria_generation_stats(g)->n_generated, 10);
    cria_generation_free(g);
    cria_engine_close(eng);
}

/* A prefix is shared within a domain only, and the answers are the same everywhere. */
static void sec_S_LC_8_prefixes_of_another_domain(void **state) {
    (void)state;
    static const struct {
        uint64_t domain;
        bool cached;
    } step[] = {{7, false}, {7, true}, {8, false}, {0, false}, {8, true}, {7, true}, {0, true}};
    struct cria_engine *eng = open_engine(256, 1, 64);
    token_id prompt[20];
    struct result first = {.n = 0};
    make_prompt(prompt, 20, 23);
    struct cria_request r = request(prompt, 20, 8, 0);
    for (size_t i = 0; i < sizeof step / sizeof *step; i++) {
        r.domain = step[i].domain;
        struct cria_generation *g = start(eng, &r);
        drain(g);
        assert_int_equal(cria_generation_stats(g)->n_cached, step[i].cached ? 19 : 0);
        const struct result got = collect(g);
        if (i == 0) first = got;
        assert_same(&got, &first);
    }
    cria_engine_close(eng);
}

static void test_refused_requests(void **state) {
    (void)state;
    struct cria_engine *eng = open_engine(64, 1, 16);
    struct cria_generation *g;
    token_id prompt[100];
    struct err e = {0};
    make_prompt(prompt, 100, 3);
    struct cria_request r = request(prompt, 64, 1, 0);
    assert_int_equal(cria_generation_start(&g, eng, &r, &e), ST_LIMIT);
    assert_string_equal(
        e.msg,
        "request (64 tokens) exceeds the available context size (64 tokens), try increasing it");
    r.n_prompt = 0;
    assert_int_equal(cria_generation_start(&g, eng, &r, &e), ST_INVALID);
    prompt[1] = N_VOCAB;
    r.n_prompt = 3;
    assert_int_equal(cria_generation_start(&g, eng, &r, &e), ST_INVALID);
    prompt[1] = -1;
    assert_int_equal(cria_generation_start(&g, eng, &r, &e), ST_INVALID);
    cria_engine_close(eng);
}

static void test_logprobs_of_every_token(void **state) {
    (void)state;
    struct cria_engine *eng = open_engine(128, 1, 16);
    token_id prompt[10];
    make_prompt(prompt, 10, 5);
    struct cria_request r = request(prompt, 10, 20, 0);
    r.logprobs = true;
    r.n_top_logprobs = 3;
    struct cria_generation *g = start(eng, &r);
    struct cria_chunk c;
    uint32_t n = 0;
    do {
        assert_int_equal(cria_generation_next(g, &c, NULL), ST_OK);
        for (uint32_t i = 0; i < c.n_logprobs; i++, n++) {
            assert_int_equal(c.logprobs[i].n_top, 3);
            assert_int_equal(c.logprobs[i].top[0].id, c.logprobs[i].token.id); /* greedy */
            assert_true(c.logprobs[i].top[0].logprob >= c.logprobs[i].top[1].logprob);
        }
    } while (c.done == CRIA_RUNNING);
    size_t total;
    cria_generation_tokens(g, &total);
    assert_int_equal(n, total - 10);
    cria_generation_free(g);
    cria_engine_close(eng);
}

static void test_timeline_truncate_and_go_on(void **state) {
    (void)state;
    struct cria_engine *eng = open_engine(64, 2, 16);
    struct cria_timeline *tl, *other, *third;
    static float a[N_VOCAB], b[N_VOCAB];
    token_id prompt[65];
    struct err e = {0};
    make_prompt(prompt, 65, 21);
    assert_int_equal(cria_timeline_open(&tl, eng, &e), ST_OK);
    assert_int_equal(cria_timeline_open(&other, eng, &e), ST_OK);
    assert_int_equal(cria_timeline_open(&third, eng, &e), ST_BUSY);
    assert_int_equal(cria_timeline_eval(tl, prompt, 40, 1, a, &e), ST_OK);
    assert_int_equal(cria_timeline_eval(other, prompt + 3, 30, 1, b, &e), ST_OK);
    cria_timeline_truncate(tl, 17);
    assert_int_equal(cria_timeline_eval(tl, prompt + 17, 23, 1, b, &e), ST_OK);
    assert_memory_equal(a, b, sizeof a);
    assert_int_equal(cria_timeline_eval(tl, prompt, 25, 1, b, &e), ST_LIMIT); /* 40 + 25 > 64 */
    assert_int_equal(cria_timeline_len(tl), 40);
    cria_timeline_close(tl);
    cria_timeline_close(other);
    cria_engine_close(eng);
}

static void test_open_without_memory(void **state) {
    (void)state;
    struct cria_engine_params p = cria_engine_default_params();
    const long live = mem_live();
    p.n_threads = 1;
    p.n_ctx = 32;
    for (long n = 1;; n++) {
        struct cria_engine *eng;
        struct err e = {0};
        mem_fail_at(n);
        enum status st = cria_engine_open(&eng, model_path, &p, &e);
        mem_fail_at(0);
        if (st == ST_OK)
            cria_engine_close(eng);
        else
            assert_int_equal(st, ST_NO_MEMORY);
        assert_int_equal(mem_live(), live);
        if (st == ST_OK) break;
    }
}

static bool at_zero(void *arg) { return --*(int *)arg < 0; }

/* Wherever it is cancelled, nothing is left of it. */
static void test_open_cancelled(void **state) {
    (void)state;
    struct cria_engine_params p = cria_engine_default_params();
    const long live = mem_live();
    int asked = 0;
    p.n_threads = 1;
    p.n_ctx = 32;
    p.cancelled = at_zero;
    for (int n = 0;; n++) {
        struct cria_engine *eng;
        struct err e = {0};
        p.arg = &asked;
        asked = n;
        enum status st = cria_engine_open(&eng, model_path, &p, &e);
        if (st == ST_OK)
            cria_engine_close(eng);
        else
            assert_int_equal(st, ST_CANCELLED);
        assert_int_equal(mem_live(), live);
        assert_true(st != ST_OK || n > 1);
        if (st == ST_OK) break;
    }
}

/* ---- grammars ---- */

static const char EXPRESSION[] = "(?:ab|a[b-d]{2})-[0-9]{3}(?:,[0-9]{3}){0,2}";

/* The text that was generated, piece by piece. */
static void append_text(const struct cria_engine *eng, const struct result *r, size_t from,
                        struct buf *out) {
    for (size_t i = from; i < r->n; i++) {
        size_t len;
        const char *piece = vocab_piece(cria_engine_vocab(eng), r->ids[i], false, &len);
        buf_add(out, piece, len);
    }
}

static bool matches(const char *expression, const char *text, size_t len) {
    struct grammar_source source = {GRAMMAR_REGEX, expression, strlen(expression)};
    struct grammar *g;
    struct grammar_run *run;
    assert_int_equal(grammar_compile(&g, &source, NULL, NULL), ST_OK);
    assert_int_equal(grammar_run_open(&run, g, NULL), ST_OK);
    bool yes = grammar_run_text(run, text, len) == len && grammar_run_accepts(run);
    grammar_run_close(run);
    grammar_unref(g);
    return yes;
}

/* Under a grammar: the text fits, and is the same alone, in company, and with logprobs (where
 * forced tokens wait for their logits). */
static void check_grammar(float temperature) {
    token_id prompt[4][12];
    struct cria_request r[4];
    struct cria_generation *g[4];
    struct cria_engine *alone = open_engine(256, 1, 512), *eng = open_engine(256, 4, 7);
    struct result want[4];
    for (unsigned i = 0; i < 4; i++) {
        make_prompt(prompt[i], 12, i + 1);
        r[i] = request(prompt[i], 12, 60, temperature);
        r[i].sampler.seed = i;
        r[i].grammar = (struct grammar_source){GRAMMAR_REGEX, EXPRESSION, sizeof EXPRESSION - 1};
        struct buf text = {0};
        g[i] = start(alone, &r[i]);
        assert_int_equal(drain(g[i]), CRIA_DONE_STOP);
        want[i] = collect(g[i]);
        append_text(alone, &want[i], 12, &text);
        assert_true(matches(EXPRESSION, text.data, text.len));
        buf_free(&text);
    }
    for (int logprobs = 0; logprobs < 2; logprobs++) {
        for (int i = 0; i < 4; i++) {
            r[i].logprobs = logprobs != 0;
            g[i] = start(eng, &r[i]);
        }
        for (int i = 0; i < 4; i++) {
            struct result got = collect(g[i]);
            assert_same(&got, &want[i]);
        }
    }
    cria_engine_close(eng);
    cria_engine_close(alone);
}

static void test_grammar_greedy(void **state) {
    (void)state;
    check_grammar(0);
}

static void test_grammar_sampled(void **state) {
    (void)state;
    check_grammar(1.5f);
}

/* What the grammar leaves no choice about needs no step, also when it fills the context. */
static void test_grammar_forces_and_shifts(void **state) {
    (void)state;
    struct cria_engine *eng = open_engine(32, 1, 16);
    static const char words[] =
        "root ::= <[40]> <[41]> <[42]> (<[50]> <[51]> <[52]> <[53]> | <[60]>)+";
    token_id prompt[20];
    make_prompt(prompt, 20, 5);
    struct cria_request r = request(prompt, 20, 100, 1.0f);
    r.grammar = (struct grammar_source){GRAMMAR_GBNF, words, sizeof words - 1};
    r.shift = true;
    r.n_keep = 4;
    struct logit_bias bias[N_VOCAB];
    forbid_end(eng, &r, bias);
    struct result got = collect(start(eng, &r));
    assert_true(got.n >= 110);
    assert_true(got.ids[20] == 40 && got.ids[21] == 41 && got.ids[22] == 42);
    for (size_t i = 23; i + 4 < got.n; i++)
        assert_true(got.ids[i] == 50   ? got.ids[i + 3] == 53
                    : got.ids[i] == 60 ? got.ids[i + 1] == 50 || got.ids[i + 1] == 60
                                       : got.ids[i] <= 53);
    cria_engine_close(eng);
}

static void test_refused_grammars(void **state) {
    (void)state;
    struct cria_engine *eng = open_engine(64, 1, 16);
    struct cria_generation *g;
    struct err e = {0};
    token_id prompt[4];
    make_prompt(prompt, 4, 5);
    struct cria_request r = request(prompt, 4, 10, 0);
    r.grammar = (struct grammar_source){GRAMMAR_GBNF, "root ::= x", 10};
    const long live = mem_live();
    assert_int_equal(cria_generation_start(&g, eng, &r, &e), ST_INVALID);
    assert_non_null(strstr(e.msg, "rule x is not defined"));
    assert_true(mem_live() >= live); /* the index of the vocabulary stays */
    r.grammar = (struct grammar_source){GRAMMAR_GBNF, "root ::= [z-a]", 14};
    g = start(eng, &r); /* matches nothing: found out when a token is wanted */
    struct cria_chunk c;
    enum status st;
    do st = cria_generation_next(g, &c, &e);
    while (st == ST_OK && c.done == CRIA_RUNNING);
    assert_int_equal(st, ST_INVALID);
    assert_non_null(strstr(e.msg, "can continue the grammar"));
    cria_generation_free(g);
    cria_engine_close(eng);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_company_greedy),
        cmocka_unit_test(test_company_sampled),
        cmocka_unit_test(test_more_requests_than_slots_wait_in_order),
        cmocka_unit_test(test_cancelled_and_abandoned),
        cmocka_unit_test(test_full_context_ends_or_shifts),
        cmocka_unit_test(test_shift_equals_fresh_prompt),
        cmocka_unit_test(test_shift_that_keeps_too_much),
        cmocka_unit_test(test_refused_requests),
        cmocka_unit_test(test_logprobs_of_every_token),
        cmocka_unit_test(test_timeline_truncate_and_go_on),
        cmocka_unit_test(sec_S_LC_8_prefixes_of_another_domain),
        cmocka_unit_test(test_open_without_memory),
        cmocka_unit_test(test_open_cancelled),
        cmocka_unit_test(test_grammar_greedy),
        cmocka_unit_test(test_grammar_sampled),
        cmocka_unit_test(test_grammar_forces_and_shifts),
        cmocka_unit_test(test_refused_grammars),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
