/* literal.c - Go's string and character literals, both ways (spec/templates.md 3.1). */
#include <assert.h>
#include <string.h>

#include "api/template/template_impl.h"
#include "base/unicode.h"
#include "base/utf8.h"

/* ---- reading ---- */

static int hex_value(int c) {
    if (c >= '0' && c <= '9') return c - '0';
    c |= 32;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

struct reader {
    const char *p, *end;
};

static bool read_digits(struct reader *r, unsigned n, int base, uint32_t *out) {
    *out = 0;
    if ((size_t)(r->end - r->p) < n) return false;
    for (unsigned i = 0; i < n; i++) {
        int d = hex_value((unsigned char)*r->p++);
        if (d < 0 || d >= base) return false;
        *out = *out * (uint32_t)base + (uint32_t)d;
    }
    return true;
}

/* After the backslash. *is_byte: \x and \NNN stand for a byte, not for a character. */
static bool read_escape(struct reader *r, char quote, uint32_t *cp, bool *is_byte) {
    static const char named[] = "a\ab\bf\fn\nr\rt\tv\v\\\\";
    if (r->p == r->end) return false;
    char c = *r->p++;
    *is_byte = false;
    for (size_t i = 0; i + 1 < sizeof named; i += 2)
        if (named[i] == c) return *cp = (unsigned char)named[i + 1], true;
    if (c == quote) return *cp = (unsigned char)c, true;
    if (c == 'u' || c == 'U')
        return read_digits(r, c == 'u' ? 4 : 8, 16, cp) && *cp <= 0x10FFFF &&
               !(*cp >= 0xD800 && *cp < 0xE000);
    *is_byte = true;
    if (c == 'x') return read_digits(r, 2, 16, cp);
    r->p--;
    return read_digits(r, 3, 8, cp) && *cp <= 255;
}

bool literal_string(struct arena *a, struct text quoted, struct text *out) {
    assert(quoted.n >= 2);
    struct reader r = {quoted.p + 1, quoted.p + quoted.n - 1};
    char *to = arena_alloc(a, quoted.n); /* an escape is never shorter than what it stands for */
    if (to == NULL) return false;
    *out = (struct text){to, 0};
    while (r.p < r.end) {
        uint32_t cp;
        bool is_byte;
        if (*r.p != '\\') {
            *to++ = *r.p++;
            continue;
        }
        r.p++;
        if (!read_escape(&r, '"', &cp, &is_byte)) return false;
        if (is_byte) *to++ = (char)cp;
        else to += utf8_encode(cp, to);
    }
    out->n = (size_t)(to - out->p);
    return true;
}

bool literal_char(struct text quoted, int64_t *out) {
    struct reader r = {quoted.p + 1, quoted.p + quoted.n - 1};
    uint32_t cp = 0;
    bool is_byte;
    if (r.p == r.end) return false;
    if (*r.p == '\\') {
        r.p++;
        if (!read_escape(&r, '\'', &cp, &is_byte)) return false;
    } else {
        r.p += utf8_decode(r.p, (size_t)(r.end - r.p), &cp);
    }
    *out = cp;
    return r.p == r.end;
}

/* ---- writing ---- */

/* Letters, marks, numbers, punctuation, symbols and the ASCII space: Go's IsPrint. */
bool literal_is_printable(uint32_t cp) {
    unsigned class = unicode_class(cp);
    if (class == UNI_Z) return cp == ' ';
    return class != UNI_C && class != UNI_UNASSIGNED;
}

static void put_char(struct buf *b, uint32_t cp, char quote, bool ascii) {
    static const char named[] = "\aa\bb\ff\nn\rr\tt\vv\\\\";
    char utf8[4];
    for (size_t i = 0; i + 1 < sizeof named; i += 2) {
        if ((unsigned char)named[i] != cp) continue;
        buf_printf(b, "\\%c", named[i + 1]);
        return;
    }
    if (cp == (unsigned char)quote) buf_printf(b, "\\%c", quote);
    else if (literal_is_printable(cp) && (cp < 0x7F || !ascii)) buf_add(b, utf8, utf8_encode(cp, utf8));
    else if (cp < 0x80) buf_printf(b, "\\x%02x", (unsigned)cp);
    else buf_printf(b, cp < 0x10000 ? "\\u%04x" : "\\U%08x", (unsigned)cp);
}

void literal_quote(struct buf *b, struct text s, bool ascii) {
    buf_chr(b, '"');
    for (size_t i = 0; i < s.n;) {
        uint32_t cp;
        unsigned n = utf8_decode(s.p + i, s.n - i, &cp);
        bool bad = cp == UTF8_BAD && !(n == 3 && (unsigned char)s.p[i] == 0xEF);
        if (bad) { /* byte by byte */
            buf_printf(b, "\\x%02x", (unsigned)(unsigned char)s.p[i]);
            n = 1;
        } else {
            put_char(b, cp, '"', ascii);
        }
        i += n;
    }
    buf_chr(b, '"');
}

void literal_quote_char(struct buf *b, int64_t cp, bool ascii) {
    bool valid = cp >= 0 && cp <= 0x10FFFF && !(cp >= 0xD800 && cp < 0xE000);
    buf_chr(b, '\'');
    put_char(b, valid ? (uint32_t)cp : (uint32_t)UTF8_BAD, '\'', ascii);
    buf_chr(b, '\'');
}
