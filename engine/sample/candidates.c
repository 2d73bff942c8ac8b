/* candidates.c - the candidate list: writing out, choosing the first k, sorting, softmax.
 *
 * Picking 1 or 40 of 152k logits must cost no more than reading them once (spec/sampling.md 11):
 * pick_from_logits() keeps a small pool of the best so far and compares whole blocks of logits with
 * the worst of them; nearly every block is passed over without a look at single values. The pool is
 * cut back by quickselect when full, so the work stays linear for every order of the logits.
 * Whole lists are sorted by radix, also linear. See sampler_impl.h. */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "engine/sample/sampler_impl.h"

enum {
    BLOCK = 32,      /* logits compared at once: two AVX-512 or eight SSE registers */
    SMALL_SORT = 48, /* up to here insertion is faster than clearing radix counters */
    DIGIT_BITS = 11, /* three passes for a 32-bit key; counters fit L1 */
    DIGITS = 1 << DIGIT_BITS,
#ifdef CRIA_HARD
    MIN_SPARE = BLOCK, /* least room for newcomers in the pool beside the k best */
    MAX_ROUNDS = 2     /* partitions before quickselect gives up and sorts */
#else
    MIN_SPARE = 216,
    MAX_ROUNDS = 64
#endif
};

/* ---- life ---- */

bool candidates_open(struct candidates *cs, size_t n_vocab) {
    assert(n_vocab > 0 && n_vocab <= INT32_MAX);
    *cs = (struct candidates){.n_vocab = n_vocab};
    cs->work = mem_array(n_vocab, sizeof *cs->work);
    cs->c = mem_array(n_vocab, sizeof *cs->c);
    cs->tmp = mem_array(n_vocab, sizeof *cs->tmp);
    if (cs->work != NULL && cs->c != NULL && cs->tmp != NULL) return true;
    candidates_close(cs);
    return false;
}

void candidates_close(struct candidates *cs) {
    mem_free(cs->work);
    mem_free(cs->c);
    mem_free(cs->tmp);
    *cs = (struct candidates){0};
}

void candidates_load(struct candidates *cs, const float *logits) {
    cs->logits = logits;
    cs->n = cs->n_vocab;
    cs->chosen = 0;
    cs->listed = cs->sorted = false;
    cs->by_id = true;
}

void candidates_swap(struct candidates *cs) {
    struct candidate *c = cs->c;
    cs->c = cs->tmp;
    cs->tmp = c;
}

static inline struct candidate make_candidate(size_t id, float logit) {
    return (struct candidate){.id = (token_id)id, .logit = logit == logit ? logit : -INFINITY};
}

void candidates_list(struct candidates *cs) {
    if (cs->listed) return;
    assert(cs->n == cs->n_vocab && cs->by_id);
    for (size_t i = 0; i < cs->n; i++) cs->c[i] = make_candidate(i, cs->logits[i]);
    cs->listed = true;
}

void candidates_mask(struct candidates *cs, const uint32_t *mask) {
    assert(!cs->listed && cs->n == cs->n_vocab);
    size_t n = 0;
    for (size_t w = 0; w < (cs->n_vocab + 31) / 32; w++)
        for (uint32_t bits = mask[w]; bits != 0; bits &= bits - 1) {
            size_t id = 32 * w + (size_t)__builtin_ctz(bits);
            if (id < cs->n_vocab) cs->c[n++] = make_candidate(id, cs->logits[id]);
        }
    assert(n > 0);
    cs->n = n;
    cs->listed = true;
}

float *candidates_edit(struct candidates *cs) {
    assert(!cs->listed);
    if (cs->logits != cs->work) memcpy(cs->work, cs->logits, cs->n_vocab * sizeof *cs->work);
    cs->logits = cs->work;
    return cs->work;
}

void candidates_cut(struct candidates *cs, size_t n) {
    assert(cs->listed && n >= 1 && n <= cs->n);
    cs->n = n;
}

/* ---- order ---- */

static inline bool is_before(const struct candidate *a, const struct candidate *b) {
    return a->logit > b->logit || (a->logit == b->logit && a->id < b->id);
}

static void sort_small(struct candidate *c, size_t n) {
    for (size_t i = 1; i < n; i++) {
        struct candidate x = c[i];
        size_t j = i;
        for (; j > 0 && is_before(&x, &c[j - 1]); j--) c[j] = c[j - 1];
        c[j] = x;
    }
}

/* An unsigned number that rises as the logit falls. IEEE bits order like sign and magnitude;
 * adding zero turns -0 into +0, which compare equal and must not be told apart. */
static inline uint32_t falling_key(float logit) {
    float x = logit + 0.0f;
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits >> 31 ? bits : ~bits & 0x7FFFFFFFu;
}

static inline uint32_t sort_key(const struct candidate *c, bool by_id) {
    return by_id ? (uint32_t)c->id : falling_key(c->logit);
}

/* One stable pass: c ordered by DIGIT_BITS bits of its key, through tmp. */
static void radix_pass(struct candidates *cs, bool by_id, unsigned shift) {
    uint32_t start[DIGITS] = {0}, sum = 0;
    for (size_t i = 0; i < cs->n; i++) {
        start[(sort_key(&cs->c[i], by_id) >> shift) % DIGITS]++;
    }
    for (size_t d = 0; d < DIGITS; d++) {
        uint32_t count = start[d];
        if (count == cs->n) return; /* all the same here: nothing to move */
        start[d] = sum;
        sum += count;
    }
    for (size_t i = 0; i < cs->n; i++) {
        cs->tmp[start[(sort_key(&cs->c[i], by_id) >> shift) % DIGITS]++] = cs->c[i];
    }
    candidates_swap(cs);
}

static void radix_sort(struct candidates *cs, bool by_id) {
    for (unsigned shift = 0; shift < 32; shift += DIGIT_BITS) radix_pass(cs, by_id, shift);
}

void candidates_sort(struct candidates *cs) {
    candidates_list(cs);
    if (cs->sorted) return;
    if (cs->n <= SMALL_SORT) {
        sort_small(cs->c, cs->n);
    } else {
        if (!cs->by_id) radix_sort(cs, true); /* stable passes: this decides among equal logits */
        radix_sort(cs, false);
    }
    cs->sorted = true;
    cs->by_id = false;
}

/* ---- the first k ---- */

static struct candidate median_of_3(const struct candidate *c, size_t lo, size_t hi) {
    struct candidate m[3] = {c[lo], c[lo + (hi - lo) / 2], c[hi - 1]};
    sort_small(m, 3);
    return m[1];
}

/* Hoare's partition of c[lo..hi): returns m, lo < m < hi, with nothing in [m, hi) before anything
 * in [lo, m). The pivot is in the list, so both inner loops stop. */
static size_t partition(struct candidate *c, size_t lo, size_t hi) {
    assert(hi - lo >= 3);
    struct candidate pivot = median_of_3(c, lo, hi);
    size_t i = lo, j = hi - 1;
    for (;;) {
        while (is_before(&c[i], &pivot)) i++;
        while (is_before(&pivot, &c[j])) j--;
        if (i >= j) return j + 1;
        struct candidate swap = c[i];
        c[i++] = c[j];
        c[j--] = swap;
    }
}

/* Quickselect: cuts the list to its k first, in any order. A list that resists the pivots (a
 * made-up one) is sorted instead, so the time is linear in any case. */
static void select_first(struct candidates *cs, size_t k) {
    assert(k >= 1 && k <= cs->n);
    size_t lo = 0, hi = cs->n;
    for (int rounds = MAX_ROUNDS; hi - lo > SMALL_SORT && lo < k && k < hi; rounds--) {
        if (rounds == 0) {
            cs->by_id = cs->sorted = false;
            candidates_sort(cs);
            break;
        }
        size_t m = partition(cs->c, lo, hi);
        assert(m > lo && m < hi);
        if (m <= k)
            lo = m;
        else
            hi = m;
    }
    if (hi - lo <= SMALL_SORT && lo < k && k < hi) sort_small(cs->c + lo, hi - lo);
    cs->n = k;
    cs->by_id = cs->sorted = false;
}

static float least_logit(const struct candidate *c, size_t n) {
    float least = c[0].logit;
    for (size_t i = 1; i < n; i++) least = c[i].logit < least ? c[i].logit : least;
    return least;
}

static inline bool any_above(const float *x, float limit) {
    int any = 0;
    for (int i = 0; i < BLOCK; i++) any |= x[i] > limit;
    return any != 0;
}

/* Lists the one before all others. */
static void pick_best(struct candidates *cs) {
    const float *logits = cs->logits;
    struct candidate best = make_candidate(0, logits[0]);
    for (size_t i = 0, end; i < cs->n_vocab; i = end) {
        end = i + BLOCK < cs->n_vocab ? i + BLOCK : cs->n_vocab;
        if (end - i == BLOCK && !any_above(logits + i, best.logit)) continue;
        for (; i < end; i++)
            if (logits[i] > best.logit) best = make_candidate(i, logits[i]);
    }
    cs->c[0] = best;
    cs->n = 1;
    cs->listed = true;
    cs->by_id = cs->sorted = false;
}

/* Lists the k first of the logits. `least` is the k-th logit so far: a later token must be above
 * it to matter, since among equals the lower id wins and ids rise during the scan. */
static void pick_from_logits(struct candidates *cs, size_t k) {
    const float *logits = cs->logits;
    size_t spare = 3 * k < MIN_SPARE ? MIN_SPARE : 3 * k, pool = k + spare, i = 0;
    if (pool > cs->n_vocab) pool = cs->n_vocab;
    for (; i < pool; i++) cs->c[i] = make_candidate(i, logits[i]);
    cs->listed = true;
    cs->n = pool;
    select_first(cs, k);
    float least = least_logit(cs->c, k);
    while (i < cs->n_vocab) {
        size_t end = i + BLOCK < cs->n_vocab ? i + BLOCK : cs->n_vocab;
        if (end - i == BLOCK && !any_above(logits + i, least)) {
            i = end;
            continue;
        }
        if (cs->n + BLOCK > pool) {
            select_first(cs, k);
            least = least_logit(cs->c, k);
        }
        for (; i < end; i++) {
            if (logits[i] > least) cs->c[cs->n++] = make_candidate(i, logits[i]);
        }
    }
    select_first(cs, k);
}

void candidates_first(struct candidates *cs, size_t k) {
    assert(k >= 1);
    if (k < cs->n) {
        if (!cs->listed && k == 1)
            pick_best(cs);
        else if (!cs->listed && k <= cs->n / 8)
            pick_from_logits(cs, k);
        candidates_list(cs);
        if (cs->sorted)
            candidates_cut(cs, k);
        else
            select_first(cs, k);
    }
    candidates_sort(cs);
}

/* ---- values ---- */

float candidates_max(const struct candidates *cs) {
    assert(cs->listed);
    float max = cs->c[0].logit;
    for (size_t i = 1; i < cs->n && !cs->sorted; i++) {
        max = cs->c[i].logit > max ? cs->c[i].logit : max;
    }
    return max;
}

void candidates_softmax(struct candidates *cs) {
    candidates_list(cs);
    float max = candidates_max(cs), sum = 0.0f;
    for (size_t i = 0; i < cs->n; i++) {
        /* Equality first: with infinite logits the difference would be NaN. */
        float x = cs->c[i].logit;
        cs->c[i].p = x == max ? 1.0f : expf(x - max);
        sum += cs->c[i].p;
    }
    for (size_t i = 0; i < cs->n; i++) cs->c[i].p /= sum;
}
