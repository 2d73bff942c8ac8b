/* expr.c - the value of an expression. */
#include <string.h>

#include "api/jinja/jinja_impl.h"

/* ---- names ---- */

static bool eval_name(struct jx *x, const struct jnode *n, struct jv *out) {
    for (const struct jframe *f = x->frame; f->parent != NULL; f = f->parent)
        for (uint32_t i = f->n; i-- > 0;)
            if (f->var[i].id == n->id) {
                *out = f->var[i].value;
                return true;
            }
    *out = x->top[n->id];
    if (out->kind == J_UNDEFINED && out->s == NULL) /* never set: its text is made when needed */
        return jv_undefined(x, out, "'%.*s' is undefined", (int)(n->text.n < 80 ? n->text.n : 80),
                            n->text.p);
    return true;
}

bool jx_use_undefined(struct jx *x, struct jv v) {
    return jx_fail(x, "%.*s", (int)v.n, v.s == NULL ? "" : v.s);
}

/* ---- attributes and items ---- */

static bool loop_attr(struct jx *x, const struct jloop *l, struct jtext name, struct jv *out) {
    const struct {
        const char *name;
        struct jv value;
    } row[] = {
        {"index", jv_int((int64_t)l->index + 1)},
        {"index0", jv_int((int64_t)l->index)},
        {"first", jv_bool(l->index == 0)},
        {"last", jv_bool(l->index + 1 == l->n)},
        {"length", jv_int((int64_t)l->n)},
        {"revindex", jv_int((int64_t)(l->n - l->index))},
        {"revindex0", jv_int((int64_t)(l->n - l->index) - 1)},
        {"depth", jv_int((int64_t)l->depth)},
        {"depth0", jv_int((int64_t)l->depth - 1)},
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++)
        if (jtext_is(name, row[i].name)) {
            *out = row[i].value;
            return true;
        }
    bool previous = jtext_is(name, "previtem"), next = jtext_is(name, "nextitem");
    if (previous && l->index > 0) {
        *out = l->item[l->index - 1];
        return true;
    }
    if (next && l->index + 1 < l->n) {
        *out = l->item[l->index + 1];
        return true;
    }
    return jv_undefined(x, out, "there is no %.*s", (int)(name.n < 40 ? name.n : 40), name.p);
}

static bool group_attr(struct jv v, struct jtext name, struct jv *out) {
    if (!(v.flag & JFLAG_GROUP) || v.list->n != 2) return false;
    bool list = jtext_is(name, "list");
    if (!list && !jtext_is(name, "grouper")) return false;
    *out = v.list->at[list];
    return true;
}

static bool missing(struct jx *x, struct jv v, struct jtext name, struct jv *out) {
    return jv_undefined(x, out, "'%s object' has no attribute '%.*s'", jv_type_name(v),
                        (int)(name.n < 80 ? name.n : 80), name.p);
}

static bool bind_method(struct jx *x, int first, struct jv v, struct jv *out, bool *bound) {
    const struct jmethod_row *row = first < 0 ? NULL : jmethod_for(first, (enum jkind)v.kind);
    *bound = row != NULL;
    if (row == NULL) return true;
    struct jmethod *m = jx_alloc(x, 1, sizeof *m);
    if (m == NULL) return false;
    *m = (struct jmethod){row, v};
    *out = (struct jv){.kind = J_METHOD, .method = m};
    return true;
}

static bool attr(struct jx *x, struct jv v, struct jtext name, int method, bool item_first,
                 struct jv *out) {
    bool bound = false;
    const struct jv *found =
        v.kind == J_DICT || v.kind == J_NAMESPACE ? jv_get_text(v.dict, name) : NULL;
    if (v.kind == J_UNDEFINED) return jx_use_undefined(x, v);
    if (found != NULL && (item_first || method < 0)) {
        *out = *found;
        return true;
    }
    if (v.kind == J_LOOP && (method < 0 || jmethod_for(method, J_LOOP) == NULL))
        return loop_attr(x, v.loop, name, out);
    if (v.kind == J_TUPLE && group_attr(v, name, out)) return true;
    if (v.kind == J_CYCLER && jtext_is(name, "current")) {
        *out = v.cycler->item[v.cycler->pos];
        return true;
    }
    if (v.kind == J_MACRO && jtext_is(name, "name")) {
        *out = jv_text(v.macro->name.p, v.macro->name.n);
        return true;
    }
    if (!bind_method(x, method, v, out, &bound)) return false;
    if (bound) return true;
    if (found != NULL) {
        *out = *found;
        return true;
    }
    return missing(x, v, name, out);
}

bool jx_attr(struct jx *x, struct jv v, struct jtext name, struct jv *out) {
    return attr(x, v, name, jmethod_first(name), false, out);
}

static bool index_of(struct jv key, size_t n, size_t *out) {
    int64_t i = key.kind == J_BOOL ? key.b : key.i;
    if (i < 0) i += (int64_t)n;
    if (i < 0 || i >= (int64_t)n) return false;
    *out = (size_t)i;
    return true;
}

bool jx_item(struct jx *x, struct jv v, struct jv key, struct jv *out) {
    size_t i;
    if (v.kind == J_UNDEFINED) return jx_use_undefined(x, v);
    if (v.kind == J_DICT) {
        const struct jv *found = key.kind == J_UNDEFINED ? NULL : jv_get(v.dict, key);
        if (found != NULL) {
            *out = *found;
            return true;
        }
    } else if ((key.kind == J_INT || key.kind == J_BOOL) && jv_is_seq(v)) {
        if (index_of(key, v.list->n, &i)) {
            *out = v.list->at[i];
            return true;
        }
        return jv_undefined(x, out, "%s object has no element %lld", jv_type_name(v),
                            (long long)key.i);
    } else if ((key.kind == J_INT || key.kind == J_BOOL) && v.kind == J_STRING) {
        if (!jx_burn(x, v.n)) return false;
        if (!index_of(key, jtext_chars(jv_str(v)), &i))
            return jv_undefined(x, out, "str object has no element %lld", (long long)key.i);
        size_t at = jtext_offset(jv_str(v), i);
        struct jtext rest = {v.s + at, v.n - at};
        *out = jv_text(rest.p, jtext_offset(rest, 1));
        return true;
    }
    if (key.kind == J_STRING) return attr(x, v, jv_str(key), jmethod_first(jv_str(key)), true, out);
    return jv_undefined(x, out, "%s object has no such element", jv_type_name(v));
}

/* ---- slices ---- */

/* Python's rules: bounds are clamped, negative ones count from the end. */
static bool slice_bound(struct jx *x, const struct jnode *n, int64_t len, int64_t fallback,
                        bool back, int64_t *out) {
    struct jv v = jv_none();
    if (n != NULL && !jx_eval(x, n, &v)) return false;
    *out = fallback;
    if (v.kind == J_NONE) return true;
    if (v.kind != J_INT && v.kind != J_BOOL)
        return jx_fail(x, "slice indices must be integers or None");
    int64_t i = v.kind == J_BOOL ? v.b : v.i, low = back ? -1 : 0, high = back ? len - 1 : len;
    if (i < 0) i = i < -len ? low : i + len;
    *out = i < low ? low : i > high ? high : i;
    return true;
}

static bool slice_text(struct jx *x, struct jtext t, int64_t from, int64_t to, int64_t step,
                       struct jv *out) {
    struct buf b = {0};
    if (step == 1) {
        size_t i = jtext_offset(t, (size_t)from);
        struct jtext rest = {t.p + i, t.n - i};
        *out = jv_text(rest.p, to > from ? jtext_offset(rest, (size_t)(to - from)) : 0);
        return jx_burn(x, t.n);
    }
    struct jlist *chars;
    if (!jv_iterate(x, jv_text(t.p, t.n), &chars)) return false;
    for (int64_t i = from; step > 0 ? i < to : i > to; i += step)
        buf_add(&b, chars->at[i].s, chars->at[i].n);
    return jx_string_buf(x, &b, out);
}

static bool eval_slice(struct jx *x, const struct jnode *n, struct jv *out) {
    struct jv v, step_value = jv_none();
    size_t len;
    int64_t from, to, step = 1;
    if (!jx_eval(x, n->a, &v)) return false;
    if (v.kind == J_UNDEFINED) return jx_use_undefined(x, v);
    if (v.kind != J_STRING && !jv_is_seq(v))
        return jx_fail(x, "'%s' object cannot be sliced", jv_type_name(v));
    if (n->list[2] != NULL && !jx_eval(x, n->list[2], &step_value)) return false;
    if (step_value.kind == J_INT) step = step_value.i;
    if (step == 0) return jx_fail(x, "slice step cannot be zero");
    if (step > INT32_MAX) step = INT32_MAX;
    if (step < -INT32_MAX) step = -INT32_MAX;
    if (!jv_length(x, v, &len)) return false;
    int64_t size = (int64_t)len;
    bool back = step < 0;
    if (!slice_bound(x, n->list[0], size, back ? size - 1 : 0, back, &from) ||
        !slice_bound(x, n->list[1], size, back ? -1 : size, back, &to))
        return false;
    if (v.kind == J_STRING) return slice_text(x, jv_str(v), from, to, step, out);
    if (!jv_list(x, (enum jkind)v.kind, 0, out)) return false;
    if (step == 1 && to > from) { /* the rest of the messages, in every round of a loop */
        v.list->shared = true;
        *out->list =
            (struct jlist){v.list->at + from, (size_t)(to - from), (size_t)(to - from), true};
        return true;
    }
    for (int64_t i = from; back ? i > to : i < to; i += step)
        if (!jv_push(x, out->list, v.list->at[i])) return false;
    return true;
}

/* ---- comparing ---- */

static bool compare(struct jx *x, char op, struct jv a, struct jv b, bool *out) {
    int order = 0;
    if (op == '=' || op == '!') {
        *out = jv_equal(a, b, 50) == (op == '=');
        return jx_burn(x, a.kind == J_STRING ? a.n : 0);
    }
    if (op == 'i' || op == 'n') {
        if (!jv_contains(x, a, b, out)) return false;
        *out = *out == (op == 'i');
        return true;
    }
    const char *name = op == '<' ? "<" : op == '>' ? ">" : op == 'l' ? "<=" : ">=";
    if (!jv_order(x, a, b, name, &order)) return false;
    *out = op == '<' ? order < 0 : op == '>' ? order > 0 : op == 'l' ? order <= 0 : order >= 0;
    return true;
}

static bool eval_compare(struct jx *x, const struct jnode *n, struct jv *out) {
    struct jv left, right;
    bool yes = true;
    if (!jx_eval(x, n->list[0], &left)) return false;
    for (uint32_t i = 1; yes && i < n->n; i++) {
        if (!jx_eval(x, n->list[i], &right) || !compare(x, n->text.p[i - 1], left, right, &yes))
            return false;
        left = right;
    }
    *out = jv_bool(yes);
    return true;
}

/* ---- calls ---- */

static bool spread(struct jx *x, const struct jargs_node *n, struct jargs *a) {
    struct jv v;
    struct jlist *l;
    if (n->star != NULL) {
        if (!jx_eval(x, n->star, &v) || !jv_iterate(x, v, &l)) return false;
        struct jv *all = jx_alloc(x, a->n + l->n, sizeof *all);
        if (all == NULL) return false;
        if (a->n > 0) memcpy(all, a->pos, a->n * sizeof *all);
        if (l->n > 0) memcpy(all + a->n, l->at, l->n * sizeof *all);
        a->pos = all;
        a->n += l->n;
    }
    if (n->star_star == NULL) return true;
    if (!jx_eval(x, n->star_star, &v)) return false;
    if (v.kind != J_DICT) return jx_fail(x, "argument after ** must be a mapping");
    size_t total = a->n_kw + v.dict->n;
    struct jtext *names = jx_alloc(x, total, sizeof *names);
    struct jv *values = jx_alloc(x, total, sizeof *values);
    if (names == NULL || values == NULL) return false;
    for (size_t i = 0; i < a->n_kw; i++) {
        names[i] = a->kw_name[i];
        values[i] = a->kw[i];
    }
    for (size_t i = 0; i < v.dict->n; i++) {
        if (v.dict->at[i].key.kind != J_STRING) return jx_fail(x, "keywords must be strings");
        names[a->n_kw + i] = jv_str(v.dict->at[i].key);
        values[a->n_kw + i] = v.dict->at[i].value;
    }
    a->kw_name = names;
    a->kw = values;
    a->n_kw = total;
    return true;
}

bool jx_args(struct jx *x, const struct jargs_node *n, struct jargs *out) {
    *out = (struct jargs){0};
    if (n == NULL) return true;
    if (n->n > 0 && (out->pos = jx_alloc(x, n->n, sizeof *out->pos)) == NULL) return false;
    if (n->n_kw > 0 && (out->kw = jx_alloc(x, n->n_kw, sizeof *out->kw)) == NULL) return false;
    for (size_t i = 0; i < n->n; i++)
        if (!jx_eval(x, n->pos[i], &out->pos[i])) return false;
    for (size_t i = 0; i < n->n_kw; i++)
        if (!jx_eval(x, n->kw[i], &out->kw[i])) return false;
    out->n = n->n;
    out->n_kw = n->n_kw;
    out->kw_name = n->kw_name;
    return (n->star == NULL && n->star_star == NULL) || spread(x, n, out);
}

const struct jv *jarg(const struct jargs *a, size_t i, const char *name) {
    if (a == NULL) return NULL;
    if (i < a->n) return &a->pos[i];
    for (size_t k = 0; name != NULL && k < a->n_kw; k++)
        if (jtext_is(a->kw_name[k], name)) return &a->kw[k];
    return NULL;
}

bool jarg_int(struct jx *x, const struct jargs *a, size_t i, const char *name, int64_t fallback,
              int64_t *out) {
    const struct jv *v = jarg(a, i, name);
    *out = fallback;
    if (v == NULL || v->kind == J_NONE) return true;
    if (v->kind != J_INT && v->kind != J_BOOL)
        return jx_fail(x, "%s must be an integer, not %s", name == NULL ? "argument" : name,
                       jv_type_name(*v));
    *out = v->kind == J_BOOL ? v->b : v->i;
    return true;
}

bool jarg_true(const struct jargs *a, size_t i, const char *name, bool fallback) {
    const struct jv *v = jarg(a, i, name);
    return v == NULL ? fallback : jv_truth(*v);
}

static bool call_value(struct jx *x, struct jv f, struct jargs *a, struct jv *out) {
    bool first = f.kind == J_JOINER && f.cycler->pos == 0;
    switch (f.kind) {
    case J_MACRO:
        return jx_call_macro(x, f.macro, a, NULL, out);
    case J_FUNCTION:
        return f.function->fn(x, a, out);
    case J_METHOD:
        return f.method->row->fn(x, f.method->self, a, out);
    case J_LOOP:
        return a->n == 1 ? jx_call_loop(x, f.loop, a->pos[0], out)
                         : jx_fail(x, "loop() takes one argument");
    case J_JOINER:
        f.cycler->pos = 1;
        *out = first ? jv_text("", 0) : f.cycler->item[0];
        return true;
    case J_UNDEFINED:
        return jx_use_undefined(x, f);
    default:
        return jx_fail(x, "'%s' object is not callable", jv_type_name(f));
    }
}

static bool call(struct jx *x, struct jv f, struct jargs *a, struct jv *out) {
    if (++x->depth > x->limits->max_depth) return jx_fail(x, "calls are nested too deeply");
    bool ok = call_value(x, f, a, out);
    x->depth--;
    return ok;
}

static bool eval_call(struct jx *x, const struct jnode *n, struct jv *out) {
    struct jargs args;
    struct jv f;
    if (n->a->kind == JN_ATTR && n->a->method >= 0) { /* without binding it first */
        if (!jx_eval(x, n->a->a, &f)) return false;
        const struct jmethod_row *row = jmethod_for(n->a->method, (enum jkind)f.kind);
        if (row != NULL) return jx_args(x, n->args, &args) && row->fn(x, f, &args, out);
        if (!attr(x, f, n->a->text, n->a->method, false, &f)) return false;
    } else if (!jx_eval(x, n->a, &f)) {
        return false;
    }
    if (!jx_args(x, n->args, &args)) return false;
    x->line = n->line;
    return call(x, f, &args, out);
}

static bool eval_filter(struct jx *x, const struct jnode *n, struct jv *out) {
    const struct jfilter *f = n->row;
    struct jargs args;
    struct jv in;
    if (f == NULL) return jx_fail(x, "No filter named '%.*s'.", (int)n->text.n, n->text.p);
    if (!jx_eval(x, n->a, &in) || !jx_args(x, n->args, &args)) return false;
    x->line = n->line;
    return f->fn(x, in, &args, out);
}

static bool eval_test(struct jx *x, const struct jnode *n, struct jv *out) {
    const struct jtest *t = n->row;
    struct jargs args;
    struct jv in;
    bool yes = false;
    if (t == NULL) return jx_fail(x, "No test named '%.*s'.", (int)n->text.n, n->text.p);
    if (!jx_eval(x, n->a, &in) || !jx_args(x, n->args, &args) || !t->fn(x, in, &args, &yes))
        return false;
    *out = jv_bool(yes);
    return true;
}

/* ---- the rest ---- */

static bool eval_list(struct jx *x, const struct jnode *n, struct jv *out) {
    struct jv v;
    if (!jv_list(x, n->kind == JN_TUPLE ? J_TUPLE : J_LIST, n->n, out)) return false;
    for (uint32_t i = 0; i < n->n; i++)
        if (!jx_eval(x, n->list[i], &v) || !jv_push(x, out->list, v)) return false;
    return true;
}

static bool eval_dict(struct jx *x, const struct jnode *n, struct jv *out) {
    struct jv key, value;
    if (!jv_dict(x, n->n / 2, out)) return false;
    for (uint32_t i = 0; i + 1 < n->n; i += 2)
        if (!jx_eval(x, n->list[i], &key) || !jx_eval(x, n->list[i + 1], &value) ||
            !jv_put(x, out->dict, key, value))
            return false;
    return true;
}

static bool eval_binary(struct jx *x, const struct jnode *n, struct jv *out) {
    struct jv a, b;
    struct jtext s, t;
    if (!jx_eval(x, n->a, &a) || !jx_eval(x, n->b, &b)) return false;
    x->line = n->line;
    if (n->kind != JN_CONCAT) return jx_arith(x, n->op, a, b, out);
    return jv_to_text(x, a, &s) && jv_to_text(x, b, &t) && jx_concat(x, s, t, out);
}

static bool eval_and_or(struct jx *x, const struct jnode *n, struct jv *out) {
    if (!jx_eval(x, n->a, out)) return false;
    if (jv_truth(*out) == (n->kind == JN_OR)) return true;
    return jx_eval(x, n->b, out);
}

static bool eval_cond(struct jx *x, const struct jnode *n, struct jv *out) {
    struct jv c;
    if (!jx_eval(x, n->b, &c)) return false;
    if (jv_truth(c)) return jx_eval(x, n->a, out);
    if (n->c != NULL) return jx_eval(x, n->c, out);
    return jv_undefined(x, out,
                        "the inline if-expression evaluated to false and no else section "
                        "was defined.");
}

static bool eval(struct jx *x, const struct jnode *n, struct jv *out) {
    struct jv v, key;
    switch ((enum jnode_kind)n->kind) {
    case JN_CONST:
        *out = n->value;
        return true;
    case JN_NAME:
        return eval_name(x, n, out);
    case JN_LIST:
    case JN_TUPLE:
        return eval_list(x, n, out);
    case JN_DICT:
        return eval_dict(x, n, out);
    case JN_ATTR:
        if (!jx_eval(x, n->a, &v)) return false;
        x->line = n->line;
        return attr(x, v, n->text, n->method, false, out);
    case JN_ITEM:
        if (!jx_eval(x, n->a, &v) || !jx_eval(x, n->b, &key)) return false;
        x->line = n->line;
        return jx_item(x, v, key, out);
    case JN_SLICE:
        return eval_slice(x, n, out);
    case JN_CALL:
        return eval_call(x, n, out);
    case JN_FILTER:
        return eval_filter(x, n, out);
    case JN_TEST:
        return eval_test(x, n, out);
    case JN_UNARY:
        return jx_eval(x, n->a, &v) && jx_negate(x, n->op, v, out);
    case JN_BINARY:
    case JN_CONCAT:
        return eval_binary(x, n, out);
    case JN_AND:
    case JN_OR:
        return eval_and_or(x, n, out);
    case JN_NOT:
        if (!jx_eval(x, n->a, &v)) return false;
        *out = jv_bool(!jv_truth(v));
        return true;
    case JN_COMPARE:
        return eval_compare(x, n, out);
    case JN_COND:
        return eval_cond(x, n, out);
    case JN_CAPTURED:
        *out = x->captured;
        return true;
    default:
        return jx_fail(x, "not an expression");
    }
}

bool jx_eval(struct jx *x, const struct jnode *n, struct jv *out) {
    if (!jx_burn(x, 0)) return false;
    if (n->kind <= JN_NAME) return eval(x, n, out); /* leaves need no count of depth */
    if (++x->depth > x->limits->max_depth) return jx_fail(x, "nested too deeply");
    bool ok = eval(x, n, out);
    x->depth--;
    return ok;
}
