/* responses_request.c - the body of /v1/responses as the body of /api/chat. */
#include <string.h>

#include "api/dialect/call_names.h"
#include "api/dialect/responses.h"

#define N(a) (sizeof(a) / sizeof *(a))
#define AT(name) offsetof(struct responses_request, name)
#define PLAIN(name, kind)                                                                          \
    { #name, kind, AT(name), NULL, FIELD_ANY, NULL, NULL, NULL }
#define INNER(name, kind)                                                                          \
    { #name, kind, FIELD_NOT_STORED, NULL, FIELD_ANY, NULL, NULL, NULL }

/* ---- input: checked while it is read, because the peer's input reads itself ---- */

enum item_kind { ITEM_MESSAGE, ITEM_CALL, ITEM_OUTPUT, ITEM_REASONING, ITEM_SKIPPED, ITEM_UNKNOWN };
static const char *const item_name[] = {[ITEM_MESSAGE] = "message",
                                        [ITEM_CALL] = "function_call",
                                        [ITEM_OUTPUT] = "function_call_output",
                                        [ITEM_REASONING] = "reasoning",
                                        [ITEM_SKIPPED] = "web_search_call"};

static enum item_kind kind_of(const json *item) {
    const char *type = field_text(json_get(item, "type"));
    if (*type == '\0' && *field_text(json_get(item, "role")) != '\0') return ITEM_MESSAGE;
    for (size_t i = 0; i < N(item_name); i++)
        if (strcmp(type, item_name[i]) == 0) return (enum item_kind)i;
    return ITEM_UNKNOWN;
}

static bool is_part(const char *type) {
    static const char *const known[] = {"input_text", "output_text", "input_image", "input_file"};
    for (size_t i = 0; i < N(known); i++)
        if (strcmp(known[i], type) == 0) return true;
    return false;
}

static enum status check_parts(const json *v, const char *name, struct err *e) {
    size_t i = 0;
    if (json_kind(v) == JSON_NULL || json_kind(v) == JSON_STRING) return ST_OK;
    if (json_kind(v) != JSON_ARRAY)
        return err_set(e, ST_INVALID,
                       "%s must be a string or array: json: cannot unmarshal %s into Go value of "
                       "type []json.RawMessage",
                       name, json_kind_name(v));
    for (const json *p = json_first(v); p != NULL; p = json_next(p), i++) {
        if (json_kind(p) != JSON_OBJECT)
            return err_set(e, ST_INVALID,
                           "%s[%zu]: json: cannot unmarshal %s into Go value of type struct { Type "
                           "string \"json:\\\"type\\\"\" }",
                           name, i, json_kind_name(p));
        const char *type = field_text(json_get(p, "type"));
        if (!is_part(type))
            return err_set(e, ST_INVALID, "%s[%zu]: unknown content type: %.100s", name, i, type);
    }
    return ST_OK;
}

static const struct field item_field[] = {
    INNER(type, FIELD_TEXT),      INNER(role, FIELD_TEXT),
    INNER(id, FIELD_TEXT),        INNER(call_id, FIELD_TEXT),
    INNER(name, FIELD_TEXT),      INNER(arguments, FIELD_TEXT),
    INNER(namespace, FIELD_TEXT), INNER(encrypted_content, FIELD_TEXT)};
static const struct fields item_fields = {"ResponsesInputItem", "openai.ResponsesInputItem",
                                          item_field, N(item_field)};

static enum status check_item(const json *item, struct err *e) {
    if (json_kind(item) != JSON_OBJECT)
        return err_set(e, ST_INVALID,
                       "json: cannot unmarshal %s into Go value of type struct { Type string "
                       "\"json:\\\"type\\\"\"; Role string \"json:\\\"role\\\"\" }",
                       json_kind_name(item));
    const char *type = field_text(json_get(item, "type"));
    enum item_kind kind = kind_of(item);
    if (kind == ITEM_UNKNOWN && *type == '\0')
        return err_set(e, ST_INVALID, "input item missing required 'type' field");
    if (kind == ITEM_UNKNOWN)
        return err_set(e, ST_INVALID, "unknown input item type: \"%.100s\"", type);
    if (kind == ITEM_SKIPPED) return ST_OK;
    enum status st = request_decode_tree(&item_fields, item, NULL, e);
    if (st == ST_OK && kind == ITEM_MESSAGE)
        st = check_parts(json_get(item, "content"), "content", e);
    if (st == ST_OK && kind == ITEM_OUTPUT) st = check_parts(json_get(item, "output"), "output", e);
    return st;
}

static enum status check_input(const json *v, struct err *e) {
    struct err why;
    size_t i = 0;
    if (json_kind(v) == JSON_STRING) return ST_OK;
    if (json_kind(v) != JSON_ARRAY)
        return err_set(e, ST_INVALID,
                       "input must be a string or array: json: cannot unmarshal %s into Go value "
                       "of type []json.RawMessage",
                       json_kind_name(v));
    for (const json *item = json_first(v); item != NULL; item = json_next(item), i++)
        if (check_item(item, &why) != ST_OK)
            return err_set(e, ST_INVALID, "input[%zu]: %s", i, why.msg);
    return ST_OK;
}

/* ---- fields ---- */

static const struct field reasoning_field[] = {INNER(effort, FIELD_TEXT),
                                               INNER(summary, FIELD_TEXT)};
static const struct fields reasoning_fields = {"ResponsesReasoning", NULL, reasoning_field, 2};
static const struct field text_field[] = {{"format", FIELD_MAP, FIELD_NOT_STORED,
                                           "openai.ResponsesTextFormat", FIELD_ANY, NULL, NULL,
                                           NULL}};
static const struct fields text_fields = {"ResponsesText", NULL, text_field, 1};
static const struct field tool_field[] = {
    INNER(type, FIELD_TEXT),
    INNER(name, FIELD_TEXT),
    INNER(description, FIELD_TEXT),
    INNER(strict, FIELD_FLAG),
    {"parameters", FIELD_MAP, FIELD_NOT_STORED, "map[string]interface {}", FIELD_ANY, NULL, NULL,
     NULL},
    {"tools", FIELD_LIST, FIELD_NOT_STORED, "[]openai.ResponsesTool", FIELD_ANY, NULL, NULL, NULL},
};
static const struct fields responses_tool_fields = {"ResponsesTool", NULL, tool_field,
                                                    N(tool_field)};
static const struct field responses_field[] = {
    PLAIN(model, FIELD_TEXT),
    {"input", FIELD_CHECK, AT(input), "", FIELD_ANY, NULL, NULL, check_input},
    PLAIN(instructions, FIELD_TEXT),
    PLAIN(max_output_tokens, FIELD_INT),
    PLAIN(temperature, FIELD_FLOAT),
    PLAIN(top_p, FIELD_FLOAT),
    PLAIN(stream, FIELD_FLAG),
    {"reasoning", FIELD_STRUCT, AT(reasoning), "openai.ResponsesReasoning", FIELD_ANY, NULL,
     &reasoning_fields, NULL},
    {"text", FIELD_STRUCT, AT(text), "openai.ResponsesText", FIELD_ANY, NULL, &text_fields, NULL},
    {"tools", FIELD_LIST, AT(tools), "[]openai.ResponsesTool", FIELD_STRUCT, "openai.ResponsesTool",
     &responses_tool_fields, NULL},
    PLAIN(tool_choice, FIELD_ANY),
    PLAIN(truncation, FIELD_TEXT),
    PLAIN(background, FIELD_FLAG),
    PLAIN(metadata, FIELD_ANY),
    {"options", FIELD_MAP, AT(options), "map[string]interface {}", FIELD_ANY, NULL, NULL, NULL},
};
static const struct fields responses_fields = {"ResponsesRequest", "openai.ResponsesRequest",
                                               responses_field, N(responses_field)};

/* ---- messages ---- */

struct writer {
    struct buf *out;
    bool first;
    bool open;               /* an assistant message that calls may still join */
    long long n_calls;       /* in it */
    struct buf thinking;     /* of the next assistant message */
    struct call_names names; /* of all calls */
    size_t place;            /* of the item that is being written */
};

static void close_message(struct writer *w) {
    if (!w->open) return;
    buf_str(w->out, w->n_calls > 0 ? "]}" : "}");
    w->open = false;
    w->n_calls = 0;
}

static void open_message(struct writer *w, const char *role) {
    close_message(w);
    buf_str(w->out, w->first ? "{" : ",{");
    w->first = false;
    json_put_field(w->out, "role", role);
}

static void put_simple(struct writer *w, const char *role, const char *text) {
    open_message(w, role);
    json_put_field(w->out, "content", text);
    buf_chr(w->out, '}');
}

/* Text and images of a text or a list of parts, as members of the open message. */
static enum status put_content(struct buf *b, const json *v, struct err *e) {
    struct buf text = {0}, images = {0};
    enum status st = ST_OK;
    buf_str(&text, field_text(v));
    for (const json *p = json_kind(v) == JSON_ARRAY ? json_first(v) : NULL;
         p != NULL && st == ST_OK; p = json_next(p)) {
        const char *type = field_text(json_get(p, "type"));
        if (strcmp(type, "input_file") == 0)
            st = err_set(e, ST_INVALID, "file inputs are not currently supported");
        if (strcmp(type, "input_image") == 0) {
            const char *data = image_data(field_text(json_get(p, "image_url")), e);
            if (data == NULL) {
                st = ST_INVALID;
                break;
            }
            add_list(&images);
            json_put_string(&images, data, strlen(data));
        } else {
            buf_str(&text, field_text(json_get(p, "text")));
        }
    }
    put_text(b, "content", text.data == NULL ? "" : text.data, text.len);
    if (images.len > 0) {
        json_put_key(b, "images");
        buf_add(b, images.data, images.len);
        buf_chr(b, ']');
    }
    if (text.failed || images.failed) b->failed = true;
    buf_free(&text);
    buf_free(&images);
    return st;
}

static void put_thinking(struct writer *w) {
    if (w->thinking.len > 0) put_text(w->out, "thinking", w->thinking.data, w->thinking.len);
    buf_clear(&w->thinking);
}

static enum status put_message(struct writer *w, const json *item, struct err *e) {
    const char *role = field_text(json_get(item, "role"));
    bool assistant = strcmp(role, "assistant") == 0;
    open_message(w, role);
    enum status st = put_content(w->out, json_get(item, "content"), e);
    if (assistant) put_thinking(w);
    if (assistant)
        w->open = true;
    else
        buf_chr(w->out, '}');
    return st;
}

static enum status put_function_call(struct writer *w, const json *item, struct err *e) {
    const char *text = field_text(json_get(item, "arguments"));
    struct err why;
    json *args =
        *text == '\0' ? NULL : json_parse(text, strlen(text), &json_default_limits, NULL, &why);
    if (*text != '\0' && args == NULL)
        return err_set(e, ST_INVALID, "failed to parse function call arguments: %s", why.msg);
    if (args != NULL && json_kind(args) != JSON_OBJECT) {
        err_set(e, ST_INVALID,
                "failed to parse function call arguments: json: cannot unmarshal %s into Go value "
                "of type map[string]interface {}",
                json_kind_name(args));
        json_free(args);
        return ST_INVALID;
    }
    if (!w->open) {
        open_message(w, "assistant");
        json_put_field(w->out, "content", "");
        put_thinking(w);
        w->open = true;
    }
    buf_str(w->out, w->n_calls == 0 ? ",\"tool_calls\":[" : ",");
    put_call(w->out, field_text(json_get(item, "call_id")), w->n_calls++,
             field_text(json_get(item, "name")), args);
    json_free(args);
    return ST_OK;
}

static enum status find_names(struct writer *w, const json *items, struct err *e) {
    enum status st = ST_OK;
    size_t place = 0;
    for (const json *m = json_first(items); m != NULL && st == ST_OK; m = json_next(m), place++)
        if (kind_of(m) == ITEM_CALL)
            st = call_names_add(&w->names, field_text(json_get(m, "call_id")),
                                field_text(json_get(m, "name")), place, e);
    call_names_sort(&w->names);
    return st;
}

static enum status put_call_output(struct writer *w, const json *item, struct err *e) {
    const char *id = field_text(json_get(item, "call_id")),
               *name = call_names_find(&w->names, id, w->place);
    open_message(w, "tool");
    enum status st = put_content(w->out, json_get(item, "output"), e);
    if (*name != '\0') json_put_field(w->out, "tool_name", name);
    json_put_field(w->out, "tool_call_id", id);
    buf_chr(w->out, '}');
    return st;
}

/* What came from here comes back in encrypted_content; others send summaries. */
static void take_reasoning(struct writer *w, const json *item) {
    const char *text = field_text(json_get(item, "encrypted_content"));
    const json *summary = json_get(item, "summary");
    close_message(w);
    buf_str(&w->thinking, text);
    for (const json *p = *text == '\0' ? json_first(summary) : NULL; p != NULL; p = json_next(p))
        buf_str(&w->thinking, field_text(json_get(p, "text")));
}

static enum status put_item(struct writer *w, const json *item, struct err *e) {
    switch (kind_of(item)) {
    case ITEM_MESSAGE:
        return put_message(w, item, e);
    case ITEM_CALL:
        return put_function_call(w, item, e);
    case ITEM_OUTPUT:
        return put_call_output(w, item, e);
    case ITEM_REASONING:
        take_reasoning(w, item);
        return ST_OK;
    default:
        return ST_OK;
    }
}

static enum status put_messages(struct buf *b, const struct responses_request *r, struct err *e) {
    const char *text = json_string(r->input), *system = field_text(r->instructions);
    const json *items = text == NULL ? r->input : NULL;
    struct writer w = {.out = b, .first = true};
    enum status st = find_names(&w, items, e);
    /* Without input there is nothing to answer: the model is only loaded. */
    bool any = text != NULL ? *text != '\0' : json_len(r->input) > 0;
    json_put_key(b, "messages");
    buf_chr(b, '[');
    if (*system != '\0' && any) put_simple(&w, "system", system);
    if (text != NULL && any) put_simple(&w, "user", text);
    for (const json *m = json_first(items); m != NULL && st == ST_OK; m = json_next(m)) {
        st = put_item(&w, m, e);
        w.place++;
    }
    close_message(&w);
    buf_chr(b, ']');
    if (w.thinking.failed) b->failed = true;
    buf_free(&w.thinking);
    call_names_free(&w.names);
    return st;
}

/* ---- tools ---- */

static void add_function(struct buf *b, const char *space, const json *tool) {
    struct buf name = {0};
    const json *parameters = json_get(tool, "parameters");
    buf_printf(&name, "%s%s", space, *space == '\0' ? "" : ".");
    buf_str(&name, field_text(json_get(tool, "name")));
    add_list(b);
    buf_str(b, "{\"type\":\"function\",\"function\":{");
    put_text(b, "name", name.data == NULL ? "" : name.data, name.len);
    put_value(b, "description", json_get(tool, "description"));
    json_put_key(b, "parameters");
    if (json_kind(parameters) == JSON_OBJECT)
        json_print(b, parameters);
    else
        buf_str(b, "{\"type\":\"object\",\"properties\":{}}");
    buf_str(b, "}}");
    if (name.failed) b->failed = true;
    buf_free(&name);
}

static bool is_search(const json *tool) {
    return strncmp(field_text(json_get(tool, "type")), "web_search", 10) == 0;
}

/* Functions, also those of namespaces, and the search; others are dropped, as in the peer. The
 * search takes the place of a function of the same name. */
static void add_tool(struct buf *b, const json *tool, bool search) {
    const char *type = field_text(json_get(tool, "type"));
    const bool hidden = search && strcmp(field_text(json_get(tool, "name")), "web_search") == 0;
    if (strcmp(type, "function") == 0 && !hidden) add_function(b, "", tool);
    if (is_search(tool)) add_web_search(b);
    if (strcmp(type, "namespace") != 0) return;
    for (const json *t = json_first(json_get(tool, "tools")); t != NULL; t = json_next(t))
        if (json_kind(t) == JSON_OBJECT) add_function(b, field_text(json_get(tool, "name")), t);
}

static enum status put_all_tools(struct buf *b, const struct responses_request *r, struct err *e) {
    struct buf tools = {0};
    struct tool_choice choice;
    enum status st = read_tool_choice(r->tool_choice, &choice, e);
    bool search = false;
    for (const json *t = json_first(r->tools); t != NULL; t = json_next(t))
        search = search || is_search(t);
    for (const json *t = json_first(r->tools); t != NULL && st == ST_OK; t = json_next(t))
        add_tool(&tools, t, search);
    if (tools.len > 0) buf_chr(&tools, ']');
    if (tools.failed) b->failed = true;
    if (st == ST_OK) st = put_tools(b, &tools, &choice, e);
    buf_free(&tools);
    return st;
}

/* ---- the whole ---- */

static enum status translate(const void *request, struct buf *b, struct err *e) {
    const struct responses_request *r = request;
    buf_chr(b, '{');
    json_put_field(b, "model", field_text(r->model));
    enum status st = put_messages(b, r, e);
    if (st == ST_OK) st = put_effort(b, field_text(json_get(r->reasoning, "effort")), e);
    if (st == ST_OK) st = put_all_tools(b, r, e);
    if (st != ST_OK) return st;
    put_options(b, &(struct dialect_options){.options = r->options,
                                             .temperature = r->temperature,
                                             .top_p = r->top_p,
                                             .num_predict = r->max_output_tokens,
                                             .defaults = "\"temperature\":1.0"});
    const json *format = json_get(r->text, "format");
    if (strcmp(field_text(json_get(format, "type")), "json_schema") == 0)
        put_value(b, "format", json_get(format, "schema"));
    buf_str(b, field_flag(r->stream, false) ? ",\"stream\":true}" : ",\"stream\":false}");
    return ST_OK;
}

const struct dialect_reader dialect_responses = {DIALECT_RESPONSES, &responses_fields,
                                                 sizeof(struct responses_request), true, translate};
