/* blob.c - content-addressed files: DIR/blobs/sha256-<64 hex> (spec/store.md 2).
 *
 * A blob gets its name only when its bytes are on the disk: written to blobs/tmp-<random>, hashed
 * on the way, synced, renamed, and the folder synced. A crash leaves at most a tmp file, which
 * store_prune() removes after an hour. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/mem.h"
#include "base/os.h"
#include "store/store_impl.h"
#include "store/upkeep.h"

/* ---- looking ---- */

char *store_blob_path(const struct store *s, const char *digest, struct err *e) {
    char path[PATH_ROOM];
    if (blob_path(s, digest, path, e) != ST_OK) return NULL;
    char *copy = mem_strdup(path);
    if (copy == NULL) err_no_memory(e);
    return copy;
}

enum status store_blob_stat(const struct store *s, const char *digest, uint64_t *size,
                            struct err *e) {
    char file[STORE_DIGEST_TEXT];
    struct stat info;
    struct err why;
    enum status st = place_of_digest(digest, file, e);
    if (st != ST_OK) return st;
    st = place_stat(s, PLACE_BLOBS, file, &info, &why);
    if (st != ST_OK && st != ST_NOT_FOUND) return err_set(e, st, "%s", why.msg);
    if (st != ST_OK || !S_ISREG(info.st_mode))
        return err_set(e, ST_NOT_FOUND, "blob \"sha256:%s\" not found", file + 7);
    if (size != NULL) *size = (uint64_t)info.st_size;
    return ST_OK;
}

int blob_open(const struct store *s, const char *digest, struct stat *info, struct err *e) {
    char file[STORE_DIGEST_TEXT];
    struct err why;
    int fd = -1;
    if (place_of_digest(digest, file, &why) == ST_OK)
        fd = place_open(s, PLACE_BLOBS, file, info, &why);
    if (fd < 0) err_set(e, why.code == ST_NOT_FOUND ? ST_IO : why.code, "%s", why.msg);
    return fd;
}

enum status blob_read(const struct store *s, const char *digest, struct arena *a,
                      struct store_text *out, struct err *e) {
    char *data;
    size_t size;
    struct stat info;
    struct err why;
    int fd = blob_open(s, digest, &info, &why);
    if (fd < 0) return err_set(e, why.code, "%s", why.msg);
    enum status st = os_fd_read(fd, digest, (size_t)info.st_size, TEXT_MAX_BYTES, &data, &size, e);
    close(fd);
    if (st != ST_OK) return st;
    out->ptr = arena_strndup(a, data, size);
    out->len = size;
    mem_free(data);
    return out->ptr != NULL ? ST_OK : err_no_memory(e);
}

enum status blob_touch(struct store *s, const char *digest, struct err *e) {
    struct err why;
    int fd = blob_open(s, digest, NULL, &why);
    if (fd < 0) /* ST_DENIED: another user's blob, just not renewed */
        return why.code == ST_DENIED ? ST_OK : err_set(e, why.code, "%s", why.msg);
    bool verified = verified_has(s, digest);
    enum status st = ST_OK;
    if (futimens(fd, NULL) == 0) {
        if (verified) verified_add(s, digest); /* its new time is our doing */
    } else if (errno != EACCES && errno != EPERM) {
        st = os_fail(e, "touch", digest);
    }
    close(fd);
    return st;
}

/* ---- writing ---- */

struct store_upload {
    struct store *store; /* borrowed */
    struct digest *hash; /* owned; NULL once finished */
    int dir, fd;         /* owned: the folder of the blobs, the file in it */
    bool made;           /* the file is there */
    bool linked;         /* and it has another name elsewhere */
    char file[32];       /* its name in the folder; "" once it has the digest's */
};

/* os_fail() with the path of a file; errno is that of the call that failed. */
static enum status fail_file(const struct store_upload *u, const char *verb, const char *file,
                             struct err *e) {
    char path[PATH_ROOM];
    const int code = errno;
    enum status st = place_path(u->store, PLACE_BLOBS, file, path, e);
    errno = code;
    return st == ST_OK ? os_fail(e, verb, path) : st;
}

static enum status fail(const struct store_upload *u, const char *verb, struct err *e) {
    return fail_file(u, verb, u->file, e);
}

static enum status open_new(struct store_upload *u, struct err *e) {
    struct err why;
    enum status st = place_make(u->store, PLACE_BLOBS, e);
    if (st != ST_OK) return st;
    u->dir = place_dir(u->store, PLACE_BLOBS, &why);
    if (u->dir < 0) return err_set(e, why.code, "%s", why.msg);
    u->fd = openat(u->dir, u->file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (u->fd < 0) return fail(u, "create", e);
    u->made = true;
    hold_alone(u->fd); /* pruning leaves it alone, however slow it comes */
    return ST_OK;
}

enum status store_blob_begin(struct store *s, struct store_upload **out, struct err *e) {
    uint64_t tag;
    enum status st = os_random(&tag, sizeof tag, e);
    if (st != ST_OK) return st;
    struct store_upload *u = mem_zalloc(1, sizeof *u);
    if (u == NULL) return err_no_memory(e);
    u->store = s;
    u->dir = u->fd = -1;
    snprintf(u->file, sizeof u->file, "tmp-%016llx", (unsigned long long)tag);
    if ((u->hash = digest_new()) == NULL)
        st = err_no_memory(e);
    else
        st = open_new(u, e);
    if (st == ST_OK)
        *out = u;
    else
        store_blob_abort(u);
    return st;
}

enum status store_blob_write(struct store_upload *u, const void *data, size_t n, struct err *e) {
    const char *p = data;
    for (size_t done = 0; done < n;) {
        ssize_t put = write(u->fd, p + done, n - done);
        if (put >= 0)
            done += (size_t)put;
        else if (errno != EINTR)
            return fail(u, "write", e);
    }
    digest_update(u->hash, data, n);
    return ST_OK;
}

enum status blob_sink(void *arg, const void *data, size_t n, struct err *e) {
    return store_blob_write(arg, data, n, e);
}

/* Gives the synced file its name. One that is there already is replaced: ours was just hashed. */
static enum status give_name(struct store_upload *u, const char *digest, struct err *e) {
    char file[STORE_DIGEST_TEXT];
    enum status st = place_of_digest(digest, file, e);
    if (st != ST_OK) return st;
    if (fsync(u->fd) != 0) return fail(u, "fsync", e);
    if (renameat(u->dir, u->file, u->dir, file) != 0) return fail_file(u, "rename", file, e);
    if (u->linked) unlinkat(u->dir, u->file, 0); /* rename leaves it if both are the same file */
    u->file[0] = '\0';
    return place_sync(u->store, PLACE_BLOBS, u->dir, e);
}

static enum status commit(struct store_upload *u, const char *expected,
                          char digest[STORE_DIGEST_TEXT], struct err *e) {
    char want[STORE_DIGEST_TEXT], real[STORE_DIGEST_TEXT], hex[DIGEST_HEX + 1];
    unsigned char raw[DIGEST_BYTES];
    enum status st = expected != NULL ? store_digest_parse(expected, want, e) : ST_OK;
    if (st == ST_OK) {
        digest_finish(u->hash, raw);
        u->hash = NULL;
        digest_hex(raw, hex);
        snprintf(real, sizeof real, "sha256:%s", hex);
        st = give_name(u, real, e);
    }
    if (st == ST_OK && digest != NULL) memcpy(digest, real, sizeof real);
    if (st == ST_OK && expected != NULL && strcmp(want, real) != 0)
        st = err_set(e, ST_INVALID, "digest mismatch, expected \"%s\", got \"%s\"", want, real);
    store_blob_abort(u);
    return st;
}

enum status store_blob_commit(struct store_upload *u, const char *expected,
                              char digest[STORE_DIGEST_TEXT], struct err *e) {
    enum status st = store_make_room(u->store, 0, e); /* our bytes are on the disk already */
    if (st == ST_OK) return commit(u, expected, digest, e);
    store_blob_abort(u);
    return st;
}

void store_blob_abort(struct store_upload *u) {
    if (u == NULL) return;
    if (u->fd >= 0) close(u->fd);
    if (u->made && u->file[0] != '\0') unlinkat(u->dir, u->file, 0);
    if (u->dir >= 0) close(u->dir);
    digest_cancel(u->hash);
    mem_free(u);
}

/* ---- files of this disk ---- */

static bool clone_file(const struct store_upload *u, const char *path) {
    int from = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (from < 0) return false;
    const bool done = ioctl(u->fd, FICLONE, from) == 0;
    close(from);
    return done;
}

/* The temporary file becomes another name of that one. A link to a link is none; and what belongs
 * to somebody else would not be read (place.h). */
static bool link_file(struct store_upload *u, const char *path) {
    struct stat info, dir;
    if (lstat(path, &info) != 0 || !S_ISREG(info.st_mode) || fstat(u->dir, &dir) != 0) return false;
    if (info.st_uid != 0 && info.st_uid != geteuid() && info.st_uid != dir.st_uid) return false;
    if (unlinkat(u->dir, u->file, 0) != 0) return false;
    return u->linked = linkat(AT_FDCWD, path, u->dir, u->file, 0) == 0;
}

static enum status hash_all(struct store_upload *u, struct err *e) {
    enum { PIECE = 1 << 20 };
    char *room = mem_alloc(PIECE);
    ssize_t n = 1;
    enum status st = room != NULL ? ST_OK : err_no_memory(e);
    while (st == ST_OK && n != 0) {
        n = read(u->fd, room, PIECE);
        if (n < 0 && errno != EINTR) st = fail(u, "read", e);
        if (n > 0) digest_update(u->hash, room, (size_t)n);
    }
    mem_free(room);
    return st;
}

/* Hashed is what we have now, not what the file was before. */
static enum status read_again(struct store_upload *u, struct err *e) {
    close(u->fd);
    u->fd = openat(u->dir, u->file, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (u->fd < 0) return fail(u, "open", e);
    hold_alone(u->fd);
    return hash_all(u, e);
}

enum status store_blob_adopt(struct store *s, const char *path, bool link,
                             char digest[STORE_DIGEST_TEXT], struct err *e) {
    struct store_upload *u;
    enum status st = store_blob_begin(s, &u, e);
    if (st != ST_OK) return st;
    if (clone_file(u, path) || (link && link_file(u, path)))
        st = read_again(u, e);
    else
        st = err_set(e, ST_UNSUPPORTED, "%s cannot be cloned%s into the store", path,
                     link ? " or linked" : "");
    if (st == ST_OK) return store_blob_commit(u, NULL, digest, e);
    store_blob_abort(u);
    return st;
}

enum status blob_put(struct store *s, const char *digest, const void *data, size_t size,
                     bool *created, struct err *e) {
    struct store_upload *u;
    uint64_t there;
    *created = false;
    if (store_blob_stat(s, digest, &there, NULL) == ST_OK && there == size)
        return blob_touch(s, digest, e);
    enum status st = store_blob_begin(s, &u, e);
    if (st != ST_OK) return st;
    st = store_blob_write(u, data, size, e);
    if (st == ST_OK)
        st = commit(u, digest, NULL, e);
    else
        store_blob_abort(u);
    *created = st == ST_OK;
    return st;
}
