/* server_impl.h - what the routes share. Not for other folders. */
#ifndef CRIA_API_SERVER_IMPL_H
#define CRIA_API_SERVER_IMPL_H

#include <semaphore.h>
#include <stdatomic.h>

#include "api/access.h"
#include "api/activity.h"
#include "api/answer.h"
#include "api/cancel.h"
#include "api/catalog.h"
#include "api/guard.h"
#include "api/http.h"
#include "api/metrics.h"
#include "api/request_log.h"
#include "api/runner.h"
#include "api/server.h"
#include "api/settings.h"
#include "api/tag_cache.h"

struct server {
    struct http *http;
    struct store *store; /* borrowed */
    struct catalog *catalog;
    struct tag_cache tags;
    struct runner_pool *runners;
    _Atomic(struct guard *) guard; /* owned; replaced when the settings are read again */
    char *listen_host;             /* owned */
    struct access access;
    bool insecure;                   /* others may reach it, and there were no keys at its start */
    struct settings settings;        /* of the start; what can change is with who uses it */
    sem_t stop;                      /* posted by server_stop */
    atomic_ulong last_id;            /* of OpenAI answers */
    struct activities activities;    /* requests being answered */
    struct request_log *request_log; /* owned; NULL: off */
    struct metrics metrics;
    int64_t start_ns;
};

/* The activity of an exchange: every handler has one. */
static inline struct activity *server_activity(struct http_exchange *x) { return http_tag(x); }

/* A request that can be cancelled, by its client or by the server's end. */
void server_enter(struct server *s, struct http_exchange *x, struct cancel *c);
void server_leave(struct server *s, struct http_exchange *x, struct cancel *c);

/* The one place that says that a prompt was cut (docs/http.md): a header of the coming answer, a
 * line in the log, a count. Native answers say it in a field, too, if they are asked
 * to. */
void server_tell_truncated(struct server *s, struct http_exchange *x, const char *model,
                           uint32_t n_ctx);

/* ---- routes ---- */

enum { BODY_MAX = 256 << 20 }; /* of JSON routes: images are base64 */

struct route_call {
    struct server *server;
    struct http_exchange *x;
    const char *param; /* what the pattern's :name matched, decoded; "" */
    enum key_scope scope;
};
typedef void route_fn(const struct route_call *c);
/* The table of routes, for the labels of the metrics. */
extern const struct metric_route *const router_routes;
extern const size_t router_n_routes;
struct fields;
/* Reads the body, unpacked where the dialect has packed ones; ends with a NUL (not counted). */
enum status route_read(const struct route_call *c, enum dialect d, struct buf *body, struct err *e);
/* Reads and decodes the body; answers the error itself and returns false. */
bool route_body(const struct route_call *c, enum dialect d, const struct fields *f, void *out,
                json **root);
/* Finds a route and calls it; the handler of the HTTP server. */
void router_handle(void *arg, struct http_exchange *x);

/* Whether the key of a request may use this stored model. ST_DENIED. */
enum status server_allow(struct http_exchange *x, const struct model_name *stored, struct err *e);
/* Whose request it is, for the engine: who has another key must not see what it leaves there. */
uint64_t server_domain(struct http_exchange *x);
/* The tokens of a request, for the key's limit. */
void server_charge(struct http_exchange *x, uint64_t n_tokens);

/* A model name as requests give it (spec/api.md 2), in the stored spelling. ST_INVALID: "model is
 * required", "invalid model name", ...; ST_DENIED: a cloud model. */
enum status server_name(const char *text, struct model_name *name, struct err *e);
/* `model`, else the older `name`. */
const char *server_model_of(const json *model, const json *name);

#endif
