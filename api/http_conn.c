/* http_conn.c - the library's connections, one by one: how many there are, how long each may take
 * (spec/security.md S-NET-8, S-NET-9).
 *
 * The library waits for a whole head, body or write with one time limit. Here each connection has a
 * phase, and the watching thread looks at all of them once a tick; what the kernel has received and
 * what the client has acknowledged (TCP_INFO) tells whether anything moves. A connection that takes
 * too long is shut down, which ends the library's wait at once. */
#include <arpa/inet.h>
#include <dirent.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "api/http_impl.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/os.h"

const struct http_limits http_default_limits = {.first_byte_ms = 10000,
                                                .head_ms = 15000,
                                                .body_window_ms = 30000,
                                                .body_window_bytes = 30 * 1024,
                                                .stall_ms = 60000,
                                                .handshake_ms = 10000,
                                                .tick_ms = 1000,
                                                .per_address = 256};

/* ---- from a connection to its socket ---- */

/* Port and numeric text of an address; false if it is not an internet address. */
static bool address_text(const struct sockaddr_storage *a, char text[INET6_ADDRSTRLEN], int *port) {
    if (a->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const void *)a;
        *port = ntohs(in->sin_port);
        return inet_ntop(AF_INET, &in->sin_addr, text, INET6_ADDRSTRLEN) != NULL;
    }
    if (a->ss_family != AF_INET6) return false;
    const struct sockaddr_in6 *in6 = (const void *)a;
    *port = ntohs(in6->sin6_port);
    return inet_ntop(AF_INET6, &in6->sin6_addr, text, INET6_ADDRSTRLEN) != NULL;
}

/* Both ends are compared: a client in our own process has the same two addresses, swapped. */
static bool is_socket_of(int fd, const struct mg_request_info *info) {
    struct sockaddr_storage a;
    socklen_t len = sizeof a;
    char text[INET6_ADDRSTRLEN];
    int port = 0;
    if (getpeername(fd, (struct sockaddr *)&a, &len) != 0 || !address_text(&a, text, &port))
        return false;
    if (port != info->remote_port || strcmp(text, info->remote_addr) != 0) return false;
    len = sizeof a;
    return getsockname(fd, (struct sockaddr *)&a, &len) == 0 && address_text(&a, text, &port) &&
           port == info->server_port;
}

/* The library does not tell it; found by its two addresses among the open descriptors. */
static int socket_of(const struct mg_request_info *info) {
    DIR *dir = opendir("/proc/self/fd");
    int found = -1;
    if (dir == NULL) return -1;
    for (struct dirent *d; found < 0 && (d = readdir(dir)) != NULL;) {
        int fd = atoi(d->d_name);
        if (fd > 2 && fd != dirfd(dir) && is_socket_of(fd, info)) found = fd;
    }
    closedir(dir);
    return found;
}

/* ---- the list ---- */

bool http_address_is_local(const char *a) {
    if (strncmp(a, "::ffff:", 7) == 0) a += 7;
    return strncmp(a, "127.", 4) == 0 || strcmp(a, "::1") == 0 || strcmp(a, "unix") == 0;
}

static unsigned count_of(const struct http *h, const char *peer) {
    unsigned n = 0;
    for (const struct http_conn *c = h->conns; c != NULL; c = c->next)
        if (strcmp(c->peer, peer) == 0) n++;
    return n;
}

struct http_conn *http_conn_begin(struct http *h) {
    struct http_conn *c = mem_zalloc(1, sizeof *c);
    if (c == NULL) return NULL;
    *c = (struct http_conn){.http = h, .fd = -1, .since_ns = os_time_mono_ns()};
    pthread_mutex_lock(&h->mutex);
    c->next = h->conns;
    if (c->next != NULL) c->next->prev = c;
    h->conns = c;
    h->n_conns++;
    pthread_mutex_unlock(&h->mutex);
    return c;
}

void http_conn_identify(struct http_conn *c, const struct mg_request_info *info) {
    char peer[RELAY_PEER_MAX] = "";
    if (c == NULL || *c->peer != '\0') return; /* not its first request */
    struct http *h = c->http;
    const int fd = socket_of(info);
    strncpy(peer, info->remote_addr, sizeof peer - 1);
    const bool stranger = h->relay != NULL && !relay_knows(h->relay, info->remote_port, peer);
    pthread_mutex_lock(&h->mutex);
    const bool full = h->n_conns > h->max_conns;
    const bool greedy = !http_address_is_local(peer) && count_of(h, peer) >= h->limits.per_address;
    memcpy(c->peer, peer, sizeof peer);
    c->fd = fd;
    c->refused = stranger ? 403 : full || greedy ? 503 : 0;
    pthread_mutex_unlock(&h->mutex);
}

void http_conn_end(struct http_conn *c) {
    if (c == NULL) return;
    struct http *h = c->http;
    pthread_mutex_lock(&h->mutex);
    if (c->prev != NULL)
        c->prev->next = c->next;
    else
        h->conns = c->next;
    if (c->next != NULL) c->next->prev = c->prev;
    h->n_conns--;
    pthread_mutex_unlock(&h->mutex);
    mem_free(c);
}

/* ---- phases ---- */

struct traffic {
    uint64_t received, acked;
};

static bool traffic_of(int fd, struct traffic *t) {
    struct tcp_info info;
    socklen_t len = sizeof info;
    memset(&info, 0, sizeof info);
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0) return false;
    *t = (struct traffic){info.tcpi_bytes_received, info.tcpi_bytes_acked};
    return true;
}

uint64_t http_conn_surplus(struct http_conn *c, size_t n) {
    struct traffic t = {0};
    if (c == NULL || c->fd < 0 || !traffic_of(c->fd, &t)) return UINT64_MAX;
    c->accounted += n;
    return t.received > c->accounted ? t.received - c->accounted : 0;
}

void http_conn_phase(struct http_conn *c, enum http_phase phase) {
    struct traffic t = {0};
    if (c == NULL || c->fd < 0) return;
    traffic_of(c->fd, &t);
    pthread_mutex_lock(&c->http->mutex);
    c->phase = phase;
    c->since_ns = os_time_mono_ns();
    c->mark = phase == HTTP_WRITING ? t.acked : t.received;
    pthread_mutex_unlock(&c->http->mutex);
}

/* The mutex is held: the descriptor is still this connection's. */
static void give_up(struct http_conn *c, const char *why) {
    log_debug("http", "%s: %s", c->peer, why);
    shutdown(c->fd, c->phase == HTTP_READING ? SHUT_RD : SHUT_RDWR);
    c->phase = HTTP_ENDED;
}

/* The next stretch of time begins. */
static void move_on(struct http_conn *c, int64_t now, uint64_t mark) {
    c->since_ns = now;
    c->mark = mark;
}

static void check(struct http_conn *c, const struct http_limits *l, int64_t now) {
    struct traffic t;
    if (c->fd < 0) return;
    if (!traffic_of(c->fd, &t)) return;
    const int64_t ms = (now - c->since_ns) / 1000000;
    switch (c->phase) {
    case HTTP_IDLE: /* between requests, until something comes; how long: the library's limit */
        if (t.received == c->mark) break;
        c->phase = HTTP_HEAD;
        move_on(c, now, t.received);
        break;
    case HTTP_HEAD:
        if (ms > l->head_ms) give_up(c, "the head took too long");
        break;
    case HTTP_READING:
        if (ms <= l->body_window_ms) break;
        if (t.received - c->mark < l->body_window_bytes) give_up(c, "the body came too slowly");
        move_on(c, now, t.received);
        break;
    case HTTP_WRITING:
        if (t.acked != c->mark)
            move_on(c, now, t.acked);
        else if (ms > l->stall_ms)
            give_up(c, "the client does not read");
        break;
    default:
        break;
    }
}

/* ---- sockets that have not sent a head yet ---- */

/* The library tells nothing of them, so they are found among the open descriptors, and known by
 * descriptor and port. One that the library has closed since is not there any more. */

static bool is_identified(const struct http *h, int fd) {
    for (const struct http_conn *c = h->conns; c != NULL; c = c->next)
        if (c->fd == fd) return true;
    return false;
}

/* The port of the other side, if the socket is a connection of our port; else 0. */
static int other_port(int fd, int our_port) {
    struct sockaddr_storage a;
    socklen_t len = sizeof a;
    char text[INET6_ADDRSTRLEN];
    int own = 0, other = 0;
    if (getsockname(fd, (struct sockaddr *)&a, &len) != 0 || !address_text(&a, text, &own) ||
        own != our_port)
        return 0;
    len = sizeof a;
    if (getpeername(fd, (struct sockaddr *)&a, &len) != 0 || !address_text(&a, text, &other))
        return 0;
    return other;
}

static void check_fresh(struct http *h, struct http_fresh *f, int64_t now) {
    struct traffic t;
    const int64_t ms = (now - f->since_ns) / 1000000;
    if (!traffic_of(f->fd, &t)) return;
    if (ms <= h->limits.head_ms && (ms <= h->limits.first_byte_ms || t.received != 0)) return;
    if (other_port(f->fd, h->inner_port) == f->port) shutdown(f->fd, SHUT_RDWR);
}

/* When the socket was first seen; known ones keep their time. */
static int64_t first_seen(const struct http *h, int fd, int port, int64_t now) {
    for (size_t i = 0; i < h->n_fresh; i++)
        if (h->fresh[i].fd == fd && h->fresh[i].port == port) return h->fresh[i].since_ns;
    return now;
}

#ifdef __SANITIZE_THREAD__
/* The library closes its sockets whenever it likes, and the sanitizer calls it a race to ask the
 * kernel about a descriptor meanwhile. It is known by its port, or not there. */
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void) { return "race:look_at_fresh\n"; }
#endif

/* The mutex is held. */
static void look_at_fresh(struct http *h, int64_t now) {
    struct http_fresh *next = mem_array(h->max_conns + 1, sizeof *next);
    DIR *dir = opendir("/proc/self/fd");
    size_t n = 0;
    if (dir == NULL || next == NULL) {
        if (dir != NULL) closedir(dir);
        mem_free(next);
        return;
    }
    for (struct dirent *d; (d = readdir(dir)) != NULL && n < h->max_conns;) {
        const int fd = atoi(d->d_name), port = fd > 2 ? other_port(fd, h->inner_port) : 0;
        if (port == 0 || is_identified(h, fd)) continue;
        next[n] = (struct http_fresh){fd, port, first_seen(h, fd, port, now)};
        check_fresh(h, &next[n++], now);
    }
    closedir(dir);
    mem_free(h->fresh);
    h->fresh = next;
    h->n_fresh = n;
}

/* The directory is read only while there are such connections. */
void http_conns_tick(struct http *h) {
    const int64_t now = os_time_mono_ns();
    bool fresh = false;
    pthread_mutex_lock(&h->mutex);
    for (struct http_conn *c = h->conns; c != NULL; c = c->next) {
        check(c, &h->limits, now);
        fresh = fresh || *c->peer == '\0';
    }
    if (fresh || h->n_fresh > 0) look_at_fresh(h, now);
    pthread_mutex_unlock(&h->mutex);
}

/* ---- descriptors ---- */

enum { FDS_OF_OTHERS = 64 + 64 }; /* the store's, and all else that is open */

/* Connections that the limit of descriptors leaves room for; per_conn: how many each takes. */
unsigned http_room(unsigned wanted, unsigned per_conn) {
    struct rlimit l;
    if (getrlimit(RLIMIT_NOFILE, &l) != 0) return wanted;
    if (l.rlim_cur < l.rlim_max) {
        l.rlim_cur = l.rlim_max;
        setrlimit(RLIMIT_NOFILE, &l);
        getrlimit(RLIMIT_NOFILE, &l);
    }
    const uint64_t limit = l.rlim_cur, least = 4;
    const uint64_t room = limit > FDS_OF_OTHERS ? (limit - FDS_OF_OTHERS) / per_conn : 0;
    return room >= wanted ? wanted : (unsigned)(room > least ? room : least);
}
