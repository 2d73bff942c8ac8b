/* ugm.c - the unigram tokenizer of T5 and its relatives (spec/tokenizers.md 7.4).
 *
 * A text is normalised (ugm_norm.c), then the cheapest way to write it with tokens is found:
 * walking forwards, best[i] is the token that ends the best way to write the first i bytes. Scores
 * are doubles and only those within reach of the longest token are kept, so a text costs 4 bytes
 * for each of its own and a ring of doubles. */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "engine/file/gguf.h"
#include "engine/vocab/ugm_norm.h"
#include "engine/vocab/vocab_impl.h"

/* best[i] above all ids: an unknown character of 1..4 bytes ends here; or nothing does. */
#define UNKNOWN_BASE (UINT32_MAX - 8)
#define NO_WAY UINT32_MAX

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

enum status ugm_load(struct vocab *v, const struct gguf *g, struct err *e) {
    enum status st = load_scores(v, g, e);
    if (st == ST_OK) st = tokens_to_trie(v, &v->trie, TOKEN_NORMAL | TOKEN_USER | TOKEN_UNUSED, e);
    if (st == ST_OK) st = tokens_to_trie(v, &v->user_trie, TOKEN_USER, e);
    return st == ST_OK ? charsmap_load(&v->charsmap, g, e) : st;
}

/* -- the best way
 * ---------------------------------------------------------------------------------- */

struct lattice {
    const struct vocab *v;
    const char *text;
    size_t len;
    double *score; /* [mask + 1], of position i at i & mask */
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

static void walk(struct lattice *l) {
    for (size_t i = 0; i <= l->mask; i++) l->score[i] = -(double)INFINITY;
    l->score[0] = 0.0;
    for (size_t i = 0, n; i < l->len; i += n) {
        n = char_len((unsigned char)l->text[i], l->len - i);
        extend(l, i, n);
        for (size_t k = i; k < i + n; k++) l->score[k & l->mask] = -(double)INFINITY;
    }
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

static bool encode_normal(const struct vocab *v, const char *text, size_t len,
                          struct token_list *out) {
    struct lattice l = {.v = v, .text = text, .len = len, .mask = 7};
    while (l.mask < (size_t)v->max_key + 4) l.mask = 2 * l.mask + 1;
    l.score = mem_array(l.mask + 1, sizeof *l.score);
    l.best = mem_array(len + 1, sizeof *l.best);
    bool ok = l.score != NULL && l.best != NULL;
    if (ok) {
        memset(l.best, 0xFF, (len + 1) * sizeof *l.best); /* NO_WAY */
        walk(&l);
        ok = collect(&l, out);
    }
    mem_free(l.score);
    mem_free(l.best);
    return ok;
}

enum status ugm_encode(const struct vocab *v, struct vocab_scratch *s, const char *text, size_t len,
                       bool first, struct token_list *out, struct err *e) {
    (void)first;
    const enum status st = ugm_normalise(v, text, len, &s->word, e);
    if (st != ST_OK || s->word.len == 0) return st;
    return encode_normal(v, s->word.data, s->word.len, out) ? ST_OK : err_no_memory(e);
}
