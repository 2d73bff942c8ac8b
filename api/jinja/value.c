/* value.c - values: making, comparing, looking up, walking through. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "api/jinja/jinja_impl.h"
#include "base/utf8.h"

/* ---- limits and memory ---- */

bool jx_fail(struct jx *x, const char *fmt, ...) {
    char text[ERR_MSG_SIZE];
    va_list args;
    if (x->failed) return false;
    x->failed = true;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    err_set(x->e, ST_INVALID, "line %u: %s", x->line, text);
    return false;
}

bool jx_no_memory(struct jx *x) {
    if (!x->failed) err_no_memory(x->e);
    x->failed = true;
    return false;
}

static bool limit(struct jx *x, const char *what) {
    if (!x->failed) err_set(x->e, ST_LIMIT, "line %u: the template %s", x->line, what);
    x->failed = true;
    return false;
}

bool jx_burn(struct jx *x, size_t bytes) {
    uint64_t cost = 1 + bytes / 16;
    if (x->failed) return false;
    if (x->fuel < cost) return limit(x, "takes too many steps");
    x->fuel -= cost;
    return true;
}

void *jx_alloc(struct jx *x, size_t n, size_t size) {
    if (x->failed) return NULL;
    if (n != 0 && size > x->limits->max_memory / n) return limit(x, "needs too much memory"), NULL;
    if (x->arena.total + n * size > x->limits->max_memory)
        return limit(x, "needs too much memory"), NULL;
    void *p = arena_zalloc(&x->arena, n == 0 ? 1 : n, size);
    if (p == NULL) jx_no_memory(x);
    return p;
}

bool jx_string(struct jx *x, const char *s, size_t n, struct jv *out) {
    if (!jx_burn(x, n)) return false;
    char *copy = jx_alloc(x, n + 1, 1);
    if (copy == NULL) return false;
    if (n > 0) memcpy(copy, s, n);
    *out = jv_text(copy, n);
    return true;
}

bool jx_string_buf(struct jx *x, struct buf *b, struct jv *out) {
    bool ok = b->failed ? jx_no_memory(x) : jx_string(x, b->data, b->len, out);
    buf_free(b);
    return ok;
}

bool jv_undefined(struct jx *x, struct jv *out, const char *fmt, ...) {
    char text[160];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (n >= (int)sizeof text) n = (int)sizeof text - 1;
    if (!jx_string(x, text, (size_t)n, out)) return false;
    out->kind = J_UNDEFINED;
    return true;
}

/* ---- lists and dictionaries ---- */

bool jv_list(struct jx *x, enum jkind kind, size_t cap, struct jv *out) {
    struct jlist *l = jx_alloc(x, 1, sizeof *l);
    if (l == NULL) return false;
    l->cap = cap;
    if (cap > 0 && (l->at = jx_alloc(x, cap, sizeof *l->at)) == NULL) return false;
    *out = (struct jv){.kind = (uint8_t)kind, .list = l};
    return true;
}

bool jv_push(struct jx *x, struct jlist *l, struct jv v) {
    if (l->n == l->cap) {
        size_t cap = l->cap < 4 ? 8 : l->cap * 2;
        struct jv *grown = jx_alloc(x, cap, sizeof *grown);
        if (grown == NULL) return false;
        if (l->n > 0) memcpy(grown, l->at, l->n * sizeof *grown);
        l->at = grown;
        l->cap = cap;
    }
    l->at[l->n++] = v;
    return jx_burn(x, 0);
}

bool jv_dict(struct jx *x, size_t cap, struct jv *out) {
    struct jdict *d = jx_alloc(x, 1, sizeof *d);
    if (d == NULL) return false;
    d->cap = cap;
    if (cap > 0 && (d->at = jx_alloc(x, cap, sizeof *d->at)) == NULL) return false;
    *out = (struct jv){.kind = J_DICT, .dict = d};
    return true;
}

enum { SMALL_DICT = 12 };

static uint64_t hash_of(struct jv k) {
    double f = jv_is_number(k) ? jv_double(k) : 0;
    return k.kind == J_STRING ? map_hash(k.s, k.n) : map_hash(&f, sizeof f);
}

static bool same_key(const struct jentry *e, struct jv key) {
    if (key.kind == J_STRING)
        return e->key.kind == J_STRING && e->key.n == key.n && memcmp(e->key.s, key.s, key.n) == 0;
    return jv_equal(e->key, key, 4);
}

static size_t find(const struct jdict *d, struct jv key) { /* d->n: absent */
    if (d->slot == NULL) {
        size_t i = 0;
        while (i < d->n && !same_key(&d->at[i], key)) i++;
        return i;
    }
    uint64_t hash = hash_of(key);
    for (size_t s = hash & (d->n_slots - 1); d->slot[s] != 0; s = (s + 1) & (d->n_slots - 1)) {
        const struct jentry *e = &d->at[d->slot[s] - 1];
        if (e->hash == hash && same_key(e, key)) return d->slot[s] - 1;
    }
    return d->n;
}

static void index_entry(struct jdict *d, size_t i) {
    size_t s = d->at[i].hash & (d->n_slots - 1);
    while (d->slot[s] != 0) s = (s + 1) & (d->n_slots - 1);
    d->slot[s] = (uint32_t)(i + 1);
}

static bool index_dict(struct jx *x, struct jdict *d) {
    d->n_slots = 64;
    while (d->n_slots < d->cap * 2) d->n_slots *= 2;
    if ((d->slot = jx_alloc(x, d->n_slots, sizeof *d->slot)) == NULL) return false;
    for (size_t i = 0; i < d->n; i++) {
        d->at[i].hash = hash_of(d->at[i].key);
        index_entry(d, i);
    }
    return true;
}

bool jv_put(struct jx *x, struct jdict *d, struct jv key, struct jv value) {
    size_t i = find(d, key);
    if (i < d->n) {
        d->at[i].value = value;
        return jx_burn(x, 0);
    }
    if (key.kind == J_LIST || key.kind == J_DICT)
        return jx_fail(x, "unhashable type: '%s'", jv_type_name(key));
    if (d->n == d->cap) {
        size_t cap = d->cap < 4 ? 8 : d->cap * 2;
        struct jentry *grown = jx_alloc(x, cap, sizeof *grown);
        if (grown == NULL) return false;
        if (d->n > 0) memcpy(grown, d->at, d->n * sizeof *grown);
        d->at = grown;
        d->cap = cap;
        d->slot = NULL;
    }
    d->at[d->n] = (struct jentry){key, value, 0};
    d->n++;
    if (d->slot != NULL) {
        d->at[d->n - 1].hash = hash_of(key);
        index_entry(d, d->n - 1);
    } else if (d->n > SMALL_DICT && !index_dict(x, d)) {
        return false;
    }
    return jx_burn(x, 0);
}

const struct jv *jv_get(const struct jdict *d, struct jv key) {
    size_t i = find(d, key);
    return i < d->n ? &d->at[i].value : NULL;
}

const struct jv *jv_get_text(const struct jdict *d, struct jtext key) {
    return jv_get(d, jv_text(key.p, key.n));
}

void jv_remove(struct jdict *d, size_t i) {
    memmove(d->at + i, d->at + i + 1, (d->n - i - 1) * sizeof *d->at);
    d->n--;
    if (d->slot == NULL) return;
    memset(d->slot, 0, d->n_slots * sizeof *d->slot);
    for (size_t k = 0; k < d->n; k++) index_entry(d, k);
}

/* ---- from JSON ---- */

static bool number_from(struct jx *x, const json *j, struct jv *out) {
    struct buf text = {0};
    double f = 0;
    int64_t i = 0;
    json_print(&text, j);
    if (text.failed) return jx_no_memory(x);
    bool whole = text.len > 0 && strpbrk(text.data, ".eE") == NULL && json_int(j, &i);
    buf_free(&text);
    if (whole)
        *out = jv_int(i);
    else
        *out = jv_float(json_number(j, &f) ? f : HUGE_VAL);
    return true;
}

bool jv_from_json(struct jx *x, const json *j, struct jv *out) {
    bool b = false;
    size_t n = 0;
    const char *s;
    struct jv member;
    if (!jx_burn(x, 0)) return false;
    switch (json_kind(j)) {
    case JSON_NULL:
        *out = jv_none();
        return true;
    case JSON_BOOL:
        json_bool(j, &b);
        *out = jv_bool(b);
        return true;
    case JSON_NUMBER:
        return number_from(x, j, out);
    case JSON_STRING:
        s = json_string_n(j, &n);
        *out = jv_text(s, n);
        return true;
    case JSON_ARRAY:
        if (!jv_list(x, J_LIST, json_len(j), out)) return false;
        for (const json *m = json_first(j); m != NULL; m = json_next(m))
            if (!jv_from_json(x, m, &member) || !jv_push(x, out->list, member)) return false;
        return true;
    case JSON_OBJECT:
        if (!jv_dict(x, json_len(j), out)) return false;
        for (const json *m = json_first(j); m != NULL; m = json_next(m))
            if (!jv_from_json(x, m, &member) ||
                !jv_put(x, out->dict, jv_text(json_key(m), strlen(json_key(m))), member))
                return false;
        return true;
    }
    return true;
}

/* ---- what values are ---- */

const char *jv_type_name(struct jv v) {
    static const char *const name[] = {[J_UNDEFINED] = "Undefined", [J_NONE] = "NoneType",
                                       [J_BOOL] = "bool",           [J_INT] = "int",
                                       [J_FLOAT] = "float",         [J_STRING] = "str",
                                       [J_LIST] = "list",           [J_TUPLE] = "tuple",
                                       [J_DICT] = "dict",           [J_NAMESPACE] = "Namespace",
                                       [J_LOOP] = "LoopContext",    [J_MACRO] = "Macro",
                                       [J_FUNCTION] = "function",   [J_METHOD] = "method",
                                       [J_CYCLER] = "Cycler",       [J_JOINER] = "Joiner"};
    return name[v.kind];
}

bool jv_truth(struct jv v) {
    switch (v.kind) {
    case J_UNDEFINED:
    case J_NONE:
        return false;
    case J_BOOL:
        return v.b;
    case J_INT:
        return v.i != 0;
    case J_FLOAT:
        return v.f != 0;
    case J_STRING:
        return v.n > 0;
    case J_LIST:
    case J_TUPLE:
        return v.list->n > 0;
    case J_DICT:
        return v.dict->n > 0;
    default:
        return true;
    }
}

double jv_double(struct jv v) {
    return v.kind == J_FLOAT ? v.f : v.kind == J_INT ? (double)v.i : v.kind == J_BOOL ? v.b : 0;
}

static bool lists_equal(const struct jlist *a, const struct jlist *b, unsigned depth) {
    if (a->n != b->n) return false;
    for (size_t i = 0; i < a->n; i++)
        if (!jv_equal(a->at[i], b->at[i], depth)) return false;
    return true;
}

static bool dicts_equal(const struct jdict *a, const struct jdict *b, unsigned depth) {
    if (a->n != b->n) return false;
    for (size_t i = 0; i < a->n; i++) {
        const struct jv *v = jv_get(b, a->at[i].key);
        if (v == NULL || !jv_equal(a->at[i].value, *v, depth)) return false;
    }
    return true;
}

bool jv_equal(struct jv a, struct jv b, unsigned depth) {
    if (depth == 0) return false;
    if (jv_is_number(a) && jv_is_number(b))
        return a.kind == J_FLOAT || b.kind == J_FLOAT
                   ? jv_double(a) == jv_double(b)
                   : (a.kind == J_BOOL ? a.b : a.i) == (b.kind == J_BOOL ? b.b : b.i);
    if (a.kind != b.kind) return false;
    switch (a.kind) {
    case J_UNDEFINED:
    case J_NONE:
        return true;
    case J_STRING:
        return a.n == b.n && memcmp(a.s, b.s, a.n) == 0;
    case J_LIST:
    case J_TUPLE:
        return lists_equal(a.list, b.list, depth - 1);
    case J_DICT:
        return dicts_equal(a.dict, b.dict, depth - 1);
    default:
        return a.list == b.list; /* the same object */
    }
}

static int order_text(struct jtext a, struct jtext b) {
    size_t n = a.n < b.n ? a.n : b.n;
    int c = n == 0 ? 0 : memcmp(a.p, b.p, n);
    return c != 0 ? c : a.n < b.n ? -1 : a.n > b.n;
}

bool jv_order(struct jx *x, struct jv a, struct jv b, const char *op, int *out) {
    if (jv_is_number(a) && jv_is_number(b)) {
        double p = jv_double(a), q = jv_double(b);
        *out = p < q ? -1 : p > q;
        return true;
    }
    if (a.kind == J_STRING && b.kind == J_STRING) {
        *out = order_text(jv_str(a), jv_str(b)); /* UTF-8 keeps the order of code points */
        return jx_burn(x, a.n < b.n ? a.n : b.n);
    }
    if (a.kind == b.kind && jv_is_seq(a)) {
        for (size_t i = 0; i < a.list->n && i < b.list->n; i++) {
            if (!jx_burn(x, 0)) return false;
            if (jv_equal(a.list->at[i], b.list->at[i], 50)) continue;
            if (++x->depth > x->limits->max_depth) return jx_fail(x, "nested too deeply");
            bool ok = jv_order(x, a.list->at[i], b.list->at[i], op, out);
            x->depth--;
            return ok;
        }
        *out = a.list->n < b.list->n ? -1 : a.list->n > b.list->n;
        return true;
    }
    if (a.kind == J_UNDEFINED || b.kind == J_UNDEFINED) {
        struct jv u = a.kind == J_UNDEFINED ? a : b;
        return jx_fail(x, "%.*s", (int)u.n, u.s);
    }
    return jx_fail(x, "'%s' not supported between instances of '%s' and '%s'", op, jv_type_name(a),
                   jv_type_name(b));
}

/* ---- walking ---- */

static bool characters(struct jx *x, struct jv v, struct jv *out) {
    if (!jv_list(x, J_LIST, jtext_chars(jv_str(v)), out)) return false;
    for (size_t i = 0; i < v.n;) {
        uint32_t cp;
        unsigned k = utf8_decode(v.s + i, v.n - i, &cp);
        if (!jv_push(x, out->list, jv_text(v.s + i, k))) return false;
        i += k;
    }
    return true;
}

bool jv_iterate(struct jx *x, struct jv v, struct jlist **out) {
    static struct jlist none;
    struct jv list;
    switch (v.kind) {
    case J_UNDEFINED:
        *out = &none;
        return true;
    case J_LIST:
    case J_TUPLE:
        *out = v.list;
        return true;
    case J_STRING:
        if (!characters(x, v, &list)) return false;
        *out = list.list;
        return true;
    case J_DICT:
        if (!jv_list(x, J_LIST, v.dict->n, &list)) return false;
        for (size_t i = 0; i < v.dict->n; i++)
            if (!jv_push(x, list.list, v.dict->at[i].key)) return false;
        *out = list.list;
        return true;
    default:
        return jx_fail(x, "'%s' object is not iterable", jv_type_name(v));
    }
}

bool jv_length(struct jx *x, struct jv v, size_t *out) {
    switch (v.kind) {
    case J_UNDEFINED:
        *out = 0;
        return true;
    case J_STRING:
        *out = jtext_chars(jv_str(v));
        return jx_burn(x, v.n);
    case J_LIST:
    case J_TUPLE:
        *out = v.list->n;
        return true;
    case J_DICT:
        *out = v.dict->n;
        return true;
    default:
        return jx_fail(x, "object of type '%s' has no len()", jv_type_name(v));
    }
}

bool jv_contains(struct jx *x, struct jv item, struct jv in, bool *out) {
    *out = false;
    switch (in.kind) {
    case J_UNDEFINED:
        return true;
    case J_STRING:
        if (item.kind != J_STRING)
            return jx_fail(x, "'in <string>' requires string as left operand, not %s",
                           jv_type_name(item));
        *out = item.n == 0 || memmem(in.s, in.n, item.s, item.n) != NULL;
        return jx_burn(x, in.n);
    case J_LIST:
    case J_TUPLE:
        for (size_t i = 0; i < in.list->n && !*out; i++) *out = jv_equal(in.list->at[i], item, 50);
        return jx_burn(x, in.list->n * 8);
    case J_DICT:
        *out = jv_get(in.dict, item) != NULL;
        return true;
    default:
        return jx_fail(x, "argument of type '%s' is not iterable", jv_type_name(in));
    }
}
