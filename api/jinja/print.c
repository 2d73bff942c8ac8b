/* print.c - values as text: as Python's str() and repr() show them, and as JSON. */
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

/* ---- JSON ---- */

static void put_json_string(struct buf *b, struct jtext t, bool ascii) {
    static const char from[] = "\"\\\n\r\t\b\f", to[] = "\"\\nrtbf";
    buf_chr(b, '"');
    for (size_t i = 0; i < t.n;) {
        uint32_t cp;
        unsigned n = utf8_decode(t.p + i, t.n - i, &cp);
        const char *hit = cp != 0 && cp < 0x80 ? strchr(from, (int)cp) : NULL;
        if (hit != NULL)
            buf_printf(b, "\\%c", to[hit - from]);
        else if (cp < 0x20 || (ascii && cp >= 0x7F && cp < 0x10000 && cp != 0x7F))
            buf_printf(b, "\\u%04x", cp);
        else if (ascii && cp >= 0x10000)
            buf_printf(b, "\\u%04x\\u%04x", 0xD7C0 + (cp >> 10), 0xDC00 | (cp & 0x3FF));
        else
            buf_add(b, t.p + i, n);
        i += n;
    }
    buf_chr(b, '"');
}

static void new_line(struct buf *b, const struct jjson_style *s, unsigned depth) {
    if (s->indent < 0) return;
    buf_chr(b, '\n');
    for (unsigned i = 0; i < depth * (unsigned)s->indent; i++) buf_chr(b, ' ');
}

static bool put_json_key(struct jx *x, struct buf *b, struct jv key, const struct jjson_style *s) {
    struct jtext t;
    if (key.kind == J_NONE || key.kind == J_BOOL) {
        buf_printf(b, "\"%s\"", key.kind == J_NONE ? "null" : key.b ? "true" : "false");
        return true;
    }
    if (key.kind != J_STRING && !jv_is_number(key))
        return jx_fail(x, "keys must be str, int, float, bool or None, not %s", jv_type_name(key));
    if (!jv_to_text(x, key, &t)) return false;
    put_json_string(b, t, s->ascii);
    return true;
}

static int by_key(const void *a, const void *b) {
    const struct jentry *p = a, *q = b;
    size_t n = p->key.n < q->key.n ? p->key.n : q->key.n;
    int c = memcmp(p->key.s, q->key.s, n);
    return c != 0 ? c : p->key.n < q->key.n ? -1 : p->key.n > q->key.n;
}

static bool put_json_dict(struct jx *x, struct buf *b, const struct jdict *d,
                          const struct jjson_style *s, unsigned depth) {
    struct jentry *e = d->at;
    bool all_text = true;
    for (size_t i = 0; i < d->n; i++) all_text = all_text && d->at[i].key.kind == J_STRING;
    if (s->sort && all_text && d->n > 0) {
        if ((e = jx_alloc(x, d->n, sizeof *e)) == NULL) return false;
        memcpy(e, d->at, d->n * sizeof *e);
        qsort(e, d->n, sizeof *e, by_key);
    }
    buf_chr(b, '{');
    for (size_t i = 0; i < d->n; i++) {
        if (i > 0) buf_str(b, s->item);
        new_line(b, s, depth + 1);
        if (!put_json_key(x, b, e[i].key, s)) return false;
        buf_str(b, s->key);
        if (!jv_put_json(x, b, e[i].value, s, depth + 1)) return false;
    }
    if (d->n > 0) new_line(b, s, depth);
    buf_chr(b, '}');
    return true;
}

static bool put_json_list(struct jx *x, struct buf *b, const struct jlist *l,
                          const struct jjson_style *s, unsigned depth) {
    buf_chr(b, '[');
    for (size_t i = 0; i < l->n; i++) {
        if (i > 0) buf_str(b, s->item);
        new_line(b, s, depth + 1);
        if (!jv_put_json(x, b, l->at[i], s, depth + 1)) return false;
    }
    if (l->n > 0) new_line(b, s, depth);
    buf_chr(b, ']');
    return true;
}

bool jv_put_json(struct jx *x, struct buf *b, struct jv v, const struct jjson_style *s,
                 unsigned depth) {
    if (!jx_burn(x, v.kind == J_STRING ? v.n : 0)) return false;
    if (depth > 200) return jx_fail(x, "nested too deeply");
    if (b->len > x->limits->max_out) return jx_fail(x, "the text grows too large");
    switch (v.kind) {
    case J_NONE:
        buf_str(b, "null");
        return true;
    case J_BOOL:
        buf_str(b, v.b ? "true" : "false");
        return true;
    case J_INT:
        buf_printf(b, "%lld", (long long)v.i);
        return true;
    case J_FLOAT:
        if (isfinite(v.f))
            jinja_put_float(b, v.f);
        else
            buf_str(b, isnan(v.f) ? "NaN" : v.f < 0 ? "-Infinity" : "Infinity");
        return true;
    case J_STRING:
        put_json_string(b, jv_str(v), s->ascii);
        return true;
    case J_LIST:
    case J_TUPLE:
        return put_json_list(x, b, v.list, s, depth);
    case J_DICT:
        return put_json_dict(x, b, v.dict, s, depth);
    default:
        return jx_fail(x, "Object of type %s is not JSON serializable", jv_type_name(v));
    }
}
