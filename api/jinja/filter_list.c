/* filter_list.c - filters of sequences and mappings. What is lazy in Python is a list here. */
#include <string.h>

#include "api/jinja/jinja_impl.h"

/* ---- one element ---- */

static bool end_of(struct jx *x, struct jv in, bool last, struct jv *out) {
    struct jlist *l;
    if (!jv_iterate(x, in, &l)) return false;
    if (l->n == 0)
        return jv_undefined(x, out, "No %s item, sequence was empty.", last ? "last" : "first");
    *out = l->at[last ? l->n - 1 : 0];
    return true;
}
FILTER(first) { return end_of(x, in, false, out); }
FILTER(last) { return end_of(x, in, true, out); }

/* What sort, unique, min, max compare: an attribute, texts in lower case unless told. */
static bool sort_key(struct jx *x, struct jv v, const struct jv *attribute, bool cased,
                     struct jv *out) {
    if (attribute != NULL && attribute->kind != J_NONE && !jfilter_try_attr(x, v, *attribute, &v))
        return false;
    *out = v;
    return cased || v.kind != J_STRING || jtext_case(x, jv_str(v), JCASE_LOWER, out);
}

static bool extreme(struct jx *x, struct jv in, struct jargs *a, int sign, struct jv *out) {
    struct jlist *l;
    struct jv best = {0}, key;
    bool cased = jarg_true(a, 0, "case_sensitive", false);
    const struct jv *attribute = jarg(a, 1, "attribute");
    int order;
    if (!jv_iterate(x, in, &l)) return false;
    if (l->n == 0) return jv_undefined(x, out, "No aggregated item, sequence was empty.");
    for (size_t i = 0; i < l->n; i++) {
        if (!sort_key(x, l->at[i], attribute, cased, &key)) return false;
        if (i > 0 && !jv_order(x, key, best, sign < 0 ? "<" : ">", &order)) return false;
        if (i > 0 && order * sign <= 0) continue;
        best = key;
        *out = l->at[i];
    }
    return true;
}
FILTER(min) { return extreme(x, in, a, -1, out); }
FILTER(max) { return extreme(x, in, a, 1, out); }

FILTER(sum) {
    struct jlist *l;
    const struct jv *attribute = jarg(a, 0, "attribute"), *start = jarg(a, 1, "start");
    struct jv total = start != NULL ? *start : jv_int(0), v;
    if (!jv_iterate(x, in, &l)) return false;
    for (size_t i = 0; i < l->n; i++) {
        v = l->at[i];
        if (attribute != NULL && !jfilter_try_attr(x, v, *attribute, &v)) return false;
        if (!jx_arith(x, '+', total, v, &total)) return false;
    }
    *out = total;
    return true;
}

FILTER(join) {
    struct buf b = {0};
    struct jlist *l;
    struct jtext sep = {"", 0};
    const struct jv *given = jarg(a, 0, "d"), *attribute = jarg(a, 1, "attribute");
    bool ok = given == NULL || jv_to_text(x, *given, &sep);
    ok = ok && jv_iterate(x, in, &l);
    for (size_t i = 0; ok && i < l->n; i++) {
        struct jv v = l->at[i];
        if (i > 0 && sep.n > 0) buf_add(&b, sep.p, sep.n);
        if (attribute != NULL) ok = jfilter_try_attr(x, v, *attribute, &v);
        ok = ok && jv_put_str(x, &b, v);
        if (b.len > x->limits->max_out) ok = jx_fail(x, "the text grows too large");
    }
    if (ok) return jx_string_buf(x, &b, out);
    buf_free(&b);
    return false;
}

/* ---- other lists ---- */

FILTER(list) {
    struct jlist *l;
    if (!jv_iterate(x, in, &l) || !jv_list(x, J_LIST, l->n, out)) return false;
    for (size_t i = 0; i < l->n; i++)
        if (!jv_push(x, out->list, l->at[i])) return false;
    return true;
}

FILTER(reverse) {
    struct jlist *l;
    struct buf b = {0};
    if (!jv_iterate(x, in, &l)) return false;
    if (in.kind == J_STRING) {
        for (size_t i = l->n; i-- > 0;) buf_add(&b, l->at[i].s, l->at[i].n);
        return jx_string_buf(x, &b, out);
    }
    if (!jv_list(x, J_LIST, l->n, out)) return false;
    for (size_t i = l->n; i-- > 0;)
        if (!jv_push(x, out->list, l->at[i])) return false;
    return true;
}

FILTER(items) {
    struct jv pair;
    if (in.kind == J_UNDEFINED) return jv_list(x, J_LIST, 0, out);
    if (in.kind != J_DICT) return jx_fail(x, "Can only get item pairs from a mapping.");
    if (!jv_list(x, J_LIST, in.dict->n, out)) return false;
    for (size_t i = 0; i < in.dict->n; i++)
        if (!jv_list(x, J_TUPLE, 2, &pair) || !jv_push(x, pair.list, in.dict->at[i].key) ||
            !jv_push(x, pair.list, in.dict->at[i].value) || !jv_push(x, out->list, pair))
            return false;
    return true;
}

/* Stable merge sort of indexes by their keys. */
struct sorting {
    struct jx *x;
    const struct jv *key;
    size_t *index, *spare;
    bool reverse;
};

static bool merge(struct sorting *s, size_t from, size_t mid, size_t to) {
    size_t i = from, j = mid, k = from;
    int order = 0;
    while (i < mid && j < to) {
        if (!jv_order(s->x, s->key[s->index[i]], s->key[s->index[j]], "<", &order)) return false;
        bool left = s->reverse ? order >= 0 : order <= 0;
        s->spare[k++] = left ? s->index[i++] : s->index[j++];
    }
    while (i < mid) s->spare[k++] = s->index[i++];
    while (j < to) s->spare[k++] = s->index[j++];
    memcpy(s->index + from, s->spare + from, (to - from) * sizeof *s->index);
    return jx_burn(s->x, (to - from) * 16);
}

static bool sort_range(struct sorting *s, size_t n) {
    for (size_t width = 1; width < n; width *= 2)
        for (size_t i = 0; i + width < n; i += 2 * width)
            if (!merge(s, i, i + width, i + 2 * width < n ? i + 2 * width : n)) return false;
    return true;
}

static bool sorted_list(struct jx *x, const struct jlist *l, const struct jv *attribute, bool cased,
                        bool reverse_, struct jv *out) {
    struct jv *key = jx_alloc(x, l->n, sizeof *key);
    size_t *index = jx_alloc(x, l->n, 2 * sizeof *index);
    if (key == NULL || index == NULL) return false;
    for (size_t i = 0; i < l->n; i++) {
        index[i] = i;
        if (!sort_key(x, l->at[i], attribute, cased, &key[i])) return false;
    }
    struct sorting s = {x, key, index, index + l->n, reverse_};
    if (!sort_range(&s, l->n) || !jv_list(x, J_LIST, l->n, out)) return false;
    for (size_t i = 0; i < l->n; i++)
        if (!jv_push(x, out->list, l->at[index[i]])) return false;
    return true;
}

FILTER(sort) {
    struct jlist *l;
    return jv_iterate(x, in, &l) &&
           sorted_list(x, l, jarg(a, 2, "attribute"), jarg_true(a, 1, "case_sensitive", false),
                       jarg_true(a, 0, "reverse", false), out);
}

FILTER(dictsort) {
    const struct jv *by = jarg(a, 1, "by");
    struct jv pairs, which = jv_int(by != NULL && by->kind == J_STRING && by->n == 5);
    return items(x, in, a, &pairs) &&
           sorted_list(x, pairs.list, &which, jarg_true(a, 0, "case_sensitive", false),
                       jarg_true(a, 2, "reverse", false), out);
}

FILTER(unique) {
    struct jlist *l;
    struct jv seen, key, yes = jv_bool(true);
    bool cased = jarg_true(a, 0, "case_sensitive", false);
    if (!jv_iterate(x, in, &l) || !jv_list(x, J_LIST, 0, out) || !jv_dict(x, 0, &seen))
        return false;
    for (size_t i = 0; i < l->n; i++) {
        if (!sort_key(x, l->at[i], jarg(a, 1, "attribute"), cased, &key)) return false;
        size_t before = seen.dict->n;
        if (!jv_put(x, seen.dict, key, yes)) return false;
        if (seen.dict->n > before && !jv_push(x, out->list, l->at[i])) return false;
    }
    return true;
}

FILTER(batch) {
    struct jlist *l;
    int64_t n;
    const struct jv *fill = jarg(a, 1, "fill_with");
    struct jv row = {0};
    if (!jv_iterate(x, in, &l) || !jarg_int(x, a, 0, "linecount", 1, &n) ||
        !jv_list(x, J_LIST, 0, out))
        return false;
    if (n < 1) return jx_fail(x, "batch needs a positive number");
    for (size_t i = 0; i < l->n; i++) {
        if (i % (size_t)n == 0 && (!jv_list(x, J_LIST, 0, &row) || !jv_push(x, out->list, row)))
            return false;
        if (!jv_push(x, row.list, l->at[i])) return false;
    }
    while (fill != NULL && row.list != NULL && row.list->n < (size_t)n)
        if (!jv_push(x, row.list, *fill)) return false;
    return true;
}

FILTER(slice) {
    struct jlist *l;
    int64_t n;
    size_t at = 0;
    struct jv row;
    if (!jv_iterate(x, in, &l) || !jarg_int(x, a, 0, "slices", 1, &n) ||
        !jv_list(x, J_LIST, 0, out))
        return false;
    if (n < 1) return jx_fail(x, "slice needs a positive number");
    for (size_t i = 0; i < (size_t)n; i++) {
        size_t take = l->n / (size_t)n + (i < l->n % (size_t)n);
        if (!jv_list(x, J_LIST, take, &row) || !jv_push(x, out->list, row)) return false;
        for (size_t k = 0; k < take; k++)
            if (!jv_push(x, row.list, l->at[at++])) return false;
        const struct jv *fill = jarg(a, 1, "fill_with");
        if (fill != NULL && l->n % (size_t)n != 0 && i >= l->n % (size_t)n &&
            !jv_push(x, row.list, *fill))
            return false;
    }
    return true;
}

FILTER(groupby) {
    const struct jv *attribute = jarg(a, 0, "attribute");
    struct jlist *l;
    struct jv sorted, key, group = {0}, members = {0};
    if (attribute == NULL) return jx_fail(x, "groupby needs an attribute");
    if (!jv_iterate(x, in, &l) || !sorted_list(x, l, attribute, true, false, &sorted) ||
        !jv_list(x, J_LIST, 0, out))
        return false;
    for (size_t i = 0; i < sorted.list->n; i++) {
        if (!jfilter_try_attr(x, sorted.list->at[i], *attribute, &key)) return false;
        if (group.list == NULL || !jv_equal(group.list->at[0], key, 50)) {
            if (!jv_list(x, J_TUPLE, 2, &group) || !jv_list(x, J_LIST, 0, &members) ||
                !jv_push(x, group.list, key) || !jv_push(x, group.list, members))
                return false;
            group.flag |= JFLAG_GROUP;
            if (!jv_push(x, out->list, group)) return false;
        }
        if (!jv_push(x, members.list, sorted.list->at[i])) return false;
    }
    return true;
}

/* ---- map and select ---- */

static struct jargs shifted(const struct jargs *a, size_t n) {
    struct jargs rest = *a;
    rest.pos = a->n > n ? a->pos + n : NULL;
    rest.n = a->n > n ? a->n - n : 0;
    return rest;
}

static bool map_one(struct jx *x, struct jv v, struct jargs *a, struct jv *out) {
    const struct jv *attribute = a->n == 0 ? jarg(a, 0, "attribute") : NULL;
    if (attribute != NULL) {
        const struct jv *fallback = jarg(a, 9, "default");
        if (!jfilter_try_attr(x, v, *attribute, out)) return false;
        if (out->kind == J_UNDEFINED && fallback != NULL) *out = *fallback;
        return true;
    }
    if (a->n == 0 || a->pos[0].kind != J_STRING)
        return jx_fail(x, "map requires a filter argument");
    const struct jfilter *f = jfilter_find(jv_str(a->pos[0]), x->t->own);
    struct jargs rest = shifted(a, 1);
    if (f == NULL) return jx_fail(x, "No filter named '%.*s'.", (int)a->pos[0].n, a->pos[0].s);
    if (++x->depth > x->limits->max_depth) return jx_fail(x, "nested too deeply");
    bool ok = f->fn(x, v, &rest, out);
    x->depth--;
    return ok;
}

FILTER(map) {
    struct jlist *l;
    struct jv v;
    if (!jv_truth(in)) return jv_list(x, J_LIST, 0, out); /* none, too */
    if (!jv_iterate(x, in, &l) || !jv_list(x, J_LIST, l->n, out)) return false;
    for (size_t i = 0; i < l->n; i++)
        if (!map_one(x, l->at[i], a, &v) || !jv_push(x, out->list, v)) return false;
    return true;
}

/* select, reject (by_attr false) and selectattr, rejectattr. */
static bool pick(struct jx *x, struct jv in, struct jargs *a, bool by_attr, bool keep,
                 struct jv *out) {
    struct jlist *l;
    size_t used = by_attr ? 1 : 0;
    const struct jtest *t = NULL;
    if (by_attr && a->n == 0) return jx_fail(x, "selectattr needs an attribute");
    if (a->n > used) {
        if (a->pos[used].kind != J_STRING || (t = jtest_find(jv_str(a->pos[used]))) == NULL)
            return jx_fail(x, "No such test.");
    }
    struct jargs rest = shifted(a, used + 1);
    if (!jv_truth(in)) return jv_list(x, J_LIST, 0, out); /* none, too */
    if (!jv_iterate(x, in, &l) || !jv_list(x, J_LIST, 0, out)) return false;
    for (size_t i = 0; i < l->n; i++) {
        struct jv v = l->at[i];
        if (by_attr && !jfilter_try_attr(x, v, a->pos[0], &v)) return false;
        bool yes = jv_truth(v);
        if (t != NULL && !t->fn(x, v, &rest, &yes)) return false;
        if (yes == keep && !jv_push(x, out->list, l->at[i])) return false;
    }
    return true;
}
FILTER(select) { return pick(x, in, a, false, true, out); }
FILTER(reject) { return pick(x, in, a, false, false, out); }
FILTER(selectattr) { return pick(x, in, a, true, true, out); }
FILTER(rejectattr) { return pick(x, in, a, true, false, out); }

static const struct jfilter filters[] = {
    {"batch", batch},
    {"dictsort", dictsort},
    {"first", first},
    {"groupby", groupby},
    {"items", items},
    {"join", join},
    {"last", last},
    {"list", list},
    {"map", map},
    {"max", max},
    {"min", min},
    {"reject", reject},
    {"rejectattr", rejectattr},
    {"reverse", reverse},
    {"select", select},
    {"selectattr", selectattr},
    {"slice", slice},
    {"sort", sort},
    {"sum", sum},
    {"unique", unique},
};

const struct jfilter *jfilter_list_find(struct jtext name) {
    for (size_t i = 0; i < sizeof filters / sizeof *filters; i++)
        if (jtext_is(name, filters[i].name)) return &filters[i];
    return NULL;
}
