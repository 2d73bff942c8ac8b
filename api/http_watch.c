/* http_watch.c - who has hung up? One thread waits (epoll) for the sockets of all requests that can
 * be cancelled, and looks at the time that connections take.
 *
 * A watch is a slot in a table, named by slot number and a generation count, and the kernel is
 * given only that name: an event that was already on its way when the watch ended finds another
 * generation and is dropped. Callbacks run under the table's lock, so when http_watcher_remove()
 * returns, the callback is not running and never will be. */
#include <pthread.h>
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
    struct http *http; /* borrowed */
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
    const int64_t tick_ns = (int64_t)w->http->limits.tick_ms * 1000000;
    int64_t next = os_time_mono_ns() + tick_ns;
    for (;;) {
        const int64_t now = os_time_mono_ns();
        if (now >= next) {
            http_conns_tick(w->http);
            next = now + tick_ns;
        }
        int n = epoll_wait(w->epoll, event, MAX_EVENTS, (int)((next - now) / 1000000) + 1);
        for (int i = 0; i < n; i++) {
            if (event[i].data.u64 == 0) return NULL; /* the wake descriptor: time to end */
            call_gone(w, event[i].data.u64);
        }
    }
}

enum status http_watcher_open(struct http_watcher **out, struct http *h, struct err *e) {
    struct http_watcher *w = mem_zalloc(1, sizeof *w);
    if (w == NULL) return err_no_memory(e);
    w->http = h;
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
