/* place.c - see place.h. */
#include "store/place.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/os.h"
#include "store/store_impl.h"

/* ---- names and digests ---- */

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

enum status place_of_digest(const char *digest, char out[STORE_DIGEST_TEXT], struct err *e) {
    enum status st = store_digest_parse(digest, out, e);
    if (st == ST_OK) out[PREFIX] = '-';
    return st;
}

enum status place_of_name(const struct model_name *name, char out[NAME_TEXT_MAX], struct err *e) {
    if (!name_is_valid(name)) return err_set(e, ST_INVALID, "invalid model name");
    name_path(name, out);
    return ST_OK;
}

static const char *folder_of(const struct store *s, enum place p) {
    return p == PLACE_ROOT ? s->dir : p == PLACE_BLOBS ? s->blobs : s->manifests;
}

enum status place_path(const struct store *s, enum place p, const char *below, char out[PATH_ROOM],
                       struct err *e) {
    int n = snprintf(out, PATH_ROOM, "%s/%s", folder_of(s, p), below);
    return n > 0 && n < PATH_ROOM ? ST_OK : err_set(e, ST_INVALID, "path too long");
}

enum status blob_path(const struct store *s, const char *digest, char out[PATH_ROOM],
                      struct err *e) {
    char file[STORE_DIGEST_TEXT];
    enum status st = place_of_digest(digest, file, e);
    return st == ST_OK ? place_path(s, PLACE_BLOBS, file, out, e) : st;
}

/* ---- opening beneath a folder ---- */

static atomic_bool no_openat2;

void place_without_openat2(bool without) { atomic_store(&no_openat2, without); }

/* One component after the other, none of them a link. */
static int walk_beneath(int root, const char *below, int flags) {
    char part[NAME_MAX + 1];
    int at = root;
    for (;;) {
        const size_t n = strcspn(below, "/");
        const bool last = below[n] == '\0';
        if (n == 0 || n > NAME_MAX || strncmp(below, "..", n) == 0) {
            if (at != root) close(at);
            errno = n > NAME_MAX ? ENAMETOOLONG : EXDEV;
            return -1;
        }
        memcpy(part, below, n);
        part[n] = '\0';
        const int how = last ? flags : O_PATH | O_DIRECTORY;
        const int next = openat(at, part, how | O_NOFOLLOW | O_CLOEXEC);
        const int code = errno;
        if (at != root) close(at);
        errno = code;
        if (next < 0 || last) return next;
        at = next;
        below += n + 1;
    }
}

static bool is_link_fd(int fd) {
    struct stat info;
    return fstat(fd, &info) == 0 && S_ISLNK(info.st_mode);
}

/* -1: errno; EXDEV or ELOOP: there is a link on the way that cannot be followed so. */
static int open_beneath(int root, const char *below, int flags, bool links) {
    struct open_how how = {.flags = (uint64_t)(unsigned)(flags | O_CLOEXEC),
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
    if (!links) how.resolve |= RESOLVE_NO_SYMLINKS;
    for (int tries = 0; tries < 100 && !atomic_load(&no_openat2); tries++) {
        int fd = (int)syscall(SYS_openat2, root, below, &how, sizeof how);
        if (fd >= 0) return fd;
        if (errno == ENOSYS || errno == EPERM) break; /* an old kernel, or a filter of its calls */
        if (errno != EAGAIN && errno != EINTR) return -1; /* EAGAIN: something was renamed */
    }
    int fd = walk_beneath(root, below, flags);
    if (fd >= 0 && (flags & O_PATH) != 0 && is_link_fd(fd)) { /* O_PATH opens the link itself */
        close(fd);
        errno = ELOOP;
        return -1;
    }
    if (fd < 0 && errno == ENOTDIR) errno = ELOOP; /* a link where a folder should be, perhaps */
    return fd;
}

static int open_folder_path(const char *path) {
    return open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

static _Thread_local struct {
    const struct store *store; /* NULL: none is pinned */
    int folder[PLACES];        /* -1: not opened yet, or not there */
} pinned;

void place_pin(const struct store *s) {
    pinned.store = s;
    for (int i = 0; i < PLACES; i++) pinned.folder[i] = -1;
}

void place_unpin(void) {
    for (int i = 0; i < PLACES; i++)
        if (pinned.folder[i] >= 0) close(pinned.folder[i]);
    pinned.store = NULL;
}

static int borrow_folder(const struct store *s, enum place p) {
    if (pinned.store != s) return open_folder_path(folder_of(s, p));
    if (pinned.folder[p] < 0) pinned.folder[p] = open_folder_path(folder_of(s, p));
    return pinned.folder[p];
}

/* errno is kept. */
static void give_folder_back(const struct store *s, int fd) {
    const int code = errno;
    if (fd >= 0 && pinned.store != s) close(fd);
    errno = code;
}

/* ---- links ---- */

/* What is behind `root` in a real path; NULL: it is not below it. */
static const char *rest_below(const char *real, const char *folder) {
    char root[PATH_MAX];
    if (realpath(folder, root) == NULL) return NULL;
    const size_t n = strlen(root);
    return strncmp(real, root, n) == 0 && real[n] == '/' ? real + n + 1 : NULL;
}

/* Opens the target of a link that leads into one of the stores' folders. */
static int open_target(const struct store *s, const char *path, int flags, struct err *e) {
    char real[PATH_MAX];
    const char *rest = NULL;
    int fd = -1;
    if (realpath(path, real) == NULL) {
        os_fail(e, "open", path);
        return -1;
    }
    for (size_t i = 0; i < PLACES + s->n_more && rest == NULL; i++) {
        const char *folder = i < PLACES ? folder_of(s, (enum place)i) : s->more[i - PLACES]->dir;
        rest = rest_below(real, folder);
        if (rest == NULL) continue;
        const int root = open_folder_path(folder);
        if (root >= 0) fd = open_beneath(root, rest, flags, false);
        const int code = errno;
        if (root >= 0) close(root);
        errno = code;
    }
    if (rest == NULL)
        err_set(e, ST_DENIED, "%s is a link to %s, outside of the store", path, real);
    else if (fd < 0)
        os_fail(e, "open", path);
    return fd;
}

static int open_any(const struct store *s, enum place p, const char *below, int flags,
                    struct err *e) {
    char path[PATH_ROOM];
    if (place_path(s, p, below, path, e) != ST_OK) return -1;
    const int root = borrow_folder(s, p);
    int fd = root >= 0 ? open_beneath(root, below, flags, true) : -1;
    const int code = errno;
    give_folder_back(s, root);
    if (fd >= 0) return fd;
    if (root >= 0 && (code == EXDEV || code == ELOOP)) return open_target(s, path, flags, e);
    errno = code;
    os_fail(e, "open", path);
    return -1;
}

/* ---- for the rest of the store ---- */

enum status place_make(const struct store *s, enum place p, struct err *e) {
    return os_mkdirs(folder_of(s, p), e);
}

enum status place_sync(const struct store *s, enum place p, int dir, struct err *e) {
    return os_fsync_dir(dir, folder_of(s, p), e);
}

int place_dir(const struct store *s, enum place p, struct err *e) {
    int fd = open(folder_of(s, p), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) os_fail(e, "open", folder_of(s, p));
    return fd;
}

static int make_folder(const struct store *s, enum place p, const char *below, struct err *e) {
    char part[NAME_TEXT_MAX];
    enum { FLAGS = O_RDONLY | O_DIRECTORY };
    int at = place_dir(s, p, e);
    for (size_t n = 0; at >= 0;) {
        n += strcspn(below + n, "/");
        snprintf(part, sizeof part, "%.*s", (int)n, below);
        const char *slash = strrchr(part, '/');
        struct err why;
        int next = open_any(s, p, part, FLAGS, &why);
        if (next < 0 && why.code == ST_NOT_FOUND) {
            const bool made = mkdirat(at, slash != NULL ? slash + 1 : part, 0755) == 0;
            if (made || errno == EEXIST)
                next = open_any(s, p, part, FLAGS, &why);
            else
                os_fail(&why, "mkdir", part);
        }
        close(at);
        if (next < 0) err_set(e, why.code, "%s", why.msg);
        at = next;
        if (below[n++] == '\0') break;
    }
    return at;
}

int place_folder(const struct store *s, enum place p, const char *below, bool make, struct err *e) {
    return make ? make_folder(s, p, below, e) : open_any(s, p, below, O_RDONLY | O_DIRECTORY, e);
}

static bool is_owner_of(const char *folder, uid_t user) {
    struct stat info;
    return stat(folder, &info) == 0 && info.st_uid == user;
}

static bool may_own(const struct store *s, uid_t user) {
    bool ok = user == 0 || user == geteuid() || is_owner_of(s->dir, user);
    for (size_t i = 0; i < s->n_more && !ok; i++) ok = is_owner_of(s->more[i]->dir, user);
    return ok;
}

int place_open(const struct store *s, enum place p, const char *below, struct stat *info,
               struct err *e) {
    struct stat mine;
    if (info == NULL) info = &mine;
    int fd = open_any(s, p, below, O_RDONLY | O_NONBLOCK, e);
    if (fd < 0) return -1;
    if (fstat(fd, info) != 0)
        os_fail(e, "stat", below);
    else if (!S_ISREG(info->st_mode))
        err_set(e, ST_INVALID, "open %s/%s: not a regular file", folder_of(s, p), below);
    else if (!may_own(s, info->st_uid))
        err_set(e, ST_DENIED, "%s/%s belongs to user %lu, not to the owner of the store",
                folder_of(s, p), below, (unsigned long)info->st_uid);
    else
        return fd;
    close(fd);
    return -1;
}

enum status place_stat(const struct store *s, enum place p, const char *below, struct stat *info,
                       struct err *e) {
    struct err why;
    int fd = open_any(s, p, below, O_PATH, &why);
    if (fd < 0) return err_set(e, why.code, "%s", why.msg);
    enum status st = fstat(fd, info) == 0 ? ST_OK : os_fail(e, "stat", below);
    close(fd);
    return st;
}

bool place_is_link(const struct store *s, enum place p, const char *below) {
    char path[PATH_ROOM];
    struct stat info;
    return place_path(s, p, below, path, NULL) == ST_OK && lstat(path, &info) == 0 &&
           S_ISLNK(info.st_mode);
}

enum status place_write(const struct store *s, enum place p, const char *name, const void *data,
                        size_t size, struct err *e) {
    char path[PATH_ROOM];
    struct err why;
    enum status st = place_path(s, p, name, path, e);
    if (st != ST_OK) return st;
    int dir = place_dir(s, p, &why);
    if (dir < 0) return err_set(e, why.code, "%s", why.msg);
    st = os_file_write_atomic_at(dir, path, data, size, e);
    close(dir);
    return st;
}

/* ---- for those who have a path ---- */

/* Below the root the other two folders are links, perhaps, so each has its own guard. */
static int open_root(void *store, const char *below, struct err *e) {
    return place_open(store, PLACE_ROOT, below, NULL, e);
}
static int open_blob(void *store, const char *below, struct err *e) {
    return place_open(store, PLACE_BLOBS, below, NULL, e);
}
static int open_manifest(void *store, const char *below, struct err *e) {
    return place_open(store, PLACE_MANIFESTS, below, NULL, e);
}

enum status place_guard(struct store *s, struct err *e) {
    enum status st = os_guard(s->dir, open_root, s, e); /* the last one is looked at first */
    if (st == ST_OK) st = os_guard(s->manifests, open_manifest, s, e);
    if (st == ST_OK) st = os_guard(s->blobs, open_blob, s, e);
    return st;
}

void place_unguard(const struct store *s) { os_unguard(s); }
