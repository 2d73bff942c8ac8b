/* responses.c - POST /v1/responses: pieces as output items, in one object or as events
 * (spec/api.md 7).
 *
 * An item (thinking, text, a call) is open while pieces add to it; closing it appends its final
 * form to `output`, from which the last event and the whole answer are made. */
#include "api/dialect/responses.h"

#include <string.h>
#include <time.h>

route_fn route_responses;

enum item { ITEM_NONE, ITEM_REASONING, ITEM_MESSAGE };

struct answer {
    const struct route_call *call;
    const struct gen_request *r;
    const struct responses_request *request;
    struct stream stream;
    unsigned long id;
    long long created;
    long long sequence; /* of the next event */
    struct buf output;  /* items that are complete */
    unsigned n_items;   /* of these; the index of the open one */
    enum item open;
    unsigned long item_id;
    struct buf text; /* of the open item */
    bool called;     /* text behind a call is not sent */
    bool begun;      /* response.created is out */
};

static struct responses_state state_of(const struct answer *a, const char *status) {
    return (struct responses_state){.request = a->request,
                                    .model = a->r->model,
                                    .status = status,
                                    .id = a->id,
                                    .created = a->created,
                                    .output = &a->output};
}

/* ---- events ---- */

static struct buf event(struct answer *a, const char *name) {
    struct buf b = {0};
    buf_chr(&b, '{');
    json_put_field(&b, "type", name);
    buf_printf(&b, ",\"sequence_number\":%lld", a->sequence++);
    return b;
}

static enum status send_event(struct answer *a, const char *name, struct buf *b) {
    buf_chr(b, '}');
    enum status st = stream_event(&a->stream, name, b);
    buf_free(b);
    return st;
}

static enum status send_response(struct answer *a, const char *name,
                                 const struct responses_state *s) {
    struct buf b = event(a, name);
    json_put_key(&b, "response");
    responses_put(&b, s);
    return send_event(a, name, &b);
}

static enum status send_start(struct answer *a) {
    const struct responses_state s = state_of(a, "in_progress");
    enum status st = send_response(a, "response.created", &s);
    return st == ST_OK ? send_response(a, "response.in_progress", &s) : st;
}

/* ---- items ---- */

static void put_part(struct buf *b, const char *text, size_t len) {
    buf_str(b, "{\"type\":\"output_text\"");
    put_text(b, "text", text, len);
    buf_str(b, ",\"annotations\":[],\"logprobs\":[]}");
}

static const char *prefix_of(enum item kind) { return kind == ITEM_MESSAGE ? "msg" : "rs"; }

/* The item with what it has so far. */
static void put_item(struct buf *b, const struct answer *a, bool done) {
    const char *text = a->text.data == NULL ? "" : a->text.data;
    buf_printf(b, "{\"id\":\"%s_%lu\"", prefix_of(a->open), a->item_id);
    if (a->open == ITEM_REASONING) {
        buf_str(b, ",\"type\":\"reasoning\",\"summary\":[");
        if (done) {
            buf_str(b, "{\"type\":\"summary_text\"");
            put_text(b, "text", text, a->text.len);
            buf_chr(b, '}');
        }
        buf_chr(b, ']');
        if (done) put_text(b, "encrypted_content", text, a->text.len);
    } else {
        buf_printf(b,
                   ",\"type\":\"message\",\"status\":\"%s\",\"role\":\"assistant\",\"content\":[",
                   done ? "completed" : "in_progress");
        if (done) put_part(b, text, a->text.len);
        buf_chr(b, ']');
    }
    buf_chr(b, '}');
}

static void put_place(struct buf *b, const struct answer *a) {
    buf_printf(b, ",\"item_id\":\"%s_%lu\",\"output_index\":%u,\"%s\":0", prefix_of(a->open),
               a->item_id, a->n_items, a->open == ITEM_MESSAGE ? "content_index" : "summary_index");
}

static enum status send_item(struct answer *a, const char *name, bool done) {
    struct buf b = event(a, name);
    buf_printf(&b, ",\"output_index\":%u,\"item\":", a->n_items);
    put_item(&b, a, done);
    return send_event(a, name, &b);
}

static enum status send_part(struct answer *a, const char *name) {
    struct buf b = event(a, name);
    put_place(&b, a);
    json_put_key(&b, "part");
    put_part(&b, a->text.data == NULL ? "" : a->text.data, a->text.len);
    return send_event(a, name, &b);
}

/* key: "delta" or "text" */
static enum status send_text(struct answer *a, const char *key, const char *text, size_t len) {
    bool message = a->open == ITEM_MESSAGE, delta = strcmp(key, "delta") == 0;
    const char *name = message ? delta ? "response.output_text.delta" : "response.output_text.done"
                       : delta ? "response.reasoning_summary_text.delta"
                               : "response.reasoning_summary_text.done";
    struct buf b = event(a, name);
    put_place(&b, a);
    put_text(&b, key, text, len);
    if (message) buf_str(&b, ",\"logprobs\":[]");
    return send_event(a, name, &b);
}

static enum status send_closing(struct answer *a) {
    enum status st = send_text(a, "text", a->text.data == NULL ? "" : a->text.data, a->text.len);
    if (st == ST_OK && a->open == ITEM_MESSAGE) st = send_part(a, "response.content_part.done");
    return st == ST_OK ? send_item(a, "response.output_item.done", true) : st;
}

static enum status close_item(struct answer *a) {
    enum status st = ST_OK;
    if (a->open == ITEM_NONE) return ST_OK;
    if (a->r->stream) st = send_closing(a);
    if (a->n_items > 0) buf_chr(&a->output, ',');
    put_item(&a->output, a, true);
    if (a->text.failed) a->output.failed = true;
    a->n_items++;
    a->open = ITEM_NONE;
    return st;
}

static enum status open_item(struct answer *a, enum item kind) {
    if (a->open == kind) return ST_OK;
    enum status st = close_item(a);
    a->open = kind;
    a->item_id = dialect_id(a->call);
    buf_clear(&a->text);
    if (st != ST_OK || !a->r->stream) return st;
    st = send_item(a, "response.output_item.added", false);
    if (st == ST_OK && kind == ITEM_MESSAGE) st = send_part(a, "response.content_part.added");
    return st;
}

static enum status add_text(struct answer *a, enum item kind, const char *text, size_t len) {
    if (len == 0) return ST_OK;
    enum status st = open_item(a, kind);
    buf_add(&a->text, text, len);
    return st == ST_OK && a->r->stream ? send_text(a, "delta", text, len) : st;
}

/* ---- calls ---- */

static void put_call_item(struct buf *b, const struct answer *a, const struct gen_part *c,
                          const char *status, size_t args_len) {
    buf_printf(b, "{\"id\":\"fc_%lu\",\"type\":\"function_call\",\"status\":\"%s\"", a->item_id,
               status);
    json_put_field(b, "call_id", c->id);
    json_put_field(b, "name", c->name);
    put_text(b, "arguments", c->args, args_len);
    buf_chr(b, '}');
}

static enum status send_call_item(struct answer *a, const struct gen_part *c, const char *name,
                                  const char *status, size_t args_len) {
    struct buf b = event(a, name);
    buf_printf(&b, ",\"output_index\":%u", a->n_items);
    json_put_key(&b, "item");
    put_call_item(&b, a, c, status, args_len);
    return send_event(a, name, &b);
}

static enum status send_args(struct answer *a, const char *name, const char *key, const char *text,
                             size_t len) {
    struct buf b = event(a, name);
    buf_printf(&b, ",\"output_index\":%u,\"item_id\":\"fc_%lu\"", a->n_items, a->item_id);
    put_text(&b, key, text, len);
    return send_event(a, name, &b);
}

/* A part of a call; a whole one is its first part and its last. */
static enum status add_part(struct answer *a, const struct gen_part *c) {
    static const char added[] = "response.output_item.added",
                      item_done[] = "response.output_item.done",
                      delta[] = "response.function_call_arguments.delta",
                      done[] = "response.function_call_arguments.done";
    const char *status = c->end == PART_CUT ? "incomplete" : "completed";
    const bool stream = a->r->stream;
    enum status st = ST_OK;
    if (c->from == 0) {
        st = close_item(a);
        a->item_id = dialect_id(a->call);
        a->called = true;
        if (st == ST_OK && stream) st = send_call_item(a, c, added, "in_progress", 0);
    }
    if (st == ST_OK && stream && c->to > c->from)
        st = send_args(a, delta, "delta", c->args + c->from, c->to - c->from);
    if (st != ST_OK || c->end == PART_MORE) return st;
    if (stream) st = send_args(a, done, "arguments", c->args, c->to);
    if (st == ST_OK && stream) st = send_call_item(a, c, item_done, status, c->to);
    if (a->n_items++ > 0) buf_chr(&a->output, ',');
    put_call_item(&a->output, a, c, status, c->to);
    return st;
}

static enum status add_call(struct answer *a, const struct call *c) {
    if (c->args.failed) return ST_NO_MEMORY;
    return add_part(a, &(struct gen_part){.id = c->id,
                                          .name = c->name,
                                          .args = c->args.data,
                                          .to = c->args.len,
                                          .end = PART_LAST});
}

static enum status add_calls(struct answer *a, const struct gen_piece *p) {
    json *list = piece_calls(p);
    enum status st = ST_OK;
    for (const json *m = json_first(list); m != NULL && st == ST_OK; m = json_next(m)) {
        struct call c;
        call_read(&c, m);
        st = add_call(a, &c);
        call_free(&c);
    }
    json_free(list);
    return st;
}

/* ---- pieces ---- */

/* Streams tell an empty answer as null, as the peer does; whole ones have an empty message. */
static enum status finish(struct answer *a, const struct gen_piece *p) {
    enum status st = ST_OK;
    if (!a->r->stream && !a->called && a->open != ITEM_MESSAGE) st = open_item(a, ITEM_MESSAGE);
    if (st == ST_OK) st = close_item(a);
    if (st != ST_OK) return st;
    struct responses_state s = state_of(a, "completed");
    s.completed = (long long)time(NULL);
    s.stats = p->stats;
    s.usage = true;
    s.null_output = a->n_items == 0;
    if (a->r->stream) return send_response(a, "response.completed", &s);
    struct buf b = {0};
    responses_put(&b, &s);
    buf_chr(&b, '\n');
    if (a->output.failed) b.failed = true;
    answer_json(a->stream.x, 200, TYPE_JSON, &b);
    return ST_OK;
}

/* In a whole answer calls stand alone: the text before them is left out, as in the peer. */
static enum status take_piece(void *arg, const struct gen_piece *p) {
    struct answer *a = arg;
    bool hide = a->called || (!a->r->stream && *p->tool_calls != '\0');
    enum status st = ST_OK;
    if (a->r->stream && !a->begun) st = send_start(a);
    a->begun = true;
    if (st == ST_OK) st = add_text(a, ITEM_REASONING, p->thinking, p->thinking_len);
    if (st == ST_OK && !hide) st = add_text(a, ITEM_MESSAGE, p->content, p->content_len);
    if (st == ST_OK && p->part != NULL) st = add_part(a, p->part);
    if (st == ST_OK) st = add_calls(a, p);
    return st == ST_OK && p->done ? finish(a, p) : st;
}

static enum status wait_more(void *arg) { return stream_wait(&((struct answer *)arg)->stream); }

static void send_failed(struct answer *a, const struct gen_failure *f) {
    struct responses_state s = state_of(a, "failed");
    s.error = f->err.msg;
    if (!a->begun) send_start(a);
    send_response(a, "response.failed", &s);
}

void route_responses(const struct route_call *c) {
    struct responses_request request;
    struct dialect_request r;
    struct gen_failure f;
    if (!dialect_read(c, &dialect_responses, &request, &r)) return;
    struct answer a = {.call = c,
                       .r = &r.gen,
                       .request = &request,
                       .stream = {.x = c->x, .dialect = DIALECT_RESPONSES},
                       .id = dialect_id(c),
                       .created = (long long)time(NULL)};
    if (r.gen.stream) http_add_header(c->x, "Cache-Control", "no-cache");
    bool ok = gen_run(c->server, c->x, &r.gen, &(struct gen_sink){&a, take_piece, wait_more}, &f);
    if (!ok && a.stream.started) send_failed(&a, &f);
    if (a.stream.started)
        stream_end(&a.stream);
    else if (!ok)
        dialect_answer_failure(c->x, DIALECT_RESPONSES, &f);
    buf_free(&a.output);
    buf_free(&a.text);
    dialect_free(&r);
}
