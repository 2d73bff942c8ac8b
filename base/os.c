/* os.c - see os.h: reading files, time and random bytes. Mappings are in os_map.c, new files are
 * written in os_out.c, the environment and the machine are in os_env.c. All calls are thread-safe.
 */
#include "base/os.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"

/* ---- errors ---- */

static enum status status_of_errno(int code) {
    switch (code) {
    case ENOENT:
        return ST_NOT_FOUND;
    case EEXIST:
        return ST_EXISTS;
    case EACCES:
    case EPERM:
    case EROFS:
        return ST_DENIED;
    case ENOMEM:
        return ST_NO_MEMORY;
    case ENAMETOOLONG:
    case EISDIR:
    case ENOTDIR:
        return ST_INVALID;
    default:
        return ST_IO;
    }
}

enum status os_fail(struct err *e, const char *verb, const char *path) {
    int code = errno;
    const char *text = strerror(code); /* glibc and musl: thread-safe */
    return err_set(e, status_of_errno(code), "%s %s: %c%s", verb, path,
                   tolower((unsigned char)text[0]), text + 1);
}

/* ---- whole files ---- */

int os_open_regular(const char *path, size_t *size, struct err *e) {
    int fd = os_open_read(path, e);
    struct stat st;
    if (fd < 0) return -1;
    if (fstat(fd, &st) != 0) {
        os_fail(e, "stat", path);
    } else if (!S_ISREG(st.st_mode)) {
        err_set(e, ST_INVALID, "open %s: not a regular file", path);
    } else {
        *size = (size_t)st.st_size;
        return fd;
    }
    close(fd);
    return -1;
}

/* The callers of os_open_regular return its status; e may be NULL, so it is kept in `mine` first.
 */
static enum status give_err(struct err *e, const struct err *mine) {
    if (e != NULL) *e = *mine;
    return mine->code;
}

/* Reads until n bytes are there or the file ends; the count, or -1 with errno set. */
static ssize_t read_full(int fd, char *data, size_t n) {
    size_t have = 0;
    while (have < n) {
        ssize_t got = read(fd, data + have, n - have);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return -1;
        if (got == 0) break;
        have += (size_t)got;
    }
    return (ssize_t)have;
}

/* Files of /proc say that they are empty: for size 0 we read up to this many bytes. */
enum { UNSIZED = 64 * 1024 };

enum status os_fd_read(int fd, const char *shown, size_t want, size_t max_size, char **data,
                       size_t *size, struct err *e) {
    if (want == 0) want = max_size < UNSIZED ? max_size : (size_t)UNSIZED;
    if (want > max_size)
        return err_set(e, ST_LIMIT, "read %s: larger than %zu bytes", shown, max_size);
    char *text = mem_alloc(want + 1);
    if (text == NULL) return err_no_memory(e);
    const ssize_t got = read_full(fd, text, want);
    if (got < 0) {
        mem_free(text);
        return os_fail(e, "read", shown);
    }
    text[got] = '\0';
    *data = text;
    *size = (size_t)got;
    return ST_OK;
}

enum status os_file_read(const char *path, size_t max_size, char **data, size_t *size,
                         struct err *e) {
    struct err mine;
    size_t want;
    int fd = os_open_regular(path, &want, &mine);
    if (fd < 0) return give_err(e, &mine);
    enum status st = os_fd_read(fd, path, want, max_size, data, size, e);
    close(fd);
    return st;
}

bool os_file_exists(const char *path) { return access(path, F_OK) == 0; }

/* One folder of a path; that it exists already is fine if it is one. */
static enum status make_dir(const char *path, struct err *e) {
    if (mkdir(path, 0755) == 0) return ST_OK;
    int code = errno;
    struct stat st;
    if (code == EEXIST && stat(path, &st) == 0) {
        if (S_ISDIR(st.st_mode)) return ST_OK;
        code = ENOTDIR;
    }
    errno = code;
    return os_fail(e, "mkdir", path);
}

enum status os_mkdirs(const char *path, struct err *e) {
    char *copy = mem_strdup(path);
    if (copy == NULL) return err_no_memory(e);
    enum status st = ST_OK;
    for (char *p = copy; *p != '\0' && st == ST_OK; p++) {
        if (*p != '/' || p == copy || p[-1] == '/') continue;
        *p = '\0';
        st = make_dir(copy, e);
        *p = '/';
    }
    if (st == ST_OK) st = make_dir(copy, e);
    mem_free(copy);
    return st;
}

enum status os_fsync_dir(int dir, const char *shown, struct err *e) {
    /* EINVAL: the file system cannot sync folders (some network ones); nothing more can be done. */
    return fsync(dir) == 0 || errno == EINVAL ? ST_OK : os_fail(e, "fsync", shown);
}

/* ---- time ---- */

enum { NS_PER_S = 1000000000 };

static int64_t clock_ns(clockid_t id) {
    struct timespec ts;
    clock_gettime(id, &ts); /* cannot fail for these clocks */
    return (int64_t)ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

int64_t os_time_mono_ns(void) { return clock_ns(CLOCK_MONOTONIC); }

/* The scheduler (EEVDF) lets one that wakes up and asks for shorter slices go first. */
void os_thread_computes(void) {
    struct { /* struct sched_attr of the kernel, whose header and the C library's exclude each other
              */
        uint32_t size, policy;
        uint64_t flags;
        int32_t nice;
        uint32_t priority;
        uint64_t runtime, deadline, period;
    } a = {.size = sizeof a};
    if (syscall(SYS_sched_getattr, 0, &a, sizeof a, 0) != 0 || a.policy != SCHED_OTHER) return;
    a.runtime = 20 * 1000000; /* the usual slice is 3 ms */
    syscall(SYS_sched_setattr, 0, &a, 0);
}

void os_cond_init(pthread_cond_t *c) {
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(c, &attr);
    pthread_condattr_destroy(&attr);
}

bool os_cond_wait(pthread_cond_t *c, pthread_mutex_t *m, int64_t mono_ns) {
    const struct timespec t = {.tv_sec = mono_ns / NS_PER_S, .tv_nsec = mono_ns % NS_PER_S};
    if (mono_ns == INT64_MAX) return pthread_cond_wait(c, m) == 0;
    return pthread_cond_timedwait(c, m, &t) == 0;
}

int64_t os_time_unix_ns(void) { return clock_ns(CLOCK_REALTIME); }
double os_time_mono(void) { return (double)os_time_mono_ns() / NS_PER_S; }

/* ".123" for 123000000, "" for 0. */
static void format_fraction(int64_t ns, char out[16]) {
    int n = snprintf(out, 16, ".%09d", (int)ns);
    while (n > 0 && (out[n - 1] == '0' || out[n - 1] == '.')) {
        bool dot = out[n - 1] == '.';
        out[--n] = '\0';
        if (dot) break;
    }
}

void os_time_rfc3339(int64_t unix_ns, bool utc, char out[48]) {
    int64_t sec = unix_ns / NS_PER_S, ns = unix_ns % NS_PER_S;
    if (ns < 0) {
        ns += NS_PER_S;
        sec--;
    }
    time_t t = (time_t)sec;
    struct tm tm;
    if (utc)
        gmtime_r(&t, &tm);
    else
        localtime_r(&t, &tm);
    char date[24], fraction[16], zone[8] = "Z";
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &tm);
    format_fraction(ns, fraction);
    int minutes = utc ? 0 : (int)(tm.tm_gmtoff / 60);
    if (minutes != 0) {
        unsigned size = (unsigned)(minutes < 0 ? -minutes : minutes) % (24 * 60);
        snprintf(zone, sizeof zone, "%c%02u:%02u", minutes < 0 ? '-' : '+', size / 60, size % 60);
    }
    snprintf(out, 48, "%s%s%s", date, fraction, zone);
}

/* ---- random ---- */

enum status os_random(void *out, size_t n, struct err *e) {
    unsigned char *p = out;
    while (n != 0) {
        ssize_t got = getrandom(p, n, 0);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return os_fail(e, "read", "random source");
        p += got;
        n -= (size_t)got;
    }
    return ST_OK;
}
