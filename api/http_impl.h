/* http_impl.h - what the files of the HTTP wrapper share. Not for others. */
#ifndef CRIA_API_HTTP_IMPL_H
#define CRIA_API_HTTP_IMPL_H

#include <civetweb.h>

#include "api/http.h"

struct http_watcher; /* http_watch.c: the epoll thread */

struct http {
    struct mg_context *ctx;
    struct http_watcher *watcher;
    http_handler *handler;
    void *arg;
    int port;
};

struct http_exchange {
    struct http *http;
    struct mg_connection *conn;
    const struct mg_request_info *info;
    char *path; /* owned: request_uri up to '?', without scheme and authority */
    const char *host;
    struct buf headers; /* lines added by the handler */
    bool head, old;     /* method HEAD; HTTP/1.0 */
    bool close;         /* "Connection: close" will be sent */
    bool expect;        /* the client waits for "100 Continue" */
    bool has_body, answered, chunked, broken;
    long long body_left; /* with Content-Length: bytes not read yet; -1: chunked */
    int status;
    uint64_t watch; /* 0: none */
    void *tag;
};

/* http_check.c: 0 if the request may be handled, else the status to answer with. */
int http_check(struct http_exchange *x);

/* http_watch.c */
enum status http_watcher_open(struct http_watcher **out, struct err *e);
void http_watcher_close(struct http_watcher *w);
uint64_t http_watcher_add(struct http_watcher *w, int fd, void (*gone)(void *), void *arg);
void http_watcher_remove(struct http_watcher *w, uint64_t id);
/* The socket of a connection, found by its two addresses among the open descriptors; -1: none. The
 * library does not tell it. */
int http_socket_of(const struct mg_request_info *info);

/* http_stop.c: mg_stop without its long waits. */
void http_stop_library(struct mg_context *ctx, int port);

#endif
