/* parts.c - see parts.h. */
#include "store/registry/parts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/os.h"

enum { PATH_SIZE = 4096, PART_FILE_MAX = 4096, WANTED_PARTS = 16 };
static const uint64_t part_least = 100000000, part_most = 1000000000;
static const uint64_t reserve = (uint64_t)1 << 30; /* left free on the disk */

static void part_path(const struct parts *p, unsigned i, char out[PATH_SIZE]) {
    snprintf(out, PATH_SIZE, "%s-%u", p->path, i);
}

/* ---- the division ---- */

static bool divide(struct parts *p, uint64_t size) {
    uint64_t n = (p->total + size - 1) / size;
    if (n > MAX_PARTS) return false;
    struct part *list = mem_zalloc(n + 1, sizeof *list);
    if (list == NULL) return false;
    for (uint64_t i = 0; i < n; i++) {
        list[i].offset = i * size;
        list[i].size = p->total - i * size < size ? p->total - i * size : size;
    }
    mem_free(p->part);
    p->part = list;
    p->n = (unsigned)n;
    return true;
}

uint64_t parts_size(uint64_t total) {
    uint64_t size = total / WANTED_PARTS;
    if (size < part_least) size = part_least;
    return size < part_most ? size : part_most;
}

/* ---- reading the journal ---- */

static bool get_u64(const json *root, const char *key, uint64_t *out) {
    int64_t v;
    if (!json_int(json_get(root, key), &v) || v < 0) return false;
    *out = (uint64_t)v;
    return true;
}

static bool read_part(const struct parts *p, unsigned i, struct part *out) {
    char path[PATH_SIZE], *text;
    size_t len;
    uint64_t done = 0;
    part_path(p, i, path);
    if (os_file_read(path, PART_FILE_MAX, &text, &len, NULL) != ST_OK) return false;
    json *root = json_parse(text, len, &json_default_limits, NULL, NULL);
    bool ok = root != NULL && get_u64(root, "Offset", &out->offset) &&
              get_u64(root, "Size", &out->size) && get_u64(root, "Completed", &done) &&
              done <= out->size;
    if (ok) {
        atomic_init(&out->done, done);
        out->saved = done;
    }
    json_free(root);
    mem_free(text);
    return ok;
}

/* The parts of an earlier try, if they cover the content exactly. */
static bool take_up(struct parts *p) {
    struct part *list = mem_zalloc(MAX_PARTS, sizeof *list);
    uint64_t at = 0;
    unsigned n = 0;
    struct stat info;
    if (list == NULL) return false;
    bool ok = fstat(p->fd, &info) == 0 && (uint64_t)info.st_size == p->total;
    while (ok && at < p->total && n < MAX_PARTS) {
        ok = read_part(p, n, &list[n]) && list[n].offset == at && list[n].size != 0 &&
             list[n].size <= p->total - at;
        at += ok ? list[n++].size : 0;
    }
    ok = ok && at == p->total;
    if (!ok) {
        mem_free(list);
        return false;
    }
    mem_free(p->part);
    p->part = list;
    p->n = n;
    return p->journal = true;
}

static void remove_journal(struct parts *p) {
    char path[PATH_SIZE];
    for (unsigned i = 0; i < MAX_PARTS; i++) {
        part_path(p, i, path);
        if (unlink(path) != 0) break;
    }
    p->journal = false;
}

/* ---- opening ---- */

static enum status check_space(const struct parts *p, struct err *e) {
    struct statvfs fs;
    if (fstatvfs(p->fd, &fs) != 0) return ST_OK;
    uint64_t room = (uint64_t)fs.f_bavail * fs.f_frsize, need = p->total - parts_done(p);
    if (need == 0 || (room >= need && (need < part_least || room - need >= reserve))) return ST_OK;
    return err_set(e, ST_IO, "no space left on device: %llu bytes to come, %llu free",
                   (unsigned long long)need, (unsigned long long)room);
}

static enum status begin_anew(struct parts *p, uint64_t size, struct err *e) {
    remove_journal(p);
    if (ftruncate(p->fd, 0) != 0 || ftruncate(p->fd, (off_t)p->total) != 0)
        return os_fail(e, "write", p->path);
    return divide(p, size) ? ST_OK : err_no_memory(e);
}

/* The file may be renamed or removed between open and lock: then it is not ours. */
static bool still_there(const struct parts *p) {
    struct stat here, there;
    return fstat(p->fd, &here) == 0 && stat(p->path, &there) == 0 && here.st_ino == there.st_ino &&
           here.st_dev == there.st_dev;
}

static enum status open_file(struct parts *p, struct err *e) {
    p->fd = open(p->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0644);
    if (p->fd < 0) return os_fail(e, "create", p->path);
    if (flock(p->fd, LOCK_EX | LOCK_NB) == 0 && still_there(p)) return ST_OK;
    return err_set(e, ST_BUSY, "%s: another process is writing it", p->path);
}

enum status parts_open(struct parts *p, const char *blob_path, uint64_t total, struct err *e) {
    char path[PATH_SIZE];
    *p = (struct parts){.fd = -1, .total = total};
    int n = snprintf(path, sizeof path, "%s-partial", blob_path);
    if (n < 0 || n > PATH_SIZE - 16) return err_set(e, ST_INVALID, "path too long");
    if ((p->path = mem_strdup(path)) == NULL) return err_no_memory(e);
    enum status st = open_file(p, e);
    if (st == ST_OK && !take_up(p)) st = begin_anew(p, parts_size(total), e);
    if (st == ST_OK) st = check_space(p, e);
    if (st != ST_OK) parts_close(p);
    return st;
}

enum status parts_restart(struct parts *p, struct err *e) {
    return begin_anew(p, p->total > 0 ? p->total : 1, e);
}

/* ---- progress ---- */

uint64_t parts_done(const struct parts *p) {
    uint64_t sum = 0;
    for (unsigned i = 0; i < p->n; i++) sum += atomic_load(&p->part[i].done);
    return sum;
}

uint64_t parts_seen(const char *blob_path, uint64_t total) {
    char path[PATH_SIZE];
    struct stat info;
    snprintf(path, sizeof path, "%s-partial", blob_path);
    if (stat(path, &info) != 0) return 0;
    const uint64_t disk = (uint64_t)info.st_blocks * 512; /* it has holes */
    return disk < total ? disk : total;
}

uint64_t parts_prefix(const struct parts *p) {
    for (unsigned i = 0; i < p->n; i++) {
        uint64_t done = atomic_load(&p->part[i].done);
        if (done < p->part[i].size) return p->part[i].offset + done;
    }
    return p->total;
}

enum status parts_save(struct parts *p, struct err *e) {
    enum status st = ST_OK;
    uint64_t *done = mem_array(p->n + 1, sizeof *done);
    if (done == NULL) return err_no_memory(e);
    for (unsigned i = 0; i < p->n; i++) done[i] = atomic_load(&p->part[i].done);
    if (fdatasync(p->fd) != 0) st = os_fail(e, "fsync", p->path);
    for (unsigned i = 0; i < p->n && st == ST_OK; i++) {
        char path[PATH_SIZE], text[160];
        if (p->journal && done[i] == p->part[i].saved) continue;
        part_path(p, i, path);
        int n = snprintf(text, sizeof text,
                         "{\"N\":%u,\"Offset\":%llu,\"Size\":%llu,\"Completed\":%llu}\n", i,
                         (unsigned long long)p->part[i].offset, (unsigned long long)p->part[i].size,
                         (unsigned long long)done[i]);
        st = os_file_write_atomic(path, text, (size_t)n, e);
        if (st == ST_OK) p->part[i].saved = done[i];
    }
    if (st == ST_OK) p->journal = true;
    mem_free(done);
    return st;
}

/* ---- the end ---- */

enum status parts_commit(struct parts *p, const char *blob_path, struct err *e) {
    if (fsync(p->fd) != 0) return os_fail(e, "fsync", p->path);
    if (rename(p->path, blob_path) != 0) return os_fail(e, "rename", blob_path);
    char folder[PATH_SIZE];
    snprintf(folder, sizeof folder, "%.*s", (int)(strrchr(blob_path, '/') - blob_path), blob_path);
    remove_journal(p);
    return os_fsync_dir(folder, e);
}

void parts_discard(struct parts *p) {
    unlink(p->path);
    remove_journal(p);
}

void parts_close(struct parts *p) {
    if (p->path == NULL) return;
    if (p->fd >= 0) close(p->fd);
    mem_free(p->path);
    mem_free(p->part);
    *p = (struct parts){.fd = -1};
}
