/* openai_chat.c - POST /v1/chat/completions: pieces as choices, in one object or as a stream of
 * chunks (spec/api.md 6.1, 6.2). */
#include <string.h>

#include "api/dialect/openai.h"

route_fn route_openai_chat;

/* Native calls as OpenAI's: arguments are JSON text. */
static void put_calls(struct buf *b, const struct gen_piece *p) {
    json *list = piece_calls(p);
    buf_str(b, ",\"tool_calls\":[");
    for (const json *m = json_first(list); m != NULL; m = json_next(m)) {
        struct call c;
        call_read(&c, m);
        buf_str(b, m == json_first(list) ? "{" : ",{");
        json_put_field(b, "id", c.id);
        json_put_field_int(b, "index", c.index);
        buf_str(b, ",\"type\":\"function\",\"function\":{");
        json_put_field(b, "name", c.name);
        put_text(b, "arguments", c.args.data, c.args.len);
        buf_str(b, "}}");
        call_free(&c);
    }
    buf_chr(b, ']');
    json_free(list);
}

static void put_logprobs(struct buf *b, const char *logprobs) {
    if (*logprobs == '\0') return;
    buf_str(b, ",\"logprobs\":{\"content\":[");
    buf_str(b, logprobs);
    buf_str(b, "]}");
}

static const char *finish_reason(const struct openai_answer *a, const struct gen_piece *p) {
    bool called = a->called || *p->tool_calls != '\0';
    return called && strcmp(p->done_reason, "stop") == 0 ? "tool_calls" : p->done_reason;
}

/* ---- one object ---- */

static void add_choice(struct openai_answer *a, const struct gen_piece *p) {
    struct buf *b = &a->choices;
    buf_printf(b, "%s{\"index\":%u,\"message\":{", b->len > 0 ? "," : "", a->choice);
    json_put_field(b, "role", p->rendered != NULL ? "" : "assistant");
    put_text(b, "content", p->content, p->content_len);
    if (p->thinking_len > 0) put_text(b, "reasoning", p->thinking, p->thinking_len);
    if (*p->tool_calls != '\0') put_calls(b, p);
    buf_str(b, "},\"finish_reason\":");
    if (p->done_reason == NULL)
        buf_str(b, "null");
    else
        json_put_string(b, finish_reason(a, p), strlen(finish_reason(a, p)));
    put_logprobs(b, p->logprobs);
    buf_chr(b, '}');
    if (p->rendered != NULL && a->debug.len == 0) native_put_debug(&a->debug, p);
}

/* ---- chunks ---- */

static void open_chunk(struct buf *b, const struct openai_answer *a) {
    openai_put_head(b, a, a->chunk_object);
    buf_printf(b, ",\"choices\":[{\"index\":%u,\"delta\":{", a->choice);
}

/* What of the piece is in this chunk. */
static enum status send_delta(struct openai_answer *a, const struct gen_piece *p, bool thinking,
                              bool rest, bool logprobs) {
    struct buf b = {0};
    open_chunk(&b, a);
    if (!a->sent) json_put_field(&b, "role", "assistant");
    put_text(&b, "content", p->content, rest ? p->content_len : 0);
    if (thinking && p->thinking_len > 0) put_text(&b, "reasoning", p->thinking, p->thinking_len);
    if (rest && *p->tool_calls != '\0') put_calls(&b, p);
    buf_str(&b, "},\"finish_reason\":null");
    if (logprobs) put_logprobs(&b, p->logprobs);
    buf_str(&b, "}]}");
    return openai_send(a, &b);
}

/* The next part of a call; the first one tells whose it is. */
static enum status send_part(struct openai_answer *a, const struct gen_part *c) {
    struct buf b = {0};
    if (c->from == c->to) return ST_OK;
    a->called = true;
    open_chunk(&b, a);
    if (!a->sent) json_put_field(&b, "role", "assistant");
    if (c->from == 0) json_put_field(&b, "content", "");
    json_put_key(&b, "tool_calls");
    buf_str(&b, "[{");
    if (c->from == 0) json_put_field(&b, "id", c->id);
    json_put_field_int(&b, "index", c->index);
    if (c->from == 0) json_put_field(&b, "type", "function");
    buf_str(&b, ",\"function\":{");
    if (c->from == 0) json_put_field(&b, "name", c->name);
    put_text(&b, "arguments", c->args + c->from, c->to - c->from);
    buf_str(&b, "}}]},\"finish_reason\":null}]}");
    return openai_send(a, &b);
}

static enum status send_piece_chunks(struct openai_answer *a, const struct gen_piece *p) {
    bool rest = p->content_len > 0 || *p->tool_calls != '\0';
    if (*p->tool_calls != '\0') a->called = true;
    if (p->thinking_len == 0 || !rest) return send_delta(a, p, true, true, true);
    enum status st = send_delta(a, p, true, false, true);
    return st == ST_OK ? send_delta(a, p, false, true, false) : st;
}

static enum status send_finish(struct openai_answer *a, const struct gen_piece *p) {
    struct buf b = {0};
    open_chunk(&b, a);
    buf_str(&b, "},\"finish_reason\":");
    json_put_string(&b, finish_reason(a, p), strlen(finish_reason(a, p)));
    buf_str(&b, "}]}");
    return openai_send(a, &b);
}

static enum status take_piece(void *arg, const struct gen_piece *p) {
    struct openai_answer *a = arg;
    openai_count(a, p->stats);
    if (!a->r->stream || p->rendered != NULL) {
        add_choice(a, p);
        return ST_OK;
    }
    bool empty = p->content_len == 0 && p->thinking_len == 0 && *p->tool_calls == '\0' &&
                 *p->logprobs == '\0';
    enum status st = p->part != NULL ? send_part(a, p->part) : ST_OK;
    if (!empty || (p->done && !a->sent)) st = send_piece_chunks(a, p);
    return st == ST_OK && p->done ? send_finish(a, p) : st;
}

void route_openai_chat(const struct route_call *c) {
    struct openai_chat o;
    struct dialect_request r;
    if (!dialect_read(c, &dialect_openai_chat, &o, &r)) return;
    struct openai_answer a = {.prefix = "chatcmpl",
                              .object = "chat.completion",
                              .chunk_object = "chat.completion.chunk",
                              .usage =
                                  field_flag(json_get(o.stream_options, "include_usage"), false)};
    openai_run(c, &a, &r.gen, field_int(o.n, 1), &(struct gen_sink){&a, take_piece, openai_wait});
    dialect_free(&r);
}
