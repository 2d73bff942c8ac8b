/* blob.c - content-addressed files: DIR/blobs/sha256-<64 hex> (spec/store.md 2).
 *
 * A blob gets its name only when its bytes are on the disk: written to blobs/tmp-<random>, hashed
 * on the way, synced, renamed, and the folder synced. A crash leaves at most a tmp file, which
 * store_prune() removes after an hour. Text that arrives as a digest becomes a path here and only
 * here, and only after store_digest_parse(). */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/mem.h"
#include "base/os.h"
#include "store/store_impl.h"
#include "store/upkeep.h"

/* ---- digests and paths ---- */

static const char prefix[] = "sha256";
enum { PREFIX = sizeof prefix - 1 };

static bool is_hex64(const char *s) {
    for (size_t i = 0; i < DIGEST_HEX; i++)
        if (!isxdigit((unsigned char)s[i])) return false; /* also ends at a NUL */
    return s[DIGEST_HEX] == '\0';
}

enum status store_digest_parse(const char *text, char out[STORE_DIGEST_TEXT], struct err *e) {
    bool ok = strncmp(text, prefix, PREFIX) == 0 && (text[PREFIX] == ':' || text[PREFIX] == '-') &&
              is_hex64(text + PREFIX + 1);
    if (!ok) return err_set(e, ST_INVALID, "invalid digest format");
    /* The case of the digits is kept: capitals then name a file that does not exist. */
    snprintf(out, STORE_DIGEST_TEXT, "%s:%s", prefix, text + PREFIX + 1);
    return ST_OK;
}

bool blob_is_digest_file(const char *name) {
    return strncmp(name, "sha256-", PREFIX + 1) == 0 && is_hex64(name + PREFIX + 1);
}

/* Is the real path below that folder? */
static bool is_beneath(const char *real, const char *folder) {
    char root[PATH_MAX];
    if (folder == NULL || realpath(folder, root) == NULL) return false;
    const size_t n = strlen(root);
    return strncmp(real, root, n) == 0 && real[n] == '/';
}

/* A blob may be a link, to save a disk's place, but only into the store or one of the further ones
 * (spec/security.md S-ST-7): else who can write here could have us read anything. */
static enum status check_link(const struct store *s, const char *path, struct err *e) {
    struct stat info;
    char real[PATH_MAX];
    if (lstat(path, &info) != 0 || !S_ISLNK(info.st_mode)) return ST_OK;
    if (realpath(path, real) == NULL) return ST_OK; /* it leads nowhere: the open will tell */
    bool ok = is_beneath(real, s->dir) || is_beneath(real, s->blobs);
    for (size_t i = 0; i < s->n_more && !ok; i++) ok = is_beneath(real, s->more[i]->dir);
    return ok ? ST_OK
              : err_set(e, ST_DENIED, "%s is a link to %s, outside of the store", path, real);
}

enum status blob_path(const struct store *s, const char *digest, char out[PATH_ROOM],
                      struct err *e) {
    char clean[STORE_DIGEST_TEXT];
    enum status st = store_digest_parse(digest, clean, e);
    if (st != ST_OK) return st;
    int n = snprintf(out, PATH_ROOM, "%s/%s-%s", s->blobs, prefix, clean + PREFIX + 1);
    if (n < 0 || n >= PATH_ROOM) return err_set(e, ST_INVALID, "path too long");
    return check_link(s, out, e);
}

char *store_blob_path(const struct store *s, const char *digest, struct err *e) {
    char path[PATH_ROOM];
    if (blob_path(s, digest, path, e) != ST_OK) return NULL;
    char *copy = mem_strdup(path);
    if (copy == NULL) err_no_memory(e);
    return copy;
}

enum status store_blob_stat(const struct store *s, const char *digest, uint64_t *size,
                            struct err *e) {
    char path[PATH_ROOM], clean[STORE_DIGEST_TEXT];
    struct stat info;
    enum status st = store_digest_parse(digest, clean, e);
    if (st == ST_OK) st = blob_path(s, clean, path, e);
    if (st != ST_OK) return st;
    bool there = stat(path, &info) == 0;
    if (!there && errno != ENOENT) return os_fail(e, "stat", path);
    if (!there || !S_ISREG(info.st_mode))
        return err_set(e, ST_NOT_FOUND, "blob \"%s\" not found", clean);
    if (size != NULL) *size = (uint64_t)info.st_size;
    return ST_OK;
}

enum status blob_read(const struct store *s, const char *digest, struct arena *a,
                      struct store_text *out, struct err *e) {
    char path[PATH_ROOM], *data;
    size_t size;
    struct err mine;
    enum status st = blob_path(s, digest, path, e);
    if (st != ST_OK) return st;
    st = os_file_read(path, TEXT_MAX_BYTES, &data, &size, &mine);
    /* A model that names a missing blob is damaged; it is not the model that was not found. */
    if (st != ST_OK) return err_set(e, st == ST_NOT_FOUND ? ST_IO : st, "%s", mine.msg);
    out->ptr = arena_strndup(a, data, size);
    out->len = size;
    mem_free(data);
    return out->ptr != NULL ? ST_OK : err_no_memory(e);
}

enum status blob_touch(struct store *s, const char *digest, struct err *e) {
    char path[PATH_ROOM];
    enum status st = blob_path(s, digest, path, e);
    if (st != ST_OK) return st;
    bool verified = verified_has(s, digest);
    if (utimensat(AT_FDCWD, path, NULL, 0) == 0) {
        if (verified) verified_add(s, digest); /* its new time is our doing */
        return ST_OK;
    }
    if (errno == EACCES || errno == EPERM) return ST_OK; /* another user's blob: just not renewed */
    if (errno != ENOENT) return os_fail(e, "touch", path);
    os_fail(e, "open", path);
    return err_set(e, ST_IO, "open %s: no such file or directory", path);
}

/* ---- writing ---- */

struct store_upload {
    struct store *store; /* borrowed */
    struct digest *hash; /* owned; NULL once finished */
    int fd;
    bool made;   /* the file is there */
    bool linked; /* and it has another name elsewhere */
    char path[PATH_ROOM];
};

enum status store_blob_begin(struct store *s, struct store_upload **out, struct err *e) {
    uint64_t tag;
    enum status st = os_random(&tag, sizeof tag, e);
    if (st != ST_OK) return st;
    struct store_upload *u = mem_zalloc(1, sizeof *u);
    if (u == NULL) return err_no_memory(e);
    u->store = s;
    u->fd = -1;
    int n = snprintf(u->path, sizeof u->path, "%s/tmp-%016llx", s->blobs, (unsigned long long)tag);
    if (n < 0 || n >= PATH_ROOM) {
        st = err_set(e, ST_INVALID, "path too long");
    } else if ((u->hash = digest_new()) == NULL) {
        st = err_no_memory(e);
    } else if ((st = os_mkdirs(s->blobs, e)) == ST_OK) {
        u->fd = open(u->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
        if (u->fd < 0) st = os_fail(e, "create", u->path);
        u->made = u->fd >= 0;
        if (u->made) hold_alone(u->fd); /* pruning leaves it alone, however slow it comes */
    }
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
            return os_fail(e, "write", u->path);
    }
    digest_update(u->hash, data, n);
    return ST_OK;
}

enum status blob_sink(void *arg, const void *data, size_t n, struct err *e) {
    return store_blob_write(arg, data, n, e);
}

/* Gives the synced file its name. One that is there already is replaced: ours was just hashed. */
static enum status give_name(struct store_upload *u, const char *digest, struct err *e) {
    char path[PATH_ROOM];
    enum status st = blob_path(u->store, digest, path, e);
    if (st != ST_OK) return st;
    if (fsync(u->fd) != 0) return os_fail(e, "fsync", u->path);
    if (rename(u->path, path) != 0) return os_fail(e, "rename", path);
    if (u->linked) unlink(u->path); /* rename leaves it if both are the same file */
    u->path[0] = '\0';
    return os_fsync_dir(u->store->blobs, e);
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
        snprintf(real, sizeof real, "%s:%s", prefix, hex);
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
    if (u->made && u->path[0] != '\0') unlink(u->path);
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

/* The temporary file becomes another name of that one. A link to a link is none. */
static bool link_file(struct store_upload *u, const char *path) {
    struct stat info;
    if (lstat(path, &info) != 0 || !S_ISREG(info.st_mode) || unlink(u->path) != 0) return false;
    return u->linked = link(path, u->path) == 0;
}

static enum status hash_all(struct store_upload *u, struct err *e) {
    enum { PIECE = 1 << 20 };
    char *room = mem_alloc(PIECE);
    ssize_t n = 1;
    enum status st = room != NULL ? ST_OK : err_no_memory(e);
    while (st == ST_OK && n != 0) {
        n = read(u->fd, room, PIECE);
        if (n < 0 && errno != EINTR) st = os_fail(e, "read", u->path);
        if (n > 0) digest_update(u->hash, room, (size_t)n);
    }
    mem_free(room);
    return st;
}

/* Hashed is what we have now, not what the file was before. */
static enum status read_again(struct store_upload *u, struct err *e) {
    close(u->fd);
    u->fd = open(u->path, O_RDONLY | O_CLOEXEC);
    if (u->fd < 0) return os_fail(e, "open", u->path);
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
