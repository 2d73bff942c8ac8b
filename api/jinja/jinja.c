/* jinja.c - see jinja.h: the way in. */
#include "api/jinja/jinja.h"

#include <string.h>

#include "api/jinja/jinja_impl.h"
#include "base/mem.h"

const struct jinja_limits jinja_default_limits = {
    .fuel = 50000000, /* some ten for each step of a template's own; half a second */
    .max_out = (size_t)64 << 20,
    .max_memory = (size_t)512 << 20,
    .max_depth = 700,
};

static enum status parse(struct jinja *t, const char *text, size_t len, struct err *e) {
    struct tokens_and_parser {
        struct jtokens tokens;
        struct jparser parser;
    } s = {.parser = {.t = t, .e = e}};
    enum status st = jinja_lex(&t->arena, (struct jtext){text, len}, &s.tokens, e);
    if (st == ST_OK) {
        s.parser.at = s.tokens.at;
        t->id_loop = jparse_name_id(&s.parser, (struct jtext){"loop", 4});
        t->id_caller = jparse_name_id(&s.parser, (struct jtext){"caller", 6});
        t->id_varargs = jparse_name_id(&s.parser, (struct jtext){"varargs", 7});
        t->id_kwargs = jparse_name_id(&s.parser, (struct jtext){"kwargs", 6});
        t->body = s.parser.failed ? NULL : jparse_template(&s.parser);
        if (t->body == NULL && !s.parser.failed) st = err_no_memory(e);
        if (s.parser.failed) st = e->code;
    }
    mem_free(s.tokens.at);
    return st;
}

enum status jinja_parse(struct jinja **out, const char *text, size_t len, bool own, struct err *e) {
    struct err mine = {0};
    if (e == NULL) e = &mine;
    if (len > JINJA_MAX_BYTES)
        return err_set(e, ST_LIMIT, "the chat template is larger than %d bytes", JINJA_MAX_BYTES);
    struct jinja *t = mem_zalloc(1, sizeof *t);
    if (t == NULL) return err_no_memory(e);
    t->own = own;
    enum status st = parse(t, text, len, e);
    if (st == ST_OK)
        *out = t;
    else
        jinja_free(t);
    return st;
}

void jinja_free(struct jinja *t) {
    if (t == NULL) return;
    map_free(&t->names);
    mem_free(t->name);
    arena_free(&t->arena);
    mem_free(t);
}

static bool put_variables(struct jx *x, const struct jinja_input *in) {
    uint32_t id;
    const struct jfunction *f;
    for (size_t i = 0; (f = jfunction_at(i)) != NULL; i++)
        if (map_get(&x->t->names, f->name, strlen(f->name), &id))
            x->top[id] = (struct jv){.kind = J_FUNCTION, .function = f};
    for (size_t i = 0; i < in->n_vars; i++) {
        const struct jinja_var *v = &in->var[i];
        if (map_get(&x->t->names, v->name, strlen(v->name), &id) &&
            !jv_from_json(x, v->value, &x->top[id]))
            return false;
    }
    return true;
}

enum status jinja_render(const struct jinja *t, const struct jinja_input *in,
                         const struct jinja_limits *limits, struct buf *out, struct err *e) {
    struct err mine = {0};
    struct jframe top = {0};
    size_t before = out->len;
    struct jx x = {.t = t,
                   .limits = limits,
                   .frame = &top,
                   .out = out,
                   .fuel = limits->fuel,
                   .now = in->now,
                   .e = e != NULL ? e : &mine};
    if (out->failed) return err_no_memory(e);
    x.top = jx_alloc(&x, t->n_names + 1, sizeof *x.top);
    bool ok = x.top != NULL && put_variables(&x, in) && jx_run(&x);
    if (ok && out->failed) ok = jx_no_memory(&x);
    if (!ok && out->data != NULL) buf_cut(out, before);
    arena_free(&x.arena);
    return ok ? ST_OK : x.e->code;
}
