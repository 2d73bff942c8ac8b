/* prune.c - removing what no model needs (spec/store.md 2.4 and 9).
 *
 * At a server's start everything that no manifest names goes, if it is old: a young blob may belong
 * to a create that has uploaded it and not yet named it. Partial downloads are kept for a week, as
 * a paused one is worth gigabytes. One manifest that cannot be read stops it all, since we then do
 * not know which blobs it needs. When a single model goes (delete, create over it), its blobs that
 * no other readable manifest names go at once. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/config.h"
#include "base/log.h"
#include "base/map.h"
#include "base/os.h"
#include "store/inventory.h"
#include "store/upkeep.h"

static const int64_t hour_ns = (int64_t)3600 * 1000000000;
static const int64_t week_ns = (int64_t)7 * 24 * 3600 * 1000000000;

bool prune_allowed(void) { return !config_bool(SET_noprune); }

/* ---- which blobs are named ---- */

struct named {
    struct map digests; /* "sha256:..." -> 0; keys live in the arena */
    struct arena arena;
};

static enum status mark(struct named *n, const struct store_layer *l, struct err *e) {
    if (l->digest[0] == '\0') return ST_OK;
    return map_put(&n->digests, l->digest, strlen(l->digest), 0, NULL) ? ST_OK : err_no_memory(e);
}

static enum status mark_manifest(struct named *n, const struct manifest *m, struct err *e) {
    enum status st = mark(n, &m->config, e);
    for (size_t i = 0; i < m->n_layers && st == ST_OK; i++) st = mark(n, &m->layers[i], e);
    return st;
}

static void named_free(struct named *n) {
    map_free(&n->digests);
    arena_free(&n->arena);
}

/* Fails only for want of memory; then nothing may be removed. */
static enum status find_named(const struct store *s, struct named *n, struct err *e) {
    struct name_list list;
    *n = (struct named){0};
    enum status st = names_scan(s, &list, e);
    if (st != ST_OK) return st;
    for (size_t i = 0; i < list.n && st == ST_OK; i++) {
        struct manifest m;
        struct err why;
        st = manifest_read(s, &list.names[i], &m, &n->arena, &why);
        if (st == ST_OK) {
            st = mark_manifest(n, &m, e);
        } else if (st == ST_NO_MEMORY) {
            err_no_memory(e);
        } else {
            st = ST_OK;
        }
    }
    names_free(&list);
    if (st != ST_OK) named_free(n);
    return st;
}

static bool is_named(const struct named *n, const char *digest) {
    uint32_t ignored;
    return map_get(&n->digests, digest, strlen(digest), &ignored);
}

/* ---- one model's blobs ---- */

static void remove_blob(struct store *s, const char *digest) {
    char file[STORE_DIGEST_TEXT];
    if (place_of_digest(digest, file, NULL) != ST_OK) return;
    int dir = place_dir(s, PLACE_BLOBS, NULL);
    if (dir < 0) return;
    if (hold_remove(dir, file)) log_debug("store", "removed %s", digest);
    close(dir);
}

static void remove_unnamed(struct store *s, const struct named *n, const struct store_layer *l) {
    if (l->digest[0] != '\0' && !is_named(n, l->digest)) remove_blob(s, l->digest);
}

void prune_layers(struct store *s, const struct store_layer *layers, size_t n) {
    struct named named;
    struct err why;
    if (n == 0) return;
    if (find_named(s, &named, &why) != ST_OK) {
        log_warn("store", "unused blobs were left: %s", why.msg);
        return;
    }
    for (size_t i = 0; i < n; i++) remove_unnamed(s, &named, &layers[i]);
    named_free(&named);
}

void prune_manifest(struct store *s, const struct manifest *m) {
    prune_layers(s, m->layers, m->n_layers);
    prune_layers(s, &m->config, 1);
}

/* ---- the whole store ---- */

/* How old a file in blobs/ must be before it goes; -1: it stays. */
static int64_t age_limit(const struct inventory_file *f) {
    switch (f->kind) {
    case FILE_BLOB:
        return f->users > 0 ? -1 : hour_ns;
    case FILE_PARTIAL:
    case FILE_JOURNAL:
        return week_ns;
    case FILE_OTHER:
        break;
    }
    return hour_ns;
}

static bool is_old(int64_t mtime_ns, int64_t limit, bool all, int64_t now) {
    return all || now - mtime_ns > limit;
}

/* Marks what was removed by `users` = REMOVED, so that it can be told without the lock. */
enum { REMOVED = UINT32_MAX };

static void prune_blobs(const struct store *s, struct inventory *v, const struct store_prune *p,
                        int64_t now) {
    int dir = place_dir(s, PLACE_BLOBS, NULL);
    for (size_t i = 0; i < v->n_files && dir >= 0; i++) {
        struct inventory_file *f = &v->files[i];
        const int64_t limit = age_limit(f);
        if (limit < 0 || !is_old(f->mtime_ns, limit, p->all, now)) continue;
        if (p->dry_run || hold_remove(dir, f->name)) f->users = REMOVED;
    }
    if (dir >= 0) close(dir);
}

/* Files that a crash left unnamed: manifests/.tmp-<random>, DIR/verified.tmp-<random>. */
static void prune_temporaries(struct store *s, enum place p, const char *begin, int64_t now) {
    int fd = place_dir(s, p, NULL);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (dir == NULL && fd >= 0) close(fd);
    if (dir == NULL) return;
    for (struct dirent *d; (d = readdir(dir)) != NULL;) {
        struct stat info;
        if (strncmp(d->d_name, begin, strlen(begin)) != 0) continue;
        if (fstatat(dirfd(dir), d->d_name, &info, AT_SYMLINK_NOFOLLOW) != 0) continue;
        const int64_t mtime = (int64_t)info.st_mtim.tv_sec * 1000000000 + info.st_mtim.tv_nsec;
        if (S_ISREG(info.st_mode) && is_old(mtime, hour_ns, false, now))
            hold_remove(dirfd(dir), d->d_name);
    }
    closedir(dir);
}

static void tell_removed(const struct inventory *v, struct store_prune *p) {
    for (size_t i = 0; i < v->n_files; i++) {
        const struct inventory_file *f = &v->files[i];
        if (f->users != REMOVED) continue;
        p->n_removed++;
        p->bytes += f->disk;
        if (p->removed != NULL) p->removed(p->arg, f->name, f->size);
    }
}

enum status store_prune_now(struct store *s, struct store_prune *p, struct err *e) {
    int token;
    struct inventory v;
    enum status st = store_lock(s, &token, e);
    if (st != ST_OK) return st;
    st = inventory_take(s, &v, e);
    if (st == ST_OK && !v.complete)
        st = err_set(e, ST_FORMAT, "nothing was pruned: there are manifests that cannot be read");
    if (st == ST_OK) {
        const int64_t now = os_time_unix_ns();
        prune_blobs(s, &v, p, now);
        if (!p->dry_run) {
            prune_temporaries(s, PLACE_MANIFESTS, ".tmp-", now);
            prune_temporaries(s, PLACE_ROOT, "verified.tmp-", now);
            prune_temporaries(s, PLACE_ROOT, "used.tmp-", now);
            prune_temporaries(s, PLACE_ROOT, "aliases.tmp-", now);
            manifest_remove_empty_dirs(s);
        }
    }
    store_unlock(s, token);
    if (st == ST_OK) tell_removed(&v, p);
    inventory_free(&v);
    return st;
}

static void log_removed(void *arg, const char *file, uint64_t size) {
    (void)arg;
    (void)size;
    log_info("store", "removed unused %s", file);
}

enum status store_prune(struct store *s, struct err *e) {
    struct store_prune p = {.removed = log_removed};
    struct err why;
    if (!prune_allowed()) return ST_OK;
    enum status st = store_prune_now(s, &p, &why);
    if (st == ST_OK) return st;
    if (st != ST_FORMAT) return err_set(e, st, "%s", why.msg);
    log_warn("store", "%s", why.msg);
    return ST_OK;
}
