/* http_watch.c - who has hung up? One thread waits (epoll) for the sockets of all requests that can
 * be cancelled.
 *
 * A watch is a slot in a table, named by slot number and a generation count, and the kernel is
 * given only that name: an event that was already on its way when the watch ended finds another
 * generation and is dropped. Callbacks run under the table's lock, so when http_watcher_remove()
 * returns, the callback is not running and never will be. */
#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "api/http_impl.h"
#include "base/mem.h"
#include "base/os.h"

enum { MAX_EVENTS = 32 };

struct slot {
    int fd; /* -1: free */
    uint32_t generation;
    void (*gone)(void *arg);
    void *arg;
};

struct http_watcher {
    int epoll, wake;
    pthread_t thread;
    pthread_mutex_t mutex;
    struct slot *slots; /* owned */
    size_t n_slots;
};

static uint64_t slot_id(const struct http_watcher *w, size_t i) {
    return (uint64_t)w->slots[i].generation << 32 | (uint32_t)(i + 1);
}

/* NULL: the watch has ended. The mutex is held. */
static struct slot *find_slot(struct http_watcher *w, uint64_t id) {
    size_t i = (uint32_t)id;
    if (i == 0 || i > w->n_slots) return NULL;
    struct slot *s = &w->slots[i - 1];
    return s->fd >= 0 && slot_id(w, i - 1) == id ? s : NULL;
}

static void end_slot(struct http_watcher *w, struct slot *s) {
    epoll_ctl(w->epoll, EPOLL_CTL_DEL, s->fd, NULL);
    s->fd = -1;
    s->generation++;
}

static void call_gone(struct http_watcher *w, uint64_t id) {
    pthread_mutex_lock(&w->mutex);
    struct slot *s = find_slot(w, id);
    if (s != NULL) {
        s->gone(s->arg);
        end_slot(w, s);
    }
    pthread_mutex_unlock(&w->mutex);
}

static void *watch_thread(void *arg) {
    struct http_watcher *w = arg;
    struct epoll_event event[MAX_EVENTS];
    for (;;) {
        int n = epoll_wait(w->epoll, event, MAX_EVENTS, -1);
        for (int i = 0; i < n; i++) {
            if (event[i].data.u64 == 0) return NULL; /* the wake descriptor: time to end */
            call_gone(w, event[i].data.u64);
        }
    }
}

enum status http_watcher_open(struct http_watcher **out, struct err *e) {
    struct http_watcher *w = mem_zalloc(1, sizeof *w);
    if (w == NULL) return err_no_memory(e);
    w->epoll = epoll_create1(EPOLL_CLOEXEC);
    w->wake = eventfd(0, EFD_CLOEXEC);
    pthread_mutex_init(&w->mutex, NULL);
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = 0};
    if (w->epoll < 0 || w->wake < 0 || epoll_ctl(w->epoll, EPOLL_CTL_ADD, w->wake, &event) != 0 ||
        pthread_create(&w->thread, NULL, watch_thread, w) != 0) {
        enum status st = os_fail(e, "watch", "sockets");
        if (w->epoll >= 0) close(w->epoll);
        if (w->wake >= 0) close(w->wake);
        pthread_mutex_destroy(&w->mutex);
        mem_free(w);
        return st;
    }
    *out = w;
    return ST_OK;
}

void http_watcher_close(struct http_watcher *w) {
    if (w == NULL) return;
    uint64_t one = 1;
    while (write(w->wake, &one, sizeof one) < 0) continue;
    pthread_join(w->thread, NULL);
    close(w->epoll);
    close(w->wake);
    pthread_mutex_destroy(&w->mutex);
    mem_free(w->slots);
    mem_free(w);
}

/* The mutex is held. NULL: no memory. */
static struct slot *free_slot(struct http_watcher *w) {
    for (size_t i = 0; i < w->n_slots; i++)
        if (w->slots[i].fd < 0) return &w->slots[i];
    struct slot *grown = mem_grow(w->slots, w->n_slots + 1, sizeof *grown);
    if (grown == NULL) return NULL;
    w->slots = grown;
    w->slots[w->n_slots] = (struct slot){.fd = -1};
    return &w->slots[w->n_slots++];
}

uint64_t http_watcher_add(struct http_watcher *w, int fd, void (*gone)(void *), void *arg) {
    uint64_t id = 0;
    pthread_mutex_lock(&w->mutex);
    struct slot *s = free_slot(w);
    if (s != NULL) {
        struct epoll_event event = {.events = EPOLLRDHUP | EPOLLONESHOT};
        *s = (struct slot){fd, s->generation, gone, arg};
        id = event.data.u64 = slot_id(w, (size_t)(s - w->slots));
        if (epoll_ctl(w->epoll, EPOLL_CTL_ADD, fd, &event) != 0) {
            s->fd = -1;
            id = 0;
        }
    }
    pthread_mutex_unlock(&w->mutex);
    return id;
}

void http_watcher_remove(struct http_watcher *w, uint64_t id) {
    pthread_mutex_lock(&w->mutex);
    struct slot *s = find_slot(w, id);
    if (s != NULL) end_slot(w, s);
    pthread_mutex_unlock(&w->mutex);
}

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

int http_socket_of(const struct mg_request_info *info) {
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
