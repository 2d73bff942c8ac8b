/* answer.h - JSON answers, errors and streams in the words of each dialect (spec/api.md 1.5, 1.6,
 * 4, 11). */
#ifndef CRIA_API_ANSWER_H
#define CRIA_API_ANSWER_H

#include <stdbool.h>

#include "api/http.h"
#include "base/buf.h"
#include "base/err.h"

enum dialect { DIALECT_NATIVE, DIALECT_OPENAI, DIALECT_RESPONSES, DIALECT_ANTHROPIC };

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
/* PREFIX and 24 random hexadecimal digits. */
void put_random_id(struct buf *b, const char *prefix);

/* ---- streams: NDJSON or SSE; the head goes out with the first item ---- */

/* SSE items of Responses and Anthropic have names. An error after the first item is an item of its
 * own: native a line, OpenAI `data: {"error":...}`, Anthropic `event: error`; of Responses the
 * caller makes it (response.failed). OpenAI's streams end with [DONE], but not after an error. */

struct stream {
    struct http_exchange *x;
    enum dialect dialect;
    bool started;
};
enum status stream_item(struct stream *s, const struct buf *item); /* one JSON object */
/* The same with a name: `event: NAME`; NULL: none. */
enum status stream_event(struct stream *s, const char *name, const struct buf *item);
/* Nothing to say, but the client shall know that somebody is there: the head goes out, and in SSE a
 * comment; NDJSON has none. */
enum status stream_wait(struct stream *s);
void stream_error(struct stream *s, int status, const char *message);
void stream_end(struct stream *s);

#endif
