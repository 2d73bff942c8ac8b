/* parser.h - what the files of the parser share: parse.c (structures), parse_pipe.c (pipelines),
 * parser.c (the rest). Nobody else includes it.
 *
 * A recursive descent with one function per rule of the grammar. The first error sticks in
 * p->status; a function that failed returns NULL (or false) and everybody returns at once. The line
 * of a message is that of the farthest token looked at, as in the reference. */
#ifndef CRIA_API_TEMPLATE_PARSER_H
#define CRIA_API_TEMPLATE_PARSER_H

#include "api/template/template_impl.h"

struct parser {
    struct template *t;
    const struct token *tok;
    size_t at, seen;      /* next token; farthest one looked at */
    uint32_t action_line; /* where the open action began; 0 outside */
    unsigned nesting, ranges;
    struct text *vars; /* names in scope, innermost last; owned */
    size_t n_vars, cap_vars;
    enum status status;
    struct err *e;
};

/* ---- errors and memory ---- */

void tparse_fail(struct parser *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void tparse_unexpected(struct parser *p, const struct token *tok, const char *context);
void *tparse_alloc(struct parser *p, size_t n, size_t size); /* of the template's life, zeroed */
bool tparse_enter(struct parser *p); /* one level deeper; false: too deep. p->nesting-- leaves */
/* A piece of source as Go's %q shows it, for messages; cut to fit. */
struct tquoted {
    char s[128];
};
struct tquoted tparse_quote(struct text s);

/* ---- tokens ---- */

const struct token *tparse_peek(struct parser *p);
const struct token *tparse_next(struct parser *p); /* never passes the last one (end or error) */
const struct token *tparse_peek_solid(struct parser *p); /* behind white space */
const struct token *tparse_next_solid(struct parser *p);
bool tparse_expect(struct parser *p, enum token_kind kind, const char *context);
/* The source from a place to the end of what was eaten, trailing white space excluded. */
struct text tparse_source(const struct parser *p, const char *start);

/* ---- variables in scope ---- */

void tparse_declare(struct parser *p, struct text name);
bool tparse_declared(const struct parser *p, struct text name);

/* ---- parse_pipe.c ---- */

struct pipe *tparse_pipe(struct parser *p, const char *context, enum token_kind end);
void tparse_string(struct parser *p, const struct token *tok, struct expr *x);
void tparse_field(struct parser *p, const struct token *tok, struct expr *x);

#endif
