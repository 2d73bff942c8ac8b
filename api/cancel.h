/* cancel.h - one request's "nobody wants this any more": fired by the thread that watches the
 * sockets, by DELETE /api/requests/{id}, or by the server's end; seen by the request's own thread,
 * passed on to its generation. */
#ifndef CRIA_API_CANCEL_H
#define CRIA_API_CANCEL_H

#include <pthread.h>
#include <stdbool.h>

#include "engine/cria.h"

struct runner_pool;

struct cancel {
    pthread_mutex_t mutex;
    bool gone;
    struct cria_generation *generation; /* borrowed between attach and detach */
    struct runner_pool *runners;        /* where the request may be waiting; woken when fired */
};

static inline void cancel_init(struct cancel *c) {
    *c = (struct cancel){.gone = false};
    pthread_mutex_init(&c->mutex, NULL);
}

static inline void cancel_destroy(struct cancel *c) { pthread_mutex_destroy(&c->mutex); }

/* The generation to stop from now on; NULL: none any more (call it before freeing one). */
static inline void cancel_attach(struct cancel *c, struct cria_generation *g) {
    pthread_mutex_lock(&c->mutex);
    c->generation = g;
    if (c->gone && g != NULL) cria_generation_cancel(g);
    pthread_mutex_unlock(&c->mutex);
}

static inline void cancel_fire(struct cancel *c) {
    pthread_mutex_lock(&c->mutex);
    c->gone = true;
    if (c->generation != NULL) cria_generation_cancel(c->generation);
    pthread_mutex_unlock(&c->mutex);
}

static inline bool cancel_fired(struct cancel *c) {
    pthread_mutex_lock(&c->mutex);
    bool gone = c->gone;
    pthread_mutex_unlock(&c->mutex);
    return gone;
}

#endif
