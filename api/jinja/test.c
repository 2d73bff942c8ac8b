/* test.c - what follows "is". */
#include <string.h>

#include "api/jinja/jinja_impl.h"
#include "base/unicode.h"
#include "base/utf8.h"

#define TEST(name)                                                                                 \
    static bool name(struct jx *x MAYBE_UNUSED, struct jv in, struct jargs *a MAYBE_UNUSED,        \
                     bool *out)
#define KIND_TEST(name, condition)                                                                 \
    TEST(name) {                                                                                   \
        *out = condition;                                                                          \
        return true;                                                                               \
    }

KIND_TEST(defined, in.kind != J_UNDEFINED)
KIND_TEST(undefined, in.kind == J_UNDEFINED)
KIND_TEST(none, in.kind == J_NONE)
KIND_TEST(string, in.kind == J_STRING)
KIND_TEST(number, jv_is_number(in))
KIND_TEST(integer, in.kind == J_INT)
KIND_TEST(float_, in.kind == J_FLOAT)
KIND_TEST(boolean, in.kind == J_BOOL)
KIND_TEST(true_, in.kind == J_BOOL && in.b)
KIND_TEST(false_, in.kind == J_BOOL && !in.b)
KIND_TEST(mapping, in.kind == J_DICT)
KIND_TEST(sequence,
          in.kind == J_STRING || in.kind == J_DICT || jv_is_seq(in) || in.kind == J_UNDEFINED)
KIND_TEST(iterable,
          in.kind == J_STRING || in.kind == J_DICT || jv_is_seq(in) || in.kind == J_UNDEFINED)
KIND_TEST(callable, in.kind == J_FUNCTION || in.kind == J_MACRO || in.kind == J_METHOD ||
                        in.kind == J_JOINER || in.kind == J_LOOP)
KIND_TEST(escaped, (in.flag & JFLAG_SAFE) != 0 && in.kind == J_STRING)

static bool whole(struct jx *x, struct jv v, int64_t *out) {
    *out = 0;
    if (v.kind != J_INT && v.kind != J_BOOL)
        return jx_fail(x, "not an integer: %s", jv_type_name(v));
    *out = v.kind == J_BOOL ? v.b : v.i;
    return true;
}

TEST(odd) {
    int64_t i;
    if (!whole(x, in, &i)) return false;
    *out = (i & 1) != 0;
    return true;
}

TEST(even) {
    if (!odd(x, in, a, out)) return false;
    *out = !*out;
    return true;
}

static bool argument(struct jx *x, const struct jargs *a, struct jv *out) {
    if (a->n != 1) return jx_fail(x, "the test takes one argument");
    *out = a->pos[0];
    return true;
}

TEST(divisibleby) {
    int64_t i, by;
    struct jv v;
    if (!argument(x, a, &v) || !whole(x, in, &i) || !whole(x, v, &by)) return false;
    if (by == 0) return jx_fail(x, "division by zero");
    *out = by == -1 || i % by == 0;
    return true;
}

TEST(eq) {
    struct jv v;
    if (!argument(x, a, &v)) return false;
    *out = jv_equal(in, v, 50);
    return true;
}

TEST(ne) {
    if (!eq(x, in, a, out)) return false;
    *out = !*out;
    return true;
}

static bool ordered(struct jx *x, struct jv in, struct jargs *a, const char *op, int *order) {
    struct jv v;
    return argument(x, a, &v) && jv_order(x, in, v, op, order);
}
#define ORDER_TEST(name, text, condition)                                                          \
    TEST(name) {                                                                                   \
        int order = 0;                                                                             \
        if (!ordered(x, in, a, text, &order)) return false;                                        \
        *out = order condition;                                                                    \
        return true;                                                                               \
    }
ORDER_TEST(lt, "<", < 0)
ORDER_TEST(le, "<=", <= 0)
ORDER_TEST(gt, ">", > 0)
ORDER_TEST(ge, ">=", >= 0)

TEST(in_) {
    struct jv v;
    return argument(x, a, &v) && jv_contains(x, in, v, out);
}

TEST(sameas) {
    struct jv v;
    if (!argument(x, a, &v)) return false;
    bool object = jv_is_seq(in) || in.kind == J_DICT || in.kind == J_NAMESPACE;
    *out = v.kind == in.kind && (object ? v.list == in.list : jv_equal(in, v, 50));
    return true;
}

/* A letter there is, and none of the other case. */
static bool only_case(struct jv in, bool upper) {
    bool any = false;
    if (in.kind != J_STRING) return false;
    for (size_t i = 0; i < in.n;) {
        uint32_t cp;
        i += utf8_decode(in.s + i, in.n - i, &cp);
        bool is_upper = unicode_lower(cp) != cp, is_lower = junicode_upper(cp) != cp;
        if (upper ? is_lower : is_upper) return false;
        any = any || (upper ? is_upper : is_lower);
    }
    return any;
}
KIND_TEST(lower, only_case(in, false))
KIND_TEST(upper, only_case(in, true))

TEST(filter) {
    *out = in.kind == J_STRING && jfilter_find(jv_str(in), x->t->own) != NULL;
    return true;
}

TEST(test) {
    *out = in.kind == J_STRING && jtest_find(jv_str(in)) != NULL;
    return true;
}

static const struct jtest tests[] = {
    {"!=", ne},
    {"<", lt},
    {"<=", le},
    {"==", eq},
    {">", gt},
    {">=", ge},
    {"boolean", boolean},
    {"callable", callable},
    {"defined", defined},
    {"divisibleby", divisibleby},
    {"eq", eq},
    {"equalto", eq},
    {"escaped", escaped},
    {"even", even},
    {"false", false_},
    {"filter", filter},
    {"float", float_},
    {"ge", ge},
    {"greaterthan", gt},
    {"gt", gt},
    {"in", in_},
    {"integer", integer},
    {"iterable", iterable},
    {"le", le},
    {"lessthan", lt},
    {"lower", lower},
    {"lt", lt},
    {"mapping", mapping},
    {"ne", ne},
    {"none", none},
    {"number", number},
    {"odd", odd},
    {"sameas", sameas},
    {"sequence", sequence},
    {"string", string},
    {"test", test},
    {"true", true_},
    {"undefined", undefined},
    {"upper", upper},
};

const struct jtest *jtest_find(struct jtext name) {
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++)
        if (jtext_is(name, tests[i].name)) return &tests[i];
    return NULL;
}
