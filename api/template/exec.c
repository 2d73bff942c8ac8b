/* exec.c - executes a tree over data (spec/templates.md 3.3).
 *
 * A walk over the nodes with the dot as an argument and the variables on a stack that shrinks when
 * a block ends. Every node, command and iteration costs one step of fuel, text that is worked on
 * costs by length, nesting is counted: a template from anywhere ends soon and in bounded memory. */
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "api/template/template_impl.h"
#include "base/mem.h"

enum { FEW_ARGS = 6, BYTES_PER_STEP = 64, SHOWN_SOURCE = 80 };

const struct template_limits template_default_limits = {
    .fuel = 50 * 1000 * 1000, /* about a second; a chat of 1,000 messages takes some 100,000 */
    .output = (size_t)64 << 20,
    .memory = (size_t)256 << 20,
    .depth = 500,
};

/* ---- errors and costs ---- */

enum status texec_fail(struct texec *x, const char *fmt, ...) {
    char message[ERR_MSG_SIZE];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(message, sizeof message, fmt, ap);
    va_end(ap);
    return err_set(x->e, ST_INVALID, "%s", message);
}

/* Puts place, template and source text in front of the message in x->e. */
static enum status locate(struct texec *x, const struct span *span) {
    const char *start = x->t->source.p;
    unsigned line = 1;
    const char *line_start = start;
    for (const char *p = start; p < span->at; p++)
        if (*p == '\n') {
            line++;
            line_start = p + 1;
        }
    int shown = span->src.n > SHOWN_SOURCE ? SHOWN_SOURCE : (int)span->src.n;
    return err_set(x->e, ST_INVALID, "template: :%u:%u: executing \"%.*s\" at <%.*s>: %s", line,
                   (unsigned)(span->at - line_start), (int)x->name.n, x->name.p, shown, span->src.p,
                   x->e->msg);
}

static enum status fail_at(struct texec *x, const struct span *span, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static enum status fail_at(struct texec *x, const struct span *span, const char *fmt, ...) {
    char message[ERR_MSG_SIZE];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(message, sizeof message, fmt, ap);
    va_end(ap);
    texec_fail(x, "%s", message);
    return locate(x, span);
}

enum status texec_spend(struct texec *x, uint64_t steps) {
    if (x->fuel < steps)
        return err_set(x->e, ST_LIMIT, "template takes more than %llu steps",
                       (unsigned long long)x->limits->fuel);
    x->fuel -= steps;
    return ST_OK;
}

/* The caller takes the depth back, whatever this returns. */
static enum status enter(struct texec *x) {
    if (x->depth++ >= x->limits->depth)
        return err_set(x->e, ST_LIMIT, "exceeded maximum template depth (%u)", x->limits->depth);
    return texec_spend(x, 1);
}

static void *alloc(struct texec *x, size_t size) {
    if (x->arena->total > x->limits->memory || size > x->limits->memory - x->arena->total) {
        err_set(x->e, ST_LIMIT, "template needs more than %zu bytes of memory", x->limits->memory);
        return NULL;
    }
    void *p = arena_alloc(x->arena, size);
    if (p == NULL) err_no_memory(x->e);
    return p;
}

enum status texec_take(struct texec *x, struct value *out) {
    if (x->scratch.failed) return err_no_memory(x->e);
    size_t n = x->scratch.len;
    enum status st = texec_spend(x, n / BYTES_PER_STEP);
    char *p = st == ST_OK ? alloc(x, n) : NULL;
    if (p == NULL) return x->e->code;
    if (n != 0) memcpy(p, x->scratch.data, n);
    *out = tvalue_text((struct text){p, n});
    return ST_OK;
}

static enum status check_output(struct texec *x) {
    if (x->out->failed) return err_no_memory(x->e);
    if (x->out->len - x->out_start <= x->limits->output) return ST_OK;
    return err_set(x->e, ST_LIMIT, "template writes more than %zu bytes", x->limits->output);
}

/* ---- variables ---- */

static enum status push_var(struct texec *x, struct text name, const struct value *v) {
    if (x->n_vars == x->cap_vars) {
        size_t cap = x->cap_vars != 0 ? 2 * x->cap_vars : 32;
        struct variable *vars = mem_grow(x->vars, cap, sizeof *vars);
        if (vars == NULL) return err_no_memory(x->e);
        x->vars = vars;
        x->cap_vars = cap;
    }
    x->vars[x->n_vars++] = (struct variable){name, *v};
    return ST_OK;
}

static struct variable *find_var(const struct texec *x, struct text name) {
    for (size_t i = x->n_vars; i-- > x->base_vars;)
        if (ttext_equal(x->vars[i].name, name)) return &x->vars[i];
    return NULL;
}

static enum status assign_var(struct texec *x, struct text name, const struct value *v,
                              const struct span *span) {
    struct variable *var = find_var(x, name);
    if (var == NULL) return fail_at(x, span, "undefined variable: %.*s", (int)name.n, name.p);
    var->value = *v;
    return ST_OK;
}

/* ---- fields ---- */

/* The one method of all types: those that show as JSON have String. */
static enum status string_method(struct texec *x, const struct value *v, struct value *out) {
    buf_clear(&x->scratch);
    tvalue_print(&x->scratch, v);
    return texec_take(x, out);
}

static enum status get_field(struct texec *x, const struct value *v, struct text name,
                             struct value *out) {
    if (v->kind == V_NIL)
        return texec_fail(x, "nil pointer evaluating interface {}.%.*s", (int)name.n, name.p);
    if (v->type != NULL && v->type->show != SHOW_GO && ttext_is(name, "String"))
        return string_method(x, v, out);
    if (v->kind == V_DICT) {
        const struct value *item = tvalue_dict_get(v->dict, name);
        *out = item != NULL ? *item : (struct value){.kind = V_NIL};
        return ST_OK;
    }
    for (size_t i = 0; v->kind == V_RECORD && i < v->type->n_fields; i++) {
        if (!ttext_is(name, v->type->field[i].name)) continue;
        *out = v->field[i];
        return ST_OK;
    }
    return texec_fail(x, "can't evaluate field %.*s in type %s", (int)name.n, name.p,
                      tvalue_type_name(v));
}

static enum status walk_path(struct texec *x, struct value v, const struct expr *e,
                             struct value *out) {
    for (size_t i = 0; i < e->n_path; i++) {
        struct value next;
        enum status st = get_field(x, &v, e->path[i], &next);
        if (st == ST_INVALID) return locate(x, &e->span);
        if (st != ST_OK) return st;
        v = next;
    }
    *out = v;
    return ST_OK;
}

/* ---- expressions ---- */

static enum status eval_pipe(struct texec *x, const struct value *dot, const struct pipe *pipe,
                             struct value *out);
static enum status eval_function(struct texec *x, const struct value *dot, const struct command *c,
                                 const struct expr *name, const struct value *final,
                                 struct value *out);

/* One operand. A function name without arguments is called with none. */
static enum status eval_operand(struct texec *x, const struct value *dot, const struct expr *e,
                                struct value *out) {
    struct value v;
    enum status st = ST_OK;
    switch (e->kind) {
    case X_CONST:
        *out = e->constant;
        return ST_OK;
    case X_NIL:
        *out = (struct value){.kind = V_NIL};
        return ST_OK;
    case X_DOT:
        *out = *dot;
        return ST_OK;
    case X_FIELD:
        return walk_path(x, *dot, e, out);
    case X_PIPE:
        return eval_pipe(x, dot, e->pipe, out);
    case X_FUNCTION:
        return eval_function(x, dot, NULL, e, NULL, out);
    case X_OVERFLOW:
        return fail_at(x, &e->span, "%.*s overflows int", (int)e->span.src.n, e->span.src.p);
    case X_VARIABLE: {
        const struct variable *var = find_var(x, e->name);
        if (var == NULL)
            return fail_at(x, &e->span, "undefined variable: %.*s", (int)e->name.n, e->name.p);
        return walk_path(x, var->value, e, out);
    }
    case X_CHAIN:
        st = eval_operand(x, dot, e->base, &v);
        return st == ST_OK ? walk_path(x, v, e, out) : st;
    }
    return ST_OK;
}

/* and, or: arguments are evaluated one by one, until one decides. */
static enum status eval_lazy(struct texec *x, const struct value *dot, const struct func *f,
                             const struct expr *arg, const struct value *final, struct value *out) {
    for (; arg != NULL; arg = arg->next) {
        enum status st = eval_operand(x, dot, arg, out);
        if (st != ST_OK || tvalue_truth(out) == f->stop_at) return st;
    }
    if (final != NULL) *out = *final;
    return ST_OK;
}

static enum status eval_eager(struct texec *x, const struct value *dot, const struct func *f,
                              const struct expr *arg, size_t n, const struct value *final,
                              struct value *out, const struct span *span) {
    struct value few[FEW_ARGS] = {{0}}, *args = few;
    size_t i = 0;
    if (n > FEW_ARGS) args = alloc(x, n * sizeof *args);
    if (args == NULL) return x->e->code;
    for (; arg != NULL; arg = arg->next) {
        enum status st = eval_operand(x, dot, arg, &args[i++]);
        if (st != ST_OK) return st;
    }
    if (final != NULL) args[i++] = *final;
    assert(i == n);
    enum status st = f->run(x, args, n, out);
    if (st != ST_INVALID) return st;
    texec_fail(x, "error calling %s: %s", f->name, x->e->msg);
    return locate(x, span);
}

/* c: the command whose first word is the function; NULL: no arguments. */
static enum status eval_function(struct texec *x, const struct value *dot, const struct command *c,
                                 const struct expr *name, const struct value *final,
                                 struct value *out) {
    const struct func *f = name->func;
    const struct expr *args = c != NULL ? c->args->next : NULL;
    size_t n = (c != NULL ? c->n_args - 1 : 0) + (final != NULL);
    if (n < f->min_args || (n > f->min_args && !f->variadic))
        return fail_at(x, &name->span, "wrong number of args for %s: want %s%u got %zu", f->name,
                       f->variadic ? "at least " : "", f->min_args, n);
    if (f->run == NULL) return eval_lazy(x, dot, f, args, final, out);
    return eval_eager(x, dot, f, args, n, final, out, c != NULL ? &c->span : &name->span);
}

static enum status refuse_args(struct texec *x, const struct expr *e) {
    if (e->kind == X_FIELD || e->kind == X_CHAIN) {
        struct text last = e->path[e->n_path - 1];
        return fail_at(x, &e->span, "%.*s is not a method but has arguments", (int)last.n, last.p);
    }
    return fail_at(x, &e->span, "can't give argument to non-function %.*s", (int)e->span.src.n,
                   e->span.src.p);
}

/* final: what the stage before gave; NULL in the first one. */
static enum status eval_command(struct texec *x, const struct value *dot, const struct command *c,
                                const struct value *final, struct value *out) {
    const struct expr *first = c->args;
    enum status st = texec_spend(x, 1);
    if (st != ST_OK) return st;
    if (first->kind == X_FUNCTION) return eval_function(x, dot, c, first, final, out);
    if (c->n_args > 1 || final != NULL) return refuse_args(x, first);
    if (first->kind == X_NIL) return fail_at(x, &first->span, "nil is not a command");
    return eval_operand(x, dot, first, out);
}

static enum status declare(struct texec *x, const struct pipe *pipe, const struct value *v) {
    enum status st = ST_OK;
    for (unsigned i = 0; i < pipe->n_decl && st == ST_OK; i++)
        st = pipe->assign ? assign_var(x, pipe->decl[i], v, &pipe->span)
                          : push_var(x, pipe->decl[i], v);
    return st;
}

static enum status eval_pipe(struct texec *x, const struct value *dot, const struct pipe *pipe,
                             struct value *out) {
    enum status st = enter(x);
    struct value v = {.kind = V_NIL};
    for (const struct command *c = pipe->commands; c != NULL && st == ST_OK; c = c->next) {
        struct value next = {.kind = V_NIL};
        st = eval_command(x, dot, c, c == pipe->commands ? NULL : &v, &next);
        v = next;
    }
    if (st == ST_OK) st = declare(x, pipe, &v);
    x->depth--;
    *out = v;
    return st;
}

/* ---- nodes ---- */

static enum status walk_list(struct texec *x, const struct value *dot,
                             const struct node_list *list);

static enum status walk_action(struct texec *x, const struct value *dot, const struct node *n) {
    struct value v;
    enum status st = eval_pipe(x, dot, n->pipe, &v);
    if (st != ST_OK || n->pipe->n_decl != 0) return st;
    if (v.kind == V_NIL) {
        buf_str(x->out, "<no value>");
    } else if (v.kind == V_RECORD && v.type->pointer) { /* an action looks through a pointer */
        struct type plain = *v.type;
        plain.pointer = false;
        tvalue_print(x->out, &(struct value){.kind = V_RECORD, .type = &plain, .field = v.field});
    } else {
        tvalue_print(x->out, &v);
    }
    return check_output(x);
}

static enum status walk_if(struct texec *x, const struct value *dot, const struct node *n) {
    struct value v;
    size_t scope = x->n_vars;
    enum status st = eval_pipe(x, dot, n->pipe, &v);
    if (st != ST_OK) return st;
    if (tvalue_truth(&v))
        st = walk_list(x, n->kind == N_WITH ? &v : dot, &n->body);
    else if (n->otherwise != NULL)
        st = walk_list(x, dot, n->otherwise);
    x->n_vars = scope;
    return st;
}

/* Number of iterations; false: not a thing to range over. */
static bool range_length(const struct value *v, size_t *n) {
    switch (v->kind) {
    case V_NIL:
        *n = 0;
        return true;
    case V_INT:
        *n = v->i > 0 ? (size_t)v->i : 0;
        return true;
    case V_LIST:
        *n = v->list.n;
        return true;
    case V_DICT:
        *n = v->dict != NULL ? v->dict->n : 0;
        return true;
    case V_BYTES:
        *n = v->s.n;
        return true;
    default:
        return false;
    }
}

static void range_item(const struct value *v, size_t i, struct value *key, struct value *item) {
    *key = tvalue_int((int64_t)i);
    if (v->kind == V_INT)
        *item = *key;
    else if (v->kind == V_BYTES)
        *item = tvalue_int((unsigned char)v->s.p[i]);
    else if (v->kind == V_LIST)
        *item = v->list.item[i];
    else {
        *key = tvalue_text(v->dict->entry[i].key);
        *item = v->dict->entry[i].value;
    }
}

/* Sets the variables of a range, which eval_pipe has pushed (or which exist, for "="). */
static enum status set_range_vars(struct texec *x, const struct pipe *pipe, size_t scope,
                                  const struct value *key, const struct value *item) {
    enum status st = ST_OK;
    for (unsigned i = 0; i < pipe->n_decl && st == ST_OK; i++) {
        const struct value *v = pipe->n_decl == 2 && i == 0 ? key : item;
        if (pipe->assign)
            st = assign_var(x, pipe->decl[i], v, &pipe->span);
        else
            x->vars[scope + i].value = *v;
    }
    return st;
}

static enum status iterate(struct texec *x, const struct node *n, const struct value *over,
                           size_t count) {
    size_t mark = x->n_vars, scope = mark - (n->pipe->assign ? 0 : n->pipe->n_decl);
    enum status st = ST_OK;
    for (size_t i = 0; i < count && st == ST_OK && x->flow != FLOW_BREAK; i++) {
        struct value key, item;
        range_item(over, i, &key, &item);
        x->flow = FLOW_ON;
        st = texec_spend(x, 1);
        if (st == ST_OK) st = set_range_vars(x, n->pipe, scope, &key, &item);
        if (st == ST_OK) st = walk_list(x, &item, &n->body);
        x->n_vars = mark;
    }
    x->flow = FLOW_ON;
    return st;
}

static enum status walk_range(struct texec *x, const struct value *dot, const struct node *n) {
    struct value v;
    size_t scope = x->n_vars, count;
    enum status st = eval_pipe(x, dot, n->pipe, &v);
    if (st != ST_OK) return st;
    if (v.kind == V_BYTES) {
        if (!tvalue_bytes(x->arena, &v, &v.s)) return err_no_memory(x->e);
    }
    if (!range_length(&v, &count)) {
        buf_clear(&x->scratch);
        tvalue_print(&x->scratch, &v);
        return fail_at(x, &n->pipe->span, "range can't iterate over %s",
                       x->scratch.failed ? "" : x->scratch.data);
    }
    if (count > 0)
        st = iterate(x, n, &v, count);
    else if (n->otherwise != NULL)
        st = walk_list(x, dot, n->otherwise);
    x->n_vars = scope;
    return st;
}

static enum status walk_template(struct texec *x, const struct value *dot, const struct node *n) {
    struct value v = {.kind = V_NIL};
    enum status st = n->pipe != NULL ? eval_pipe(x, dot, n->pipe, &v) : ST_OK;
    if (st != ST_OK) return st;
    const struct definition *d = x->cut ? NULL : template_definition(x->t, n->text);
    if (d == NULL)
        return fail_at(x, &n->span, "template \"%.*s\" not defined", (int)n->text.n, n->text.p);
    size_t mark = x->n_vars, base = x->base_vars;
    struct text name = x->name;
    st = push_var(x, TEXT("$"), &v);
    if (st != ST_OK) return st;
    x->base_vars = mark;
    x->name = d->name;
    st = walk_list(x, &v, &d->body);
    x->n_vars = mark;
    x->base_vars = base;
    x->name = name;
    return st;
}

static enum status walk_node(struct texec *x, const struct value *dot, const struct node *n) {
    switch (n->kind) {
    case N_TEXT:
        buf_add(x->out, n->text.p, n->text.n);
        return check_output(x);
    case N_ACTION:
        return walk_action(x, dot, n);
    case N_IF:
    case N_WITH:
        return walk_if(x, dot, n);
    case N_RANGE:
        return walk_range(x, dot, n);
    case N_TEMPLATE:
        return walk_template(x, dot, n);
    case N_BREAK:
        x->flow = FLOW_BREAK;
        return ST_OK;
    case N_CONTINUE:
        x->flow = FLOW_CONTINUE;
        return ST_OK;
    }
    return ST_OK;
}

static enum status walk_list(struct texec *x, const struct value *dot,
                             const struct node_list *list) {
    enum status st = enter(x);
    for (const struct node *n = list->first; n != NULL && st == ST_OK && x->flow == FLOW_ON;
         n = n->next) {
        st = texec_spend(x, 1);
        if (st == ST_OK) st = walk_node(x, dot, n);
    }
    x->depth--;
    return st;
}

enum status texec_run(struct texec *x, const struct value *data, bool cut) {
    x->cut = cut;
    x->name = TEXT("");
    x->n_vars = x->base_vars = 0;
    x->flow = FLOW_ON;
    assert(x->depth == 0);
    enum status st = push_var(x, TEXT("$"), data);
    if (st == ST_OK) st = walk_list(x, data, cut ? &x->t->cut : &x->t->main);
    return st == ST_OK ? check_output(x) : st;
}

void texec_close(struct texec *x) {
    mem_free(x->vars);
    buf_free(&x->scratch);
}
