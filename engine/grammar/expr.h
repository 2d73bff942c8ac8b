/* expr.h - an expression as GBNF and regular expressions have in common: parsed first, since a
 * repetition writes its operand several times. Everything lies in the rules' scratch arena. */
#ifndef CRIA_ENGINE_GRAMMAR_EXPR_H
#define CRIA_ENGINE_GRAMMAR_EXPR_H

#include "engine/grammar/rules.h"

enum expr_kind {
    EXPR_SEQ,
    EXPR_ALT,
    EXPR_TEXT,
    EXPR_CHARS,
    EXPR_CALL,
    EXPR_TOKEN,
    EXPR_REPEAT,
    EXPR_BEGIN, /* ^ and $: regular expressions only (dfa_expr.c) */
    EXPR_FINISH
};

struct expr {
    enum expr_kind kind;
    struct expr *first, *last, *next; /* children; brother */
    const char *text;                 /* text, len bytes */
    size_t len;
    struct charset chars; /* ranges in the arena */
    uint32_t arg;         /* call: rule; token: id */
    bool negated;         /* token */
    uint32_t min, max;    /* repeat; REPEAT_ENDLESS */
};

/* NULL: no memory, remembered in r. Children are added in order. */
struct expr *expr_new(struct rules *r, enum expr_kind kind);
void expr_add(struct expr *parent, struct expr *child);
struct expr *expr_chars(struct rules *r, const struct charset *set); /* copies the ranges */
struct expr *expr_char(struct rules *r, uint32_t c);
struct expr *expr_repeat(struct rules *r, struct expr *child, uint32_t min, uint32_t max);

/* Writes the expression between two nodes. Depth was bounded by the parser. */
void expr_emit(struct rules *r, const struct expr *x, uint32_t from, uint32_t to);

#endif
