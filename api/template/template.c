/* template.c - the doors of template.h: parse, ask, render. */
#include "api/template/template.h"

#include <assert.h>
#include <string.h>

#include "api/template/template_impl.h"
#include "base/mem.h"

/* ---- parsing ---- */

static bool copy_source(struct template *t, const char *text, size_t len) {
    char *source = arena_alloc(&t->arena, len + sizeof RESPONSE_ACTION);
    if (source == NULL) return false;
    if (len != 0) memcpy(source, text, len);
    memcpy(source + len, RESPONSE_ACTION, sizeof RESPONSE_ACTION);
    t->source = (struct text){source, len};
    return true;
}

/* A template that names neither messages nor the response gets the response at its end. */
static enum status complete(struct template *t, struct err *e) {
    enum status st = template_learn_vars(t, e);
    if (st != ST_OK || template_uses(t, "messages") || template_uses(t, "response")) return st;
    st = template_append_response(t, e);
    return st == ST_OK ? template_learn_vars(t, e) : st;
}

static enum status build(struct template *t, struct err *e) {
    enum status st = template_parse_tree(t, e);
    if (st == ST_OK) st = complete(t, e);
    if (st == ST_OK) st = template_learn(t, e);
    if (st == ST_OK && !template_uses(t, "messages")) st = template_cut(t, e);
    return st;
}

enum status template_parse(struct template **out, const char *text, size_t len, struct err *e) {
    assert(text != NULL || len == 0);
    if (len > TEMPLATE_MAX_BYTES)
        return err_set(e, ST_LIMIT, "template is longer than %d bytes", TEMPLATE_MAX_BYTES);
    struct template *t = mem_zalloc(1, sizeof *t);
    if (t == NULL) return err_no_memory(e);
    enum status st = copy_source(t, text, len) ? build(t, e) : err_no_memory(e);
    if (st == ST_OK)
        *out = t;
    else
        template_free(t);
    return st;
}

void template_free(struct template *t) {
    if (t == NULL) return;
    arena_free(&t->arena);
    mem_free(t);
}

/* ---- asking ---- */

bool template_uses(const struct template *t, const char *var) {
    for (size_t i = 0; i < t->n_vars; i++)
        if (ttext_is(t->vars[i], var)) return true;
    return false;
}

const char *const *template_vars(const struct template *t) {
    return (const char *const *)t->var_names;
}

/* Empty tags count as none. */
static const char *or_null(const char *s) { return s != NULL && *s != '\0' ? s : NULL; }
const char *template_thinking_open(const struct template *t) { return or_null(t->think_open); }
const char *template_thinking_close(const struct template *t) { return or_null(t->think_close); }
const char *template_tool_tag(const struct template *t) { return t->tool_tag; }
bool template_tool_round_trip(const struct template *t) { return t->tool_round_trip; }

bool template_can_think(const struct template *t) {
    return template_thinking_open(t) != NULL && template_thinking_close(t) != NULL;
}

/* ---- rendering ---- */

/* One turn of a legacy prompt (spec/templates.md 2.4). */
static enum status run_turn(struct texec *x, const struct template_data *data,
                            struct legacy_turn *turn, bool last) {
    struct value map;
    enum status st = tdata_legacy(x->arena, data, turn, &map, x->e);
    if (st == ST_OK) st = texec_run(x, &map, last);
    *turn = (struct legacy_turn){TEXT(""), TEXT(""), TEXT("")};
    return st;
}

static enum status legacy_message(struct texec *x, const struct template_data *data,
                                  struct legacy_turn *turn, const struct message *m) {
    enum status st = ST_OK;
    if (ttext_is(m->role, "system")) {
        if (turn->prompt.n != 0 || turn->response.n != 0) st = run_turn(x, data, turn, false);
        turn->system = m->content;
    } else if (ttext_is(m->role, "user")) {
        if (turn->response.n != 0) st = run_turn(x, data, turn, false);
        turn->prompt = m->content;
    } else if (ttext_is(m->role, "assistant")) {
        turn->response = m->content;
    }
    return st;
}

static enum status render_legacy(struct texec *x, const struct template_data *data) {
    struct conversation c;
    struct legacy_turn turn = {TEXT(""), TEXT(""), TEXT("")};
    enum status st = tdata_collate(x->arena, data->messages, &c, x->e);
    for (size_t i = 0; st == ST_OK && i < c.n; i++)
        st = legacy_message(x, data, &turn, &c.message[i]);
    return st == ST_OK ? run_turn(x, data, &turn, true) : st;
}

static bool given(const char *s) { return s != NULL && *s != '\0'; }

static enum status render(struct texec *x, const struct template_data *data) {
    struct value map;
    enum status st;
    if (given(data->prompt) && given(data->suffix))
        st = tdata_suffix(x->arena, data, &map, x->e);
    else if (template_uses(x->t, "messages"))
        st = tdata_messages(x->arena, data, &map, x->e);
    else
        return render_legacy(x, data);
    return st == ST_OK ? texec_run(x, &map, false) : st;
}

enum status template_render_limited(const struct template *t, const struct template_data *data,
                                    const struct template_limits *limits, struct buf *out,
                                    struct err *e) {
    struct arena arena = {0};
    struct err own = {0};
    struct texec x = {.t = t,
                      .limits = limits,
                      .arena = &arena,
                      .out = out,
                      .out_start = out->len,
                      .fuel = limits->fuel,
                      .e = e != NULL ? e : &own};
    enum status st = out->failed ? err_no_memory(e) : render(&x, data);
    if (st != ST_OK && out->data != NULL) buf_cut(out, x.out_start);
    texec_close(&x);
    arena_free(&arena);
    return st;
}

enum status template_render(const struct template *t, const struct template_data *data,
                            struct buf *out, struct err *e) {
    return template_render_limited(t, data, &template_default_limits, out, e);
}
