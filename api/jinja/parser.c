/* parser.c - what statements (parse.c) and expressions (parse_expr.c) stand on: the parser's
 * errors, nodes, names and tokens. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "api/jinja/jinja_impl.h"
#include "base/mem.h"

/* ---- errors ---- */

struct jnode *jparse_fail(struct jparser *p, const char *fmt, ...) {
    char text[ERR_MSG_SIZE];
    va_list args;
    if (p->failed) return NULL;
    p->failed = true;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    err_set(p->e, ST_FORMAT, "line %u: %s", p->at->line, text);
    return NULL;
}

struct jnode *jparse_no_memory(struct jparser *p) {
    p->failed = true;
    err_no_memory(p->e);
    return NULL;
}

/* ---- nodes and names ---- */

struct jnode *jnode_new(struct jparser *p, enum jnode_kind kind) {
    struct jnode *n = arena_zalloc(&p->t->arena, 1, sizeof *n);
    if (n == NULL) return jparse_no_memory(p);
    n->kind = (uint8_t)kind;
    n->line = p->at->line;
    n->method = -1;
    return n;
}

uint32_t jparse_name_id(struct jparser *p, struct jtext name) {
    struct jinja *t = p->t;
    bool fresh = false;
    uint32_t id = 0;
    if (map_get(&t->names, name.p, name.n, &id)) return id;
    if (t->n_names == t->cap_names) {
        uint32_t cap = t->cap_names == 0 ? 64 : t->cap_names * 2;
        struct jtext *grown = mem_grow(t->name, cap, sizeof *grown);
        if (grown == NULL) return jparse_no_memory(p), 0;
        t->name = grown;
        t->cap_names = cap;
    }
    if (!map_put(&t->names, name.p, name.n, t->n_names, &fresh)) return jparse_no_memory(p), 0;
    t->name[t->n_names] = name;
    return t->n_names++;
}

bool jbuilder_add(struct jparser *p, struct jlist_builder *b, struct jnode *node) {
    if (node == NULL) return false;
    if (b->n == b->cap) {
        size_t cap = b->cap == 0 ? 4 : b->cap * 2;
        struct jnode **grown = arena_zalloc(&p->t->arena, cap, sizeof *grown);
        if (grown == NULL) return jparse_no_memory(p), false;
        if (b->n > 0) memcpy(grown, b->at, b->n * sizeof *grown);
        b->at = grown;
        b->cap = cap;
    }
    b->at[b->n++] = node;
    return true;
}

/* ---- tokens ---- */

bool jparse_is_op(const struct jparser *p, const char *op) {
    return p->at->kind == JT_OP && jtext_is(p->at->s, op);
}

bool jparse_is_name(const struct jparser *p, const char *name) {
    return p->at->kind == JT_NAME && jtext_is(p->at->s, name);
}

bool jparse_take_op(struct jparser *p, const char *op) {
    if (!jparse_is_op(p, op)) return false;
    p->at++;
    return true;
}

bool jparse_take_name(struct jparser *p, const char *name) {
    if (!jparse_is_name(p, name)) return false;
    p->at++;
    return true;
}

bool jparse_expect_op(struct jparser *p, const char *op) {
    if (jparse_take_op(p, op)) return true;
    jparse_fail(p, "expected '%s', got '%.*s'", op, (int)(p->at->s.n < 40 ? p->at->s.n : 40),
                p->at->s.p);
    return false;
}
