/* number.c - see number.h: bounds are written as regular expressions over digits. */
#include "engine/grammar/number.h"

#include <assert.h>
#include <string.h>

#include "base/buf.h"
#include "engine/grammar/regex.h"

enum { DIGITS_MAX = 16, MULTIPLE_MAX = 2000, PLACES_MAX = 8 };

/* ---- exact decimals ---- */

static void normalize(struct decimal *d) {
    int zeros = 0;
    while (zeros < d->n_whole && d->digit[zeros] == '0') zeros++;
    memmove(d->digit, d->digit + zeros, (size_t)(d->n - zeros));
    d->n -= zeros;
    d->n_whole -= zeros;
    while (d->n > d->n_whole && d->digit[d->n - 1] == '0') d->n--;
    if (d->n == 0) d->negative = false;
    d->digit[d->n] = '\0';
}

/* Moves the point by the exponent. */
static bool shift(struct decimal *d, long exponent) {
    if (exponent > DECIMAL_DIGITS || exponent < -DECIMAL_DIGITS) return false;
    int point = d->n_whole + (int)exponent;
    if (point < 0) {
        if (d->n - point > DECIMAL_DIGITS) return false;
        memmove(d->digit - point, d->digit, (size_t)d->n);
        memset(d->digit, '0', (size_t)-point);
        d->n -= point;
        point = 0;
    }
    for (; d->n < point; d->n++) {
        if (d->n == DECIMAL_DIGITS) return false;
        d->digit[d->n] = '0';
    }
    d->n_whole = point;
    return true;
}

static bool read_text(const char *s, struct decimal *d) {
    long exponent = 0;
    bool point = false;
    *d = (struct decimal){.negative = *s == '-'};
    for (s += *s == '-'; (*s >= '0' && *s <= '9') || *s == '.'; s++) {
        if (*s == '.') {
            point = true;
            continue;
        }
        if (d->n == DECIMAL_DIGITS) return false;
        d->digit[d->n++] = *s;
        d->n_whole += !point;
    }
    if (*s == 'e' || *s == 'E') {
        bool negative = s[1] == '-';
        for (s += 1 + (s[1] == '-' || s[1] == '+'); *s >= '0' && *s <= '9'; s++)
            if (exponent < 100000) exponent = exponent * 10 + (*s - '0');
        if (negative) exponent = -exponent;
    }
    bool fits = shift(d, exponent);
    if (fits) normalize(d);
    return fits;
}

bool decimal_read(const json *v, struct decimal *out) {
    struct buf b = {0};
    if (json_kind(v) != JSON_NUMBER) return false;
    json_print(&b, v);
    bool fits = !b.failed && read_text(b.data, out);
    buf_free(&b);
    return fits;
}

static int compare_sizes(const struct decimal *a, const struct decimal *b) {
    if (a->n_whole != b->n_whole) return a->n_whole < b->n_whole ? -1 : 1;
    int n = a->n < b->n ? a->n : b->n, c = memcmp(a->digit, b->digit, (size_t)n);
    if (c != 0) return c < 0 ? -1 : 1;
    return a->n < b->n ? -1 : a->n > b->n;
}

int decimal_compare(const struct decimal *a, const struct decimal *b) {
    if (a->negative != b->negative) return a->negative ? -1 : 1;
    return a->negative ? -compare_sizes(a, b) : compare_sizes(a, b);
}

void number_at_least(struct number_facts *f, const struct decimal *x, bool open) {
    int c = f->has_lo ? decimal_compare(x, &f->lo) : 1;
    if (c > 0) f->lo_open = open;
    if (c == 0) f->lo_open = f->lo_open || open;
    if (c > 0) f->lo = *x;
    f->has_lo = true;
}

void number_at_most(struct number_facts *f, const struct decimal *x, bool open) {
    int c = f->has_hi ? decimal_compare(x, &f->hi) : -1;
    if (c < 0) f->hi_open = open;
    if (c == 0) f->hi_open = f->hi_open || open;
    if (c < 0) f->hi = *x;
    f->has_hi = true;
}

bool number_is_free(const struct number_facts *f) {
    return !f->has_lo && !f->has_hi && f->n_multiples == 0;
}

/* ---- whole numbers as digits ---- */

/* Strings of n digits that are >= s (or <= s), each alternative behind a '|' and the prefix. */
static void beyond(struct buf *b, const char *prefix, int n_prefix, const char *s, int n, bool up) {
    for (int i = 0; i < n; i++) {
        char lo = up ? (char)(s[i] + 1) : '0', hi = up ? '9' : (char)(s[i] - 1);
        if (lo > hi) continue;
        buf_printf(b, "|%.*s%.*s[%c-%c]", n_prefix, prefix, i, s, lo, hi);
        if (n - i - 1 > 0) buf_printf(b, "[0-9]{%d}", n - i - 1);
    }
    buf_printf(b, "|%.*s%.*s", n_prefix, prefix, n, s);
}

static void same_length(struct buf *b, const char *lo, const char *hi, int n) {
    int k = 0;
    while (k < n && lo[k] == hi[k]) k++;
    if (k == n) {
        buf_printf(b, "|%.*s", n, lo);
        return;
    }
    beyond(b, lo, k + 1, lo + k + 1, n - k - 1, true);
    beyond(b, hi, k + 1, hi + k + 1, n - k - 1, false);
    if (lo[k] + 1 <= hi[k] - 1) {
        buf_printf(b, "|%.*s[%c-%c]", k, lo, lo[k] + 1, hi[k] - 1);
        if (n - k - 1 > 0) buf_printf(b, "[0-9]{%d}", n - k - 1);
    }
}

/* Alternatives (each behind '|') for the whole numbers lo..hi without leading zeros; texts of
 * digits, "" is 0; hi NULL: as many digits as are allowed. */
static void whole_range(struct buf *b, const char *lo, const char *hi) {
    char nines[DIGITS_MAX + 1], least[DECIMAL_DIGITS + 1], most[DECIMAL_DIGITS + 1];
    if (*lo == '\0') lo = "0";
    if (hi != NULL && *hi == '\0') hi = "0";
    int from = (int)strlen(lo), to = hi != NULL ? (int)strlen(hi) : DIGITS_MAX;
    if (hi == NULL) {
        memset(nines, '9', sizeof nines - 1);
        nines[DIGITS_MAX] = '\0';
        hi = nines;
        if (from > to) return;
    }
    if (from == to) {
        if (strcmp(lo, hi) <= 0) same_length(b, lo, hi, from);
        return;
    }
    for (int n = from; n <= to; n++) {
        memset(most, '9', (size_t)n);
        memset(least, '0', (size_t)n);
        least[0] = n == 1 ? '0' : '1';
        same_length(b, n == from ? lo : least, n == to ? hi : most, n);
    }
}

static void plus_one(const char *s, int n, char out[DECIMAL_DIGITS + 2]) {
    out[0] = '0';
    memcpy(out + 1, s, (size_t)n);
    out[n + 1] = '\0';
    int i = n;
    while (i > 0 && out[i] == '9') out[i--] = '0';
    out[i]++;
    if (out[0] == '0') memmove(out, out + 1, (size_t)n + 1);
}

/* False: below zero. */
static bool minus_one(const char *s, int n, char out[DECIMAL_DIGITS + 2]) {
    memcpy(out, s, (size_t)n);
    out[n] = '\0';
    int i = n - 1;
    while (i >= 0 && out[i] == '0') out[i--] = '9';
    if (i < 0) return false;
    out[i]--;
    if (out[0] == '0') memmove(out, out + 1, (size_t)n);
    return true;
}

/* ---- sizes (numbers without sign) within bounds ---- */

struct bound { /* of a size; NULL: none */
    const struct decimal *at;
    bool open;
};

static const char ANY_FRACTION[] = "(?:\\.[0-9]{1,16})?";

static void with_fraction(struct buf *b, const struct buf *whole) {
    if (whole->len > 0) buf_printf(b, "|(?:%s)%s", whole->data + 1, ANY_FRACTION);
}

/* Sizes above (or at) x. */
static void sizes_from(struct buf *b, struct bound x) {
    struct buf whole = {0};
    char next[DECIMAL_DIGITS + 2];
    const struct decimal *d = x.at;
    const char *f = d->digit + d->n_whole;
    int n = d->n - d->n_whole;
    plus_one(d->digit, d->n_whole, next);
    whole_range(&whole, next, NULL);
    with_fraction(b, &whole);
    buf_free(&whole);
    const char *same = d->n_whole > 0 ? d->digit : "0";
    int n_same = d->n_whole > 0 ? d->n_whole : 1;
    if (n == 0 && !x.open) buf_printf(b, "|%.*s%s", n_same, same, ANY_FRACTION);
    if (n == 0 && x.open) buf_printf(b, "|%.*s\\.0*[1-9][0-9]*", n_same, same);
    for (int i = 0; i < n; i++)
        if (f[i] < '9') buf_printf(b, "|%.*s\\.%.*s[%c-9][0-9]*", n_same, same, i, f, f[i] + 1);
    if (n > 0)
        buf_printf(b, "|%.*s\\.%.*s%s", n_same, same, n, f, x.open ? "0*[1-9][0-9]*" : "[0-9]*");
}

/* Sizes below (or at) x. */
static void sizes_to(struct buf *b, struct bound x) {
    struct buf whole = {0};
    char before[DECIMAL_DIGITS + 2];
    const struct decimal *d = x.at;
    const char *f = d->digit + d->n_whole;
    int n = d->n - d->n_whole;
    if (d->n_whole > 0 && minus_one(d->digit, d->n_whole, before)) {
        whole_range(&whole, "", before);
        with_fraction(b, &whole);
    }
    buf_free(&whole);
    const char *same = d->n_whole > 0 ? d->digit : "0";
    int n_same = d->n_whole > 0 ? d->n_whole : 1;
    if (n == 0 && !x.open) buf_printf(b, "|%.*s(?:\\.0+)?", n_same, same);
    if (n == 0) return;
    buf_printf(b, "|%.*s", n_same, same);
    for (int i = 0; i < n; i++) {
        if (i > 0) buf_printf(b, "|%.*s\\.%.*s", n_same, same, i, f);
        if (f[i] > '0') buf_printf(b, "|%.*s\\.%.*s[0-%c][0-9]*", n_same, same, i, f, f[i] - 1);
    }
    if (!x.open) buf_printf(b, "|%.*s\\.%.*s0*", n_same, same, n, f);
}

static const struct dfa *of_alternatives(struct rules *r, struct buf *b) {
    const struct dfa *d = NULL;
    if (b->failed) r->st = err_no_memory(r->e);
    if (r->st == ST_OK) d = regex_own(r, b->len > 0 ? b->data + 1 : "[]");
    buf_free(b);
    return d;
}

/* Numbers of one sign whose size lies between two bounds. */
static const struct dfa *signed_sizes(struct rules *r, const char *form, const char *sign,
                                      struct bound lo, struct bound hi) {
    struct buf text = {0}, from = {0}, to = {0};
    buf_printf(&text, "|%s%s", sign, form);
    const struct dfa *d = of_alternatives(r, &text);
    struct buf *const side[] = {&from, &to};
    if (lo.at != NULL) sizes_from(&from, lo);
    if (hi.at != NULL) sizes_to(&to, hi);
    for (int i = 0; i < 2; i++) {
        if (side[i]->len == 0) {
            buf_free(side[i]);
            if ((i == 0 ? lo.at : hi.at) != NULL) d = regex_own(r, "[]");
            continue;
        }
        struct buf whole = {0};
        buf_printf(&whole, "|%s(?:%s)", sign, side[i]->data + 1);
        buf_free(side[i]);
        d = dfa_and(r, d, of_alternatives(r, &whole));
    }
    return d;
}

static const char WHOLE[] = "(?:0|[1-9][0-9]{0,15})";
static const char LONG_WHOLE[] = "(?:0|[1-9][0-9]{0,18})"; /* a bound has more digits */
static const char PLAIN[] = "(?:0|[1-9][0-9]{0,15})(?:\\.[0-9]{1,16})?";
static const char FULL[] =
    "(?:0|[1-9][0-9]{0,15})(?:\\.[0-9]{1,16})?(?:[eE][-+]?(?:0|[1-9][0-9]{0,15}))?";
static const char FULL_BUT_ZERO[] =
    "(?:(?:[1-9][0-9]{0,15})(?:\\.[0-9]{1,16})?|0\\.0{0,15}[1-9][0-9]{0,15})"
    "(?:[eE][-+]?(?:0|[1-9][0-9]?))?";

static const struct dfa *either(struct rules *r, const struct dfa *a, const struct dfa *b) {
    return dfa_not(r, dfa_and(r, dfa_not(r, a), dfa_not(r, b)));
}

static bool is_zero(const struct decimal *d) { return d->n == 0; }

/* Only the sign is asked for: exponents cannot change that. */
static const struct dfa *by_sign(struct rules *r, const struct number_facts *f) {
    struct buf b = {0};
    if (!f->has_hi) buf_printf(&b, "|%s", f->lo_open ? FULL_BUT_ZERO : FULL);
    if (!f->has_lo) buf_printf(&b, "|-%s", f->hi_open ? FULL_BUT_ZERO : FULL);
    if (!(f->has_lo ? f->lo_open : f->hi_open)) buf_str(&b, "|-?0(?:\\.0{1,16})?");
    return of_alternatives(r, &b);
}

static const struct dfa *within(struct rules *r, const struct number_facts *f) {
    const struct bound none = {0};
    struct bound lo = {f->has_lo ? &f->lo : NULL, f->lo_open};
    struct bound hi = {f->has_hi ? &f->hi : NULL, f->hi_open};
    const bool is_long =
        (f->has_lo && f->lo.n_whole > DIGITS_MAX) || (f->has_hi && f->hi.n_whole > DIGITS_MAX);
    const char *form = !f->integer ? PLAIN : is_long ? LONG_WHOLE : WHOLE;
    const struct dfa *plus = NULL, *minus = NULL;
    if (!f->has_hi || !f->hi.negative)
        plus = signed_sizes(r, form, "", f->has_lo && !f->lo.negative ? lo : none, hi);
    /* The peer writes -0 for integers only below a negative minimum. */
    bool below = !f->has_lo || f->lo.negative || (!f->integer && is_zero(&f->lo) && !f->lo_open);
    if (below) minus = signed_sizes(r, form, "-", f->has_hi && f->hi.negative ? hi : none, lo);
    if (plus == NULL || minus == NULL) return plus != NULL ? plus : minus;
    return either(r, plus, minus);
}

/* "-0" of an integer: only where a negative minimum allows it. */
static const struct dfa *integer_within(struct rules *r, const struct number_facts *f) {
    const struct dfa *d = within(r, f);
    if (d == NULL || (f->has_lo && f->lo.negative)) return d;
    return dfa_and(r, d, dfa_not(r, regex_own(r, "-0")));
}

/* ---- multiples ---- */

/* m = c / 10^k: the digits up to the k-th place, read as a number, are a multiple of c. */
static const struct dfa *multiples(struct rules *r, const struct decimal *m, bool integer) {
    int k = m->n - m->n_whole;
    long c = 0;
    for (int i = 0; i < m->n && c <= MULTIPLE_MAX; i++) c = c * 10 + (m->digit[i] - '0');
    if (c == 0 || c > MULTIPLE_MAX || k > PLACES_MAX) return NULL;
    /* Remainder automaton as an expression would be huge: made directly. */
    return dfa_of_multiples(r, (uint32_t)c, (uint32_t)k, integer);
}

const struct dfa *number_dfa(struct rules *r, const struct number_facts *f, bool *left_out) {
    const bool signs_only = !f->integer && f->n_multiples == 0 && f->has_lo != f->has_hi &&
                            is_zero(f->has_lo ? &f->lo : &f->hi);
    const struct dfa *d = signs_only   ? by_sign(r, f)
                          : f->integer ? integer_within(r, f)
                                       : within(r, f);
    *left_out = false;
    if (d == NULL && r->st == ST_OK) d = regex_own(r, "[]");
    for (int i = 0; i < f->n_multiples && r->st == ST_OK; i++) {
        const struct dfa *m = multiples(r, &f->multiple[i], f->integer);
        if (m == NULL && r->st == ST_OK)
            *left_out = true;
        else
            d = dfa_and(r, d, m);
    }
    return d;
}
