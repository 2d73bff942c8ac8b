/* expr.c - see expr.h. */
#include "engine/grammar/expr.h"

#include <assert.h>
#include <string.h>

enum { INLINE_REPEAT = 256 }; /* characters repeated in place; everything else by calls */

struct expr *expr_new(struct rules *r, enum expr_kind kind) {
    struct expr *x = r->st == ST_OK ? arena_zalloc(&r->scratch, 1, sizeof *x) : NULL;
    if (x == NULL && r->st == ST_OK) r->st = err_no_memory(r->e);
    if (x != NULL) x->kind = kind;
    return x;
}

void expr_add(struct expr *parent, struct expr *child) {
    if (parent == NULL || child == NULL) return;
    if (parent->last != NULL)
        parent->last->next = child;
    else
        parent->first = child;
    parent->last = child;
}

struct expr *expr_chars(struct rules *r, const struct charset *set) {
    struct expr *x = expr_new(r, EXPR_CHARS);
    if (x == NULL) return NULL;
    x->chars.range = arena_alloc(&r->scratch, set->n * sizeof *set->range);
    if (x->chars.range == NULL) {
        r->st = err_no_memory(r->e);
        return NULL;
    }
    if (set->n > 0) memcpy(x->chars.range, set->range, set->n * sizeof *set->range);
    x->chars.n = set->n;
    return x;
}

struct expr *expr_char(struct rules *r, uint32_t c) {
    struct char_range one = {c, c};
    return expr_chars(r, &(struct charset){.range = &one, .n = 1});
}

struct expr *expr_repeat(struct rules *r, struct expr *child, uint32_t min, uint32_t max) {
    if (child != NULL && child->kind == EXPR_REPEAT && child->min <= 1 && min <= 1 && max > 0 &&
        (child->max == REPEAT_ENDLESS || (child->max == 1 && max == 1))) {
        child->min = child->min < min ? child->min : min; /* (x+)* is x*, (x?)? is x? */
        return child;
    }
    struct expr *x = expr_new(r, EXPR_REPEAT);
    if (x == NULL) return NULL;
    expr_add(x, child);
    x->min = min;
    x->max = max;
    return x;
}

/* x* and x+: one copy of x, in a circle. */
static void emit_loop(struct rules *r, const struct expr *x, uint32_t from, uint32_t to) {
    uint32_t before = rules_node(r), behind = rules_node(r);
    rules_empty(r, from, before);
    expr_emit(r, x->first, before, behind);
    rules_empty(r, behind, before);
    rules_empty(r, behind, to);
    if (x->min == 0) rules_empty(r, before, to);
}

static void emit_in_place(struct rules *r, const struct expr *x, uint32_t from, uint32_t to) {
    for (uint32_t i = 0; i < x->max && r->st == ST_OK; i++) {
        uint32_t next = rules_node(r);
        if (i >= x->min) rules_empty(r, from, to);
        expr_emit(r, x->first, from, next);
        from = next;
    }
    rules_empty(r, from, to);
}

static void emit_repeat(struct rules *r, const struct expr *x, uint32_t from, uint32_t to) {
    const struct expr *what = x->first;
    if (what == NULL || x->max == 0) {
        rules_empty(r, from, to);
    } else if (x->max == REPEAT_ENDLESS && x->min <= 1) {
        emit_loop(r, x, from, to);
    } else if (x->max == 1 ||
               (what->kind == EXPR_CHARS && what->chars.n <= 4 && x->max <= INLINE_REPEAT)) {
        emit_in_place(r, x, from, to);
    } else if (what->kind == EXPR_CALL) {
        rules_repeat(r, from, to, what->arg, x->min, x->max);
    } else {
        uint32_t rule = rules_rule(r, NULL, 0);
        rules_define(r, rule);
        if (r->st != ST_OK) return;
        expr_emit(r, what, r->rule[rule].start, r->rule[rule].end);
        rules_repeat(r, from, to, rule, x->min, x->max);
    }
}

static void emit_seq(struct rules *r, const struct expr *x, uint32_t from, uint32_t to) {
    for (const struct expr *i = x->first; i != NULL && r->st == ST_OK; i = i->next) {
        uint32_t next = i->next != NULL ? rules_node(r) : to;
        expr_emit(r, i, from, next);
        from = next;
    }
    if (x->first == NULL) rules_empty(r, from, to);
}

void expr_emit(struct rules *r, const struct expr *x, uint32_t from, uint32_t to) {
    if (r->st != ST_OK || x == NULL) return;
    switch (x->kind) {
    case EXPR_SEQ:
        emit_seq(r, x, from, to);
        break;
    case EXPR_ALT:
        for (const struct expr *i = x->first; i != NULL; i = i->next) expr_emit(r, i, from, to);
        break;
    case EXPR_TEXT:
        rules_text(r, from, to, x->text, x->len);
        break;
    case EXPR_CHARS:
        rules_chars(r, from, to, &x->chars);
        break;
    case EXPR_CALL:
        rules_call(r, from, to, x->arg);
        break;
    case EXPR_TOKEN:
        rules_token(r, from, to, x->arg, x->negated);
        break;
    case EXPR_REPEAT:
        emit_repeat(r, x, from, to);
        break;
    case EXPR_BEGIN:
    case EXPR_FINISH:
        assert(false && "anchors are for dfa_of_expr");
    }
}
