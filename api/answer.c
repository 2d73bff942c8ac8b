/* answer.c - see answer.h. */
#include "api/answer.h"

#include <string.h>

#include "base/json.h"
#include "base/os.h"

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

void put_random_id(struct buf *b, const char *prefix) {
    unsigned char random[12] = {0};
    os_random(random, sizeof random, NULL);
    buf_str(b, prefix);
    for (size_t i = 0; i < sizeof random; i++) buf_printf(b, "%02x", random[i]);
}

static void put_anthropic_error(struct buf *b, int status, const char *message) {
    static const struct {
        int status;
        const char *type;
    } row[] = {{400, "invalid_request_error"}, {401, "authentication_error"},
               {403, "permission_error"},      {404, "not_found_error"},
               {413, "request_too_large"},     {429, "rate_limit_error"},
               {503, "overloaded_error"},      {529, "overloaded_error"}};
    const char *type = "api_error";
    for (size_t i = 0; i < sizeof row / sizeof *row; i++)
        if (row[i].status == status) type = row[i].type;
    buf_str(b, "{\"type\":\"error\",\"error\":{");
    json_put_field(b, "type", type);
    json_put_field(b, "message", message);
    buf_str(b, "},\"request_id\":\"");
    put_random_id(b, "req_");
    buf_str(b, "\"}");
}

static void put_native_error(struct buf *b, int status, const char *message) {
    (void)status;
    buf_chr(b, '{');
    json_put_field(b, "error", message);
    buf_chr(b, '}');
}

static const struct {
    void (*put_error)(struct buf *b, int status, const char *message);
    const char *stream_type;
    const char *error_event; /* name of an error in a stream; NULL: none */
    bool done;               /* a stream ends with [DONE] */
} table[] = {
    [DIALECT_NATIVE] = {put_native_error, TYPE_NDJSON, NULL, false},
    [DIALECT_OPENAI] = {put_openai_error, TYPE_SSE, NULL, true},
    [DIALECT_RESPONSES] = {put_openai_error, TYPE_SSE, NULL, false},
    [DIALECT_ANTHROPIC] = {put_anthropic_error, TYPE_SSE, "error", false},
};

void put_error(struct buf *b, enum dialect d, int status, const char *message) {
    table[d].put_error(b, status, message);
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

static void begin(struct stream *s) {
    if (!s->started) http_stream(s->x, 200, table[s->dialect].stream_type);
    s->started = true;
}

enum status stream_wait(struct stream *s) {
    static const char comment[] = ": ping\n\n";
    begin(s);
    return s->dialect == DIALECT_NATIVE ? ST_OK : http_write(s->x, comment, sizeof comment - 1);
}

enum status stream_event(struct stream *s, const char *name, const struct buf *item) {
    struct buf b = {0};
    bool sse = s->dialect != DIALECT_NATIVE;
    if (item->failed) return ST_NO_MEMORY;
    begin(s);
    if (name != NULL) buf_printf(&b, "event: %s\n", name);
    if (sse) buf_str(&b, "data: ");
    buf_add(&b, item->data, item->len);
    buf_str(&b, sse ? "\n\n" : "\n");
    enum status st = b.failed ? ST_NO_MEMORY : http_write(s->x, b.data, b.len);
    buf_free(&b);
    return st;
}

enum status stream_item(struct stream *s, const struct buf *item) {
    return stream_event(s, NULL, item);
}

void stream_error(struct stream *s, int status, const char *message) {
    struct buf b = {0};
    put_error(&b, s->dialect, status, message);
    stream_event(s, table[s->dialect].error_event, &b);
    buf_free(&b);
    http_stream_end(s->x);
}

void stream_end(struct stream *s) {
    static const char done[] = "data: [DONE]\n\n";
    if (table[s->dialect].done) http_write(s->x, done, sizeof done - 1);
    http_stream_end(s->x);
}
