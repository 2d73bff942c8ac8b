/* json_put.c - see json.h: the emitter, which writes JSON text straight into a buffer. */
#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/utf8.h"

/* ---- strings ---- */

static bool is_plain(unsigned char c) {
    return c >= 0x20 && c < 0x80 && c != '"' && c != '\\' && c != '<' && c != '>' && c != '&';
}

/* One character of n bytes that may not stand for itself. */
static void put_char(struct buf *b, const char *s, unsigned n, uint32_t cp) {
    static const char named[] = "\"\"\\\\\bb\ff\nn\rr\tt";
    for (size_t i = 0; i + 1 < sizeof named; i += 2) {
        if (cp != (unsigned char)named[i]) continue;
        buf_chr(b, '\\');
        buf_chr(b, named[i + 1]);
        return;
    }
    bool raw = cp >= 0x80 && cp != 0x2028 && cp != 0x2029;
    if (raw && !utf8_was_bad(s, n, cp))
        buf_add(b, s, n);
    else
        buf_printf(b, "\\u%04x", (unsigned)cp); /* a bad sequence: \ufffd */
}

void json_put_string(struct buf *b, const char *s, size_t len) {
    buf_chr(b, '"');
    for (size_t i = 0; i < len;) {
        size_t run = i;
        while (run < len && is_plain((unsigned char)s[run])) run++;
        buf_add(b, s + i, run - i);
        if (run == len) break;
        uint32_t cp;
        unsigned n = utf8_decode(s + run, len - run, &cp);
        put_char(b, s + run, n, cp);
        i = run + n;
    }
    buf_chr(b, '"');
}

/* ---- numbers ---- */

/* The decimal number 0.ddd... * 10^point, or with a minus sign. */
struct decimal {
    bool negative;
    int n, point;
    char digit[20];
};

static void strip_zeros(struct decimal *d) {
    while (d->n > 1 && d->digit[d->n - 1] == '0') d->n--;
}

/* v with n digits, correctly rounded: printf's %e, taken apart. */
static struct decimal decimal_of(double v, int n) {
    char text[40];
    snprintf(text, sizeof text, "%.*e", n - 1, v);
    struct decimal d = {.negative = text[0] == '-', .n = n};
    const char *first = text + d.negative;
    d.digit[0] = first[0];
    if (n > 1) memcpy(d.digit + 1, first + 2, (size_t)n - 1);
    d.point = atoi(strchr(text, 'e') + 1) + 1;
    strip_zeros(&d);
    return d;
}

/* The fewest digits that read back as v. With 15 digits (float: 6) every shorter text is found too,
 * with zeros behind it; subnormal numbers have less precision, so there we start at one digit.
 * Powers of two may get a digit too many: the room for a shorter text is on the far side of them,
 * and correct rounding does not look there (about 50 of the 2046 powers; harmless). */
static struct decimal shortest_double(double v) {
    int n = fabs(v) < 0x1p-1022 ? 1 : 15;
    for (;; n++) {
        char text[40];
        snprintf(text, sizeof text, "%.*e", n - 1, v);
        if (n == 17 || strtod(text, NULL) == v) return decimal_of(v, n);
    }
}

static struct decimal shortest_float_slow(float v) {
    int n = fabsf(v) < 0x1p-126f ? 1 : 6;
    for (;; n++) {
        char text[40];
        snprintf(text, sizeof text, "%.*e", n - 1, (double)v);
        if (n == 9 || strtof(text, NULL) == v) return decimal_of((double)v, n);
    }
}

/* r (an integer below 10^9 or that itself) times 10^-scale as digits. */
static struct decimal decimal_of_int(uint32_t r, int scale, bool negative) {
    struct decimal d = {.negative = negative};
    char back[12];
    for (; r != 0; r /= 10) back[d.n++] = (char)('0' + r % 10);
    for (int i = 0; i < d.n; i++) d.digit[i] = back[d.n - 1 - i];
    d.point = d.n - scale;
    strip_zeros(&d);
    return d;
}

/* Whether q lies so near the middle between two floats that its own rounding error might decide
 * which of them it becomes: 29 bits are cut off. */
static bool near_float_middle(double q) {
    uint64_t bits;
    memcpy(&bits, &q, sizeof bits);
    uint64_t low = bits & 0x1FFFFFFF;
    return low >= 0x0FFFFFF0 && low <= 0x10000010;
}

/* The same in double arithmetic, for sizes that occur (embeddings), about 20 times faster. A float
 * times or over an exact power of ten has an error of 2^-53; false where so little could decide. */
static bool shortest_float_fast(float v, struct decimal *out) {
    static const double ten[] = {1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
    double a = fabs((double)v);
    if (!(a >= 1e-6 && a < 1e6)) return false;
    int scale = 11; /* the power that brings a to six digits before the point */
    while (scale > 0 && a * ten[scale] >= 1e6) scale--;
    for (int n = 6; n <= 9; n++, scale++) {
        double m = a * ten[scale], r = nearbyint(m);
        double q = r / ten[scale];
        if (fabs(fabs(m - r) - 0.5) < 1e-5 || near_float_middle(q)) return false;
        if ((float)q != fabsf(v)) continue;
        *out = decimal_of_int((uint32_t)r, scale, v < 0);
        return true;
    }
    return false;
}

static void put_zeros(struct buf *b, int n) {
    while (n-- > 0) buf_chr(b, '0');
}

/* As Go writes it: plain from 1e-6 up to below 1e21, else with an exponent ("1e-7", "1.5e+21"). */
static void put_decimal(struct buf *b, const struct decimal *d) {
    if (d->negative) buf_chr(b, '-');
    if (d->point < -5 || d->point > 21) {
        buf_chr(b, d->digit[0]);
        if (d->n > 1) buf_chr(b, '.');
        buf_add(b, d->digit + 1, (size_t)d->n - 1);
        buf_printf(b, "e%+d", d->point - 1);
        return;
    }
    int whole = d->point < 0 ? 0 : d->point < d->n ? d->point : d->n;
    buf_add(b, d->digit, (size_t)whole);
    put_zeros(b, d->point <= 0 ? 1 : d->point - d->n);
    if (whole == d->n) return;
    buf_chr(b, '.');
    put_zeros(b, -d->point);
    buf_add(b, d->digit + whole, (size_t)(d->n - whole));
}

void json_put_double(struct buf *b, double v) {
    if (!isfinite(v)) {
        buf_str(b, "null");
        return;
    }
    struct decimal d = shortest_double(v);
    if (v == 0) d.point = 1; /* "0" and "-0" */
    put_decimal(b, &d);
}

void json_put_float(struct buf *b, float v) {
    struct decimal d;
    if (!isfinite(v) || v == 0) {
        json_put_double(b, (double)v);
        return;
    }
    if (!shortest_float_fast(v, &d)) d = shortest_float_slow(v);
    put_decimal(b, &d);
}

/* ---- members ---- */

void json_put_key(struct buf *b, const char *key) {
    if (b->len != 0 && b->data[b->len - 1] != '{') buf_chr(b, ',');
    json_put_string(b, key, strlen(key));
    buf_chr(b, ':');
}

void json_put_field(struct buf *b, const char *key, const char *value) {
    json_put_key(b, key);
    json_put_string(b, value != NULL ? value : "", value != NULL ? strlen(value) : 0);
}

void json_put_field_int(struct buf *b, const char *key, int64_t value) {
    json_put_key(b, key);
    buf_printf(b, "%" PRId64, value);
}

void json_put_field_bool(struct buf *b, const char *key, bool value) {
    json_put_key(b, key);
    buf_str(b, value ? "true" : "false");
}
