/* filter_go.c - filters that only cria's own templates (api/format) have: values as Go prints them
 * (spec/chat-formats.md 1.1), and lookups in tool schemas. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/jinja/jinja_impl.h"

/* ---- JSON ---- */

static bool json_text(struct jx *x, struct jv in, const struct jjson_style *s, struct jv *out) {
    struct buf b = {0};
    if (jv_put_json(x, &b, in, s, 0)) return jx_string_buf(x, &b, out);
    buf_free(&b);
    return false;
}

FILTER(go_json) { /* J(x) */
    static const struct jjson_style s = {
        .item = ",", .key = ":", .indent = -1, .escape = true, .go = true};
    return json_text(x, in, &s, out);
}
FILTER(go_spaced) { /* Js(x) */
    static const struct jjson_style s = {
        .item = ", ", .key = ": ", .indent = -1, .escape = true, .go = true};
    return json_text(x, in, &s, out);
}
FILTER(go_spaced_plain) { /* Jh(x) */
    static const struct jjson_style s = {.item = ", ", .key = ": ", .indent = -1, .go = true};
    return json_text(x, in, &s, out);
}
FILTER(go_spaced_sorted) { /* Python's spacing, keys sorted, nothing escaped */
    static const struct jjson_style s = {
        .item = ", ", .key = ": ", .indent = -1, .sort = true, .go = true};
    return json_text(x, in, &s, out);
}
FILTER(go_indented) {
    static const struct jjson_style s = {
        .item = ",", .key = ": ", .indent = 4, .escape = true, .go = true};
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
    if (in.kind != J_DICT) return jv_list(x, J_LIST, 0, out);
    const struct jentry *e = jdict_sorted(x, in.dict);
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
