/* runner.h - the models in memory (spec/scheduler.md).
 *
 * A *runner* is a loaded engine with a count of the requests that use it. Requests for a loaded
 * model take it at once; the others wait in one queue, in order, and the head of the queue loads,
 * after making room: the number of runners is bounded, and a runner whose load options differ from
 * the request's is unloaded first. Idle runners are unloaded when their time is over, by a thread
 * of the pool, which is also the only one that closes engines that were loaded. A load whose client
 * has gone ends half-way, unless others in the queue wait for the same. Thread-safe. */
#ifndef CRIA_API_RUNNER_H
#define CRIA_API_RUNNER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/cancel.h"
#include "api/catalog.h"
#include "api/options.h"
#include "api/settings.h"
#include "engine/cria.h"
#include "engine/vision/vision.h"

struct runner_pool;
struct runner;

enum status runner_pool_open(struct runner_pool **out, const struct settings *s, struct err *e);
/* Other settings, for what is loaded or queued from now on. */
void runner_pool_configure(struct runner_pool *p, const struct settings *s);
void runner_pool_close(struct runner_pool *p); /* no runner may be in use; NULL is fine */

struct runner_wish {
    const struct catalog_model *model; /* borrowed during the call */
    const struct options *options;
    const int64_t *keep_alive_ns; /* NULL: the default */
};
/* Returns a runner to be given back with runner_release. Errors: ST_BUSY (queue full), ST_CANCELLED
 * (c fired while it waited, or while it loaded for nobody else), ST_INTERNAL with the engine's
 * text. */
enum status runner_acquire(struct runner_pool *p, const struct runner_wish *w, struct cancel *c,
                           struct runner **out, struct err *e);
void runner_release(struct runner_pool *p, struct runner *r);
struct cria_engine *runner_engine(const struct runner *r);
/* The image encoder of the model's projector. NULL: it has none, *why is NULL; or it cannot be
 * used, *why tells (borrowed; why may be NULL). */
struct cria_vision *runner_vision(const struct runner *r, const char **why);

/* Unloads the model as soon as it is idle; nothing if it is not loaded. */
void runner_expire(struct runner_pool *p, const struct catalog_model *m);
void runner_wake(struct runner_pool *p); /* a cancel has fired: waiting requests look again */
struct runner_load {                     /* of a loaded model */
    const char *name;                    /* valid during the call */
    struct cria_load load;
};
/* Calls fn for every loaded model, under the pool's lock; returns how many requests wait for one.
 */
uint32_t runner_each(struct runner_pool *p, void (*fn)(void *arg, const struct runner_load *l),
                     void *arg);
/* The lines of /api/ps as a JSON list, latest expiry first. */
void runner_put_list(struct runner_pool *p, struct buf *b);

#endif
