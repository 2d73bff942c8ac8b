/* literal.c - Go's string and character literals, both ways, and its numbers (spec/templates.md
 * 3.1). */
#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "api/template/template_impl.h"
#include "base/hex.h"
#include "base/unicode.h"
#include "base/utf8.h"

/* ---- reading ---- */

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

bool tliteral_string(struct text quoted, char *to, size_t *n) {
    assert(quoted.n >= 2);
    struct reader r = {quoted.p + 1, quoted.p + quoted.n - 1};
    const char *start = to;
    while (r.p < r.end) {
        uint32_t cp;
        bool is_byte;
        if (*r.p != '\\') {
            *to++ = *r.p++;
            continue;
        }
        r.p++;
        if (!read_escape(&r, '"', &cp, &is_byte)) return false;
        if (is_byte)
            *to++ = (char)cp;
        else
            to += utf8_encode(cp, to);
    }
    *n = (size_t)(to - start);
    assert(*n <= quoted.n);
    return true;
}

bool tliteral_char(struct text quoted, int64_t *out) {
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
bool tliteral_is_printable(uint32_t cp) {
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
    if (cp == (unsigned char)quote)
        buf_printf(b, "\\%c", quote);
    else if (tliteral_is_printable(cp) && (cp < 0x7F || !ascii))
        buf_add(b, utf8, utf8_encode(cp, utf8));
    else if (cp < 0x80)
        buf_printf(b, "\\x%02x", (unsigned)cp);
    else
        buf_printf(b, cp < 0x10000 ? "\\u%04x" : "\\U%08x", (unsigned)cp);
}

void tliteral_quote(struct buf *b, struct text s, bool ascii) {
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

void tliteral_quote_char(struct buf *b, int64_t cp, bool ascii) {
    bool valid = cp >= 0 && cp <= 0x10FFFF && !(cp >= 0xD800 && cp < 0xE000);
    buf_chr(b, '\'');
    put_char(b, valid ? (uint32_t)cp : (uint32_t)UTF8_BAD, '\'', ascii);
    buf_chr(b, '\'');
}

/* ---- numbers ---- */

enum { MAX_NUMBER_TEXT = 400 };

/* Without underscores and NUL-terminated. */
static bool plain_number(struct text s, char out[MAX_NUMBER_TEXT]) {
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '_') continue;
        if (n + 1 == MAX_NUMBER_TEXT) return false;
        out[n++] = s.p[i];
    }
    out[n] = '\0';
    return n > 0;
}

/* Go's integer literals: 0x 0o 0b, or a leading zero for octal. *fits: into an int64. */
static bool parse_integer(const char *s, int64_t *out, bool *fits) {
    bool minus = *s == '-';
    if (*s == '-' || *s == '+') s++;
    int base = 10;
    if (*s == '0' && s[1] != '\0') {
        char c = (char)(s[1] | 32);
        base = c == 'x' ? 16 : c == 'b' ? 2 : 8;
        s += c == 'x' || c == 'b' || c == 'o' ? 2 : 1;
    }
    if (*s == '\0' || *s == '-' || *s == '+') return false;
    char *end;
    errno = 0;
    unsigned long long v = strtoull(s, &end, base);
    if (*end != '\0' || errno == ERANGE) return false;
    uint64_t limit = (uint64_t)INT64_MAX + minus;
    *fits = v <= limit;
    if (!*fits && minus) return false; /* unsigned constants have no sign */
    *out = minus ? (int64_t)(0 - v) : (int64_t)v;
    return true;
}

static bool parse_float(const char *s, double *out) {
    char *end;
    if (strpbrk(s, "nN") != NULL) return false; /* strtod would take "nan" and "inf" */
    *out = strtod(s, &end);
    return end != s && *end == '\0' && isfinite(*out);
}

/* "2i" and "1+2i". */
static bool parse_complex(char *s, struct value *out) {
    size_t n = strlen(s);
    s[n - 1] = '\0';
    char *sign = n > 2 ? s + n - 2 : s;
    while (sign > s && ((*sign != '+' && *sign != '-') || strchr("eEpP", sign[-1]) != NULL)) sign--;
    out->kind = V_COMPLEX;
    out->complex.re = 0;
    if (!parse_float(sign, &out->complex.im)) return false;
    *sign = '\0';
    return sign == s || parse_float(s, &out->complex.re);
}

const char *tliteral_number(struct text s, struct value *out, bool *overflow) {
    static const char illegal[] = "illegal number syntax";
    char text[MAX_NUMBER_TEXT];
    bool fits = true;
    *overflow = false;
    if (!plain_number(s, text)) return illegal;
    if (text[strlen(text) - 1] == 'i') return parse_complex(text, out) ? NULL : illegal;
    out->kind = V_INT;
    if (parse_integer(text, &out->i, &fits)) {
        *overflow = !fits;
        return NULL;
    }
    out->kind = V_FLOAT;
    if (!parse_float(text, &out->f)) return illegal;
    return strpbrk(text, ".eEpP") == NULL ? "integer overflow" : NULL;
}

void template_quote(struct buf *b, const char *s, size_t len) {
    tliteral_quote(b, (struct text){s, len}, false);
}
