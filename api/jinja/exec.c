/* exec.c - statements: printing, branching, loops, assignments, macros.
 *
 * Frames: the top one is an array with a place for every name of the template; loops, macros and
 * `with` put small ones above it. An assignment goes into the newest frame, a look-up walks down;
 * so what is set inside a loop is gone after its round, as in Jinja. */
#include <string.h>

#include "api/jinja/jinja_impl.h"

enum flow { FLOW_ON, FLOW_BREAK, FLOW_CONTINUE, FLOW_FAIL };

static enum flow exec(struct jx *x, const struct jnode *n);

static enum flow on(bool ok) { return ok ? FLOW_ON : FLOW_FAIL; }

/* ---- frames ---- */

static bool set_variable(struct jx *x, uint32_t id, struct jv v) {
    struct jframe *f = x->frame;
    if (f->parent == NULL) {
        x->top[id] = v;
        return true;
    }
    for (uint32_t i = 0; i < f->n; i++)
        if (f->var[i].id == id) {
            f->var[i].value = v;
            return true;
        }
    if (f->n == f->cap) {
        uint32_t cap = f->cap == 0 ? 4 : f->cap * 2;
        struct jvar *grown = jx_alloc(x, cap, sizeof *grown);
        if (grown == NULL) return false;
        if (f->n > 0) memcpy(grown, f->var, f->n * sizeof *grown);
        f->var = grown;
        f->cap = cap;
    }
    f->var[f->n++] = (struct jvar){id, v};
    return true;
}

static struct jframe *push_frame(struct jx *x, struct jframe *parent) {
    struct jframe *f = jx_alloc(x, 1, sizeof *f);
    if (f == NULL) return NULL;
    f->parent = parent;
    x->frame = f;
    return f;
}

static bool assign(struct jx *x, const struct jnode *target, struct jv v) {
    struct jlist *l;
    struct jv object;
    switch (target->kind) {
    case JN_NAME:
        return set_variable(x, target->id, v);
    case JN_ATTR:
        if (!jx_eval(x, target->a, &object)) return false;
        if (object.kind != J_NAMESPACE)
            return jx_fail(x, "cannot assign attribute on non-namespace object");
        return jv_put(x, object.dict, jv_text(target->text.p, target->text.n), v);
    default:
        break;
    }
    if (v.kind != J_STRING && v.kind != J_DICT && !jv_is_seq(v))
        return jx_fail(x, "cannot unpack non-iterable %s object", jv_type_name(v));
    if (!jv_iterate(x, v, &l)) return false;
    if (l->n != target->n)
        return jx_fail(x, "%s values to unpack (expected %u, got %zu)",
                       l->n < target->n ? "not enough" : "too many", target->n, l->n);
    for (uint32_t i = 0; i < target->n; i++)
        if (!assign(x, target->list[i], l->at[i])) return false;
    return true;
}

/* ---- output ---- */

static bool out_ok(struct jx *x) {
    if (x->out->len > x->limits->max_out) {
        if (!x->failed) err_set(x->e, ST_LIMIT, "line %u: the template prints too much", x->line);
        x->failed = true;
        return false;
    }
    return !x->out->failed || jx_no_memory(x);
}

static bool capture(struct jx *x, const struct jnode *body, struct jv *out) {
    struct buf text = {0}, *before = x->out;
    x->out = &text;
    enum flow f = exec(x, body);
    x->out = before;
    if (f != FLOW_FAIL) return jx_string_buf(x, &text, out);
    buf_free(&text);
    return false;
}

static bool print(struct jx *x, const struct jnode *n) {
    struct jv v;
    return jx_eval(x, n->a, &v) && jv_put_str(x, x->out, v) && out_ok(x);
}

/* ---- loops ---- */

static bool filtered(struct jx *x, const struct jnode *n, struct jlist *in, struct jlist **out) {
    struct jv list, yes;
    struct jframe *before = x->frame;
    if (!jv_list(x, J_LIST, 0, &list) || push_frame(x, before) == NULL) return false;
    for (size_t i = 0; i < in->n; i++)
        if (!assign(x, n->list[0], in->at[i]) || !jx_eval(x, n->b, &yes) ||
            (jv_truth(yes) && !jv_push(x, list.list, in->at[i])))
            return false;
    x->frame = before;
    *out = list.list;
    return true;
}

static enum flow rounds(struct jx *x, const struct jnode *n, struct jlist *items, bool *ran) {
    struct jframe *outer = x->frame, *f = push_frame(x, outer);
    struct jloop *l = f == NULL ? NULL : jx_alloc(x, 1, sizeof *l);
    enum flow flow = FLOW_ON;
    if (l == NULL) return FLOW_FAIL;
    *l = (struct jloop){.item = items->at, .n = items->n, .depth = ++x->loop_depth, .frame = outer};
    if (n->flag) l->recursive = n;
    for (size_t i = 0; i < l->n && flow != FLOW_FAIL && flow != FLOW_BREAK; i++) {
        f->n = 0;
        l->index = i;
        *ran = true;
        if (!set_variable(x, x->t->id_loop, (struct jv){.kind = J_LOOP, .loop = l}) ||
            !assign(x, n->list[0], l->item[i]))
            return FLOW_FAIL;
        flow = exec(x, n->body);
    }
    x->loop_depth--;
    x->frame = outer;
    return flow == FLOW_FAIL ? FLOW_FAIL : FLOW_ON;
}

static enum flow loop_over(struct jx *x, const struct jnode *n, struct jv v) {
    struct jlist *items, copy;
    bool ran = false;
    if (!jv_iterate(x, v, &items)) return FLOW_FAIL;
    if (n->b != NULL && !filtered(x, n, items, &items)) return FLOW_FAIL;
    copy = *items; /* the body may append to the list: this loop sees what was there */
    enum flow flow = rounds(x, n, &copy, &ran);
    return flow == FLOW_ON && !ran && n->c != NULL ? exec(x, n->c) : flow;
}

bool jx_call_loop(struct jx *x, struct jloop *l, struct jv items, struct jv *out) {
    struct buf text = {0}, *before = x->out;
    struct jframe *frame = x->frame;
    if (l->recursive == NULL) return jx_fail(x, "the loop is not recursive");
    x->out = &text;
    x->frame = l->frame;
    enum flow f = loop_over(x, l->recursive, items);
    x->out = before;
    x->frame = frame;
    if (f != FLOW_FAIL) return jx_string_buf(x, &text, out);
    buf_free(&text);
    return false;
}

/* ---- macros ---- */

static bool put_rest(struct jx *x, const struct jmacro *m, const struct jargs *a) {
    struct jv rest;
    size_t n = m->params->n;
    if (a->n > n && !m->uses_varargs)
        return jx_fail(x, "macro '%.*s' takes not more than %zu argument(s)", (int)m->name.n,
                       m->name.p, n);
    if (m->uses_varargs) {
        if (!jv_list(x, J_TUPLE, 0, &rest)) return false;
        for (size_t i = n; i < a->n; i++)
            if (!jv_push(x, rest.list, a->pos[i])) return false;
        if (!set_variable(x, x->t->id_varargs, rest)) return false;
    }
    struct jv named;
    if (!jv_dict(x, 0, &named)) return false;
    for (size_t k = 0; k < a->n_kw; k++) {
        bool known = jtext_is(a->kw_name[k], "caller");
        for (size_t i = 0; i < n && !known; i++)
            known = a->kw_name[k].n == m->params->name[i].n &&
                    memcmp(a->kw_name[k].p, m->params->name[i].p, a->kw_name[k].n) == 0;
        if (known) continue;
        if (!m->uses_kwargs)
            return jx_fail(x, "macro '%.*s' takes no keyword argument '%.*s'", (int)m->name.n,
                           m->name.p, (int)a->kw_name[k].n, a->kw_name[k].p);
        if (!jv_put(x, named.dict, jv_text(a->kw_name[k].p, a->kw_name[k].n), a->kw[k]))
            return false;
    }
    return !m->uses_kwargs || set_variable(x, x->t->id_kwargs, named);
}

static bool bind_params(struct jx *x, const struct jmacro *m, struct jargs *a) {
    const struct jparams *p = m->params;
    for (size_t i = 0; i < p->n; i++) {
        const struct jv *given = i < a->n ? &a->pos[i] : NULL;
        struct jv v;
        for (size_t k = 0; k < a->n_kw && given == NULL; k++)
            if (a->kw_name[k].n == p->name[i].n &&
                memcmp(a->kw_name[k].p, p->name[i].p, p->name[i].n) == 0)
                given = &a->kw[k];
        if (given != NULL)
            v = *given;
        else if (p->fallback[i] != NULL) {
            if (!jx_eval(x, p->fallback[i], &v)) return false;
        } else if (!jv_undefined(x, &v, "parameter '%.*s' was not provided", (int)p->name[i].n,
                                 p->name[i].p)) {
            return false;
        }
        if (!set_variable(x, p->id[i], v)) return false;
    }
    return put_rest(x, m, a);
}

bool jx_call_macro(struct jx *x, const struct jmacro *m, struct jargs *a, const struct jv *caller,
                   struct jv *out) {
    struct jframe *before = x->frame;
    unsigned loops = x->loop_depth;
    if (push_frame(x, m->frame) == NULL) return false;
    x->loop_depth = 0;
    bool ok = caller == NULL || set_variable(x, x->t->id_caller, *caller);
    ok = ok && bind_params(x, m, a) && capture(x, m->body, out);
    x->frame = before;
    x->loop_depth = loops;
    return ok;
}

static bool make_macro(struct jx *x, const struct jnode *n, struct jv *out) {
    struct jmacro *m = jx_alloc(x, 1, sizeof *m);
    if (m == NULL) return false;
    *m = *n->value.macro;
    m->frame = x->frame;
    *out = (struct jv){.kind = J_MACRO, .macro = m};
    return true;
}

static bool call_block(struct jx *x, const struct jnode *n) {
    struct jv caller, f, text;
    struct jargs args;
    if (!make_macro(x, n->b, &caller) || !jx_eval(x, n->a->a, &f) || !jx_args(x, n->a->args, &args))
        return false;
    if (f.kind != J_MACRO) return jx_fail(x, "call needs a macro, got %s", jv_type_name(f));
    if (++x->depth > x->limits->max_depth) return jx_fail(x, "calls are nested too deeply");
    bool ok = jx_call_macro(x, f.macro, &args, &caller, &text);
    x->depth--;
    return ok && jv_put_str(x, x->out, text) && out_ok(x);
}

/* ---- the others ---- */

/* The body's text through the filter chain. */
static bool through(struct jx *x, const struct jnode *body, const struct jnode *chain,
                    struct jv *out) {
    struct jv text, before = x->captured;
    if (!capture(x, body, &text)) return false;
    x->captured = text;
    bool ok = jx_eval(x, chain, out);
    x->captured = before;
    return ok;
}

static enum flow with(struct jx *x, const struct jnode *n) {
    struct jframe *outer = x->frame;
    struct jv v;
    struct jframe *f = push_frame(x, outer);
    if (f == NULL) return FLOW_FAIL;
    for (uint32_t i = 0; i + 1 < n->n; i += 2) {
        x->frame = outer; /* values are those of outside */
        bool ok = jx_eval(x, n->list[i + 1], &v);
        x->frame = f;
        if (!ok || !assign(x, n->list[i], v)) return FLOW_FAIL;
    }
    enum flow flow = exec(x, n->body);
    x->frame = outer;
    return flow;
}

static enum flow body(struct jx *x, const struct jnode *n) {
    enum flow f = FLOW_ON;
    for (uint32_t i = 0; i < n->n && f == FLOW_ON; i++) f = exec(x, n->list[i]);
    return f;
}

static enum flow branch(struct jx *x, const struct jnode *n) {
    struct jv v;
    if (!jx_eval(x, n->a, &v)) return FLOW_FAIL;
    if (jv_truth(v)) return exec(x, n->b);
    return n->c == NULL ? FLOW_ON : exec(x, n->c);
}

static enum flow statement(struct jx *x, const struct jnode *n) {
    struct jv v;
    switch ((enum jnode_kind)n->kind) {
    case JN_TEXT:
        buf_add(x->out, n->text.p, n->text.n);
        return on(jx_burn(x, n->text.n) && out_ok(x));
    case JN_PRINT:
        return on(print(x, n));
    case JN_BODY:
        return body(x, n);
    case JN_IF:
        return branch(x, n);
    case JN_FOR:
        return jx_eval(x, n->a, &v) ? loop_over(x, n, v) : FLOW_FAIL;
    case JN_SET:
        return on(jx_eval(x, n->b, &v) && assign(x, n->a, v));
    case JN_SET_BLOCK:
        return on(through(x, n->body, n->b, &v) && assign(x, n->a, v));
    case JN_FILTER_BLOCK:
        return on(through(x, n->body, n->a, &v) && jv_put_str(x, x->out, v) && out_ok(x));
    case JN_MACRO:
        return on(make_macro(x, n, &v) && set_variable(x, n->id, v));
    case JN_CALL_BLOCK:
        return on(call_block(x, n));
    case JN_WITH:
        return with(x, n);
    case JN_BREAK:
        return FLOW_BREAK;
    case JN_CONTINUE:
        return FLOW_CONTINUE;
    default:
        return on(jx_fail(x, "not a statement"));
    }
}

static enum flow exec(struct jx *x, const struct jnode *n) {
    if (!jx_burn(x, 0)) return FLOW_FAIL;
    if (++x->depth > x->limits->max_depth) return on(jx_fail(x, "nested too deeply"));
    if (n->kind != JN_BODY) x->line = n->line;
    enum flow f = statement(x, n);
    x->depth--;
    return f;
}

bool jx_run(struct jx *x) { return exec(x, x->t->body) != FLOW_FAIL; }
