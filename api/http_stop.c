/* http_stop.c - ends the library quickly. Its threads look at the stop flag only every two seconds,
 * while they wait for a connection or for the next request of one; so, while it stops, all its
 * sockets are shut down from here, which ends every such wait at once. */
#include <dirent.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

#include "api/http_impl.h"

struct waker {
    int port;
    atomic_bool done;
};

/* Answers may still be written: only the reading side of a connection is shut. */
static void shut_if_ours(int fd, int port) {
    struct sockaddr_storage a;
    socklen_t len = sizeof a;
    int listening = 0;
    if (getsockname(fd, (struct sockaddr *)&a, &len) != 0) return;
    if (a.ss_family != AF_INET && a.ss_family != AF_INET6) return;
    /* the port is at the same place in both kinds of address */
    if (ntohs(((const struct sockaddr_in *)(const void *)&a)->sin_port) != port) return;
    len = sizeof listening;
    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len);
    shutdown(fd, listening ? SHUT_RDWR : SHUT_RD);
}

static void shut_all(int port) {
    DIR *dir = opendir("/proc/self/fd");
    if (dir == NULL) return;
    for (struct dirent *d; (d = readdir(dir)) != NULL;) {
        int fd = atoi(d->d_name);
        if (fd > 2 && fd != dirfd(dir)) shut_if_ours(fd, port);
    }
    closedir(dir);
}

static void *wake_thread(void *arg) {
    struct waker *w = arg;
    const struct timespec pause = {.tv_nsec = 10000000};
    while (!atomic_load(&w->done)) {
        nanosleep(&pause, NULL);
        shut_all(w->port);
    }
    return NULL;
}

void http_stop_library(struct mg_context *ctx, int port) {
    struct waker w = {.port = port};
    pthread_t thread;
    bool started = port > 0 && pthread_create(&thread, NULL, wake_thread, &w) == 0;
    mg_stop(ctx);
    atomic_store(&w.done, true);
    if (started) pthread_join(thread, NULL);
}
