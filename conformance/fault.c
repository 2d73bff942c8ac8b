/* fault.c - a disk that fails on command: preloaded into cria (LD_PRELOAD) by test_faults.py.
 *
 * The calls that change files are counted while they concern the folder FAULT_ROOT. At the n-th one
 * the process is killed, the call fails with an errno, or half of a write is done first. What to do
 * stands in a file, FAULT_CONTROL, which is mapped and shared with the test: so one server can be
 * told again and again. Each counted call leaves its kind, one letter, in the control's trace.
 *
 * Only what cria calls is here: write pwrite fsync fdatasync rename link unlink ftruncate mkdir
 * (each also as ...at), open and openat (with O_CREAT), futimens, and ioctl(FICLONE). */
#undef _FORTIFY_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
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
#include <unistd.h>

enum { TRACE = 65536, NONE = 0, KILL = 1, FAIL = 2, TEAR = 3, FAIL_FROM = 4 };

struct control {
    _Atomic uint32_t armed, at, action, error, count, hits;
    char trace[TRACE];
};

static struct control *control;
static char root[4096];
static size_t root_len;

__attribute__((constructor)) static void start(void) {
    const char *path = getenv("FAULT_CONTROL"), *dir = getenv("FAULT_ROOT");
    if (path == NULL || dir == NULL) return;
    root_len = strlen(dir);
    if (root_len >= sizeof root) return;
    memcpy(root, dir, root_len);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) return;
    void *p = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (p != MAP_FAILED) control = p;
}

static bool is_below(const char *path) {
    return strncmp(path, root, root_len) == 0 && (path[root_len] == '/' || path[root_len] == '\0');
}

static bool fd_is_below(int fd) {
    char name[64], path[4096];
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(name, path, sizeof path - 1);
    if (n <= 0) return false;
    path[n] = '\0';
    return is_below(path);
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
/* The usual call: fails or goes through. */
#define CALL(kind, below, name, ...)                                                               \
    do {                                                                                           \
        if (is_armed() && (below) && count(kind) >= FAIL) return fail();                           \
        return REAL(name)(__VA_ARGS__);                                                            \
    } while (0)

ssize_t write(int fd, const void *data, size_t n) {
    uint32_t what = is_armed() && fd_is_below(fd) ? count('w') : NONE;
    if (what == FAIL || what == FAIL_FROM) return fail();
    if (what == TEAR) n = (n + 1) / 2;
    ssize_t put = REAL(write)(fd, data, n);
    if (what == TEAR) die();
    return put;
}

ssize_t pwrite(int fd, const void *data, size_t n, off_t at) {
    uint32_t what = is_armed() && fd_is_below(fd) ? count('p') : NONE;
    if (what == FAIL || what == FAIL_FROM) return fail();
    if (what == TEAR) n = (n + 1) / 2;
    ssize_t put = REAL(pwrite)(fd, data, n, at);
    if (what == TEAR) die();
    return put;
}

int fsync(int fd) { CALL('s', fd_is_below(fd), fsync, fd); }
int fdatasync(int fd) { CALL('s', fd_is_below(fd), fdatasync, fd); }
int ftruncate(int fd, off_t n) { CALL('t', fd_is_below(fd), ftruncate, fd, n); }
int rename(const char *from, const char *to) { CALL('r', is_below(to), rename, from, to); }
int link(const char *from, const char *to) { CALL('l', is_below(to), link, from, to); }
int unlink(const char *path) { CALL('u', is_below(path), unlink, path); }
int rmdir(const char *path) { CALL('d', is_below(path), rmdir, path); }
int mkdir(const char *path, mode_t mode) { CALL('m', is_below(path), mkdir, path, mode); }
int renameat(int a, const char *from, int b, const char *to) {
    CALL('r', at_is_below(b, to), renameat, a, from, b, to);
}
int linkat(int a, const char *from, int b, const char *to, int flags) {
    CALL('l', at_is_below(b, to), linkat, a, from, b, to, flags);
}
int unlinkat(int dir, const char *path, int flags) {
    CALL('u', at_is_below(dir, path), unlinkat, dir, path, flags);
}
int utimensat(int dir, const char *path, const struct timespec t[2], int flags) {
    CALL('a', at_is_below(dir, path), utimensat, dir, path, t, flags);
}

int open(const char *path, int flags, ...) {
    va_list args;
    va_start(args, flags);
    mode_t mode = (flags & O_CREAT) != 0 ? va_arg(args, mode_t) : 0;
    va_end(args);
    CALL('o', (flags & O_CREAT) != 0 && is_below(path), open, path, flags, mode);
}

int openat(int dir, const char *path, int flags, ...) {
    va_list args;
    va_start(args, flags);
    mode_t mode = (flags & O_CREAT) != 0 ? va_arg(args, mode_t) : 0;
    va_end(args);
    CALL('o', (flags & O_CREAT) != 0 && at_is_below(dir, path), openat, dir, path, flags, mode);
}
int mkdirat(int dir, const char *path, mode_t mode) {
    CALL('m', at_is_below(dir, path), mkdirat, dir, path, mode);
}
int futimens(int fd, const struct timespec t[2]) { CALL('a', fd_is_below(fd), futimens, fd, t); }

int ioctl(int fd, unsigned long request, ...) {
    va_list args;
    va_start(args, request);
    void *arg = va_arg(args, void *);
    va_end(args);
    CALL('c', request == FICLONE && fd_is_below(fd), ioctl, fd, request, arg);
}
