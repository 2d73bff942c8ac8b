/* json.c - values as JSON: as Python's json.dumps writes it (tojson), and as Go does (the filters
 * of filter_go.c, spec/chat-formats.md 1.1). They differ in numbers, escapes, and what has no JSON.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "api/jinja/jinja_impl.h"
#include "base/utf8.h"

enum { MAX_DEPTH = 200 };

static void new_line(struct buf *b, const struct jjson_style *s, unsigned depth) {
    if (s->indent < 0) return;
    buf_chr(b, '\n');
    for (unsigned i = 0; i < depth * (unsigned)s->indent; i++) buf_chr(b, ' ');
}

static int by_key(const void *a, const void *b) {
    const struct jentry *p = a, *q = b;
    size_t n = p->key.n < q->key.n ? p->key.n : q->key.n;
    int c = memcmp(p->key.s, q->key.s, n);
    return c != 0 ? c : p->key.n < q->key.n ? -1 : p->key.n > q->key.n;
}

struct jentry *jdict_sorted(struct jx *x, const struct jdict *d) {
    for (size_t i = 0; i < d->n; i++)
        if (d->at[i].key.kind != J_STRING) return d->at;
    struct jentry *e = jx_alloc(x, d->n, sizeof *e);
    if (e == NULL) return NULL;
    if (d->n > 0) memcpy(e, d->at, d->n * sizeof *e);
    qsort(e, d->n, sizeof *e, by_key);
    return e;
}

/* ---- texts ---- */

/* As Python writes it. */
static void put_python_string(struct buf *b, struct jtext t, bool ascii) {
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

/* As Go writes it: <, > and & as \u escapes, or as they are. */
static void put_go_string(struct buf *b, struct jtext t, bool escape) {
    static const char *const escaped[] = {"u003c", "u003e", "u0026"};
    struct buf text = {0};
    json_put_string(&text, t.p, t.n);
    for (size_t i = 0; i < text.len; i++) {
        int hit = -1;
        if (!escape && text.data[i] == '\\' && i + 1 < text.len) {
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

static void put_text(struct buf *b, struct jtext t, const struct jjson_style *s) {
    if (s->go)
        put_go_string(b, t, s->escape);
    else
        put_python_string(b, t, s->ascii);
}

/* ---- values ---- */

static bool put_key(struct jx *x, struct buf *b, struct jv key, const struct jjson_style *s) {
    struct jtext t;
    if (key.kind == J_NONE || key.kind == J_BOOL) {
        buf_printf(b, "\"%s\"", key.kind == J_NONE ? "null" : key.b ? "true" : "false");
        return true;
    }
    if (key.kind != J_STRING && !jv_is_number(key))
        return jx_fail(x, "keys must be str, int, float, bool or None, not %s", jv_type_name(key));
    if (!jv_to_text(x, key, &t)) return false;
    put_text(b, t, s);
    return true;
}

static bool put_dict(struct jx *x, struct buf *b, const struct jdict *d,
                     const struct jjson_style *s, unsigned depth) {
    const struct jentry *e = s->sort && d->n > 0 ? jdict_sorted(x, d) : d->at;
    if (e == NULL && d->n > 0) return false;
    buf_chr(b, '{');
    for (size_t i = 0; i < d->n; i++) {
        if (i > 0) buf_str(b, s->item);
        new_line(b, s, depth + 1);
        if (!put_key(x, b, e[i].key, s)) return false;
        buf_str(b, s->key);
        if (!jv_put_json(x, b, e[i].value, s, depth + 1)) return false;
    }
    if (d->n > 0) new_line(b, s, depth);
    buf_chr(b, '}');
    return true;
}

static bool put_list(struct jx *x, struct buf *b, const struct jlist *l,
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

/* Go knows only floats; Python tells integers from them, and writes what is no JSON. */
static void put_number(struct buf *b, struct jv v, const struct jjson_style *s) {
    if (s->go)
        json_put_double(b, jv_double(v));
    else if (v.kind == J_INT)
        buf_printf(b, "%lld", (long long)v.i);
    else if (isfinite(v.f))
        jinja_put_float(b, v.f);
    else
        buf_str(b, isnan(v.f) ? "NaN" : v.f < 0 ? "-Infinity" : "Infinity");
}

bool jv_put_json(struct jx *x, struct buf *b, struct jv v, const struct jjson_style *s,
                 unsigned depth) {
    if (!jx_burn(x, v.kind == J_STRING ? v.n : 0)) return false;
    if (depth > MAX_DEPTH) return jx_fail(x, "nested too deeply");
    if (b->len > x->limits->max_out) return jx_fail(x, "the text grows too large");
    if (v.kind == J_UNDEFINED && s->go) v = jv_none();
    switch (v.kind) {
    case J_NONE:
        buf_str(b, "null");
        return true;
    case J_BOOL:
        buf_str(b, v.b ? "true" : "false");
        return true;
    case J_INT:
    case J_FLOAT:
        put_number(b, v, s);
        return true;
    case J_STRING:
        put_text(b, jv_str(v), s);
        return true;
    case J_LIST:
    case J_TUPLE:
        return put_list(x, b, v.list, s, depth);
    case J_DICT:
        return put_dict(x, b, v.dict, s, depth);
    default:
        return jx_fail(x, "Object of type %s is not JSON serializable", jv_type_name(v));
    }
}
