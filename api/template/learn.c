/* learn.c - what a template tells about itself (spec/templates.md 5.1, 5.2): the fields it refers
 * to, the tags around thinking, the tag before tool calls. All of it is read off the tree once,
 * after parsing. Recursion is bounded by the parser's nesting limit. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "api/template/template_impl.h"
#include "base/mem.h"

/* ---- vars ---- */

struct vars {
    struct arena *a;
    struct text *at; /* owned */
    size_t n, cap;
    bool no_memory, bare_template; /* bare: {{ template "x" }} without an argument */
};

static void vars_add(struct vars *v, struct text name) {
    if (v->n == v->cap) {
        size_t cap = v->cap != 0 ? 2 * v->cap : 32;
        struct text *at = mem_grow(v->at, cap, sizeof *at);
        if (at == NULL) {
            v->no_memory = true;
            return;
        }
        v->at = at;
        v->cap = cap;
    }
    char *low = arena_strndup(v->a, name.p, name.n);
    if (low == NULL) {
        v->no_memory = true;
        return;
    }
    for (char *c = low; *c != '\0'; c++)
        if (*c >= 'A' && *c <= 'Z') *c = (char)(*c | 32);
    v->at[v->n++] = (struct text){low, name.n};
}

static void vars_of_pipe(struct vars *v, const struct pipe *pipe) {
    for (const struct command *c = pipe->commands; c != NULL; c = c->next)
        for (const struct expr *x = c->args; x != NULL; x = x->next) {
            if (x->kind == X_PIPE) vars_of_pipe(v, x->pipe);
            if (x->kind == X_VARIABLE) vars_add(v, x->name);
            if (x->kind != X_VARIABLE && x->kind != X_FIELD) continue; /* not those of a chain */
            for (size_t i = 0; i < x->n_path; i++) vars_add(v, x->path[i]);
        }
}

static void vars_of_list(struct vars *v, const struct node_list *list) {
    for (const struct node *n = list->first; n != NULL; n = n->next) {
        if (n->pipe != NULL)
            vars_of_pipe(v, n->pipe);
        else if (n->kind == N_TEMPLATE)
            v->bare_template = true;
        vars_of_list(v, &n->body);
        if (n->otherwise != NULL) vars_of_list(v, n->otherwise);
    }
}

static int by_text(const void *a, const void *b) {
    return ttext_order(*(const struct text *)a, *(const struct text *)b);
}

static size_t sort_unique(struct text *at, size_t n) {
    size_t kept = 0;
    if (n != 0) qsort(at, n, sizeof *at, by_text);
    for (size_t i = 0; i < n; i++)
        if (kept == 0 || !ttext_equal(at[kept - 1], at[i])) at[kept++] = at[i];
    return kept;
}

static bool vars_keep(struct template *t, const struct vars *v) {
    t->vars = arena_alloc(&t->arena, (v->n + 1) * sizeof *t->vars);
    t->var_names = arena_zalloc(&t->arena, v->n + 1, sizeof *t->var_names);
    if (t->vars == NULL || t->var_names == NULL) return false;
    t->n_vars = v->n;
    for (size_t i = 0; i < v->n; i++) {
        t->vars[i] = v->at[i];
        t->var_names[i] = v->at[i].p;
    }
    return true;
}

enum status template_learn_vars(struct template *t, struct err *e) {
    struct vars v = {.a = &t->arena};
    vars_of_list(&v, &t->main);
    for (const struct definition *d = t->definitions; d != NULL; d = d->next)
        vars_of_list(&v, &d->body);
    v.n = sort_unique(v.at, v.n);
    bool kept = !v.no_memory && vars_keep(t, &v);
    mem_free(v.at);
    if (!kept) return err_no_memory(e);
    if (v.bare_template) return err_set(e, ST_FORMAT, "undefined template specified");
    return ST_OK;
}

/* ---- thinking tags ---- */

struct place {
    const struct node_list *list; /* innermost around what is looked at */
    const struct pipe *range;     /* of the innermost range; NULL: none */
};

static bool first_name_is(const struct expr *x, const char *name) {
    return x->kind == X_FIELD && ttext_is(x->path[0], name);
}

static bool pipe_has_field(const struct pipe *pipe, const char *name);
static bool expr_has_field(const struct expr *x, const char *name) {
    if (first_name_is(x, name)) return true;
    if (x->kind == X_CHAIN) return expr_has_field(x->base, name);
    return x->kind == X_PIPE && pipe_has_field(x->pipe, name);
}
static bool pipe_has_field(const struct pipe *pipe, const char *name) {
    for (const struct command *c = pipe->commands; c != NULL; c = c->next)
        for (const struct expr *x = c->args; x != NULL; x = x->next)
            if (expr_has_field(x, name)) return true;
    return false;
}

static const char *trimmed_copy(struct template *t, struct text s) {
    s = ttext_trim(s);
    return arena_strndup(&t->arena, s.p, s.n);
}

static bool tags_around(struct template *t, const struct place *at) {
    if (at->range == NULL || !pipe_has_field(at->range, "Messages")) return true;
    const struct node *first = at->list->first, *last = at->list->last;
    if (first->kind == N_TEXT && (t->think_open = trimmed_copy(t, first->text)) == NULL)
        return false;
    return last->kind != N_TEXT || (t->think_close = trimmed_copy(t, last->text)) != NULL;
}

/* Later places overwrite earlier ones, so all are visited, depth first. False: no memory. */
static bool find_thinking(struct template *t, const struct place *at) {
    for (const struct node *n = at->list->first; n != NULL; n = n->next) {
        if (n->pipe != NULL && pipe_has_field(n->pipe, "Thinking") && !tags_around(t, at))
            return false;
        struct place body = {&n->body, n->kind == N_RANGE ? n->pipe : at->range};
        if (n->body.first != NULL && !find_thinking(t, &body)) return false;
        struct place otherwise = {n->otherwise, body.range};
        if (n->otherwise != NULL && !find_thinking(t, &otherwise)) return false;
    }
    return true;
}

/* ---- the tag before tool calls ---- */

static bool mentions_tool_calls(const struct pipe *pipe) {
    for (const struct command *c = pipe->commands; c != NULL; c = c->next)
        for (const struct expr *x = c->args; x != NULL; x = x->next)
            for (size_t i = 0; x->kind == X_FIELD && i < x->n_path; i++)
                if (ttext_is(x->path[i], "ToolCalls")) return true;
    return false;
}

static const struct node *find_tool_branch(const struct node_list *list) {
    for (const struct node *n = list->first; n != NULL; n = n->next) {
        if (n->kind == N_IF && mentions_tool_calls(n->pipe)) return n;
        const struct node *found = find_tool_branch(&n->body);
        if (found == NULL && n->otherwise != NULL) found = find_tool_branch(n->otherwise);
        if (found != NULL) return found;
    }
    return NULL;
}

/* The first text that is not blank; an action or a structure without text ends the search. */
static const struct node *first_text(const struct node_list *list) {
    for (const struct node *n = list != NULL ? list->first : NULL; n != NULL; n = n->next) {
        if (n->kind == N_TEXT && ttext_trim(n->text).n == 0) continue;
        if (n->kind == N_TEXT) return n;
        const struct node *found = first_text(&n->body);
        return found != NULL ? found : first_text(n->otherwise);
    }
    return NULL;
}

static bool learn_tool_tag(struct template *t) {
    const struct node *branch = find_tool_branch(&t->main);
    const struct node *text = branch != NULL ? first_text(&branch->body) : NULL;
    t->tool_tag = "{";
    if (text == NULL) return true;
    struct text s = text->text;
    const char *brace = memchr(s.p, '{', s.n);
    if (brace != NULL) s.n = (size_t)(brace - s.p);
    if (ttext_trim(s).n != 0) t->tool_tag = trimmed_copy(t, s);
    return t->tool_tag != NULL;
}

/* ---- all ---- */

static bool source_has(const struct template *t, const char *s) {
    return memmem(t->source.p, t->source.n, s, strlen(s)) != NULL;
}

enum status template_learn(struct template *t, struct err *e) {
    struct place top = {&t->main, NULL};
    if ((t->main.first != NULL && !find_thinking(t, &top)) || !learn_tool_tag(t))
        return err_no_memory(e);
    t->tool_round_trip = template_uses(t, "tools") && template_uses(t, "toolcalls") &&
                         (source_has(t, "eq .Role \"tool\"") || source_has(t, "tool_response") ||
                          source_has(t, "TOOL_RESULTS"));
    return ST_OK;
}
