/* fault.c - a disk that fails on command: preloaded into cria (LD_PRELOAD) by test_faults.py.
 *
 * The calls that change files are counted while they concern the folder FAULT_ROOT. At the n-th one
 * the process is killed, the call fails with an errno, or half of a write is done first. What to do
 * stands in a file, FAULT_CONTROL, which is mapped and shared with the test: so one server can be
 * told again and again. Each counted call leaves its kind, one letter, in the control's trace. Into
 * the file FAULT_LOG, if there is one, goes all that the calls did, in their order: what power.py
 * makes disks of that lost their power.
 *
 * The clock of the day can be set, too: only for this process, and not for the kernel.
 *
 * Only what cria calls is here: write pwrite fsync fdatasync rename link unlink ftruncate mkdir
 * (each also as ...at), open and openat (with O_CREAT), futimens, and ioctl(FICLONE). */
#undef _FORTIFY_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { TRACE = 65536, NONE = 0, KILL = 1, FAIL = 2, TEAR = 3, FAIL_FROM = 4 };

struct control {
    _Atomic uint32_t armed, at, action, error, count, hits;
    _Atomic int64_t clock; /* seconds that the clock of the day goes ahead */
    char trace[TRACE];
};

static struct control *control;
static char root[4096];
static size_t root_len;
static int log_fd = -1;

__attribute__((constructor)) static void start(void) {
    const char *path = getenv("FAULT_CONTROL"), *dir = getenv("FAULT_ROOT");
    if (path == NULL || dir == NULL) return;
    root_len = strlen(dir);
    if (root_len >= sizeof root) return;
    memcpy(root, dir, root_len);
    const char *log = getenv("FAULT_LOG");
    if (log != NULL) log_fd = open(log, O_WRONLY | O_APPEND | O_CLOEXEC);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) return;
    void *p = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (p != MAP_FAILED) control = p;
}

static bool is_below(const char *path) {
    return strncmp(path, root, root_len) == 0 && (path[root_len] == '/' || path[root_len] == '\0');
}

/* The path of an open file; "" if it has none. */
static const char *fd_path(int fd, char path[4096]) {
    char name[64];
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(name, path, 4095);
    path[n > 0 ? n : 0] = '\0';
    return path;
}

static bool fd_is_below(int fd) {
    char path[4096];
    return is_below(fd_path(fd, path));
}

static bool at_is_below(int dir, const char *path) {
    return path != NULL && *path == '/' ? is_below(path) : dir != AT_FDCWD && fd_is_below(dir);
}

static void die(void) {
    kill(getpid(), SIGKILL);
    pause();
}

/* Counts a call; what is to happen to it. */
static uint32_t count(char kind) {
    uint32_t n = atomic_fetch_add(&control->count, 1) + 1;
    if (n <= TRACE) control->trace[n - 1] = kind;
    const uint32_t at = atomic_load(&control->at), action = atomic_load(&control->action);
    bool now = action == FAIL_FROM ? n >= at : n == at;
    if (!now || at == 0) return NONE;
    atomic_fetch_add(&control->hits, 1);
    if (action == KILL || (action == TEAR && kind != 'w' && kind != 'p')) die();
    return action;
}

static bool is_armed(void) { return control != NULL && atomic_load(&control->armed) != 0; }
static int fail(void) {
    errno = (int)atomic_load(&control->error);
    return -1;
}
#define REAL(name) ((__typeof__(name) *)dlsym(RTLD_NEXT, #name))

/* ---- what was done ---- */

struct record { /* then the path below the root, the second path, the data */
    uint32_t kind, path, path2, unused;
    uint64_t inode, offset, size;
};
static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER; /* held while it is done */

static bool begin_log(void) {
    if (!is_armed() || log_fd < 0) return false;
    pthread_mutex_lock(&log_lock);
    return true;
}

static const char *below_root(const char *path) { return is_below(path) ? path + root_len : ""; }

static void put(char kind, uint64_t inode, const char *path, const char *path2, off_t offset,
                const void *data, size_t size) {
    path = below_root(path);
    path2 = below_root(path2);
    struct record r = {.kind = (uint32_t)kind,
                       .path = (uint32_t)strlen(path),
                       .path2 = (uint32_t)strlen(path2),
                       .inode = inode,
                       .offset = (uint64_t)offset,
                       .size = size};
    struct iovec parts[4] = {{&r, sizeof r},
                             {(void *)path, r.path},
                             {(void *)path2, r.path2},
                             {(void *)data, data != NULL ? size : 0}};
    if (writev(log_fd, parts, 4) < 0) die();
}

/* Ends what begin_log began; done: it was successful. */
static void log_fd_call(bool logs, bool done, char kind, int fd, off_t offset, const void *data,
                        size_t size) {
    char path[4096];
    struct stat info;
    const int code = errno;
    if (!logs) return;
    if (done && fstat(fd, &info) == 0 && fd_is_below(fd))
        put(kind == 's' && S_ISDIR(info.st_mode) ? 'S' : kind, info.st_ino, fd_path(fd, path), "",
            offset, data, size);
    pthread_mutex_unlock(&log_lock);
    errno = code;
}

static const char *at_path(int dir, const char *name, char path[8192]) {
    char folder[4096];
    if (*name == '/' || dir == AT_FDCWD) return name;
    snprintf(path, 8192, "%s/%s", fd_path(dir, folder), name);
    return path;
}

static void log_names(bool logs, bool done, char kind, int a, const char *from, int b,
                      const char *to) {
    char left[8192], right[8192];
    const int code = errno;
    if (!logs) return;
    if (done) put(kind, 0, at_path(a, from, left), at_path(b, to, right), 0, NULL, 0);
    pthread_mutex_unlock(&log_lock);
    errno = code;
}

/* ---- the calls ---- */

int clock_gettime(clockid_t id, struct timespec *t) {
    const int result = REAL(clock_gettime)(id, t);
    if (control != NULL && id == CLOCK_REALTIME) t->tv_sec += atomic_load(&control->clock);
    return result;
}

time_t time(time_t *out) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    if (out != NULL) *out = t.tv_sec;
    return t.tv_sec;
}

/* The usual call: fails, or goes through to be logged. */
#define CALL(kind, below, name, log, ...)                                                          \
    do {                                                                                           \
        const bool ours = is_armed() && (below);                                                   \
        if (ours && count(kind) >= FAIL) return fail();                                            \
        const bool logs = ours && begin_log();                                                     \
        const int result = REAL(name)(__VA_ARGS__);                                                \
        log;                                                                                       \
        return result;                                                                             \
    } while (0)
#define NAMES(kind, a, from, b, to) log_names(logs, result == 0, kind, a, from, b, to)

static ssize_t write_at(int fd, const void *data, size_t n, off_t at, char kind) {
    const bool ours = is_armed() && fd_is_below(fd);
    uint32_t what = ours ? count(kind) : NONE;
    if (what == FAIL || what == FAIL_FROM) return fail();
    if (what == TEAR) n = (n + 1) / 2;
    const bool logs = ours && begin_log();
    if (logs && kind == 'w') at = lseek(fd, 0, SEEK_CUR);
    ssize_t done = kind == 'w' ? REAL(write)(fd, data, n) : REAL(pwrite)(fd, data, n, at);
    log_fd_call(logs, done > 0, 'w', fd, at, data, done > 0 ? (size_t)done : 0);
    if (what == TEAR) die();
    return done;
}

ssize_t write(int fd, const void *data, size_t n) { return write_at(fd, data, n, 0, 'w'); }
ssize_t pwrite(int fd, const void *data, size_t n, off_t at) {
    return write_at(fd, data, n, at, 'p');
}

#define SYNCED log_fd_call(logs, result == 0, 's', fd, 0, NULL, 0)
int fsync(int fd) { CALL('s', fd_is_below(fd), fsync, SYNCED, fd); }
int fdatasync(int fd) { CALL('s', fd_is_below(fd), fdatasync, SYNCED, fd); }
int ftruncate(int fd, off_t n) {
    CALL('t', fd_is_below(fd), ftruncate, log_fd_call(logs, result == 0, 't', fd, n, NULL, 0), fd,
         n);
}

enum { CWD = AT_FDCWD };
int rename(const char *from, const char *to) {
    CALL('r', is_below(to), rename, NAMES('r', CWD, from, CWD, to), from, to);
}
int link(const char *from, const char *to) {
    CALL('l', is_below(to), link, NAMES('l', CWD, from, CWD, to), from, to);
}
int unlink(const char *path) {
    CALL('u', is_below(path), unlink, NAMES('u', CWD, path, CWD, ""), path);
}
int rmdir(const char *path) {
    CALL('d', is_below(path), rmdir, NAMES('u', CWD, path, CWD, ""), path);
}
int mkdir(const char *path, mode_t mode) {
    CALL('m', is_below(path), mkdir, NAMES('m', CWD, path, CWD, ""), path, mode);
}
int mkdirat(int dir, const char *path, mode_t mode) {
    CALL('m', at_is_below(dir, path), mkdirat, NAMES('m', dir, path, CWD, ""), dir, path, mode);
}
int renameat(int a, const char *from, int b, const char *to) {
    CALL('r', at_is_below(b, to), renameat, NAMES('r', a, from, b, to), a, from, b, to);
}
int linkat(int a, const char *from, int b, const char *to, int flags) {
    CALL('l', at_is_below(b, to), linkat, NAMES('l', a, from, b, to), a, from, b, to, flags);
}
int unlinkat(int dir, const char *path, int flags) {
    CALL('u', at_is_below(dir, path), unlinkat, NAMES('u', dir, path, CWD, ""), dir, path, flags);
}
int utimensat(int dir, const char *path, const struct timespec t[2], int flags) {
    CALL('a', at_is_below(dir, path), utimensat, NAMES('a', dir, path, CWD, ""), dir, path, t,
         flags);
}
int futimens(int fd, const struct timespec t[2]) {
    CALL('a', fd_is_below(fd), futimens, log_fd_call(logs, result == 0, 'a', fd, 0, NULL, 0), fd,
         t);
}

/* Only those that may make a file are counted. */
#define CREATED log_fd_call(logs, result >= 0, 'o', result, 0, NULL, 0)
int open(const char *path, int flags, ...) {
    va_list args;
    va_start(args, flags);
    mode_t mode = (flags & O_CREAT) != 0 ? va_arg(args, mode_t) : 0;
    va_end(args);
    CALL('o', (flags & O_CREAT) != 0 && is_below(path), open, CREATED, path, flags, mode);
}
int openat(int dir, const char *path, int flags, ...) {
    va_list args;
    va_start(args, flags);
    mode_t mode = (flags & O_CREAT) != 0 ? va_arg(args, mode_t) : 0;
    va_end(args);
    CALL('o', (flags & O_CREAT) != 0 && at_is_below(dir, path), openat, CREATED, dir, path, flags,
         mode);
}

/* A clone on a disk that has none: FAULT_CLONES=1 copies, so that the way behind it is walked. */
static int copy_all(int to, int from) {
    char room[65536];
    off_t at = 0;
    for (ssize_t n; (n = pread(from, room, sizeof room, at)) != 0; at += n)
        if (n < 0 || pwrite(to, room, (size_t)n, at) != n) return -1;
    return 0;
}

int ioctl(int fd, unsigned long request, ...) {
    va_list args;
    va_start(args, request);
    void *arg = va_arg(args, void *);
    va_end(args);
    if (request == FICLONE && getenv("FAULT_CLONES") != NULL && control != NULL && fd_is_below(fd))
        return copy_all(fd, (int)(intptr_t)arg);
    CALL('c', request == FICLONE && fd_is_below(fd), ioctl, (void)logs, fd, request, arg);
}
