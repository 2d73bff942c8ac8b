/* utf8.c - see utf8.h. */
#include "base/utf8.h"

#include <assert.h>

/* What a lead byte promises: bytes in all (0: no lead byte) and the range of the second byte, which
 * is narrower than 80-BF where overlong forms, surrogates and values above 10FFFF begin
 * (RFC 3629, section 4). */
struct lead {
    unsigned len;
    unsigned char lo, hi;
};

static struct lead lead_of(unsigned char c) {
    if (c < 0x80) return (struct lead){1, 0, 0};
    if (c < 0xC2) return (struct lead){0, 0, 0};
    if (c < 0xE0) return (struct lead){2, 0x80, 0xBF};
    if (c == 0xE0) return (struct lead){3, 0xA0, 0xBF};
    if (c == 0xED) return (struct lead){3, 0x80, 0x9F};
    if (c < 0xF0) return (struct lead){3, 0x80, 0xBF};
    if (c == 0xF0) return (struct lead){4, 0x90, 0xBF};
    if (c < 0xF4) return (struct lead){4, 0x80, 0xBF};
    if (c == 0xF4) return (struct lead){4, 0x80, 0x8F};
    return (struct lead){0, 0, 0};
}

static bool is_continuation(unsigned char c) { return (c & 0xC0) == 0x80; }

unsigned utf8_decode(const char *s, size_t n, uint32_t *cp) {
    assert(n > 0);
    const unsigned char *p = (const unsigned char *)s;
    struct lead l = lead_of(p[0]);
    if (l.len == 1) {
        *cp = p[0];
        return 1;
    }
    *cp = UTF8_BAD;
    if (l.len == 0 || n < 2 || p[1] < l.lo || p[1] > l.hi) return 1;
    uint32_t v = p[0] & (0x7Fu >> l.len);
    v = v << 6 | (p[1] & 0x3Fu);
    for (unsigned i = 2; i < l.len; i++) {
        if (i >= n || !is_continuation(p[i])) return i;
        v = v << 6 | (p[i] & 0x3Fu);
    }
    *cp = v;
    return l.len;
}

unsigned utf8_decode_lenient(const char *s, size_t n, uint32_t *cp) {
    assert(n > 0);
    const unsigned char *p = (const unsigned char *)s;
    unsigned char c = p[0];
    unsigned len = c < 0x80 ? 1 : c < 0xC0 ? 0 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : c < 0xF8 ? 4 : 0;
    if (len == 1) {
        *cp = c;
        return 1;
    }
    *cp = UTF8_BAD;
    if (len == 0 || len > n) return 1;
    uint32_t v = c & (0x7Fu >> len);
    for (unsigned i = 1; i < len; i++) {
        if (!is_continuation(p[i])) return 1;
        v = v << 6 | (p[i] & 0x3Fu);
    }
    if (v > 0x10FFFF) return 1;
    *cp = v;
    return len;
}

unsigned utf8_encode(uint32_t cp, char out[4]) {
    assert(cp <= 0x1FFFFF);
    if (cp < 0x80) {
        out[0] = (char)cp;
        return 1;
    }
    unsigned len = cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;
    for (unsigned i = len - 1; i > 0; i--, cp >>= 6) out[i] = (char)(0x80 | (cp & 0x3F));
    out[0] = (char)(0xF00u >> len | cp); /* F00 >> len: len ones, then the payload */
    return len;
}

bool utf8_valid(const char *s, size_t n) {
    for (size_t i = 0; i < n;) {
        uint32_t cp;
        unsigned len = utf8_decode(s + i, n - i, &cp);
        if (utf8_was_bad(s + i, len, cp)) return false;
        i += len;
    }
    return true;
}

size_t utf8_complete_prefix(const char *s, size_t n) {
    for (size_t back = 1; back <= 4 && back <= n; back++) {
        unsigned char c = (unsigned char)s[n - back];
        if (is_continuation(c)) continue;
        size_t need = c < 0xC0 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : c < 0xF8 ? 4 : 1;
        return need > back ? n - back : n;
    }
    return n;
}
