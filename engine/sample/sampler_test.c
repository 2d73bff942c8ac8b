/* sampler_test.c - whole requests: options, order, seeds, log probabilities, masks. */
#include "engine/sample/testing.h"

/* ---- whole requests ---- */

static struct sampler *open_or_fail(const struct sampler_params *p, uint32_t n_vocab) {
    struct sampler *s = NULL;
    struct err e = {0};
    if (sampler_open(&s, p, n_vocab, 128, &e) != ST_OK) fail_msg("%s", e.msg);
    return s;
}

static void defaults_are_ollamas(void **state) {
    (void)state;
    struct sampler_params p = sampler_default_params();
    assert_true(p.temperature == 0.8f && p.top_k == 40 && p.top_p == 0.9f && p.min_p == 0);
    assert_true(p.typical_p == 1 && p.repeat_last_n == 64 && p.repeat_penalty == 1);
    assert_true(p.presence_penalty == 0 && p.frequency_penalty == 0 && p.seed == UINT32_MAX);
    assert_true(p.mirostat == 0 && p.xtc_probability == 0 && p.dynatemp_range == 0);
    assert_true(p.top_n_sigma <= 0 && p.n_bias == 0);
}

static void expect_refused(const struct sampler_params *p, const char *name) {
    struct sampler *s = (struct sampler *)(uintptr_t)1;
    struct err e = {0};
    assert_int_equal(sampler_open(&s, p, 4, 128, &e), ST_INVALID);
    assert_null(s);
    if (strstr(e.msg, name) == NULL) fail_msg("\"%s\" does not name %s", e.msg, name);
}

static void wrong_options_are_named(void **state) {
    (void)state;
    const struct logit_bias nan = {1, NAN};
    struct sampler_params p;
#define REFUSED(field, value)                                                                      \
    p = sampler_default_params(), p.field = (value), expect_refused(&p, #field)
    REFUSED(temperature, NAN);
    REFUSED(top_p, NAN);
    REFUSED(repeat_penalty, 0);
    REFUSED(repeat_penalty, INFINITY);
    REFUSED(repeat_penalty, -1);
    REFUSED(presence_penalty, INFINITY);
    REFUSED(frequency_penalty, -INFINITY);
    REFUSED(mirostat_eta, NAN);
    REFUSED(repeat_last_n, -2);
    REFUSED(mirostat, 3);
#undef REFUSED
    p = sampler_default_params(), p.n_bias = 1, p.bias = &nan, expect_refused(&p, "logit_bias");
}

static void options_out_of_range_are_clamped(void **state) {
    (void)state;
    struct sampler_params p = sampler_default_params();
    p.temperature = -3; /* greedy */
    p.top_k = -1, p.top_p = 7, p.min_p = -2, p.repeat_last_n = INT32_MAX, p.repeat_penalty = 1.5f;
    struct sampler *s = open_or_fail(&p, 4);
    assert_int_equal(sampler_sample(s, LOG4), 3);
    sampler_close(s);
}

static void greedy_takes_the_first_largest(void **state) {
    (void)state;
    struct sampler_params p = sampler_default_params();
    p.temperature = 0;
    for (int kind = 0; kind < N_PATTERNS; kind++) {
        for (size_t n = 1; n <= MAX_N; n = n * 3 + 1) {
            fill(kind, n);
            struct candidate *want = sorted_copy(n);
            struct sampler *s = open_or_fail(&p, (uint32_t)n);
            assert_int_equal(sampler_sample(s, logits), want[0].id);
            sampler_close(s);
            mem_free(want);
        }
    }
}

static void greedy_still_hears_bias_and_penalties(void **state) {
    (void)state;
    const float x[] = {1, 2, 3, 4};
    struct logit_bias forbid = {3, -INFINITY};
    struct sampler_params p = sampler_default_params();
    p.temperature = 0, p.bias = &forbid, p.n_bias = 1, p.repeat_penalty = 4, p.repeat_last_n = -1;
    struct sampler *s = open_or_fail(&p, 4);
    forbid.id = 0; /* the list was copied */
    assert_int_equal(sampler_sample(s, x), 2);
    sampler_accept(s, 2);
    assert_int_equal(sampler_sample(s, x), 1);
    sampler_accept(s, 1);
    assert_int_equal(sampler_sample(s, x), 0);
    for (int i = 0; i < 128; i++) sampler_accept(s, 0); /* -1: the window is n_ctx, 128 */
    assert_int_equal(sampler_sample(s, x), 2);
    sampler_close(s);
}

/* Greedy would be wrong here: XTC drops the largest even at temperature 0. */
static void temperature_zero_with_xtc_takes_the_long_way(void **state) {
    (void)state;
    struct sampler_params p = sampler_default_params();
    p.temperature = 0, p.top_p = 1, p.xtc_probability = 1, p.xtc_threshold = 0.25f, p.seed = 1;
    struct sampler *s = open_or_fail(&p, 4);
    assert_int_equal(sampler_sample(s, LOG4), 2);
    sampler_close(s);
}

static void mirostat_ignores_truncation(void **state) {
    (void)state;
    struct sampler_params p = sampler_default_params();
    p.top_k = 1, p.temperature = 1, p.mirostat_tau = 8, p.seed = 5;
    for (p.mirostat = 1; p.mirostat <= 2; p.mirostat++) {
        struct sampler *s = open_or_fail(&p, 4);
        bool seen[4] = {false};
        for (int i = 0; i < 200; i++) seen[sampler_sample(s, LOG4)] = true;
        assert_true(seen[0] && seen[1] && seen[2] && seen[3]);
        sampler_close(s);
    }
}

static void equal_seeds_give_equal_tokens(void **state) {
    (void)state;
    fill(0, 1000);
    struct sampler_params p = sampler_default_params();
    p.repeat_penalty = 1.2f;
    p.top_p = 1;
    struct sampler *a = open_or_fail(&p, 1000); /* a drawn seed */
    p.seed = sampler_seed(a);
    if (p.seed == UINT32_MAX) p.seed = 0; /* one in four billion: the test says nothing then */
    struct sampler *b = open_or_fail(&p, 1000);
    assert_true(sampler_seed(b) == p.seed);
    int changes = 0;
    for (int i = 0; i < 200; i++) {
        token_id x = sampler_sample(a, logits), y = sampler_sample(b, logits);
        assert_int_equal(x, y);
        sampler_accept(a, x);
        sampler_accept(b, y);
        changes += x != 0;
    }
    assert_true(changes > 0);
    sampler_close(a);
    sampler_close(b);
}

static void seed_zero_is_a_fixed_seed(void **state) {
    (void)state;
    struct sampler_params p = sampler_default_params();
    p.seed = 0;
    struct sampler *s = open_or_fail(&p, 4);
    assert_true(sampler_seed(s) == 0);
    sampler_close(s);
}

static void steps_allocate_nothing(void **state) {
    (void)state;
    fill(0, MAX_N);
    struct sampler_params p = sampler_default_params();
    p.top_k = 0, p.typical_p = 0.99f, p.repeat_penalty = 1.1f, p.min_p = 0.01f;
    p.dynatemp_range = 0.3f, p.top_n_sigma = 4, p.xtc_probability = 0.5f;
    struct sampler *s = open_or_fail(&p, MAX_N);
    mem_fail_at(1);
    for (int i = 0; i < 20; i++) sampler_accept(s, sampler_sample(s, logits));
    void *none = mem_alloc(1); /* so the armed failure is still there */
    assert_null(none);
    mem_fail_at(0);
    sampler_close(s);
}

static void open_survives_every_failed_allocation(void **state) {
    (void)state;
    const struct logit_bias bias = {0, 1};
    struct sampler_params p = sampler_default_params();
    p.bias = &bias, p.n_bias = 1, p.repeat_penalty = 1.1f;
    long before = mem_live(), n = 1;
    for (;; n++) {
        struct sampler *s;
        struct err e = {0};
        mem_fail_at(n);
        enum status st = sampler_open(&s, &p, 100, 128, &e);
        mem_fail_at(0);
        if (st == ST_OK) {
            sampler_close(s);
            break;
        }
        assert_int_equal(st, ST_NO_MEMORY);
        assert_int_equal(e.code, ST_NO_MEMORY);
        assert_null(s);
        assert_int_equal(mem_live(), before);
    }
    assert_true(n > 5);
    assert_int_equal(mem_live(), before);
}

/* ---- log probabilities ---- */

static void logprobs_are_those_of_the_raw_logits(void **state) {
    (void)state;
    token_id ids[4];
    float lp[4];
    float own = sampler_logprobs(LOG4, 4, 1, 3, ids, lp);
    assert_near(own, log(0.2), 1e-6);
    assert_true(ids[0] == 3 && ids[1] == 2 && ids[2] == 1);
    assert_near(lp[0], log(0.4), 1e-6);
    assert_near(lp[2], log(0.2), 1e-6);
    assert_near(sampler_logprobs(LOG4, 4, 0, 0, NULL, NULL), log(0.1), 1e-6);
}

static void logprobs_of_nothing_are_the_lowest_float(void **state) {
    (void)state;
    const float x[] = {0, -INFINITY, -200, NAN};
    token_id ids[4];
    float lp[4];
    assert_true(sampler_logprobs(x, 4, 1, 4, ids, lp) == -FLT_MAX);
    assert_true(ids[0] == 0 && ids[1] == 2 && ids[2] == 1 && ids[3] == 3);
    assert_true(lp[0] == 0 && lp[1] == -FLT_MAX && lp[3] == -FLT_MAX);
    assert_true(sampler_logprobs(x, 4, 3, 0, NULL, NULL) == -FLT_MAX);
    assert_true(sampler_logprobs(x, 1, 0, 2, ids, lp) == 0); /* fewer tokens than asked for */
    assert_true(ids[0] == 0 && ids[1] == TOKEN_NONE && lp[1] == -FLT_MAX);
}

static void logprobs_list_equals_the_plain_sort(void **state) {
    (void)state;
    enum { TOP = 20 };
    token_id ids[TOP];
    float lp[TOP];
    for (int kind = 0; kind < N_PATTERNS; kind++) {
        fill(kind, 1000);
        struct candidate *want = sorted_copy(1000);
        sampler_logprobs(logits, 1000, 5, TOP, ids, lp);
        for (size_t i = 0; i < TOP; i++) assert_int_equal(ids[i], want[i].id);
        mem_free(want);
    }
}

/* Masked sampling is sampling from logits of which the others are -inf. */
static void masked(void **state) {
    (void)state;
    enum { N = 300 };
    float raw[N], cut[N];
    uint32_t mask[(N + 31) / 32];
    for (uint32_t seed = 1; seed < 200; seed++) {
        struct sampler_params p = sampler_default_params();
        struct sampler *a = NULL, *b = NULL;
        struct rng rng;
        rng_seed(&rng, seed);
        memset(mask, 0, sizeof mask);
        for (uint32_t i = 0; i < N; i++) {
            bool in = rng_u32(&rng) % (seed % 7 + 1) == 0 || i == seed % N;
            raw[i] = rng_float(&rng) * 10.0f - 5.0f;
            cut[i] = in ? raw[i] : -INFINITY;
            if (in) mask[i / 32] |= 1u << (i % 32);
        }
        p.seed = seed;
        p.temperature = seed % 3 == 0 ? 0.0f : 1.0f;
        p.top_k = 1 + (int32_t)(seed % 5);
        p.repeat_penalty = 1.3f;
        assert_int_equal(sampler_open(&a, &p, N, 512, NULL), ST_OK);
        assert_int_equal(sampler_open(&b, &p, N, 512, NULL), ST_OK);
        for (int i = 0; i < 5; i++) {
            token_id x = sampler_sample_masked(a, raw, mask);
            assert_true(mask[x / 32] >> (x % 32) & 1);
            assert_int_equal(x, sampler_sample(b, cut));
            sampler_accept(a, x);
            sampler_accept(b, x);
        }
        sampler_close(a);
        sampler_close(b);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(masked),
        cmocka_unit_test(defaults_are_ollamas),
        cmocka_unit_test(wrong_options_are_named),
        cmocka_unit_test(options_out_of_range_are_clamped),
        cmocka_unit_test(greedy_takes_the_first_largest),
        cmocka_unit_test(greedy_still_hears_bias_and_penalties),
        cmocka_unit_test(temperature_zero_with_xtc_takes_the_long_way),
        cmocka_unit_test(mirostat_ignores_truncation),
        cmocka_unit_test(equal_seeds_give_equal_tokens),
        cmocka_unit_test(seed_zero_is_a_fixed_seed),
        cmocka_unit_test(steps_allocate_nothing),
        cmocka_unit_test(open_survives_every_failed_allocation),
        cmocka_unit_test(logprobs_are_those_of_the_raw_logits),
        cmocka_unit_test(logprobs_of_nothing_are_the_lowest_float),
        cmocka_unit_test(logprobs_list_equals_the_plain_sort),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
