/* filter_go.c - filters that only cria's own templates (api/format) have: values as Go prints them
 * (spec/chat-formats.md 1.1), and lookups in tool schemas. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/jinja/jinja_impl.h"

#define FILTER(name) static bool name(struct jx *x, struct jv in, struct jargs *a, struct jv *out)

/* ---- JSON ---- */

struct style {
    const char *item, *key; /* separators */
    bool escape;            /* <, >, & as \u escapes */
    bool sort;              /* keys of every object */
    int indent;             /* < 0: none */
};

static void line(struct buf *b, const struct style *s, unsigned depth) {
    if (s->indent < 0) return;
    buf_chr(b, '\n');
    for (unsigned i = 0; i < depth * (unsigned)s->indent; i++) buf_chr(b, ' ');
}

static void put_string(struct buf *b, struct jtext t, const struct style *s) {
    static const char *const escaped[] = {"u003c", "u003e", "u0026"};
    struct buf text = {0};
    json_put_string(&text, t.p, t.n);
    for (size_t i = 0; i < text.len; i++) {
        int hit = -1;
        if (!s->escape && text.data[i] == '\\' && i + 1 < text.len) {
            for (int k = 0; k < 3; k++)
                if (strncmp(text.data + i + 1, escaped[k], 5) == 0) hit = k;
            if (hit >= 0) {
                buf_chr(b, "<>&"[hit]);
                i += 5;
                continue;
            }
            buf_chr(b, text.data[i++]);
        }
        buf_chr(b, text.data[i]);
    }
    buf_free(&text);
}

static int by_key(const void *p, const void *q) {
    const struct jentry *a = p, *b = q;
    size_t n = a->key.n < b->key.n ? a->key.n : b->key.n;
    int c = memcmp(a->key.s, b->key.s, n);
    return c != 0 ? c : a->key.n < b->key.n ? -1 : a->key.n > b->key.n;
}

static struct jentry *sorted(struct jx *x, const struct jdict *d) {
    struct jentry *e = jx_alloc(x, d->n, sizeof *e);
    if (e == NULL) return NULL;
    if (d->n > 0) memcpy(e, d->at, d->n * sizeof *e);
    for (size_t i = 0; i < d->n; i++)
        if (e[i].key.kind != J_STRING) return d->at;
    qsort(e, d->n, sizeof *e, by_key);
    return e;
}

static bool put_json(struct jx *x, struct buf *b, struct jv v, const struct style *s,
                     unsigned depth) {
    const struct jentry *e;
    if (!jx_burn(x, v.kind == J_STRING ? v.n : 0)) return false;
    if (depth > 200) return jx_fail(x, "nested too deeply");
    switch (v.kind) {
    case J_UNDEFINED:
    case J_NONE:
        buf_str(b, "null");
        return true;
    case J_BOOL:
        buf_str(b, v.b ? "true" : "false");
        return true;
    case J_INT:
    case J_FLOAT:
        json_put_double(b, jv_double(v));
        return true;
    case J_STRING:
        put_string(b, jv_str(v), s);
        return true;
    case J_LIST:
    case J_TUPLE:
        buf_chr(b, '[');
        for (size_t i = 0; i < v.list->n; i++) {
            if (i > 0) buf_str(b, s->item);
            line(b, s, depth + 1);
            if (!put_json(x, b, v.list->at[i], s, depth + 1)) return false;
        }
        if (v.list->n > 0) line(b, s, depth);
        buf_chr(b, ']');
        return true;
    case J_DICT:
        if ((e = s->sort ? sorted(x, v.dict) : v.dict->at) == NULL && v.dict->n > 0) return false;
        buf_chr(b, '{');
        for (size_t i = 0; i < v.dict->n; i++) {
            if (i > 0) buf_str(b, s->item);
            line(b, s, depth + 1);
            put_string(b, jv_str(e[i].key), s);
            buf_str(b, s->key);
            if (!put_json(x, b, e[i].value, s, depth + 1)) return false;
        }
        if (v.dict->n > 0) line(b, s, depth);
        buf_chr(b, '}');
        return true;
    default:
        return jx_fail(x, "%s has no JSON", jv_type_name(v));
    }
}

static bool json_text(struct jx *x, struct jv in, const struct style *s, struct jv *out) {
    struct buf b = {0};
    if (put_json(x, &b, in, s, 0)) return jx_string_buf(x, &b, out);
    buf_free(&b);
    return false;
}

FILTER(go_json) { /* J(x) */
    static const struct style s = {",", ":", true, false, -1};
    (void)a;
    return json_text(x, in, &s, out);
}
FILTER(go_spaced) { /* Js(x) */
    static const struct style s = {", ", ": ", true, false, -1};
    (void)a;
    return json_text(x, in, &s, out);
}
FILTER(go_spaced_plain) { /* Jh(x) */
    static const struct style s = {", ", ": ", false, false, -1};
    (void)a;
    return json_text(x, in, &s, out);
}
FILTER(go_spaced_sorted) { /* Python's spacing, keys sorted, nothing escaped */
    static const struct style s = {", ", ": ", false, true, -1};
    (void)a;
    return json_text(x, in, &s, out);
}
FILTER(go_indented) {
    static const struct style s = {",", ": ", true, false, 4};
    (void)a;
    return json_text(x, in, &s, out);
}

/* ---- %v ---- */

static void put_go_float(struct buf *b, double f) {
    char text[40];
    int digits = 1;
    if (!isfinite(f)) {
        buf_str(b, isnan(f) ? "NaN" : f < 0 ? "-Inf" : "+Inf");
        return;
    }
    for (; digits < 17; digits++) {
        snprintf(text, sizeof text, "%.*e", digits - 1, f);
        if (strtod(text, NULL) == f) break;
    }
    snprintf(text, sizeof text, "%.*e", digits - 1, f);
    int exponent = atoi(strchr(text, 'e') + 1);
    if (exponent < -4 || exponent >= 6) {
        buf_str(b, text);
        return;
    }
    int after = digits - 1 - exponent;
    buf_printf(b, "%.*f", after < 0 ? 0 : after, f);
}

/* text(v): a string as it is, null, containers as JSON, else %v (12345678901: 1.2345678901e+10). */
FILTER(go_text) {
    struct buf b = {0};
    if (in.kind == J_STRING) {
        *out = in;
        return true;
    }
    if (in.kind == J_INT || in.kind == J_FLOAT) {
        put_go_float(&b, jv_double(in));
        return jx_string_buf(x, &b, out);
    }
    return go_json(x, in, a, out);
}

/* ---- keys ---- */

FILTER(go_sorted) { /* (key, value) pairs by key, bytewise */
    struct jv pair;
    (void)a;
    if (in.kind != J_DICT) return jv_list(x, J_LIST, 0, out);
    const struct jentry *e = sorted(x, in.dict);
    if (e == NULL || !jv_list(x, J_LIST, in.dict->n, out)) return false;
    for (size_t i = 0; i < in.dict->n; i++)
        if (!jv_list(x, J_TUPLE, 2, &pair) || !jv_push(x, pair.list, e[i].key) ||
            !jv_push(x, pair.list, e[i].value) || !jv_push(x, out->list, pair))
            return false;
    return true;
}

static const struct jfilter filters[] = {
    {"go_json", go_json},
    {"go_spaced", go_spaced},
    {"go_spaced_plain", go_spaced_plain},
    {"go_spaced_sorted", go_spaced_sorted},
    {"go_indented", go_indented},
    {"go_text", go_text},
    {"go_sorted", go_sorted},
};

const struct jfilter *jfilter_go_find(struct jtext name) {
    for (size_t i = 0; i < sizeof filters / sizeof *filters; i++)
        if (jtext_is(name, filters[i].name)) return &filters[i];
    return NULL;
}
