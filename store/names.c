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

/* Opens folder `below` ("" for manifests/ itself); NULL with errno-like status in *st. */
static DIR *open_dir(const struct store *s, const char *below, struct err *why) {
    int fd = *below == '\0' ? place_dir(s, PLACE_MANIFESTS, why)
                            : place_folder(s, PLACE_MANIFESTS, below, false, why);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (dir != NULL) return dir;
    if (fd >= 0) {
        err_no_memory(why);
        close(fd);
    }
    return NULL;
}

/* Where a folder should be? A link counts as what it points to. */
static bool is_plain_file(DIR *dir, const struct dirent *d) {
    struct stat info;
    if (d->d_type == DT_DIR) return false;
    if (d->d_type == DT_REG) return true;
    return fstatat(dirfd(dir), d->d_name, &info, 0) == 0 && !S_ISDIR(info.st_mode);
}

/* Visits folder `below`, which is the name so far: a buffer of NAME_TEXT_MAX, lent to the children.
 * Recursion ends at LEVELS, so links that form a circle do no harm. */
static enum status walk(const struct store *s, struct name_list *l, char *below, unsigned level,
                        struct err *e) {
    struct err why = {.code = ST_OK};
    DIR *dir = open_dir(s, below, &why);
    if (dir == NULL) {
        /* Not there, or no folder: it names nothing. Else we do not know what it names. */
        if (why.code != ST_NOT_FOUND && why.code != ST_INVALID) l->incomplete = true;
        return why.code == ST_NO_MEMORY ? err_no_memory(e) : ST_OK;
    }
    enum status st = ST_OK;
    const size_t len = strlen(below), start = len > 0 ? len + 1 : 0;
    struct dirent *d;
    errno = 0;
    for (; st == ST_OK && (d = readdir(dir)) != NULL; errno = 0) {
        if (d->d_name[0] == '.') continue; /* "." "..", temporary files: never part of a name */
        size_t n = strlen(d->d_name);
        if (start + n >= NAME_TEXT_MAX) { /* no name is so long */
            l->incomplete = true;
            continue;
        }
        if (len > 0) below[len] = '/';
        memcpy(below + start, d->d_name, n + 1);
        struct model_name name;
        if (level + 1 < LEVELS && !is_plain_file(dir, d))
            st = walk(s, l, below, level + 1, e);
        else if (level + 1 < LEVELS)
            st = push_strange(l, below, e); /* it names no blobs */
        else if (d->d_type == DT_DIR || !name_from_path(&name, below))
            l->incomplete = true, st = push_strange(l, below, e);
        else
            st = push_name(l, &name, e);
        below[len] = '\0';
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
    char below[NAME_TEXT_MAX] = "";
    *out = (struct name_list){0};
    enum status st = walk(s, out, below, 0, e);
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

enum status manifest_read_text(const struct store *s, const struct model_name *name, char **text,
                               size_t *len, int64_t *modified_ns, struct err *e) {
    char below[NAME_TEXT_MAX];
    struct stat info;
    struct err why;
    enum status st = place_of_name(name, below, e);
    if (st != ST_OK) return st;
    int fd = place_open(s, PLACE_MANIFESTS, below, &info, &why);
    if (fd < 0) return err_set(e, why.code, "%s", why.msg);
    *modified_ns = (int64_t)info.st_mtim.tv_sec * 1000000000 + info.st_mtim.tv_nsec;
    st = os_fd_read(fd, below, (size_t)info.st_size, MANIFEST_MAX_BYTES, text, len, e);
    close(fd);
    return st;
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
static enum status write_new(int dir, const char *name, const char *text, size_t len,
                             struct err *e) {
    int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0) return os_fail(e, "create", name);
    enum status st = ST_OK;
    for (size_t done = 0; done < len && st == ST_OK;) {
        ssize_t n = write(fd, text + done, len - done);
        if (n >= 0)
            done += (size_t)n;
        else if (errno != EINTR)
            st = os_fail(e, "write", name);
    }
    if (st == ST_OK && fsync(fd) != 0) st = os_fail(e, "fsync", name);
    close(fd);
    if (st != ST_OK) unlinkat(dir, name, 0);
    return st;
}

/* Cuts the last part off a name's path; it is "" at the top. The part, which ends where it did. */
static const char *cut_last(char *below) {
    char *slash = strrchr(below, '/');
    if (slash == NULL) return NULL;
    *slash = '\0';
    return slash + 1;
}

/* A new folder is only there for good when its parent has been synced: from `below` to the top. */
static enum status sync_up(const struct store *s, char *below, struct err *e) {
    enum status st = ST_OK;
    for (bool top = false; st == ST_OK && !top;) {
        struct err why;
        top = *below == '\0';
        int dir = top ? place_dir(s, PLACE_MANIFESTS, &why)
                      : place_folder(s, PLACE_MANIFESTS, below, false, &why);
        if (dir < 0) return err_set(e, why.code, "%s", why.msg);
        st = place_sync(s, PLACE_MANIFESTS, dir, e);
        close(dir);
        if (!top && cut_last(below) == NULL) *below = '\0';
    }
    return st;
}

/* Writes beside the tree, then moves it to its place. */
static enum status write_and_move(int top, int folder, const char *tag, const char *text,
                                  size_t len, struct err *e) {
    char temp[32];
    uint64_t random;
    enum status st = os_random(&random, sizeof random, e);
    snprintf(temp, sizeof temp, ".tmp-%016llx", (unsigned long long)random);
    if (st == ST_OK) st = write_new(top, temp, text, len, e);
    if (st != ST_OK || renameat(top, temp, folder, tag) == 0) return st;
    st = os_fail(e, "rename", tag);
    unlinkat(top, temp, 0);
    return st;
}

enum status manifest_write(struct store *s, const struct model_name *name, const char *text,
                           size_t len, struct err *e) {
    char below[NAME_TEXT_MAX];
    struct err why = {.code = ST_OK};
    enum status st = place_of_name(name, below, e);
    if (st == ST_OK) st = place_make(s, PLACE_MANIFESTS, e);
    if (st != ST_OK) return st;
    const char *tag = cut_last(below);
    int top = place_dir(s, PLACE_MANIFESTS, &why), folder = -1;
    if (top >= 0) folder = place_folder(s, PLACE_MANIFESTS, below, true, &why);
    st = folder >= 0 ? write_and_move(top, folder, tag, text, len, e)
                     : err_set(e, why.code, "%s", why.msg);
    if (top >= 0) close(top);
    if (folder >= 0) close(folder);
    return st == ST_OK ? sync_up(s, below, e) : st;
}

/* Upwards, until a folder is not empty; the top stays. */
static void remove_empty_up(const struct store *s, char *below) {
    for (const char *last; *below != '\0';) {
        last = cut_last(below);
        int dir = last != NULL ? place_folder(s, PLACE_MANIFESTS, below, false, NULL)
                               : place_dir(s, PLACE_MANIFESTS, NULL);
        const bool gone = dir >= 0 && unlinkat(dir, last != NULL ? last : below, AT_REMOVEDIR) == 0;
        if (dir >= 0) close(dir);
        if (!gone || last == NULL) return;
    }
}

enum status manifest_remove(struct store *s, const struct model_name *name, struct err *e) {
    char below[NAME_TEXT_MAX];
    struct err why;
    enum status st = place_of_name(name, below, e);
    if (st != ST_OK) return st;
    const char *tag = cut_last(below);
    int dir = place_folder(s, PLACE_MANIFESTS, below, false, &why);
    if (dir < 0) return err_set(e, why.code, "%s", why.msg);
    st = unlinkat(dir, tag, 0) == 0 ? place_sync(s, PLACE_MANIFESTS, dir, e)
                                    : os_fail(e, "remove", below);
    close(dir);
    if (st == ST_OK) remove_empty_up(s, below);
    return st;
}

/* Removes empty folders below `below`, deepest first; itself only if level > 0. */
static void remove_empty(const struct store *s, char *below, unsigned level) {
    DIR *dir = level < LEVELS ? open_dir(s, below, &(struct err){0}) : NULL;
    if (dir == NULL) return;
    const size_t len = strlen(below), start = len > 0 ? len + 1 : 0;
    for (struct dirent *d; (d = readdir(dir)) != NULL;) {
        size_t n = strlen(d->d_name);
        if (d->d_name[0] == '.' || d->d_type == DT_REG || start + n >= NAME_TEXT_MAX) continue;
        if (len > 0) below[len] = '/';
        memcpy(below + start, d->d_name, n + 1);
        remove_empty(s, below, level + 1);
        below[len] = '\0';
        if (level + 1 < LEVELS) unlinkat(dirfd(dir), d->d_name, AT_REMOVEDIR); /* if it is empty */
    }
    closedir(dir);
}

void manifest_remove_empty_dirs(struct store *s) {
    char below[NAME_TEXT_MAX] = "";
    remove_empty(s, below, 0);
}
