/* answer.h - JSON answers and errors in the words of each dialect (spec/api.md 1.5, 1.6, 4). */
#ifndef CRIA_API_ANSWER_H
#define CRIA_API_ANSWER_H

#include <stdbool.h>

#include "api/http.h"
#include "base/buf.h"
#include "base/err.h"

enum dialect { DIALECT_NATIVE, DIALECT_OPENAI };

#define TYPE_JSON "application/json"
#define TYPE_JSON_UTF8 "application/json; charset=utf-8"
#define TYPE_NDJSON "application/x-ndjson"
#define TYPE_SSE "text/event-stream"
#define TYPE_TEXT "text/plain"

int answer_status(enum status code); /* result code -> HTTP status */
/* Sends b as the answer, and frees it. */
void answer_json(struct http_exchange *x, int status, const char *type, struct buf *b);
void answer_error(struct http_exchange *x, enum dialect d, int status, const char *type,
                  const char *message);
/* Status from the code. */
void answer_err(struct http_exchange *x, enum dialect d, const struct err *e);
/* {"error":"..."} in the form of the dialect, appended. */
void put_error(struct buf *b, enum dialect d, int status, const char *message);

/* ---- streams: NDJSON or SSE; the head goes out with the first item ---- */

struct stream {
    struct http_exchange *x;
    enum dialect dialect;
    bool started;
};
enum status stream_item(struct stream *s, const struct buf *item); /* one JSON object */
void stream_error(struct stream *s, int status, const char *message);
void stream_end(struct stream *s); /* SSE: [DONE] */

#endif
