/* server.c - see server.h: opening, running, ending; and who is being served. */
#include "api/server.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "api/request.h"
#include "api/server_impl.h"
#include "base/log.h"
#include "base/mem.h"

enum { DEFAULT_THREADS = 256, DRAIN_SECONDS = 10 };

static enum status open_parts(struct server *s, const struct server_params *p, struct err *e) {
    const char *host = p->host == NULL ? "127.0.0.1" : p->host;
    struct http_params hp = {.host = host,
                             .port = p->port,
                             .handler = router_handle,
                             .arg = s,
                             .n_threads = p->n_threads == 0 ? DEFAULT_THREADS : p->n_threads};
    enum status st = guard_open(&s->guard, s->settings.origins, host, e);
    if (st == ST_OK) st = catalog_open(&s->catalog, p->store, e);
    if (st == ST_OK) st = runner_pool_open(&s->runners, &s->settings, e);
    if (st == ST_OK) st = http_open(&s->http, &hp, e);
    return st;
}

enum status server_open(struct server **out, const struct server_params *p, struct err *e) {
    struct server *s = mem_zalloc(1, sizeof *s);
    if (s == NULL) return err_no_memory(e);
    s->store = p->store;
    settings_read(&s->settings);
    sem_init(&s->stop, 0, 0);
    pthread_mutex_init(&s->mutex, NULL);
    pthread_cond_init(&s->idle, NULL);
    enum status st = open_parts(s, p, e);
    if (st != ST_OK) {
        server_close(s);
        return st;
    }
    *out = s;
    return ST_OK;
}

void server_reload(struct server *s) {
    struct settings fresh;
    settings_read(&fresh);
    runner_pool_configure(s->runners, &fresh);
}

int server_port(const struct server *s) { return http_port(s->http); }

void server_run(struct server *s) {
    while (sem_wait(&s->stop) != 0 && errno == EINTR) continue;
}

void server_stop(struct server *s) { sem_post(&s->stop); }

static void cancel_all(struct server *s) {
    pthread_mutex_lock(&s->mutex);
    s->closing = true;
    for (struct cancel *c = s->running; c != NULL; c = c->next) cancel_fire(c);
    pthread_mutex_unlock(&s->mutex);
    if (s->runners != NULL) runner_wake(s->runners);
}

/* Waits for the last words of the handlers: once the library stops, it writes nothing any more. */
static void drain(struct server *s) {
    struct timespec end;
    int late = 0;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += DRAIN_SECONDS;
    pthread_mutex_lock(&s->mutex);
    while (s->n_handlers > 0 && late == 0) late = pthread_cond_timedwait(&s->idle, &s->mutex, &end);
    pthread_mutex_unlock(&s->mutex);
}

bool server_begin(struct server *s) {
    pthread_mutex_lock(&s->mutex);
    bool open = !s->closing;
    if (open) s->n_handlers++;
    pthread_mutex_unlock(&s->mutex);
    return open;
}

void server_end(struct server *s) {
    pthread_mutex_lock(&s->mutex);
    if (--s->n_handlers == 0) pthread_cond_broadcast(&s->idle);
    pthread_mutex_unlock(&s->mutex);
}

void server_close(struct server *s) {
    if (s == NULL) return;
    cancel_all(s);
    drain(s);
    http_close(s->http);
    runner_pool_close(s->runners);
    catalog_close(s->catalog);
    guard_close(&s->guard);
    pthread_cond_destroy(&s->idle);
    pthread_mutex_destroy(&s->mutex);
    sem_destroy(&s->stop);
    mem_free(s);
}

/* ---- running requests ---- */

/* The client has gone. */
static void gone(void *arg) {
    struct cancel *c = arg;
    cancel_fire(c);
    runner_wake(c->runners);
}

void server_enter(struct server *s, struct http_exchange *x, struct cancel *c) {
    c->runners = s->runners;
    pthread_mutex_lock(&s->mutex);
    c->next = s->running;
    c->prev = NULL;
    if (c->next != NULL) c->next->prev = c;
    s->running = c;
    bool closing = s->closing;
    pthread_mutex_unlock(&s->mutex);
    if (closing) cancel_fire(c);
    http_watch(x, gone, c);
}

void server_leave(struct server *s, struct http_exchange *x, struct cancel *c) {
    http_unwatch(x);
    pthread_mutex_lock(&s->mutex);
    if (c->prev != NULL)
        c->prev->next = c->next;
    else
        s->running = c->next;
    if (c->next != NULL) c->next->prev = c->prev;
    pthread_mutex_unlock(&s->mutex);
}

/* ---- names ---- */

enum status server_name(const char *text, struct model_name *name, struct err *e) {
    enum name_source source = NAME_SOURCE_NONE;
    enum status st = name_parse_ref(name, text, &source, e);
    if (st == ST_OK && source == NAME_SOURCE_CLOUD)
        return err_set(e, ST_DENIED, "ollama cloud is disabled: remote model is unavailable");
    return st;
}

const char *server_model_of(const json *model, const json *name) {
    const char *text = field_text(model);
    return *text != '\0' ? text : field_text(name);
}
