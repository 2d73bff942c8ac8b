/* os_out.c - new files that appear whole or not at all (see os.h): a temporary file beside the
 * target, synced, then renamed, then the folder synced. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/os.h"

/* The folder of a path as new text ("." if it names none); NULL: no memory. */
static char *dir_of(const char *path) {
    const char *slash = strrchr(path, '/');
    if (slash == NULL) return mem_strdup(".");
    return mem_strndup(path, slash == path ? 1 : (size_t)(slash - path));
}

static const char *last_part(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

/* rename() would put a plain file in the place of a device. */
static enum status check_target(const struct os_out *o, struct err *e) {
    struct stat st;
    if (fstatat(o->dir, last_part(o->path), &st, 0) != 0 || S_ISREG(st.st_mode)) return ST_OK;
    return err_set(e, ST_INVALID, "create %s: not a regular file", o->path);
}

static enum status begin(struct os_out *o, const char *path, struct err *e) {
    static const char suffix[] = ".tmp-0123456789abcdef";
    uint64_t tag;
    size_t room = strlen(path) + sizeof suffix;
    o->path = mem_strdup(path);
    if (o->path == NULL) return err_no_memory(e);
    enum status st = check_target(o, e);
    if (st == ST_OK) st = os_random(&tag, sizeof tag, e);
    if (st != ST_OK) return st;
    char *temp = mem_alloc(room);
    if (temp == NULL) return err_no_memory(e);
    snprintf(temp, room, "%s.tmp-%016llx", path, (unsigned long long)tag);
    o->fd = openat(o->dir, last_part(temp), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (o->fd >= 0) {
        o->temp = temp;
        return ST_OK;
    }
    st = os_fail(e, "create", temp);
    mem_free(temp);
    return st;
}

/* Takes dir. */
static enum status begin_in(struct os_out *o, int dir, const char *path, struct err *e) {
    *o = (struct os_out){.dir = dir, .fd = -1};
    enum status st = begin(o, path, e);
    if (st == ST_OK) return st;
    if (o->path == NULL) close(dir);
    os_out_abort(o);
    return st;
}

enum status os_out_begin(struct os_out *o, const char *path, struct err *e) {
    char *folder = dir_of(path);
    *o = (struct os_out){.dir = -1, .fd = -1};
    if (folder == NULL) return err_no_memory(e);
    int dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    enum status st = dir >= 0 ? ST_OK : os_fail(e, "create", path);
    mem_free(folder);
    return st == ST_OK ? begin_in(o, dir, path, e) : st;
}

enum status os_out_write(struct os_out *o, const void *data, size_t n, struct err *e) {
    assert(o->fd >= 0);
    for (const char *p = data; n != 0;) {
        ssize_t put = write(o->fd, p, n);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return os_fail(e, "write", o->temp);
        p += put;
        n -= (size_t)put;
    }
    return ST_OK;
}

static enum status name_it(struct os_out *o, struct err *e) {
    if (fsync(o->fd) != 0) return os_fail(e, "fsync", o->temp);
    int fd = o->fd;
    o->fd = -1;
    if (close(fd) != 0) return os_fail(e, "close", o->temp);
    if (renameat(o->dir, last_part(o->temp), o->dir, last_part(o->path)) != 0)
        return os_fail(e, "rename", o->path);
    mem_free(o->temp);
    o->temp = NULL;
    return os_fsync_dir(o->dir, o->path, e);
}

enum status os_out_commit(struct os_out *o, struct err *e) {
    assert(o->fd >= 0);
    enum status st = name_it(o, e);
    os_out_abort(o);
    return st;
}

void os_out_abort(struct os_out *o) {
    if (o->path == NULL) return; /* zeroed: its descriptors are not ours */
    if (o->fd >= 0) close(o->fd);
    if (o->temp != NULL) unlinkat(o->dir, last_part(o->temp), 0);
    close(o->dir);
    mem_free(o->temp);
    mem_free(o->path);
    *o = (struct os_out){.dir = -1, .fd = -1};
}

static enum status write_all(struct os_out *o, const void *data, size_t size, struct err *e) {
    enum status st = os_out_write(o, data, size, e);
    if (st == ST_OK) return os_out_commit(o, e);
    os_out_abort(o);
    return st;
}

enum status os_file_write_atomic(const char *path, const void *data, size_t size, struct err *e) {
    struct os_out o;
    enum status st = os_out_begin(&o, path, e);
    return st == ST_OK ? write_all(&o, data, size, e) : st;
}

enum status os_file_write_atomic_at(int dir, const char *path, const void *data, size_t size,
                                    struct err *e) {
    struct os_out o;
    int own = fcntl(dir, F_DUPFD_CLOEXEC, 0);
    if (own < 0) return os_fail(e, "create", path);
    enum status st = begin_in(&o, own, path, e);
    return st == ST_OK ? write_all(&o, data, size, e) : st;
}
