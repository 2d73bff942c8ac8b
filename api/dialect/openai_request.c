/* openai_request.c - the body of /v1/chat/completions as the body of /api/chat. JSON to JSON: what
 * the native decoder then checks, checks both dialects. */
#include <string.h>
#include <strings.h>

#include "api/dialect/call_names.h"
#include "api/dialect/openai.h"
#include "api/think.h"
#include "base/base64.h"

/* ---- fields ---- */

#define AT(name) offsetof(struct openai_chat, name)
#define PLAIN(name, kind)                                                                          \
    { #name, kind, AT(name), NULL, FIELD_ANY, NULL, NULL, NULL }
#define INNER(name, kind)                                                                          \
    { #name, kind, FIELD_NOT_STORED, NULL, FIELD_ANY, NULL, NULL, NULL }
#define N(a) (sizeof(a) / sizeof *(a))

static const struct field call_function_field[] = {INNER(name, FIELD_TEXT),
                                                   INNER(arguments, FIELD_TEXT)};
/* The peer's type of this level has no name: "Go struct field .messages.tool_calls..." */
static const struct fields call_function = {"", NULL, call_function_field, N(call_function_field)};
static const struct field call_field[] = {
    INNER(id, FIELD_TEXT),
    INNER(index, FIELD_INT),
    INNER(type, FIELD_TEXT),
    {"function", FIELD_STRUCT, FIELD_NOT_STORED, "struct", FIELD_ANY, NULL, &call_function, NULL},
};
static const struct fields call_fields = {"ToolCall", NULL, call_field, N(call_field)};
static const struct field message_field[] = {
    INNER(role, FIELD_TEXT),
    INNER(content, FIELD_ANY),
    INNER(reasoning, FIELD_TEXT),
    INNER(name, FIELD_TEXT),
    INNER(tool_call_id, FIELD_TEXT),
    {"tool_calls", FIELD_LIST, FIELD_NOT_STORED, "[]openai.ToolCall", FIELD_STRUCT,
     "openai.ToolCall", &call_fields, NULL},
};
static const struct fields message_fields_openai = {"Message", NULL, message_field,
                                                    N(message_field)};
static const struct field effort_field[] = {INNER(effort, FIELD_TEXT)};
static const struct fields effort_fields = {"Reasoning", NULL, effort_field, 1};
static const struct field usage_field[] = {INNER(include_usage, FIELD_FLAG)};
const struct fields openai_usage_fields = {"StreamOptions", NULL, usage_field, 1};
static const struct field format_field[] = {
    INNER(type, FIELD_TEXT),
    {"json_schema", FIELD_MAP, FIELD_NOT_STORED, "openai.JsonSchema", FIELD_ANY, NULL, NULL, NULL}};
static const struct fields format_fields = {"ResponseFormat", NULL, format_field, 2};

static const struct field chat_field[] = {
    PLAIN(model, FIELD_TEXT),
    PLAIN(stream, FIELD_FLAG),
    PLAIN(max_tokens, FIELD_INT),
    PLAIN(max_completion_tokens, FIELD_INT),
    PLAIN(temperature, FIELD_FLOAT),
    PLAIN(top_p, FIELD_FLOAT),
    PLAIN(seed, FIELD_INT),
    PLAIN(frequency_penalty, FIELD_FLOAT),
    PLAIN(presence_penalty, FIELD_FLOAT),
    PLAIN(stop, FIELD_ANY),
    PLAIN(reasoning_effort, FIELD_TEXT),
    PLAIN(logprobs, FIELD_FLAG),
    PLAIN(top_logprobs, FIELD_INT),
    PLAIN(tool_choice, FIELD_ANY),
    PLAIN(n, FIELD_INT),
    PLAIN(logit_bias, FIELD_ANY),
    {"options", FIELD_MAP, AT(options), "map[string]interface {}", FIELD_ANY, NULL, NULL, NULL},
    {"lora", FIELD_ANY, AT(lora), NULL, FIELD_ANY, NULL, NULL, NULL},
    {"_debug_render_only", FIELD_FLAG, AT(debug), NULL, FIELD_ANY, NULL, NULL, NULL},
    {"reasoning", FIELD_STRUCT, AT(reasoning), "openai.Reasoning", FIELD_ANY, NULL, &effort_fields,
     NULL},
    {"stream_options", FIELD_STRUCT, AT(stream_options), "openai.StreamOptions", FIELD_ANY, NULL,
     &openai_usage_fields, NULL},
    {"response_format", FIELD_STRUCT, AT(response_format), "openai.ResponseFormat", FIELD_ANY, NULL,
     &format_fields, NULL},
    {"messages", FIELD_LIST, AT(messages), "[]openai.Message", FIELD_STRUCT, "openai.Message",
     &message_fields_openai, NULL},
    {"tools", FIELD_LIST, AT(tools), "[]api.Tool", FIELD_STRUCT, "api.Tool", &tool_fields, NULL},
};
static const struct fields openai_chat_fields = {
    "ChatCompletionRequest", "openai.ChatCompletionRequest", chat_field, N(chat_field)};

/* ---- messages ---- */

struct writer {
    struct buf *out;
    bool first;
    struct call_names names; /* of the tool calls in all messages */
    size_t place;            /* of the message that is being written */
};

static enum status find_names(struct writer *w, const json *messages, struct err *e) {
    enum status st = ST_OK;
    size_t place = 0;
    for (const json *m = json_first(messages); m != NULL; m = json_next(m), place++)
        for (const json *c = json_first(json_get(m, "tool_calls")); c != NULL && st == ST_OK;
             c = json_next(c))
            st = call_names_add(&w->names, field_text(json_get(c, "id")),
                                field_text(json_get(json_get(c, "function"), "name")), place, e);
    call_names_sort(&w->names);
    return st;
}

static enum status put_calls(struct buf *b, const json *calls, struct err *e) {
    enum status st = ST_OK;
    long long index = 0;
    json_put_key(b, "tool_calls");
    buf_chr(b, '[');
    for (const json *c = json_first(calls); c != NULL && st == ST_OK; c = json_next(c), index++) {
        const json *f = json_get(c, "function");
        const char *args = field_text(json_get(f, "arguments"));
        json *tree = json_parse(args, strlen(args), &json_default_limits, NULL, NULL);
        if (index > 0) buf_chr(b, ',');
        put_call(b, field_text(json_get(c, "id")), field_int(json_get(c, "index"), index),
                 field_text(json_get(f, "name")), tree);
        if (json_kind(tree) != JSON_OBJECT)
            st = err_set(e, ST_INVALID, "invalid tool call arguments");
        json_free(tree);
    }
    buf_chr(b, ']');
    return st;
}

/* What belongs to the last native message of an OpenAI one. */
static enum status put_rest(const struct writer *w, const json *m, struct err *e) {
    const char *id = field_text(json_get(m, "tool_call_id")),
               *name = field_text(json_get(m, "name"));
    const json *calls = json_get(m, "tool_calls");
    const char *reasoning = field_text(json_get(m, "reasoning"));
    if (*reasoning != '\0') json_put_field(w->out, "thinking", reasoning);
    if (strcasecmp(field_text(json_get(m, "role")), "tool") == 0) {
        if (*name == '\0' && *id != '\0') name = call_names_find(&w->names, id, w->place);
        if (*name != '\0') json_put_field(w->out, "tool_name", name);
    }
    if (*id != '\0') json_put_field(w->out, "tool_call_id", id);
    return json_len(calls) > 0 ? put_calls(w->out, calls, e) : ST_OK;
}

static void open_message(struct writer *w, const json *m) {
    buf_str(w->out, w->first ? "{" : ",{");
    w->first = false;
    json_put_field(w->out, "role", field_text(json_get(m, "role")));
}

static const char *audio_data(const json *audio, struct err *e) {
    size_t bad;
    const char *data = json_string(json_get(audio, "data"));
    if (json_kind(audio) != JSON_OBJECT) {
        err_set(e, ST_INVALID, "invalid input_audio format");
    } else if (data == NULL || *data == '\0') {
        err_set(e, ST_INVALID, "invalid input_audio format: missing data");
    } else if (!base64_get(NULL, data, strlen(data), &bad)) {
        err_set(e, ST_INVALID,
                "invalid input_audio base64 data: illegal base64 data at input byte %zu", bad);
    } else {
        return data;
    }
    return NULL;
}

static enum status put_image(struct buf *b, const char *data) {
    if (data == NULL) return ST_INVALID;
    json_put_field(b, "content", "");
    json_put_key(b, "images");
    buf_chr(b, '[');
    json_put_string(b, data, strlen(data));
    buf_chr(b, ']');
    return ST_OK;
}

/* One part of a content list; each is a native message. */
static enum status put_part(const struct writer *w, const json *part, struct err *e) {
    const char *type = field_text(json_get(part, "type"));
    const json *image = json_get(part, "image_url");
    if (json_kind(part) == JSON_OBJECT && strcmp(type, "text") == 0) {
        const char *text = json_string(json_get(part, "text"));
        if (text == NULL) return err_set(e, ST_INVALID, "invalid message format");
        json_put_field(w->out, "content", text);
        return ST_OK;
    }
    if (strcmp(type, "image_url") == 0) {
        const char *url =
            json_string(json_kind(image) == JSON_OBJECT ? json_get(image, "url") : image);
        if (url == NULL) return err_set(e, ST_INVALID, "invalid message format");
        return put_image(w->out, image_data(url, e));
    }
    if (strcmp(type, "input_audio") == 0)
        return put_image(w->out, audio_data(json_get(part, "input_audio"), e));
    return err_set(e, ST_INVALID, "invalid message format");
}

static enum status put_parts(struct writer *w, const json *m, struct err *e) {
    enum status st = ST_OK;
    for (const json *p = json_first(json_get(m, "content")); p != NULL && st == ST_OK;
         p = json_next(p)) {
        open_message(w, m);
        st = put_part(w, p, e);
        if (st == ST_OK && json_next(p) == NULL) st = put_rest(w, m, e);
        buf_chr(w->out, '}');
    }
    return st;
}

static enum status put_message(struct writer *w, const json *m, struct err *e) {
    static const char *const go_type[] = {[JSON_NULL] = "<nil>",
                                          [JSON_BOOL] = "bool",
                                          [JSON_NUMBER] = "float64",
                                          [JSON_OBJECT] = "map[string]interface {}"};
    const json *content = json_get(m, "content");
    enum json_kind kind = json_kind(content);
    bool calls = json_len(json_get(m, "tool_calls")) > 0;
    if (kind == JSON_ARRAY) return put_parts(w, m, e);
    if (kind != JSON_STRING && !(kind == JSON_NULL && calls))
        return err_set(e, ST_INVALID, "invalid message content type: %s", go_type[kind]);
    open_message(w, m);
    json_put_field(w->out, "content", field_text(content));
    enum status st = put_rest(w, m, e);
    buf_chr(w->out, '}');
    return st;
}

static enum status put_messages(struct buf *b, const json *messages, struct err *e) {
    struct writer w = {.out = b, .first = true};
    if (json_len(messages) == 0) return err_set(e, ST_INVALID, "[] is too short - 'messages'");
    enum status st = find_names(&w, messages, e);
    json_put_key(b, "messages");
    buf_chr(b, '[');
    for (const json *m = json_first(messages); m != NULL && st == ST_OK; m = json_next(m)) {
        st = put_message(&w, m, e);
        w.place++;
    }
    buf_chr(b, ']');
    call_names_free(&w.names);
    return st;
}

/* ---- options and the rest ---- */

static enum status put_think(struct buf *b, const struct openai_chat *r, struct err *e) {
    const char *effort = field_text(json_get(r->reasoning, "effort"));
    return put_effort(b, *effort != '\0' ? effort : field_text(r->reasoning_effort), e);
}

static bool is_word(const char *text, const char *word) { /* trimmed, without case */
    size_t skip = text_skip_space(text, strlen(text)), n = strlen(word);
    text += skip;
    return strncasecmp(text, word, n) == 0 &&
           text[n + text_skip_space(text + n, strlen(text + n))] == '\0';
}

static void put_format(struct buf *b, const json *format) {
    const char *type = field_text(json_get(format, "type"));
    const json *schema = json_get(json_get(format, "json_schema"), "schema");
    if (is_word(type, "json_object")) {
        buf_str(b, ",\"format\":\"json\"");
    } else if (is_word(type, "json_schema") && schema != NULL) {
        buf_str(b, ",\"format\":");
        json_print(b, schema);
    }
}

enum status check_n(const json *n, struct err *e) {
    int64_t v = field_int(n, 1);
    if (v >= 1 && v <= MAX_CHOICES) return ST_OK;
    return err_set(e, ST_INVALID, "n must be between 1 and %d", MAX_CHOICES);
}

static enum status translate(const void *request, struct buf *b, struct err *e) {
    const struct openai_chat *r = request;
    struct tool_choice choice;
    struct buf tools = {0};
    buf_chr(b, '{');
    json_put_field(b, "model", field_text(r->model));
    enum status st = put_messages(b, r->messages, e);
    if (st == ST_OK) st = check_n(r->n, e);
    if (st == ST_OK) st = put_think(b, r, e);
    if (st == ST_OK) st = read_tool_choice(r->tool_choice, &choice, e);
    if (st == ST_OK) st = openai_check_stop(r->stop, false, e);
    if (st != ST_OK) return st;
    put_options(b, &(struct dialect_options){.options = r->options,
                                             .temperature = r->temperature,
                                             .top_p = r->top_p,
                                             .seed = r->seed,
                                             .frequency_penalty = r->frequency_penalty,
                                             .presence_penalty = r->presence_penalty,
                                             .num_predict = r->max_completion_tokens != NULL
                                                                ? r->max_completion_tokens
                                                                : r->max_tokens,
                                             .stop = r->stop,
                                             .logit_bias = r->logit_bias,
                                             .defaults = OPENAI_DEFAULTS});
    put_value(b, "lora", r->lora);
    put_format(b, r->response_format);
    if (json_len(r->tools) > 0) json_print(&tools, r->tools);
    st = put_tools(b, &tools, &choice, e);
    put_value(b, "logprobs", r->logprobs);
    put_value(b, "top_logprobs", r->top_logprobs);
    put_value(b, "_debug_render_only", r->debug);
    buf_str(b, field_flag(r->stream, false) ? ",\"stream\":true}" : ",\"stream\":false}");
    if (tools.failed) st = err_no_memory(e);
    buf_free(&tools);
    return st;
}

const struct dialect_reader dialect_openai_chat = {DIALECT_OPENAI, &openai_chat_fields,
                                                   sizeof(struct openai_chat), true, translate};
