/* fetch.h - one HTTP request to a registry, over libcurl, under cria's rules for going out
 * (spec/security.md S-NET-12).
 *
 * Only http and https; certificates are always checked; nothing is decompressed; an answer that is
 * kept in memory has a cap. Redirects are never followed by libcurl: fetch_redirect() decides. The
 * address is judged when the socket is opened, so a name cannot point elsewhere between check and
 * use: public addresses always, others only of the class (loopback, private) that the registry
 * itself has. Behind a proxy the proxy's address is the one that is seen, and it is allowed. */
#ifndef CRIA_STORE_REGISTRY_FETCH_H
#define CRIA_STORE_REGISTRY_FETCH_H

#include <curl/curl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

enum { FETCH_MAX_REDIRECTS = 5 };

enum net_class { NET_UNKNOWN, NET_PUBLIC, NET_LOOPBACK, NET_PRIVATE, NET_NEVER };
struct sockaddr;
enum net_class net_class_of(const struct sockaddr *a);

/* What the requests of one pull or push have in common. */
struct fetch_policy {
    char host[352];       /* host:port of the registry */
    bool allow_http;      /* the registry itself is spoken to without TLS */
    _Atomic int own;      /* enum net_class of the registry's address, once connected */
    _Atomic bool *cancel; /* set: requests end with ST_CANCELLED; may be NULL */
};

struct fetch { /* one request and its answer; zeroed, filled in, fetch_free */
    struct fetch_policy *policy;
    const char *method; /* GET, HEAD, POST, PUT, PATCH */
    char *url;          /* owned */
    struct curl_slist *headers;
    const char *user, *password; /* borrowed; NULL: none */
    const void *body;            /* borrowed: sent from memory */
    size_t body_size;
    /* Or sent from a reader: size bytes; each read gives at most n, 0 on failure. */
    size_t (*read)(void *arg, char *out, size_t n);
    uint64_t read_size;
    /* Takes the body of a 2xx answer instead of `body`; false: stop (ST_CANCELLED). */
    bool (*sink)(struct fetch *f, const char *data, size_t n);
    void *arg;
    size_t cap; /* of a body in memory; more is ST_LIMIT */

    /* the answer */
    long code; /* 0: none arrived */
    struct buf answer;
    char *location, *upload_location, *challenge, *content_range; /* owned; NULL: no such header */
    int64_t content_length;                                       /* -1: unknown */
    /* inside */
    CURL *curl;
    char text[CURL_ERROR_SIZE];
    bool blocked, stalled, over;
};

/* url is taken over. */
void fetch_init(struct fetch *f, struct fetch_policy *p, const char *method, char *url);
void fetch_header(struct fetch *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void fetch_free(struct fetch *f); /* a zeroed one is fine */

/* Sends and waits. ST_OK: an answer is there, whatever its code. Transport failures: ST_UNAVAILABLE
 * (`Get "URL": text`); stalled is set when no byte came for CRIA_STALL_TIMEOUT seconds (30). */
enum status fetch_run(struct fetch *f, struct err *e);
/* The two halves, for who runs many at once: prepare gives the handle (NULL: no memory). */
CURL *fetch_prepare(struct fetch *f);
enum status fetch_result(struct fetch *f, CURLcode code, struct err *e);

/* The address that a 3xx answer names, absolute, checked against the rules: *to is new text. */
enum status fetch_redirect(const struct fetch *f, char **to, struct err *e);
/* "host:port" of a URL, the default port left out, in lower case; false: not http(s). */
bool url_host(const char *url, char out[352], bool *https);
/* Is this URL at the registry itself? Only there do tokens and passwords go. */
bool fetch_is_own(const struct fetch_policy *p, const char *url);

#endif
