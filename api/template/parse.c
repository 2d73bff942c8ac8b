/* parse.c - tokens to tree (spec/templates.md 3.2, errors 3.5): lists, control structures,
 * templates inside templates. One function per rule of the grammar; see parser.h. */
#include <string.h>

#include "api/template/parser.h"
#include "base/mem.h"

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
    struct node *n = tparse_alloc(p, 1, sizeof *n);
    if (n == NULL) return NULL;
    n->kind = kind;
    n->span = (struct span){src, src.p};
    return n;
}

static bool parse_control(struct parser *p, struct node_list *list, const struct token *word);

/* After {{ else of `n`: "else if" and "else with" open a structure that shares our {{ end }}. */
static bool parse_else(struct parser *p, struct node *n, enum token_kind word) {
    n->otherwise = tparse_alloc(p, 1, sizeof *n->otherwise);
    if (n->otherwise == NULL) return false;
    const struct token *tok = tparse_peek_solid(p);
    if (tok->kind == word && word != T_RANGE) {
        tparse_next(p);
        return parse_control(p, n->otherwise, tok);
    }
    if (tok->kind == T_IF || tok->kind == T_WITH) {
        tparse_unexpected(p, tok, "input");
        return false;
    }
    if (!tparse_expect(p, T_RIGHT, "else")) return false;
    p->action_line = 0;
    enum stop stop = parse_list(p, n->otherwise, false);
    if (stop == STOP_ELSE) tparse_fail(p, "expected end; found {{else}}");
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
    struct node *n = tparse_enter(p) ? new_node(p, kinds[word->kind].node, word->s) : NULL;
    if (n == NULL) return false;
    size_t scope = p->n_vars;
    append(list, n);
    n->pipe = tparse_pipe(p, kinds[word->kind].name, T_RIGHT);
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
    if (!tparse_expect(p, T_RIGHT, name)) return false;
    if (p->ranges == 0) {
        tparse_fail(p, "%s outside {{range}}", name);
        return false;
    }
    struct node *n = new_node(p, is_break ? N_BREAK : N_CONTINUE, word->s);
    if (n == NULL) return false;
    append(list, n);
    return true;
}

/* ---- templates inside templates ---- */

static bool template_name(struct parser *p, const char *context, struct text *name) {
    const struct token *tok = tparse_next_solid(p);
    struct expr x = {0};
    if (tok->kind != T_STRING && tok->kind != T_RAW) {
        tparse_unexpected(p, tok, context);
        return false;
    }
    tparse_string(p, tok, &x);
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
        tparse_fail(p, "template: multiple definition of template %s", tparse_quote(name).s);
        return false;
    }
    if (d == NULL) {
        d = tparse_alloc(p, 1, sizeof *d);
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
    if (!tparse_enter(p)) return false;
    struct node_list body = {0};
    struct text *outer = p->vars;
    size_t n_vars = p->n_vars, cap_vars = p->cap_vars;
    unsigned ranges = p->ranges;
    p->vars = NULL;
    p->n_vars = p->cap_vars = p->ranges = 0;
    p->action_line = 0;
    tparse_declare(p, TEXT("$"));
    enum stop stop = p->status == ST_OK ? parse_list(p, &body, false) : STOP_ERROR;
    mem_free(p->vars);
    p->vars = outer;
    p->n_vars = n_vars;
    p->cap_vars = cap_vars;
    p->ranges = ranges;
    p->nesting--;
    if (stop == STOP_ELSE) tparse_fail(p, "unexpected {{else}} in %s", context);
    return stop == STOP_END && define(p, name, &body);
}

static bool parse_define(struct parser *p) {
    struct text name;
    return template_name(p, "define clause", &name) && tparse_expect(p, T_RIGHT, "define clause") &&
           parse_body(p, name, "define clause");
}

static bool parse_template(struct parser *p, struct node_list *list, const struct token *word) {
    struct node *n = new_node(p, N_TEMPLATE, word->s);
    if (n == NULL || !template_name(p, "template clause", &n->text)) return false;
    append(list, n);
    if (tparse_peek_solid(p)->kind == T_RIGHT) return tparse_next(p) != NULL;
    n->pipe = tparse_pipe(p, "template clause", T_RIGHT);
    return n->pipe != NULL;
}

static bool parse_block(struct parser *p, struct node_list *list, const struct token *word) {
    struct node *n = new_node(p, N_TEMPLATE, word->s);
    if (n == NULL || !template_name(p, "block clause", &n->text)) return false;
    append(list, n);
    n->pipe = tparse_pipe(p, "block clause", T_RIGHT);
    return n->pipe != NULL && parse_body(p, n->text, "block clause");
}

/* ---- actions ---- */

static bool parse_pipe_action(struct parser *p, struct node_list *list) {
    const char *start = tparse_peek_solid(p)->s.p;
    struct pipe *pipe = tparse_pipe(p, "command", T_RIGHT);
    struct node *n = pipe != NULL ? new_node(p, N_ACTION, tparse_source(p, start)) : NULL;
    if (n == NULL) return false;
    n->pipe = pipe;
    append(list, n);
    return true;
}

/* After {{ ; everything but end, else and define. */
static bool parse_action(struct parser *p, struct node_list *list) {
    const struct token *tok = tparse_peek_solid(p);
    switch (tok->kind) {
    case T_IF:
    case T_RANGE:
    case T_WITH:
        return tparse_next(p) != NULL && parse_control(p, list, tok);
    case T_BREAK:
    case T_CONTINUE:
        return tparse_next(p) != NULL && parse_jump(p, list, tok);
    case T_TEMPLATE:
        return tparse_next(p) != NULL && parse_template(p, list, tok);
    case T_BLOCK:
        return tparse_next(p) != NULL && parse_block(p, list, tok);
    default:
        return parse_pipe_action(p, list);
    }
}

static enum stop parse_end(struct parser *p, bool top) {
    tparse_next(p);
    if (!tparse_expect(p, T_RIGHT, "end")) return STOP_ERROR;
    p->action_line = 0;
    if (top) tparse_fail(p, "unexpected {{end}}");
    return top ? STOP_ERROR : STOP_END;
}

static enum stop parse_list(struct parser *p, struct node_list *list, bool top) {
    for (;;) {
        const struct token *tok = tparse_next_solid(p);
        if (tok->kind == T_EOF) {
            if (!top) tparse_fail(p, "unexpected EOF");
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
            tparse_unexpected(p, tok, "input");
            return STOP_ERROR;
        }
        p->action_line = tok->line;
        enum token_kind word = tparse_peek_solid(p)->kind;
        if (word == T_END) return parse_end(p, top);
        if (word == T_ELSE) {
            tparse_next(p);
            if (!top) return STOP_ELSE;
            if (tparse_expect(p, T_RIGHT, "else")) tparse_fail(p, "unexpected {{else}}");
            return STOP_ERROR;
        }
        if (word == T_DEFINE && top ? tparse_next(p) == NULL || !parse_define(p)
                                    : !parse_action(p, list))
            return STOP_ERROR;
        p->action_line = 0;
    }
}

enum status template_parse_tree(struct template *t, struct err *e) {
    struct tokens tokens = {0};
    enum status st = template_lex(&t->arena, t->source, &tokens, e);
    struct parser p = {.t = t, .tok = tokens.at, .e = e, .status = st};
    if (st == ST_OK) tparse_declare(&p, TEXT("$"));
    if (p.status == ST_OK) parse_list(&p, &t->main, true);
    mem_free(p.vars);
    mem_free(tokens.at);
    return p.status;
}

enum status template_append_response(struct template *t, struct err *e) {
    struct parser p = {.t = t, .e = e};
    struct text src = {t->source.p + t->source.n, strlen(RESPONSE_ACTION)};
    struct node *n = new_node(&p, N_ACTION, src);
    struct pipe *pipe = n != NULL ? tparse_alloc(&p, 1, sizeof *pipe) : NULL;
    struct command *c = pipe != NULL ? tparse_alloc(&p, 1, sizeof *c) : NULL;
    struct expr *x = c != NULL ? tparse_alloc(&p, 1, sizeof *x) : NULL;
    if (x == NULL) return p.status;
    struct token tok = {T_FIELD, 0, {src.p + 3, strlen(".Response")}};
    x->span = c->span = pipe->span = (struct span){tok.s, tok.s.p};
    tparse_field(&p, &tok, x);
    c->args = x;
    c->n_args = 1;
    pipe->commands = c;
    n->pipe = pipe;
    append(&t->main, n);
    return p.status;
}
