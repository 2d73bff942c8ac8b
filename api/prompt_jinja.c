/* prompt_jinja.c - see prompt_jinja.h: a request as the variables that chat templates expect.
 *
 * Earlier thinking is passed on, under both names in use. Templates disagree about two things that
 * the variables cannot show: whether a call's arguments are an object or its text, and whether
 * content may be a list of parts. So what fails in the usual form is tried again in the other.
 * Images are tags in the content ("[img-N]"), which every template copies. */
#include "api/prompt_jinja.h"

#include <string.h>

#include "api/request.h"

enum { FORM_OBJECTS, FORM_TEXTS, FORM_PARTS, N_FORMS };

static void put_call(struct buf *b, const json *call, int form) {
    const json *f = json_get(call, "function"), *args = json_get(f, "arguments");
    const char *id = text_member(call, "id");
    buf_chr(b, '{');
    if (*id != '\0') json_put_field(b, "id", id);
    json_put_field(b, "type", "function");
    json_put_key(b, "function");
    buf_chr(b, '{');
    json_put_field(b, "name", text_member(f, "name"));
    json_put_key(b, "arguments");
    struct buf text = {0};
    if (json_kind(args) == JSON_OBJECT)
        json_print(&text, args);
    else
        buf_str(&text, "{}");
    if (form == FORM_TEXTS)
        json_put_string(b, text.data, text.len);
    else
        buf_add(b, text.data, text.len);
    buf_str(b, "}}");
    buf_free(&text);
}

static void put_content(struct buf *b, const json *m, int form) {
    size_t len = 0;
    const char *s = json_string_n(json_get(m, "content"), &len);
    if (form == FORM_PARTS) {
        buf_str(b, "[{");
        json_put_field(b, "type", "text");
        json_put_key(b, "text");
    }
    json_put_string(b, s == NULL ? "" : s, len);
    if (form == FORM_PARTS) buf_str(b, "}]");
}

static void put_message(struct buf *b, const json *m, int form) {
    static const char *const copied[][2] = {{"thinking", "reasoning_content"},
                                            {"thinking", "thinking"},
                                            {"tool_name", "name"},
                                            {"tool_call_id", "tool_call_id"}};
    const json *calls = json_get(m, "tool_calls");
    buf_chr(b, '{');
    json_put_field(b, "role", text_member(m, "role"));
    json_put_key(b, "content");
    put_content(b, m, form);
    for (size_t i = 0; i < sizeof copied / sizeof *copied; i++) {
        const char *s = text_member(m, copied[i][0]);
        if (*s != '\0') json_put_field(b, copied[i][1], s);
    }
    if (json_len(calls) > 0) {
        json_put_key(b, "tool_calls");
        buf_chr(b, '[');
        for (const json *c = json_first(calls); c != NULL; c = json_next(c)) {
            if (c != json_first(calls)) buf_chr(b, ',');
            put_call(b, c, form);
        }
        buf_chr(b, ']');
    }
    buf_chr(b, '}');
}

static void put_token(struct buf *b, const char *key, const struct vocab *v, token_id id) {
    size_t n = 0;
    const char *s = v != NULL && id >= 0 ? vocab_piece(v, id, true, &n) : "";
    json_put_key(b, key);
    json_put_string(b, s, n);
}

static void put_variables(struct buf *b, const struct prompt_input *in, const json *messages,
                          int form) {
    const struct vocab_special *special = in->vocab == NULL ? NULL : vocab_special(in->vocab);
    const json *last = NULL;
    buf_str(b, "{\"messages\":[");
    for (const json *m = json_first(messages); m != NULL; m = json_next(m)) {
        if (m != json_first(messages)) buf_chr(b, ',');
        put_message(b, m, form);
        last = m;
    }
    buf_chr(b, ']');
    if (json_len(in->tools) > 0) {
        json_put_key(b, "tools");
        json_print(b, in->tools);
    }
    json_put_field_bool(b, "add_generation_prompt",
                        strcmp(text_member(last, "role"), "assistant") != 0);
    put_token(b, "bos_token", in->vocab, special == NULL ? -1 : special->bos);
    put_token(b, "eos_token", in->vocab, special == NULL ? -1 : special->eos);
    if (in->think.set) json_put_field_bool(b, "enable_thinking", in->think.on);
    if (in->think.named) {
        json_put_field(b, "reasoning_effort", in->think.level);
        json_put_field(b, "reasoning_strength", in->think.level);
    }
    buf_chr(b, '}');
}

static enum status render(const struct prompt_input *in, const json *messages, int form,
                          struct buf *out, struct err *e) {
    enum { MAX_VARS = 16 };
    static const struct json_limits limits = {(size_t)1 << 30, 8000000, 1000};
    struct jinja_var var[MAX_VARS];
    struct jinja_input input = {.var = var};
    struct buf text = {0};
    put_variables(&text, in, messages, form);
    json *root = text.failed ? NULL : json_parse(text.data, text.len, &limits, NULL, e);
    bool failed = text.failed;
    buf_free(&text);
    if (root == NULL) return failed || e == NULL ? err_no_memory(e) : e->code;
    for (const json *m = json_first(root); m != NULL && input.n_vars < MAX_VARS; m = json_next(m))
        var[input.n_vars++] = (struct jinja_var){json_key(m), m};
    enum status st = jinja_render(in->model->facts->tree, &input, &jinja_default_limits, out, e);
    json_free(root);
    return st;
}

/* The text ends with an EOS that the vocabulary will add, too. */
static void drop_doubled_eos(const struct prompt_input *in, struct buf *text) {
    const struct vocab_special *special = in->vocab == NULL ? NULL : vocab_special(in->vocab);
    size_t n = 0;
    if (special == NULL || !special->add_eos || special->eos < 0) return;
    const char *eos = vocab_piece(in->vocab, special->eos, true, &n);
    if (n > 0 && text->len >= n && memcmp(text->data + text->len - n, eos, n) == 0)
        buf_cut(text, text->len - n);
}

/* Neighbours of one role as one message, texts two lines apart, as the Go templates' way has them:
 * many templates insist on turns, and a client's list of parts may have become several messages.
 * json_free; NULL: no memory, or nothing to join. */
static json *join_turns(const json *messages) {
    struct buf b = {0};
    bool joined = false;
    buf_chr(&b, '[');
    for (const json *m = json_first(messages); m != NULL; m = json_next(m)) {
        const json *next = json_next(m);
        const char *role = text_member(m, "role");
        struct buf content = {0};
        buf_str(&content, text_member(m, "content"));
        while (next != NULL && json_len(m) == 2 && json_len(next) == 2 &&
               strcmp(role, text_member(next, "role")) == 0) {
            const char *more = text_member(next, "content");
            if (content.len > 0 && *more != '\0') buf_str(&content, "\n\n");
            buf_str(&content, more);
            joined = true;
            m = next;
            next = json_next(next);
        }
        if (b.len > 1) buf_chr(&b, ',');
        if (json_len(m) != 2) {
            json_print(&b, m);
        } else {
            buf_chr(&b, '{');
            json_put_field(&b, "role", role);
            json_put_key(&b, "content");
            json_put_string(&b, content.data == NULL ? "" : content.data, content.len);
            buf_chr(&b, '}');
        }
        b.failed = b.failed || content.failed;
        buf_free(&content);
    }
    buf_chr(&b, ']');
    json *list =
        joined && !b.failed ? json_parse(b.data, b.len, &json_default_limits, NULL, NULL) : NULL;
    buf_free(&b);
    return list;
}

enum status prompt_jinja(const struct prompt_input *in, const json *messages, struct prompt *out,
                         struct err *e) {
    struct err first = {0}, later = {0};
    enum status st = render(in, messages, FORM_OBJECTS, &out->text, &first);
    json *turns = st == ST_INVALID ? join_turns(messages) : NULL;
    for (int form = FORM_TEXTS; st == ST_INVALID && form < N_FORMS; form++)
        st = render(in, messages, form, &out->text, &later);
    for (int form = FORM_OBJECTS; st == ST_INVALID && turns != NULL && form < N_FORMS; form++)
        st = render(in, turns, form, &out->text, &later);
    json_free(turns);
    if (st != ST_OK) { /* what the usual form had to say */
        if (e != NULL) *e = first;
        return first.code;
    }
    out->writes_bos = true;
    drop_doubled_eos(in, &out->text);
    return ST_OK;
}
