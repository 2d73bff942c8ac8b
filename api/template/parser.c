/* parser.c - what both halves of the parser stand on: its errors, its tokens, the variables in
 * scope (see parser.h). */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "api/template/parser.h"
#include "base/mem.h"
#include "base/utf8.h"

/* ---- errors ---- */

void tparse_fail(struct parser *p, const char *fmt, ...) {
    if (p->status != ST_OK) return;
    char message[ERR_MSG_SIZE];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(message, sizeof message, fmt, ap);
    va_end(ap);
    unsigned line = p->tok[p->seen].line;
    p->status = err_set(p->e, ST_FORMAT, "template: :%u: %s", line, message);
}

void *tparse_alloc(struct parser *p, size_t n, size_t size) {
    void *mem = arena_zalloc(&p->t->arena, n, size);
    if (mem == NULL) p->status = err_no_memory(p->e);
    return mem;
}

bool tparse_enter(struct parser *p) {
    if (++p->nesting <= TEMPLATE_MAX_NESTING) return true;
    if (p->status == ST_OK)
        p->status =
            err_set(p->e, ST_LIMIT, "template is nested more than %d deep", TEMPLATE_MAX_NESTING);
    return false;
}

struct tquoted tparse_quote(struct text s) {
    struct tquoted q;
    struct buf b = {0};
    tliteral_quote(&b, s, false);
    snprintf(q.s, sizeof q.s, "%s", b.failed ? "\"\"" : b.data);
    buf_free(&b);
    return q;
}

/* Bytes of the first n characters. */
static size_t char_bytes(struct text s, size_t n) {
    size_t i = 0;
    for (uint32_t cp; n > 0 && i < s.n; n--) i += utf8_decode(s.p + i, s.n - i, &cp);
    return i;
}

/* A token as messages show it: keywords in <>, long ones cut after ten characters. */
static struct tquoted show(const struct token *tok) {
    enum { SHOWN = 10 };
    struct tquoted q;
    if (tok->kind == T_EOF) {
        snprintf(q.s, sizeof q.s, "EOF");
    } else if (tok->kind == T_ERROR) {
        snprintf(q.s, sizeof q.s, "%.*s", (int)tok->s.n, tok->s.p);
    } else if (tok->kind > T_KEYWORD) {
        snprintf(q.s, sizeof q.s, "<%.*s>", (int)tok->s.n, tok->s.p);
    } else if (tok->s.n > SHOWN) {
        q = tparse_quote((struct text){tok->s.p, char_bytes(tok->s, SHOWN)});
        strcat(q.s, "..."); /* ten quoted characters are at most 102 bytes */
    } else {
        q = tparse_quote(tok->s);
    }
    return q;
}

void tparse_unexpected(struct parser *p, const struct token *tok, const char *context) {
    if (tok->kind != T_ERROR) {
        tparse_fail(p, "unexpected %s in %s", show(tok).s, context);
        return;
    }
    const char *where = "";
    bool elsewhere = p->action_line != 0 && p->action_line != tok->line;
    if (elsewhere)
        where = ttext_is(tok->s, "unclosed action") ? " started at :" : " in action started at :";
    if (elsewhere)
        tparse_fail(p, "%s%s%u", show(tok).s, where, (unsigned)p->action_line);
    else
        tparse_fail(p, "%s", show(tok).s);
}

/* ---- token stream ---- */

static const struct token *look(struct parser *p, size_t at) {
    if (at > p->seen) p->seen = at;
    return &p->tok[at];
}
const struct token *tparse_peek(struct parser *p) { return look(p, p->at); }

const struct token *tparse_next(struct parser *p) {
    const struct token *tok = tparse_peek(p);
    if (tok->kind != T_EOF && tok->kind != T_ERROR) p->at++;
    return tok;
}
static void skip_space(struct parser *p) {
    if (tparse_peek(p)->kind == T_SPACE) p->at++;
}
const struct token *tparse_peek_solid(struct parser *p) {
    skip_space(p);
    return tparse_peek(p);
}
const struct token *tparse_next_solid(struct parser *p) {
    skip_space(p);
    return tparse_next(p);
}
bool tparse_expect(struct parser *p, enum token_kind kind, const char *context) {
    const struct token *tok = tparse_next_solid(p);
    if (tok->kind == kind) return true;
    tparse_unexpected(p, tok, context);
    return false;
}

struct text tparse_source(const struct parser *p, const char *start) {
    size_t i = p->at;
    while (i > 0 && p->tok[i - 1].kind == T_SPACE) i--;
    const char *end = i > 0 ? p->tok[i - 1].s.p + p->tok[i - 1].s.n : start;
    return (struct text){start, end > start ? (size_t)(end - start) : 0};
}

/* ---- variables in scope ---- */

void tparse_declare(struct parser *p, struct text name) {
    if (p->n_vars == p->cap_vars) {
        size_t cap = p->cap_vars != 0 ? 2 * p->cap_vars : 16;
        struct text *vars = mem_grow(p->vars, cap, sizeof *vars);
        if (vars == NULL) {
            p->status = err_no_memory(p->e);
            return;
        }
        p->vars = vars;
        p->cap_vars = cap;
    }
    p->vars[p->n_vars++] = name;
}

bool tparse_declared(const struct parser *p, struct text name) {
    for (size_t i = p->n_vars; i-- > 0;)
        if (ttext_equal(p->vars[i], name)) return true;
    return false;
}
