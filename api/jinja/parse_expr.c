/* parse_expr.c - expressions, by recursive descent in the order of spec/templates.md 6.4. */
#include <string.h>

#include "api/jinja/jinja_impl.h"

/* ---- nodes ---- */

static struct jnode *constant(struct jparser *p, struct jv v) {
    struct jnode *n = jnode_new(p, JN_CONST);
    if (n != NULL) n->value = v;
    return n;
}

static struct jnode *pair(struct jparser *p, enum jnode_kind kind, struct jnode *a,
                          struct jnode *b) {
    struct jnode *n = a == NULL || b == NULL ? NULL : jnode_new(p, kind);
    if (n == NULL) return NULL;
    n->a = a;
    n->b = b;
    n->line = a->line;
    return n;
}

static struct jnode *listed(struct jparser *p, enum jnode_kind kind, struct jlist_builder *b) {
    struct jnode *n = jnode_new(p, kind);
    if (n == NULL) return NULL;
    n->list = b->at;
    n->n = (uint32_t)b->n;
    return n;
}

/* ---- literals and names ---- */

static struct jnode *parse_strings(struct jparser *p) {
    struct jtext s = p->at->s;
    p->at++;
    while (p->at->kind == JT_STRING) { /* neighbours are one string */
        char *joined = arena_alloc(&p->t->arena, s.n + p->at->s.n + 1);
        if (joined == NULL) return jparse_no_memory(p);
        memcpy(joined, s.p, s.n);
        memcpy(joined + s.n, p->at->s.p, p->at->s.n);
        s = (struct jtext){joined, s.n + p->at->s.n};
        p->at++;
    }
    return constant(p, jv_text(s.p, s.n));
}

static struct jnode *parse_name(struct jparser *p) {
    static const struct {
        const char *name;
        int value; /* 0, 1; 2: none */
    } word[] = {{"true", 1}, {"True", 1}, {"false", 0}, {"False", 0}, {"none", 2}, {"None", 2}};
    struct jtext s = p->at->s;
    for (size_t i = 0; i < sizeof word / sizeof *word; i++)
        if (jtext_is(s, word[i].name)) {
            p->at++;
            return constant(p, word[i].value == 2 ? jv_none() : jv_bool(word[i].value == 1));
        }
    struct jnode *n = jnode_new(p, JN_NAME);
    if (n == NULL) return NULL;
    n->text = s;
    n->id = jparse_name_id(p, s);
    p->at++;
    return n;
}

static struct jnode *parse_list(struct jparser *p) {
    struct jlist_builder b = {0};
    while (!jparse_is_op(p, "]")) {
        if (b.n > 0 && !jparse_expect_op(p, ",")) return NULL;
        if (jparse_is_op(p, "]")) break;
        if (!jbuilder_add(p, &b, jparse_expression(p, true))) return NULL;
    }
    p->at++;
    return listed(p, JN_LIST, &b);
}

static struct jnode *parse_dict(struct jparser *p) {
    struct jlist_builder b = {0};
    while (!jparse_is_op(p, "}")) {
        if (b.n > 0 && !jparse_expect_op(p, ",")) return NULL;
        if (jparse_is_op(p, "}")) break;
        if (!jbuilder_add(p, &b, jparse_expression(p, true)) || !jparse_expect_op(p, ":") ||
            !jbuilder_add(p, &b, jparse_expression(p, true)))
            return NULL;
    }
    p->at++;
    return listed(p, JN_DICT, &b);
}

static struct jnode *parse_parens(struct jparser *p) {
    struct jlist_builder none = {0};
    if (jparse_take_op(p, ")")) return listed(p, JN_TUPLE, &none);
    struct jnode *n = jparse_tuple(p, true);
    return n != NULL && jparse_expect_op(p, ")") ? n : NULL;
}

static struct jnode *parse_primary(struct jparser *p) {
    const struct jtoken *t = p->at;
    switch (t->kind) {
    case JT_NAME:
        return parse_name(p);
    case JT_STRING:
        return parse_strings(p);
    case JT_INT:
        p->at++;
        return constant(p, jv_int(t->i));
    case JT_FLOAT:
        p->at++;
        return constant(p, jv_float(t->f));
    default:
        break;
    }
    if (jparse_take_op(p, "[")) return parse_list(p);
    if (jparse_take_op(p, "{")) return parse_dict(p);
    if (jparse_take_op(p, "(")) return parse_parens(p);
    if (t->kind == JT_EOF) return jparse_fail(p, "unexpected end of template");
    return jparse_fail(p, "unexpected '%.*s'", (int)(t->s.n < 40 ? t->s.n : 40), t->s.p);
}

/* ---- calls, subscripts, filters, tests ---- */

static bool add_kw(struct jparser *p, struct jargs_node *a, struct jtext name, struct jnode *v) {
    size_t n = a->n_kw + 1;
    struct jtext *names = arena_zalloc(&p->t->arena, n, sizeof *names);
    struct jnode **values = arena_zalloc(&p->t->arena, n, sizeof(*values));
    if (names == NULL || values == NULL) return jparse_no_memory(p), false;
    for (size_t i = 0; i < a->n_kw; i++) {
        names[i] = a->kw_name[i];
        values[i] = a->kw[i];
    }
    names[a->n_kw] = name;
    values[a->n_kw] = v;
    a->kw_name = names;
    a->kw = values;
    a->n_kw = n;
    return true;
}

/* After "(", eats ")". */
static struct jargs_node *parse_args(struct jparser *p) {
    enum { MAX_KEYWORDS = 200 };
    struct jargs_node *a = arena_zalloc(&p->t->arena, 1, sizeof *a);
    struct jlist_builder b = {0};
    if (a == NULL) return jparse_no_memory(p), NULL;
    for (bool first = true; !jparse_is_op(p, ")"); first = false) {
        if (!first && !jparse_expect_op(p, ",")) return NULL;
        if (jparse_is_op(p, ")")) break;
        if (jparse_take_op(p, "*")) {
            if ((a->star = jparse_expression(p, true)) == NULL) return NULL;
        } else if (jparse_take_op(p, "**")) {
            if ((a->star_star = jparse_expression(p, true)) == NULL) return NULL;
        } else if (p->at->kind == JT_NAME && p->at[1].kind == JT_OP && jtext_is(p->at[1].s, "=")) {
            struct jtext name = p->at->s;
            p->at += 2;
            struct jnode *v = jparse_expression(p, true);
            if (a->n_kw >= MAX_KEYWORDS) return jparse_fail(p, "too many keyword arguments"), NULL;
            if (v == NULL || !add_kw(p, a, name, v)) return NULL;
        } else {
            if (a->n_kw > 0) return jparse_fail(p, "positional argument after a keyword"), NULL;
            if (!jbuilder_add(p, &b, jparse_expression(p, true))) return NULL;
        }
    }
    p->at++;
    a->pos = b.at;
    a->n = b.n;
    return a;
}

static struct jnode *parse_subscript(struct jparser *p, struct jnode *in) {
    struct jnode *part[3] = {NULL, NULL, NULL};
    size_t n = 0;
    bool slice = false;
    while (!jparse_is_op(p, "]")) {
        if (jparse_take_op(p, ":")) {
            slice = true;
            if (++n > 2) return jparse_fail(p, "too many colons in a slice");
            continue;
        }
        if (part[n] != NULL) return jparse_fail(p, "expected ']'");
        if ((part[n] = jparse_tuple(p, true)) == NULL) return NULL;
    }
    p->at++;
    if (!slice && part[0] == NULL) return jparse_fail(p, "expected an expression in []");
    if (!slice) return pair(p, JN_ITEM, in, part[0]);
    struct jnode *node = jnode_new(p, JN_SLICE);
    if (node == NULL || (node->list = arena_zalloc(&p->t->arena, 3, sizeof(*node->list))) == NULL)
        return jparse_no_memory(p);
    node->a = in;
    for (size_t i = 0; i < 3; i++) node->list[i] = part[i];
    return node;
}

static struct jnode *parse_attribute(struct jparser *p, struct jnode *in) {
    const struct jtoken *t = p->at++;
    if (t->kind == JT_INT) return pair(p, JN_ITEM, in, constant(p, jv_int(t->i)));
    if (t->kind != JT_NAME) return p->at--, jparse_fail(p, "expected a name after '.'");
    struct jnode *n = jnode_new(p, JN_ATTR);
    if (n == NULL) return NULL;
    n->a = in;
    n->text = t->s;
    n->line = t->line;
    n->method = jmethod_first(t->s);
    return n;
}

static struct jnode *parse_postfix(struct jparser *p, struct jnode *n) {
    unsigned links = 0;
    while (n != NULL) {
        if (++links + p->depth > JINJA_MAX_NESTING * 2)
            return jparse_fail(p, "expression is nested too deeply");
        if (jparse_take_op(p, ".")) {
            n = parse_attribute(p, n);
        } else if (jparse_take_op(p, "[")) {
            n = parse_subscript(p, n);
        } else if (jparse_take_op(p, "(")) {
            struct jnode *call = jnode_new(p, JN_CALL);
            if (call == NULL || (call->args = parse_args(p)) == NULL) return NULL;
            call->a = n;
            call->line = n->line;
            n = call;
        } else {
            break;
        }
    }
    return n;
}

static struct jnode *parse_filter(struct jparser *p, struct jnode *in) {
    struct jnode *n = jnode_new(p, JN_FILTER);
    if (n == NULL) return NULL;
    if (p->at->kind != JT_NAME) return jparse_fail(p, "expected the name of a filter");
    n->a = in;
    n->text = p->at->s;
    n->row = jfilter_find(n->text, p->t->own);
    if (n->row == NULL && p->conditional == 0)
        return jparse_fail(p, "No filter named '%.*s'.", (int)n->text.n, n->text.p);
    p->at++;
    if (jparse_take_op(p, "(") && (n->args = parse_args(p)) == NULL) return NULL;
    return n;
}

struct jnode *jparse_filters(struct jparser *p, struct jnode *in, bool first_bare) {
    unsigned links = 0;
    while (in != NULL && (first_bare || jparse_take_op(p, "|"))) {
        if (++links > JINJA_MAX_NESTING) return jparse_fail(p, "too many filters");
        first_bare = false;
        in = parse_filter(p, in);
    }
    return in;
}

/* "is divisibleby 3": an argument without parentheses. */
static bool bare_argument(const struct jparser *p) {
    static const char *const not_one[] = {"else", "or", "and", "if",
                                          "is",   "in", "not", "recursive"};
    if (p->at->kind == JT_STRING || p->at->kind == JT_INT || p->at->kind == JT_FLOAT) return true;
    if (p->at->kind == JT_OP) return jparse_is_op(p, "[") || jparse_is_op(p, "{");
    if (p->at->kind != JT_NAME) return false;
    for (size_t i = 0; i < sizeof not_one / sizeof *not_one; i++)
        if (jparse_is_name(p, not_one[i])) return false;
    return true;
}

static struct jnode *parse_test(struct jparser *p, struct jnode *in) {
    bool negated = jparse_take_name(p, "not");
    struct jnode *n = jnode_new(p, JN_TEST);
    if (n == NULL) return NULL;
    if (p->at->kind != JT_NAME) return jparse_fail(p, "expected the name of a test");
    n->a = in;
    n->text = p->at->s;
    n->row = jtest_find(n->text);
    if (n->row == NULL && p->conditional == 0)
        return jparse_fail(p, "No test named '%.*s'.", (int)n->text.n, n->text.p);
    p->at++;
    if (jparse_take_op(p, "(")) {
        if ((n->args = parse_args(p)) == NULL) return NULL;
    } else if (bare_argument(p)) {
        struct jnode *v = parse_postfix(p, parse_primary(p));
        struct jlist_builder b = {0};
        n->args = arena_zalloc(&p->t->arena, 1, sizeof *n->args);
        if (n->args == NULL) return jparse_no_memory(p);
        if (!jbuilder_add(p, &b, v)) return NULL;
        n->args->pos = b.at;
        n->args->n = 1;
    }
    if (!negated) return n;
    struct jnode *not = jnode_new(p, JN_NOT);
    if (not != NULL) not ->a = n;
    return not ;
}

static struct jnode *parse_filters_and_tests(struct jparser *p, struct jnode *n) {
    unsigned links = 0;
    while (n != NULL) {
        if (++links + p->depth > JINJA_MAX_NESTING * 2)
            return jparse_fail(p, "expression is nested too deeply");
        if (jparse_take_op(p, "|"))
            n = parse_filter(p, n);
        else if (jparse_take_name(p, "is"))
            n = parse_test(p, n);
        else if (jparse_is_op(p, "(") || jparse_is_op(p, "[") || jparse_is_op(p, "."))
            n = parse_postfix(p, n);
        else
            break;
    }
    return n;
}

/* ---- operators ---- */

static bool enter(struct jparser *p) {
    if (p->failed) return false;
    if (++p->depth <= JINJA_MAX_NESTING) return true;
    jparse_fail(p, "expression is nested too deeply");
    return false;
}

static struct jnode *parse_unary(struct jparser *p, bool with_filters) {
    struct jnode *n = NULL;
    if (!enter(p)) return NULL;
    if (jparse_is_op(p, "-") || jparse_is_op(p, "+")) {
        n = jnode_new(p, JN_UNARY);
        if (n != NULL) {
            n->op = *p->at->s.p;
            p->at++;
            n->a = parse_unary(p, false);
            if (n->a == NULL) n = NULL;
        }
    } else {
        n = parse_primary(p);
    }
    n = parse_postfix(p, n);
    if (with_filters) n = parse_filters_and_tests(p, n);
    p->depth--;
    return n;
}

struct level {
    const char *op[5];
    const char *code; /* op characters of the tree, in the same order */
};
static const struct level levels[] = {
    {{"+", "-", NULL}, "+-"},
    {{"~", NULL}, "~"},
    {{"*", "/", "//", "%", NULL}, "*/d%"},
    {{"**", NULL}, "p"},
};
enum { N_LEVELS = sizeof levels / sizeof *levels, MAX_CHAIN = 400 };

static struct jnode *parse_binary(struct jparser *p, size_t level) {
    if (level == N_LEVELS) return parse_unary(p, true);
    struct jnode *n = parse_binary(p, level + 1);
    for (unsigned links = 0; n != NULL; links++) {
        int hit = -1;
        for (int i = 0; levels[level].op[i] != NULL && hit < 0; i++)
            if (jparse_take_op(p, levels[level].op[i])) hit = i;
        if (hit < 0) break;
        if (links > MAX_CHAIN) return jparse_fail(p, "too many operators in a row");
        char code = levels[level].code[hit];
        n = pair(p, code == '~' ? JN_CONCAT : JN_BINARY, n, parse_binary(p, level + 1));
        if (n != NULL) n->op = code;
    }
    return n;
}

static char comparison(struct jparser *p) {
    static const struct {
        const char *op;
        char code;
    } row[] = {{"==", '='}, {"!=", '!'}, {"<=", 'l'}, {">=", 'g'}, {"<", '<'}, {">", '>'}};
    for (size_t i = 0; i < sizeof row / sizeof *row; i++)
        if (jparse_take_op(p, row[i].op)) return row[i].code;
    if (jparse_take_name(p, "in")) return 'i';
    if (jparse_is_name(p, "not") && p->at[1].kind == JT_NAME && jtext_is(p->at[1].s, "in")) {
        p->at += 2;
        return 'n';
    }
    return '\0';
}

static struct jnode *parse_compare(struct jparser *p) {
    enum { MAX_COMPARISONS = 64 };
    char op[MAX_COMPARISONS];
    size_t n_ops = 0;
    struct jlist_builder b = {0};
    struct jnode *first = parse_binary(p, 0);
    if (!jbuilder_add(p, &b, first)) return NULL;
    for (char c; (c = comparison(p)) != '\0';) {
        if (n_ops == MAX_COMPARISONS) return jparse_fail(p, "too many comparisons in a row");
        op[n_ops++] = c;
        if (!jbuilder_add(p, &b, parse_binary(p, 0))) return NULL;
    }
    if (n_ops == 0) return first;
    struct jnode *n = listed(p, JN_COMPARE, &b);
    if (n == NULL) return NULL;
    n->line = first->line;
    n->text = (struct jtext){arena_strndup(&p->t->arena, op, n_ops), n_ops};
    return n->text.p == NULL ? jparse_no_memory(p) : n;
}

static struct jnode *parse_not(struct jparser *p) {
    if (!jparse_is_name(p, "not")) return parse_compare(p);
    if (!enter(p)) return NULL;
    struct jnode *n = jnode_new(p, JN_NOT);
    p->at++;
    if (n != NULL && (n->a = parse_not(p)) == NULL) n = NULL;
    p->depth--;
    return n;
}

static struct jnode *parse_and(struct jparser *p) {
    struct jnode *n = parse_not(p);
    for (unsigned links = 0; n != NULL && jparse_take_name(p, "and"); links++) {
        if (links > MAX_CHAIN) return jparse_fail(p, "too many operators in a row");
        n = pair(p, JN_AND, n, parse_not(p));
    }
    return n;
}

static struct jnode *parse_or(struct jparser *p) {
    struct jnode *n = parse_and(p);
    for (unsigned links = 0; n != NULL && jparse_take_name(p, "or"); links++) {
        if (links > MAX_CHAIN) return jparse_fail(p, "too many operators in a row");
        n = pair(p, JN_OR, n, parse_and(p));
    }
    return n;
}

struct jnode *jparse_expression(struct jparser *p, bool with_cond) {
    if (!enter(p)) return NULL;
    struct jnode *n = parse_or(p);
    for (unsigned links = 0; with_cond && n != NULL && jparse_take_name(p, "if"); links++) {
        if (links > MAX_CHAIN) return jparse_fail(p, "too many operators in a row");
        struct jnode *cond = jnode_new(p, JN_COND);
        p->conditional++;
        if (cond == NULL || (cond->b = parse_or(p)) == NULL) return NULL;
        cond->a = n;
        if (jparse_take_name(p, "else") && (cond->c = jparse_expression(p, true)) == NULL)
            return NULL;
        p->conditional--;
        n = cond;
    }
    p->depth--;
    return n;
}

static bool tuple_ends(const struct jparser *p) {
    return p->at->kind == JT_BLOCK_END || p->at->kind == JT_PRINT_END || p->at->kind == JT_EOF ||
           jparse_is_op(p, ")") || jparse_is_op(p, "]") || jparse_is_op(p, "=");
}

struct jnode *jparse_tuple(struct jparser *p, bool with_cond) {
    struct jlist_builder b = {0};
    struct jnode *first = jparse_expression(p, with_cond);
    if (!jbuilder_add(p, &b, first)) return NULL;
    if (!jparse_is_op(p, ",")) return first;
    while (jparse_take_op(p, ",") && !tuple_ends(p))
        if (!jbuilder_add(p, &b, jparse_expression(p, with_cond))) return NULL;
    return listed(p, JN_TUPLE, &b);
}

/* ---- targets of set and for ---- */

static struct jnode *parse_one_target(struct jparser *p, bool with_namespace) {
    struct jlist_builder none = {0};
    if (jparse_take_op(p, "(")) {
        if (!enter(p)) return NULL;
        struct jnode *inner = jparse_target(p, with_namespace);
        p->depth--;
        (void)none;
        return inner != NULL && jparse_expect_op(p, ")") ? inner : NULL;
    }
    if (p->at->kind != JT_NAME) return jparse_fail(p, "expected a name to assign to");
    struct jnode *n = parse_name(p);
    if (n != NULL && n->kind != JN_NAME) return jparse_fail(p, "cannot assign to a constant");
    if (n != NULL && with_namespace && jparse_take_op(p, ".")) n = parse_attribute(p, n);
    return n;
}

struct jnode *jparse_target(struct jparser *p, bool with_namespace) {
    struct jlist_builder b = {0};
    struct jnode *first = parse_one_target(p, with_namespace);
    if (!jbuilder_add(p, &b, first)) return NULL;
    if (!jparse_is_op(p, ",")) return first;
    while (jparse_take_op(p, ",") && p->at->kind != JT_BLOCK_END && !jparse_is_name(p, "in") &&
           !jparse_is_op(p, "=") && !jparse_is_op(p, ")"))
        if (!jbuilder_add(p, &b, parse_one_target(p, with_namespace))) return NULL;
    return listed(p, JN_TUPLE, &b);
}
