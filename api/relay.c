/* relay.c - see relay.h: the listening socket, and a thread for each connection. TLS: relay_tls.c.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "api/relay_impl.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/os.h"

enum { STEP = 16384, BACKLOG = 512, STACK = 256 << 10 };

/* A client that reads nothing for so long is given up, as http_conn.c does it. */
static const struct timeval write_limit = {.tv_sec = 60};

struct link { /* a connection; owned by its thread */
    struct relay *relay;
    int outer, inner; /* the client's socket, and ours to the library */
    int inner_port;
    char peer[RELAY_PEER_MAX];
    SSL *ssl; /* NULL: plain */
    struct link *next;
};

struct relay {
    struct relay_params p;
    char *unix_path; /* owned; NULL: an address */
    int fd, wake, port, inner_port;
    struct relay_tls *tls; /* NULL: plain */
    pthread_t thread;
    bool started, closing;
    bool listens;          /* on the UNIX socket, which is ours to remove */
    pthread_mutex_t mutex; /* guards what follows, and closing */
    pthread_cond_t idle;
    struct link *links;
    unsigned n;
};

/* ---- one connection ---- */

static bool write_all(int fd, const char *data, size_t n) {
    while (n > 0) {
        const ssize_t k = send(fd, data, n, MSG_NOSIGNAL);
        if (k < 0 && errno == EINTR) continue;
        if (k <= 0) return false;
        data += k;
        n -= (size_t)k;
    }
    return true;
}

/* What the client sends, on to the library; false: it has ended. */
static bool inward(struct link *l, char *buffer) {
    const ssize_t n =
        l->ssl != NULL ? relay_tls_read(l->ssl, buffer, STEP) : recv(l->outer, buffer, STEP, 0);
    const bool ok = n > 0 && write_all(l->inner, buffer, (size_t)n);
    if (n > 0) OPENSSL_cleanse(buffer, (size_t)n); /* there may be a key in it */
    return ok;
}

static bool outward(struct link *l, char *buffer) {
    const ssize_t n = recv(l->inner, buffer, STEP, 0);
    if (n <= 0) return false;
    return l->ssl != NULL ? relay_tls_write(l->ssl, buffer, (size_t)n)
                          : write_all(l->outer, buffer, (size_t)n);
}

static void carry(struct link *l) {
    char buffer[STEP];
    struct pollfd fd[2] = {{l->outer, POLLIN, 0}, {l->inner, POLLIN, 0}};
    bool go_on = true;
    while (go_on) {
        const bool pending = l->ssl != NULL && SSL_pending(l->ssl) > 0;
        if (!pending && poll(fd, 2, -1) < 0 && errno != EINTR) return;
        if (pending || fd[0].revents != 0) go_on = inward(l, buffer);
        if (go_on && !pending && fd[1].revents != 0) go_on = outward(l, buffer);
    }
}

/* Connects to the library and tells the relay from which port, before a byte is sent. */
static bool connect_inner(struct link *l) {
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)l->relay->inner_port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof own;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return false;
    if (bind(fd, (struct sockaddr *)&own, sizeof own) != 0 ||
        getsockname(fd, (struct sockaddr *)&own, &len) != 0) {
        close(fd);
        return false;
    }
    pthread_mutex_lock(&l->relay->mutex);
    l->inner = fd;
    l->inner_port = ntohs(own.sin_port);
    const bool open = !l->relay->closing;
    pthread_mutex_unlock(&l->relay->mutex);
    return open && connect(fd, (struct sockaddr *)&a, sizeof a) == 0;
}

static void end_link(struct link *l) {
    struct relay *r = l->relay;
    pthread_mutex_lock(&r->mutex);
    struct link **at = &r->links;
    while (*at != l) at = &(*at)->next;
    *at = l->next;
    pthread_mutex_unlock(&r->mutex);
    if (l->ssl != NULL) relay_tls_end(l->ssl);
    close(l->outer);
    if (l->inner >= 0) close(l->inner);
    mem_free(l);
    pthread_mutex_lock(&r->mutex);
    if (--r->n == 0) pthread_cond_broadcast(&r->idle); /* the last touch of r */
    pthread_mutex_unlock(&r->mutex);
}

static void *link_thread(void *arg) {
    struct link *l = arg;
    bool ok = true;
    setsockopt(l->outer, SOL_SOCKET, SO_SNDTIMEO, &write_limit, sizeof write_limit);
    if (l->relay->tls != NULL)
        ok = relay_tls_begin(l->relay->tls, l->outer, l->relay->p.handshake_ms, &l->ssl);
    if (ok && connect_inner(l)) carry(l);
    end_link(l);
    return NULL;
}

/* ---- accepting ---- */

static void name_peer(struct link *l, const struct sockaddr_storage *a) {
    const void *address = a->ss_family == AF_INET
                              ? (const void *)&((const struct sockaddr_in *)a)->sin_addr
                              : (const void *)&((const struct sockaddr_in6 *)a)->sin6_addr;
    if (a->ss_family != AF_INET && a->ss_family != AF_INET6)
        strcpy(l->peer, "unix");
    else
        inet_ntop(a->ss_family, address, l->peer, sizeof l->peer);
}

static void start_link(struct relay *r, int fd, const struct sockaddr_storage *a) {
    struct link *l = mem_zalloc(1, sizeof *l);
    pthread_attr_t attr;
    pthread_t thread;
    pthread_mutex_lock(&r->mutex);
    const bool room = l != NULL && r->n < r->p.max_connections;
    if (room) {
        *l = (struct link){.relay = r, .outer = fd, .inner = -1, .next = r->links};
        name_peer(l, a);
        r->links = l;
        r->n++;
    }
    pthread_mutex_unlock(&r->mutex);
    if (!room) {
        close(fd);
        mem_free(l);
        return;
    }
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attr, STACK);
    if (pthread_create(&thread, &attr, link_thread, l) != 0) end_link(l);
    pthread_attr_destroy(&attr);
}

/* Out of descriptors: wait a little for some to be given back, do not spin. */
static void *accept_thread(void *arg) {
    struct relay *r = arg;
    struct pollfd fd[2] = {{r->fd, POLLIN, 0}, {r->wake, POLLIN, 0}};
    for (;;) {
        if (poll(fd, 2, -1) < 0) continue;
        if (fd[1].revents != 0) return NULL;
        struct sockaddr_storage a = {.ss_family = AF_UNSPEC};
        socklen_t len = sizeof a;
        const int c = accept4(r->fd, (struct sockaddr *)&a, &len, SOCK_CLOEXEC);
        if (c >= 0)
            start_link(r, c, &a);
        else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
            poll(NULL, 0, 50);
    }
}

/* ---- listening ---- */

/* A socket that nobody listens on any more is left over from a server that was killed. */
static enum status listen_unix(struct relay *r, struct err *e) {
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    if (strlen(r->unix_path) >= sizeof a.sun_path)
        return err_set(e, ST_INVALID, "listen %s: longer than %zu bytes", r->unix_path,
                       sizeof a.sun_path - 1);
    strcpy(a.sun_path, r->unix_path);
    const int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const bool used = connect(probe, (struct sockaddr *)&a, sizeof a) == 0;
    const bool left = !used && errno == ECONNREFUSED;
    close(probe);
    if (used) return err_set(e, ST_IO, "listen %s: address already in use", r->unix_path);
    if (left) unlink(r->unix_path);
    r->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const mode_t old = umask(S_IRWXG | S_IRWXO);
    const int failed = bind(r->fd, (struct sockaddr *)&a, sizeof a);
    umask(old);
    if (failed == 0 && listen(r->fd, BACKLOG) == 0) {
        r->listens = true;
        return ST_OK;
    }
    return os_fail(e, "listen", r->unix_path);
}

static enum status listen_tcp(struct relay *r, struct err *e) {
    struct addrinfo *list, hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    char port[16], name[300];
    int one = 1;
    snprintf(port, sizeof port, "%d", r->p.port);
    snprintf(name, sizeof name, strchr(r->p.host, ':') != NULL ? "tcp [%s]:%s" : "tcp %s:%s",
             r->p.host, port);
    const int failed = getaddrinfo(r->p.host, port, &hints, &list);
    if (failed != 0) return err_set(e, ST_IO, "listen %s: %s", name, gai_strerror(failed));
    r->fd = socket(list->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (r->fd >= 0) setsockopt(r->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    struct sockaddr_storage a;
    socklen_t len = sizeof a;
    const bool ok = r->fd >= 0 && bind(r->fd, list->ai_addr, list->ai_addrlen) == 0 &&
                    listen(r->fd, BACKLOG) == 0 &&
                    getsockname(r->fd, (struct sockaddr *)&a, &len) == 0;
    freeaddrinfo(list);
    if (!ok) return err_set(e, ST_IO, "listen %s: %s", name, strerror(errno));
    r->port = ntohs(((const struct sockaddr_in *)(const void *)&a)->sin_port); /* same in both */
    return ST_OK;
}

enum status relay_open(struct relay **out, const struct relay_params *p, struct err *e) {
    struct relay *r = mem_zalloc(1, sizeof *r);
    if (r == NULL) return err_no_memory(e);
    *r = (struct relay){.p = *p, .fd = -1, .wake = eventfd(0, EFD_CLOEXEC)};
    pthread_mutex_init(&r->mutex, NULL);
    pthread_cond_init(&r->idle, NULL);
    const bool is_unix = strncmp(p->host, "unix:", 5) == 0;
    enum status st = ST_OK;
    if (is_unix && (r->unix_path = mem_strdup(p->host + 5)) == NULL) st = err_no_memory(e);
    if (st == ST_OK && p->tls_cert != NULL)
        st = relay_tls_open(&r->tls, p->tls_cert, p->tls_key, e);
    if (st == ST_OK) st = is_unix ? listen_unix(r, e) : listen_tcp(r, e);
    if (st != ST_OK) {
        relay_close(r);
        return st;
    }
    *out = r;
    return ST_OK;
}

enum status relay_start(struct relay *r, int inner_port, struct err *e) {
    r->inner_port = inner_port;
    r->started = pthread_create(&r->thread, NULL, accept_thread, r) == 0;
    return r->started ? ST_OK : err_set(e, ST_INTERNAL, "cannot start a thread");
}

static void end_all(struct relay *r) {
    pthread_mutex_lock(&r->mutex);
    r->closing = true;
    for (struct link *l = r->links; l != NULL; l = l->next) {
        shutdown(l->outer, SHUT_RDWR);
        if (l->inner >= 0) shutdown(l->inner, SHUT_RDWR);
    }
    while (r->n > 0) pthread_cond_wait(&r->idle, &r->mutex);
    pthread_mutex_unlock(&r->mutex);
}

void relay_close(struct relay *r) {
    if (r == NULL) return;
    const uint64_t one = 1;
    if (r->started) {
        while (write(r->wake, &one, sizeof one) < 0) continue;
        pthread_join(r->thread, NULL);
    }
    if (r->unix_path != NULL && r->listens) unlink(r->unix_path);
    end_all(r);
    if (r->fd >= 0) close(r->fd);
    if (r->wake >= 0) close(r->wake);
    relay_tls_close(r->tls);
    pthread_cond_destroy(&r->idle);
    pthread_mutex_destroy(&r->mutex);
    mem_free(r->unix_path);
    mem_free(r);
}

int relay_port(const struct relay *r) { return r->port; }

enum status relay_reload(struct relay *r, struct err *e) {
    return r->tls != NULL ? relay_tls_reload(r->tls, e) : ST_OK;
}

bool relay_knows(struct relay *r, int inner_port, char peer[RELAY_PEER_MAX]) {
    bool found = false;
    pthread_mutex_lock(&r->mutex);
    for (const struct link *l = r->links; l != NULL && !found; l = l->next) {
        if (l->inner < 0 || l->inner_port != inner_port) continue;
        memcpy(peer, l->peer, RELAY_PEER_MAX);
        found = true;
    }
    pthread_mutex_unlock(&r->mutex);
    return found;
}
