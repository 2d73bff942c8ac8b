/* cut.c - the template up to the first response (spec/templates.md 2.4).
 *
 * The last turn of a legacy prompt must end where the model goes on: right after the response so
 * far. So a second tree is made once, at parse time: a copy of main in which everything after the
 * first field node with `Response` in its path is gone. */
#include <string.h>

#include "api/template/template_impl.h"

struct cutter {
    struct arena *a;
    bool done; /* the response was seen: everything from here on goes */
    bool no_memory;
};

static void *copy(struct cutter *c, const void *src, size_t size) {
    void *to = arena_alloc(c->a, size);
    if (to == NULL)
        c->no_memory = true;
    else
        memcpy(to, src, size);
    return to;
}

static bool is_response(const struct expr *x) {
    for (size_t i = 0; x->kind == X_FIELD && i < x->n_path; i++)
        if (ttext_is(x->path[i], "Response")) return true;
    return false;
}

static struct pipe *cut_pipe(struct cutter *c, const struct pipe *pipe);

static struct command *cut_command(struct cutter *c, const struct command *command) {
    struct command *to = copy(c, command, sizeof *to);
    if (to == NULL) return NULL;
    struct expr **tail = &to->args;
    to->n_args = 0;
    for (const struct expr *x = command->args; x != NULL && !c->done; x = x->next) {
        struct expr *kept = copy(c, x, sizeof *kept);
        if (kept == NULL) return NULL;
        if (x->kind == X_PIPE)
            kept->pipe = cut_pipe(c, x->pipe);
        else
            c->done = is_response(x);
        *tail = kept;
        tail = &kept->next;
        to->n_args++;
    }
    *tail = NULL;
    return to;
}

static struct pipe *cut_pipe(struct cutter *c, const struct pipe *pipe) {
    struct pipe *to = copy(c, pipe, sizeof *to);
    if (to == NULL) return NULL;
    struct command **tail = &to->commands;
    for (const struct command *k = pipe->commands; k != NULL && !c->done; k = k->next) {
        struct command *kept = cut_command(c, k);
        if (kept == NULL) return NULL;
        *tail = kept;
        tail = &kept->next;
    }
    *tail = NULL;
    return to;
}

static void cut_list(struct cutter *c, const struct node_list *from, struct node_list *to);

static void cut_else(struct cutter *c, struct node *n) {
    const struct node_list *from = n->otherwise;
    n->otherwise = NULL;
    if (from == NULL || c->done) return; /* an else after the cut: the reference crashes here */
    n->otherwise = copy(c, from, sizeof *from);
    if (n->otherwise != NULL) cut_list(c, from, n->otherwise);
}

static void cut_node(struct cutter *c, struct node *n) {
    struct node_list body = n->body;
    if (n->kind == N_ACTION) n->pipe = cut_pipe(c, n->pipe);
    cut_list(c, &body, &n->body);
    cut_else(c, n);
}

static void cut_list(struct cutter *c, const struct node_list *from, struct node_list *to) {
    *to = (struct node_list){0};
    for (const struct node *n = from->first; n != NULL && !c->done && !c->no_memory; n = n->next) {
        struct node *kept = copy(c, n, sizeof *kept);
        if (kept == NULL) return;
        kept->next = NULL;
        if (to->last != NULL)
            to->last->next = kept;
        else
            to->first = kept;
        to->last = kept;
        cut_node(c, kept);
    }
}

enum status template_cut(struct template *t, struct err *e) {
    struct cutter c = {.a = &t->arena};
    cut_list(&c, &t->main, &t->cut);
    return c.no_memory ? err_no_memory(e) : ST_OK;
}
