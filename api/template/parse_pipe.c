/* parse_pipe.c - what stands inside of an action: operands, commands, pipelines. */
#include <string.h>

#include "api/template/parser.h"

enum { MAX_PATH = 64 };

/* ---- operands ---- */

static void number(struct parser *p, struct text s, struct expr *x) {
    bool overflow = false;
    const char *wrong = tliteral_number(s, &x->constant, &overflow);
    x->kind = overflow ? X_OVERFLOW : X_CONST;
    if (wrong != NULL) tparse_fail(p, "%s: %s", wrong, tparse_quote(s).s);
}

void tparse_string(struct parser *p, const struct token *tok, struct expr *x) {
    x->kind = X_CONST;
    x->constant.kind = V_STRING;
    x->constant.s = (struct text){tok->s.p + 1, tok->s.n - 2};
    if (tok->kind == T_RAW || memchr(tok->s.p, '\\', tok->s.n) == NULL) return;
    char *to = tparse_alloc(p, tok->s.n, 1);
    x->constant.s.p = to;
    if (to != NULL && !tliteral_string(tok->s, to, &x->constant.s.n))
        tparse_fail(p, "invalid syntax");
}

static void char_constant(struct parser *p, const struct token *tok, struct expr *x) {
    int64_t cp;
    x->kind = X_CONST;
    if (!tliteral_char(tok->s, &cp))
        tparse_fail(p, "malformed character constant: %.*s", (int)tok->s.n, tok->s.p);
    else
        x->constant = tvalue_int(cp);
}

static void function(struct parser *p, const struct token *tok, struct expr *x) {
    x->kind = X_FUNCTION;
    x->func = tfunc_find(tok->s);
    if (x->func == NULL) tparse_fail(p, "function %s not defined", tparse_quote(tok->s).s);
}

static void variable(struct parser *p, const struct token *tok, struct expr *x) {
    x->kind = X_VARIABLE;
    x->name = tok->s;
    if (!tparse_declared(p, tok->s))
        tparse_fail(p, "undefined variable %s", tparse_quote(tok->s).s);
}

void tparse_field(struct parser *p, const struct token *tok, struct expr *x) {
    struct text *path = tparse_alloc(p, 1, sizeof *path);
    if (path == NULL) return;
    *path = (struct text){tok->s.p + 1, tok->s.n - 1};
    x->kind = X_FIELD;
    x->path = path;
    x->n_path = 1;
}

static void parenthesized(struct parser *p, struct expr *x) {
    x->kind = X_PIPE;
    x->pipe = tparse_pipe(p, "parenthesized pipeline", T_RPAREN);
}

static bool starts_operand(enum token_kind kind) {
    return kind == T_LPAREN || (kind >= T_BOOL && kind < T_KEYWORD);
}

/* One term; NULL without an error if there is none. */
static struct expr *term(struct parser *p) {
    const struct token *tok = tparse_peek_solid(p);
    struct expr *x = starts_operand(tok->kind) ? tparse_alloc(p, 1, sizeof *x) : NULL;
    if (x == NULL) return NULL;
    tparse_next(p);
    switch (tok->kind) {
    case T_IDENT:
        function(p, tok, x);
        break;
    case T_DOT:
        x->kind = X_DOT;
        break;
    case T_NIL:
        x->kind = X_NIL;
        break;
    case T_VARIABLE:
        variable(p, tok, x);
        break;
    case T_FIELD:
        tparse_field(p, tok, x);
        break;
    case T_BOOL:
        x->constant = tvalue_bool(ttext_is(tok->s, "true"));
        break;
    case T_NUMBER:
        number(p, tok->s, x);
        break;
    case T_CHARCONST:
        char_constant(p, tok, x);
        break;
    case T_LPAREN:
        parenthesized(p, x);
        break;
    default:
        tparse_string(p, tok, x);
        break;
    }
    x->span = (struct span){tparse_source(p, tok->s.p), tok->s.p};
    return p->status == ST_OK ? x : NULL;
}

/* The fields behind a term: .A.B */
static void chain(struct parser *p, struct expr *x) {
    struct text path[MAX_PATH];
    size_t n = x->n_path;
    const char *at = tparse_peek(p)->s.p;
    if (n != 0) path[0] = x->path[0];
    while (tparse_peek(p)->kind == T_FIELD) {
        const struct token *tok = tparse_next(p);
        if (n == MAX_PATH) {
            tparse_fail(p, "field chain of more than %d names", MAX_PATH);
            return;
        }
        path[n++] = (struct text){tok->s.p + 1, tok->s.n - 1};
    }
    struct text *copy = tparse_alloc(p, n, sizeof *copy);
    if (copy == NULL) return;
    memcpy(copy, path, n * sizeof *copy);
    x->path = copy;
    x->n_path = n;
    x->span = (struct span){tparse_source(p, x->span.src.p), at};
}

static struct expr *operand(struct parser *p) {
    struct expr *x = term(p);
    if (x == NULL || tparse_peek(p)->kind != T_FIELD) return x;
    if (x->kind == X_CONST || x->kind == X_OVERFLOW || x->kind == X_NIL || x->kind == X_DOT) {
        tparse_fail(p, "unexpected . after term %s", tparse_quote(x->span.src).s);
        return NULL;
    }
    if (x->kind == X_FUNCTION || x->kind == X_PIPE) {
        struct expr *base = x;
        x = tparse_alloc(p, 1, sizeof *x);
        if (x == NULL) return NULL;
        *x = (struct expr){.kind = X_CHAIN, .base = base, .span = base->span};
    }
    chain(p, x);
    return p->status == ST_OK ? x : NULL;
}

/* ---- pipelines ---- */

/* Appends the operands up to the end of the command, and eats a "|" behind it. */
static bool operands(struct parser *p, struct command *c) {
    struct expr **tail = &c->args;
    for (;;) {
        struct expr *x = operand(p);
        if (p->status != ST_OK) return false;
        if (x != NULL) {
            *tail = x;
            tail = &x->next;
            c->n_args++;
        }
        const struct token *tok = tparse_peek(p);
        c->span.src = tparse_source(p, c->span.src.p);
        if (tok->kind == T_RIGHT || tok->kind == T_RPAREN) return true;
        tparse_next(p);
        if (tok->kind == T_PIPE) return true;
        if (tok->kind != T_SPACE) {
            tparse_unexpected(p, tok, "operand");
            return false;
        }
    }
}

static struct command *command(struct parser *p) {
    struct command *c = tparse_alloc(p, 1, sizeof *c);
    if (c == NULL) return NULL;
    c->span.src.p = c->span.at = tparse_peek_solid(p)->s.p;
    if (!operands(p, c)) return NULL;
    if (c->n_args == 0) {
        tparse_fail(p, "empty command");
        return NULL;
    }
    return c;
}

/* "$v :=", "$v =" or, for a range, "$i, $v :=". Nothing is eaten if it is no declaration. */
static bool declarations(struct parser *p, struct pipe *pipe, const char *context) {
    bool range = strcmp(context, "range") == 0;
    for (;;) {
        const struct token *name = tparse_peek_solid(p);
        if (name->kind != T_VARIABLE) return true;
        size_t back = p->at;
        tparse_next(p);
        const struct token *tok = tparse_peek_solid(p);
        bool comma = tok->kind == T_CHAR && ttext_is(tok->s, ",");
        if (tok->kind != T_DECLARE && tok->kind != T_ASSIGN && !comma) {
            p->at = back;
            return true;
        }
        tparse_next(p);
        if (pipe->n_decl < 2) pipe->decl[pipe->n_decl++] = name->s;
        tparse_declare(p, name->s);
        pipe->assign = tok->kind == T_ASSIGN;
        if (!comma) return p->status == ST_OK;
        if (!range || pipe->n_decl == 2) {
            tparse_fail(p, "too many declarations in %s", context);
            return false;
        }
        enum token_kind after = tparse_peek_solid(p)->kind;
        if (after == T_VARIABLE) continue;
        if (after == T_RIGHT || after == T_RPAREN) return true;
        tparse_fail(p, "range can only initialize variables");
        return false;
    }
}

static bool commands(struct parser *p, struct pipe *pipe, const char *context,
                     enum token_kind end) {
    struct command **tail = &pipe->commands;
    for (;;) {
        const struct token *tok = tparse_peek_solid(p);
        pipe->span.src = tparse_source(p, pipe->span.src.p);
        if (tok->kind == end) {
            tparse_next(p);
            return true;
        }
        if (!starts_operand(tok->kind)) {
            tparse_unexpected(p, tok, context);
            return false;
        }
        struct command *c = command(p);
        if (c == NULL) return false;
        *tail = c;
        tail = &c->next;
    }
}

static void check_stages(struct parser *p, const struct pipe *pipe, const char *context) {
    if (pipe->commands == NULL) {
        tparse_fail(p, "missing value for %s", context);
        return;
    }
    unsigned stage = 2;
    for (const struct command *c = pipe->commands->next; c != NULL; c = c->next, stage++) {
        enum expr_kind kind = c->args->kind;
        if (kind == X_CONST || kind == X_OVERFLOW || kind == X_NIL || kind == X_DOT)
            tparse_fail(p, "non executable command in pipeline stage %u", stage);
    }
}

struct pipe *tparse_pipe(struct parser *p, const char *context, enum token_kind end) {
    struct pipe *pipe = tparse_enter(p) ? tparse_alloc(p, 1, sizeof *pipe) : NULL;
    if (pipe == NULL) return NULL;
    pipe->span.src.p = pipe->span.at = tparse_peek_solid(p)->s.p;
    if (declarations(p, pipe, context) && commands(p, pipe, context, end))
        check_stages(p, pipe, context);
    p->nesting--;
    return p->status == ST_OK ? pipe : NULL;
}
