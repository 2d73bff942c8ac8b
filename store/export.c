/* export.c - models into an archive: see archive.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/os.h"
#include "store/archive.h"
#include "store/archive_impl.h"
#include "store/store_impl.h"

struct export {
    struct store *s;
    tar_sink *sink;
    void *sink_arg;
    store_progress *progress;
    void *arg;
    struct arena arena;
    struct holds holds;
    struct map seen; /* digests and manifest paths; keys in the arena */
    const struct store_layer **blobs;
    size_t n_blobs, cap;
};

/* False: it was met before (or there is no memory: *st). */
static bool first_time(struct export *x, const char *key, enum status *st, struct err *e) {
    bool fresh = false;
    const char *copy = arena_strndup(&x->arena, key, strlen(key));
    if (copy == NULL || !map_put(&x->seen, copy, strlen(copy), 0, &fresh)) *st = err_no_memory(e);
    return *st == ST_OK && fresh;
}

static enum status add_blob(struct export *x, const struct store_layer *l, struct err *e) {
    enum status st = ST_OK;
    if (l->digest[0] == '\0' || !first_time(x, l->digest, &st, e)) return st;
    if (x->n_blobs == x->cap) {
        x->cap = x->cap != 0 ? x->cap * 2 : 16;
        const struct store_layer **grown = mem_grow(x->blobs, x->cap, sizeof *grown);
        if (grown == NULL) return err_no_memory(e);
        x->blobs = grown;
    }
    x->blobs[x->n_blobs++] = l;
    return hold_blob(x->s, &x->holds, l->digest, e);
}

static enum status put_manifest(struct export *x, const struct model_name *wanted, struct err *e) {
    struct model_name name = *wanted;
    struct manifest *m = arena_zalloc(&x->arena, 1, sizeof *m);
    const struct builtin *builtin = NULL;
    char rel[NAME_TEXT_MAX], path[NAME_TEXT_MAX + 16], *text = NULL;
    size_t len = 0;
    int64_t modified;
    if (m == NULL) return err_no_memory(e);
    enum status st = store_find(x->s, &name, m, &builtin, &x->arena, e);
    if (st == ST_OK && builtin != NULL) {
        name_shortest(&name, rel);
        st = err_set(e, ST_INVALID, "model '%s' is built in: copy it first (cp)", rel);
    }
    if (st == ST_OK) st = manifest_read_text(x->s, &name, &text, &len, &modified, e);
    name_path(&name, rel);
    snprintf(path, sizeof path, ARCHIVE_MANIFESTS "%s", rel);
    if (st == ST_OK && first_time(x, path, &st, e)) {
        st = tar_put_file(x->sink, x->sink_arg, path, len, e);
        if (st == ST_OK) st = x->sink(x->sink_arg, text, len, e);
        if (st == ST_OK) st = tar_put_pad(x->sink, x->sink_arg, len, e);
    }
    for (size_t i = 0; i < m->n_layers && st == ST_OK; i++) st = add_blob(x, &m->layers[i], e);
    if (st == ST_OK) st = add_blob(x, &m->config, e);
    mem_free(text);
    return st;
}

static enum status put_content(struct export *x, const struct store_layer *l, int fd,
                               struct digest *d, char *room, struct err *e) {
    char status[32];
    enum status st = ST_OK;
    snprintf(status, sizeof status, "exporting %.12s", l->digest + 7);
    for (uint64_t at = 0; at < l->size && st == ST_OK;) {
        ssize_t n = read(fd, room, ARCHIVE_PIECE);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return os_fail(e, "read", l->digest);
        if (n == 0 || (uint64_t)n > l->size - at)
            return err_set(e, ST_FORMAT, "%s has not the %llu bytes that its manifest says",
                           l->digest, (unsigned long long)l->size);
        digest_update(d, room, (size_t)n);
        at += (uint64_t)n;
        st = x->sink(x->sink_arg, room, (size_t)n, e);
        if (st == ST_OK && x->progress != NULL &&
            !x->progress(x->arg, status, l->digest, l->size, at))
            st = err_set(e, ST_CANCELLED, "cancelled");
    }
    return st;
}

static enum status put_blob(struct export *x, const struct store_layer *l, char *room,
                            struct err *e) {
    char member[128], hex[DIGEST_HEX + 1] = "";
    unsigned char raw[DIGEST_BYTES];
    struct stat info;
    struct err why;
    int fd = blob_open(x->s, l->digest, &info, &why);
    if (fd < 0) return err_set(e, why.code, "%s", why.msg);
    struct digest *d = digest_new();
    enum status st = d != NULL ? ST_OK : err_no_memory(e);
    if (st == ST_OK && (uint64_t)info.st_size != l->size)
        st = err_set(e, ST_FORMAT, "%s has %lld bytes, its manifest says %llu", l->digest,
                     (long long)info.st_size, (unsigned long long)l->size);
    snprintf(member, sizeof member, ARCHIVE_BLOBS "sha256-%s", l->digest + 7);
    if (st == ST_OK) st = tar_put_file(x->sink, x->sink_arg, member, l->size, e);
    if (st == ST_OK) st = put_content(x, l, fd, d, room, e);
    close(fd);
    if (st != ST_OK) {
        digest_cancel(d);
        return st;
    }
    digest_finish(d, raw);
    digest_hex(raw, hex);
    if (strcasecmp(hex, l->digest + 7) != 0)
        return err_set(e, ST_FORMAT, "the blob %s is damaged: its content has the hash sha256:%s",
                       l->digest, hex);
    return tar_put_pad(x->sink, x->sink_arg, l->size, e);
}

enum status store_export(struct store *s, const struct model_name *names, size_t n, tar_sink *sink,
                         void *sink_arg, store_progress *progress, void *arg, struct err *e) {
    struct export x = {
        .s = s, .sink = sink, .sink_arg = sink_arg, .progress = progress, .arg = arg};
    char *room = mem_alloc(ARCHIVE_PIECE);
    enum status st = room != NULL ? ST_OK : err_no_memory(e);
    for (size_t i = 0; i < n && st == ST_OK; i++) st = put_manifest(&x, &names[i], e);
    for (size_t i = 0; i < x.n_blobs && st == ST_OK; i++) st = put_blob(&x, x.blobs[i], room, e);
    if (st == ST_OK) st = tar_put_end(sink, sink_arg, e);
    holds_free(&x.holds);
    map_free(&x.seen);
    mem_free(x.blobs);
    mem_free(room);
    arena_free(&x.arena);
    return st;
}
