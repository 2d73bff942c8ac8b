/* usage.c - how full the store is, and who was used last (store/upkeep.h).
 *
 * DIR/used has a line for each model that was loaded: unix time in ns and its path. Like
 * DIR/verified it is a memory, not a truth: a model that is not in it counts as used when its
 * manifest was written. The times that the file system keeps cannot tell: listing and hashing read
 * blobs, too. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "base/config.h"
#include "base/mem.h"
#include "base/os.h"
#include "store/inventory.h"
#include "store/upkeep.h"

enum { USED_MAX_BYTES = 16 << 20 };

/* ---- DIR/used ---- */

static pthread_mutex_t used_lock = PTHREAD_MUTEX_INITIALIZER; /* around read, change, write */

/* One line; false: it is not one. */
static bool used_line(const char *line, long long *ns, struct model_name *name) {
    char path[NAME_TEXT_MAX], *end;
    *ns = strtoll(line, &end, 10);
    if (end == line || *end != ' ') return false;
    const size_t n = strcspn(end + 1, "\n");
    if (n >= sizeof path) return false;
    memcpy(path, end + 1, n);
    path[n] = '\0';
    return name_from_path(name, path);
}

static char *read_used(const struct store *s) {
    char path[PATH_ROOM], *text = NULL;
    size_t len;
    if (place_path(s, PLACE_ROOT, "used", path, NULL) != ST_OK) return NULL;
    return os_file_read(path, USED_MAX_BYTES, &text, &len, NULL) == ST_OK ? text : NULL;
}

/* The time of this name's mark is up, or it has none: then it gets one, the oldest's place. */
static bool wants_mark(struct store *s, const struct model_name *name) {
    char text[NAME_TEXT_MAX];
    name_full(name, text);
    const uint64_t hash = map_hash(text, strlen(text));
    const int64_t now = os_time_mono_ns(), ten_minutes = (int64_t)600 * 1000000000;
    struct used_mark *at = &s->used[0];
    for (size_t i = 0; i < USED_MARKS; i++) {
        struct used_mark *m = &s->used[i];
        if (m->at != 0 && m->name == hash && now - m->at < ten_minutes) return false;
        if (m->at < at->at) at = m;
        if (m->at != 0 && m->name == hash) {
            at = m;
            break;
        }
    }
    *at = (struct used_mark){hash, now};
    return true;
}

void store_mark_used(struct store *s, const struct model_name *name) {
    char rel[NAME_TEXT_MAX];
    struct buf out = {0};
    struct name_list stored = {0};
    pthread_mutex_lock(&used_lock);
    const bool wanted = wants_mark(s, name);
    pthread_mutex_unlock(&used_lock);
    if (!wanted) return;
    if (names_scan(s, &stored, NULL) != ST_OK) return;
    if (names_find(&stored, name) < stored.n) {
        name_path(name, rel);
        pthread_mutex_lock(&used_lock);
        char *text = read_used(s);
        buf_printf(&out, "%lld %s\n", (long long)os_time_unix_ns(), rel);
        for (const char *p = text; p != NULL && *p != '\0';) {
            const size_t n = strcspn(p, "\n");
            struct model_name other;
            long long ns;
            if (used_line(p, &ns, &other) && !name_equal(&other, name) &&
                names_find(&stored, &other) < stored.n) {
                buf_add(&out, p, n);
                buf_chr(&out, '\n');
            }
            p += n + (p[n] == '\n');
        }
        if (!out.failed) place_write(s, PLACE_ROOT, "used", out.data, out.len, NULL);
        mem_free(text);
        pthread_mutex_unlock(&used_lock);
    }
    buf_free(&out);
    names_free(&stored);
}

static void take_used(const struct store *s, struct store_usage *u) {
    char *text = read_used(s);
    for (const char *p = text; p != NULL && *p != '\0';) {
        struct model_name name;
        long long ns;
        if (used_line(p, &ns, &name))
            for (size_t i = 0; i < u->n_models; i++)
                if (name_equal(&u->models[i].name, &name)) u->models[i].used_ns = ns;
        p += strcspn(p, "\n");
        p += *p == '\n';
    }
    mem_free(text);
}

/* ---- the sums ---- */

static void count_file(struct store_usage *u, const struct inventory_file *f) {
    const bool named = f->kind == FILE_BLOB && f->users > 0;
    const bool partial = f->kind == FILE_PARTIAL || f->kind == FILE_JOURNAL;
    /* A partial file has holes where nothing has come yet. */
    const uint64_t bytes = f->kind == FILE_PARTIAL && f->disk < f->size ? f->disk : f->size;
    *(named                  ? &u->named
      : f->kind == FILE_BLOB ? &u->unnamed
      : partial              ? &u->partial
                             : &u->other) += bytes;
    if (f->kind == FILE_JOURNAL) return;
    ++*(named                  ? &u->n_named
        : f->kind == FILE_BLOB ? &u->n_unnamed
        : partial              ? &u->n_partial
                               : &u->n_other);
}

static int least_recent(const void *a, const void *b) {
    const struct store_usage_model *x = a, *y = b;
    if (x->used_ns != y->used_ns) return x->used_ns < y->used_ns ? -1 : 1;
    char left[NAME_TEXT_MAX], right[NAME_TEXT_MAX];
    name_full(&x->name, left);
    name_full(&y->name, right);
    return strcmp(left, right);
}

static enum status fill(struct store *s, const struct inventory *v, struct store_usage *u,
                        struct err *e) {
    struct statvfs fs;
    for (size_t i = 0; i < v->n_files; i++) count_file(u, &v->files[i]);
    u->total = u->named + u->unnamed + u->partial + u->other;
    u->models = arena_zalloc(&u->arena, v->n_models + 1, sizeof *u->models);
    if (u->models == NULL) return err_no_memory(e);
    for (size_t i = 0; i < v->n_models; i++) {
        const struct inventory_model *m = &v->models[i];
        if (m->st != ST_OK) continue;
        u->models[u->n_models++] = (struct store_usage_model){.name = m->name,
                                                              .own = m->own,
                                                              .shared = m->shared,
                                                              .used_ns = m->manifest.modified_ns};
    }
    take_used(s, u);
    if (u->n_models > 1) qsort(u->models, u->n_models, sizeof *u->models, least_recent);
    if (statvfs(s->dir, &fs) == 0) {
        u->disk_size = (uint64_t)fs.f_blocks * fs.f_frsize;
        u->disk_free = (uint64_t)fs.f_bavail * fs.f_frsize;
    }
    return ST_OK;
}

enum status store_usage(struct store *s, struct store_usage *out, struct err *e) {
    struct inventory v;
    *out = (struct store_usage){0};
    out->quota = config_bytes(SET_store_quota);
    enum status st = inventory_take(s, &v, e);
    if (st != ST_OK) return st;
    st = fill(s, &v, out, e);
    inventory_free(&v);
    if (st != ST_OK) store_usage_free(out);
    return st;
}

void store_usage_free(struct store_usage *u) {
    arena_free(&u->arena);
    *u = (struct store_usage){0};
}
