/* sampler_ops_test.c - the generator, the candidate list, and each sampler alone. Values against
 * the peer are golden-check's (golden/sampling); here are the invariants, the edges and the fast
 * paths against plain ones. */
#include "engine/sample/testing.h"

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

int main(void) {
    const struct CMUnitTest tests[] = {
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
