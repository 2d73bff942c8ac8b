/* activity.c - see activity.h. */
#include "api/activity.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "api/answer.h"
#include "base/json.h"
#include "base/os.h"

void activities_open(struct activities *l) {
    *l = (struct activities){.head = NULL};
    pthread_mutex_init(&l->mutex, NULL);
    os_cond_init(&l->idle);
}

void activities_close(struct activities *l) {
    pthread_cond_destroy(&l->idle);
    pthread_mutex_destroy(&l->mutex);
}

/* ---- ids ---- */

bool request_id_ok(const char *text) {
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.:";
    const size_t n = strspn(text, allowed);
    return n > 0 && n <= REQUEST_ID_MAX && text[n] == '\0';
}

static struct activity *find(const struct activities *l, const char *id) {
    for (struct activity *a = l->head; a != NULL; a = a->next)
        if (strcmp(a->id, id) == 0) return a;
    return NULL;
}

static void make_id(struct activity *a, const char *wanted) {
    struct buf b = {0};
    if (wanted == NULL) put_random_id(&b, "req_");
    snprintf(a->id, sizeof a->id, "%s", wanted != NULL ? wanted : b.failed ? "req_" : b.data);
    buf_free(&b);
}

/* ---- the list ---- */

bool activities_add(struct activities *l, struct activity *a, const char *wanted) {
    if (wanted != NULL && !request_id_ok(wanted)) wanted = NULL;
    a->since_unix_ns = os_time_unix_ns();
    a->since_mono_ns = os_time_mono_ns();
    pthread_mutex_lock(&l->mutex);
    make_id(a, wanted != NULL && find(l, wanted) == NULL ? wanted : NULL);
    const bool open = !l->closing;
    if (open) {
        a->prev = NULL;
        a->next = l->head;
        if (a->next != NULL) a->next->prev = a;
        l->head = a;
        l->n++;
    }
    pthread_mutex_unlock(&l->mutex);
    return open;
}

void activities_remove(struct activities *l, struct activity *a) {
    pthread_mutex_lock(&l->mutex);
    if (a->prev != NULL)
        a->prev->next = a->next;
    else
        l->head = a->next;
    if (a->next != NULL) a->next->prev = a->prev;
    if (--l->n == 0) pthread_cond_broadcast(&l->idle);
    pthread_mutex_unlock(&l->mutex);
}

void activity_set_model(struct activities *l, struct activity *a, const char *name) {
    pthread_mutex_lock(&l->mutex);
    snprintf(a->model, sizeof a->model, "%s", name);
    pthread_mutex_unlock(&l->mutex);
}

void activity_set_end(struct activities *l, struct activity *a, void (*end)(void *), void *arg) {
    pthread_mutex_lock(&l->mutex);
    a->end = end;
    a->arg = arg;
    if (l->ending && end != NULL) end(arg);
    pthread_mutex_unlock(&l->mutex);
}

/* ---- ending ---- */

enum cancel_result activities_cancel(struct activities *l, const char *id) {
    pthread_mutex_lock(&l->mutex);
    struct activity *a = find(l, id);
    const enum cancel_result r = a == NULL        ? CANCEL_UNKNOWN
                                 : a->end == NULL ? CANCEL_CANNOT
                                                  : CANCEL_DONE;
    if (r == CANCEL_DONE) a->end(a->arg);
    pthread_mutex_unlock(&l->mutex);
    return r;
}

void activities_shut(struct activities *l) {
    pthread_mutex_lock(&l->mutex);
    l->closing = true;
    pthread_mutex_unlock(&l->mutex);
}

void activities_cancel_all(struct activities *l) {
    pthread_mutex_lock(&l->mutex);
    l->closing = l->ending = true;
    pthread_cond_broadcast(&l->idle);
    for (struct activity *a = l->head; a != NULL; a = a->next)
        if (a->end != NULL) a->end(a->arg);
    pthread_mutex_unlock(&l->mutex);
}

bool activities_wait(struct activities *l, int64_t ns, bool until_cancelled) {
    const int64_t now = os_time_mono_ns(), end = ns > INT64_MAX - now ? INT64_MAX : now + ns;
    bool late = false;
    pthread_mutex_lock(&l->mutex);
    while (l->n > 0 && !late && !(until_cancelled && l->ending))
        late = !os_cond_wait(&l->idle, &l->mutex, end);
    const bool none = l->n == 0;
    pthread_mutex_unlock(&l->mutex);
    return none;
}

/* ---- telling ---- */

static const char *state_of(const struct activity *a) {
    static const char *const name[] = {
        [CRIA_WAITING] = "queued", [CRIA_PROMPT] = "prompt", [CRIA_DECODING] = "generating"};
    return atomic_load(&a->generates) ? name[atomic_load(&a->progress.phase)] : "running";
}

static void put_activity(struct buf *b, const struct activity *a, int64_t now) {
    char when[48];
    os_time_rfc3339(a->since_unix_ns, true, when);
    buf_chr(b, '{');
    json_put_field(b, "id", a->id);
    json_put_field(b, "method", a->method);
    json_put_field(b, "route", a->route);
    json_put_field(b, "model", a->model);
    json_put_field(b, "state", state_of(a));
    json_put_field_int(b, "tokens", atomic_load(&a->progress.n_generated));
    json_put_field(b, "since", when);
    json_put_field_int(b, "duration", now - a->since_mono_ns);
    buf_chr(b, '}');
}

void activities_put_list(struct activities *l, struct buf *b) {
    const int64_t now = os_time_mono_ns();
    pthread_mutex_lock(&l->mutex);
    const struct activity *last = l->head;
    while (last != NULL && last->next != NULL) last = last->next;
    buf_chr(b, '[');
    for (const struct activity *a = last; a != NULL; a = a->prev) {
        if (a != last) buf_chr(b, ',');
        put_activity(b, a, now);
    }
    buf_chr(b, ']');
    pthread_mutex_unlock(&l->mutex);
}
