/* parse.c - tokens to tree (spec/templates.md 3.2, errors 3.5).
 *
 * A recursive descent with one function per rule of the grammar. The first error sticks in
 * p->status; a function that failed returns NULL (or false) and everybody returns at once. The line
 * of a message is that of the farthest token looked at, as in the reference. */
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "api/template/template_impl.h"
#include "base/mem.h"
#include "base/utf8.h"

enum { MAX_PATH = 64 };

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

/* ---- errors ---- */

static void fail(struct parser *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void fail(struct parser *p, const char *fmt, ...) {
    if (p->status != ST_OK) return;
    char message[ERR_MSG_SIZE];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(message, sizeof message, fmt, ap);
    va_end(ap);
    unsigned line = p->tok[p->seen].line;
    p->status = err_set(p->e, ST_FORMAT, "template: :%u: %s", line, message);
}

static void *alloc(struct parser *p, size_t n, size_t size) {
    void *mem = arena_zalloc(&p->t->arena, n, size);
    if (mem == NULL) p->status = err_no_memory(p->e);
    return mem;
}

static bool enter(struct parser *p) {
    if (++p->nesting <= TEMPLATE_MAX_NESTING) return true;
    if (p->status == ST_OK)
        p->status =
            err_set(p->e, ST_LIMIT, "template is nested more than %d deep", TEMPLATE_MAX_NESTING);
    return false;
}

/* A piece of source as Go's %q shows it, for messages; cut to fit. */
struct quoted {
    char s[128];
};
static struct quoted quote(struct text s) {
    struct quoted q;
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
static struct quoted show(const struct token *tok) {
    enum { SHOWN = 10 };
    struct quoted q;
    if (tok->kind == T_EOF) {
        snprintf(q.s, sizeof q.s, "EOF");
    } else if (tok->kind == T_ERROR) {
        snprintf(q.s, sizeof q.s, "%.*s", (int)tok->s.n, tok->s.p);
    } else if (tok->kind > T_KEYWORD) {
        snprintf(q.s, sizeof q.s, "<%.*s>", (int)tok->s.n, tok->s.p);
    } else if (tok->s.n > SHOWN) {
        q = quote((struct text){tok->s.p, char_bytes(tok->s, SHOWN)});
        strcat(q.s, "..."); /* ten quoted characters are at most 102 bytes */
    } else {
        q = quote(tok->s);
    }
    return q;
}

static void unexpected(struct parser *p, const struct token *tok, const char *context) {
    if (tok->kind != T_ERROR) {
        fail(p, "unexpected %s in %s", show(tok).s, context);
        return;
    }
    const char *where = "";
    bool elsewhere = p->action_line != 0 && p->action_line != tok->line;
    if (elsewhere)
        where = ttext_is(tok->s, "unclosed action") ? " started at :" : " in action started at :";
    if (elsewhere)
        fail(p, "%s%s%u", show(tok).s, where, (unsigned)p->action_line);
    else
        fail(p, "%s", show(tok).s);
}

/* ---- token stream ---- */

static const struct token *look(struct parser *p, size_t at) {
    if (at > p->seen) p->seen = at;
    return &p->tok[at];
}
static const struct token *peek(struct parser *p) { return look(p, p->at); }

/* The last token (end or error) is never passed. */
static const struct token *next(struct parser *p) {
    const struct token *tok = peek(p);
    if (tok->kind != T_EOF && tok->kind != T_ERROR) p->at++;
    return tok;
}
static void skip_space(struct parser *p) {
    if (peek(p)->kind == T_SPACE) p->at++;
}
static const struct token *peek_solid(struct parser *p) {
    skip_space(p);
    return peek(p);
}
static const struct token *next_solid(struct parser *p) {
    skip_space(p);
    return next(p);
}
static bool expect(struct parser *p, enum token_kind kind, const char *context) {
    const struct token *tok = next_solid(p);
    if (tok->kind == kind) return true;
    unexpected(p, tok, context);
    return false;
}

/* The source from a place to the end of what was eaten, trailing white space excluded. */
static struct text source_from(const struct parser *p, const char *start) {
    size_t i = p->at;
    while (i > 0 && p->tok[i - 1].kind == T_SPACE) i--;
    const char *end = i > 0 ? p->tok[i - 1].s.p + p->tok[i - 1].s.n : start;
    return (struct text){start, end > start ? (size_t)(end - start) : 0};
}

/* ---- variables in scope ---- */

static void declare(struct parser *p, struct text name) {
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

static bool declared(const struct parser *p, struct text name) {
    for (size_t i = p->n_vars; i-- > 0;)
        if (ttext_equal(p->vars[i], name)) return true;
    return false;
}

/* ---- operands ---- */

static struct pipe *parse_pipe(struct parser *p, const char *context, enum token_kind end);

static void number(struct parser *p, struct text s, struct expr *x) {
    bool overflow = false;
    const char *wrong = tliteral_number(s, &x->constant, &overflow);
    x->kind = overflow ? X_OVERFLOW : X_CONST;
    if (wrong != NULL) fail(p, "%s: %s", wrong, quote(s).s);
}

static void string_constant(struct parser *p, const struct token *tok, struct expr *x) {
    x->kind = X_CONST;
    x->constant.kind = V_STRING;
    x->constant.s = (struct text){tok->s.p + 1, tok->s.n - 2};
    if (tok->kind == T_RAW || memchr(tok->s.p, '\\', tok->s.n) == NULL) return;
    char *to = alloc(p, tok->s.n, 1);
    x->constant.s.p = to;
    if (to != NULL && !tliteral_string(tok->s, to, &x->constant.s.n)) fail(p, "invalid syntax");
}

static void char_constant(struct parser *p, const struct token *tok, struct expr *x) {
    int64_t cp;
    x->kind = X_CONST;
    if (!tliteral_char(tok->s, &cp))
        fail(p, "malformed character constant: %.*s", (int)tok->s.n, tok->s.p);
    else
        x->constant = tvalue_int(cp);
}

static void function(struct parser *p, const struct token *tok, struct expr *x) {
    x->kind = X_FUNCTION;
    x->func = tfunc_find(tok->s);
    if (x->func == NULL) fail(p, "function %s not defined", quote(tok->s).s);
}

static void variable(struct parser *p, const struct token *tok, struct expr *x) {
    x->kind = X_VARIABLE;
    x->name = tok->s;
    if (!declared(p, tok->s)) fail(p, "undefined variable %s", quote(tok->s).s);
}

static void field(struct parser *p, const struct token *tok, struct expr *x) {
    struct text *path = alloc(p, 1, sizeof *path);
    if (path == NULL) return;
    *path = (struct text){tok->s.p + 1, tok->s.n - 1};
    x->kind = X_FIELD;
    x->path = path;
    x->n_path = 1;
}

static void parenthesized(struct parser *p, struct expr *x) {
    x->kind = X_PIPE;
    x->pipe = parse_pipe(p, "parenthesized pipeline", T_RPAREN);
}

static bool starts_operand(enum token_kind kind) {
    return kind == T_LPAREN || (kind >= T_BOOL && kind < T_KEYWORD);
}

/* One term; NULL without an error if there is none. */
static struct expr *term(struct parser *p) {
    const struct token *tok = peek_solid(p);
    struct expr *x = starts_operand(tok->kind) ? alloc(p, 1, sizeof *x) : NULL;
    if (x == NULL) return NULL;
    next(p);
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
        field(p, tok, x);
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
        string_constant(p, tok, x);
        break;
    }
    x->span = (struct span){source_from(p, tok->s.p), tok->s.p};
    return p->status == ST_OK ? x : NULL;
}

/* The fields behind a term: .A.B */
static void chain(struct parser *p, struct expr *x) {
    struct text path[MAX_PATH];
    size_t n = x->n_path;
    const char *at = peek(p)->s.p;
    if (n != 0) path[0] = x->path[0];
    while (peek(p)->kind == T_FIELD) {
        const struct token *tok = next(p);
        if (n == MAX_PATH) {
            fail(p, "field chain of more than %d names", MAX_PATH);
            return;
        }
        path[n++] = (struct text){tok->s.p + 1, tok->s.n - 1};
    }
    struct text *copy = alloc(p, n, sizeof *copy);
    if (copy == NULL) return;
    memcpy(copy, path, n * sizeof *copy);
    x->path = copy;
    x->n_path = n;
    x->span = (struct span){source_from(p, x->span.src.p), at};
}

static struct expr *operand(struct parser *p) {
    struct expr *x = term(p);
    if (x == NULL || peek(p)->kind != T_FIELD) return x;
    if (x->kind == X_CONST || x->kind == X_OVERFLOW || x->kind == X_NIL || x->kind == X_DOT) {
        fail(p, "unexpected . after term %s", quote(x->span.src).s);
        return NULL;
    }
    if (x->kind == X_FUNCTION || x->kind == X_PIPE) {
        struct expr *base = x;
        x = alloc(p, 1, sizeof *x);
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
        const struct token *tok = peek(p);
        c->span.src = source_from(p, c->span.src.p);
        if (tok->kind == T_RIGHT || tok->kind == T_RPAREN) return true;
        next(p);
        if (tok->kind == T_PIPE) return true;
        if (tok->kind != T_SPACE) {
            unexpected(p, tok, "operand");
            return false;
        }
    }
}

static struct command *command(struct parser *p) {
    struct command *c = alloc(p, 1, sizeof *c);
    if (c == NULL) return NULL;
    c->span.src.p = c->span.at = peek_solid(p)->s.p;
    if (!operands(p, c)) return NULL;
    if (c->n_args == 0) {
        fail(p, "empty command");
        return NULL;
    }
    return c;
}

/* "$v :=", "$v =" or, for a range, "$i, $v :=". Nothing is eaten if it is no declaration. */
static bool declarations(struct parser *p, struct pipe *pipe, const char *context) {
    bool range = strcmp(context, "range") == 0;
    for (;;) {
        const struct token *name = peek_solid(p);
        if (name->kind != T_VARIABLE) return true;
        size_t back = p->at;
        next(p);
        const struct token *tok = peek_solid(p);
        bool comma = tok->kind == T_CHAR && ttext_is(tok->s, ",");
        if (tok->kind != T_DECLARE && tok->kind != T_ASSIGN && !comma) {
            p->at = back;
            return true;
        }
        next(p);
        if (pipe->n_decl < 2) pipe->decl[pipe->n_decl++] = name->s;
        declare(p, name->s);
        pipe->assign = tok->kind == T_ASSIGN;
        if (!comma) return p->status == ST_OK;
        if (!range || pipe->n_decl == 2) {
            fail(p, "too many declarations in %s", context);
            return false;
        }
        enum token_kind after = peek_solid(p)->kind;
        if (after == T_VARIABLE) continue;
        if (after == T_RIGHT || after == T_RPAREN) return true;
        fail(p, "range can only initialize variables");
        return false;
    }
}

static bool commands(struct parser *p, struct pipe *pipe, const char *context,
                     enum token_kind end) {
    struct command **tail = &pipe->commands;
    for (;;) {
        const struct token *tok = peek_solid(p);
        pipe->span.src = source_from(p, pipe->span.src.p);
        if (tok->kind == end) {
            next(p);
            return true;
        }
        if (!starts_operand(tok->kind)) {
            unexpected(p, tok, context);
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
        fail(p, "missing value for %s", context);
        return;
    }
    unsigned stage = 2;
    for (const struct command *c = pipe->commands->next; c != NULL; c = c->next, stage++) {
        enum expr_kind kind = c->args->kind;
        if (kind == X_CONST || kind == X_OVERFLOW || kind == X_NIL || kind == X_DOT)
            fail(p, "non executable command in pipeline stage %u", stage);
    }
}

static struct pipe *parse_pipe(struct parser *p, const char *context, enum token_kind end) {
    struct pipe *pipe = enter(p) ? alloc(p, 1, sizeof *pipe) : NULL;
    if (pipe == NULL) return NULL;
    pipe->span.src.p = pipe->span.at = peek_solid(p)->s.p;
    if (declarations(p, pipe, context) && commands(p, pipe, context, end))
        check_stages(p, pipe, context);
    p->nesting--;
    return p->status == ST_OK ? pipe : NULL;
}

/* ---- lists and control structures ---- */

/* What ended a list. */
enum stop { STOP_ERROR, STOP_EOF, STOP_END, STOP_ELSE };
static enum stop parse_list(struct parser *p, struct node_list *list, bool top);

static void append(struct node_list *list, struct node *n) {
    if (list->last != NULL)
        list->last->next = n;
    else
        list->first = n;
    list->last = n;
}

static struct node *new_node(struct parser *p, enum node_kind kind, struct text src) {
    struct node *n = alloc(p, 1, sizeof *n);
    if (n == NULL) return NULL;
    n->kind = kind;
    n->span = (struct span){src, src.p};
    return n;
}

static bool parse_control(struct parser *p, struct node_list *list, const struct token *word);

/* After {{ else of `n`: "else if" and "else with" open a structure that shares our {{ end }}. */
static bool parse_else(struct parser *p, struct node *n, enum token_kind word) {
    n->otherwise = alloc(p, 1, sizeof *n->otherwise);
    if (n->otherwise == NULL) return false;
    const struct token *tok = peek_solid(p);
    if (tok->kind == word && word != T_RANGE) {
        next(p);
        return parse_control(p, n->otherwise, tok);
    }
    if (tok->kind == T_IF || tok->kind == T_WITH) {
        unexpected(p, tok, "input");
        return false;
    }
    if (!expect(p, T_RIGHT, "else")) return false;
    p->action_line = 0;
    enum stop stop = parse_list(p, n->otherwise, false);
    if (stop == STOP_ELSE) fail(p, "expected end; found {{else}}");
    return stop == STOP_END;
}

static bool parse_control(struct parser *p, struct node_list *list, const struct token *word) {
    static const struct {
        const char *name;
        enum node_kind node;
    } kinds[] = {
        [T_IF] = {"if", N_IF},
        [T_RANGE] = {"range", N_RANGE},
        [T_WITH] = {"with", N_WITH},
    };
    struct node *n = enter(p) ? new_node(p, kinds[word->kind].node, word->s) : NULL;
    if (n == NULL) return false;
    size_t scope = p->n_vars;
    append(list, n);
    n->pipe = parse_pipe(p, kinds[word->kind].name, T_RIGHT);
    if (n->pipe == NULL) return false;
    p->action_line = 0;
    if (word->kind == T_RANGE) p->ranges++;
    enum stop stop = parse_list(p, &n->body, false);
    if (word->kind == T_RANGE) p->ranges--;
    bool ok = stop == STOP_END || (stop == STOP_ELSE && parse_else(p, n, word->kind));
    p->n_vars = scope;
    p->nesting--;
    return ok;
}

static bool parse_jump(struct parser *p, struct node_list *list, const struct token *word) {
    bool is_break = word->kind == T_BREAK;
    const char *name = is_break ? "{{break}}" : "{{continue}}";
    if (!expect(p, T_RIGHT, name)) return false;
    if (p->ranges == 0) {
        fail(p, "%s outside {{range}}", name);
        return false;
    }
    struct node *n = new_node(p, is_break ? N_BREAK : N_CONTINUE, word->s);
    if (n == NULL) return false;
    append(list, n);
    return true;
}

/* ---- templates inside templates ---- */

static bool template_name(struct parser *p, const char *context, struct text *name) {
    const struct token *tok = next_solid(p);
    struct expr x = {0};
    if (tok->kind != T_STRING && tok->kind != T_RAW) {
        unexpected(p, tok, context);
        return false;
    }
    string_constant(p, tok, &x);
    *name = x.constant.s;
    return p->status == ST_OK;
}

static bool is_blank(const struct node_list *list) {
    for (const struct node *n = list->first; n != NULL; n = n->next)
        if (n->kind != N_TEXT || ttext_trim(n->text).n != 0) return false;
    return true;
}

struct definition *template_definition(const struct template *t, struct text name) {
    struct definition *d = t->definitions;
    while (d != NULL && !ttext_equal(d->name, name)) d = d->next;
    return d;
}

/* A blank body never replaces one that is there; two that are not blank are an error. */
static bool define(struct parser *p, struct text name, const struct node_list *body) {
    struct definition *d = template_definition(p->t, name);
    if (d != NULL && is_blank(body)) return true;
    if (d != NULL && !is_blank(&d->body)) {
        fail(p, "template: multiple definition of template %s", quote(name).s);
        return false;
    }
    if (d == NULL) {
        d = alloc(p, 1, sizeof *d);
        if (d == NULL) return false;
        d->next = p->t->definitions;
        p->t->definitions = d;
    }
    d->name = name;
    d->body = *body;
    return true;
}

/* The body of define and block: its own variables, and no range around it. */
static bool parse_body(struct parser *p, struct text name, const char *context) {
    if (!enter(p)) return false;
    struct node_list body = {0};
    struct text *outer = p->vars;
    size_t n_vars = p->n_vars, cap_vars = p->cap_vars;
    unsigned ranges = p->ranges;
    p->vars = NULL;
    p->n_vars = p->cap_vars = p->ranges = 0;
    p->action_line = 0;
    declare(p, TEXT("$"));
    enum stop stop = p->status == ST_OK ? parse_list(p, &body, false) : STOP_ERROR;
    mem_free(p->vars);
    p->vars = outer;
    p->n_vars = n_vars;
    p->cap_vars = cap_vars;
    p->ranges = ranges;
    p->nesting--;
    if (stop == STOP_ELSE) fail(p, "unexpected {{else}} in %s", context);
    return stop == STOP_END && define(p, name, &body);
}

static bool parse_define(struct parser *p) {
    struct text name;
    return template_name(p, "define clause", &name) && expect(p, T_RIGHT, "define clause") &&
           parse_body(p, name, "define clause");
}

static bool parse_template(struct parser *p, struct node_list *list, const struct token *word) {
    struct node *n = new_node(p, N_TEMPLATE, word->s);
    if (n == NULL || !template_name(p, "template clause", &n->text)) return false;
    append(list, n);
    if (peek_solid(p)->kind == T_RIGHT) return next(p) != NULL;
    n->pipe = parse_pipe(p, "template clause", T_RIGHT);
    return n->pipe != NULL;
}

static bool parse_block(struct parser *p, struct node_list *list, const struct token *word) {
    struct node *n = new_node(p, N_TEMPLATE, word->s);
    if (n == NULL || !template_name(p, "block clause", &n->text)) return false;
    append(list, n);
    n->pipe = parse_pipe(p, "block clause", T_RIGHT);
    return n->pipe != NULL && parse_body(p, n->text, "block clause");
}

/* ---- actions ---- */

static bool parse_pipe_action(struct parser *p, struct node_list *list) {
    const char *start = peek_solid(p)->s.p;
    struct pipe *pipe = parse_pipe(p, "command", T_RIGHT);
    struct node *n = pipe != NULL ? new_node(p, N_ACTION, source_from(p, start)) : NULL;
    if (n == NULL) return false;
    n->pipe = pipe;
    append(list, n);
    return true;
}

/* After {{ ; everything but end, else and define. */
static bool parse_action(struct parser *p, struct node_list *list) {
    const struct token *tok = peek_solid(p);
    switch (tok->kind) {
    case T_IF:
    case T_RANGE:
    case T_WITH:
        return next(p) != NULL && parse_control(p, list, tok);
    case T_BREAK:
    case T_CONTINUE:
        return next(p) != NULL && parse_jump(p, list, tok);
    case T_TEMPLATE:
        return next(p) != NULL && parse_template(p, list, tok);
    case T_BLOCK:
        return next(p) != NULL && parse_block(p, list, tok);
    default:
        return parse_pipe_action(p, list);
    }
}

static enum stop parse_end(struct parser *p, bool top) {
    next(p);
    if (!expect(p, T_RIGHT, "end")) return STOP_ERROR;
    p->action_line = 0;
    if (top) fail(p, "unexpected {{end}}");
    return top ? STOP_ERROR : STOP_END;
}

static enum stop parse_list(struct parser *p, struct node_list *list, bool top) {
    for (;;) {
        const struct token *tok = next_solid(p);
        if (tok->kind == T_EOF) {
            if (!top) fail(p, "unexpected EOF");
            return top ? STOP_EOF : STOP_ERROR;
        }
        if (tok->kind == T_TEXT) {
            struct node *n = new_node(p, N_TEXT, tok->s);
            if (n == NULL) return STOP_ERROR;
            n->text = tok->s;
            append(list, n);
            continue;
        }
        if (tok->kind != T_LEFT) {
            unexpected(p, tok, "input");
            return STOP_ERROR;
        }
        p->action_line = tok->line;
        enum token_kind word = peek_solid(p)->kind;
        if (word == T_END) return parse_end(p, top);
        if (word == T_ELSE) {
            next(p);
            if (!top) return STOP_ELSE;
            if (expect(p, T_RIGHT, "else")) fail(p, "unexpected {{else}}");
            return STOP_ERROR;
        }
        if (word == T_DEFINE && top ? next(p) == NULL || !parse_define(p) : !parse_action(p, list))
            return STOP_ERROR;
        p->action_line = 0;
    }
}

enum status template_parse_tree(struct template *t, struct err *e) {
    struct tokens tokens = {0};
    enum status st = template_lex(&t->arena, t->source, &tokens, e);
    struct parser p = {.t = t, .tok = tokens.at, .e = e, .status = st};
    if (st == ST_OK) declare(&p, TEXT("$"));
    if (p.status == ST_OK) parse_list(&p, &t->main, true);
    mem_free(p.vars);
    mem_free(tokens.at);
    return p.status;
}

enum status template_append_response(struct template *t, struct err *e) {
    struct parser p = {.t = t, .e = e};
    struct text src = {t->source.p + t->source.n, strlen(RESPONSE_ACTION)};
    struct node *n = new_node(&p, N_ACTION, src);
    struct pipe *pipe = n != NULL ? alloc(&p, 1, sizeof *pipe) : NULL;
    struct command *c = pipe != NULL ? alloc(&p, 1, sizeof *c) : NULL;
    struct expr *x = c != NULL ? alloc(&p, 1, sizeof *x) : NULL;
    if (x == NULL) return p.status;
    struct token tok = {T_FIELD, 0, {src.p + 3, strlen(".Response")}};
    x->span = c->span = pipe->span = (struct span){tok.s, tok.s.p};
    field(&p, &tok, x);
    c->args = x;
    c->n_args = 1;
    pipe->commands = c;
    n->pipe = pipe;
    append(&t->main, n);
    return p.status;
}
