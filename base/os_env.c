/* os_env.c - see os.h: the environment, and what machine this is (processors, memory in use).
 *
 * Values from the environment need their ends trimmed, so they are copied when the end changes.
 * Copies are interned for the life of the process: their number is bounded by the number of
 * different values, and readers in other threads never lose the text. */
#define _GNU_SOURCE 1 /* CPU_ALLOC, sched_getaffinity */

#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/os.h"

/* ---- environment ---- */

struct text {
    struct text *next;
    size_t len;
    char s[];
};

static struct text *interned; /* guarded by intern_lock */
static pthread_mutex_t intern_lock = PTHREAD_MUTEX_INITIALIZER;

/* A lasting copy of n bytes; NULL: no memory. From malloc and not mem_alloc: it is never freed, so
 * the leak count of the tests must not see it. */
const char *os_intern(const char *s, size_t n) {
    pthread_mutex_lock(&intern_lock);
    struct text *t = interned;
    while (t != NULL && !(t->len == n && memcmp(t->s, s, n) == 0)) t = t->next;
    if (t == NULL && (t = malloc(sizeof *t + n + 1)) != NULL) {
        memcpy(t->s, s, n);
        t->s[n] = '\0';
        t->len = n;
        t->next = interned;
        interned = t;
    }
    pthread_mutex_unlock(&intern_lock);
    return t != NULL ? t->s : NULL;
}

/* Cuts all bytes of set from both ends of the n bytes at *s; returns the new length. */
static size_t trim(const char **s, size_t n, const char *set) {
    while (n != 0 && strchr(set, **s) != NULL) {
        ++*s;
        n--;
    }
    while (n != 0 && strchr(set, (*s)[n - 1]) != NULL) n--;
    return n;
}

static const char *env_trimmed(const char *prefix, const char *name) {
    char full[96];
    int len = snprintf(full, sizeof full, "%s%s", prefix, name);
    if (len < 0 || (size_t)len >= sizeof full) return NULL;
    const char *s = getenv(full);
    if (s == NULL) return NULL;
    size_t n = trim(&s, strlen(s), " \t\n\v\f\r");
    n = trim(&s, n, "\"'");
    if (n == 0) return NULL;
    return s[n] == '\0' ? s : os_intern(s, n);
}

const char *os_env_from(const char *name, bool *ollama) {
    const char *s = env_trimmed("CRIA_", name);
    *ollama = s == NULL;
    return s != NULL ? s : env_trimmed("OLLAMA_", name);
}

const char *os_env(const char *name) {
    bool ignored;
    return os_env_from(name, &ignored);
}

/* ---- processors ---- */

/* Reads a small file of /proc or /sys without the heap; false if that fails. */
static bool read_small(const char *path, char *text, size_t room) {
    FILE *f = fopen(path, "re");
    if (f == NULL) return false;
    size_t n = fread(text, 1, room - 1, f);
    fclose(f);
    text[n] = '\0';
    return n != 0;
}

static unsigned affinity_count(void) {
    /* The kernel refuses sets smaller than its own: double until it fits. */
    for (int n = 1024; n <= 1 << 20; n *= 2) {
        cpu_set_t *set = CPU_ALLOC((size_t)n);
        if (set == NULL) break;
        size_t size = CPU_ALLOC_SIZE((size_t)n);
        int count = sched_getaffinity(0, size, set) == 0 ? CPU_COUNT_S(size, set) : 0;
        CPU_FREE(set);
        if (count > 0) return (unsigned)count;
    }
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (unsigned)online : 1;
}

/* The limit of one cgroup v2 folder in processors, rounded up (a share of a processor can still run
 * one thread); UINT_MAX if it has none. cpu.max is "max PERIOD" or "QUOTA PERIOD". */
static unsigned cgroup_limit(const char *dir) {
    char path[PATH_MAX], text[64];
    unsigned long long quota, period;
    int len = snprintf(path, sizeof path, "%s/cpu.max", dir);
    if (len < 0 || (size_t)len >= sizeof path || !read_small(path, text, sizeof text))
        return UINT_MAX;
    if (sscanf(text, "%llu %llu", &quota, &period) != 2 || quota == 0 || period == 0)
        return UINT_MAX;
    unsigned long long n = (quota - 1) / period + 1;
    return n < UINT_MAX ? (unsigned)n : UINT_MAX;
}

/* The smallest limit on the way from our own cgroup up to the root. */
static unsigned cgroup_count(void) {
    static const char root[] = "/sys/fs/cgroup";
    char text[PATH_MAX], dir[PATH_MAX + sizeof root];
    unsigned best = cgroup_limit(root);
    if (!read_small("/proc/self/cgroup", text, sizeof text)) return best;
    char *own = strncmp(text, "0::", 3) == 0 ? text : strstr(text, "\n0::");
    if (own == NULL) return best;
    own = strchr(own, '/');
    if (own == NULL) return best;
    own[strcspn(own, "\n")] = '\0';
    snprintf(dir, sizeof dir, "%s%s", root, own);
    while (strlen(dir) >= sizeof root) {
        unsigned limit = cgroup_limit(dir);
        if (limit < best) best = limit;
        *strrchr(dir, '/') = '\0';
    }
    return best;
}

unsigned os_cpu_count(void) {
    unsigned affinity = affinity_count(), quota = cgroup_count();
    return affinity < quota ? affinity : quota;
}

/* ---- memory ---- */

size_t os_rss_bytes(void) {
    char text[256];
    unsigned long pages;
    if (!read_small("/proc/self/statm", text, sizeof text)) return 0;
    if (sscanf(text, "%*u %lu", &pages) != 1) return 0;
    return (size_t)pages * (size_t)sysconf(_SC_PAGESIZE);
}

size_t os_rss_peak_bytes(void) {
    struct rusage use;
    if (getrusage(RUSAGE_SELF, &use) != 0) return 0;
    size_t peak = (size_t)use.ru_maxrss * 1024, now = os_rss_bytes(); /* Linux counts in KiB */
    return peak > now ? peak : now; /* the kernel updates the peak now and then only */
}
