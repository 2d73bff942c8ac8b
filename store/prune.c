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
#include "base/digest.h"
#include "base/log.h"
#include "base/map.h"
#include "base/os.h"
#include "store/store_impl.h"

static const int64_t hour_ns = (int64_t)3600 * 1000000000;
static const int64_t week_ns = (int64_t)7 * 24 * 3600 * 1000000000;

bool prune_allowed(void) { return !config_bool(SET_noprune); }

/* ---- which blobs are named ---- */

struct named {
    struct map digests; /* "sha256:..." -> 0; keys live in the arena */
    struct arena arena;
    bool complete; /* every manifest could be read */
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
    n->complete = !list.incomplete;
    for (size_t i = 0; i < list.n && st == ST_OK; i++) {
        struct manifest m;
        struct err why;
        st = manifest_read(s, &list.names[i], &m, &n->arena, &why);
        if (st == ST_OK) {
            st = mark_manifest(n, &m, e);
        } else if (st == ST_NO_MEMORY) {
            err_no_memory(e);
        } else {
            if (st != ST_NOT_FOUND) n->complete = false;
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
    char path[PATH_ROOM];
    if (blob_path(s, digest, path, NULL) != ST_OK) return;
    if (unlink(path) == 0)
        log_debug("store", "removed %s", digest);
    else if (errno != ENOENT)
        log_warn("store", "cannot remove %s: %s", path, strerror(errno));
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

static bool is_partial(const char *name) {
    static const char mark_text[] = "-partial";
    enum { BASE = 7 + DIGEST_HEX }; /* "sha256-" and the digits */
    if (strlen(name) < BASE + sizeof mark_text - 1) return false;
    char digest[BASE + 1];
    memcpy(digest, name, BASE);
    digest[BASE] = '\0';
    return blob_is_digest_file(digest) &&
           strncmp(name + BASE, mark_text, sizeof mark_text - 1) == 0;
}

/* How old a file in blobs/ must be before it goes; -1: it stays. */
static int64_t age_limit(const struct named *n, const char *file) {
    char digest[STORE_DIGEST_TEXT];
    if (is_partial(file)) return week_ns;
    if (!blob_is_digest_file(file)) return hour_ns;
    if (store_digest_parse(file, digest, NULL) == ST_OK && is_named(n, digest)) return -1;
    return hour_ns;
}

static void remove_if_old(int dir, const char *file, int64_t limit, int64_t now) {
    struct stat info;
    if (fstatat(dir, file, &info, AT_SYMLINK_NOFOLLOW) != 0 || S_ISDIR(info.st_mode)) return;
    int64_t mtime = (int64_t)info.st_mtim.tv_sec * 1000000000 + info.st_mtim.tv_nsec;
    if (now - mtime <= limit) return;
    if (unlinkat(dir, file, 0) == 0)
        log_info("store", "removed unused %s", file);
    else
        log_warn("store", "cannot remove %s: %s", file, strerror(errno));
}

static void prune_blobs(const struct store *s, const struct named *n, int64_t now) {
    DIR *dir = opendir(s->blobs);
    if (dir == NULL) return;
    for (struct dirent *d; (d = readdir(dir)) != NULL;) {
        if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0) continue;
        int64_t limit = age_limit(n, d->d_name);
        if (limit >= 0) remove_if_old(dirfd(dir), d->d_name, limit, now);
    }
    closedir(dir);
}

/* Manifests that a crash left unnamed: manifests/.tmp-<random>. */
static void prune_temporaries(const struct store *s, int64_t now) {
    DIR *dir = opendir(s->manifests);
    if (dir == NULL) return;
    for (struct dirent *d; (d = readdir(dir)) != NULL;)
        if (strncmp(d->d_name, ".tmp-", 5) == 0) remove_if_old(dirfd(dir), d->d_name, hour_ns, now);
    closedir(dir);
}

enum status store_prune(struct store *s, struct err *e) {
    int token;
    struct named named;
    if (!prune_allowed()) return ST_OK;
    enum status st = store_lock(s, &token, e);
    if (st != ST_OK) return st;
    st = find_named(s, &named, e);
    if (st == ST_OK && !named.complete)
        log_warn("store", "nothing was pruned: there are manifests that cannot be read");
    if (st == ST_OK && named.complete) {
        int64_t now = os_time_unix_ns();
        prune_blobs(s, &named, now);
        prune_temporaries(s, now);
        manifest_remove_empty_dirs(s);
    }
    if (st == ST_OK) named_free(&named);
    store_unlock(s, token);
    return st;
}
