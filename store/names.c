/* names.c - stored names and their manifest files: manifests/<host>/<namespace>/<model>/<tag>.
 *
 * The tree is walked afresh for each question: a store has tens of models, another program may
 * change it at any time, and a cache would need the very walk to know that it is stale.
 *
 * A new manifest is written to manifests/.tmp-<random>, synced and renamed to its place. The
 * temporary file cannot stand beside its target: "latest.tmp-.." would be a valid tag. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/os.h"
#include "store/store_impl.h"

enum { LEVELS = 4 }; /* host, namespace, model, tag */

/* ---- the walk ---- */

static enum status push_name(struct name_list *l, const struct model_name *n, struct err *e) {
    if (l->n == l->cap) {
        size_t cap = l->cap != 0 ? l->cap * 2 : 16;
        struct model_name *grown = mem_grow(l->names, cap, sizeof *grown);
        if (grown == NULL) return err_no_memory(e);
        l->names = grown;
        l->cap = cap;
    }
    l->names[l->n++] = *n;
    return ST_OK;
}

static enum status push_strange(struct name_list *l, const char *path, struct err *e) {
    buf_add(&l->strange, path, strlen(path) + 1);
    l->n_strange++;
    return l->strange.failed ? err_no_memory(e) : ST_OK;
}

/* Where a folder should be? A link counts as what it points to. */
static bool is_plain_file(DIR *dir, const struct dirent *d) {
    struct stat info;
    if (d->d_type == DT_DIR) return false;
    if (d->d_type == DT_REG) return true;
    return fstatat(dirfd(dir), d->d_name, &info, 0) == 0 && !S_ISDIR(info.st_mode);
}

/* Visits folder `path` (a buffer of PATH_ROOM, lent to the children); what follows the root in it
 * is the name so far. Recursion ends at LEVELS, so links that form a circle do no harm. */
static enum status walk(struct name_list *l, char *path, size_t root, unsigned level,
                        struct err *e) {
    DIR *dir = opendir(path);
    if (dir == NULL) {
        if (errno != ENOENT && errno != ENOTDIR) l->incomplete = true;
        return errno == ENOMEM ? err_no_memory(e) : ST_OK;
    }
    enum status st = ST_OK;
    size_t len = strlen(path);
    struct dirent *d;
    errno = 0;
    for (; st == ST_OK && (d = readdir(dir)) != NULL; errno = 0) {
        if (d->d_name[0] == '.') continue; /* "." "..", temporary files: never part of a name */
        size_t n = strlen(d->d_name);
        if (len + 1 + n >= PATH_ROOM) continue;
        path[len] = '/';
        memcpy(path + len + 1, d->d_name, n + 1);
        struct model_name name;
        if (level + 1 < LEVELS && !is_plain_file(dir, d))
            st = walk(l, path, root, level + 1, e);
        else if (level + 1 < LEVELS)
            st = push_strange(l, path + root + 1, e); /* it names no blobs */
        else if (d->d_type == DT_DIR || !name_from_path(&name, path + root + 1))
            l->incomplete = true, st = push_strange(l, path + root + 1, e);
        else
            st = push_name(l, &name, e);
        path[len] = '\0';
    }
    if (st == ST_OK && errno != 0) l->incomplete = true;
    closedir(dir);
    return st;
}

static int by_path(const void *a, const void *b) {
    const struct model_name *x = a, *y = b;
    int order = strcmp(x->host, y->host);
    if (order == 0) order = strcmp(x->namespace, y->namespace);
    if (order == 0) order = strcmp(x->model, y->model);
    return order != 0 ? order : strcmp(x->tag, y->tag);
}

enum status names_scan(const struct store *s, struct name_list *out, struct err *e) {
    char path[PATH_ROOM];
    *out = (struct name_list){0};
    int len = snprintf(path, sizeof path, "%s", s->manifests);
    if (len < 0 || len >= PATH_ROOM) return err_set(e, ST_INVALID, "path too long");
    enum status st = walk(out, path, (size_t)len, 0, e);
    if (st != ST_OK)
        names_free(out);
    else if (out->n > 1)
        qsort(out->names, out->n, sizeof *out->names, by_path);
    return st;
}

void names_free(struct name_list *l) {
    mem_free(l->names);
    buf_free(&l->strange);
    *l = (struct name_list){0};
}

size_t names_find(const struct name_list *l, const struct model_name *name) {
    size_t found = l->n;
    for (size_t i = 0; i < l->n; i++) {
        if (!name_equal(&l->names[i], name)) continue;
        if (by_path(&l->names[i], name) == 0) return i;
        if (found == l->n) found = i;
    }
    return found;
}

/* ---- manifest files ---- */

static enum status manifest_path(const struct store *s, const struct model_name *name,
                                 char out[PATH_ROOM], struct err *e) {
    char rel[NAME_TEXT_MAX];
    if (!name_is_valid(name)) return err_set(e, ST_INVALID, "invalid model name");
    name_path(name, rel);
    int n = snprintf(out, PATH_ROOM, "%s/%s", s->manifests, rel);
    return n > 0 && n < PATH_ROOM ? ST_OK : err_set(e, ST_INVALID, "path too long");
}

enum status manifest_read_text(const struct store *s, const struct model_name *name, char **text,
                               size_t *len, int64_t *modified_ns, struct err *e) {
    char path[PATH_ROOM];
    struct stat info;
    enum status st = manifest_path(s, name, path, e);
    if (st != ST_OK) return st;
    if (stat(path, &info) != 0) return os_fail(e, "open", path);
    *modified_ns = (int64_t)info.st_mtim.tv_sec * 1000000000 + info.st_mtim.tv_nsec;
    return os_file_read(path, MANIFEST_MAX_BYTES, text, len, e);
}

enum status manifest_read(const struct store *s, const struct model_name *name, struct manifest *m,
                          struct arena *a, struct err *e) {
    char *text;
    size_t len;
    int64_t modified;
    enum status st = manifest_read_text(s, name, &text, &len, &modified, e);
    if (st != ST_OK) return st;
    struct err mine;
    st = manifest_parse(m, text, len, a, &mine);
    m->modified_ns = modified;
    mem_free(text);
    if (st == ST_OK) return st;
    char shown[NAME_TEXT_MAX];
    name_shortest(name, shown);
    return err_set(e, st, "manifest of '%s': %s", shown, mine.msg);
}

/* Writes all of it to a new file and syncs that. The file is removed on failure. */
static enum status write_new(const char *path, const char *text, size_t len, struct err *e) {
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0) return os_fail(e, "create", path);
    enum status st = ST_OK;
    for (size_t done = 0; done < len && st == ST_OK;) {
        ssize_t n = write(fd, text + done, len - done);
        if (n >= 0)
            done += (size_t)n;
        else if (errno != EINTR)
            st = os_fail(e, "write", path);
    }
    if (st == ST_OK && fsync(fd) != 0) st = os_fail(e, "fsync", path);
    close(fd);
    if (st != ST_OK) unlink(path);
    return st;
}

/* A new folder is only there for good when its parent has been synced. */
static enum status sync_dirs(char *path, size_t root, struct err *e) {
    for (char *slash; (slash = strrchr(path, '/')) != NULL && (size_t)(slash - path) >= root;) {
        *slash = '\0';
        enum status st = os_fsync_dir(path, e);
        if (st != ST_OK) return st;
    }
    return ST_OK;
}

enum status manifest_write(struct store *s, const struct model_name *name, const char *text,
                           size_t len, struct err *e) {
    char path[PATH_ROOM], temp[PATH_ROOM + 32];
    uint64_t tag;
    enum status st = manifest_path(s, name, path, e);
    if (st == ST_OK) st = os_random(&tag, sizeof tag, e);
    if (st != ST_OK) return st;
    snprintf(temp, sizeof temp, "%s/.tmp-%016llx", s->manifests, (unsigned long long)tag);
    char *slash = strrchr(path, '/');
    *slash = '\0';
    st = os_mkdirs(path, e);
    *slash = '/';
    if (st == ST_OK) st = write_new(temp, text, len, e);
    if (st != ST_OK) return st;
    if (rename(temp, path) != 0) {
        st = os_fail(e, "rename", path);
        unlink(temp);
        return st;
    }
    return sync_dirs(path, strlen(s->manifests), e);
}

enum status manifest_remove(struct store *s, const struct model_name *name, struct err *e) {
    char path[PATH_ROOM];
    enum status st = manifest_path(s, name, path, e);
    if (st != ST_OK) return st;
    if (unlink(path) != 0) return os_fail(e, "remove", path);
    char *slash = strrchr(path, '/');
    *slash = '\0';
    st = os_fsync_dir(path, e);
    /* Upwards, until a folder is not empty; the root stays. */
    while (strlen(path) > strlen(s->manifests) && rmdir(path) == 0) *strrchr(path, '/') = '\0';
    return st;
}

/* Removes empty folders below path, deepest first; path itself only if level > 0. */
static void remove_empty(char *path, unsigned level) {
    DIR *dir = level < LEVELS ? opendir(path) : NULL;
    if (dir == NULL) return;
    size_t len = strlen(path);
    for (struct dirent *d; (d = readdir(dir)) != NULL;) {
        size_t n = strlen(d->d_name);
        if (d->d_name[0] == '.' || d->d_type == DT_REG || len + 1 + n >= PATH_ROOM) continue;
        path[len] = '/';
        memcpy(path + len + 1, d->d_name, n + 1);
        remove_empty(path, level + 1);
        path[len] = '\0';
    }
    closedir(dir);
    if (level > 0) rmdir(path); /* fails where something is left */
}

void manifest_remove_empty_dirs(struct store *s) {
    char path[PATH_ROOM];
    int n = snprintf(path, sizeof path, "%s", s->manifests);
    if (n > 0 && n < PATH_ROOM) remove_empty(path, 0);
}
