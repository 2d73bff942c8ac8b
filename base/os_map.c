/* os_map.c - mapped files (os.h), and files that are cut while they are mapped.
 *
 * Reading a page behind the end of a mapped file raises SIGBUS, which would end the process with
 * all models in it because of one (spec/security.md S-ST-9). Our handler finds the mapping, puts
 * zeros in the place of the lost part, and marks it; whoever computes with the bytes asks
 * os_map_cut afterwards and throws the result away. The handler runs anywhere, in many threads at
 * once: it looks at a fixed table of atomics and makes one system call. */
#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/os.h"

enum { MAX_VIEWS = 4096 }; /* mappings beyond that are not guarded */

static struct view {        /* [0] is never used */
    atomic_uintptr_t begin; /* 0: free; 1: being filled */
    atomic_size_t size;
    atomic_bool cut;
} views[MAX_VIEWS];
static atomic_uint n_views = 1; /* all behind were never used */
static struct sigaction before;
static uintptr_t page_size;

/* The view that holds an address; NULL: none. */
static struct view *view_at(uintptr_t at) {
    const unsigned n = atomic_load(&n_views);
    for (unsigned i = 1; i < n; i++) {
        const uintptr_t begin = atomic_load(&views[i].begin);
        if (begin > 1 && at >= begin && at - begin < atomic_load(&views[i].size)) return &views[i];
    }
    return NULL;
}

static void on_bus_error(int sig, siginfo_t *info, void *context) {
    const uintptr_t at = (uintptr_t)info->si_addr;
    struct view *v = info->si_code == BUS_ADRERR ? view_at(at) : NULL;
    if (v != NULL) {
        const uintptr_t begin = atomic_load(&v->begin), end = begin + atomic_load(&v->size);
        const uintptr_t first = at / page_size * page_size;
        atomic_store(&v->cut, true);
        if (mmap((void *)first, end - first, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
                 0) != MAP_FAILED)
            return;
    }
    if ((before.sa_flags & SA_SIGINFO) != 0)
        before.sa_sigaction(sig, info, context);
    else
        signal(sig, SIG_DFL); /* it is raised again where we return to */
}

static void install(void) {
    struct sigaction sa = {.sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO};
    page_size = (uintptr_t)sysconf(_SC_PAGESIZE);
    sigemptyset(&sa.sa_mask);
    sigaction(SIGBUS, &sa, &before);
}

/* Its number; 0: no room. */
static unsigned guard(const void *data, size_t size) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, install);
    for (unsigned i = 1; i < MAX_VIEWS; i++) {
        uintptr_t nobody = 0;
        if (!atomic_compare_exchange_strong(&views[i].begin, &nobody, 1)) continue;
        atomic_store(&views[i].size, size);
        atomic_store(&views[i].cut, false);
        atomic_store(&views[i].begin, (uintptr_t)data);
        unsigned n = atomic_load(&n_views);
        while (n <= i && !atomic_compare_exchange_weak(&n_views, &n, i + 1)) continue;
        return i;
    }
    return 0;
}

enum status os_map_open(struct os_map *m, const char *path, struct err *e) {
    struct err mine;
    size_t size;
    *m = (struct os_map){0};
    int fd = os_open_regular(path, &size, &mine);
    if (fd < 0) {
        if (e != NULL) *e = mine;
        return mine.code;
    }
    if (size == 0) { /* mmap refuses empty files */
        os_map_borrow(m, "", 0);
        close(fd);
        return ST_OK;
    }
    void *data = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
    enum status st = data != MAP_FAILED ? ST_OK : os_fail(e, "mmap", path);
    close(fd);
    if (st == ST_OK)
        *m = (struct os_map){.data = data, .size = size, .owned = true, .view = guard(data, size)};
    return st;
}

void os_map_borrow(struct os_map *m, const void *data, size_t size) {
    assert(data != NULL || size == 0);
    *m = (struct os_map){.data = data, .size = size};
}

void os_map_close(struct os_map *m) {
    if (m->view != 0) atomic_store(&views[m->view].begin, 0); /* nobody reads it any more */
    if (m->owned) munmap((void *)m->data, m->size);
    *m = (struct os_map){0};
}

bool os_map_cut(const struct os_map *m) { return m->view != 0 && atomic_load(&views[m->view].cut); }

void os_map_forget(const struct os_map *m, const unsigned char *data, size_t n) {
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), begin = (uintptr_t)m->data;
    const uintptr_t at = (uintptr_t)data;
    /* Of borrowed memory this would not give back pages but erase them. */
    if (!m->owned || at < begin || at - begin > m->size || n > m->size - (at - begin)) return;
    const uintptr_t first = (at + page - 1) / page * page, last = (at + n) / page * page;
    if (first < last) madvise((void *)first, last - first, MADV_DONTNEED);
}
