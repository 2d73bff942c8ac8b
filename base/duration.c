/* duration.c - see duration.h. */
#include "base/duration.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

static const struct {
    const char *name;
    int64_t ns;
} unit[] = {
    {"ns", 1},           {"us", 1000},
    {"\xC2\xB5s", 1000}, {"\xCE\xBCs", 1000}, /* micro sign, Greek mu */
    {"ms", 1000000},     {"s", 1000000000},
    {"m", 60000000000},  {"h", 3600000000000},
};

/* The text in Go quotes, cut so that it fits into a message. */
static enum status bad(struct err *e, const char *what, const char *text) {
    struct buf b = {0};
    json_put_string(&b, text, strnlen(text, 128));
    enum status st = err_set(e, ST_INVALID, "time: %s%s", what, b.data == NULL ? "" : b.data);
    buf_free(&b);
    return st;
}

static int64_t unit_ns(const char *name, size_t len) {
    for (size_t i = 0; i < sizeof unit / sizeof *unit; i++)
        if (strlen(unit[i].name) == len && memcmp(unit[i].name, name, len) == 0) return unit[i].ns;
    return 0;
}

static enum status bad_unit(struct err *e, const char *name, size_t len, const char *text) {
    struct buf b = {0};
    buf_str(&b, "unknown unit ");
    json_put_string(&b, name, len > 64 ? 64 : len);
    buf_str(&b, " in duration ");
    enum status st = bad(e, b.data == NULL ? "" : b.data, text);
    buf_free(&b);
    return st;
}

/* One "12.5ms" at *p, added to *sum. */
static enum status one_part(const char **p, const char *text, int64_t *sum, struct err *e) {
    const char *s = *p;
    size_t n = strspn(s, "0123456789"), n_fraction = 0;
    if (s[n] == '.') n_fraction = 1 + strspn(s + n + 1, "0123456789");
    if (n == 0 && n_fraction <= 1) return bad(e, "invalid duration ", text);
    double whole = strtod(s, NULL); /* digits and at most one point: no locale, no exponent */
    if (strspn(s, "0123456789.") < n + n_fraction) return bad(e, "invalid duration ", text);
    s += n + n_fraction;
    size_t len = strcspn(s, ".0123456789");
    if (len == 0) return bad(e, "missing unit in duration ", text);
    int64_t ns = unit_ns(s, len);
    if (ns == 0) return bad_unit(e, s, len, text);
    double value = whole * (double)ns;
    if (value > 9.2e18 || (double)*sum + value > 9.2e18) return bad(e, "invalid duration ", text);
    *sum += (int64_t)value;
    *p = s + len;
    return ST_OK;
}

enum status duration_parse(const char *text, int64_t *ns, struct err *e) {
    const char *p = text;
    bool negative = *p == '-';
    int64_t sum = 0;
    if (*p == '-' || *p == '+') p++;
    if (strcmp(p, "0") == 0) {
        *ns = 0;
        return ST_OK;
    }
    if (*p == '\0') return bad(e, "invalid duration ", text);
    while (*p != '\0') {
        /* strtod would read "0x10" and "1e5" as one number */
        if (!isdigit((unsigned char)*p) && *p != '.') return bad(e, "invalid duration ", text);
        enum status st = one_part(&p, text, &sum, e);
        if (st != ST_OK) return st;
    }
    *ns = negative ? -sum : sum;
    return ST_OK;
}

static int64_t of_seconds(double s) {
    if (s < 0 || s >= 9.2e9) return DURATION_FOREVER;
    return (int64_t)(s * 1e9);
}

enum status keep_alive_parse(const json *v, int64_t *ns, struct err *e) {
    static const char *const go_type[] = {[JSON_NULL] = "%!s(<nil>)",
                                          [JSON_BOOL] = "bool",
                                          [JSON_ARRAY] = "[]interface {}",
                                          [JSON_OBJECT] = "map[string]interface {}"};
    double seconds;
    if (json_number(v, &seconds)) {
        *ns = of_seconds(seconds);
        return ST_OK;
    }
    const char *text = json_string(v);
    if (text == NULL)
        return err_set(e, ST_INVALID, "Unsupported type: '%s'", go_type[json_kind(v)]);
    enum status st = duration_parse(text, ns, e);
    if (st == ST_OK && *ns < 0) *ns = DURATION_FOREVER;
    return st;
}

enum status keep_alive_text(const char *text, int64_t *ns, struct err *e) {
    const char *digits = text + (*text == '+' || *text == '-');
    if (*digits != '\0' && digits[strspn(digits, "0123456789")] == '\0') {
        *ns = of_seconds(strtod(text, NULL));
        return ST_OK;
    }
    enum status st = duration_parse(text, ns, e);
    if (st == ST_OK && *ns < 0) *ns = DURATION_FOREVER;
    return st;
}
