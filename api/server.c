/* server.c - see server.h: opening, running, ending; and who is being served. */
#include "api/server.h"

#include <errno.h>
#include <string.h>

#include "api/request.h"
#include "api/server_impl.h"
#include "base/config.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/os.h"

enum { MAX_CONNECTIONS = 16384 };
#define LAST_WORDS_NS 10000000000

/* ---- keys ---- */

enum status server_allow(struct http_exchange *x, const struct model_name *stored, struct err *e) {
    const struct api_key *k = server_activity(x)->pass.key;
    char name[NAME_TEXT_MAX];
    name_shortest(stored, name);
    if (k == NULL || key_allows(k, name)) return ST_OK;
    return err_set(e, ST_DENIED, "this API key may not use model '%s'", name);
}

/* A key's hash is that of 256 random bits: its beginning is as good as a number. 0: no key. */
uint64_t server_domain(struct http_exchange *x) {
    const struct api_key *k = server_activity(x)->pass.key;
    uint64_t domain = 0;
    if (k != NULL) memcpy(&domain, k->sha256, sizeof domain);
    return domain;
}

void server_charge(struct http_exchange *x, uint64_t n_tokens) {
    const struct pass *p = &server_activity(x)->pass;
    if (p->key != NULL) keyring_charge(p->ring, p->key, n_tokens);
}

/* Who can reach it from elsewhere needs a key, unless the user has said otherwise (S-NET-1). */
static enum status check_bind(struct server *s, const struct server_params *p, struct err *e) {
    s->insecure = !atomic_load(&s->guard)->loopback && !access_has_keys(&s->access);
    if (!s->insecure || config_bool(SET_allow_insecure_bind)) return ST_OK;
    if (!p->host_by_user)
        return err_set(
            e, ST_DENIED,
            "others could use this server: listening on %s needs an API key (key add) or "
            "CRIA_ALLOW_INSECURE_BIND=1",
            p->host);
    log_warn(
        "server",
        "anybody who can reach %s may use and change this server: there is no API key (key add)",
        p->host);
    return ST_OK;
}

/* ---- opening and closing ---- */

static const char *path_of(enum setting id) {
    const char *text = config_text(id);
    return text != NULL && *text != '\0' ? text : NULL;
}

static unsigned number_of(enum setting id) {
    const uint64_t n = config_uint(id);
    return n == 0 ? 1 : n > MAX_CONNECTIONS ? MAX_CONNECTIONS : (unsigned)n;
}

/* Who may come in, by the settings of now. A request may look at the former ones at this moment, so
 * they are kept until the end; there are as many as somebody has changed the settings. */
static enum status renew_guard(struct server *s, struct err *e) {
    const struct guard_params p = {config_text(SET_origins), config_text(SET_allowed_hosts),
                                   s->listen_host};
    struct guard *former = atomic_load(&s->guard), *fresh = mem_zalloc(1, sizeof *fresh);
    if (fresh == NULL) return err_no_memory(e);
    enum status st = guard_open(fresh, &p, e);
    if (st != ST_OK) {
        mem_free(fresh);
        return st;
    }
    fresh->former = former;
    atomic_store(&s->guard, fresh);
    return ST_OK;
}

static void close_guards(struct guard *g) {
    while (g != NULL) {
        struct guard *former = g->former;
        guard_close(g);
        mem_free(g);
        g = former;
    }
}

static enum status open_parts(struct server *s, const struct server_params *p, struct err *e) {
    const char *host = p->host == NULL ? "127.0.0.1" : p->host;
    struct http_limits limits = http_default_limits;
    limits.per_address = number_of(SET_max_connections_per_address);
    struct http_params hp = {.host = host,
                             .port = p->port,
                             .tls_cert = p->is_private ? NULL : path_of(SET_tls_cert),
                             .tls_key = path_of(SET_tls_key),
                             .handler = router_handle,
                             .arg = s,
                             .limits = &limits,
                             .n_threads =
                                 p->n_threads == 0 ? number_of(SET_max_connections) : p->n_threads};
    s->listen_host = mem_strdup(host);
    enum status st = s->listen_host != NULL ? renew_guard(s, e) : err_no_memory(e);
    if (st == ST_OK) st = access_open(&s->access, p->is_private ? NULL : keys_path(), e);
    if (st == ST_OK) st = check_bind(s, p, e);
    if (st == ST_OK) st = catalog_open(&s->catalog, p->store, e);
    if (st == ST_OK) st = runner_pool_open(&s->runners, &s->settings, e);
    if (st == ST_OK) st = metrics_open(&s->metrics, router_n_routes, e);
    if (st == ST_OK && !p->is_private) s->request_log = request_log_open();
    if (st == ST_OK) st = http_open(&s->http, &hp, e);
    return st;
}

enum status server_open(struct server **out, const struct server_params *p, struct err *e) {
    struct server *s = mem_zalloc(1, sizeof *s);
    if (s == NULL) return err_no_memory(e);
    s->store = p->store;
    settings_read(&s->settings);
    sem_init(&s->stop, 0, 0);
    tag_cache_init(&s->tags);
    s->start_ns = os_time_mono_ns();
    activities_open(&s->activities);
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
    access_reload(&s->access);
    struct err e;
    if (renew_guard(s, &e) != ST_OK)
        log_error("server", "%s; the old origins and hosts stay", e.msg);
    if (http_reload(s->http, &e) != ST_OK)
        log_error("server", "%s; the old certificate stays", e.msg);
}

int server_port(const struct server *s) { return http_port(s->http); }

void server_run(struct server *s) {
    while (sem_wait(&s->stop) != 0 && errno == EINTR) continue;
}

void server_stop(struct server *s) { sem_post(&s->stop); }

void server_hurry(struct server *s) {
    activities_cancel_all(&s->activities);
    if (s->runners != NULL) runner_wake(s->runners);
}

void server_drain(struct server *s) {
    activities_shut(&s->activities);
    activities_wait(&s->activities, config_ns(SET_drain), true);
}

void server_close(struct server *s) {
    if (s == NULL) return;
    server_hurry(s);
    /* For the last words of the handlers: once the library stops, it writes nothing any more. */
    activities_wait(&s->activities, LAST_WORDS_NS, false);
    http_close(s->http);
    runner_pool_close(s->runners);
    catalog_close(s->catalog);
    tag_cache_free(&s->tags);
    close_guards(atomic_load(&s->guard));
    mem_free(s->listen_host);
    access_close(&s->access);
    metrics_close(&s->metrics);
    request_log_close(s->request_log);
    activities_close(&s->activities);
    sem_destroy(&s->stop);
    mem_free(s);
}

/* ---- running requests ---- */

/* The client has gone, or somebody cancels. */
static void gone(void *arg) {
    struct cancel *c = arg;
    cancel_fire(c);
    runner_wake(c->runners);
}

void server_enter(struct server *s, struct http_exchange *x, struct cancel *c) {
    c->runners = s->runners;
    http_watch(x, gone, c);
    activity_set_end(&s->activities, server_activity(x), gone, c);
}

void server_leave(struct server *s, struct http_exchange *x, struct cancel *c) {
    (void)c;
    activity_set_end(&s->activities, server_activity(x), NULL, NULL);
    http_unwatch(x);
}

void server_tell_truncated(struct server *s, struct http_exchange *x, const char *model,
                           uint32_t n_ctx) {
    struct activity *a = server_activity(x);
    metrics_add(&s->metrics, COUNT_truncated, 1);
    if (a->truncated) return; /* another choice, or another text, of the same request */
    a->truncated = true;
    log_warn("prompt", "cut to fit %u tokens: model=%.200s id=%s", n_ctx, model, a->id);
    if (!http_answered(x)) http_add_header(x, "X-Prompt-Truncated", "true");
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
