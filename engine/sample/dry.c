/* dry.c - see dry.h: the history and the penalty.
 *
 * How long the suffix is that position j of the history repeats is found for all j at once: with
 * the history reversed, it is the longest common prefix with the suffix at k = n - j, the Z array
 * (Main and Lorentz 1984), made in one pass. */
#include "engine/sample/dry.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "engine/sample/sampler_impl.h"

enum dry_role { DRY_HEAD = 1, DRY_ALONE = 2 }; /* begins a breaker; is one */

bool dry_is_on(float multiplier, float base, int64_t last_n) {
    return multiplier != 0.0f && base >= 1.0f && last_n > 0;
}

/* -- life
 * -------------------------------------------------------------------------------------------- */

static bool copy_breakers(struct dry *d, const struct dry_breakers *from) {
    d->breakers.list = mem_array(from->n, sizeof *from->list);
    if (d->breakers.list == NULL) return false;
    if (from->n > 0) memcpy(d->breakers.list, from->list, from->n * sizeof *from->list);
    d->breakers.n = d->breakers.cap = from->n;
    dry_breakers_sort(&d->breakers);
    for (size_t i = 0; i < from->n; i++) {
        const struct dry_breaker *b = &from->list[i];
        if (b->head < 0 || (uint32_t)b->head >= d->n_vocab) continue;
        d->role[b->head] |= (unsigned char)(b->n_tail == 0 ? DRY_HEAD | DRY_ALONE : DRY_HEAD);
    }
    return true;
}

bool dry_open(struct dry *d, uint32_t last_n, uint32_t n_vocab,
              const struct dry_breakers *breakers) {
    assert(last_n > 0 && last_n < INT32_MAX && n_vocab > 0);
    static const struct dry_breakers none = {0};
    d->last_n = last_n;
    d->n_vocab = n_vocab;
    d->n_history = 0;
    d->history = mem_zalloc(last_n, 2 * sizeof *d->history); /* untouched pages cost nothing */
    d->repeat = mem_zalloc(last_n, sizeof *d->repeat);
    d->longest = mem_zalloc(n_vocab, sizeof *d->longest);
    d->role = mem_zalloc(n_vocab, 1);
    if (d->history != NULL && d->repeat != NULL && d->longest != NULL && d->role != NULL &&
        copy_breakers(d, breakers != NULL ? breakers : &none))
        return true;
    dry_close(d);
    return false;
}

void dry_close(struct dry *d) {
    mem_free(d->history);
    mem_free(d->repeat);
    mem_free(d->longest);
    mem_free(d->role);
    dry_breakers_free(&d->breakers);
    *d = (struct dry){0};
}

void dry_accept(struct dry *d, token_id id) {
    if (d->last_n == 0 || id < 0 || (uint32_t)id >= d->n_vocab) return;
    if (d->n_history == 2 * d->last_n) { /* the older half is out of the window */
        memcpy(d->history, d->history + d->last_n, d->last_n * sizeof *d->history);
        d->n_history = d->last_n;
    }
    d->history[d->n_history++] = id;
}

/* -- the penalty
 * ------------------------------------------------------------------------------------- */

/* The longest tail of the breakers with this head that the tokens behind it write; -1: none. */
static int64_t tail_behind(const struct dry *d, token_id head, const token_id *behind, uint32_t n) {
    size_t lo = 0, hi = d->breakers.n;
    int64_t best = -1;
    while (lo < hi) {
        const size_t mid = lo + (hi - lo) / 2;
        if (d->breakers.list[mid].head < head)
            lo = mid + 1;
        else
            hi = mid;
    }
    for (; lo < d->breakers.n && d->breakers.list[lo].head == head; lo++) {
        const struct dry_breaker *b = &d->breakers.list[lo];
        if (b->n_tail > n || memcmp(b->tail, behind, b->n_tail * sizeof *behind) != 0) continue;
        if ((int64_t)b->n_tail > best) best = b->n_tail;
    }
    return best;
}

/* How far back a repetition may reach: to the last breaker. */
static uint32_t reach(const struct dry *d, const token_id *h, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) {
        const token_id id = h[n - 1 - i];
        if ((d->role[id] & DRY_HEAD) == 0) continue;
        const int64_t tail = tail_behind(d, id, h + n - i, i);
        if (tail >= 0) return i - (uint32_t)tail;
    }
    return n;
}

/* repeat[k], k >= 1: common prefix of the reversed history and its suffix at k. */
static void fill_repeats(const struct dry *d, const token_id *h, uint32_t n) {
    uint32_t *z = d->repeat, left = 0,
             right = 0;               /* the match that reaches furthest: [left, right) */
    const token_id *last = h + n - 1; /* the reversed history is last[0], last[-1], ... */
    for (uint32_t k = 1; k < n; k++) {
        uint32_t len = 0;
        if (k < right) len = z[k - left] < right - k ? z[k - left] : right - k;
        while (k + len < n && *(last - len) == *(last - (k + len))) len++;
        z[k] = len;
        if (k + len > right) {
            left = k;
            right = k + len;
        }
    }
}

static float penalty(const struct dry *d, uint32_t length) {
    uint32_t exponent = length - d->allowed;
    const float longest = d->base > 1.000001f ? 88.7228391f / logf(d->base) : 0.0f; /* FLT_MAX */
    if (longest >= 1.0f && (float)exponent > longest) exponent = (uint32_t)longest;
    return d->multiplier * powf(d->base, (float)exponent);
}

static void penalise(struct candidates *cs, const struct dry *d) {
    if (!cs->listed) {
        float *logits = candidates_edit(cs);
        const token_id *h = d->history;
        for (uint32_t i = 0; i < d->n_history; i++) { /* only tokens of the history are penalised */
            uint32_t *longest = &d->longest[h[i]];
            if (*longest != 0) logits[h[i]] -= penalty(d, *longest - 1);
            *longest = 0;
        }
        return;
    }
    for (size_t i = 0; i < cs->n; i++) {
        const uint32_t longest = d->longest[cs->c[i].id];
        if (longest != 0) cs->c[i].logit -= penalty(d, longest - 1);
    }
    for (uint32_t i = 0; i < d->n_history; i++) d->longest[d->history[i]] = 0;
    cs->sorted = false;
}

void sample_dry(struct candidates *cs, struct dry *d) {
    const uint32_t n = d->n_history < d->last_n ? d->n_history : d->last_n;
    if (!dry_is_on(d->multiplier, d->base, d->last_n) || n <= d->allowed) return;
    const token_id *h = d->history + d->n_history - n;
    const uint32_t limit = reach(d, h, n);
    if (limit < d->allowed) return;
    fill_repeats(d, h, n);
    for (uint32_t k = 1; k < n; k++) {
        const token_id next = h[n - k];
        const uint32_t length = d->repeat[k] < limit ? d->repeat[k] : limit;
        if (length < d->allowed || (d->role[next] & DRY_ALONE) != 0) continue;
        if (d->longest[next] < length + 1) d->longest[next] = length + 1;
    }
    penalise(cs, d);
}
