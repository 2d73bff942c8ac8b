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
#include "store/store_impl.h"

enum { PART_NAME = 112, PART_FILE_MAX = 4096, WANTED_PARTS = 16 };
static const uint64_t part_least = 100000000, part_most = 1000000000;
static const uint64_t reserve = (uint64_t)1 << 30; /* left free on the disk */

static void part_name(const struct parts *p, unsigned i, char out[PART_NAME]) {
    snprintf(out, PART_NAME, "%s-%u", p->name, i);
}

enum status parts_fail(const struct parts *p, const char *verb, struct err *e) {
    char path[PATH_ROOM];
    const int code = errno;
    if (place_path(p->store, PLACE_BLOBS, p->name, path, e) != ST_OK) return ST_INVALID;
    errno = code;
    return os_fail(e, verb, path);
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
    char name[PART_NAME], path[PATH_ROOM], *text;
    size_t len;
    uint64_t done = 0;
    part_name(p, i, name);
    if (place_path(p->store, PLACE_BLOBS, name, path, NULL) != ST_OK) return false;
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
    char name[PART_NAME];
    for (unsigned i = 0; i < MAX_PARTS; i++) {
        part_name(p, i, name);
        if (unlinkat(p->dir, name, 0) != 0) break;
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
        return parts_fail(p, "write", e);
    return divide(p, size) ? ST_OK : err_no_memory(e);
}

static enum status open_file(struct parts *p, struct err *e) {
    struct err why;
    p->dir = place_dir(p->store, PLACE_BLOBS, &why);
    if (p->dir < 0) return err_set(e, why.code, "%s", why.msg);
    p->fd = openat(p->dir, p->name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0644);
    if (p->fd < 0) return parts_fail(p, "create", e);
    /* It may be renamed or removed between the two: then it is not ours. */
    if (flock(p->fd, LOCK_EX | LOCK_NB) == 0 && hold_has_name(p->store, p->fd, p->name))
        return ST_OK;
    return err_set(e, ST_BUSY, "%s: another process is writing it", p->name);
}

static enum status partial_name(const char *digest, char out[96], struct err *e) {
    char file[STORE_DIGEST_TEXT];
    enum status st = place_of_digest(digest, file, e);
    if (st == ST_OK) snprintf(out, 96, "%s-partial", file);
    return st;
}

enum status parts_open(struct parts *p, struct store *s, const char *digest, uint64_t total,
                       struct err *e) {
    *p = (struct parts){.store = s, .dir = -1, .fd = -1, .total = total};
    enum status st = partial_name(digest, p->name, e);
    if (st == ST_OK) st = open_file(p, e);
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

uint64_t parts_seen(const struct store *s, const char *digest, uint64_t total) {
    char name[96];
    struct stat info;
    if (partial_name(digest, name, NULL) != ST_OK ||
        place_stat(s, PLACE_BLOBS, name, &info, NULL) != ST_OK)
        return 0;
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
    if (fdatasync(p->fd) != 0) st = parts_fail(p, "fsync", e);
    for (unsigned i = 0; i < p->n && st == ST_OK; i++) {
        char name[PART_NAME], text[160];
        if (p->journal && done[i] == p->part[i].saved) continue;
        part_name(p, i, name);
        int n = snprintf(text, sizeof text,
                         "{\"N\":%u,\"Offset\":%llu,\"Size\":%llu,\"Completed\":%llu}\n", i,
                         (unsigned long long)p->part[i].offset, (unsigned long long)p->part[i].size,
                         (unsigned long long)done[i]);
        st = os_file_write_atomic_at(p->dir, name, text, (size_t)n, e);
        if (st == ST_OK) p->part[i].saved = done[i];
    }
    if (st == ST_OK) p->journal = true;
    mem_free(done);
    return st;
}

/* ---- the end ---- */

enum status parts_commit(struct parts *p, struct err *e) {
    char blob[STORE_DIGEST_TEXT];
    snprintf(blob, sizeof blob, "%.71s", p->name); /* without "-partial" */
    if (fsync(p->fd) != 0) return parts_fail(p, "fsync", e);
    if (renameat(p->dir, p->name, p->dir, blob) != 0) return parts_fail(p, "rename", e);
    /* The journal goes last: without it a download that kept its old name would begin anew. */
    enum status st = place_sync(p->store, PLACE_BLOBS, p->dir, e);
    if (st == ST_OK) remove_journal(p);
    return st;
}

void parts_discard(struct parts *p) {
    unlinkat(p->dir, p->name, 0);
    remove_journal(p);
}

void parts_close(struct parts *p) {
    if (p->store == NULL) return;
    if (p->fd >= 0) close(p->fd);
    if (p->dir >= 0) close(p->dir);
    mem_free(p->part);
    *p = (struct parts){.dir = -1, .fd = -1};
}
