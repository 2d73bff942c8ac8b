/* os_guard.c - folders whose files are opened by rules of their own (os.h).
 *
 * Below the store most code knows a file by its path only: a model is opened by the engine, hashed,
 * mapped, converted. Whoever may write in the folder could exchange the file for a link between our
 * look at it and that opening. So the one who knows the rules opens it, whoever asks. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/os.h"

struct guard {
    char *dir; /* owned */
    size_t len;
    os_opener *open;
    void *arg;
    struct guard *next;
};

static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER; /* read: while a guard opens a file */
static struct guard *guards;

enum status os_guard(const char *dir, os_opener *opener, void *arg, struct err *e) {
    struct guard *g = mem_zalloc(1, sizeof *g);
    char *copy = mem_strdup(dir);
    if (g == NULL || copy == NULL) {
        mem_free(g);
        mem_free(copy);
        return err_no_memory(e);
    }
    *g = (struct guard){.dir = copy, .len = strlen(copy), .open = opener, .arg = arg};
    pthread_rwlock_wrlock(&lock);
    g->next = guards;
    guards = g;
    pthread_rwlock_unlock(&lock);
    return ST_OK;
}

void os_unguard(const void *arg) {
    pthread_rwlock_wrlock(&lock);
    for (struct guard **p = &guards; *p != NULL;) {
        struct guard *g = *p;
        if (g->arg != arg) {
            p = &g->next;
            continue;
        }
        *p = g->next;
        mem_free(g->dir);
        mem_free(g);
    }
    pthread_rwlock_unlock(&lock);
}

int os_open_read(const char *path, struct err *e) {
    int fd = -1;
    pthread_rwlock_rdlock(&lock);
    const struct guard *g = guards;
    while (g != NULL && (strncmp(path, g->dir, g->len) != 0 || path[g->len] != '/')) g = g->next;
    if (g != NULL) fd = g->open(g->arg, path + g->len + 1, e);
    pthread_rwlock_unlock(&lock);
    if (g != NULL) return fd;
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) os_fail(e, "open", path);
    return fd;
}
