/* openai.c - POST /v1/chat/completions: pieces as choices, in one object or as a stream of chunks
 * (spec/api.md 6.1, 6.2). */
#include "api/openai.h"

#include <string.h>
#include <time.h>

#include "api/native.h"
#include "api/server_impl.h"

route_fn route_openai_chat;

struct answer {
    const struct gen_request *r;
    struct stream stream;
    unsigned long id;
    long long created;
    bool usage;        /* stream_options.include_usage */
    bool sent, called; /* a chunk went out; with tool calls in it */
};

static void put_head(struct buf *b, const struct answer *a, const char *object) {
    buf_printf(b, "{\"id\":\"chatcmpl-%lu\",\"object\":\"%s\",\"created\":%lld", a->id, object,
               a->created);
    json_put_field(b, "model", a->r->model);
    json_put_field(b, "system_fingerprint", "fp_ollama");
}

static void put_usage(struct buf *b, const struct gen_stats *s) {
    uint32_t prompt = s == NULL ? 0 : s->n_prompt, made = s == NULL ? 0 : s->n_generated;
    buf_printf(b,
               ",\"usage\":{\"prompt_tokens\":%u,\"completion_tokens\":%u,\"total_tokens\":%llu}",
               prompt, made, (unsigned long long)prompt + made);
}

/* Native calls {"id","function":{"index","name","arguments":{}}} as OpenAI's. */
static void put_calls(struct buf *b, const char *calls) {
    struct buf text = {0};
    bool first = true;
    buf_printf(&text, "[");
    buf_str(&text, calls);
    buf_chr(&text, ']');
    json *list =
        text.failed ? NULL : json_parse(text.data, text.len, &json_default_limits, NULL, NULL);
    buf_str(b, ",\"tool_calls\":[");
    for (const json *c = json_first(list); c != NULL; c = json_next(c)) {
        const json *f = json_get(c, "function");
        struct buf args = {0};
        json_print(&args, json_get(f, "arguments"));
        buf_str(b, first ? "{" : ",{");
        first = false;
        json_put_field(b, "id", field_text(json_get(c, "id")));
        json_put_field_int(b, "index", field_int(json_get(f, "index"), 0));
        buf_str(b, ",\"type\":\"function\",\"function\":{");
        json_put_field(b, "name", field_text(json_get(f, "name")));
        json_put_key(b, "arguments");
        json_put_string(b, args.data == NULL ? "{}" : args.data, args.data == NULL ? 2 : args.len);
        buf_str(b, "}}");
        buf_free(&args);
    }
    buf_chr(b, ']');
    json_free(list);
    buf_free(&text);
}

static void put_text(struct buf *b, const char *key, const char *text, size_t len) {
    json_put_key(b, key);
    json_put_string(b, text, len);
}

static void put_logprobs(struct buf *b, const char *logprobs) {
    if (*logprobs == '\0') return;
    buf_str(b, ",\"logprobs\":{\"content\":[");
    buf_str(b, logprobs);
    buf_str(b, "]}");
}

static const char *finish_reason(const struct answer *a, const struct gen_piece *p) {
    bool called = a->called || *p->tool_calls != '\0';
    return called && strcmp(p->done_reason, "stop") == 0 ? "tool_calls" : p->done_reason;
}

/* ---- one object ---- */

static void send_whole(struct answer *a, const struct gen_piece *p) {
    struct buf b = {0};
    put_head(&b, a, "chat.completion");
    buf_str(&b, ",\"choices\":[{\"index\":0,\"message\":{");
    json_put_field(&b, "role", p->rendered != NULL ? "" : "assistant");
    put_text(&b, "content", p->content, p->content_len);
    if (p->thinking_len > 0) put_text(&b, "reasoning", p->thinking, p->thinking_len);
    if (*p->tool_calls != '\0') put_calls(&b, p->tool_calls);
    buf_str(&b, "},\"finish_reason\":");
    if (p->done_reason == NULL)
        buf_str(&b, "null");
    else
        json_put_string(&b, finish_reason(a, p), strlen(finish_reason(a, p)));
    put_logprobs(&b, p->logprobs);
    buf_str(&b, "}]");
    put_usage(&b, p->stats);
    if (p->rendered != NULL) native_put_debug(&b, p);
    buf_str(&b, "}\n");
    answer_json(a->stream.x, 200, TYPE_JSON, &b);
}

/* ---- chunks ---- */

static enum status send_item(struct answer *a, struct buf *b) {
    enum status st = stream_item(&a->stream, b);
    buf_free(b);
    a->sent = true;
    return st;
}

/* part: what of the piece is in this chunk. */
static enum status send_delta(struct answer *a, const struct gen_piece *p, bool thinking, bool rest,
                              bool logprobs) {
    struct buf b = {0};
    put_head(&b, a, "chat.completion.chunk");
    buf_str(&b, ",\"choices\":[{\"index\":0,\"delta\":{");
    if (!a->sent) json_put_field(&b, "role", "assistant");
    put_text(&b, "content", p->content, rest ? p->content_len : 0);
    if (thinking && p->thinking_len > 0) put_text(&b, "reasoning", p->thinking, p->thinking_len);
    if (rest && *p->tool_calls != '\0') put_calls(&b, p->tool_calls);
    buf_str(&b, "},\"finish_reason\":null");
    if (logprobs) put_logprobs(&b, p->logprobs);
    buf_str(&b, "}]}");
    return send_item(a, &b);
}

static enum status send_piece_chunks(struct answer *a, const struct gen_piece *p) {
    bool rest = p->content_len > 0 || *p->tool_calls != '\0';
    if (*p->tool_calls != '\0') a->called = true;
    if (p->thinking_len == 0 || !rest) return send_delta(a, p, true, true, true);
    enum status st = send_delta(a, p, true, false, true);
    return st == ST_OK ? send_delta(a, p, false, true, false) : st;
}

static enum status send_finish(struct answer *a, const struct gen_piece *p) {
    struct buf b = {0};
    put_head(&b, a, "chat.completion.chunk");
    buf_str(&b, ",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":");
    json_put_string(&b, finish_reason(a, p), strlen(finish_reason(a, p)));
    buf_str(&b, "}]}");
    enum status st = send_item(a, &b);
    if (st != ST_OK || !a->usage) return st;
    put_head(&b, a, "chat.completion.chunk");
    buf_str(&b, ",\"choices\":[]");
    put_usage(&b, p->stats);
    buf_chr(&b, '}');
    return send_item(a, &b);
}

static enum status send_piece(void *arg, const struct gen_piece *p) {
    struct answer *a = arg;
    if (!a->r->stream || p->rendered != NULL) {
        send_whole(a, p);
        return ST_OK;
    }
    bool empty = p->content_len == 0 && p->thinking_len == 0 && *p->tool_calls == '\0' &&
                 *p->logprobs == '\0';
    enum status st = ST_OK;
    if (!empty || (p->done && !a->sent)) st = send_piece_chunks(a, p);
    return st == ST_OK && p->done ? send_finish(a, p) : st;
}

/* ---- the route ---- */

static void answer_failure(struct answer *a, const struct gen_failure *f) {
    if (a->stream.started)
        stream_error(&a->stream, f->http_status, f->err.msg);
    else if (f->err.code == ST_DENIED)
        answer_error(a->stream.x, DIALECT_NATIVE, 403, TYPE_JSON_UTF8, f->err.msg);
    else
        answer_error(a->stream.x, DIALECT_OPENAI, f->http_status, TYPE_JSON, f->err.msg);
}

static void run(const struct route_call *c, const struct openai_chat *o,
                const struct native_request *n) {
    struct gen_request r = native_to_gen(n, true, false);
    struct answer a = {.r = &r,
                       .stream = {.x = c->x, .dialect = DIALECT_OPENAI},
                       .id = atomic_fetch_add(&c->server->last_id, 1) + 1,
                       .created = (long long)time(NULL),
                       .usage = field_flag(json_get(o->stream_options, "include_usage"), false)};
    struct gen_sink sink = {&a, send_piece};
    struct gen_failure f;
    if (!gen_run(c->server, c->x, &r, &sink, &f))
        answer_failure(&a, &f);
    else if (a.stream.started)
        stream_end(&a.stream);
}

/* Names of cloud models are refused before anything else is looked at, and in native form. */
static enum status check_cloud(const struct openai_chat *o, struct err *e) {
    struct model_name name;
    return server_name(field_text(o->model), &name, e) == ST_DENIED ? ST_DENIED : ST_OK;
}

void route_openai_chat(const struct route_call *c) {
    struct openai_chat o = {0};
    struct native_request n = {0};
    struct buf native = {0};
    struct err e;
    json *root, *native_root = NULL;
    if (!route_body(c, DIALECT_OPENAI, &openai_chat_fields, &o, &root)) return;
    enum status st = check_cloud(&o, &e);
    if (st == ST_OK) st = openai_to_native(&o, &native, &e);
    if (st == ST_OK)
        st = request_decode(&native_chat_fields, native.data, native.len, &n, &native_root, &e);
    buf_free(&native);
    if (st == ST_OK)
        run(c, &o, &n);
    else
        answer_error(c->x, st == ST_DENIED ? DIALECT_NATIVE : DIALECT_OPENAI, answer_status(st),
                     TYPE_JSON_UTF8, e.msg);
    json_free(native_root);
    json_free(root);
}
