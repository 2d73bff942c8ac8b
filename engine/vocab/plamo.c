/* plamo.c - the tokenizer of PLaMo 2 (spec/tokenizers.md 7.6): the cheapest way to write a text,
 * costs in whole numbers, found from the end; characters that no token writes become their bytes.
 *
 * Costs are those of the rest of the text from each character on, and only those within reach of
 * the longest token are kept; what was chosen takes 4 bytes for each byte of the text. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "engine/file/gguf.h"
#include "engine/vocab/pretok.h"
#include "engine/vocab/vocab_impl.h"

#define SPELLED UINT32_MAX /* chosen: the bytes of one character */
static const int64_t SPELLING_COST = 10000000, NO_COST = 1LL << 60;
/* So that the sum over the longest text stays below NO_COST; real ones are below 10^6. */
static const double MAX_COST = 1e9;

static int32_t cost_of_score(double score) {
    const double cost = floor(fabs(score) * 1e4 + 0.5);
    const double bounded = cost < MAX_COST ? cost : MAX_COST; /* NaN, too */
    return (int32_t)(score >= 0 ? -bounded : bounded);
}

static enum status load_costs(struct vocab *v, const struct gguf *g, struct err *e) {
    const struct gguf_kv *scores = gguf_find(g, "tokenizer.ggml.scores");
    v->cost = mem_array(v->n, sizeof *v->cost);
    if (v->cost == NULL) return err_no_memory(e);
    for (uint32_t i = 0; i < v->n; i++)
        v->cost[i] = cost_of_score(scores != NULL ? gguf_elem_float(scores, i) : 0.0);
    for (unsigned b = 0; b < 256; b++) {
        char text[8];
        snprintf(text, sizeof text, "<0x%02X>", b);
        if (vocab_find(v, text, 6) <= 0) return err_set(e, ST_FORMAT, "token %s is missing", text);
    }
    return ST_OK;
}

/* Texts as lenient decoding sees them; byte tokens write nothing. */
static enum status load_trie(struct vocab *v, struct err *e) {
    struct span *clean = mem_array(v->n, sizeof *clean);
    struct buf copy = {0};
    bool ok = clean != NULL;
    for (uint32_t i = 0; i < v->n && ok; i++) {
        const char *text;
        size_t len;
        clean[i] = v->text[i];
        if ((v->attr[i] & TOKEN_BYTE) != 0) clean[i].len = 0;
        ok = pretok_clean(span_ptr(v, clean[i]), clean[i].len, &copy, &text, &len);
        if (ok && text == copy.data && len > 0) ok = bytes_add(v, text, len, &clean[i]);
        if (clean[i].len > v->max_key) v->max_key = clean[i].len;
    }
    const enum status st = ok ? spans_to_trie(v, &v->trie, clean, ANY_ATTR, e) : err_no_memory(e);
    buf_free(&copy);
    mem_free(clean);
    return st;
}

enum status plamo_load(struct vocab *v, const struct gguf *g, struct err *e) {
    const enum status st = load_costs(v, g, e);
    return st == ST_OK ? load_trie(v, e) : st;
}

/* As pretok_clean(), but values above 10FFFF, which no token has, stay one character. */
static bool clean_text(const char *text, size_t len, struct buf *out) {
    buf_clear(out);
    for (size_t i = 0; i < len;) {
        uint32_t cp;
        char c[4];
        unsigned n = utf8_decode_lenient(text + i, len - i, &cp);
        const unsigned char *u = (const unsigned char *)text + i;
        if (n == 1 && u[0] >= 0xF4 && u[0] < 0xF8 && len - i >= 4 && (u[1] & 0xC0) == 0x80 &&
            (u[2] & 0xC0) == 0x80 && (u[3] & 0xC0) == 0x80) {
            buf_add(out, u, 4);
            n = 4;
        } else {
            buf_add(out, c, utf8_encode(cp, c));
        }
        i += n;
    }
    if (out->len >= 3 && memcmp(out->data, "\xEF\xBB\xBF", 3) == 0) buf_drop(out, 3);
    return !out->failed;
}

struct path {
    const struct vocab *v;
    const char *text;
    size_t len;
    int64_t *cost; /* [mask + 1], of the rest from i at i & mask */
    size_t mask;
    uint32_t *chosen; /* [len], at the first byte of a character */
};

/* The longest of the cheapest, the bytes only if they are cheaper than all tokens. */
static void choose(struct path *p, size_t i, size_t n) {
    int64_t best = NO_COST;
    uint32_t node = TRIE_ROOT;
    p->chosen[i] = SPELLED;
    for (size_t k = i; k < p->len;) {
        node = trie_step(&p->v->trie, node, p->text[k++]);
        if (node == TRIE_NONE) break;
        const uint32_t id = trie_value(&p->v->trie, node);
        if (id == TRIE_NONE) continue;
        const int64_t cost = p->cost[k & p->mask] + p->v->cost[id];
        if (cost > best) continue;
        best = cost;
        p->chosen[i] = id;
    }
    const int64_t spelled = p->cost[(i + n) & p->mask] + SPELLING_COST;
    if (spelled < best) {
        best = spelled;
        p->chosen[i] = SPELLED;
    }
    p->cost[i & p->mask] = best;
}

static void walk_back(struct path *p) {
    p->cost[p->len & p->mask] = 0;
    for (size_t end = p->len; end > 0;) {
        size_t i = end - 1;
        while (i > 0 && ((unsigned char)p->text[i] & 0xC0) == 0x80) i--;
        choose(p, i, end - i);
        end = i;
    }
}

static bool collect(const struct path *p, struct token_list *out) {
    const struct vocab *v = p->v;
    for (size_t i = 0; i < p->len;) {
        const uint32_t id = p->chosen[i];
        size_t n = char_len((unsigned char)p->text[i], p->len - i);
        if (id != SPELLED) {
            if (!token_list_add(out, (token_id)id)) return false;
            uint32_t same = 0, len = 0; /* the token's length in the text: walk once more */
            for (uint32_t node = TRIE_ROOT; same != id || len == 0;) {
                node = trie_step(&v->trie, node, p->text[i + len++]);
                same = trie_value(&v->trie, node);
            }
            i += len;
            continue;
        }
        for (; n > 0; n--, i++) {
            if (!token_list_add(out, v->byte_token[(unsigned char)p->text[i]])) return false;
        }
    }
    return true;
}

enum status plamo_encode(const struct vocab *v, struct vocab_scratch *s, const char *text,
                         size_t len, bool first, struct token_list *out, struct err *e) {
    (void)first;
    if (!clean_text(text, len, &s->word)) return err_no_memory(e);
    if (s->word.len == 0) return ST_OK;
    struct path p = {.v = v, .text = s->word.data, .len = s->word.len, .mask = 7};
    while (p.mask < (size_t)v->max_key + 4) p.mask = 2 * p.mask + 1;
    p.cost = mem_array(p.mask + 1, sizeof *p.cost);
    p.chosen = mem_array(p.len, sizeof *p.chosen);
    bool ok = p.cost != NULL && p.chosen != NULL;
    if (ok) {
        walk_back(&p);
        ok = collect(&p, out);
    }
    mem_free(p.cost);
    mem_free(p.chosen);
    return ok ? ST_OK : err_no_memory(e);
}
