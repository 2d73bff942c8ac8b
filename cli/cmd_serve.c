/* cmd_serve.c - the server, until a signal ends it. */
#include <errno.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "api/server.h"
#include "base/log.h"
#include "cli/cli.h"
#include "cli/host.h"
#include "cli/model_file.h"
#include "store/store.h"

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

static enum status serve(const struct host *h, const sigset_t *ends, struct err *e) {
    struct store *store = NULL;
    struct server *server;
    enum status st = model_store(&store, NULL, e);
    if (st == ST_OK) st = store_prune(store, e);
    if (st == ST_OK) {
        const struct server_params params = {
            .host = listen_name(h), .port = (int)h->port, .store = store};
        st = server_open(&server, &params, e);
    }
    if (st == ST_OK) {
        int which;
        log_info("server", "Listening on %s:%d (version %s), models in %s", listen_name(h),
                 server_port(server), CRIA_VERSION, store_dir(store));
        while (sigwait(ends, &which) != 0) {
        }
        log_info("server", "%s, shutting down", strsignal(which));
        server_close(server);
    }
    store_close(store);
    return st;
}

enum status cmd_serve(const struct args *a, struct err *e) {
    struct host h;
    sigset_t ends;
    (void)a;
    log_set_level(LOG_INFO);
    host_from_env(&h);
    enum status st = h.port != 0 ? check_address(&h, e) : ST_OK;
    if (st != ST_OK) return st;
    /* Blocked here, so that every thread that is started from now on leaves them to sigwait. */
    sigemptyset(&ends);
    sigaddset(&ends, SIGINT);
    sigaddset(&ends, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &ends, NULL);
    return serve(&h, &ends, e);
}
