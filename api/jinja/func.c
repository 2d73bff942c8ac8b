/* func.c - the functions a template can call. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "api/jinja/jinja_impl.h"

#define FUNCTION(name)                                                                             \
    static bool name(struct jx *x, struct jargs *a MAYBE_UNUSED, struct jv *out MAYBE_UNUSED)

FUNCTION(raise_exception) {
    struct jtext t = {"", 0};
    if (a->n > 0 && !jv_to_text(x, a->pos[0], &t)) return false;
    x->failed = true;
    err_set(x->e, ST_INVALID, "%.*s", (int)(t.n < 2000 ? t.n : 2000), t.p);
    return false;
}

FUNCTION(strftime_now) {
    char text[256];
    struct jtext fmt;
    struct tm tm;
    struct jv copy;
    time_t now = x->now != 0 ? (time_t)x->now : time(NULL);
    if (a->n != 1) return jx_fail(x, "strftime_now takes one argument");
    if (!jv_to_text(x, a->pos[0], &fmt) || !jx_string(x, fmt.p, fmt.n, &copy)) return false;
    if (x->now != 0)
        gmtime_r(&now, &tm);
    else
        localtime_r(&now, &tm);
    if (copy.n > 100) return jx_fail(x, "the date format is too long");
    size_t n = copy.n == 0 ? 0 : strftime(text, sizeof text, copy.s, &tm);
    return jx_string(x, text, n, out);
}

static bool keywords(struct jx *x, const struct jargs *a, struct jdict *d) {
    for (size_t i = 0; i < a->n_kw; i++)
        if (!jv_put(x, d, jv_text(a->kw_name[i].p, a->kw_name[i].n), a->kw[i])) return false;
    return true;
}

static bool copy_dict(struct jx *x, const struct jargs *a, struct jv *out) {
    if (!jv_dict(x, 0, out)) return false;
    if (a->n > 0 && a->pos[0].kind != J_DICT)
        return jx_fail(x, "dict() needs a mapping, got %s", jv_type_name(a->pos[0]));
    for (size_t i = 0; a->n > 0 && i < a->pos[0].dict->n; i++)
        if (!jv_put(x, out->dict, a->pos[0].dict->at[i].key, a->pos[0].dict->at[i].value))
            return false;
    return keywords(x, a, out->dict);
}

FUNCTION(dict) { return copy_dict(x, a, out); }

FUNCTION(namespace_) {
    if (!copy_dict(x, a, out)) return false;
    out->kind = J_NAMESPACE;
    return true;
}

/* Templates write range(i, n) in loops over i: such ranges are made without copying. */
static bool shared_range(struct jx *x, int64_t from, int64_t to, int64_t step, struct jv *out) {
    const bool up = step == 1;
    struct jlist *all = up ? &x->up : &x->down;
    const int64_t n = up ? to - from : from - to, need = up ? to : from + 1;
    if (n <= 0) return true;
    if ((int64_t)all->n < need) {
        struct jlist grown = {0};
        int64_t size = need < 512 ? 1024 : need * 2;
        for (int64_t i = 0; i < size; i++)
            if (!jv_push(x, &grown, jv_int(up ? i : size - 1 - i))) return false;
        *all = grown;
    }
    const int64_t at = up ? from : (int64_t)all->n - 1 - from;
    *out->list = (struct jlist){all->at + at, (size_t)n, (size_t)n, true};
    return true;
}

FUNCTION(range) {
    enum { MAX_RANGE = 1000000 };
    int64_t from = 0, to = 0, step = 1;
    if (a->n == 0 || a->n > 3) return jx_fail(x, "range takes one to three arguments");
    if (!jarg_int(x, a, a->n == 1 ? 9 : 0, NULL, 0, &from) ||
        !jarg_int(x, a, a->n == 1 ? 0 : 1, NULL, 0, &to) || !jarg_int(x, a, 2, NULL, 1, &step))
        return false;
    if (step == 0) return jx_fail(x, "range() arg 3 must not be zero");
    if (!jv_list(x, J_LIST, 0, out)) return false;
    if ((step == 1 && from >= 0 && to <= MAX_RANGE) || (step == -1 && to >= -1 && from < MAX_RANGE))
        return shared_range(x, from, to, step, out);
    for (int64_t i = from; step > 0 ? i < to : i > to;) {
        if (out->list->n == MAX_RANGE) return jx_fail(x, "range too large");
        if (!jv_push(x, out->list, jv_int(i))) return false;
        if (__builtin_add_overflow(i, step, &i)) break;
    }
    return true;
}

static bool make_cycler(struct jx *x, enum jkind kind, const struct jv *item, size_t n,
                        struct jv *out) {
    struct jcycler *c = jx_alloc(x, 1, sizeof *c);
    if (c == NULL || (c->item = jx_alloc(x, n, sizeof *c->item)) == NULL) return false;
    memcpy(c->item, item, n * sizeof *item);
    c->n = n;
    *out = (struct jv){.kind = (uint8_t)kind, .cycler = c};
    return true;
}

FUNCTION(cycler) {
    if (a->n == 0) return jx_fail(x, "cycler needs at least one item");
    return make_cycler(x, J_CYCLER, a->pos, a->n, out);
}

FUNCTION(joiner) {
    struct jv sep = a->n > 0 ? a->pos[0] : jv_text(", ", 2);
    return make_cycler(x, J_JOINER, &sep, 1, out);
}

FUNCTION(lipsum) {
    *out = jv_text("", 0);
    return jx_burn(x, 0);
}

static const struct jfunction functions[] = {
    {"raise_exception", raise_exception},
    {"strftime_now", strftime_now},
    {"namespace", namespace_},
    {"range", range},
    {"dict", dict},
    {"cycler", cycler},
    {"joiner", joiner},
    {"lipsum", lipsum},
};

const struct jfunction *jfunction_at(size_t i) {
    return i < sizeof functions / sizeof *functions ? &functions[i] : NULL;
}
