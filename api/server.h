/* server.h - the HTTP server: native and OpenAI routes over a store and the engine.
 *
 * server_open() listens and serves at once, on threads of its own; server_run() only waits, so a
 * program may also go on with other work (`cria run FILE` talks to a private server in its own
 * process). Settings: api/settings.h. */
#ifndef CRIA_API_SERVER_H
#define CRIA_API_SERVER_H

#include <stdbool.h>

#include "base/err.h"

struct server;
struct store;

struct server_params {
    const char *host;    /* NULL: 127.0.0.1 */
    bool host_by_user;   /* OLLAMA_HOST says so: served without keys, too, with a warning */
    int port;            /* 0: any free one */
    struct store *store; /* borrowed: outlives the server */
    unsigned n_threads;  /* connections at once; 0: as the settings say */
    bool is_private;     /* for this process alone: no TLS, no keys */
};
/* ST_DENIED: an address that others can reach, without keys (spec/security.md S-NET-1). ST_IO: the
 * address cannot be used; ST_INVALID: OLLAMA_ORIGINS holds something that is no origin.
 */
enum status server_open(struct server **out, const struct server_params *p, struct err *e);
/* The settings have changed (config.h): those that can change while it runs count from now on, for
 * models that are loaded, requests that arrive. From any thread. */
void server_reload(struct server *s);
int server_port(const struct server *s);
void server_run(struct server *s);  /* waits for server_stop */
void server_stop(struct server *s); /* from any thread, or from a signal handler */
/* Nothing begins any more; what runs may end by itself for a while (setting `drain`), or until
 * another thread calls server_hurry(), which cancels it. */
void server_drain(struct server *s);
void server_hurry(struct server *s);
/* Cancels what still runs, waits for it, unloads all models. NULL is fine. */
void server_close(struct server *s);

#endif
