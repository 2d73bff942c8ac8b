/* messages_request.c - the body of /v1/messages as the body of /api/chat. */
#include <string.h>

#include "api/dialect/call_names.h"
#include "api/dialect/messages.h"
#include "base/base64.h"

#define N(a) (sizeof(a) / sizeof *(a))
#define AT(name) offsetof(struct messages_request, name)
#define PLAIN(name, kind)                                                                          \
    { #name, kind, AT(name), NULL, FIELD_ANY, NULL, NULL, NULL }
#define INNER(name, kind)                                                                          \
    { #name, kind, FIELD_NOT_STORED, NULL, FIELD_ANY, NULL, NULL, NULL }

/* ---- fields ---- */

static const struct field source_field[] = {INNER(type, FIELD_TEXT), INNER(media_type, FIELD_TEXT),
                                            INNER(data, FIELD_TEXT), INNER(url, FIELD_TEXT)};
static const struct fields source_fields = {"ImageSource", NULL, source_field, N(source_field)};
static const struct field block_field[] = {
    INNER(type, FIELD_TEXT),
    INNER(text, FIELD_TEXT),
    INNER(thinking, FIELD_TEXT),
    INNER(id, FIELD_TEXT),
    INNER(name, FIELD_TEXT),
    INNER(tool_use_id, FIELD_TEXT),
    INNER(is_error, FIELD_FLAG),
    {"source", FIELD_STRUCT, FIELD_NOT_STORED, "anthropic.ImageSource", FIELD_ANY, NULL,
     &source_fields, NULL},
};
static const struct fields block_fields = {"ContentBlock", "anthropic.ContentBlock", block_field,
                                           N(block_field)};

#define FIELD_ERROR "json: cannot unmarshal %s into Go struct field MessagesRequest.messages"

/* One message. Its content reads itself in the peer, so the errors in it are told in these words,
 * not by place. */
static enum status check_message(const json *m, struct err *e) {
    const json *role = json_get(m, "role"), *content = json_get(m, "content");
    if (json_kind(m) != JSON_OBJECT) return ST_INVALID; /* worded by the caller */
    if (role != NULL && json_kind(role) != JSON_STRING && json_kind(role) != JSON_NULL)
        return err_set(e, ST_INVALID, FIELD_ERROR ".role of type string", json_kind_name(role));
    if (content == NULL) return err_set(e, ST_INVALID, "unexpected end of JSON input");
    if (json_kind(content) == JSON_STRING || json_kind(content) == JSON_NULL) return ST_OK;
    if (json_kind(content) != JSON_ARRAY)
        return err_set(e, ST_INVALID, FIELD_ERROR " of type []anthropic.ContentBlock",
                       json_kind_name(content));
    for (const json *b = json_first(content); b != NULL; b = json_next(b)) {
        if (json_kind(b) == JSON_NULL) continue;
        if (json_kind(b) != JSON_OBJECT)
            return err_set(e, ST_INVALID, FIELD_ERROR " of type anthropic.ContentBlock",
                           json_kind_name(b));
        enum status st = request_decode_tree(&block_fields, b, NULL, e);
        if (st != ST_OK) return st;
    }
    return ST_OK;
}

static const struct field thinking_field[] = {INNER(type, FIELD_TEXT),
                                              INNER(budget_tokens, FIELD_INT)};
static const struct fields thinking_fields = {"ThinkingConfig", NULL, thinking_field, 2};
static const struct field output_field[] = {
    INNER(effort, FIELD_TEXT),
    {"format", FIELD_MAP, FIELD_NOT_STORED, "anthropic.OutputFormat", FIELD_ANY, NULL, NULL, NULL}};
static const struct fields output_fields = {"OutputConfig", NULL, output_field, 2};
static const struct field tool_field[] = {INNER(type, FIELD_TEXT), INNER(name, FIELD_TEXT),
                                          INNER(description, FIELD_TEXT)};
static const struct fields anthropic_tool_fields = {"Tool", NULL, tool_field, N(tool_field)};

static const struct field messages_field[] = {
    PLAIN(model, FIELD_TEXT),
    PLAIN(max_tokens, FIELD_INT),
    {"messages", FIELD_LIST, AT(messages), "[]anthropic.MessageParam", FIELD_CHECK,
     "anthropic.MessageParam", NULL, check_message},
    PLAIN(system, FIELD_ANY),
    PLAIN(stream, FIELD_FLAG),
    PLAIN(temperature, FIELD_FLOAT),
    PLAIN(top_p, FIELD_FLOAT),
    PLAIN(top_k, FIELD_INT),
    {"stop_sequences", FIELD_LIST, AT(stop_sequences), "[]string", FIELD_TEXT, NULL, NULL, NULL},
    {"tools", FIELD_LIST, AT(tools), "[]anthropic.Tool", FIELD_STRUCT, "anthropic.Tool",
     &anthropic_tool_fields, NULL},
    PLAIN(tool_choice, FIELD_ANY),
    {"thinking", FIELD_STRUCT, AT(thinking), "anthropic.ThinkingConfig", FIELD_ANY, NULL,
     &thinking_fields, NULL},
    {"output_config", FIELD_STRUCT, AT(output_config), "anthropic.OutputConfig", FIELD_ANY, NULL,
     &output_fields, NULL},
    {"options", FIELD_MAP, AT(options), "map[string]interface {}", FIELD_ANY, NULL, NULL, NULL},
};
static const struct fields messages_fields = {"MessagesRequest", "anthropic.MessagesRequest",
                                              messages_field, N(messages_field)};

/* ---- messages ---- */

struct writer { /* a list of native messages */
    struct buf *out;
    bool first;
    struct call_names names; /* of the tool calls in all messages */
    size_t place;            /* of the message that is being written */
};

static void open_message(struct writer *w, const char *role) {
    buf_str(w->out, w->first ? "{" : ",{");
    w->first = false;
    json_put_field(w->out, "role", role);
}

static bool is_type(const json *block, const char *type) {
    return strcmp(field_text(json_get(block, "type")), type) == 0;
}

static void put_list(struct buf *b, const char *key, struct buf *list) {
    if (list->len == 0) return;
    json_put_key(b, key);
    buf_add(b, list->data, list->len);
    buf_chr(b, ']');
}

static enum status add_image(struct buf *images, const json *source, const char *bad_source,
                             struct err *e) {
    size_t len = 0, bad;
    const char *type = field_text(json_get(source, "type"));
    const char *data = json_string_n(json_get(source, "data"), &len);
    if (json_kind(source) != JSON_OBJECT) return err_set(e, ST_INVALID, "%s", bad_source);
    if (strcmp(type, "base64") != 0)
        return err_set(e, ST_INVALID,
                       "invalid image source type: %.100s. Only base64 images are supported.",
                       type);
    if (data == NULL) return err_set(e, ST_INVALID, "%s", bad_source);
    if (!base64_get(NULL, data, len, &bad))
        return err_set(e, ST_INVALID,
                       "invalid base64 image data: illegal base64 data at input byte %zu", bad);
    add_list(images);
    json_put_string(images, data, len);
    return ST_OK;
}

/* A text or a list of blocks; what kind of blocks they are, is looked at where they are used. */
static enum status check_blocks(const json *v, const char *name, struct err *e) {
    bool ok =
        json_kind(v) == JSON_NULL || json_kind(v) == JSON_STRING || json_kind(v) == JSON_ARRAY;
    for (const json *m = json_kind(v) == JSON_ARRAY ? json_first(v) : NULL; m != NULL;
         m = json_next(m))
        ok = ok && (json_kind(m) == JSON_OBJECT || json_kind(m) == JSON_NULL);
    return ok ? ST_OK : err_set(e, ST_INVALID, "%s must be a string or a list of blocks", name);
}

/* A text, or the texts (and images) of a list of blocks. */
static enum status add_result(const json *content, struct buf *text, struct buf *images,
                              struct err *e) {
    enum status st = check_blocks(content, "tool_result content", e);
    buf_str(text, field_text(content));
    for (const json *m = json_kind(content) == JSON_ARRAY ? json_first(content) : NULL;
         m != NULL && st == ST_OK; m = json_next(m)) {
        if (is_type(m, "text")) buf_str(text, field_text(json_get(m, "text")));
        if (is_type(m, "image"))
            st = add_image(images, json_get(m, "source"), "invalid tool_result image source", e);
    }
    return st;
}

static enum status find_names(struct writer *w, const json *messages, struct err *e) {
    enum status st = ST_OK;
    size_t place = 0;
    for (const json *m = json_first(messages); m != NULL; m = json_next(m), place++)
        for (const json *b = json_first(json_get(m, "content")); b != NULL && st == ST_OK;
             b = json_next(b))
            if (is_type(b, "tool_use"))
                st = call_names_add(&w->names, field_text(json_get(b, "id")),
                                    field_text(json_get(b, "name")), place, e);
    call_names_sort(&w->names);
    return st;
}

static enum status put_result(struct writer *w, const json *block, struct err *e) {
    struct buf text = {0}, images = {0};
    const char *id = field_text(json_get(block, "tool_use_id"));
    const char *name = call_names_find(&w->names, id, w->place);
    enum status st = add_result(json_get(block, "content"), &text, &images, e);
    open_message(w, "tool");
    put_text(w->out, "content", text.data == NULL ? "" : text.data, text.len);
    put_list(w->out, "images", &images);
    if (*name != '\0') json_put_field(w->out, "tool_name", name);
    if (*id != '\0') json_put_field(w->out, "tool_call_id", id);
    buf_chr(w->out, '}');
    if (text.failed || images.failed) st = err_no_memory(e);
    buf_free(&text);
    buf_free(&images);
    return st;
}

struct parts { /* of one native message */
    struct buf text, thinking, images, calls;
    long long n_calls;
};

static enum status add_call(struct parts *p, const json *block, struct err *e) {
    static const char *const need[] = {"id", "name"};
    for (size_t i = 0; i < N(need); i++)
        if (*field_text(json_get(block, need[i])) == '\0')
            return err_set(e, ST_INVALID, "tool_use block missing required '%s' field", need[i]);
    const json *input = json_get(block, "input");
    add_list(&p->calls);
    put_call(&p->calls, field_text(json_get(block, "id")), p->n_calls++,
             field_text(json_get(block, "name")), json_kind(input) == JSON_NULL ? NULL : input);
    return ST_OK;
}

static enum status add_block(struct parts *p, const json *block, struct err *e) {
    if (is_type(block, "text")) buf_str(&p->text, field_text(json_get(block, "text")));
    if (is_type(block, "thinking")) buf_str(&p->thinking, field_text(json_get(block, "thinking")));
    if (is_type(block, "image"))
        return add_image(&p->images, json_get(block, "source"), "invalid image source", e);
    return is_type(block, "tool_use") ? add_call(p, block, e) : ST_OK;
}

static void put_parts(struct writer *w, const char *role, struct parts *p) {
    open_message(w, role);
    put_text(w->out, "content", p->text.data == NULL ? "" : p->text.data, p->text.len);
    if (p->thinking.len > 0) put_text(w->out, "thinking", p->thinking.data, p->thinking.len);
    put_list(w->out, "images", &p->images);
    put_list(w->out, "tool_calls", &p->calls);
    buf_chr(w->out, '}');
}

/* Results of tools become messages of their own, in front of what else the message says. */
static enum status put_message(struct writer *w, const json *m, struct err *e) {
    const json *content = json_get(m, "content");
    const json *blocks = json_kind(content) == JSON_ARRAY ? json_first(content) : NULL;
    struct parts p = {.n_calls = 0};
    enum status st = ST_OK;
    bool results = false;
    buf_str(&p.text, field_text(content));
    for (const json *b = blocks; b != NULL && st == ST_OK; b = json_next(b)) {
        if (!is_type(b, "tool_result")) continue;
        results = true;
        st = put_result(w, b, e);
    }
    for (const json *b = blocks; b != NULL && st == ST_OK; b = json_next(b))
        st = add_block(&p, b, e);
    bool empty = p.text.len == 0 && p.thinking.len == 0 && p.images.len == 0 && p.n_calls == 0;
    if (st == ST_OK && !(results && empty)) put_parts(w, field_text(json_get(m, "role")), &p);
    struct buf *const all[] = {&p.text, &p.thinking, &p.images, &p.calls};
    for (size_t i = 0; i < N(all); i++) {
        if (st == ST_OK && all[i]->failed) st = err_no_memory(e);
        buf_free(all[i]);
    }
    return st;
}

static enum status put_system(struct writer *w, const json *system, struct err *e) {
    struct buf text = {0};
    enum status st = check_blocks(system, "system", e);
    buf_str(&text, field_text(system));
    for (const json *b = json_kind(system) == JSON_ARRAY ? json_first(system) : NULL; b != NULL;
         b = json_next(b))
        if (is_type(b, "text")) buf_str(&text, field_text(json_get(b, "text")));
    if (text.failed) w->out->failed = true;
    if (text.len > 0) {
        open_message(w, "system");
        put_text(w->out, "content", text.data, text.len);
        buf_chr(w->out, '}');
    }
    buf_free(&text);
    return st;
}

static enum status put_messages(struct buf *b, const struct messages_request *r, struct err *e) {
    struct writer w = {.out = b, .first = true};
    enum status st = find_names(&w, r->messages, e);
    json_put_key(b, "messages");
    buf_chr(b, '[');
    if (st == ST_OK) st = put_system(&w, r->system, e);
    for (const json *m = json_first(r->messages); m != NULL && st == ST_OK; m = json_next(m)) {
        if (json_kind(m) == JSON_OBJECT) st = put_message(&w, m, e);
        w.place++;
    }
    buf_chr(b, ']');
    call_names_free(&w.names);
    return st;
}

/* ---- tools ---- */

static enum status add_tool(struct buf *b, const json *tool, struct err *e) {
    const char *name = field_text(json_get(tool, "name"));
    const json *schema = json_get(tool, "input_schema");
    struct err why;
    if (strncmp(field_text(json_get(tool, "type")), "web_search", 10) == 0) {
        add_web_search(b);
        return ST_OK;
    }
    if (schema != NULL && request_decode_tree(&tool_parameters_fields, schema, NULL, &why) != ST_OK)
        return err_set(e, ST_INVALID, "invalid input_schema for tool \"%.100s\": %s", name,
                       why.msg);
    add_list(b);
    buf_str(b, "{\"type\":\"function\",\"function\":{");
    json_put_field(b, "name", name);
    put_value(b, "description", json_get(tool, "description"));
    json_put_key(b, "parameters");
    if (json_kind(schema) == JSON_OBJECT)
        json_print(b, schema);
    else
        buf_str(b, "{\"type\":\"object\",\"properties\":{}}");
    buf_str(b, "}}");
    return ST_OK;
}

/* {"type":"auto" | "any" | "none"} or {"type":"tool","name":...} */
static enum status read_choice(const json *v, struct tool_choice *out, struct err *e) {
    static const struct {
        const char *type;
        enum tool_use use;
    } row[] = {
        {"auto", TOOLS_AUTO}, {"any", TOOLS_REQUIRED}, {"none", TOOLS_NONE}, {"tool", TOOLS_NAMED}};
    const char *type = field_text(json_get(v, "type"));
    *out = (struct tool_choice){TOOLS_AUTO, field_text(json_get(v, "name"))};
    if (json_kind(v) == JSON_NULL) return ST_OK;
    for (size_t i = 0; i < N(row); i++) {
        if (strcmp(type, row[i].type) != 0) continue;
        out->use = row[i].use;
        return ST_OK;
    }
    return err_set(e, ST_INVALID,
                   "tool_choice.type must be \"auto\", \"any\", \"tool\" or \"none\"");
}

static enum status put_all_tools(struct buf *b, const struct messages_request *r, struct err *e) {
    struct buf tools = {0};
    struct tool_choice choice;
    enum status st = read_choice(r->tool_choice, &choice, e);
    for (const json *t = json_first(r->tools); t != NULL && st == ST_OK; t = json_next(t))
        if (json_kind(t) == JSON_OBJECT) st = add_tool(&tools, t, e);
    if (tools.len > 0) buf_chr(&tools, ']');
    if (st == ST_OK && tools.failed) st = err_no_memory(e);
    if (st == ST_OK) st = put_tools(b, &tools, &choice, e);
    buf_free(&tools);
    return st;
}

/* ---- the rest ---- */

static void put_think(struct buf *b, const struct messages_request *r) {
    static const struct {
        const char *effort, *think;
    } row[] = {{"low", "\"low\""},
               {"medium", "\"medium\""},
               {"high", "\"high\""},
               {"max", "\"max\""},
               {"xhigh", "\"high\""}};
    const char *effort = field_text(json_get(r->output_config, "effort")), *think = "true";
    if (is_type(r->thinking, "disabled")) buf_str(b, ",\"think\":false");
    if (is_type(r->thinking, "enabled")) buf_str(b, ",\"think\":true");
    if (!is_type(r->thinking, "adaptive")) return;
    for (size_t i = 0; i < N(row); i++)
        if (strcmp(row[i].effort, effort) == 0) think = row[i].think;
    buf_printf(b, ",\"think\":%s", think);
}

static enum status translate_body(const struct messages_request *r, struct buf *b, struct err *e) {
    buf_chr(b, '{');
    json_put_field(b, "model", field_text(r->model));
    enum status st = put_messages(b, r, e);
    if (st == ST_OK) st = put_all_tools(b, r, e);
    if (st != ST_OK) return st;
    put_options(b, &(struct dialect_options){.options = r->options,
                                             .temperature = r->temperature,
                                             .top_p = r->top_p,
                                             .top_k = r->top_k,
                                             .num_predict = r->max_tokens,
                                             .stop = r->stop_sequences});
    put_think(b, r);
    const json *format = json_get(r->output_config, "format");
    if (is_type(format, "json_schema")) put_value(b, "format", json_get(format, "schema"));
    buf_str(b, field_flag(r->stream, false) ? ",\"stream\":true}" : ",\"stream\":false}");
    return ST_OK;
}

static enum status translate(const void *request, struct buf *b, struct err *e) {
    const struct messages_request *r = request;
    if (*field_text(r->model) == '\0') return err_set(e, ST_INVALID, "model is required");
    if (field_int(r->max_tokens, 0) <= 0)
        return err_set(e, ST_INVALID, "max_tokens is required and must be positive");
    if (json_len(r->messages) == 0) return err_set(e, ST_INVALID, "messages is required");
    return translate_body(r, b, e);
}

/* Counting needs no max_tokens. The route misses messages itself, after the model. */
static enum status translate_count(const void *request, struct buf *b, struct err *e) {
    const struct messages_request *r = request;
    if (*field_text(r->model) == '\0') return err_set(e, ST_INVALID, "model is required");
    return translate_body(r, b, e);
}

const struct dialect_reader dialect_messages = {DIALECT_ANTHROPIC, &messages_fields,
                                                sizeof(struct messages_request), true, translate};
const struct dialect_reader dialect_count_tokens = {
    DIALECT_ANTHROPIC, &messages_fields, sizeof(struct messages_request), true, translate_count};
