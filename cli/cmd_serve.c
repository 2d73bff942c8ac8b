/* cmd_serve.c - the server, until a signal ends it. SIGHUP reads cria.toml again. */
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "api/server.h"
#include "base/config.h"
#include "base/log.h"
#include "cli/cli.h"
#include "cli/host.h"
#include "cli/model_file.h"
#include "store/registry/key.h"
#include "store/store.h"

static const char *config_named; /* --config; NULL: the usual file */

/* Binds once and lets go: the HTTP library's own message does not tell which address is taken. */
static enum status check_address(const struct host *h, struct err *e) {
    struct addrinfo *list, hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    char port[8];
    struct buf text = {0};
    snprintf(port, sizeof port, "%u", h->port);
    host_put_address(&text, h);
    int failed = getaddrinfo(*h->name != '\0' ? h->name : NULL, port, &hints, &list);
    enum status st = ST_OK;
    if (failed != 0) {
        st = err_set(e, ST_INVALID, "listen tcp: lookup %s: %s", h->name, gai_strerror(failed));
    } else {
        int one = 1, fd = socket(list->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd >= 0) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
        if (fd < 0 || bind(fd, list->ai_addr, list->ai_addrlen) != 0) {
            st = err_set(e, ST_IO, "listen tcp %s: bind: %s", text.data,
                         errno == EADDRINUSE ? "address already in use" : strerror(errno));
        }
        if (fd >= 0) close(fd);
        freeaddrinfo(list);
    }
    buf_free(&text);
    return st;
}

/* The address to listen on; no name means all of them. */
static const char *listen_name(const struct host *h) {
    return *h->name != '\0' ? h->name : "0.0.0.0";
}

/* ---- SIGHUP ---- */

/* Texts before and after; they last, and equal ones are the same. */
static void note_changes(const char *const before[SETTING_COUNT]) {
    for (int i = 0; i < SETTING_COUNT; i++) {
        const char *now = config_text((enum setting)i), *was = before[i];
        if (now == was || (now != NULL && was != NULL && strcmp(now, was) == 0)) continue;
        const bool live = (config_settings[i].marks & SET_LIVE) != 0;
        log_write(live ? LOG_INFO : LOG_WARN, "config", "%s has changed%s", config_settings[i].name,
                  live ? "" : ": this takes effect after a restart");
    }
}

/* A file with an error changes nothing. */
static void reload(struct server *server) {
    const char *before[SETTING_COUNT];
    struct err e = {0};
    for (int i = 0; i < SETTING_COUNT; i++) before[i] = config_text((enum setting)i);
    if (config_load(config_named, &e) != ST_OK) {
        log_error("config", "%s; the old settings stay", e.msg);
        return;
    }
    log_reload();
    note_changes(before);
    server_reload(server);
    log_info("config", "settings read again from %s",
             config_loaded() != NULL ? config_loaded() : "no file");
}

/* A file may be somebody else's; the environment and the flags are the user's own word. */
static bool host_by_user(void) {
    struct setting_value v;
    config_get(SET_host, &v);
    return v.origin == FROM_ENVIRONMENT || v.origin == FROM_FLAG;
}

/* The name of this machine for registries. Without one only pushing fails. */
static void make_key(void) {
    struct key k;
    struct err e = {0};
    bool made = false;
    if (key_load(&k, NULL, &made, &e) != ST_OK) {
        log_warn("server", "no key pair: %s", e.msg);
    } else if (made) {
        struct buf line = {0};
        key_public_line(&k, &line);
        log_info("server", "made a key pair; the public key is %s",
                 line.data != NULL ? line.data : "");
        buf_free(&line);
    }
    memset(&k, 0, sizeof k);
}

static void tell_listening(const struct host *h, const struct server *server,
                           const struct store *store) {
    char port[16] = "";
    if (!h->is_unix) snprintf(port, sizeof port, ":%d", server_port(server));
    log_info("server", "Listening on %s%s (version %s), models in %s", listen_name(h), port,
             CRIA_VERSION, store_dir(store));
}

struct second_signal {
    struct server *server;
    const sigset_t *ends;
};

/* Cancelled when the server has ended. */
static void *wait_for_second(void *arg) {
    const struct second_signal *s = arg;
    int which = 0;
    while (sigwait(s->ends, &which) != 0 || which == SIGHUP) continue;
    server_hurry(s->server);
    return NULL;
}

/* Running requests may end by themselves, until a second signal comes (spec/security.md S-LC-1). */
static void close_server(struct server *server, const sigset_t *ends) {
    struct second_signal s = {server, ends};
    pthread_t thread;
    const bool waits = pthread_create(&thread, NULL, wait_for_second, &s) == 0;
    server_drain(server);
    if (waits) {
        pthread_cancel(thread);
        pthread_join(thread, NULL);
    }
    server_close(server);
}

static enum status serve(const struct host *h, const sigset_t *ends, struct err *e) {
    struct store *store = NULL;
    struct server *server;
    enum status st = model_store(&store, NULL, e);
    if (st == ST_OK) st = store_prune(store, e);
    if (st == ST_OK) make_key();
    if (st == ST_OK) {
        const struct server_params params = {.host = listen_name(h),
                                             .port = (int)h->port,
                                             .store = store,
                                             .host_by_user = host_by_user()};
        st = server_open(&server, &params, e);
    }
    if (st == ST_OK) {
        int which = 0;
        tell_listening(h, server, store);
        while (sigwait(ends, &which) != 0 || which == SIGHUP)
            if (which == SIGHUP) reload(server);
        log_info("server", "%s, shutting down", strsignal(which));
        close_server(server, ends);
    }
    store_close(store);
    return st;
}

/* The file, then the flags. */
static enum status read_settings(const struct args *a, struct err *e) {
    const char *pair;
    config_named = args_text(a, "config", NULL);
    enum status st = config_load(config_named, e);
    for (size_t i = 0; st == ST_OK && (pair = args_nth(a, "set", i)) != NULL; i++)
        st = config_set_pair(pair, e);
    if (st == ST_OK && args_bool(a, "registry")) st = config_set_pair("registry=true", e);
    return st;
}

enum status cmd_serve(const struct args *a, struct err *e) {
    struct host h;
    sigset_t ends;
    log_set_level(LOG_INFO);
    enum status st = read_settings(a, e);
    if (st != ST_OK) return st;
    host_from_env(&h);
    st = h.port != 0 && !h.is_unix ? check_address(&h, e) : ST_OK;
    if (st != ST_OK) return st;
    /* Blocked here, so that every thread that is started from now on leaves them to sigwait. */
    sigemptyset(&ends);
    sigaddset(&ends, SIGINT);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &ends, NULL);
    return serve(&h, &ends, e);
}
