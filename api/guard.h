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
    bool check_host;  /* the server listens on a loopback address */
    char *host_name;  /* of this machine; may be NULL */
};

/* origins: comma list of the user, or NULL. ST_INVALID: an entry that can be no origin. */
enum status guard_open(struct guard *g, const char *origins, const char *listen_host,
                       struct err *e);
void guard_close(struct guard *g);

/* Whether requests with this Host header may be served. */
bool guard_host_ok(const struct guard *g, const char *host);
bool guard_host_is_name(const char *host); /* and not an IP address */
bool guard_origin_ok(const struct guard *g, const char *origin);
/* The page comes from this very server: origin is http(s)://HOST. */
bool guard_same_origin(const char *origin, const char *host);

extern const char guard_allow_headers[]; /* value of Access-Control-Allow-Headers */
extern const char guard_allow_methods[];

#endif
