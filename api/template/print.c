/* print.c - values as text, by the rules of Go's fmt (spec/templates.md 3.3): one value, one verb.
 *
 * %v is what an action prints. Lists, maps and records apply the verb to what they hold; types that
 * know how to show themselves (enum type_show) do so for the verbs that take strings. */
#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/template/template_impl.h"
#include "base/utf8.h"

/* ---- floats ---- */

enum { MAX_DIGITS = 17 };

/* The fewest digits that read back as v, as %e. cria runs in the C locale. */
static void shortest(double v, char text[32]) {
    for (int digits = 0; digits < MAX_DIGITS; digits++) {
        snprintf(text, 32, "%.*e", digits, v);
        double back = strtod(text, NULL);
        if (memcmp(&back, &v, sizeof v) == 0) return;
    }
}

/* Go's %g without a precision: as few digits as possible, but the choice between the two forms as
 * if the precision were 6. So 12345678901 prints as 1.2345678901e+10 and 1e6 as 1e+06. (The spec's
 * "from 21 on" is the rule of JSON; its own example 1.5e+10 and the goldens follow this one.) */
static void put_shortest(struct buf *b, double v, bool upper) {
    enum { LARGE_EXPONENT = 6 };
    char text[32];
    shortest(v, text);
    char *e = strchr(text, 'e');
    int exponent = atoi(e + 1), digits = 0;
    for (const char *p = text; p < e; p++) digits += *p >= '0' && *p <= '9';
    if (upper) *e = 'E';
    if (exponent < -4 || exponent >= LARGE_EXPONENT)
        buf_str(b, text);
    else
        buf_printf(b, "%.*f", digits > exponent + 1 ? digits - exponent - 1 : 0, v);
}

static void put_float(struct buf *b, double v, uint32_t verb, int prec) {
    int fixed = prec < 0 ? 6 : prec;
    if (isnan(v))
        buf_str(b, "NaN");
    else if (isinf(v))
        buf_str(b, v > 0 ? "+Inf" : "-Inf");
    else if (verb == 'e')
        buf_printf(b, "%.*e", fixed, v);
    else if (verb == 'E')
        buf_printf(b, "%.*E", fixed, v);
    else if (verb == 'f' || verb == 'F')
        buf_printf(b, "%.*f", fixed, v);
    else if (prec < 0)
        put_shortest(b, v, verb == 'G');
    else
        buf_printf(b, verb == 'G' ? "%.*G" : "%.*g", prec, v);
}

/* ---- padding ---- */

static size_t count_chars(const char *s, size_t n) {
    size_t count = 0;
    uint32_t cp;
    for (size_t i = 0; i < n; count++) i += utf8_decode(s + i, n - i, &cp);
    return count;
}

static void put_repeated(struct buf *b, char c, size_t n) {
    if (!buf_reserve(b, n)) return;
    memset(b->data + b->len, c, n);
    b->len += n;
    b->data[b->len] = '\0';
}

/* Pads what was appended since `from` to the width. Zeros go behind a sign. */
static void pad(struct buf *b, size_t from, const struct spec *spec, bool number) {
    if (b->failed || spec->width < 0) return;
    size_t chars = count_chars(b->data + from, b->len - from), width = (size_t)spec->width;
    if (chars >= width) return;
    size_t missing = width - chars, at = from, tail = b->len;
    bool zeros = spec->zero && number && !spec->minus;
    if (zeros && (b->data[from] == '-' || b->data[from] == '+' || b->data[from] == ' ')) at++;
    put_repeated(b, zeros ? '0' : ' ', missing);
    if (b->failed || spec->minus) return;
    memmove(b->data + at + missing, b->data + at, tail - at);
    memset(b->data + at, zeros ? '0' : ' ', missing);
}

/* ---- leaves ---- */

static void put_type_and_value(struct buf *b, const struct value *v) {
    buf_str(b, tvalue_type_name(v));
    buf_chr(b, '=');
    tvalue_print(b, v);
}

static void put_bad_verb(struct buf *b, const struct value *v, uint32_t verb) {
    char utf8[4];
    buf_str(b, "%!");
    buf_add(b, utf8, utf8_encode(verb, utf8));
    buf_chr(b, '(');
    if (v->kind == V_NIL)
        buf_str(b, "<nil>");
    else
        put_type_and_value(b, v);
    buf_chr(b, ')');
}

static void put_sign(struct buf *b, bool negative, const struct spec *spec) {
    if (negative)
        buf_chr(b, '-');
    else if (spec->plus)
        buf_chr(b, '+');
    else if (spec->space)
        buf_chr(b, ' ');
}

static void put_digits(struct buf *b, uint64_t v, unsigned base, bool upper, int least) {
    const char *set = upper ? "0123456789ABCDEF" : "0123456789abcdef";
    char text[64];
    size_t n = 0;
    if (v == 0 && least == 0) return; /* %.0d of 0 is nothing */
    do {
        text[sizeof text - ++n] = set[v % base];
        v /= base;
    } while (v != 0);
    if (least > 0 && (size_t)least > n) put_repeated(b, '0', (size_t)least - n);
    buf_add(b, text + sizeof text - n, n);
}

static void put_base(struct buf *b, int64_t i, const struct spec *spec, unsigned base,
                     const char *prefix) {
    size_t from = b->len;
    put_sign(b, i < 0, spec);
    buf_str(b, prefix);
    put_digits(b, i < 0 ? 0 - (uint64_t)i : (uint64_t)i, base, spec->verb == 'X', spec->prec);
    pad(b, from, spec, spec->prec < 0);
}

/* The value as a character; what is no character shows as U+FFFD. */
static void put_char(struct buf *b, int64_t i, const struct spec *spec) {
    char utf8[4];
    bool valid = i >= 0 && i <= 0x10FFFF && !(i >= 0xD800 && i < 0xE000);
    size_t from = b->len;
    buf_add(b, utf8, utf8_encode(valid ? (uint32_t)i : (uint32_t)UTF8_BAD, utf8));
    pad(b, from, spec, false);
}

static void put_code_point(struct buf *b, int64_t i, const struct spec *spec) {
    size_t from = b->len;
    buf_printf(b, "U+%04" PRIX64, (uint64_t)i);
    if (spec->sharp && i >= 0 && i <= 0x10FFFF && tliteral_is_printable((uint32_t)i)) {
        char utf8[4];
        buf_str(b, " '");
        buf_add(b, utf8, utf8_encode((uint32_t)i, utf8));
        buf_chr(b, '\'');
    }
    pad(b, from, spec, false);
}

static bool format_int(struct buf *b, int64_t i, const struct spec *spec) {
    size_t from = b->len;
    switch (spec->verb) {
    case 'v':
    case 'd':
        put_base(b, i, spec, 10, "");
        return true;
    case 'b':
        put_base(b, i, spec, 2, spec->sharp ? "0b" : "");
        return true;
    case 'o':
        put_base(b, i, spec, 8, spec->sharp ? "0" : "");
        return true;
    case 'O':
        put_base(b, i, spec, 8, "0o");
        return true;
    case 'x':
        put_base(b, i, spec, 16, spec->sharp ? "0x" : "");
        return true;
    case 'X':
        put_base(b, i, spec, 16, spec->sharp ? "0X" : "");
        return true;
    case 'c':
        put_char(b, i, spec);
        return true;
    case 'U':
        put_code_point(b, i, spec);
        return true;
    case 'q':
        tliteral_quote_char(b, i, spec->plus);
        pad(b, from, spec, false);
        return true;
    default:
        return false;
    }
}

static bool is_float_verb(uint32_t verb) {
    return verb == 'v' || (verb < 0x80 && strchr("eEfFgG", (int)verb) != NULL);
}

static bool format_float(struct buf *b, double f, const struct spec *spec) {
    if (!is_float_verb(spec->verb)) return false;
    size_t from = b->len;
    if (!(f < 0) && !signbit(f)) put_sign(b, false, spec);
    put_float(b, f, spec->verb, spec->prec);
    pad(b, from, spec, isfinite(f));
    return true;
}

static bool format_complex(struct buf *b, const struct value *v, const struct spec *spec) {
    struct spec part = *spec;
    if (!is_float_verb(spec->verb)) return false;
    buf_chr(b, '(');
    format_float(b, v->complex.re, &part);
    part.plus = true;
    format_float(b, v->complex.im, &part);
    buf_str(b, "i)");
    return true;
}

static void put_hex(struct buf *b, struct text s, const struct spec *spec) {
    size_t n = spec->prec >= 0 && (size_t)spec->prec < s.n ? (size_t)spec->prec : s.n;
    const char *prefix = !spec->sharp ? "" : spec->verb == 'X' ? "0X" : "0x";
    for (size_t i = 0; i < n; i++) {
        if (i > 0 && spec->space) buf_chr(b, ' ');
        if (i == 0 || spec->space) buf_str(b, prefix);
        buf_printf(b, spec->verb == 'X' ? "%02X" : "%02x", (unsigned)(unsigned char)s.p[i]);
    }
}

/* The precision cuts a string to so many characters. */
static struct text cut_chars(struct text s, int prec) {
    size_t i = 0;
    uint32_t cp;
    if (prec < 0) return s;
    for (int left = prec; left > 0 && i < s.n; left--) i += utf8_decode(s.p + i, s.n - i, &cp);
    return (struct text){s.p, i};
}

static bool can_backquote(struct text s) {
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if ((c < ' ' && c != '\t') || c == '`' || c == 0x7F) return false;
    }
    return utf8_valid(s.p, s.n);
}

static bool format_string(struct buf *b, struct text s, const struct spec *spec) {
    size_t from = b->len;
    switch (spec->verb) {
    case 'v':
    case 's':
        s = cut_chars(s, spec->prec);
        buf_add(b, s.p, s.n);
        break;
    case 'x':
    case 'X':
        put_hex(b, s, spec);
        break;
    case 'q':
        s = cut_chars(s, spec->prec);
        if (spec->sharp && can_backquote(s)) {
            buf_chr(b, '`');
            buf_add(b, s.p, s.n);
            buf_chr(b, '`');
        } else {
            tliteral_quote(b, s, spec->plus);
        }
        break;
    default:
        return false;
    }
    pad(b, from, spec, false);
    return true;
}

static bool format_bool(struct buf *b, bool v, const struct spec *spec) {
    if (spec->verb != 'v' && spec->verb != 't') return false;
    size_t from = b->len;
    buf_str(b, v ? "true" : "false");
    pad(b, from, spec, false);
    return true;
}

/* ---- containers ---- */

/* Bytes print as a list of numbers, or as a string for the verbs of strings. */
static void format_bytes(struct buf *b, const struct value *v, const struct spec *spec) {
    struct arena a = {0};
    struct text s;
    if (!tvalue_bytes(&a, v, &s)) {
        b->failed = true;
        return;
    }
    if (spec->verb == 'v' || spec->verb == 'd') {
        buf_chr(b, '[');
        for (size_t i = 0; i < s.n; i++)
            buf_printf(b, i > 0 ? " %u" : "%u", (unsigned)(unsigned char)s.p[i]);
        buf_chr(b, ']');
    } else if (!format_string(b, s, spec)) {
        put_bad_verb(b, v, spec->verb);
    }
    arena_free(&a);
}

static void format_items(struct buf *b, const struct value *item, size_t n, const struct spec *spec,
                         const char *brackets) {
    buf_chr(b, brackets[0]);
    for (size_t i = 0; i < n && !b->failed; i++) {
        if (i > 0) buf_chr(b, ' ');
        tvalue_format(b, &item[i], spec);
    }
    buf_chr(b, brackets[1]);
}

static void format_dict(struct buf *b, const struct dict *d, const struct spec *spec) {
    buf_str(b, "map[");
    for (size_t i = 0; d != NULL && i < d->n && !b->failed; i++) {
        struct value key = tvalue_text(d->entry[i].key);
        if (i > 0) buf_chr(b, ' ');
        tvalue_format(b, &key, spec);
        buf_chr(b, ':');
        tvalue_format(b, &d->entry[i].value, spec);
    }
    buf_chr(b, ']');
}

/* Types with a text of their own. True: done. */
static bool format_shown(struct buf *b, const struct value *v, const struct spec *spec) {
    if (v->type == NULL || v->type->show == SHOW_GO) return false;
    if (spec->verb >= 0x80 || strchr("vsxXq", (int)spec->verb) == NULL) return false;
    struct buf own = {0};
    struct spec plain = {.verb = 'v', .width = -1, .prec = -1};
    if (v->type->show == SHOW_JSON)
        tvalue_json(&own, v);
    else if (v->list.n == 1)
        tvalue_format(&own, &v->list.item[0], &plain);
    else if (v->list.n > 1)
        format_items(&own, v->list.item, v->list.n, &plain, "[]");
    if (own.failed)
        b->failed = true;
    else
        format_string(b, (struct text){own.len != 0 ? own.data : "", own.len}, spec);
    buf_free(&own);
    return true;
}

void tvalue_format(struct buf *b, const struct value *v, const struct spec *spec) {
    bool ok = true;
    if (format_shown(b, v, spec)) return;
    switch (v->kind) {
    case V_NIL:
        ok = spec->verb == 'v';
        if (ok) format_string(b, TEXT("<nil>"), spec);
        break;
    case V_BOOL:
        ok = format_bool(b, v->b, spec);
        break;
    case V_INT:
        ok = format_int(b, v->i, spec);
        break;
    case V_FLOAT:
        ok = format_float(b, v->f, spec);
        break;
    case V_COMPLEX:
        ok = format_complex(b, v, spec);
        break;
    case V_STRING:
        ok = format_string(b, v->s, spec);
        break;
    case V_BYTES:
        format_bytes(b, v, spec);
        break;
    case V_LIST:
        format_items(b, v->list.item, v->list.n, spec, "[]");
        break;
    case V_DICT:
        format_dict(b, v->dict, spec);
        break;
    case V_RECORD:
        if (v->type->pointer) buf_chr(b, '&');
        format_items(b, v->field, v->type->n_fields, spec, "{}");
        break;
    }
    if (!ok) put_bad_verb(b, v, spec->verb);
}

void tvalue_print(struct buf *b, const struct value *v) {
    struct spec plain = {.verb = 'v', .width = -1, .prec = -1};
    tvalue_format(b, v, &plain);
}
