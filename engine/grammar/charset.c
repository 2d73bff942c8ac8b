/* charset.c - see charset.h. */
#include "engine/grammar/charset.h"

#include <string.h>

#include "base/mem.h"

static bool put(struct charset *s, size_t at, size_t n_replaced, struct char_range x) {
    if (n_replaced == 0 && s->n == s->cap) {
        size_t cap = s->cap != 0 ? 2 * s->cap : 8;
        void *p = mem_grow(s->range, cap, sizeof *s->range);
        if (p == NULL) return false;
        s->range = p;
        s->cap = cap;
    }
    memmove(s->range + at + 1, s->range + at + n_replaced,
            (s->n - at - n_replaced) * sizeof *s->range);
    s->range[at] = x;
    s->n = s->n + 1 - n_replaced;
    return true;
}

bool charset_add(struct charset *s, uint32_t lo, uint32_t hi) {
    if (hi > CHAR_LAST) hi = CHAR_LAST;
    if (lo > hi) return true;
    size_t i = s->n;
    while (i > 0 && s->range[i - 1].hi + 1 >= lo) i--; /* first range that touches, or the place */
    size_t j = i;
    for (; j < s->n && s->range[j].lo <= hi + 1; j++) {
        if (s->range[j].lo < lo) lo = s->range[j].lo;
        if (s->range[j].hi > hi) hi = s->range[j].hi;
    }
    return put(s, i, j - i, (struct char_range){lo, hi});
}

bool charset_union(struct charset *s, const struct charset *other) {
    for (size_t i = 0; i < other->n; i++)
        if (!charset_add(s, other->range[i].lo, other->range[i].hi)) return false;
    return true;
}

bool charset_negate(struct charset *s) {
    struct charset out = {0};
    uint32_t next = 0;
    for (size_t i = 0; i < s->n; i++) {
        if (s->range[i].lo > next && !charset_add(&out, next, s->range[i].lo - 1)) {
            charset_free(&out);
            return false;
        }
        next = s->range[i].hi + 1;
    }
    if (next <= CHAR_LAST && !charset_add(&out, next, CHAR_LAST)) {
        charset_free(&out);
        return false;
    }
    charset_free(s);
    *s = out;
    return true;
}

void charset_free(struct charset *s) {
    mem_free(s->range);
    *s = (struct charset){0};
}
