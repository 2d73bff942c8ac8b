/* parse.c - statements: one function per tag, found by a table. */
#include <stdio.h>
#include <string.h>

#include "api/jinja/jinja_impl.h"

static struct jnode *parse_body(struct jparser *p, const char *const *end);

static bool block_end(struct jparser *p) {
    if (p->failed) return false;
    if (p->at->kind == JT_BLOCK_END) {
        p->at++;
        return true;
    }
    jparse_fail(p, "expected end of statement block, got '%.*s'",
                (int)(p->at->s.n < 40 ? p->at->s.n : 40), p->at->s.p);
    return false;
}

/* The body up to one of the end tags (whose name is then the next token), then that tag alone. */
static struct jnode *parse_closed(struct jparser *p, const char *end) {
    const char *const ends[] = {end, NULL};
    struct jnode *body = parse_body(p, ends);
    if (body == NULL) return NULL;
    p->at++; /* its name */
    if (jtext_is((struct jtext){end, strlen(end)}, "endblock") && p->at->kind == JT_NAME) p->at++;
    return block_end(p) ? body : NULL;
}

static bool enter(struct jparser *p) {
    if (++p->depth <= JINJA_MAX_NESTING) return true;
    jparse_fail(p, "statements are nested too deeply");
    return false;
}

/* ---- control ---- */

static struct jnode *parse_if(struct jparser *p) {
    static const char *const ends[] = {"elif", "else", "endif", NULL};
    struct jnode *n = jnode_new(p, JN_IF);
    if (n == NULL || (n->a = jparse_tuple(p, false)) == NULL || !block_end(p)) return NULL;
    p->conditional++;
    if ((n->b = parse_body(p, ends)) == NULL) return NULL;
    if (jparse_take_name(p, "elif")) {
        if (!enter(p)) return NULL;
        n->c = parse_if(p);
        p->depth--;
        p->conditional--;
        return n->c == NULL ? NULL : n;
    }
    if (jparse_take_name(p, "else")) {
        if (!block_end(p) || (n->c = parse_closed(p, "endif")) == NULL) return NULL;
    } else {
        p->at++;
        if (!block_end(p)) return NULL;
    }
    p->conditional--;
    return n;
}

static struct jnode *parse_for(struct jparser *p) {
    static const char *const ends[] = {"else", "endfor", NULL};
    struct jnode *n = jnode_new(p, JN_FOR);
    if (n == NULL) return NULL;
    struct jnode *target = jparse_target(p, false);
    struct jlist_builder b = {0};
    if (!jbuilder_add(p, &b, target)) return NULL;
    n->list = b.at;
    n->n = 1;
    if (!jparse_take_name(p, "in")) return jparse_fail(p, "expected 'in'");
    if ((n->a = jparse_tuple(p, false)) == NULL) return NULL;
    if (jparse_take_name(p, "if") && (n->b = jparse_expression(p, true)) == NULL) return NULL;
    n->flag = jparse_take_name(p, "recursive");
    if (!block_end(p) || (n->body = parse_body(p, ends)) == NULL) return NULL;
    if (jparse_take_name(p, "else"))
        return block_end(p) && (n->c = parse_closed(p, "endfor")) != NULL ? n : NULL;
    p->at++;
    return block_end(p) ? n : NULL;
}

static struct jnode *parse_break(struct jparser *p) {
    return block_end(p) ? jnode_new(p, JN_BREAK) : NULL;
}

static struct jnode *parse_continue(struct jparser *p) {
    return block_end(p) ? jnode_new(p, JN_CONTINUE) : NULL;
}

/* ---- assignments and blocks ---- */

static struct jnode *captured_through(struct jparser *p, bool first_bare) {
    struct jnode *text = jnode_new(p, JN_CAPTURED);
    return text == NULL ? NULL : jparse_filters(p, text, first_bare);
}

static struct jnode *parse_set(struct jparser *p) {
    struct jnode *n = jnode_new(p, JN_SET);
    if (n == NULL || (n->a = jparse_target(p, true)) == NULL) return NULL;
    if (jparse_take_op(p, "="))
        return (n->b = jparse_tuple(p, true)) != NULL && block_end(p) ? n : NULL;
    n->kind = JN_SET_BLOCK;
    if ((n->b = captured_through(p, false)) == NULL || !block_end(p)) return NULL;
    return (n->body = parse_closed(p, "endset")) != NULL ? n : NULL;
}

static struct jnode *parse_filter_block(struct jparser *p) {
    struct jnode *n = jnode_new(p, JN_FILTER_BLOCK);
    if (n == NULL || (n->a = captured_through(p, true)) == NULL || !block_end(p)) return NULL;
    return (n->body = parse_closed(p, "endfilter")) != NULL ? n : NULL;
}

static struct jnode *parse_with(struct jparser *p) {
    struct jnode *n = jnode_new(p, JN_WITH);
    struct jlist_builder b = {0};
    if (n == NULL) return NULL;
    while (p->at->kind != JT_BLOCK_END) {
        if (b.n > 0 && !jparse_expect_op(p, ",")) return NULL;
        if (!jbuilder_add(p, &b, jparse_target(p, false)) || !jparse_expect_op(p, "=") ||
            !jbuilder_add(p, &b, jparse_expression(p, true)))
            return NULL;
    }
    n->list = b.at;
    n->n = (uint32_t)b.n;
    return block_end(p) && (n->body = parse_closed(p, "endwith")) != NULL ? n : NULL;
}

static struct jnode *parse_generation(struct jparser *p) {
    return block_end(p) ? parse_closed(p, "endgeneration") : NULL;
}

static struct jnode *parse_block(struct jparser *p) {
    if (p->at->kind != JT_NAME) return jparse_fail(p, "expected the name of the block");
    p->at++;
    return block_end(p) ? parse_closed(p, "endblock") : NULL;
}

/* ---- macros ---- */

/* "(a, b=1)" -> params; the parenthesis is already taken. */
static struct jparams *parse_params(struct jparser *p) {
    enum { MAX_PARAMS = 64 };
    struct jparams *out = arena_zalloc(&p->t->arena, 1, sizeof *out);
    if (out != NULL) {
        out->id = arena_zalloc(&p->t->arena, MAX_PARAMS, sizeof *out->id);
        out->name = arena_zalloc(&p->t->arena, MAX_PARAMS, sizeof *out->name);
        out->fallback = arena_zalloc(&p->t->arena, MAX_PARAMS, sizeof(*out->fallback));
    }
    if (out == NULL || out->id == NULL || out->name == NULL || out->fallback == NULL)
        return jparse_no_memory(p), NULL;
    while (!jparse_is_op(p, ")")) {
        if (out->n > 0 && !jparse_expect_op(p, ",")) return NULL;
        if (p->at->kind != JT_NAME || out->n == MAX_PARAMS)
            return jparse_fail(p, "expected the name of a parameter"), NULL;
        out->name[out->n] = p->at->s;
        out->id[out->n] = jparse_name_id(p, p->at->s);
        p->at++;
        if (jparse_take_op(p, "=") && (out->fallback[out->n] = jparse_expression(p, true)) == NULL)
            return NULL;
        out->n++;
    }
    p->at++;
    return out;
}

static bool uses_name(const struct jtoken *from, const struct jtoken *to, const char *name) {
    for (; from < to; from++)
        if (from->kind == JT_NAME && jtext_is(from->s, name)) return true;
    return false;
}

static struct jnode *finish_macro(struct jparser *p, struct jnode *n, struct jparams *params,
                                  const char *end) {
    struct jmacro *m = arena_zalloc(&p->t->arena, 1, sizeof *m);
    const struct jtoken *from = p->at;
    if (m == NULL || params == NULL || !block_end(p)) return NULL;
    m->name = n->text;
    m->params = params;
    if ((m->body = parse_closed(p, end)) == NULL) return NULL;
    m->uses_varargs = uses_name(from, p->at, "varargs");
    m->uses_kwargs = uses_name(from, p->at, "kwargs");
    n->value = (struct jv){.kind = J_MACRO, .macro = m};
    return n;
}

static struct jnode *parse_macro(struct jparser *p) {
    struct jnode *n = jnode_new(p, JN_MACRO);
    if (n == NULL) return NULL;
    if (p->at->kind != JT_NAME) return jparse_fail(p, "expected the name of the macro");
    n->text = p->at->s;
    n->id = jparse_name_id(p, n->text);
    p->at++;
    return jparse_expect_op(p, "(") ? finish_macro(p, n, parse_params(p), "endmacro") : NULL;
}

static struct jnode *parse_call(struct jparser *p) {
    static struct jparams none;
    struct jnode *n = jnode_new(p, JN_CALL_BLOCK), *m = jnode_new(p, JN_MACRO);
    struct jparams *params = &none;
    if (n == NULL || m == NULL) return NULL;
    m->text = (struct jtext){"caller", 6};
    if (jparse_take_op(p, "(") && (params = parse_params(p)) == NULL) return NULL;
    if ((n->a = jparse_expression(p, true)) == NULL) return NULL;
    if (n->a->kind != JN_CALL) return jparse_fail(p, "expected call");
    n->b = finish_macro(p, m, params, "endcall");
    return n->b == NULL ? NULL : n;
}

/* ---- all of it ---- */

static const struct {
    const char *name;
    struct jnode *(*parse)(struct jparser *p);
} statements[] = {
    {"if", parse_if},       {"for", parse_for},
    {"set", parse_set},     {"macro", parse_macro},
    {"break", parse_break}, {"continue", parse_continue},
    {"call", parse_call},   {"filter", parse_filter_block},
    {"with", parse_with},   {"generation", parse_generation},
    {"block", parse_block},
};

static struct jnode *parse_statement(struct jparser *p) {
    struct jtext name = p->at->s;
    for (size_t i = 0; i < sizeof statements / sizeof *statements; i++) {
        if (p->at->kind != JT_NAME || !jtext_is(name, statements[i].name)) continue;
        if (!enter(p)) return NULL;
        p->at++;
        struct jnode *n = statements[i].parse(p);
        p->depth--;
        return n;
    }
    return jparse_fail(p, "Encountered unknown tag '%.*s'.", (int)(name.n < 40 ? name.n : 40),
                       name.p);
}

static bool at_end_tag(const struct jparser *p, const char *const *end) {
    for (; end != NULL && *end != NULL; end++)
        if (jparse_is_name(p, *end)) return true;
    return false;
}

static struct jnode *parse_print(struct jparser *p) {
    struct jnode *n = jnode_new(p, JN_PRINT);
    if (n == NULL || (n->a = jparse_tuple(p, true)) == NULL) return NULL;
    if (p->at->kind != JT_PRINT_END)
        return jparse_fail(p, "expected end of print statement, got '%.*s'",
                           (int)(p->at->s.n < 40 ? p->at->s.n : 40), p->at->s.p);
    p->at++;
    return n;
}

/* Statements up to an end tag, whose name is then the next token; NULL end: to the end. */
static struct jnode *parse_body(struct jparser *p, const char *const *end) {
    struct jlist_builder b = {0};
    struct jnode *body = jnode_new(p, JN_BODY);
    while (body != NULL && !p->failed) {
        struct jnode *n = NULL;
        if (p->at->kind == JT_EOF) {
            if (end != NULL)
                return jparse_fail(p, "unexpected end of template, looking for '%s'", *end);
            break;
        }
        if (p->at->kind == JT_DATA) {
            if ((n = jnode_new(p, JN_TEXT)) != NULL) n->text = p->at->s;
            p->at++;
        } else if (p->at->kind == JT_PRINT_BEGIN) {
            p->at++;
            n = parse_print(p);
        } else {
            p->at++; /* a block begins */
            if (at_end_tag(p, end)) break;
            n = parse_statement(p);
        }
        if (!jbuilder_add(p, &b, n)) return NULL;
    }
    if (body == NULL || p->failed) return NULL;
    body->list = b.at;
    body->n = (uint32_t)b.n;
    return body;
}

struct jnode *jparse_template(struct jparser *p) { return parse_body(p, NULL); }
