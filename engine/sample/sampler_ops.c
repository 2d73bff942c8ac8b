/* sampler_ops.c - the samplers: one function each over the candidate list (spec/sampling.md 3).
 *
 * Every function does nothing when its option is at "off", so a chain may call all of them. What
 * they compute is defined by the peer's float32 arithmetic: sums run in list order, comparisons are
 * >= or > exactly as the spec writes them. Sources: top-p: Holtzman et al. 2019; typical-p: Meister
 * et al. 2022; tail-free: Bricken 2019; mirostat: Basu et al. 2020; top-n-sigma: Tang et al. 2024;
 * min-p: Nguyen et al. 2024. See sampler_impl.h. */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "engine/sample/sampler_impl.h"

/* ---- bias and penalties: change logits by id, keep the order ---- */

static void bias_one(struct candidates *cs, const struct logit_bias *b) {
    for (size_t i = 0; i < cs->n; i++) {
        if (cs->c[i].id == b->id) cs->c[i].logit += b->bias;
    }
}

/* Ids outside the vocabulary have nothing to change. */
void sample_bias(struct candidates *cs, const struct logit_bias *bias, size_t n) {
    if (n == 0) return;
    if (cs->listed) {
        for (size_t i = 0; i < n; i++) bias_one(cs, &bias[i]);
        cs->sorted = false;
        return;
    }
    float *logits = candidates_edit(cs);
    for (size_t i = 0; i < n; i++) {
        if (bias[i].id >= 0 && (size_t)bias[i].id < cs->n_vocab) logits[bias[i].id] += bias[i].bias;
    }
}

bool penalties_open(struct penalties *p, uint32_t last_n, uint32_t n_vocab) {
    assert(last_n > 0 && last_n < INT32_MAX && n_vocab > 0);
    /* Both may be large and mostly unused: zeroed pages cost nothing until they are touched. */
    p->ring = mem_zalloc(last_n, sizeof *p->ring);
    p->count = mem_zalloc(n_vocab, sizeof *p->count);
    p->last_n = last_n;
    p->n_vocab = n_vocab;
    p->len = p->next = 0;
    if (p->ring != NULL && p->count != NULL) return true;
    penalties_close(p);
    return false;
}

void penalties_close(struct penalties *p) {
    mem_free(p->ring);
    mem_free(p->count);
    *p = (struct penalties){0};
}

void penalties_accept(struct penalties *p, token_id id) {
    if (p->last_n == 0 || id < 0 || (uint32_t)id >= p->n_vocab) return;
    if (p->len < p->last_n) {
        p->len++;
    } else {
        assert(p->count[p->ring[p->next]] > 0);
        p->count[p->ring[p->next]]--;
    }
    p->ring[p->next] = id;
    p->next = p->next + 1 == p->last_n ? 0 : p->next + 1;
    p->count[id]++;
}

static inline float penalised(const struct penalties *p, float logit, uint32_t count) {
    float x = logit <= 0.0f ? logit * p->repeat : logit / p->repeat;
    return x - ((float)count * p->frequency + p->presence);
}

/* Not listed: only the tokens of the window are visited, each once. The top bit of a count marks a
 * token that is done. */
static void penalise_logits(struct candidates *cs, struct penalties *p) {
    const uint32_t done = 0x80000000u;
    float *logits = candidates_edit(cs);
    for (uint32_t i = 0; i < p->len; i++) {
        token_id id = p->ring[i];
        if (p->count[id] & done) continue;
        logits[id] = penalised(p, logits[id], p->count[id]);
        p->count[id] |= done;
    }
    for (uint32_t i = 0; i < p->len; i++) p->count[p->ring[i]] &= ~done;
}

void sample_penalties(struct candidates *cs, struct penalties *p) {
    if (p->len == 0 || (p->repeat == 1.0f && p->frequency == 0.0f && p->presence == 0.0f)) return;
    assert(cs->n_vocab == p->n_vocab);
    if (!cs->listed) {
        penalise_logits(cs, p);
        return;
    }
    for (size_t i = 0; i < cs->n; i++) {
        uint32_t count = p->count[cs->c[i].id];
        if (count > 0) cs->c[i].logit = penalised(p, cs->c[i].logit, count);
    }
    cs->sorted = false;
}

/* ---- truncation ---- */

/* Keeps what is at least n standard deviations below the largest. The others stay as -inf. */
void sample_top_n_sigma(struct candidates *cs, float n) {
    if (!(n > 0.0f) || cs->n <= 1) return;
    candidates_list(cs);
    float sum = 0.0f, squares = 0.0f, alive = 0.0f;
    for (size_t i = 0; i < cs->n; i++) {
        if (cs->c[i].logit == -INFINITY) continue;
        sum += cs->c[i].logit;
        alive += 1.0f;
    }
    float mean = alive > 0.0f ? sum / alive : 0.0f;
    for (size_t i = 0; i < cs->n; i++) {
        float d = cs->c[i].logit - mean;
        if (cs->c[i].logit != -INFINITY) squares += d * d;
    }
    float sigma = alive > 0.0f ? sqrtf(squares / alive) : 0.0f;
    float limit = candidates_max(cs) - n * sigma;
    for (size_t i = 0; i < cs->n; i++) {
        if (cs->c[i].logit < limit) cs->c[i].logit = -INFINITY;
    }
}

void sample_top_k(struct candidates *cs, int32_t k) {
    if (k > 0) candidates_first(cs, (size_t)k < cs->n ? (size_t)k : cs->n);
}

void sample_top_p(struct candidates *cs, float p, size_t min_keep) {
    if (p >= 1.0f) return;
    candidates_softmax(cs); /* before sorting: the sum runs in the order that was */
    candidates_sort(cs);
    float sum = 0.0f;
    for (size_t i = 0; i < cs->n; i++) {
        sum += cs->c[i].p;
        if (sum >= p && i + 1 >= min_keep) {
            candidates_cut(cs, i + 1);
            return;
        }
    }
}

/* In list order; false if fewer than min_keep (at least 1) would be left, nothing is changed. */
static bool filter_at_least(struct candidates *cs, float limit, size_t min_keep) {
    size_t kept = 0;
    for (size_t i = 0; i < cs->n; i++) kept += cs->c[i].logit >= limit;
    if (kept == 0 || kept < min_keep) return false;
    size_t n = 0;
    for (size_t i = 0; i < cs->n; i++) {
        if (cs->c[i].logit >= limit) cs->c[n++] = cs->c[i];
    }
    candidates_cut(cs, n);
    return true;
}

void sample_min_p(struct candidates *cs, float p, size_t min_keep) {
    if (!(p > 0.0f)) return;
    candidates_list(cs);
    float limit = candidates_max(cs) + logf(p);
    if (!cs->sorted && filter_at_least(cs, limit, min_keep)) return;
    candidates_sort(cs);
    size_t n = 1;
    while (n < cs->n && (cs->c[n].logit >= limit || n < min_keep)) n++;
    candidates_cut(cs, n);
}

static float entropy(const struct candidates *cs) {
    float h = 0.0f;
    for (size_t i = 0; i < cs->n; i++) {
        if (cs->c[i].p > 0.0f) h -= cs->c[i].p * logf(cs->c[i].p);
    }
    return h;
}

/* Where the surprise -ln p of the sorted list reaches the entropy. */
static size_t typical_border(const struct candidates *cs, float h) {
    size_t lo = 0, hi = cs->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (-logf(cs->c[mid].p) >= h)
            hi = mid;
        else
            lo = mid + 1;
    }
    return lo;
}

/* Orders by |-ln p - H| without sorting: along the sorted list the surprise rises, so the distance
 * from H falls up to the border and rises behind it. Two runs are merged, walking outwards from
 * the border; a group of equal p on the left side is taken by rising index, as everywhere. */
void sample_typical_p(struct candidates *cs, float p) {
    if (p >= 1.0f) return;
    candidates_sort(cs);
    candidates_softmax(cs);
    float h = entropy(cs), sum = 0.0f;
    size_t right = typical_border(cs, h), begin = right, left = right, end = right, n = 0;
    do {
        if (left == end && begin > 0) { /* next group [begin, end) of the left run */
            end = begin;
            do begin--;
            while (begin > 0 && cs->c[begin - 1].p == cs->c[end - 1].p);
            left = begin;
        }
        bool take_left = left < end;
        if (take_left && right < cs->n) {
            take_left = h + logf(cs->c[left].p) <= -logf(cs->c[right].p) - h;
        }
        const struct candidate *next = &cs->c[take_left ? left++ : right++];
        sum += next->p;
        cs->tmp[n++] = *next;
    } while (n < cs->n && !(sum > p));
    candidates_swap(cs);
    candidates_cut(cs, n);
    cs->sorted = cs->by_id = false;
}

static float curvature(const struct candidate *c) {
    return fabsf((c[0].p - c[1].p) - (c[1].p - c[2].p));
}

/* Tail free: cuts where the second differences of the sorted probabilities have used up the share z
 * of their sum. */
void sample_tfs_z(struct candidates *cs, float z, size_t min_keep) {
    if (z >= 1.0f || cs->n <= 2) return;
    candidates_sort(cs);
    candidates_softmax(cs);
    float total = 0.0f, sum = 0.0f;
    for (size_t i = 0; i + 2 < cs->n; i++) total += curvature(&cs->c[i]);
    if (!(total > 0.0f)) return; /* all alike: there is no tail */
    for (size_t i = 0; i + 2 < cs->n; i++) {
        sum += curvature(&cs->c[i]) / total;
        if (sum > z && i >= min_keep) {
            candidates_cut(cs, i > 0 ? i : 1);
            return;
        }
    }
}

/* Exclude top choices: of the candidates that reach the threshold only the weakest stays. */
void sample_xtc(struct candidates *cs, float probability, float threshold, struct rng *rng) {
    if (!(probability > 0.0f) || threshold > 0.5f || cs->n < 2) return;
    if (rng_float(rng) > probability) return;
    candidates_sort(cs);
    candidates_softmax(cs);
    size_t last = 0;
    while (last + 1 < cs->n && cs->c[last + 1].p >= threshold) last++;
    if (last == 0) return;
    memmove(cs->c, cs->c + last, (cs->n - last) * sizeof *cs->c);
    candidates_cut(cs, cs->n - last);
}

/* ---- temperature ---- */

static void keep_largest_only(struct candidates *cs) {
    size_t best = 0;
    for (size_t i = 1; i < cs->n; i++) {
        if (cs->c[i].logit > cs->c[best].logit) best = i;
    }
    for (size_t i = 0; i < cs->n; i++) {
        if (i != best) cs->c[i].logit = -INFINITY;
    }
}

/* Between t - range and t + range, by how even the distribution is (1: all alike). */
static float dynamic_temperature(struct candidates *cs, float t, float range, float exponent) {
    candidates_sort(cs);
    candidates_softmax(cs);
    float low = t - range > 0.0f ? t - range : 0.0f, high = t + range;
    float evenness = entropy(cs) / logf((float)cs->n);
    return low + (high - low) * powf(evenness, exponent);
}

void sample_temperature(struct candidates *cs, float t, float range, float exponent) {
    if (range > 0.0f ? cs->n <= 1 : t == 1.0f) return;
    candidates_list(cs);
    if (range > 0.0f) t = dynamic_temperature(cs, t, range, exponent);
    if (!(t > 0.0f)) {
        keep_largest_only(cs);
        return;
    }
    for (size_t i = 0; i < cs->n; i++) cs->c[i].logit /= t;
}

/* ---- the choice ---- */

void sample_greedy(struct candidates *cs) {
    candidates_first(cs, 1);
    cs->chosen = 0;
}

/* The total is a double and u is scaled by it, so p need not be normalised first; it is for
 * whoever reads it later. */
void sample_dist(struct candidates *cs, struct rng *rng) {
    candidates_list(cs);
    double u = rng_double(rng), total = 0, running = 0; /* one candidate: drawn and not used */
    float max = candidates_max(cs);
    for (size_t i = 0; i < cs->n; i++) {
        float x = cs->c[i].logit;
        cs->c[i].p = x == max ? 1.0f : expf(x - max);
        total += (double)cs->c[i].p;
    }
    cs->chosen = cs->n - 1;
    for (size_t i = 0; i < cs->n; i++) {
        running += (double)cs->c[i].p;
        if (running >= u * total) {
            cs->chosen = i;
            break;
        }
    }
    for (size_t i = 0; i < cs->n; i++) cs->c[i].p = (float)((double)cs->c[i].p / total);
}

/* Mirostat's draw, over p. It differs from dist in the last bits and draws nothing for one
 * candidate (the standard library's discrete distribution, which the peer uses). */
static void choose_by_p(struct candidates *cs, struct rng *rng) {
    cs->chosen = 0;
    if (cs->n < 2) return;
    double total = 0, running = 0, u = rng_double(rng);
    for (size_t i = 0; i < cs->n; i++) total += (double)cs->c[i].p;
    while (cs->chosen + 1 < cs->n) {
        running += (double)cs->c[cs->chosen].p / total;
        if (running >= u) return;
        cs->chosen++;
    }
}

static void mirostat_choose(struct candidates *cs, struct mirostat *m, struct rng *rng) {
    candidates_softmax(cs);
    choose_by_p(cs, rng);
    float surprise = -log2f(cs->c[cs->chosen].p);
    m->mu -= m->eta * (surprise - m->tau);
}

/* Zipf's exponent, estimated from the ratios of the first 100 probabilities. */
static float zipf_exponent(const struct candidates *cs) {
    float tb = 0.0f, tt = 0.0f;
    for (size_t i = 0; i + 1 < cs->n && i < 99; i++) {
        float t = logf((float)(i + 2) / (float)(i + 1));
        float b = logf(cs->c[i].p / cs->c[i + 1].p);
        tb += t * b;
        tt += t * t;
    }
    return tb / tt;
}

void sample_mirostat_1(struct candidates *cs, struct mirostat *m, struct rng *rng) {
    candidates_sort(cs);
    candidates_softmax(cs);
    float s = zipf_exponent(cs), e = s - 1.0f, n_vocab = (float)cs->n_vocab;
    float k = powf(e * powf(2.0f, m->mu) / (1.0f - powf(n_vocab, -e)), 1.0f / s);
    /* NaN (one candidate, or ratios that overflow) keeps one, as every k below 2 does. */
    size_t keep = k >= (float)cs->n ? cs->n : k >= 1.0f ? (size_t)k : 1;
    candidates_cut(cs, keep);
    mirostat_choose(cs, m, rng);
}

void sample_mirostat_2(struct candidates *cs, struct mirostat *m, struct rng *rng) {
    candidates_sort(cs);
    candidates_softmax(cs);
    size_t n = 1;
    while (n < cs->n && !(-log2f(cs->c[n].p) > m->mu)) n++;
    candidates_cut(cs, n);
    mirostat_choose(cs, m, rng);
}

/* ---- adaptive-p ---- */

void adaptive_init(struct adaptive *a, float target, float decay) {
    decay = fminf(fmaxf(decay, 0.0f), 0.99f);
    *a = (struct adaptive){.target = target,
                           .decay = decay,
                           .sum = target / (1.0f - decay),
                           .weight = 1.0f / (1.0f - decay),
                           .pending = TOKEN_NONE};
}

void adaptive_accept(struct adaptive *a, token_id id) {
    if (a->pending == TOKEN_NONE) return;
    if (a->pending == id) {
        a->sum = a->pending_p + a->decay * a->sum;
        a->weight = 1.0f + a->decay * a->weight;
    }
    a->pending = TOKEN_NONE;
}

/* Candidates near the probability that brings the average back to the target gain, others lose. */
void sample_adaptive(struct candidates *cs, struct adaptive *a, struct rng *rng) {
    candidates_softmax(cs);
    if (a->target < 0.0f) {
        choose_by_p(cs, rng);
        return;
    }
    float target = fminf(a->target, 1.0f);
    if (a->weight != 0.0f) target = fminf(fmaxf(2.0f * target - a->sum / a->weight, 0.0f), 1.0f);
    for (size_t i = 0; i < cs->n; i++) {
        cs->tmp[i].p = cs->c[i].p;
        if (cs->c[i].logit == -INFINITY) continue;
        const float d = fabsf(cs->c[i].p - target) / 0.3f;
        cs->c[i].logit = 5.0f - 10.0f * d * d / (1.0f + d);
    }
    cs->sorted = false;
    candidates_softmax(cs);
    choose_by_p(cs, rng);
    a->pending = cs->c[cs->chosen].id;
    a->pending_p = cs->tmp[cs->chosen].p;
}
