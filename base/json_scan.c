/* json_scan.c - see json_scan.h. One pass, no recursion: what is open lies on a small stack. */
#include "base/json_scan.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/hex.h"
#include "base/utf8.h"

struct scan {
    const unsigned char *p, *end;
    bool cut; /* end is the byte limit and not the end of the text */
    const struct json_limits *limits;
    struct buf *out; /* borrowed */
    struct err *e;
    size_t nodes;
    unsigned depth;
    char open[JSON_DEPTH_MAX]; /* '{' or '[' of each open value, outermost first */
};

/* ---- messages ---- */

/* One byte in quotes as Go shows it: it takes the byte for a Latin-1 character. */
static void quote_byte(unsigned char c, char out[16]) {
    static const char named[] = "\aa\bb\ff\nn\rr\tt\vv\\\\''";
    for (size_t i = 0; i + 1 < sizeof named; i += 2) {
        if (c != (unsigned char)named[i]) continue;
        snprintf(out, 16, "'\\%c'", named[i + 1]);
        return;
    }
    char utf8[5] = {0};
    utf8_encode(c, utf8);
    if (c < 0x20 || c == 0x7F)
        snprintf(out, 16, "'\\x%02x'", c);
    else if ((c >= 0x80 && c <= 0xA0) || c == 0xAD)
        snprintf(out, 16, "'\\u%04x'", c);
    else
        snprintf(out, 16, "'%s'", utf8);
}

static enum status too_large(const struct scan *s) {
    return err_set(s->e, ST_LIMIT, "JSON text larger than %zu bytes", s->limits->max_bytes);
}

/* The text must not go on (or end) as it does. */
static enum status bad(const struct scan *s, const char *where) {
    if (s->p == s->end && s->cut) return too_large(s);
    if (s->p == s->end) return err_set(s->e, ST_FORMAT, "unexpected EOF");
    char c[16];
    quote_byte(*s->p, c);
    return err_set(s->e, ST_FORMAT, "invalid character %s %s", c, where);
}

/* The next byte; -1 at the end. */
static int peek(const struct scan *s) { return s->p < s->end ? *s->p : -1; }

static bool is_digit(int c) { return c >= '0' && c <= '9'; }

static void skip_space(struct scan *s) {
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\n' || *s->p == '\r' || *s->p == '\t'))
        s->p++;
}

/* ---- literals and numbers ---- */

static enum status scan_literal(struct scan *s, const char *word) {
    for (size_t i = 0; word[i] != '\0'; i++, s->p++) {
        if (peek(s) == word[i]) continue;
        char where[64];
        snprintf(where, sizeof where, "in literal %s (expecting '%c')", word, word[i]);
        return bad(s, where);
    }
    buf_str(s->out, word);
    return ST_OK;
}

/* At least one digit. */
static enum status scan_digits(struct scan *s, const char *where) {
    if (!is_digit(peek(s))) return bad(s, where);
    while (is_digit(peek(s))) s->p++;
    return ST_OK;
}

static enum status scan_fraction_and_exponent(struct scan *s) {
    enum status st = ST_OK;
    if (peek(s) == '.') {
        s->p++;
        st = scan_digits(s, "after decimal point in numeric literal");
    }
    if (st == ST_OK && (peek(s) == 'e' || peek(s) == 'E')) {
        s->p++;
        if (peek(s) == '+' || peek(s) == '-') s->p++;
        st = scan_digits(s, "in exponent of numeric literal");
    }
    return st;
}

static enum status scan_number(struct scan *s) {
    static const char mark[] = {'"', (char)JSON_MARK_NUMBER};
    const unsigned char *start = s->p;
    enum status st = ST_OK;
    if (peek(s) == '-') s->p++;
    if (peek(s) == '0')
        s->p++; /* no digits after a leading zero: "01" is two values */
    else
        st = scan_digits(s, "in numeric literal");
    if (st == ST_OK) st = scan_fraction_and_exponent(s);
    if (st != ST_OK) return st;
    if (s->p == s->end && s->cut) return too_large(s); /* the number may go on */
    buf_add(s->out, mark, sizeof mark);
    buf_add(s->out, start, (size_t)(s->p - start));
    buf_chr(s->out, '"');
    return ST_OK;
}

/* ---- strings ---- */

static void put_bad_char(struct scan *s) { buf_add(s->out, "\xEF\xBF\xBD", 3); }

/* A character that was written as \uXXXX. */
static void put_char(struct scan *s, uint32_t cp, bool key) {
    char utf8[4];
    if (cp == 0 && !key)
        buf_add(s->out, "\xC0\x80", 2);
    else if (cp == 0 || (cp >= 0xD800 && cp < 0xE000))
        put_bad_char(s);
    else if (cp < 0x20 || cp == '"' || cp == '\\')
        buf_printf(s->out, "\\u%04x", (unsigned)cp);
    else
        buf_add(s->out, utf8, utf8_encode(cp, utf8));
}

static enum status scan_hex4(struct scan *s, uint32_t *v) {
    *v = 0;
    for (int i = 0; i < 4; i++, s->p++) {
        int digit = hex_value(peek(s));
        if (digit < 0) return bad(s, "in \\u hexadecimal character escape");
        *v = *v << 4 | (uint32_t)digit;
    }
    return ST_OK;
}

/* If a low surrogate escape follows, takes it and returns it; else 0 and nothing is taken. */
static uint32_t take_low_surrogate(struct scan *s) {
    uint32_t v = 0;
    if (s->end - s->p < 6 || s->p[0] != '\\' || s->p[1] != 'u') return 0;
    for (int i = 2; i < 6; i++) {
        int digit = hex_value(s->p[i]);
        if (digit < 0) return 0;
        v = v << 4 | (uint32_t)digit;
    }
    if (v < 0xDC00 || v > 0xDFFF) return 0;
    s->p += 6;
    return v;
}

static enum status scan_unicode_escape(struct scan *s, bool key) {
    uint32_t cp, low;
    enum status st = scan_hex4(s, &cp);
    if (st != ST_OK) return st;
    if (cp >= 0xD800 && cp <= 0xDBFF && (low = take_low_surrogate(s)) != 0)
        cp = 0x10000 + ((cp - 0xD800) << 10) + (low - 0xDC00);
    put_char(s, cp, key);
    return ST_OK;
}

/* After the backslash. */
static enum status scan_escape(struct scan *s, bool key) {
    int c = peek(s);
    if (c == 'u') {
        s->p++;
        return scan_unicode_escape(s, key);
    }
    if (c <= 0 || strchr("\"\\/bfnrt", c) == NULL) return bad(s, "in string escape code");
    s->p++;
    char pair[2] = {'\\', (char)c};
    buf_add(s->out, pair, 2);
    return ST_OK;
}

/* Copies what needs no change: everything but quotes, backslashes, control bytes and bad UTF-8. */
static void copy_run(struct scan *s) {
    const unsigned char *start = s->p;
    while (s->p < s->end && *s->p >= 0x20 && *s->p != '"' && *s->p != '\\') {
        if (*s->p < 0x80) {
            s->p++;
            continue;
        }
        const char *at = (const char *)s->p;
        uint32_t cp;
        unsigned n = utf8_decode(at, (size_t)(s->end - s->p), &cp);
        if (utf8_was_bad(at, n, cp)) break;
        s->p += n;
    }
    buf_add(s->out, start, (size_t)(s->p - start));
}

static enum status scan_string(struct scan *s, bool key) {
    assert(peek(s) == '"');
    s->p++;
    buf_chr(s->out, '"');
    for (;;) {
        copy_run(s);
        int c = peek(s);
        if (c < 0x20) return bad(s, "in string literal");
        s->p++;
        if (c == '"') break;
        if (c == '\\') {
            enum status st = scan_escape(s, key);
            if (st != ST_OK) return st;
        } else {
            put_bad_char(s);
        }
    }
    buf_chr(s->out, '"');
    return ST_OK;
}

/* ---- structure ---- */

enum want { WANT_VALUE, WANT_VALUE_OR_END, WANT_KEY, WANT_KEY_OR_END, WANT_SEPARATOR };

static enum status open_value(struct scan *s, char c, enum want *want) {
    unsigned max = s->limits->max_depth;
    if (s->depth >= (max < JSON_DEPTH_MAX ? max : (unsigned)JSON_DEPTH_MAX))
        return err_set(s->e, ST_LIMIT, "exceeded max depth");
    s->open[s->depth++] = c;
    s->p++;
    buf_chr(s->out, c);
    *want = c == '{' ? WANT_KEY_OR_END : WANT_VALUE_OR_END;
    return ST_OK;
}

static void close_value(struct scan *s) {
    assert(s->depth > 0);
    s->depth--;
    buf_chr(s->out, (char)*s->p++);
}

static enum status scan_value(struct scan *s, enum want *want) {
    if (++s->nodes > s->limits->max_nodes)
        return err_set(s->e, ST_LIMIT, "more than %zu JSON values", s->limits->max_nodes);
    int c = peek(s);
    *want = WANT_SEPARATOR;
    switch (c) {
    case '{':
    case '[':
        return open_value(s, (char)c, want);
    case '"':
        return scan_string(s, false);
    case 't':
        return scan_literal(s, "true");
    case 'f':
        return scan_literal(s, "false");
    case 'n':
        return scan_literal(s, "null");
    default:
        break;
    }
    if (c == '-' || is_digit(c)) return scan_number(s);
    return bad(s, "looking for beginning of value");
}

static enum status scan_key(struct scan *s) {
    if (peek(s) != '"') return bad(s, "looking for beginning of object key string");
    enum status st = scan_string(s, true);
    if (st != ST_OK) return st;
    skip_space(s);
    if (peek(s) != ':') return bad(s, "after object key");
    s->p++;
    buf_chr(s->out, ':');
    return ST_OK;
}

/* After a value inside another one: a comma or the end of the outer one. */
static enum status scan_separator(struct scan *s, enum want *want) {
    bool object = s->open[s->depth - 1] == '{';
    int c = peek(s);
    if (c == ',') {
        s->p++;
        buf_chr(s->out, ',');
        *want = object ? WANT_KEY : WANT_VALUE;
        return ST_OK;
    }
    if (c != (object ? '}' : ']'))
        return bad(s, object ? "after object key:value pair" : "after array element");
    close_value(s);
    return ST_OK;
}

/* One step: a key, a value, a separator or an end. */
static enum status scan_step(struct scan *s, enum want *want) {
    int end = *want == WANT_KEY_OR_END ? '}' : *want == WANT_VALUE_OR_END ? ']' : 0;
    if (end != 0 && peek(s) == end) {
        close_value(s);
        *want = WANT_SEPARATOR;
        return ST_OK;
    }
    if (*want == WANT_SEPARATOR) return scan_separator(s, want);
    if (*want == WANT_VALUE || *want == WANT_VALUE_OR_END) return scan_value(s, want);
    *want = WANT_VALUE;
    return scan_key(s);
}

enum status json_scan(const char *text, size_t len, const struct json_limits *limits,
                      struct buf *out, size_t *used, struct err *e) {
    assert(text != NULL || len == 0);
    const unsigned char *start = (const unsigned char *)(len != 0 ? text : "");
    bool cut = len > limits->max_bytes;
    /* The stack of open values is written before it is read. */
    struct scan s;
    s.p = start;
    s.end = start + (cut ? limits->max_bytes : len);
    s.cut = cut;
    s.limits = limits;
    s.out = out;
    s.e = e;
    s.nodes = 0;
    s.depth = 0;
    skip_space(&s);
    if (s.p == s.end && !cut) return err_set(e, ST_FORMAT, "EOF");
    enum want want = WANT_VALUE;
    do {
        skip_space(&s);
        enum status st = scan_step(&s, &want);
        if (st != ST_OK) return st;
    } while (s.depth != 0 || want != WANT_SEPARATOR);
    *used = (size_t)(s.p - start);
    return out->failed ? err_no_memory(e) : ST_OK;
}
