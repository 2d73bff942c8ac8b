/* sequence.c - see sequence.h. */
#include "engine/sequence.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"

void seq_free(struct sequence *s) {
    token_list_free(&s->tokens);
    mem_free(s->spans);
    *s = (struct sequence){0};
}

void seq_wipe(struct sequence *s) {
    if (s->tokens.cap != 0) memset(s->tokens.ids, 0, s->tokens.cap * sizeof *s->tokens.ids);
    if (s->cap_spans != 0) memset(s->spans, 0, s->cap_spans * sizeof *s->spans);
    s->tokens.len = s->n_spans = 0;
}

bool seq_add(struct sequence *s, token_id id) { return token_list_add(&s->tokens, id); }

static bool add_span(struct sequence *s, uint32_t first, const struct cria_image *image) {
    if (s->n_spans == s->cap_spans) {
        uint32_t cap = s->cap_spans != 0 ? 2 * s->cap_spans : 4;
        void *p = mem_grow(s->spans, cap, sizeof *s->spans);
        if (p == NULL) return false;
        s->spans = p;
        s->cap_spans = cap;
    }
    s->spans[s->n_spans++] = (struct image_span){first, *image};
    return true;
}

bool seq_add_image(struct sequence *s, const struct cria_image *image) {
    if (!add_span(s, (uint32_t)s->tokens.len, image)) return false;
    for (uint32_t i = 0; i < image->n_rows; i++)
        if (!seq_add(s, CRIA_TOKEN_IMAGE)) return false;
    return true;
}

static uint32_t span_end(const struct image_span *x) { return x->first + x->image.n_rows; }

const struct image_span *seq_span(const struct sequence *s, uint32_t i) {
    for (uint32_t k = 0; k < s->n_spans && s->spans[k].first <= i; k++)
        if (i < span_end(&s->spans[k])) return &s->spans[k];
    return NULL;
}

bool seq_append(struct sequence *s, const struct sequence *from, uint32_t at, uint32_t n) {
    const uint32_t n_spans = s->n_spans, begin = (uint32_t)s->tokens.len;
    assert(at + n <= from->tokens.len);
    for (uint32_t k = 0; k < from->n_spans; k++) {
        const struct image_span *x = &from->spans[k];
        if (x->first < at || x->first >= at + n) continue;
        if (!add_span(s, x->first - at + begin, &x->image)) goto failed;
    }
    for (uint32_t i = at; i < at + n; i++)
        if (!seq_add(s, from->tokens.ids[i])) goto failed;
    return true;
failed:
    s->n_spans = n_spans;
    s->tokens.len = begin;
    return false;
}

uint32_t seq_floor(const struct sequence *s, uint32_t n) {
    const struct image_span *x = seq_span(s, n);
    return x != NULL ? x->first : n;
}

uint32_t seq_ceil(const struct sequence *s, uint32_t n) {
    const struct image_span *x = seq_span(s, n);
    return x != NULL && x->first != n ? span_end(x) : n;
}

void seq_truncate(struct sequence *s, uint32_t n) {
    assert(n <= s->tokens.len && (n == s->tokens.len || n == seq_floor(s, n)));
    s->tokens.len = n;
    while (s->n_spans > 0 && s->spans[s->n_spans - 1].first >= n) s->n_spans--;
}

void seq_remove(struct sequence *s, uint32_t from, uint32_t to) {
    struct token_list *t = &s->tokens;
    uint32_t n = 0;
    assert(from <= to && to <= t->len && from == seq_floor(s, from) && to == seq_floor(s, to));
    memmove(t->ids + from, t->ids + to, (t->len - to) * sizeof *t->ids);
    t->len -= to - from;
    for (uint32_t k = 0; k < s->n_spans; k++) {
        struct image_span x = s->spans[k];
        if (x.first >= from && x.first < to) continue;
        if (x.first >= to) x.first -= to - from;
        s->spans[n++] = x;
    }
    s->n_spans = n;
}

static bool same_image(const struct image_span *a, const struct image_span *b) {
    return a != NULL && b != NULL && a->first == b->first && a->image.n_rows == b->image.n_rows &&
           memcmp(a->image.key, b->image.key, sizeof a->image.key) == 0;
}

uint32_t seq_common(const struct sequence *a, const struct sequence *b, uint32_t n) {
    uint32_t i = 0;
    if (n > a->tokens.len) n = (uint32_t)a->tokens.len;
    if (n > b->tokens.len) n = (uint32_t)b->tokens.len;
    while (i < n && a->tokens.ids[i] == b->tokens.ids[i]) {
        if (a->tokens.ids[i] != CRIA_TOKEN_IMAGE) {
            i++;
            continue;
        }
        const struct image_span *x = seq_span(a, i);
        if (!same_image(x, seq_span(b, i)) || span_end(x) > n) break;
        i = span_end(x);
    }
    return i;
}

struct position seq_position(const struct sequence *s, uint32_t i) {
    uint32_t p = i, k = 0;
    for (; k < s->n_spans && span_end(&s->spans[k]) <= i; k++)
        p -= s->spans[k].image.n_rows - s->spans[k].image.n_positions;
    if (k == s->n_spans || s->spans[k].first > i || s->spans[k].image.nx == 0)
        return (struct position){{p, p, p, p}};
    const uint32_t row = i - s->spans[k].first, first = p - row, nx = s->spans[k].image.nx;
    return (struct position){{first, first + row / nx, first + row % nx, 0}};
}
