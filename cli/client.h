/* client.h - requests to the server, over libcurl.
 *
 * One client, one connection, one call at a time. While a call waits, the caller's tick runs about
 * every 100 ms (for spinners) and Ctrl-C is looked at: then the result is ST_CANCELLED with an
 * empty message, and the server sees the connection close, which stops the generation. */
#ifndef CRIA_CLI_CLIENT_H
#define CRIA_CLI_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"

struct client;
/* To the server of CRIA_HOST/OLLAMA_HOST, after a HEAD / that tells whether it is there; or, with
 * url, to that one (without a look). */
enum status client_open(struct client **out, const char *url, struct err *e);
void client_close(struct client *c); /* NULL is fine */

struct client_call {
    const char *method, *path; /* "POST", "/api/generate" */
    const struct buf *body;    /* JSON text; NULL: none */
    int upload_fd;             /* a file to send instead, from its start, if upload_size > 0 */
    uint64_t upload_size;
    /* Not NULL: the answer is a stream of JSON lines; one call for each. Anything but ST_OK ends
     * the call with that result. A line with `error` never comes here. */
    enum status (*on_line)(void *arg, const json *line, struct err *e);
    void (*on_tick)(void *arg);
    void *arg;
    uint64_t *sent; /* bytes of the upload sent so far, for on_tick; may be NULL */
};

/* Reply of a call without on_line: its body. code (may be NULL) gets the HTTP status as soon as
 * there is one; >= 400 is an error with the text of spec/cli.md 1 (404: ST_NOT_FOUND). */
enum status client_call(struct client *c, const struct client_call *call, struct buf *reply,
                        int *code, struct err *e);
/* The usual case: POST (or GET if body is NULL) and parse the answer; json_free. */
enum status client_json(struct client *c, const char *path, const struct buf *body, json **out,
                        struct err *e);

/* METHOD path with {"model":model}; the answer is ignored. */
enum status client_model(struct client *c, const char *method, const char *path, const char *model,
                         struct err *e);
/* Unloads a model: an empty prompt with keep_alive 0. */
enum status client_unload(struct client *c, const char *model, struct err *e);

#endif
