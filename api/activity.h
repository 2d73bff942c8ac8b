/* activity.h - the requests that are being served: what GET /api/requests lists, what DELETE
 * /api/requests/{id} and the server's end cancel.
 *
 * An activity lives on the stack of its handler's thread, between activities_add() and
 * activities_remove(). What may be read from outside is guarded by the list's mutex, but for the
 * progress, which is atomic. Nothing of a request's content is kept here. */
#ifndef CRIA_API_ACTIVITY_H
#define CRIA_API_ACTIVITY_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "api/access.h"
#include "base/buf.h"
#include "engine/cria.h"
#include "store/store.h"

enum { REQUEST_ID_MAX = 64 };

struct activity {
    char id[REQUEST_ID_MAX + 1]; /* X-Request-Id */
    const char *method, *route;  /* static: the pattern, not what was sent; "" if unknown */
    atomic_bool generates;       /* progress tells more than "running" */
    struct cria_progress progress;
    int64_t since_unix_ns, since_mono_ns;
    char model[NAME_TEXT_MAX];
    bool truncated;         /* told once; the handler's own */
    struct pass pass;       /* the key it came with; the handler's own */
    void (*end)(void *arg); /* cancels; NULL: cannot be cancelled (now). Must not block */
    void *arg;
    struct activity *next, *prev;
};

struct activities {
    pthread_mutex_t mutex;
    pthread_cond_t idle; /* n fell to 0 */
    struct activity *head;
    unsigned n;
    bool closing, ending; /* nothing may begin; everything is cancelled */
};

void activities_open(struct activities *l);
void activities_close(struct activities *l);
/* False: the server is closing, nothing may begin. wanted: the client's X-Request-Id, taken if it
 * is well-formed and nobody's now; NULL: none. */
bool activities_add(struct activities *l, struct activity *a, const char *wanted);
void activities_remove(struct activities *l, struct activity *a);
/* 1 to 64 letters, digits, '-', '_', '.' and ':'. */
bool request_id_ok(const char *text);

void activity_set_model(struct activities *l, struct activity *a, const char *name);
/* From now on end(arg) cancels it; NULL: no longer (waits for a running call). If everything
 * is being cancelled, it is called at once. */
void activity_set_end(struct activities *l, struct activity *a, void (*end)(void *), void *arg);

enum cancel_result { CANCEL_DONE, CANCEL_UNKNOWN, CANCEL_CANNOT };
enum cancel_result activities_cancel(struct activities *l, const char *id);
void activities_shut(struct activities *l); /* nothing begins any more */
/* The same, and what can be cancelled is. */
void activities_cancel_all(struct activities *l);
/* Waits until none is left, or everything is cancelled with `until_cancelled`; false after that
 * time. */
bool activities_wait(struct activities *l, int64_t ns, bool until_cancelled);
/* A JSON list, oldest first. */
void activities_put_list(struct activities *l, struct buf *b);

#endif
