/* arith.c - what operators do: numbers with Python's rounding, texts and lists that grow. */
#include <math.h>
#include <string.h>

#include "api/jinja/jinja_impl.h"

static double floor_mod(double a, double b) {
    double m = fmod(a, b);
    return m != 0 && (m < 0) != (b < 0) ? m + b : m;
}

static bool int_power(struct jx *x, int64_t a, int64_t b, struct jv *out) {
    int64_t r = 1;
    if (b < 0) {
        *out = jv_float(pow((double)a, (double)b));
        return true;
    }
    for (; b > 0; b--) {
        if (__builtin_mul_overflow(r, a, &r)) return jx_fail(x, "integer overflow");
        if (r == 0 || r == 1) break;
        if (r == -1) {
            r = b % 2 == 1 ? -1 : 1;
            break;
        }
    }
    *out = jv_int(r);
    return true;
}

static bool int_arith(struct jx *x, char op, int64_t a, int64_t b, struct jv *out) {
    int64_t r = 0;
    bool over = false;
    if (strchr("/d%", op) != NULL && b == 0) return jx_fail(x, "division by zero");
    switch (op) {
    case '+':
        over = __builtin_add_overflow(a, b, &r);
        break;
    case '-':
        over = __builtin_sub_overflow(a, b, &r);
        break;
    case '*':
        over = __builtin_mul_overflow(a, b, &r);
        break;
    case '/':
        *out = jv_float((double)a / (double)b);
        return true;
    case 'd':
    case '%':
        if (b == -1) { /* INT64_MIN / -1 */
            over = op == 'd' && __builtin_sub_overflow((int64_t)0, a, &r);
            break;
        }
        r = op == 'd' ? a / b - (a % b != 0 && (a < 0) != (b < 0)) : a % b;
        if (op == '%' && r != 0 && (r < 0) != (b < 0)) r += b;
        break;
    default:
        return int_power(x, a, b, out);
    }
    if (over) return jx_fail(x, "integer overflow");
    *out = jv_int(r);
    return true;
}

static bool float_arith(struct jx *x, char op, double a, double b, struct jv *out) {
    if (strchr("/d%", op) != NULL && b == 0) return jx_fail(x, "division by zero");
    double r = op == '+'   ? a + b
               : op == '-' ? a - b
               : op == '*' ? a * b
               : op == '/' ? a / b
               : op == 'd' ? floor(a / b)
               : op == '%' ? floor_mod(a, b)
                           : pow(a, b);
    *out = jv_float(r);
    return true;
}

/* a is the whole of a text with room behind it: b goes there, and who has a still sees only a. */
static struct jtail *room_behind(struct jx *x, struct jtext a, size_t more) {
    for (size_t i = 0; i < JX_TAILS; i++) {
        struct jtail *t = &x->tail[i];
        if (t->p == a.p && t->n == a.n && t->cap - t->n >= more) return t;
    }
    return NULL;
}

static void remember(struct jx *x, char *p, size_t n, size_t cap) {
    struct jtail *least = &x->tail[0];
    for (size_t i = 1; i < JX_TAILS; i++)
        if (x->tail[i].n < least->n) least = &x->tail[i];
    if (n >= least->n) *least = (struct jtail){p, n, cap};
}

bool jx_concat(struct jx *x, struct jtext a, struct jtext b, struct jv *out) {
    enum { LONG_TEXT = 512 };
    const size_t n = a.n + b.n, cap = a.n >= LONG_TEXT ? 2 * n : n;
    if (n > x->limits->max_out) return jx_fail(x, "the text grows too large");
    struct jtail *t = a.n >= LONG_TEXT ? room_behind(x, a, b.n) : NULL;
    if (t != NULL) {
        if (b.n > 0) memcpy(t->p + a.n, b.p, b.n);
        t->n = n;
        *out = jv_text(t->p, n);
        return jx_burn(x, b.n);
    }
    char *p = jx_burn(x, n) ? jx_alloc(x, cap + 1, 1) : NULL;
    if (p == NULL) return false;
    if (cap > n) remember(x, p, n, cap);
    if (a.n > 0) memcpy(p, a.p, a.n);
    if (b.n > 0) memcpy(p + a.n, b.p, b.n);
    *out = jv_text(p, a.n + b.n);
    return true;
}

/* A text marked safe escapes what is added to it, as Python's Markup does. */
static bool add_texts(struct jx *x, struct jv a, struct jv b, struct jv *out) {
    bool safe = ((a.flag | b.flag) & JFLAG_SAFE) != 0;
    if (safe && (!jx_escape(x, a, &a) || !jx_escape(x, b, &b))) return false;
    if (!jx_concat(x, jv_str(a), jv_str(b), out)) return false;
    if (safe) out->flag |= JFLAG_SAFE;
    return true;
}

static bool join_lists(struct jx *x, struct jv a, struct jv b, struct jv *out) {
    if (!jv_list(x, (enum jkind)a.kind, a.list->n + b.list->n, out)) return false;
    for (size_t i = 0; i < a.list->n; i++)
        if (!jv_push(x, out->list, a.list->at[i])) return false;
    for (size_t i = 0; i < b.list->n; i++)
        if (!jv_push(x, out->list, b.list->at[i])) return false;
    return true;
}

static bool repeat(struct jx *x, struct jv v, int64_t times, struct jv *out) {
    size_t size = v.kind == J_STRING ? v.n : v.list->n, n = times < 0 ? 0 : (size_t)times;
    if (size > 0 && n > x->limits->max_out / size) return jx_fail(x, "the text grows too large");
    if (v.kind == J_STRING) {
        char *p = jx_burn(x, n * size) ? jx_alloc(x, n * size + 1, 1) : NULL;
        if (p == NULL) return false;
        for (size_t i = 0; i < n && size > 0; i++) memcpy(p + i * size, v.s, size);
        *out = jv_text(p, n * size);
        return true;
    }
    if (!jv_list(x, (enum jkind)v.kind, n * size, out)) return false;
    for (size_t i = 0; i < n * size; i++)
        if (!jv_push(x, out->list, v.list->at[i % size])) return false;
    return true;
}

bool jx_arith(struct jx *x, char op, struct jv a, struct jv b, struct jv *out) {
    static const char *const symbol[] = {"+", "-", "*", "/", "//", "%", "**"};
    static const char code[] = "+-*/d%p";
    if (a.kind == J_UNDEFINED) return jx_use_undefined(x, a);
    if (b.kind == J_UNDEFINED) return jx_use_undefined(x, b);
    if (jv_is_number(a) && jv_is_number(b)) {
        if (a.kind == J_FLOAT || b.kind == J_FLOAT)
            return float_arith(x, op, jv_double(a), jv_double(b), out);
        return int_arith(x, op, a.kind == J_BOOL ? a.b : a.i, b.kind == J_BOOL ? b.b : b.i, out);
    }
    if (op == '+' && a.kind == J_STRING && b.kind == J_STRING) return add_texts(x, a, b, out);
    if (op == '+' && a.kind == b.kind && jv_is_seq(a)) return join_lists(x, a, b, out);
    if (op == '*' && (a.kind == J_STRING || jv_is_seq(a)) && b.kind == J_INT)
        return repeat(x, a, b.i, out);
    if (op == '*' && (b.kind == J_STRING || jv_is_seq(b)) && a.kind == J_INT)
        return repeat(x, b, a.i, out);
    if (op == '%' && a.kind == J_STRING)
        return b.kind == J_TUPLE ? jtext_format(x, jv_str(a), b.list->at, b.list->n, out)
                                 : jtext_format(x, jv_str(a), &b, 1, out);
    if (op == '+' && (a.kind == J_STRING || a.kind == J_LIST))
        return jx_fail(x, "can only concatenate %s (not \"%s\") to %s", jv_type_name(a),
                       jv_type_name(b), jv_type_name(a));
    return jx_fail(x, "unsupported operand type(s) for %s: '%s' and '%s'",
                   symbol[strchr(code, op) - code], jv_type_name(a), jv_type_name(b));
}

bool jx_negate(struct jx *x, char op, struct jv v, struct jv *out) {
    if (v.kind == J_UNDEFINED) return jx_use_undefined(x, v);
    if (!jv_is_number(v))
        return jx_fail(x, "bad operand type for unary %c: '%s'", op, jv_type_name(v));
    if (v.kind == J_FLOAT)
        *out = jv_float(op == '-' ? -v.f : v.f);
    else if (op == '-')
        return int_arith(x, '-', 0, v.kind == J_BOOL ? v.b : v.i, out);
    else
        *out = jv_int(v.kind == J_BOOL ? v.b : v.i);
    return true;
}
