/* vocab_cut.c - special tokens in a text: cutting it into fragments (spec/tokenizers.md 4).
 *
 * The rule is sequential: for each special token, longest first (equal lengths: lower id first),
 * cut it out of every part that is still raw, from left to right. A longer token therefore wins
 * over a shorter one that begins earlier. The same result with work proportional to the text:
 *
 *   1. At each position find the longest special token that begins there (the list is sorted by
 *      text; two tables say which bytes, and which second bytes, can begin one).
 *   2. Take these candidates in the rule's order from a heap. One that still lies in raw text is
 * cut out. One that does not is replaced by the longest token at its place that fits before the
 *      next cut; that one is shorter, so its turn is still to come.
 *
 * A bit map of the bytes that are no longer raw says what fits; white space that a token strips
 * counts as no longer raw. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "engine/vocab/vocab_heap.h"
#include "engine/vocab/vocab_impl.h"

/* -- the sets of special tokens ---------------------------------------------------------------- */

static int by_order(const void *a, const void *b) {
    const struct special_text *x = a, *y = b;
    if (x->len != y->len) return x->len < y->len ? 1 : -1;
    return x->id < y->id ? -1 : 1;
}

static int by_text(const void *a, const void *b) {
    const struct special_text *x = a, *y = b;
    int c = memcmp(x->text, y->text, x->len < y->len ? x->len : y->len);
    return c != 0 ? c : x->len < y->len ? -1 : 1; /* no two are equal */
}

static void fill_tables(struct special_set *set) {
    uint32_t i = 0;
    for (uint32_t b = 0; b < 256; b++) {
        set->first[b] = i;
        for (; i < set->n && (unsigned char)set->list[i].text[0] == b; i++) {
            const struct special_text *t = &set->list[i];
            if (t->len == 1)
                memset(set->second[b], 0xFF, sizeof set->second[b]);
            else
                set->second[b][(unsigned char)t->text[1] >> 6] |= 1ull << (t->text[1] & 63);
        }
    }
    set->first[256] = i;
}

static bool build_set(struct vocab *v, struct special_set *set, unsigned any, unsigned none) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < v->n; i++) n += (v->attr[i] & any) != 0 && (v->attr[i] & none) == 0;
    set->list = mem_array(n, sizeof *set->list);
    set->by_order = mem_array(n, sizeof *set->by_order);
    if (set->list == NULL || set->by_order == NULL) return false;
    for (uint32_t i = 0; i < v->n; i++) {
        if ((v->attr[i] & any) == 0 || (v->attr[i] & none) != 0) continue;
        set->list[set->n++] = (struct special_text){
            .text = span_ptr(v, v->text[i]), .len = v->text[i].len, .id = (token_id)i};
    }
    qsort(set->list, n, sizeof *set->list, by_order);
    for (uint32_t i = 0; i < n; i++) set->list[i].order = i;
    qsort(set->list, n, sizeof *set->list, by_text);
    for (uint32_t i = 0; i < n; i++) set->by_order[set->list[i].order] = i;
    fill_tables(set);
    return true;
}

bool special_set_build(struct vocab *v) {
    return build_set(v, &v->user, TOKEN_USER, TOKEN_CONTROL | TOKEN_UNKNOWN) &&
           build_set(v, &v->all, TOKEN_USER | TOKEN_CONTROL | TOKEN_UNKNOWN, 0);
}

void special_set_free(struct special_set *set) {
    mem_free(set->list);
    mem_free(set->by_order);
}

/* First of list[lo..hi), which agree in their first k bytes, whose byte k is above c (or not below
 * it, if `from` is set). */
static uint32_t bound(const struct special_set *set, uint32_t lo, uint32_t hi, size_t k,
                      unsigned char c, bool from) {
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        unsigned char m = (unsigned char)set->list[mid].text[k];
        if (from ? m < c : m <= c)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* The longest special token that p begins with, at most len bytes; NULL: none. */
static const struct special_text *longest_at(const struct special_set *set, const char *p,
                                             size_t len) {
    const struct special_text *best = NULL;
    uint32_t lo = set->first[(unsigned char)*p], hi = set->first[(unsigned char)*p + 1];
    for (size_t k = 1; lo < hi; k++) { /* list[lo..hi) begins with p[0..k) */
        if (set->list[lo].len == k) best = &set->list[lo++];
        if (k >= len || lo == hi) break;
        unsigned char c = (unsigned char)p[k];
        bool all = (unsigned char)set->list[lo].text[k] == c &&
                   (unsigned char)set->list[hi - 1].text[k] == c;
        if (all) continue; /* long tokens with a common beginning: no search */
        lo = bound(set, lo, hi, k, c, true);
        hi = bound(set, lo, hi, k, c, false);
    }
    return best;
}

/* -- cutting ----------------------------------------------------------------------------------- */

struct cutter {
    const struct vocab *v;
    const struct special_set *set;
    const char *text;
    size_t len;
    uint64_t *heap; /* order of the token << 32 | position */
    size_t n, cap;
    uint64_t *cut; /* position << 32 | order, later sorted by position */
    size_t n_cut, cap_cut;
    uint64_t *gone; /* a bit per byte that is no longer raw */
};

static const struct special_text *text_of(const struct cutter *c, uint32_t order) {
    return &c->set->list[c->set->by_order[order]];
}

static bool is_gone(const struct cutter *c, size_t i) {
    return (c->gone[i >> 6] >> (i & 63) & 1) != 0;
}
static void set_gone(struct cutter *c, size_t i) { c->gone[i >> 6] |= 1ull << (i & 63); }

static bool push(uint64_t **list, size_t *n, size_t *cap, uint64_t value) {
    if (*n == *cap) {
        size_t grown = *cap != 0 ? 2 * *cap : 16;
        uint64_t *p = mem_grow(*list, grown, sizeof *p);
        if (p == NULL) return false;
        *list = p;
        *cap = grown;
    }
    (*list)[(*n)++] = value;
    return true;
}

static bool find_candidates(struct cutter *c) {
    const unsigned char *u = (const unsigned char *)c->text;
    for (size_t i = 0; i < c->len; i++) {
        unsigned char next = i + 1 < c->len ? u[i + 1] : 0;
        if ((c->set->second[u[i]][next >> 6] >> (next & 63) & 1) == 0 && i + 1 < c->len) continue;
        const struct special_text *t = longest_at(c->set, c->text + i, c->len - i);
        if (t == NULL) continue;
        if (!push(&c->heap, &c->n, &c->cap, (uint64_t)t->order << 32 | i)) return false;
    }
    return true;
}

/* Bytes from i on, at most max, that are raw. */
static size_t raw_ahead(const struct cutter *c, size_t i, size_t max) {
    size_t n = 0;
    while (n < max && !is_gone(c, i + n)) n++;
    return n;
}

static bool is_blank(char ch) { return ch == ' ' || (ch >= '\t' && ch <= '\r'); }

static bool cut_out(struct cutter *c, const struct special_text *t, size_t pos) {
    unsigned attr = c->v->attr[t->id];
    size_t end = pos + t->len, i;
    for (i = pos; i < end; i++) set_gone(c, i);
    if ((attr & TOKEN_LSTRIP) != 0) {
        for (i = pos; i > 0 && !is_gone(c, i - 1) && is_blank(c->text[i - 1]); i--)
            set_gone(c, i - 1);
    }
    if ((attr & TOKEN_RSTRIP) != 0) {
        for (i = end; i < c->len && !is_gone(c, i) && is_blank(c->text[i]); i++) set_gone(c, i);
    }
    return push(&c->cut, &c->n_cut, &c->cap_cut, (uint64_t)pos << 32 | t->order);
}

static bool resolve(struct cutter *c) {
    heap_make(c->heap, c->n);
    while (c->n > 0) {
        uint64_t key = heap_pop(c->heap, &c->n);
        size_t pos = (uint32_t)key;
        const struct special_text *t = text_of(c, (uint32_t)(key >> 32));
        size_t room = raw_ahead(c, pos, t->len);
        if (room == t->len) {
            if (!cut_out(c, t, pos)) return false;
            continue;
        }
        t = room > 0 ? longest_at(c->set, c->text + pos, room) : NULL;
        if (t != NULL) heap_push(c->heap, &c->n, (uint64_t)t->order << 32 | pos);
    }
    return true;
}

static bool add_fragment(struct fragments *out, const char *text, size_t len, token_id id) {
    if (out->n == out->cap) {
        size_t cap = out->cap != 0 ? 2 * out->cap : 8;
        struct fragment *list = mem_grow(out->list, cap, sizeof *list);
        if (list == NULL) return false;
        out->list = list;
        out->cap = cap;
    }
    out->list[out->n++] = (struct fragment){.text = text, .len = len, .id = id};
    return true;
}

/* The raw bytes of [from, to): stripped ones are at its ends. */
static bool add_raw(const struct cutter *c, size_t from, size_t to, struct fragments *out) {
    while (from < to && is_gone(c, from)) from++;
    while (from < to && is_gone(c, to - 1)) to--;
    return from == to || add_fragment(out, c->text + from, to - from, TOKEN_NONE);
}

static bool list_fragments(struct cutter *c, struct fragments *out) {
    size_t done = 0;
    heap_make(c->cut, c->n_cut);
    while (c->n_cut > 0) {
        uint64_t key = heap_pop(c->cut, &c->n_cut);
        const struct special_text *t = text_of(c, (uint32_t)key);
        size_t pos = (size_t)(key >> 32);
        if (!add_raw(c, done, pos, out) || !add_fragment(out, NULL, 0, t->id)) return false;
        done = pos + t->len;
    }
    return add_raw(c, done, c->len, out);
}

static bool cut_candidates(struct cutter *c, struct fragments *out) {
    c->gone = mem_zalloc(c->len / 64 + 1, sizeof *c->gone);
    return c->gone != NULL && resolve(c) && list_fragments(c, out);
}

enum status text_cut(const struct vocab *v, const char *text, size_t len, bool parse_special,
                     struct fragments *out, struct err *e) {
    assert(len <= UINT32_MAX);
    struct cutter c = {.v = v, .set = parse_special ? &v->all : &v->user, .text = text, .len = len};
    bool ok = find_candidates(&c);
    if (ok && c.n == 0)
        ok = len == 0 || add_fragment(out, text, len, TOKEN_NONE);
    else if (ok)
        ok = cut_candidates(&c, out);
    mem_free(c.heap);
    mem_free(c.cut);
    mem_free(c.gone);
    return ok ? ST_OK : err_no_memory(e);
}
