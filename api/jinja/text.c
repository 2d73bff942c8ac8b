/* text.c - what Python's strings can do that C's cannot: code points, cases, %-formatting. */
#include <ctype.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/jinja/jinja_impl.h"
#include "base/unicode.h"
#include "base/utf8.h"

size_t jtext_chars(struct jtext t) {
    size_t n = 0;
    for (size_t i = 0; i < t.n; i++) n += ((unsigned char)t.p[i] & 0xC0) != 0x80;
    return n;
}

size_t jtext_offset(struct jtext t, size_t n_chars) {
    size_t i = 0;
    while (i < t.n && n_chars > 0) {
        i++;
        while (i < t.n && ((unsigned char)t.p[i] & 0xC0) == 0x80) i++;
        n_chars--;
    }
    return i;
}

/* chars NULL: white space. */
static bool in_set(const char *c, unsigned n, const char *chars, size_t n_chars) {
    uint32_t cp, other;
    utf8_decode(c, n, &cp);
    if (chars == NULL) return unicode_is_space(cp) || (cp >= 0x1C && cp <= 0x1F);
    for (size_t i = 0; i < n_chars;) {
        i += utf8_decode(chars + i, n_chars - i, &other);
        if (other == cp) return true;
    }
    return false;
}

struct jtext jtext_strip(struct jtext t, const char *chars, size_t n_chars, bool left, bool right) {
    while (left && t.n > 0) {
        size_t k = jtext_offset(t, 1);
        if (!in_set(t.p, (unsigned)k, chars, n_chars)) break;
        t.p += k;
        t.n -= k;
    }
    while (right && t.n > 0) {
        size_t k = t.n - 1;
        while (k > 0 && ((unsigned char)t.p[k] & 0xC0) == 0x80) k--;
        if (!in_set(t.p + k, (unsigned)(t.n - k), chars, n_chars)) break;
        t.n = k;
    }
    return t;
}

/* ---- cases ---- */

static struct {
    uint32_t lower, upper;
} upper_of[1600];
static size_t n_upper;
static pthread_once_t upper_once = PTHREAD_ONCE_INIT;

static int by_lower(const void *a, const void *b) {
    const uint32_t *p = a, *q = b;
    return p[0] < q[0] ? -1 : p[0] > q[0] ? 1 : p[1] < q[1] ? -1 : p[1] > q[1];
}

/* The tables know lower case only: turned around once. */
static void make_upper(void) {
    for (uint32_t c = 'A'; c < 0x1F000; c++) {
        uint32_t low = unicode_lower(c);
        if (low == c || n_upper == sizeof upper_of / sizeof *upper_of) continue;
        upper_of[n_upper].lower = low;
        upper_of[n_upper++].upper = c;
    }
    qsort(upper_of, n_upper, sizeof *upper_of, by_lower);
}

uint32_t junicode_upper(uint32_t cp) {
    if (cp < 0x80) return (uint32_t)toupper((int)cp);
    pthread_once(&upper_once, make_upper);
    size_t low = 0, high = n_upper;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (upper_of[mid].lower < cp)
            low = mid + 1;
        else
            high = mid;
    }
    return low < n_upper && upper_of[low].lower == cp ? upper_of[low].upper : cp;
}

static bool is_upper(uint32_t cp) { return unicode_lower(cp) != cp; }

bool jtext_case(struct jx *x, struct jtext t, enum jcase c, struct jv *out) {
    struct buf b = {0};
    bool word = false;
    for (size_t i = 0; i < t.n;) {
        uint32_t cp;
        char utf8[4];
        i += utf8_decode(t.p + i, t.n - i, &cp);
        bool up = c == JCASE_UPPER || (c == JCASE_TITLE && !word) ||
                  (c == JCASE_CAPITALIZE && b.len == 0) || (c == JCASE_SWAP && !is_upper(cp));
        word = unicode_class(cp) == UNI_L || (c == JCASE_TITLE && cp == '\'' && word);
        if (up && cp == 0xDF && c == JCASE_UPPER) {
            buf_str(&b, "SS");
            continue;
        }
        buf_add(&b, utf8, utf8_encode(up ? junicode_upper(cp) : unicode_lower(cp), utf8));
    }
    return jx_string_buf(x, &b, out);
}

/* ---- replacing and formatting ---- */

bool jtext_replace(struct jx *x, struct jtext t, struct jtext from, struct jtext to, int64_t max,
                   struct jv *out) {
    struct buf b = {0};
    size_t i = 0;
    while (max != 0 && i <= t.n) {
        const char *hit = from.n == 0 ? t.p + i : memmem(t.p + i, t.n - i, from.p, from.n);
        if (hit == NULL) break;
        size_t step = from.n != 0 ? from.n
                      : i < t.n   ? jtext_offset((struct jtext){hit, t.n - i}, 1)
                                  : 1;
        buf_add(&b, t.p + i, (size_t)(hit - t.p) - i);
        if (to.n > 0) buf_add(&b, to.p, to.n);
        i = (size_t)(hit - t.p);
        if (from.n == 0 && i < t.n) buf_add(&b, hit, step);
        i += step;
        max--;
        if (b.len > x->limits->max_out) {
            buf_free(&b);
            return jx_fail(x, "the text grows too large");
        }
    }
    if (i < t.n) buf_add(&b, t.p + i, t.n - i);
    return jx_string_buf(x, &b, out);
}

struct spec { /* %[flags][width][.precision]verb */
    char text[32];
    bool minus;
    int width, precision;
    char verb;
};

static size_t read_spec(const char *p, size_t n, struct spec *s) {
    size_t i = 0;
    *s = (struct spec){.precision = -1};
    while (i < n && strchr("-+ #0", p[i]) != NULL && p[i] != '\0') {
        s->minus = s->minus || p[i] == '-';
        if (i < 8) s->text[i] = p[i];
        i++;
    }
    while (i < n && isdigit((unsigned char)p[i]) && s->width < 10000)
        s->width = s->width * 10 + (p[i++] - '0');
    if (i < n && p[i] == '.') {
        s->precision = 0;
        for (i++; i < n && isdigit((unsigned char)p[i]) && s->precision < 100; i++)
            s->precision = s->precision * 10 + (p[i] - '0');
    }
    s->verb = i < n ? p[i++] : '\0';
    return i;
}

static bool put_formatted(struct jx *x, struct buf *b, const struct spec *s, struct jv v) {
    char fmt[64], text[512];
    char flags[9];
    snprintf(flags, sizeof flags, "%.8s", s->text);
    if (s->verb == 's' || s->verb == 'r') {
        struct buf t = {0};
        bool ok = s->verb == 's' ? jv_put_str(x, &t, v) : jv_put_repr(x, &t, v);
        size_t n = t.len > 0 ? jtext_chars((struct jtext){t.data, t.len}) : 0;
        for (size_t i = n; !s->minus && i < (size_t)s->width; i++) buf_chr(b, ' ');
        if (t.len > 0) buf_add(b, t.data, t.len);
        for (size_t i = n; s->minus && i < (size_t)s->width; i++) buf_chr(b, ' ');
        buf_free(&t);
        return ok;
    }
    if (!jv_is_number(v))
        return jx_fail(x, "%%%c format: a number is required, not %s", s->verb, jv_type_name(v));
    int width = s->width > 200 ? 200 : s->width;
    if (strchr("dixXo", s->verb) != NULL) {
        snprintf(fmt, sizeof fmt, "%%%s%dll%c", flags, width, s->verb);
        double d = jv_double(v);
        long long i = v.kind == J_FLOAT  ? (d > -9e18 && d < 9e18 ? (long long)d : 0)
                      : v.kind == J_BOOL ? v.b
                                         : v.i;
        if (width == 0) snprintf(fmt, sizeof fmt, "%%%sll%c", flags, s->verb);
        snprintf(text, sizeof text, fmt, i);
    } else {
        int precision = s->precision < 0 ? 6 : s->precision > 60 ? 60 : s->precision;
        snprintf(fmt, sizeof fmt, width == 0 ? "%%%s.*%c" : "%%%s*.*%c", flags, s->verb);
        if (width == 0)
            snprintf(text, sizeof text, fmt, precision, jv_double(v));
        else
            snprintf(text, sizeof text, fmt, width, precision, jv_double(v));
    }
    buf_str(b, text);
    return true;
}

bool jtext_format(struct jx *x, struct jtext fmt, const struct jv *arg, size_t n, struct jv *out) {
    struct buf b = {0};
    size_t used = 0;
    bool ok = true;
    for (size_t i = 0; ok && i < fmt.n;) {
        struct spec s;
        if (fmt.p[i] != '%') {
            buf_chr(&b, fmt.p[i++]);
            continue;
        }
        i++;
        i += read_spec(fmt.p + i, fmt.n - i, &s);
        if (s.verb == '%')
            buf_chr(&b, '%');
        else if (s.verb == '\0' || strchr("srdixXoeEfFgG", s.verb) == NULL)
            ok = jx_fail(x, "unsupported format character");
        else if (used == n)
            ok = jx_fail(x, "not enough arguments for format string");
        else
            ok = put_formatted(x, &b, &s, arg[used++]);
    }
    if (ok && used < n) ok = jx_fail(x, "not all arguments converted during string formatting");
    if (ok) return jx_string_buf(x, &b, out);
    buf_free(&b);
    return false;
}
