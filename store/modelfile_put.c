/* modelfile_put.c - see modelfile.h: printing commands and parameters as a Modelfile has them. */
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "store/modelfile.h"

/* ---- commands ---- */

/* A value that itself begins with a quote does not survive: the format has no escapes. */
void modelfile_put_value(struct buf *b, const char *value, size_t len) {
    bool padded = len != 0 && (value[0] == ' ' || value[len - 1] == ' ');
    bool lines = len != 0 && memchr(value, '\n', len) != NULL;
    const char *quote = "";
    if (padded || lines) quote = memchr(value, '"', len) != NULL ? "\"\"\"" : "\"";
    buf_str(b, quote);
    buf_add(b, value, len);
    buf_str(b, quote);
}

static void put_command(struct buf *b, enum modelfile_kind kind, const char *name,
                        const char *value, size_t len) {
    buf_str(b, modelfile_kind_name(kind));
    buf_chr(b, ' ');
    if (name != NULL) buf_str(b, name);
    if (name != NULL) buf_chr(b, ' ');
    if (kind == MODELFILE_FROM)
        buf_add(b, value, len);
    else
        modelfile_put_value(b, value, len);
    buf_chr(b, '\n');
}

void modelfile_put_command(struct buf *b, enum modelfile_kind kind, const char *name,
                           const char *value) {
    put_command(b, kind, name, value != NULL ? value : "", value != NULL ? strlen(value) : 0);
}

void modelfile_print(struct buf *b, const struct modelfile *m) {
    for (size_t i = 0; i < m->n_commands; i++) {
        const struct modelfile_command *c = &m->commands[i];
        put_command(b, c->kind, c->name, c->value, c->len);
    }
}

/* ---- numbers as Go's %v ---- */

enum { MAX_DIGITS = 17, EXP_LOW = -4, EXP_HIGH = 6 }; /* exponent form outside of [low, high) */

void modelfile_put_number(struct buf *b, double v) {
    char text[48];
    if (isnan(v))
        buf_str(b, "NaN");
    else if (isinf(v))
        buf_str(b, v < 0 ? "-Inf" : "+Inf");
    if (!isfinite(v)) return;
    int digits = 1;
    do snprintf(text, sizeof text, "%.*e", digits - 1, v);
    while (strtod(text, NULL) != v && digits++ < MAX_DIGITS);
    const char *mark = strchr(text, 'e');
    assert(mark != NULL);
    int exponent = atoi(mark + 1);
    if (exponent < EXP_LOW || exponent >= EXP_HIGH) {
        buf_str(b, text); /* C writes the exponent as Go does: sign, at least two digits */
        return;
    }
    int decimals = digits - 1 - exponent;
    buf_printf(b, "%.*f", decimals > 0 ? decimals : 0, v);
}

/* ---- PARAMETER lines of a params object ---- */

static void put_param_value(struct buf *b, const char *name, const json *v) {
    size_t len = 0;
    const char *s = json_string_n(v, &len);
    double d;
    int64_t i;
    enum param_type type = modelfile_param_type(name);
    if (s != NULL) {
        modelfile_put_value(b, s, len);
    } else if (json_kind(v) == JSON_NULL) {
        buf_str(b, "<nil>");
    } else if (!json_number(v, &d)) {
        json_print(b, v);
    } else if (type != PARAM_FLOAT && d == trunc(d) && json_int(v, &i)) {
        buf_printf(b, "%lld", (long long)i); /* the reference: %v of a float64, also here */
    } else {
        modelfile_put_number(b, d);
    }
}

static void put_param(struct buf *b, const char *name, const json *v) {
    buf_printf(b, "PARAMETER %s ", name);
    put_param_value(b, name, v);
    buf_chr(b, '\n');
}

static int by_key(const void *a, const void *b) {
    const json *const *x = a, *const *y = b;
    return strcmp(json_key(*x), json_key(*y));
}

void modelfile_put_params(struct buf *b, const json *params) {
    size_t n = json_len(params);
    if (n == 0) return;
    const json **member = mem_array(n, sizeof *member);
    if (member == NULL) {
        b->failed = true;
        return;
    }
    size_t i = 0;
    for (const json *m = json_first(params); m != NULL; m = json_next(m)) member[i++] = m;
    assert(i == n);
    qsort(member, n, sizeof *member, by_key);
    for (i = 0; i < n; i++) {
        const char *name = json_key(member[i]);
        if (json_kind(member[i]) != JSON_ARRAY)
            put_param(b, name, member[i]);
        else
            for (const json *c = json_first(member[i]); c != NULL; c = json_next(c))
                put_param(b, name, c);
    }
    mem_free(member);
}
