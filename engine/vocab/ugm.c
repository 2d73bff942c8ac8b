/* ugm.c - the unigram tokenizer of T5 and its relatives (spec/tokenizers.md 7.4).
 *
 * A text is normalised (ugm_norm.c), then the cheapest way to write it with tokens is found:
 * walking forwards, best[i] is the token that ends the best way to write the first i bytes. Scores
 * are doubles and only those within reach of the longest token are kept, so a text costs 4 bytes
 * for each of its own and a ring of doubles.
 *
 * Where no token reaches over the beginning of a word (U+2581, which stands for a space), words can
 * be written one by one, and texts repeat their words: most are copied from where they came before.
 * That is exact if the sums of scores are: then the best way to write a word does not depend on
 * what is in front of it (can_split). */
#include <assert.h>
#include <float.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "engine/file/gguf.h"
#include "engine/vocab/ugm_norm.h"
#include "engine/vocab/vocab_impl.h"

/* best[i] above all ids: an unknown character of 1..4 bytes ends here; or nothing does. */
#define UNKNOWN_BASE (UINT32_MAX - 8)
#define NO_WAY UINT32_MAX

enum { MARK_LEN = 3, WORD_MAX = 48, IN_TRIE = TOKEN_NORMAL | TOKEN_USER | TOKEN_UNUSED };
static const char MARK[] = "\xE2\x96\x81";

static enum status load_scores(struct vocab *v, const struct gguf *g, struct err *e) {
    const struct gguf_kv *scores = gguf_find(g, "tokenizer.ggml.scores");
    double lowest = (double)INFINITY;
    v->score = mem_array(v->n, sizeof *v->score);
    if (v->score == NULL) return err_no_memory(e);
    for (uint32_t i = 0; i < v->n; i++) {
        const double score = scores != NULL ? gguf_elem_float(scores, i) : 0.0;
        v->score[i] = (v->attr[i] & TOKEN_USER) != 0 ? 0.0F : (float)score;
        if ((v->attr[i] & TOKEN_NORMAL) != 0 && score < lowest) lowest = score;
    }
    v->unknown_score = isfinite(lowest) ? lowest - 10.0 : -10.0;
    return ST_OK;
}

/* Scores are multiples of a power of two; sums of doubles are exact up to 2^53 of it. Returns half
 * of that, which leaves room for a word; 0: no sum is sure to be. */
static double exact_sum(const struct vocab *v) {
    int unit = 0; /* 10.0, a part of unknown_score, is a multiple of 1 */
    if (!isfinite(v->unknown_score)) return 0;
    for (uint32_t i = 0; i < v->n; i++) {
        int exponent;
        const float part = frexpf(v->score[i], &exponent);
        if (!isfinite(v->score[i])) return 0;
        if (part == 0.0F) continue;
        const uint32_t bits = (uint32_t)fabsf(ldexpf(part, FLT_MANT_DIG));
        exponent += (int)__builtin_ctz(bits) - FLT_MANT_DIG;
        if (exponent < unit) unit = exponent;
    }
    return ldexp(1.0, DBL_MANT_DIG - 1 + unit);
}

/* Whether a token has a mark behind something else. */
static bool reaches_over(const char *text, size_t len) {
    size_t i = 0;
    while (i + MARK_LEN <= len && memcmp(text + i, MARK, MARK_LEN) == 0) i += MARK_LEN;
    for (; i + MARK_LEN <= len; i++)
        if (text[i] == MARK[0] && memcmp(text + i, MARK, MARK_LEN) == 0) return true;
    return false;
}

/* Up to which sum of scores words can be written one by one; 0: they cannot. */
static double can_split(const struct vocab *v) {
    for (uint32_t i = 0; i < v->n; i++) {
        if ((v->attr[i] & IN_TRIE) != 0 && reaches_over(span_ptr(v, v->text[i]), v->text[i].len))
            return 0;
    }
    return exact_sum(v);
}

enum status ugm_load(struct vocab *v, const struct gguf *g, struct err *e) {
    enum status st = load_scores(v, g, e);
    if (st == ST_OK) st = tokens_to_trie(v, &v->trie, IN_TRIE, e);
    if (st == ST_OK) st = tokens_to_trie(v, &v->user_trie, TOKEN_USER, e);
    if (st == ST_OK) st = charsmap_load(&v->charsmap, g, e);
    if (st != ST_OK) return st;
    ugm_ascii(v);
    v->exact_sum = can_split(v);
    return ST_OK;
}

/* -- the best way
 * ---------------------------------------------------------------------------------- */

struct lattice {
    const struct vocab *v;
    const char *text;
    size_t len;
    double *score; /* [mask + 1], of position i at i & mask; -inf between two texts */
    size_t mask;
    uint32_t *best; /* [len + 1] */
};

static void offer(struct lattice *l, size_t at, double score, uint32_t id) {
    if (!(score > l->score[at & l->mask])) return;
    l->score[at & l->mask] = score;
    l->best[at] = id;
}

/* All that may begin at i; n: the length of the character there. */
static void extend(struct lattice *l, size_t i, size_t n) {
    const struct vocab *v = l->v;
    const double here = l->score[i & l->mask];
    bool covered = false;
    uint32_t node = TRIE_ROOT;
    for (size_t k = i; k < l->len;) {
        node = trie_step(&v->trie, node, l->text[k++]);
        if (node == TRIE_NONE) break;
        const uint32_t id = trie_value(&v->trie, node);
        if (id == TRIE_NONE) continue;
        if (k - i == n) covered = true;
        offer(l, k, here + (double)v->score[id], id);
    }
    if (!covered) offer(l, i + n, here + v->unknown_score, UNKNOWN_BASE + (uint32_t)n);
}

/* Returns the score of the whole. */
static double walk(struct lattice *l) {
    memset(l->best, 0xFF, (l->len + 1) * sizeof *l->best); /* NO_WAY */
    l->score[0] = 0.0;
    for (size_t i = 0, n; i < l->len; i += n) {
        n = char_len((unsigned char)l->text[i], l->len - i);
        extend(l, i, n);
        for (size_t k = i; k < i + n; k++) l->score[k & l->mask] = -(double)INFINITY;
    }
    const double whole = l->score[l->len & l->mask];
    l->score[l->len & l->mask] = -(double)INFINITY;
    return whole;
}

/* The tokens from the end to the start, then turned around. Neighbouring unknown ones are one. */
static bool collect(const struct lattice *l, struct token_list *out) {
    const struct vocab *v = l->v;
    const size_t begin = out->len;
    bool was_unknown = false;
    for (size_t at = l->len; at > 0;) {
        const uint32_t best = l->best[at];
        const bool unknown = best >= UNKNOWN_BASE || (token_id)best == v->special.unk;
        const token_id id = unknown ? v->special.unk : (token_id)best;
        if (!(unknown && was_unknown) && id != TOKEN_NONE && !token_list_add(out, id)) return false;
        was_unknown = unknown;
        if (best == NO_WAY) break;
        at -= best >= UNKNOWN_BASE ? best - UNKNOWN_BASE : v->key[best].len;
    }
    for (size_t a = begin, b = out->len; a + 1 < b; a++) {
        const token_id id = out->ids[a];
        out->ids[a] = out->ids[--b];
        out->ids[b] = id;
    }
    return true;
}

/* -- words ---------------------------------------------------------------------------------- */

static bool reserve(const struct vocab *v, struct vocab_scratch *s, size_t len, size_t *mask) {
    for (*mask = 7; *mask < (size_t)v->max_key + 4;) *mask = 2 * *mask + 1;
    if (s->score == NULL) {
        s->score = mem_array(*mask + 1, sizeof *s->score);
        for (size_t i = 0; s->score != NULL && i <= *mask; i++) s->score[i] = -(double)INFINITY;
    }
    if (len + 1 > s->best_cap) {
        const size_t cap = len + 1 > 2 * s->best_cap ? len + 1 : 2 * s->best_cap;
        uint32_t *best = mem_grow(s->best, cap, sizeof *best);
        if (best == NULL) return false;
        s->best = best;
        s->best_cap = cap;
    }
    return s->score != NULL;
}

static bool solve(const struct vocab *v, struct vocab_scratch *s, const char *text, size_t len,
                  struct token_list *out, double *score) {
    size_t mask;
    if (!reserve(v, s, len, &mask)) return false;
    struct lattice l = {v, text, len, s->score, mask, s->best};
    *score = walk(&l);
    return collect(&l, out);
}

struct words { /* of one text */
    const struct vocab *v;
    struct vocab_scratch *s;
    struct token_list *out;
    size_t begin; /* of its ids in out */
    double sum;   /* of the scores, without sign */
};

static void drop_id(struct token_list *t, size_t at) {
    t->len--;
    memmove(t->ids + at, t->ids + at + 1, (t->len - at) * sizeof *t->ids);
}

/* Unknown tokens side by side are one, also from word to word. */
static bool add_word(struct words *w, const char *text, size_t len) {
    struct token_list *out = w->out;
    const token_id unk = w->v->special.unk;
    const bool is_short = len <= WORD_MAX;
    struct seen_piece *slot = is_short ? seen_slot(w->s, index_hash(w->v, text, len)) : NULL, fresh;
    const size_t first = out->len;
    const bool behind_unknown = first > w->begin && unk != TOKEN_NONE && out->ids[first - 1] == unk;
    if (seen_is(w->s, slot, text, len)) {
        w->sum += fabs(slot->score);
        return seen_copy(slot, behind_unknown && out->ids[slot->first] == unk ? 1 : 0, out);
    }
    if (!solve(w->v, w->s, text, len, out, &fresh.score)) return false;
    w->sum += fabs(fresh.score);
    fresh = (struct seen_piece){text,        (uint32_t)len, (uint32_t)(out->len - first),
                                w->s->round, first,         fresh.score};
    if (behind_unknown && fresh.n_ids > 0 && out->ids[first] == unk)
        drop_id(out, first);
    else if (slot != NULL && fresh.n_ids > 0)
        *slot = fresh;
    return true;
}

/* Cuts in front of each run of marks. */
static bool add_words(struct words *w, const char *text, size_t len) {
    size_t start = 0;
    bool was_mark = false;
    for (size_t i = 0, n; i < len && w->sum < w->v->exact_sum; i += n) {
        n = char_len((unsigned char)text[i], len - i);
        const bool mark = n == MARK_LEN && memcmp(text + i, MARK, MARK_LEN) == 0;
        if (mark && !was_mark && i > start) {
            if (!add_word(w, text + start, i - start)) return false;
            start = i;
        }
        was_mark = mark;
    }
    return add_word(w, text + start, len - start);
}

static bool encode_normal(const struct vocab *v, struct vocab_scratch *s, const char *text,
                          size_t len, struct token_list *out) {
    struct words w = {v, s, out, out->len, 0.0};
    double score;
    scratch_begin(s, len);
    if (v->exact_sum > 0 && !add_words(&w, text, len)) return false;
    if (w.sum < v->exact_sum) return true;
    out->len = w.begin;
    return solve(v, s, text, len, out, &score);
}

enum status ugm_encode(const struct vocab *v, struct vocab_scratch *s, const char *text, size_t len,
                       bool first, struct token_list *out, struct err *e) {
    (void)first;
    const enum status st = ugm_normalise(v, text, len, &s->word, e);
    if (st != ST_OK || s->word.len == 0) return st;
    return encode_normal(v, s, s->word.data, s->word.len, out) ? ST_OK : err_no_memory(e);
}
