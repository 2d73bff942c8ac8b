/* http_impl.h - what the files of the HTTP wrapper share. Not for others. */
#ifndef CRIA_API_HTTP_IMPL_H
#define CRIA_API_HTTP_IMPL_H

#include <civetweb.h>
#include <pthread.h>

#include "api/http.h"
#include "api/relay.h"

struct http_watcher; /* http_watch.c: the epoll thread */

enum http_phase {               /* what a connection is waiting for */
                  HTTP_NEW,     /* its first head; see struct http_fresh */
                  HTTP_IDLE,    /* the next request */
                  HTTP_HEAD,    /* the rest of a head */
                  HTTP_BUSY,    /* the handler */
                  HTTP_READING, /* bytes of a body */
                  HTTP_WRITING, /* the client, to take what is written */
                  HTTP_ENDED    /* it took too long */
};

struct http_conn { /* one of the library's connections */
    struct http *http;
    int fd;                    /* -1: not known (yet) */
    int refused;               /* status of the answer that it gets; 0: none */
    char peer[RELAY_PEER_MAX]; /* "": not known yet */
    uint64_t accounted;        /* bytes of its requests; its own thread's */
    /* Guarded by http.mutex: */
    enum http_phase phase;
    int64_t since_ns;
    uint64_t mark; /* bytes received, or acknowledged, at that time */
    struct http_conn *next, *prev;
};

struct http_fresh { /* a socket whose connection has not sent its first head */
    int fd, port;   /* port of the other side */
    int64_t since_ns;
};

struct http {
    struct mg_context *ctx;
    struct http_watcher *watcher;
    http_handler *handler;
    void *arg;
    int port, inner_port; /* the same without a relay */
    struct relay *relay;  /* NULL: the library listens itself */
    struct http_limits limits;
    unsigned max_conns;
    pthread_mutex_t mutex; /* guards what follows */
    struct http_conn *conns;
    unsigned n_conns;
    struct http_fresh *fresh; /* owned; those of the last tick */
    size_t n_fresh;
};

struct http_exchange {
    struct http *http;
    struct mg_connection *conn;
    struct http_conn *link; /* NULL: no memory for it */
    const struct mg_request_info *info;
    char *path; /* owned: request_uri up to '?', without scheme and authority */
    const char *host;
    char *authority;    /* owned: of a target that names one, else NULL */
    struct buf headers; /* lines added by the handler */
    bool head, old;     /* method HEAD; HTTP/1.0 */
    bool close;         /* "Connection: close" will be sent */
    bool expect;        /* the client waits for "100 Continue" */
    bool has_body, answered, chunked, broken, hold;
    struct buf held; /* of a stream, not written yet */
    char *body;      /* behind a good head, in the library's buffer; NULL: not known */
    size_t body_read;
    long long body_left; /* with Content-Length: bytes not read yet; -1: chunked */
    int status;
    uint64_t watch; /* 0: none */
    void *tag;
};

/* http_check.c: 0 if the request may be handled, else the status to answer with. */
int http_check(struct http_exchange *x);
/* The same for a request of which the library refused the method: if the rest of its first line is
 * good it may be handled as one without headers and without a body, for a 404 or a 405. */
int http_check_unknown(struct http_exchange *x);

/* http_watch.c */
/* Calls http_conns_tick(h) once in tick_ms. */
enum status http_watcher_open(struct http_watcher **out, struct http *h, struct err *e);
void http_watcher_close(struct http_watcher *w);
uint64_t http_watcher_add(struct http_watcher *w, int fd, void (*gone)(void *), void *arg);
void http_watcher_remove(struct http_watcher *w, uint64_t id);

/* http_conn.c */
struct http_conn *http_conn_begin(struct http *h);
/* With the first head: whose it is, and whether it is one too many. */
void http_conn_identify(struct http_conn *c, const struct mg_request_info *info);
void http_conn_end(struct http_conn *c); /* NULL is fine here and below */
void http_conn_phase(struct http_conn *c, enum http_phase phase);
/* A request of n bytes, as far as they were read, is over. Returns how many bytes more than its
 * requests had the connection has received, at most: white space in front of them, what follows. */
uint64_t http_conn_surplus(struct http_conn *c, size_t n);
void http_conns_tick(struct http *h);
bool http_address_is_local(const char *address); /* this machine's; or "unix" */
unsigned http_room(unsigned wanted, unsigned per_conn);

/* http_stop.c: mg_stop without its long waits. */
void http_stop_library(struct mg_context *ctx, int port);

#endif
