/* guard.h - who may talk to the server: the Host check against DNS rebinding and the CORS check
 * against web pages (spec/api.md 1.3, 1.4). Pure functions over texts; the router applies them. */
#ifndef CRIA_API_GUARD_H
#define CRIA_API_GUARD_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct guard { /* owns its texts */
    char **origins;
    size_t n_origins;
    bool all_origins; /* "*" is among them */
    bool loopback;    /* the server listens on a loopback address */
    char *host_name;  /* of this machine; may be NULL */
    char *allowed;    /* hosts, comma list; may be NULL */
    struct guard
        *former; /* owned: the one that it has replaced, which requests may still look at */
};

struct guard_params {
    const char *origins;       /* comma list of the user, or NULL */
    const char *allowed_hosts; /* the same: names and addresses that Host may hold; "*": all */
    const char *listen_host;
};
/* ST_INVALID: an entry that can be no origin. */
enum status guard_open(struct guard *g, const struct guard_params *p, struct err *e);
void guard_close(struct guard *g);

/* Whether requests with this Host header may be served. On a loopback address: the peer's set. On
 * any other one: this machine's names and addresses, and what the user allows (S-NET-2). */
bool guard_host_ok(const struct guard *g, const char *host);
bool guard_host_is_name(const char *host); /* and not an IP address */
bool guard_origin_ok(const struct guard *g, const char *origin);
/* The page comes from this very server: origin is http(s)://HOST. */
bool guard_same_origin(const char *origin, const char *host);

/* A request that a page of another site could make without asking first (S-NET-4): from a browser,
 * across sites, with a body whose type needs no preflight. Texts may be NULL: absent. */
struct guard_request {
    const char *method, *origin, *host, *site, *type; /* site: Sec-Fetch-Site */
    bool has_body;
};
bool guard_is_forged(const struct guard_request *r);

extern const char guard_allow_headers[]; /* value of Access-Control-Allow-Headers */
extern const char guard_allow_methods[];

#endif
