/* messages.c - POST /v1/messages and /v1/messages/count_tokens: pieces as content blocks, in one
 * message or as a stream of events (spec/api.md 8). */
#include "api/dialect/messages.h"

#include <string.h>

route_fn route_messages, route_count_tokens;

enum block { BLOCK_NONE, BLOCK_THINKING, BLOCK_TEXT, BLOCK_CALL };
static const struct {
    const char *type, *key, *delta;
} block_names[] = {[BLOCK_THINKING] = {"thinking", "thinking", "thinking_delta"},
                   [BLOCK_TEXT] = {"text", "text", "text_delta"}};

struct answer {
    const struct gen_request *r;
    bool own_stops; /* the request has stop strings, so that one was hit is worth telling */
    struct stream stream;
    struct buf id;
    enum block open; /* of a stream: the block that takes text, or parts of a call */
    unsigned index;  /* of the next block, or of the open one */
    bool called;     /* tools were */
    bool begun;      /* message_start is out */
};

/* ---- parts of both forms ---- */

static void put_head(struct buf *b, const struct answer *a) {
    json_put_field(b, "id", a->id.data);
    json_put_field(b, "type", "message");
    json_put_field(b, "role", "assistant");
    json_put_field(b, "model", a->r->model);
}

static void put_usage(struct buf *b, size_t in, size_t out) {
    buf_printf(b, ",\"usage\":{\"input_tokens\":%zu,\"output_tokens\":%zu}", in, out);
}

static void put_stats(struct buf *b, const struct gen_stats *s) {
    put_usage(b, s == NULL ? 0 : s->n_prompt, s == NULL ? 0 : s->n_generated);
}

static void put_reason(struct buf *b, const struct answer *a, const struct gen_piece *p) {
    const char *hit = p->stats != NULL && a->own_stops ? p->stats->stop_hit : NULL;
    bool length = p->done_reason != NULL && strcmp(p->done_reason, "length") == 0;
    bool called = a->called && !length;
    json_put_field(b, "stop_reason",
                   length        ? "max_tokens"
                   : called      ? "tool_use"
                   : hit != NULL ? "stop_sequence"
                                 : "end_turn");
    if (hit != NULL && !length && !called) json_put_field(b, "stop_sequence", hit);
}

/* ---- one message ---- */

static void put_block(struct buf *b, enum block kind, const char *text, size_t len) {
    if (len == 0) return;
    buf_str(b, b->data[b->len - 1] == '[' ? "{" : ",{");
    json_put_field(b, "type", block_names[kind].type);
    put_text(b, block_names[kind].key, text, len);
    buf_chr(b, '}');
}

static void put_tool_use(struct buf *b, const struct call *c, const char *input) {
    buf_chr(b, '{');
    json_put_field(b, "type", "tool_use");
    json_put_field(b, "id", c->id);
    json_put_field(b, "name", c->name);
    buf_printf(b, ",\"input\":%s}", input);
}

static void put_tool_uses(struct buf *b, const struct gen_piece *p) {
    json *list = piece_calls(p);
    for (const json *m = json_first(list); m != NULL; m = json_next(m)) {
        struct call c;
        call_read(&c, m);
        if (b->len > 0 && b->data[b->len - 1] == '}') buf_chr(b, ',');
        put_tool_use(b, &c, c.args.data == NULL ? "{}" : c.args.data);
        call_free(&c);
    }
    json_free(list);
}

static void send_whole(struct answer *a, const struct gen_piece *p) {
    struct buf b = {0};
    a->called = *p->tool_calls != '\0';
    buf_chr(&b, '{');
    put_head(&b, a);
    buf_str(&b, ",\"content\":[");
    if (!b.failed) {
        put_block(&b, BLOCK_THINKING, p->thinking, p->thinking_len);
        put_block(&b, BLOCK_TEXT, p->content, p->content_len);
        put_tool_uses(&b, p);
    }
    buf_chr(&b, ']');
    put_reason(&b, a, p);
    put_stats(&b, p->stats);
    buf_str(&b, "}\n");
    answer_json(a->stream.x, 200, TYPE_JSON, &b);
}

/* ---- events ---- */

/* Begins the event's object: {"type":NAME */
static struct buf event(const char *name) {
    struct buf b = {0};
    buf_chr(&b, '{');
    json_put_field(&b, "type", name);
    return b;
}

static enum status send_event(struct answer *a, const char *name, struct buf *b) {
    buf_chr(b, '}');
    enum status st = stream_event(&a->stream, name, b);
    buf_free(b);
    return st;
}

static enum status send_start(struct answer *a, const struct gen_piece *p) {
    struct buf b = event("message_start");
    buf_str(&b, ",\"message\":{");
    put_head(&b, a);
    buf_str(&b, ",\"content\":[]");
    put_usage(&b, p->n_prompt, 0);
    buf_chr(&b, '}');
    return send_event(a, "message_start", &b);
}

static enum status send_stop(struct answer *a) {
    struct buf b = event("content_block_stop");
    buf_printf(&b, ",\"index\":%u", a->index++);
    return send_event(a, "content_block_stop", &b);
}

static enum status close_block(struct answer *a) {
    if (a->open == BLOCK_NONE) return ST_OK;
    a->open = BLOCK_NONE;
    return send_stop(a);
}

static enum status open_block(struct answer *a, enum block kind) {
    if (a->open == kind) return ST_OK;
    enum status st = close_block(a);
    if (st != ST_OK) return st;
    struct buf b = event("content_block_start");
    buf_printf(&b, ",\"index\":%u,\"content_block\":{", a->index);
    json_put_field(&b, "type", block_names[kind].type);
    json_put_field(&b, block_names[kind].key, "");
    buf_chr(&b, '}');
    a->open = kind;
    return send_event(a, "content_block_start", &b);
}

static enum status send_delta(struct answer *a, const char *type, const char *key, const char *text,
                              size_t len) {
    struct buf b = event("content_block_delta");
    buf_printf(&b, ",\"index\":%u,\"delta\":{", a->index);
    json_put_field(&b, "type", type);
    put_text(&b, key, text, len);
    buf_chr(&b, '}');
    return send_event(a, "content_block_delta", &b);
}

static enum status send_text(struct answer *a, enum block kind, const char *text, size_t len) {
    if (len == 0) return ST_OK;
    enum status st = open_block(a, kind);
    if (st != ST_OK) return st;
    return send_delta(a, block_names[kind].delta, block_names[kind].key, text, len);
}

/* A call is a block of its own. */
static enum status open_call(struct answer *a, const struct call *c) {
    enum status st = close_block(a);
    if (st != ST_OK) return st;
    struct buf b = event("content_block_start");
    buf_printf(&b, ",\"index\":%u,\"content_block\":", a->index);
    put_tool_use(&b, c, "{}");
    a->open = BLOCK_CALL;
    a->called = true;
    return send_event(a, "content_block_start", &b);
}

static enum status send_input(struct answer *a, const char *text, size_t len) {
    return send_delta(a, "input_json_delta", "partial_json", text, len);
}

/* Its input is one delta. */
static enum status send_call(struct answer *a, const struct call *c) {
    enum status st = open_call(a, c);
    if (st == ST_OK) st = send_input(a, c->args.data, c->args.len);
    return st == ST_OK ? close_block(a) : st;
}

static enum status send_part(struct answer *a, const struct gen_part *c) {
    enum status st = ST_OK;
    if (c->from == 0) st = open_call(a, &(struct call){.id = c->id, .name = c->name});
    if (st == ST_OK && c->to > c->from) st = send_input(a, c->args + c->from, c->to - c->from);
    return st == ST_OK && c->end != PART_MORE ? close_block(a) : st;
}

static enum status send_calls(struct answer *a, const struct gen_piece *p) {
    json *list = piece_calls(p);
    enum status st = ST_OK;
    for (const json *m = json_first(list); m != NULL && st == ST_OK; m = json_next(m)) {
        struct call c;
        call_read(&c, m);
        st = c.args.failed ? ST_NO_MEMORY : send_call(a, &c);
        call_free(&c);
    }
    json_free(list);
    return st;
}

static enum status send_finish(struct answer *a, const struct gen_piece *p) {
    enum status st = close_block(a);
    if (st != ST_OK) return st;
    struct buf b = event("message_delta");
    buf_str(&b, ",\"delta\":{");
    put_reason(&b, a, p);
    buf_chr(&b, '}');
    put_stats(&b, p->stats);
    st = send_event(a, "message_delta", &b);
    if (st != ST_OK) return st;
    b = event("message_stop");
    return send_event(a, "message_stop", &b);
}

static enum status take_piece(void *arg, const struct gen_piece *p) {
    struct answer *a = arg;
    enum status st = ST_OK;
    if (!a->r->stream) {
        send_whole(a, p);
        return ST_OK;
    }
    if (!a->begun) st = send_start(a, p);
    a->begun = true;
    if (st == ST_OK) st = send_text(a, BLOCK_THINKING, p->thinking, p->thinking_len);
    if (st == ST_OK) st = send_text(a, BLOCK_TEXT, p->content, p->content_len);
    if (st == ST_OK && p->part != NULL) st = send_part(a, p->part);
    if (st == ST_OK) st = send_calls(a, p);
    return st == ST_OK && p->done ? send_finish(a, p) : st;
}

static enum status wait_more(void *arg) { return stream_wait(&((struct answer *)arg)->stream); }

/* ---- routes ---- */

static void run(const struct route_call *c, struct answer *a, struct gen_request *r) {
    struct gen_failure f;
    a->r = r;
    r->any_think = true;
    put_random_id(&a->id, "msg_");
    if (r->stream) http_add_header(c->x, "Cache-Control", "no-cache");
    bool ok = gen_run(c->server, c->x, r, &(struct gen_sink){a, take_piece, wait_more}, &f);
    if (ok && a->stream.started)
        stream_end(&a->stream);
    else if (a->stream.started)
        stream_error(&a->stream, f.http_status, f.err.msg);
    else if (!ok)
        dialect_answer_failure(c->x, DIALECT_ANTHROPIC, &f);
    buf_free(&a->id);
}

void route_messages(const struct route_call *c) {
    struct messages_request m;
    struct dialect_request r;
    if (!dialect_read(c, &dialect_messages, &m, &r)) return;
    struct answer a = {.stream = {.x = c->x, .dialect = DIALECT_ANTHROPIC},
                       .own_stops = json_len(m.stop_sequences) > 0};
    run(c, &a, &r.gen);
    dialect_free(&r);
}

/* Without messages there is no prompt: the piece tells that the model was loaded. */
static enum status take_count(void *arg, const struct gen_piece *p) {
    struct http_exchange *x = arg;
    struct buf b = {0};
    if (p->rendered == NULL) {
        answer_error(x, DIALECT_ANTHROPIC, 400, TYPE_JSON, "messages is required");
        return ST_OK;
    }
    buf_printf(&b, "{\"input_tokens\":%zu}\n", p->n_prompt);
    answer_json(x, 200, TYPE_JSON, &b);
    return ST_OK;
}

/* The peer has no such route; its recorded answer is kept where nothing can be counted (README.md,
 * "Deviations"). */
void route_count_tokens(const struct route_call *c) {
    struct messages_request m;
    struct dialect_request r;
    struct gen_failure f;
    if (!dialect_read(c, &dialect_count_tokens, &m, &r)) return;
    r.gen.stream = false;
    r.gen.count = r.gen.any_think = true;
    bool ok = gen_run(c->server, c->x, &r.gen, &(struct gen_sink){c->x, take_count, NULL}, &f);
    if (!ok && f.err.code == ST_NOT_FOUND)
        http_answer_text(c->x, 404, TYPE_TEXT, "404 page not found");
    else if (!ok)
        dialect_answer_failure(c->x, DIALECT_ANTHROPIC, &f);
    dialect_free(&r);
}
