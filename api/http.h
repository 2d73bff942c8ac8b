/* http.h - the HTTP server library (civetweb) behind a narrow door.
 *
 * One handler function is called for every request that passed the strict checks of http_check.c,
 * on a thread of the library's pool; it must answer exactly once: http_answer(), or http_stream()
 * followed by http_write()s and http_stream_end(). Nothing above this header knows the library, so
 * it can be replaced (docs/http.md lists what it cannot do).
 *
 * An exchange belongs to the thread that handles it. http_watch() is the one thing that reaches in
 * from outside: a thread that looks at all watched sockets (epoll) tells when a client has gone. */
#ifndef CRIA_API_HTTP_H
#define CRIA_API_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

struct http;          /* a listening server */
struct http_exchange; /* a request and its answer; lives while the handler runs */
typedef void http_handler(void *arg, struct http_exchange *x);

/* How long a connection may take (spec/security.md S-NET-8), in milliseconds. */
struct http_limits {
    unsigned first_byte_ms, head_ms;
    unsigned body_window_ms, body_window_bytes; /* so many bytes in each window */
    unsigned stall_ms;                          /* nothing of an answer was taken */
    unsigned handshake_ms;
    unsigned tick_ms;     /* how often all that is looked at */
    unsigned per_address; /* connections; this machine's own may be more */
};
extern const struct http_limits http_default_limits;

struct http_params {
    const char *host; /* "unix:/path", or an address: IPv4, IPv6 (without brackets), "localhost" */
    int port;         /* 0: any free one */
    const char *tls_cert, *tls_key;   /* files; NULL: no TLS */
    unsigned n_threads;               /* connections at once; further ones get 503 */
    const struct http_limits *limits; /* NULL: http_default_limits */
    http_handler *handler;
    void *arg;
};
enum status http_open(struct http **out, const struct http_params *p, struct err *e);
void http_close(struct http *h);     /* waits for running handlers; NULL is fine */
int http_port(const struct http *h); /* 0: a UNIX socket */
/* Reads the files of TLS again, for connections to come; on failure the old ones stay. */
enum status http_reload(struct http *h, struct err *e);

/* A pointer of the handler's, for what it calls; NULL at first. */
void http_set_tag(struct http_exchange *x, void *tag);
void *http_tag(const struct http_exchange *x);

/* ---- the request; texts are valid while the handler runs ---- */

const char *http_method(const struct http_exchange *x); /* "GET", "HEAD", ... */
const char *http_path(const struct http_exchange *x);   /* as sent: not decoded; without query */
const char *http_header(const struct http_exchange *x, const char *name); /* first; NULL: absent */
const char *http_host(const struct http_exchange *x); /* "" if there is none (HTTP/1.0) */

bool http_is_local(const struct http_exchange *x); /* the client is on this machine */
bool http_has_body(const struct http_exchange *x);

/* The next bytes of the body, at most n; 0 at its end. ST_FORMAT: broken chunks; ST_IO: the client
 * stopped in the middle. */
enum status http_read(struct http_exchange *x, void *data, size_t n, size_t *got, struct err *e);
/* The whole body, appended. ST_LIMIT above max bytes (answer 413). */
enum status http_read_all(struct http_exchange *x, size_t max, struct buf *out, struct err *e);

/* ---- the answer ---- */

/* Adds a header line to the coming answer; lines may repeat. */
void http_add_header(struct http_exchange *x, const char *name, const char *value);
/* type may be NULL (no Content-Type). For HEAD the body is counted but not sent. */
void http_answer(struct http_exchange *x, int status, const char *type, const void *data, size_t n);
void http_answer_text(struct http_exchange *x, int status, const char *type, const char *text);
/* A body of n bytes, which http_write() then sends, all of them. For HEAD none are sent. */
void http_sized(struct http_exchange *x, int status, const char *type, uint64_t n);
/* What was begun cannot be finished: the connection ends, so that the client sees it. */
void http_abort(struct http_exchange *x);
/* A body of unknown length: chunked, or until close for HTTP/1.0. */
void http_stream(struct http_exchange *x, int status, const char *type);
enum status http_write(struct http_exchange *x, const void *data,
                       size_t n); /* ST_IO: client gone */
/* While it holds, what a stream is given gathers (to some KiB) instead of going out: for pieces of
 * which the next one is known to be there. False, or the end of the stream, lets it go. */
void http_hold(struct http_exchange *x, bool hold);
void http_stream_end(struct http_exchange *x);
bool http_answered(const struct http_exchange *x);     /* the status line is out */
int http_answer_status(const struct http_exchange *x); /* 0 before */
void http_close_after(struct http_exchange *x);        /* the connection ends with this answer */

/* ---- clients that go away ---- */

/* Calls gone(arg) at most once, from the watching thread, if the client closes its connection
 * before http_unwatch(), which waits for a running call. One watch per exchange. gone() must not
 * block. */
void http_watch(struct http_exchange *x, void (*gone)(void *arg), void *arg);
void http_unwatch(struct http_exchange *x);

const char *http_status_text(int status); /* "Not Found" */

#endif
