/* sampling_test.c - every option of sampling, from its JSON to the tokens that are drawn: each has
 * an effect, and what cannot be read is named. */
#include "api/sampling.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/mem.h"
#include "engine/file/gguf.h"

enum { N_DRAWS = 200 };

static struct arena arena;
static struct gguf *gguf;
static struct vocab *vocab;
static float *logits;
static uint32_t n_vocab;

static int setup(void **state) {
    (void)state;
    struct err e;
    if (gguf_open(&gguf, "golden/models/llama-base/model.gguf", &e) != ST_OK) return -1;
    if (vocab_open(&vocab, gguf, &e) != ST_OK) return -1;
    n_vocab = vocab_size(vocab);
    logits = mem_array(n_vocab, sizeof *logits);
    uint32_t seed = 1;
    for (uint32_t i = 0; i < n_vocab; i++) {
        seed = seed * 1664525u + 1013904223u;
        logits[i] = (float)(seed >> 8) / (float)(1 << 24) * 8.0F;
    }
    return 0;
}

static int teardown(void **state) {
    (void)state;
    mem_free(logits);
    vocab_close(vocab);
    gguf_close(gguf);
    arena_free(&arena);
    return 0;
}

/* Draws with the options of a text; every drawn token is accepted. */
static enum status draw(const char *text, token_id out[N_DRAWS], struct err *e) {
    json *v = json_parse(text, strlen(text), &json_default_limits, NULL, NULL);
    struct options o = options_default();
    struct sampling s = {0};
    struct sampler *sampler = NULL;
    assert_non_null(v);
    o.seed = 42;
    enum status st = options_apply(&o, v, &arena, e);
    if (st == ST_OK) st = sampling_make(&s, &o, vocab, &arena, e);
    if (st == ST_OK) st = sampler_open(&sampler, &s.params, n_vocab, 4096, e);
    sampling_free(&s);
    json_free(v);
    for (int i = 0; st == ST_OK && i < N_DRAWS; i++) {
        out[i] = sampler_sample(sampler, logits);
        sampler_accept(sampler, out[i]);
    }
    sampler_close(sampler);
    return st;
}

static void expect_draws(const char *text, token_id out[N_DRAWS]) {
    struct err e = {0};
    if (draw(text, out, &e) != ST_OK) fail_msg("%s: %s", text, e.msg);
}

/* Two texts that differ in one option, and must give different tokens. */
static void test_each_has_an_effect(void **state) {
    (void)state;
    static const char *const pairs[][2] = {
        {"{}", "{\"seed\":7}"},
        {"{}", "{\"temperature\":2}"},
        {"{}", "{\"temperature\":0}"},
        {"{}", "{\"top_k\":2}"},
        {"{\"top_k\":0}", "{\"top_k\":0,\"top_p\":0.1}"},
        {"{}", "{\"min_p\":0.9}"},
        {"{}", "{\"min_p\":0.9,\"min_keep\":9}"},
        {"{\"min_p\":0.9}", "{\"min_p\":0.9,\"min_keep\":9}"},
        {"{}", "{\"typical_p\":0.2}"},
        {"{}", "{\"tfs_z\":0.2}"},
        {"{}", "{\"top_n_sigma\":0.1}"},
        {"{}", "{\"repeat_penalty\":1.5}"},
        {"{\"repeat_penalty\":1.5}", "{\"repeat_penalty\":1.5,\"repeat_last_n\":2}"},
        {"{}", "{\"presence_penalty\":1}"},
        {"{}", "{\"frequency_penalty\":1}"},
        {"{}", "{\"dynatemp_range\":0.7}"},
        {"{\"dynatemp_range\":0.7}", "{\"dynatemp_range\":0.7,\"dynatemp_exponent\":3}"},
        {"{}", "{\"xtc_probability\":1,\"xtc_threshold\":0.01}"},
        {"{\"xtc_probability\":1,\"xtc_threshold\":0.01}",
         "{\"xtc_probability\":1,\"xtc_threshold\":0.05}"},
        {"{\"top_k\":2}", "{\"top_k\":2,\"dry_multiplier\":5}"},
        {"{\"temperature\":0,\"dry_multiplier\":0.001,\"dry_sequence_breakers\":[]}",
         "{\"temperature\":0,\"dry_multiplier\":0.001,\"dry_sequence_breakers\":[],\"dry_base\":"
         "4}"},
        {"{\"top_k\":2,\"dry_multiplier\":1}",
         "{\"top_k\":2,\"dry_multiplier\":1,\"dry_allowed_length\":5}"},
        {"{\"top_k\":2,\"dry_multiplier\":1}",
         "{\"top_k\":2,\"dry_multiplier\":1,\"dry_penalty_last_n\":4}"},
        {"{}", "{\"mirostat\":1}"},
        {"{\"mirostat\":1}", "{\"mirostat\":2}"},
        {"{\"mirostat\":2}", "{\"mirostat\":2,\"mirostat_tau\":2}"},
        {"{\"mirostat\":2}", "{\"mirostat\":2,\"mirostat_eta\":0.9}"},
        {"{}", "{\"adaptive_target\":0.1}"},
        {"{\"adaptive_target\":0.1}", "{\"adaptive_target\":0.1,\"adaptive_decay\":0.1}"},
        {"{}", "{\"samplers\":[]}"},
        {"{\"top_k\":3,\"top_p\":0.5}", "{\"top_k\":3,\"top_p\":0.5,\"samplers\":[\"top-k\"]}"},
        {"{\"min_p\":0.5,\"temperature\":2}",
         "{\"min_p\":0.5,\"temperature\":2,\"samplers\":[\"temperature\",\"min_p\"]}"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        token_id a[N_DRAWS], b[N_DRAWS];
        expect_draws(pairs[i][0], a);
        expect_draws(pairs[i][1], b);
        if (memcmp(a, b, sizeof a) == 0) fail_msg("no effect: %s, %s", pairs[i][0], pairs[i][1]);
        expect_draws(pairs[i][1], a); /* and the same again */
        assert_memory_equal(a, b, sizeof a);
    }
}

static void test_samplers_by_letter(void **state) {
    (void)state;
    token_id a[N_DRAWS], b[N_DRAWS];
    expect_draws("{\"min_p\":0.5,\"temperature\":2,\"samplers\":\"tm\"}", a);
    expect_draws("{\"min_p\":0.5,\"temperature\":2,\"samplers\":[\"temp\",\"minp\"]}", b);
    assert_memory_equal(a, b, sizeof a);
    assert_int_equal(sampler_letter("nucleus", 7), 'p');
    assert_int_equal(sampler_letter("top-n-sigma", 11), 's');
    assert_int_equal(sampler_letter("top", 3), 0);
}

/* A bias of -inf, by id and by text, keeps a token out; a high one makes sure of it. */
static void test_bias(void **state) {
    (void)state;
    token_id best[N_DRAWS], a[N_DRAWS];
    char text[128];
    expect_draws("{\"temperature\":0}", best);
    snprintf(text, sizeof text, "{\"temperature\":0,\"logit_bias\":[[%d,false]]}", best[0]);
    expect_draws(text, a);
    assert_int_not_equal(a[0], best[0]);
    snprintf(text, sizeof text, "{\"temperature\":0,\"logit_bias\":{\"%d\":50}}", a[0]);
    expect_draws(text, best);
    assert_int_equal(best[0], a[0]);
    struct token_list ids = {0};
    assert_int_equal(vocab_encode(vocab, "a", 1, 0, &ids, NULL), ST_OK);
    assert_true(ids.len > 0);
    expect_draws("{\"temperature\":0,\"logit_bias\":[[\"a\",99]]}", a);
    bool found = false;
    for (size_t i = 0; i < ids.len; i++) found = found || ids.ids[i] == a[0];
    assert_true(found);
    token_list_free(&ids);
}

static void test_ignore_eos(void **state) {
    (void)state;
    token_id a[N_DRAWS];
    token_id eos = vocab_special(vocab)->eos;
    const float before = logits[eos];
    logits[eos] = 99;
    expect_draws("{}", a);
    assert_int_equal(a[0], eos);
    expect_draws("{\"ignore_eos\":true}", a);
    for (int i = 0; i < N_DRAWS; i++) assert_false(vocab_is_eog(vocab, a[i]));
    logits[eos] = before;
}

/* With the best two alternating, DRY forbids to go on with it; behind a breaker it may. */
static void test_breakers(void **state) {
    (void)state;
    struct dry_breakers b;
    static const char *const strings[] = {"a", ""};
    assert_int_equal(dry_breakers_make(&b, vocab, strings, 2, NULL), ST_OK);
    assert_true(b.n > 0);
    for (size_t i = 0; i < b.n; i++) {
        size_t len;
        const char *piece = vocab_piece(vocab, b.list[i].head, true, &len);
        assert_non_null(memchr(piece, 'a', len));
        assert_true(i == 0 || b.list[i - 1].head <= b.list[i].head);
    }
    dry_breakers_free(&b);
}

static void test_errors(void **state) {
    (void)state;
    static const char *const rows[][2] = {
        {"{\"samplers\":5}", "samplers"},
        {"{\"samplers\":[5]}", "samplers"},
        {"{\"samplers\":[\"best\"]}", "\"best\" is unknown"},
        {"{\"samplers\":\"kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk\"}", "at most"},
        {"{\"logit_bias\":5}", "logit_bias"},
        {"{\"logit_bias\":[5]}", "logit_bias"},
        {"{\"logit_bias\":[[5]]}", "logit_bias"},
        {"{\"logit_bias\":[[5,true]]}", "logit_bias"},
        {"{\"logit_bias\":{\"5\":\"x\"}}", "logit_bias"},
        {"{\"logit_bias\":{\"5\":1e300}}", "logit_bias"},
        {"{\"mirostat\":3}", "mirostat"},
        {"{\"dry_penalty_last_n\":-2}", "dry_penalty_last_n"},
        {"{\"dry_allowed_length\":-1}", "dry_allowed_length"},
        {"{\"dry_sequence_breakers\":\"x\"}", "dry_sequence_breakers"},
        {"{\"ignore_eos\":1}", "ignore_eos"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        token_id out[N_DRAWS];
        struct err e = {0};
        if (draw(rows[i][0], out, &e) == ST_OK) fail_msg("%s was taken", rows[i][0]);
        if (strstr(e.msg, rows[i][1]) == NULL) fail_msg("%s: %s", rows[i][0], e.msg);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_each_has_an_effect),
                                       cmocka_unit_test(test_samplers_by_letter),
                                       cmocka_unit_test(test_bias),
                                       cmocka_unit_test(test_ignore_eos),
                                       cmocka_unit_test(test_breakers),
                                       cmocka_unit_test(test_errors)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
