/* sampler_test.c - the generator, the candidate list, each sampler, and whole requests. Values
 * against the peer are golden-check's (golden/sampling); here are the invariants, the edges and the
 * fast paths against plain ones. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "engine/sample/sampler_impl.h"

enum { MAX_N = 5000 };

static float logits[MAX_N];

/* ---- helpers ---- */

static struct candidates list_of(const float *x, size_t n) {
    struct candidates cs;
    assert_true(candidates_open(&cs, n));
    candidates_load(&cs, x);
    return cs;
}

static void assert_near(float got, double want, double tolerance) {
    if (fabs((double)got - want) > tolerance) fail_msg("%g is not %g", (double)got, want);
}

static void assert_ids(const struct candidates *cs, size_t n, const token_id *ids) {
    assert_true(cs->listed);
    assert_int_equal(cs->n, n);
    for (size_t i = 0; i < n; i++) assert_int_equal(cs->c[i].id, ids[i]);
}
#define ASSERT_IDS(cs, ...)                                                                        \
    assert_ids(cs, sizeof(token_id[]){__VA_ARGS__} / sizeof(token_id), (token_id[]){__VA_ARGS__})

static uint32_t random_bits(void) {
    static uint64_t x = 88172645463325252u;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return (uint32_t)(x >> 32);
}

/* Logit patterns that treat a selection badly in different ways. */
static float pattern(int kind, size_t i, size_t n) {
    switch (kind) {
    case 0:
        return (float)(random_bits() % 100000) / 5000.0f - 10.0f;
    case 1:
        return (float)i; /* rising */
    case 2:
        return -(float)i; /* falling */
    case 3:
        return 1.5f; /* all alike */
    case 4:
        return random_bits() % 50 != 0 ? -INFINITY : (float)(random_bits() % 9); /* a mask */
    case 5:
        return (float)(random_bits() % 4); /* many ties */
    case 6:
        return random_bits() % 3 == 0 ? NAN : (float)(random_bits() % 100);
    case 7:
        return random_bits() % 2 == 0 ? 0.0f : -0.0f;
    case 8:
        return (float)(i < n / 2 ? i : n - i); /* organ pipe */
    default:
        return -INFINITY;
    }
}
enum { N_PATTERNS = 10 };

static void fill(int kind, size_t n) {
    for (size_t i = 0; i < n; i++) logits[i] = pattern(kind, i, n);
}

static int falling(const void *x, const void *y) {
    const struct candidate *a = x, *b = y;
    if (a->logit != b->logit) return a->logit < b->logit ? 1 : -1;
    return a->id < b->id ? -1 : a->id > b->id;
}

/* The plain way to sort. */
static struct candidate *sorted_copy(size_t n) {
    struct candidate *c = mem_array(n, sizeof *c);
    assert_non_null(c);
    for (size_t i = 0; i < n; i++) {
        c[i] = (struct candidate){(token_id)i, isnan(logits[i]) ? -INFINITY : logits[i], 0};
    }
    qsort(c, n, sizeof *c, falling);
    return c;
}

static void assert_same_order(const struct candidates *cs, const struct candidate *want, size_t n) {
    assert_int_equal(cs->n, n);
    assert_true(cs->sorted);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(cs->c[i].id, want[i].id);
        assert_true(cs->c[i].logit == want[i].logit);
    }
}

/* ---- the generator ---- */

static void rng_has_the_published_value(void **state) {
    (void)state;
    struct rng r;
    rng_seed(&r, 5489); /* the standard: the 10000th number of the default seed */
    uint32_t x = 0;
    for (int i = 0; i < 10000; i++) x = rng_u32(&r);
    assert_true(x == 4123659995u);
}

static void rng_reals_are_made_of_words(void **state) {
    (void)state;
    struct rng r;
    rng_seed(&r, 0); /* golden/sampling: rng, seed 0 */
    assert_true(rng_u32(&r) == 2357136044u);
    rng_seed(&r, 0);
    assert_true(rng_double(&r) == 0x1.2f89545f18fe1p-1);
    assert_true(rng_double(&r) == 0x1.b04399816e2d5p-1);
    rng_seed(&r, 0);
    assert_true(rng_float(&r) == 0x1.18fe16p-1f);
    assert_true(rng_float(&r) == 0x1.2f8954p-1f);
}

/* The state word that comes out as all ones. Output mixing is linear over bits, so it is solved for
 * by Gauss elimination on what single bits turn into. */
static uint32_t word_for_all_ones(struct rng *r) {
    uint32_t image[32], word[32], all = 0;
    for (unsigned b = 0; b < 32; b++) {
        r->word[0] = word[b] = 1u << b;
        r->next = 0;
        image[b] = rng_u32(r);
    }
    for (unsigned b = 0; b < 32; b++) {
        unsigned k = b;
        while (k < 31 && !(image[k] >> b & 1)) k++;
        uint32_t im = image[k], w = word[k];
        image[k] = image[b], word[k] = word[b];
        image[b] = im, word[b] = w;
        for (unsigned j = 0; j < 32; j++) {
            if (j != b && image[j] >> b & 1) image[j] ^= im, word[j] ^= w;
        }
    }
    for (unsigned b = 0; b < 32; b++) all ^= word[b];
    return all;
}

static void rng_reals_stay_below_one(void **state) {
    (void)state;
    struct rng r;
    rng_seed(&r, 1);
    r.word[0] = r.word[1] = word_for_all_ones(&r);
    r.next = 0;
    assert_true(rng_u32(&r) == UINT32_MAX);
    r.next = 0;
    assert_true(rng_double(&r) == 0x1.fffffffffffffp-1);
    r.next = 0;
    assert_true(rng_float(&r) == 0x1.fffffep-1f);
}

/* ---- the list ---- */

static void first_k_equals_the_plain_sort(void **state) {
    (void)state;
    static const size_t sizes[] = {1, 2, 3, 7, 31, 32, 33, 64, 257, 1000, MAX_N};
    static const size_t ks[] = {1, 2, 5, 40, 64, 300, 1000, MAX_N};
    for (int kind = 0; kind < N_PATTERNS; kind++) {
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
            size_t n = sizes[s];
            fill(kind, n);
            struct candidate *want = sorted_copy(n);
            struct candidates cs = list_of(logits, n);
            for (size_t i = 0; i < sizeof ks / sizeof *ks && ks[i] <= n; i++) {
                for (int listed = 0; listed < 2; listed++) {
                    candidates_load(&cs, logits);
                    if (listed) candidates_list(&cs);
                    candidates_first(&cs, ks[i]);
                    assert_same_order(&cs, want, ks[i]);
                }
            }
            candidates_close(&cs);
            mem_free(want);
        }
    }
}

static void sort_is_stable_by_id_from_any_order(void **state) {
    (void)state;
    for (int kind = 0; kind < N_PATTERNS; kind++) {
        size_t n = 3000;
        fill(kind, n);
        struct candidate *want = sorted_copy(n);
        struct candidates cs = list_of(logits, n);
        candidates_list(&cs);
        for (size_t i = n - 1; i > 0; i--) { /* shuffle */
            size_t j = random_bits() % (i + 1);
            struct candidate x = cs.c[i];
            cs.c[i] = cs.c[j];
            cs.c[j] = x;
        }
        cs.by_id = false;
        candidates_sort(&cs);
        assert_same_order(&cs, want, n);
        candidates_close(&cs);
        mem_free(want);
    }
}

static void edits_leave_the_callers_logits(void **state) {
    (void)state;
    const float x[] = {1, 2, 3};
    struct candidates cs = list_of(x, 3);
    candidates_edit(&cs)[1] = 9;
    candidates_edit(&cs)[2] += 1; /* a second edit keeps the first */
    candidates_list(&cs);
    assert_true(cs.c[0].logit == 1 && cs.c[1].logit == 9 && cs.c[2].logit == 4);
    assert_true(x[1] == 2 && x[2] == 3);
    candidates_close(&cs);
}

static void softmax_survives_infinities(void **state) {
    (void)state;
    const float up[] = {1, INFINITY, 0, INFINITY}, down[] = {-INFINITY, -INFINITY};
    struct candidates cs = list_of(up, 4);
    candidates_softmax(&cs);
    assert_true(cs.c[1].p == 0.5f && cs.c[3].p == 0.5f && cs.c[0].p == 0);
    candidates_close(&cs);
    cs = list_of(down, 2);
    candidates_softmax(&cs);
    assert_true(cs.c[0].p == 0.5f && cs.c[1].p == 0.5f);
    candidates_close(&cs);
}

/* ---- truncation ---- */

/* p = 0.1 0.2 0.3 0.4 */
static const float LOG4[] = {-2.30258509f, -1.60943791f, -1.2039728f, -0.916290732f};

static void top_k_off_keeps_the_list(void **state) {
    (void)state;
    struct candidates cs = list_of(LOG4, 4);
    sample_top_k(&cs, 0);
    assert_false(cs.listed);
    sample_top_k(&cs, 100);
    ASSERT_IDS(&cs, 3, 2, 1, 0);
    sample_top_k(&cs, 2);
    ASSERT_IDS(&cs, 3, 2);
    candidates_close(&cs);
}

static void top_p_keeps_the_shortest_prefix(void **state) {
    (void)state;
    struct candidates cs = list_of(LOG4, 4);
    sample_top_p(&cs, 0.65f, 0);
    ASSERT_IDS(&cs, 3, 2);
    candidates_load(&cs, LOG4);
    sample_top_p(&cs, 0, 0);
    ASSERT_IDS(&cs, 3);
    candidates_load(&cs, LOG4);
    sample_top_p(&cs, 0.1f, 3);
    ASSERT_IDS(&cs, 3, 2, 1);
    candidates_load(&cs, LOG4);
    sample_top_p(&cs, 1, 0);
    assert_false(cs.listed);
    candidates_close(&cs);
}

static void min_p_filters_in_place_or_cuts(void **state) {
    (void)state;
    struct candidates cs = list_of(LOG4, 4);
    sample_min_p(&cs, 0.6f, 0); /* 0.4 * 0.6 = 0.24 */
    ASSERT_IDS(&cs, 2, 3);
    assert_false(cs.sorted);
    candidates_load(&cs, LOG4);
    sample_min_p(&cs, 0.6f, 3); /* too few: the sorted form */
    ASSERT_IDS(&cs, 3, 2, 1);
    candidates_load(&cs, LOG4);
    sample_top_k(&cs, 4);
    sample_min_p(&cs, 0.6f, 0);
    ASSERT_IDS(&cs, 3, 2);
    candidates_close(&cs);
}

static void top_n_sigma_masks(void **state) {
    (void)state;
    const float x[] = {1, 3, -INFINITY, 5, 3}; /* mean 3, deviation sqrt 2 */
    struct candidates cs = list_of(x, 5);
    sample_top_n_sigma(&cs, 1.5f); /* limit 2.88 */
    assert_int_equal(cs.n, 5);
    assert_true(isinf(cs.c[0].logit) && cs.c[1].logit == 3 && cs.c[4].logit == 3);
    candidates_load(&cs, x);
    sample_top_n_sigma(&cs, 1.0f); /* limit 3.59 */
    assert_true(isinf(cs.c[1].logit) && cs.c[3].logit == 5);
    const float dead[] = {-INFINITY, -INFINITY, -INFINITY, -INFINITY, -INFINITY};
    candidates_load(&cs, dead);
    sample_top_n_sigma(&cs, 1.0f);
    assert_int_equal(cs.n, 5);
    candidates_close(&cs);
}

struct distance {
    float d;
    size_t i;
};
static int nearer(const void *x, const void *y) {
    const struct distance *a = x, *b = y;
    if (a->d != b->d) return a->d < b->d ? -1 : 1;
    return a->i < b->i ? -1 : a->i > b->i;
}

/* The merge of two runs gives what a stable sort by |-ln p - H| gives. */
static void typical_p_equals_the_plain_way(void **state) {
    (void)state;
    enum { N = 400 };
    static struct distance want[N];
    for (int kind = 0; kind < N_PATTERNS; kind++) {
        fill(kind, N);
        struct candidates cs = list_of(logits, N), all = list_of(logits, N);
        sample_typical_p(&cs, 0.95f);
        candidates_sort(&all);
        candidates_softmax(&all);
        float h = 0, sum = 0;
        for (size_t i = 0; i < N; i++) {
            if (all.c[i].p > 0) h -= all.c[i].p * logf(all.c[i].p);
        }
        for (size_t i = 0; i < N; i++) want[i] = (struct distance){fabsf(-logf(all.c[i].p) - h), i};
        qsort(want, N, sizeof *want, nearer);
        size_t n = 0;
        do sum += all.c[want[n++].i].p;
        while (n < N && !(sum > 0.95f));
        assert_int_equal(cs.n, n);
        for (size_t i = 0; i < n; i++) assert_int_equal(cs.c[i].id, all.c[want[i].i].id);
        candidates_close(&cs);
        candidates_close(&all);
    }
}

static void typical_p_zero_keeps_one(void **state) {
    (void)state;
    struct candidates cs = list_of(LOG4, 4);
    sample_typical_p(&cs, 0);
    assert_int_equal(cs.n, 1);
    candidates_load(&cs, LOG4);
    sample_typical_p(&cs, -1);
    assert_int_equal(cs.n, 1);
    candidates_close(&cs);
}

static void xtc_keeps_the_weakest_above_the_threshold(void **state) {
    (void)state;
    struct rng r, unused;
    rng_seed(&r, 42);
    rng_seed(&unused, 42);
    struct candidates cs = list_of(LOG4, 4);
    sample_xtc(&cs, 1, 0.25f, &r);
    ASSERT_IDS(&cs, 2, 1, 0);
    candidates_load(&cs, LOG4);
    sample_xtc(&cs, 1, 0.45f, &r); /* none above */
    assert_int_equal(cs.n, 4);
    (void)rng_u32(&unused), (void)rng_u32(&unused);
    sample_xtc(&cs, 1, 0.51f, &r); /* off, and nothing drawn */
    sample_xtc(&cs, 0, 0.1f, &r);
    assert_true(rng_u32(&r) == rng_u32(&unused));
    candidates_close(&cs);
}

/* ---- penalties and bias ---- */

static void penalties_follow_the_window(void **state) {
    (void)state;
    const float x[] = {2, -2, 4, 0};
    struct penalties p = {.repeat = 2, .frequency = 0.5f, .presence = 0.25f};
    assert_true(penalties_open(&p, 3, 4));
    struct candidates cs = list_of(x, 4);
    sample_penalties(&cs, &p); /* nothing accepted yet */
    assert_true(cs.logits == x);
    const token_id seen[] = {2, 2, 0, 1, 0}; /* the window holds 0 1 0 */
    for (size_t i = 0; i < 5; i++) penalties_accept(&p, seen[i]);
    penalties_accept(&p, -1);
    penalties_accept(&p, 4); /* not tokens */
    for (int listed = 0; listed < 2; listed++) {
        candidates_load(&cs, x);
        if (listed) candidates_list(&cs);
        sample_penalties(&cs, &p);
        candidates_list(&cs);
        assert_true(cs.c[0].logit == 2 / 2.0f - 2 * 0.5f - 0.25f);
        assert_true(cs.c[1].logit == -2 * 2.0f - 0.5f - 0.25f);
        assert_true(cs.c[2].logit == 4 && cs.c[3].logit == 0);
        assert_false(cs.sorted);
    }
    candidates_close(&cs);
    penalties_close(&p);
}

static void bias_works_on_both_forms(void **state) {
    (void)state;
    const struct logit_bias bias[] = {{3, -INFINITY}, {0, 5}, {99, 1}, {-1, 1}};
    struct candidates cs = list_of(LOG4, 4);
    for (int listed = 0; listed < 2; listed++) {
        candidates_load(&cs, LOG4);
        if (listed) candidates_list(&cs);
        sample_bias(&cs, bias, 4);
        candidates_list(&cs);
        assert_true(cs.c[0].logit == LOG4[0] + 5 && cs.c[1].logit == LOG4[1]);
        assert_true(isinf(cs.c[3].logit));
    }
    candidates_close(&cs);
}

/* ---- temperature and choice ---- */

static void temperature_divides_or_keeps_one(void **state) {
    (void)state;
    const float x[] = {1, 3, 3, -1};
    struct candidates cs = list_of(x, 4);
    sample_temperature(&cs, 1, 0, 1);
    assert_false(cs.listed);
    sample_temperature(&cs, 0.5f, 0, 1);
    assert_true(cs.c[0].logit == 2 && cs.c[1].logit == 6 && cs.c[3].logit == -2);
    sample_temperature(&cs, 0, 0, 1);
    assert_int_equal(cs.n, 4);
    assert_true(cs.c[1].logit == 6 && isinf(cs.c[2].logit) && isinf(cs.c[0].logit));
    candidates_close(&cs);
}

static void dynamic_temperature_follows_the_entropy(void **state) {
    (void)state;
    const float flat[] = {1, 1, 1, 1}, one[] = {7};
    struct candidates cs = list_of(flat, 4);
    sample_temperature(&cs, 0.8f, 0.5f, 1); /* evenness 1: the highest, 1.3 */
    assert_near(cs.c[0].logit, 1 / 1.3, 1e-6);
    candidates_close(&cs);
    cs = list_of(one, 1);
    sample_temperature(&cs, 0.8f, 0.5f, 1);
    candidates_list(&cs);
    assert_true(cs.c[0].logit == 7);
    candidates_close(&cs);
}

static void dist_follows_the_probabilities(void **state) {
    (void)state;
    struct rng r, same;
    rng_seed(&r, 7);
    rng_seed(&same, 7);
    struct candidates cs = list_of(LOG4, 4);
    static const double upto[] = {0.1, 0.3, 0.6, 1.0};
    for (int i = 0; i < 2000; i++) {
        candidates_load(&cs, LOG4);
        sample_dist(&cs, &r);
        double u = rng_double(&same);
        size_t want = 0;
        while (upto[want] < u) want++;
        assert_int_equal(cs.chosen, want);
        assert_near(cs.c[0].p, 0.1, 1e-6);
    }
    candidates_close(&cs);
    cs = list_of(LOG4, 1); /* one candidate still takes a number */
    sample_dist(&cs, &r);
    (void)rng_double(&same);
    assert_int_equal(cs.chosen, 0);
    assert_true(rng_u32(&r) == rng_u32(&same));
    candidates_close(&cs);
}

static void mirostat_moves_towards_tau(void **state) {
    (void)state;
    for (int version = 1; version <= 2; version++) {
        struct rng r, same;
        rng_seed(&r, 3);
        rng_seed(&same, 3);
        struct mirostat m = {.tau = 1, .eta = 0.5f, .mu = 2};
        struct candidates cs = list_of(LOG4, 4);
        (version == 1 ? sample_mirostat_1 : sample_mirostat_2)(&cs, &m, &r);
        (void)rng_double(&same);
        assert_true(rng_u32(&r) == rng_u32(&same));
        float surprise = -log2f(cs.c[cs.chosen].p);
        assert_near(m.mu, 2 - 0.5 * ((double)surprise - 1), 1e-6);
        m.mu = -100; /* only the first is left; nothing is drawn */
        candidates_load(&cs, LOG4);
        (version == 1 ? sample_mirostat_1 : sample_mirostat_2)(&cs, &m, &r);
        ASSERT_IDS(&cs, 3);
        assert_true(rng_u32(&r) == rng_u32(&same));
        assert_near(m.mu, -100 + 0.5, 1e-4);
        m.mu = 1000; /* overflow to infinity keeps all */
        candidates_load(&cs, LOG4);
        (version == 1 ? sample_mirostat_1 : sample_mirostat_2)(&cs, &m, &r);
        assert_int_equal(cs.n, 4);
        candidates_close(&cs);
    }
}

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
        cmocka_unit_test(rng_has_the_published_value),
        cmocka_unit_test(rng_reals_are_made_of_words),
        cmocka_unit_test(rng_reals_stay_below_one),
        cmocka_unit_test(first_k_equals_the_plain_sort),
        cmocka_unit_test(sort_is_stable_by_id_from_any_order),
        cmocka_unit_test(edits_leave_the_callers_logits),
        cmocka_unit_test(softmax_survives_infinities),
        cmocka_unit_test(top_k_off_keeps_the_list),
        cmocka_unit_test(top_p_keeps_the_shortest_prefix),
        cmocka_unit_test(min_p_filters_in_place_or_cuts),
        cmocka_unit_test(top_n_sigma_masks),
        cmocka_unit_test(typical_p_equals_the_plain_way),
        cmocka_unit_test(typical_p_zero_keeps_one),
        cmocka_unit_test(xtc_keeps_the_weakest_above_the_threshold),
        cmocka_unit_test(penalties_follow_the_window),
        cmocka_unit_test(bias_works_on_both_forms),
        cmocka_unit_test(temperature_divides_or_keeps_one),
        cmocka_unit_test(dynamic_temperature_follows_the_entropy),
        cmocka_unit_test(dist_follows_the_probabilities),
        cmocka_unit_test(mirostat_moves_towards_tau),
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
