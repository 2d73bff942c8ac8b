/* responses_object.c - the response object: many fields, all of them always there, because clients
 * have strict types for them. Most repeat the request. */
#include "api/dialect/responses.h"

static void put_or(struct buf *b, const char *key, const json *v, const char *fallback) {
    json_put_key(b, key);
    if (v != NULL)
        json_print(b, v);
    else
        buf_str(b, fallback);
}

static void put_time(struct buf *b, const char *key, long long when) {
    json_put_key(b, key);
    if (when != 0)
        buf_printf(b, "%lld", when);
    else
        buf_str(b, "null");
}

/* Functions as they came, with null for what was left out. */
static void put_own_tools(struct buf *b, const json *tools) {
    json_put_key(b, "tools");
    buf_chr(b, '[');
    for (const json *t = json_first(tools); t != NULL; t = json_next(t)) {
        buf_str(b, t == json_first(tools) ? "{" : ",{");
        json_put_field(b, "type", field_text(json_get(t, "type")));
        put_or(b, "name", json_get(t, "name"), "null");
        put_or(b, "description", json_get(t, "description"), "null");
        put_or(b, "strict", json_get(t, "strict"), "null");
        put_or(b, "parameters", json_get(t, "parameters"), "null");
        put_value(b, "tools", json_get(t, "tools"));
        buf_chr(b, '}');
    }
    buf_chr(b, ']');
}

static void put_reasoning(struct buf *b, const json *reasoning) {
    const json *summary = json_get(reasoning, "summary");
    json_put_key(b, "reasoning");
    if (reasoning == NULL) {
        buf_str(b, "null");
        return;
    }
    buf_chr(b, '{');
    put_or(b, "effort", json_get(reasoning, "effort"), "null");
    if (json_kind(summary) != JSON_NULL) put_value(b, "summary", summary);
    buf_chr(b, '}');
}

static void put_text_format(struct buf *b, const json *text) {
    const json *format = json_get(text, "format");
    buf_str(b, ",\"text\":{\"format\":");
    if (json_kind(format) == JSON_OBJECT)
        json_print(b, format);
    else
        buf_str(b, "{\"type\":\"text\"}");
    buf_chr(b, '}');
}

static void put_usage(struct buf *b, const struct responses_state *s) {
    unsigned in = s->stats == NULL ? 0 : s->stats->n_prompt;
    unsigned out = s->stats == NULL ? 0 : s->stats->n_generated;
    json_put_key(b, "usage");
    if (!s->usage) {
        buf_str(b, "null");
        return;
    }
    buf_printf(b,
               "{\"input_tokens\":%u,\"output_tokens\":%u,\"total_tokens\":%llu,"
               "\"input_tokens_details\":{\"cached_tokens\":0},"
               "\"output_tokens_details\":{\"reasoning_tokens\":0}}",
               in, out, (unsigned long long)in + out);
}

static void put_output(struct buf *b, const struct responses_state *s) {
    json_put_key(b, "output");
    if (s->null_output) {
        buf_str(b, "null");
        return;
    }
    buf_chr(b, '[');
    if (s->output != NULL) buf_add(b, s->output->data, s->output->len);
    buf_chr(b, ']');
}

static void put_error_field(struct buf *b, const char *message) {
    json_put_key(b, "error");
    if (message == NULL) {
        buf_str(b, "null");
        return;
    }
    buf_chr(b, '{');
    json_put_field(b, "code", "server_error");
    json_put_field(b, "message", message);
    buf_chr(b, '}');
}

void responses_put(struct buf *b, const struct responses_state *s) {
    const struct responses_request *r = s->request;
    buf_printf(b, "{\"id\":\"resp_%lu\",\"object\":\"response\"", s->id);
    put_time(b, "created_at", s->created);
    put_time(b, "completed_at", s->completed);
    json_put_field(b, "status", s->status);
    buf_str(b, ",\"incomplete_details\":null");
    json_put_field(b, "model", s->model);
    buf_str(b, ",\"previous_response_id\":null");
    put_or(b, "instructions", r->instructions, "null");
    put_output(b, s);
    put_error_field(b, s->error);
    put_own_tools(b, r->tools);
    put_or(b, "tool_choice", r->tool_choice, "\"auto\"");
    put_or(b, "truncation", r->truncation, "\"disabled\"");
    buf_str(b, ",\"parallel_tool_calls\":true");
    put_text_format(b, r->text);
    put_or(b, "top_p", r->top_p, "1");
    buf_str(b, ",\"presence_penalty\":0,\"frequency_penalty\":0,\"top_logprobs\":0");
    put_or(b, "temperature", r->temperature, "1");
    put_reasoning(b, r->reasoning);
    put_usage(b, s);
    put_or(b, "max_output_tokens", r->max_output_tokens, "null");
    buf_str(b, ",\"max_tool_calls\":null,\"store\":false");
    put_or(b, "background", r->background, "false");
    buf_str(b, ",\"service_tier\":\"default\"");
    put_or(b, "metadata", json_kind(r->metadata) == JSON_OBJECT ? r->metadata : NULL, "{}");
    buf_str(b, ",\"safety_identifier\":null,\"prompt_cache_key\":null}");
}
