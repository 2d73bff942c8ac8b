/* print.c - values as text: as Python's str() and repr() show them. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/jinja/jinja_impl.h"
#include "base/unicode.h"
#include "base/utf8.h"

/* The shortest text that reads back: repr() of a float. */
void jinja_put_float(struct buf *b, double f) {
    char text[40];
    if (isnan(f) || isinf(f)) {
        buf_str(b, isnan(f) ? "nan" : f < 0 ? "-inf" : "inf");
        return;
    }
    int digits = 1;
    for (; digits < 17; digits++) {
        snprintf(text, sizeof text, "%.*e", digits - 1, f);
        if (strtod(text, NULL) == f) break;
    }
    snprintf(text, sizeof text, "%.*e", digits - 1, f);
    int exponent = atoi(strchr(text, 'e') + 1);
    if (exponent < -4 || exponent >= 16) {
        char *e = strchr(text, 'e'); /* "1e-07" as C has it */
        buf_add(b, text, (size_t)(e - text));
        buf_printf(b, "e%c%02d", exponent < 0 ? '-' : '+', abs(exponent));
        return;
    }
    int after = digits - 1 - exponent;
    snprintf(text, sizeof text, "%.*f", after < 1 ? 1 : after, f);
    buf_str(b, text);
}

/* ---- repr ---- */

static bool printable(uint32_t cp) {
    unsigned c = unicode_class(cp);
    return cp == ' ' || (c != UNI_UNASSIGNED && c != UNI_C && c != UNI_Z);
}

static void put_repr_char(struct buf *b, const char *s, unsigned n, uint32_t cp, char quote) {
    if (cp == (unsigned char)quote || cp == '\\')
        buf_printf(b, "\\%c", (char)cp);
    else if (cp == '\n' || cp == '\t' || cp == '\r')
        buf_str(b, cp == '\n' ? "\\n" : cp == '\t' ? "\\t" : "\\r");
    else if (cp < 0x20 || cp == 0x7F || (cp >= 0x80 && cp < 0x100 && !printable(cp)))
        buf_printf(b, "\\x%02x", cp);
    else if (printable(cp))
        buf_add(b, s, n);
    else if (cp < 0x10000)
        buf_printf(b, "\\u%04x", cp);
    else
        buf_printf(b, "\\U%08x", cp);
}

static void put_repr_string(struct buf *b, struct jtext t) {
    bool single = t.n > 0 && memchr(t.p, '\'', t.n) != NULL;
    bool twice = t.n > 0 && memchr(t.p, '"', t.n) != NULL;
    const char quote = single && !twice ? '"' : '\'';
    buf_chr(b, quote);
    for (size_t i = 0; i < t.n;) {
        uint32_t cp;
        unsigned n = utf8_decode(t.p + i, t.n - i, &cp);
        put_repr_char(b, t.p + i, n, cp, quote);
        i += n;
    }
    buf_chr(b, quote);
}

static bool put_list(struct jx *x, struct buf *b, struct jv v) {
    bool ok = true, tuple = v.kind == J_TUPLE;
    buf_chr(b, tuple ? '(' : '[');
    for (size_t i = 0; ok && i < v.list->n; i++) {
        if (i > 0) buf_str(b, ", ");
        ok = jv_put_repr(x, b, v.list->at[i]);
    }
    if (tuple && v.list->n == 1) buf_chr(b, ',');
    buf_chr(b, tuple ? ')' : ']');
    return ok;
}

static bool put_dict(struct jx *x, struct buf *b, struct jv v) {
    bool ok = true;
    buf_chr(b, '{');
    for (size_t i = 0; ok && i < v.dict->n; i++) {
        if (i > 0) buf_str(b, ", ");
        ok = jv_put_repr(x, b, v.dict->at[i].key);
        buf_str(b, ": ");
        ok = ok && jv_put_repr(x, b, v.dict->at[i].value);
    }
    buf_chr(b, '}');
    return ok;
}

bool jv_put_repr(struct jx *x, struct buf *b, struct jv v) {
    bool ok = true;
    if (!jx_burn(x, v.kind == J_STRING ? v.n : 0)) return false;
    if (b->len > x->limits->max_out) return jx_fail(x, "the text grows too large");
    if (++x->depth > x->limits->max_depth) return jx_fail(x, "nested too deeply");
    switch (v.kind) {
    case J_UNDEFINED:
        buf_str(b, "Undefined");
        break;
    case J_NONE:
        buf_str(b, "None");
        break;
    case J_BOOL:
        buf_str(b, v.b ? "True" : "False");
        break;
    case J_INT:
        buf_printf(b, "%lld", (long long)v.i);
        break;
    case J_FLOAT:
        jinja_put_float(b, v.f);
        break;
    case J_STRING:
        put_repr_string(b, jv_str(v));
        break;
    case J_LIST:
    case J_TUPLE:
        ok = put_list(x, b, v);
        break;
    case J_DICT:
        ok = put_dict(x, b, v);
        break;
    case J_NAMESPACE:
        buf_str(b, "<Namespace ");
        ok = put_dict(x, b, v);
        buf_chr(b, '>');
        break;
    default:
        buf_printf(b, "<%s>", jv_type_name(v));
    }
    x->depth--;
    return ok;
}

bool jv_put_str(struct jx *x, struct buf *b, struct jv v) {
    if (v.kind == J_UNDEFINED) return true;
    if (v.kind != J_STRING) return jv_put_repr(x, b, v);
    if (v.n > 0) buf_add(b, v.s, v.n);
    return jx_burn(x, v.n);
}

bool jv_to_text(struct jx *x, struct jv v, struct jtext *out) {
    struct buf b = {0};
    struct jv s = v;
    if (v.kind != J_STRING) {
        bool ok = jv_put_str(x, &b, v);
        if (!ok) buf_free(&b);
        if (!ok || !jx_string_buf(x, &b, &s)) return false;
    }
    *out = jv_str(s);
    return true;
}
