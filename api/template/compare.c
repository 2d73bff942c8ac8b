/* compare.c - eq ne lt le gt ge (spec/templates.md 3.3 "Functions"). */
#include <string.h>

#include "api/template/template_impl.h"

/* What may be compared with what. */
enum basic { B_NONE, B_BOOL, B_INT, B_FLOAT, B_COMPLEX, B_STRING };

static enum basic basic_kind(const struct value *v) {
    switch (v->kind) {
    case V_BOOL:
        return B_BOOL;
    case V_INT:
        return B_INT;
    case V_FLOAT:
        return B_FLOAT;
    case V_COMPLEX:
        return B_COMPLEX;
    case V_STRING:
        return B_STRING;
    default:
        return B_NONE;
    }
}

static enum status incompatible(struct texec *x, const struct value *a, const struct value *b) {
    return texec_fail(x, "incompatible types for comparison: %s and %s", tvalue_type_name(a),
                      tvalue_type_name(b));
}

/* Comparing long strings costs by their length. */
static enum status pay(struct texec *x, const struct value *a, const struct value *b) {
    if (a->kind != V_STRING || b->kind != V_STRING) return ST_OK;
    return texec_spend(x, (a->s.n < b->s.n ? a->s.n : b->s.n) / 64);
}

static bool same_basic(const struct value *a, const struct value *b) {
    switch (a->kind) {
    case V_BOOL:
        return a->b == b->b;
    case V_INT:
        return a->i == b->i;
    case V_FLOAT:
        return a->f >= b->f && a->f <= b->f;
    case V_COMPLEX:
        return memcmp(&a->complex, &b->complex, sizeof a->complex) == 0;
    default:
        return ttext_equal(a->s, b->s);
    }
}

static bool comparable(const struct value *v) {
    return v->kind == V_NIL || basic_kind(v) != B_NONE || (v->kind == V_RECORD && v->type->pointer);
}

static enum status equal(struct texec *x, const struct value *a, const struct value *b,
                         bool *same) {
    const struct value *odd = !comparable(a) ? a : b;
    if (!comparable(odd)) return texec_fail(x, "non-comparable type: %s", tvalue_type_name(odd));
    if (a->kind == V_NIL || b->kind == V_NIL) {
        *same = a->kind == b->kind;
        return ST_OK;
    }
    if (a->kind == V_RECORD && b->kind == V_RECORD) {
        *same = a->field == b->field;
        return ST_OK;
    }
    if (basic_kind(a) != basic_kind(b)) return incompatible(x, a, b);
    *same = same_basic(a, b);
    return pay(x, a, b);
}

enum status tfunc_eq(struct texec *x, const struct value *arg, size_t n, struct value *out) {
    *out = tvalue_bool(false);
    if (n < 2) return texec_fail(x, "missing argument for comparison");
    for (size_t i = 1; i < n; i++) {
        bool same = false;
        enum status st = equal(x, &arg[0], &arg[i], &same);
        *out = tvalue_bool(same);
        if (st != ST_OK || same) return st;
    }
    return ST_OK;
}

enum status tfunc_ne(struct texec *x, const struct value *arg, size_t n, struct value *out) {
    enum status st = tfunc_eq(x, arg, n, out);
    out->b = !out->b;
    return st;
}

/* *order: negative, 0, positive. There is no NaN: neither JSON nor literals can write one. */
static enum status compare(struct texec *x, const struct value *a, const struct value *b,
                           int *order) {
    enum basic kind = basic_kind(a);
    if (kind == B_NONE || basic_kind(b) == B_NONE)
        return texec_fail(x, "invalid type for comparison");
    if (kind != basic_kind(b)) return incompatible(x, a, b);
    if (kind == B_INT)
        *order = (a->i > b->i) - (a->i < b->i);
    else if (kind == B_STRING)
        *order = ttext_order(a->s, b->s);
    else if (kind == B_FLOAT)
        *order = (a->f > b->f) - (a->f < b->f);
    else
        return texec_fail(x, "invalid type for comparison");
    return pay(x, a, b);
}

enum status tfunc_lt(struct texec *x, const struct value *arg, size_t n, struct value *out) {
    int order = 0;
    (void)n;
    enum status st = compare(x, &arg[0], &arg[1], &order);
    *out = tvalue_bool(order < 0);
    return st;
}

enum status tfunc_le(struct texec *x, const struct value *arg, size_t n, struct value *out) {
    int order = 0;
    (void)n;
    enum status st = compare(x, &arg[0], &arg[1], &order);
    *out = tvalue_bool(order <= 0);
    return st;
}

/* Greater is not less-or-equal: there is no NaN. */
enum status tfunc_gt(struct texec *x, const struct value *arg, size_t n, struct value *out) {
    enum status st = tfunc_le(x, arg, n, out);
    out->b = !out->b;
    return st;
}

enum status tfunc_ge(struct texec *x, const struct value *arg, size_t n, struct value *out) {
    enum status st = tfunc_lt(x, arg, n, out);
    out->b = !out->b;
    return st;
}
