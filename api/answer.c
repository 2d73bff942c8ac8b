/* answer.c - see answer.h. */
#include "api/answer.h"

#include <string.h>

#include "base/json.h"

int answer_status(enum status code) {
    static const int status[ST_COUNT] = {
        [ST_OK] = 200,          [ST_INVALID] = 400, [ST_FORMAT] = 400, [ST_UNSUPPORTED] = 400,
        [ST_NOT_FOUND] = 404,   [ST_EXISTS] = 400,  [ST_LIMIT] = 400,  [ST_NO_MEMORY] = 500,
        [ST_IO] = 500,          [ST_DENIED] = 403,  [ST_BUSY] = 503,   [ST_CANCELLED] = 499,
        [ST_UNAVAILABLE] = 503, [ST_INTERNAL] = 500};
    return status[code];
}

void answer_json(struct http_exchange *x, int status, const char *type, struct buf *b) {
    if (b->failed)
        http_answer_text(x, 500, TYPE_JSON, "{\"error\":\"out of memory\"}");
    else
        http_answer(x, status, type, b->data, b->len);
    buf_free(b);
}

static void put_openai_error(struct buf *b, int status, const char *message) {
    const char *type = status == 400   ? "invalid_request_error"
                       : status == 404 ? "not_found_error"
                                       : "api_error";
    buf_str(b, "{\"error\":{");
    json_put_field(b, "message", message);
    json_put_field(b, "type", type);
    buf_str(b, ",\"param\":null,\"code\":null}}");
}

void put_error(struct buf *b, enum dialect d, int status, const char *message) {
    if (d == DIALECT_OPENAI) {
        put_openai_error(b, status, message);
        return;
    }
    buf_chr(b, '{');
    json_put_field(b, "error", message);
    buf_chr(b, '}');
}

void answer_error(struct http_exchange *x, enum dialect d, int status, const char *type,
                  const char *message) {
    struct buf b = {0};
    put_error(&b, d, status, message);
    answer_json(x, status, type, &b);
}

void answer_err(struct http_exchange *x, enum dialect d, const struct err *e) {
    answer_error(x, d, answer_status(e->code), TYPE_JSON_UTF8, e->msg);
}

/* ---- streams ---- */

enum status stream_item(struct stream *s, const struct buf *item) {
    struct buf b = {0};
    bool sse = s->dialect == DIALECT_OPENAI;
    if (item->failed) return ST_NO_MEMORY;
    if (!s->started) http_stream(s->x, 200, sse ? TYPE_SSE : TYPE_NDJSON);
    s->started = true;
    if (sse) buf_str(&b, "data: ");
    buf_add(&b, item->data, item->len);
    buf_str(&b, sse ? "\n\n" : "\n");
    enum status st = b.failed ? ST_NO_MEMORY : http_write(s->x, b.data, b.len);
    buf_free(&b);
    return st;
}

void stream_error(struct stream *s, int status, const char *message) {
    struct buf b = {0};
    put_error(&b, s->dialect, status, message);
    stream_item(s, &b);
    buf_free(&b);
    http_stream_end(s->x);
}

void stream_end(struct stream *s) {
    static const char done[] = "data: [DONE]\n\n";
    if (s->dialect == DIALECT_OPENAI) http_write(s->x, done, sizeof done - 1);
    http_stream_end(s->x);
}
