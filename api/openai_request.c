/* openai_request.c - the body of /v1/chat/completions as the body of /api/chat. JSON to JSON: what
 * the native decoder then checks, checks both dialects. */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "api/openai.h"
#include "api/think.h"

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
static const struct fields usage_fields = {"StreamOptions", NULL, usage_field, 1};
static const struct field format_field[] = {INNER(type, FIELD_TEXT), INNER(json_schema, FIELD_ANY)};
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
    PLAIN(n, FIELD_ANY),
    {"_debug_render_only", FIELD_FLAG, AT(debug), NULL, FIELD_ANY, NULL, NULL, NULL},
    {"reasoning", FIELD_STRUCT, AT(reasoning), "openai.Reasoning", FIELD_ANY, NULL, &effort_fields,
     NULL},
    {"stream_options", FIELD_STRUCT, AT(stream_options), "openai.StreamOptions", FIELD_ANY, NULL,
     &usage_fields, NULL},
    {"response_format", FIELD_STRUCT, AT(response_format), "openai.ResponseFormat", FIELD_ANY, NULL,
     &format_fields, NULL},
    {"messages", FIELD_LIST, AT(messages), "[]openai.Message", FIELD_STRUCT, "openai.Message",
     &message_fields_openai, NULL},
    {"tools", FIELD_LIST, AT(tools), "[]api.Tool", FIELD_STRUCT, "api.Tool", &tool_fields, NULL},
};
const struct fields openai_chat_fields = {"ChatCompletionRequest", "openai.ChatCompletionRequest",
                                          chat_field, N(chat_field)};

/* ---- messages ---- */

struct writer {
    struct buf *out;
    const json *messages; /* the request's */
    bool first;
};

static void put_string(struct buf *b, const char *key, const char *text) {
    json_put_field(b, key, text);
}

/* The name of the earlier tool call with this id; "" if there is none. */
static const char *call_name(const json *messages, const json *until, const char *id) {
    const char *name = "";
    for (const json *m = json_first(messages); m != NULL && m != until; m = json_next(m))
        for (const json *c = json_first(json_get(m, "tool_calls")); c != NULL; c = json_next(c))
            if (strcmp(field_text(json_get(c, "id")), id) == 0)
                name = field_text(json_get(json_get(c, "function"), "name"));
    return name;
}

static enum status put_calls(struct buf *b, const json *calls, struct err *e) {
    long long index = 0;
    json_put_key(b, "tool_calls");
    for (const json *c = json_first(calls); c != NULL; c = json_next(c), index++) {
        const json *f = json_get(c, "function");
        const char *args = field_text(json_get(f, "arguments"));
        json *tree = json_parse(args, strlen(args), &json_default_limits, NULL, NULL);
        bool ok = json_kind(tree) == JSON_OBJECT;
        buf_str(b, index == 0 ? "[{" : ",{");
        put_string(b, "id", field_text(json_get(c, "id")));
        buf_printf(b, ",\"function\":{\"index\":%lld",
                   (long long)field_int(json_get(c, "index"), index));
        put_string(b, "name", field_text(json_get(f, "name")));
        json_put_key(b, "arguments");
        if (ok) json_print(b, tree);
        buf_str(b, "}}");
        json_free(tree);
        if (!ok) return err_set(e, ST_INVALID, "invalid tool call arguments");
    }
    buf_chr(b, ']');
    return ST_OK;
}

/* What belongs to the last native message of an OpenAI one. */
static enum status put_rest(const struct writer *w, const json *m, struct err *e) {
    const char *id = field_text(json_get(m, "tool_call_id")),
               *name = field_text(json_get(m, "name"));
    const json *calls = json_get(m, "tool_calls");
    const char *reasoning = field_text(json_get(m, "reasoning"));
    if (*reasoning != '\0') put_string(w->out, "thinking", reasoning);
    if (strcasecmp(field_text(json_get(m, "role")), "tool") == 0) {
        if (*name == '\0' && *id != '\0') name = call_name(w->messages, m, id);
        if (*name != '\0') put_string(w->out, "tool_name", name);
    }
    if (*id != '\0') put_string(w->out, "tool_call_id", id);
    return json_len(calls) > 0 ? put_calls(w->out, calls, e) : ST_OK;
}

static void open_message(struct writer *w, const json *m) {
    buf_str(w->out, w->first ? "{" : ",{");
    w->first = false;
    put_string(w->out, "role", field_text(json_get(m, "role")));
}

/* The data of "data:image/png;base64,DATA"; NULL with e set if it is not one. */
static const char *image_data(const char *url, struct err *e) {
    static const char *const prefix[] = {"data:image/jpeg;base64,", "data:image/jpg;base64,",
                                         "data:image/png;base64,", "data:image/webp;base64,",
                                         "data:;base64,"};
    size_t bad;
    if (strncmp(url, "http://", 7) == 0 || strncmp(url, "https://", 8) == 0) {
        err_set(e, ST_INVALID,
                "image URLs are not currently supported, please use base64 encoded data instead");
        return NULL;
    }
    for (size_t i = 0; i < N(prefix); i++) {
        size_t n = strlen(prefix[i]);
        if (strncmp(url, prefix[i], n) == 0 && base64_check(url + n, strlen(url + n), &bad))
            return url + n;
    }
    err_set(e, ST_INVALID, "invalid image input");
    return NULL;
}

static const char *audio_data(const json *audio, struct err *e) {
    size_t bad;
    const char *data = json_string(json_get(audio, "data"));
    if (json_kind(audio) != JSON_OBJECT) {
        err_set(e, ST_INVALID, "invalid input_audio format");
    } else if (data == NULL || *data == '\0') {
        err_set(e, ST_INVALID, "invalid input_audio format: missing data");
    } else if (!base64_check(data, strlen(data), &bad)) {
        err_set(e, ST_INVALID,
                "invalid input_audio base64 data: illegal base64 data at input byte %zu", bad);
    } else {
        return data;
    }
    return NULL;
}

static enum status put_image(struct buf *b, const char *data) {
    if (data == NULL) return ST_INVALID;
    put_string(b, "content", "");
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
        put_string(w->out, "content", text);
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
    put_string(w->out, "content", field_text(content));
    enum status st = put_rest(w, m, e);
    buf_chr(w->out, '}');
    return st;
}

static enum status put_messages(struct buf *b, const json *messages, struct err *e) {
    struct writer w = {b, messages, true};
    enum status st = ST_OK;
    if (json_len(messages) == 0) return err_set(e, ST_INVALID, "[] is too short - 'messages'");
    json_put_key(b, "messages");
    buf_chr(b, '[');
    for (const json *m = json_first(messages); m != NULL && st == ST_OK; m = json_next(m))
        st = put_message(&w, m, e);
    buf_chr(b, ']');
    return st;
}

/* ---- options and the rest ---- */

static void put_number(struct buf *b, const char *name, const json *v, const char *fallback) {
    if (v == NULL && fallback == NULL) return;
    json_put_key(b, name);
    if (v != NULL)
        json_print(b, v);
    else
        buf_str(b, fallback);
}

static void put_stop(struct buf *b, const json *stop) {
    const char *one = json_string(stop);
    bool first = true;
    if (one == NULL && json_len(stop) == 0) return;
    json_put_key(b, "stop");
    buf_chr(b, '[');
    if (one != NULL) json_put_string(b, one, strlen(one));
    for (const json *v = one == NULL ? json_first(stop) : NULL; v != NULL; v = json_next(v)) {
        size_t len;
        const char *text = json_string_n(v, &len);
        if (text == NULL) continue;
        if (!first) buf_chr(b, ',');
        first = false;
        json_put_string(b, text, len);
    }
    buf_chr(b, ']');
}

static void put_options(struct buf *b, const struct openai_chat *r) {
    json_put_key(b, "options");
    buf_chr(b, '{');
    put_number(b, "temperature", r->temperature, "1.0");
    put_number(b, "top_p", r->top_p, "1.0");
    put_number(b, "seed", r->seed, NULL);
    put_number(b, "frequency_penalty", r->frequency_penalty, NULL);
    put_number(b, "presence_penalty", r->presence_penalty, NULL);
    put_number(b, "num_predict",
               r->max_completion_tokens != NULL ? r->max_completion_tokens : r->max_tokens, NULL);
    put_stop(b, r->stop);
    buf_chr(b, '}');
}

static enum status put_think(struct buf *b, const struct openai_chat *r, struct err *e) {
    static const struct {
        const char *effort, *think;
    } row[] = {{"none", "false"},        {"minimal", "\"low\""}, {"low", "\"low\""},
               {"medium", "\"medium\""}, {"high", "\"high\""},   {"max", "\"max\""},
               {"xhigh", "\"max\""},     {"ultra", "\"max\""}};
    const char *effort = field_text(json_get(r->reasoning, "effort"));
    if (*effort == '\0') effort = field_text(r->reasoning_effort);
    if (*effort == '\0') return ST_OK;
    for (size_t i = 0; i < N(row); i++) {
        if (strcmp(row[i].effort, effort) != 0) continue;
        buf_printf(b, ",\"think\":%s", row[i].think);
        return ST_OK;
    }
    return err_set(e, ST_INVALID,
                   "invalid reasoning value: \"%.100s\" (must be \"minimal\", \"low\", \"medium\", "
                   "\"high\", \"xhigh\", \"ultra\", \"max\", or \"none\")",
                   effort);
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

static void put_value(struct buf *b, const char *key, const json *v) {
    if (v == NULL) return;
    json_put_key(b, key);
    json_print(b, v);
}

enum status openai_to_native(const struct openai_chat *r, struct buf *b, struct err *e) {
    buf_chr(b, '{');
    put_string(b, "model", field_text(r->model));
    enum status st = put_messages(b, r->messages, e);
    if (st == ST_OK && field_int(r->n, 1) > 1)
        st = err_set(e, ST_INVALID, "n > 1 is not supported");
    if (st == ST_OK) st = put_think(b, r, e);
    if (st != ST_OK) return st;
    put_options(b, r);
    put_format(b, r->response_format);
    if (strcmp(field_text(r->tool_choice), "none") != 0) {
        put_value(b, "tools", r->tools);
        put_value(b, "tool_choice", r->tool_choice);
    }
    put_value(b, "logprobs", r->logprobs);
    put_value(b, "top_logprobs", r->top_logprobs);
    put_value(b, "_debug_render_only", r->debug);
    buf_str(b, field_flag(r->stream, false) ? ",\"stream\":true}" : ",\"stream\":false}");
    return b->failed ? err_no_memory(e) : ST_OK;
}
