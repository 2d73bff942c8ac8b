/* think.c - see think.h. Each state is a function that eats from the held text and says whether the
 * machine can go on. */
#include "api/think.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/utf8.h"

static bool is_space(uint32_t c) {
    return (c >= 9 && c <= 13) || c == ' ' || c == 0x85 || c == 0xA0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F ||
           c == 0x205F || c == 0x3000;
}

size_t text_skip_space(const char *s, size_t n) {
    size_t i = 0;
    while (i < n) {
        uint32_t c;
        unsigned k = utf8_decode(s + i, n - i, &c);
        if (!is_space(c)) break;
        i += k;
    }
    return i;
}

size_t text_overlap(const char *s, size_t n, const char *tag) {
    size_t k = strlen(tag);
    if (k > 0) k--;
    if (k > n) k = n;
    while (k > 0 && memcmp(s + n - k, tag, k) != 0) k--;
    return k;
}

static bool has_prefix(const char *s, size_t n, const char *prefix) {
    size_t k = strlen(prefix);
    return n >= k && memcmp(s, prefix, k) == 0;
}

void think_begin(struct think_parser *p, const char *open, const char *close) {
    *p = (struct think_parser){.open = open, .close = close};
}

/* The text stops within its first character, which may yet become white space. */
static bool cut_inside(const char *s, size_t n) { return n > 0 && utf8_complete_prefix(s, n) == 0; }

static bool look(struct think_parser *p, struct buf *content) {
    struct buf *h = &p->held;
    size_t skip = text_skip_space(h->data, h->len), n = h->len - skip;
    const char *t = h->data + skip;
    if (cut_inside(t, n)) return false;
    if (has_prefix(t, n, p->open)) {
        buf_drop(h, skip + strlen(p->open));
        p->state = THINK_SKIP_IN;
        return true;
    }
    if (n < strlen(p->open) && memcmp(p->open, t, n) == 0) return false; /* also n == 0 */
    buf_add(content, h->data, h->len);
    buf_cut(h, 0);
    p->state = THINK_DONE;
    return false;
}

static bool skip_space(struct think_parser *p, enum think_state next) {
    buf_drop(&p->held, text_skip_space(p->held.data, p->held.len));
    if (p->held.len == 0 || cut_inside(p->held.data, p->held.len)) return false;
    p->state = next;
    return true;
}

static bool inside(struct think_parser *p, struct buf *thinking) {
    struct buf *h = &p->held;
    const char *end = memmem(h->data, h->len, p->close, strlen(p->close));
    size_t n =
        end != NULL ? (size_t)(end - h->data) : h->len - text_overlap(h->data, h->len, p->close);
    buf_add(thinking, h->data, n);
    buf_drop(h, n);
    if (end == NULL) return false;
    buf_drop(h, strlen(p->close));
    p->state = THINK_SKIP_OUT;
    return true;
}

void think_feed(struct think_parser *p, const char *text, size_t len, struct buf *content,
                struct buf *thinking) {
    struct buf *h = &p->held;
    bool more = len > 0;
    buf_add(h, text, len);
    while (more && h->len > 0) {
        switch (p->state) {
        case THINK_LOOKING:
            more = look(p, content);
            break;
        case THINK_SKIP_IN:
            more = skip_space(p, THINK_INSIDE);
            break;
        case THINK_INSIDE:
            more = inside(p, thinking);
            break;
        case THINK_SKIP_OUT:
            more = skip_space(p, THINK_DONE);
            break;
        default:
            buf_add(content, h->data, h->len);
            buf_cut(h, 0);
            more = false;
        }
    }
}

void think_flush(struct think_parser *p, struct buf *content, struct buf *thinking) {
    bool inside = p->state == THINK_SKIP_IN || p->state == THINK_INSIDE;
    buf_add(inside ? thinking : content, p->held.data, p->held.len);
    buf_cut(&p->held, 0);
    p->state = THINK_DONE;
}

void think_end(struct think_parser *p) { buf_free(&p->held); }
