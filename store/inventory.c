/* inventory.c - see inventory.h. */
#include "store/inventory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/mem.h"
#include "base/os.h"

enum { BASE = 7 + DIGEST_HEX }; /* "sha256-" and the digits */

/* ---- files ---- */

static enum file_kind kind_of(const char *name, char digest[STORE_DIGEST_TEXT]) {
    static const char mark[] = "-partial";
    char base[BASE + 1] = "";
    if (strlen(name) < BASE) return FILE_OTHER;
    memcpy(base, name, BASE);
    if (!blob_is_digest_file(base) || store_digest_parse(base, digest, NULL) != ST_OK)
        return FILE_OTHER;
    const char *rest = name + BASE;
    if (*rest == '\0') return FILE_BLOB;
    if (strncmp(rest, mark, sizeof mark - 1) != 0) return FILE_OTHER;
    return rest[sizeof mark - 1] == '\0' ? FILE_PARTIAL : FILE_JOURNAL;
}

static enum status add_file(struct inventory *v, size_t *cap, int dir, const char *name,
                            struct err *e) {
    struct stat info;
    if (fstatat(dir, name, &info, AT_SYMLINK_NOFOLLOW) != 0) return ST_OK; /* gone meanwhile */
    if (v->n_files == *cap) {
        *cap = *cap != 0 ? *cap * 2 : 64;
        struct inventory_file *grown = mem_grow(v->files, *cap, sizeof *grown);
        if (grown == NULL) return err_no_memory(e);
        v->files = grown;
    }
    struct inventory_file *f = &v->files[v->n_files];
    *f = (struct inventory_file){.name = arena_strndup(&v->arena, name, strlen(name)),
                                 .regular = S_ISREG(info.st_mode)};
    if (f->name == NULL) return err_no_memory(e);
    f->kind = kind_of(name, f->digest);
    /* A link to a regular file counts as what it points to: stores are moved that way. */
    if (S_ISLNK(info.st_mode) && fstatat(dir, name, &info, 0) == 0)
        f->regular = S_ISREG(info.st_mode);
    f->size = (uint64_t)info.st_size;
    f->disk = (uint64_t)info.st_blocks * 512;
    f->mtime_ns = (int64_t)info.st_mtim.tv_sec * 1000000000 + info.st_mtim.tv_nsec;
    v->n_files++;
    return ST_OK;
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const struct inventory_file *)a)->name,
                  ((const struct inventory_file *)b)->name);
}

static enum status take_files(const struct store *s, struct inventory *v, struct err *e) {
    struct err why;
    size_t cap = 0;
    enum status st = ST_OK;
    int fd = place_dir(s, PLACE_BLOBS, &why);
    if (fd < 0) return why.code == ST_NOT_FOUND ? ST_OK : err_set(e, why.code, "%s", why.msg);
    DIR *dir = fdopendir(fd);
    if (dir == NULL) {
        close(fd);
        return err_no_memory(e);
    }
    for (struct dirent *d; st == ST_OK && (d = readdir(dir)) != NULL;)
        if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0)
            st = add_file(v, &cap, dirfd(dir), d->d_name, e);
    closedir(dir);
    if (v->n_files > 1) qsort(v->files, v->n_files, sizeof *v->files, by_name);
    for (size_t i = 0; i < v->n_files && st == ST_OK; i++) {
        const struct inventory_file *f = &v->files[i];
        if (f->kind != FILE_BLOB) continue;
        if (!map_put(&v->by_digest, f->digest, strlen(f->digest), (uint32_t)i, NULL))
            st = err_no_memory(e);
    }
    return st;
}

struct inventory_file *inventory_blob(const struct inventory *v, const char *digest) {
    uint32_t at;
    return map_get(&v->by_digest, digest, strlen(digest), &at) ? &v->files[at] : NULL;
}

/* ---- models ---- */

/* The i-th layer, the config behind them; NULL: named before in this manifest, or not at all. */
static const struct store_layer *layer_at(const struct manifest *m, size_t i) {
    const struct store_layer *l = i < m->n_layers ? &m->layers[i] : &m->config;
    if (l->digest[0] == '\0') return NULL;
    for (size_t k = 0; k < i; k++)
        if (strcmp(m->layers[k].digest, l->digest) == 0) return NULL;
    return l;
}

static void count_users(struct inventory *v, const struct manifest *m) {
    for (size_t i = 0; i <= m->n_layers; i++) {
        const struct store_layer *l = layer_at(m, i);
        struct inventory_file *f = l != NULL ? inventory_blob(v, l->digest) : NULL;
        if (f != NULL) f->users++;
    }
}

static void count_bytes(const struct inventory *v, struct inventory_model *m) {
    for (size_t i = 0; i <= m->manifest.n_layers; i++) {
        const struct store_layer *l = layer_at(&m->manifest, i);
        const struct inventory_file *f = l != NULL ? inventory_blob(v, l->digest) : NULL;
        if (f == NULL) continue;
        *(f->users > 1 ? &m->shared : &m->own) += f->size;
    }
}

static enum status take_model(const struct store *s, struct inventory *v,
                              const struct model_name *name, struct err *e) {
    struct err why;
    struct inventory_model *m = &v->models[v->n_models];
    *m = (struct inventory_model){.name = *name};
    m->st = manifest_read(s, name, &m->manifest, &v->arena, &why);
    if (m->st == ST_NO_MEMORY) return err_no_memory(e);
    if (m->st == ST_NOT_FOUND) return ST_OK; /* gone meanwhile */
    if (m->st != ST_OK) {
        v->complete = false;
        m->why = arena_strndup(&v->arena, why.msg, strlen(why.msg));
        m->manifest = (struct manifest){.config = {.digest = ""}};
        if (m->why == NULL) return err_no_memory(e);
    }
    v->n_models++;
    count_users(v, &m->manifest);
    return ST_OK;
}

static enum status take_strange(struct inventory *v, const struct name_list *list, struct err *e) {
    const char **out = arena_zalloc(&v->arena, list->n_strange + 1, sizeof *out);
    if (out == NULL) return err_no_memory(e);
    const char *p = list->strange.data;
    for (size_t i = 0; i < list->n_strange; i++, p += strlen(p) + 1)
        if ((out[i] = arena_strndup(&v->arena, p, strlen(p))) == NULL) return err_no_memory(e);
    v->strange = out;
    v->n_strange = list->n_strange;
    return ST_OK;
}

static enum status take_models(const struct store *s, struct inventory *v, struct err *e) {
    struct name_list list;
    enum status st = names_scan(s, &list, e);
    if (st != ST_OK) return st;
    v->complete = !list.incomplete;
    v->models = mem_zalloc(list.n + 1, sizeof *v->models);
    if (v->models == NULL) st = err_no_memory(e);
    for (size_t i = 0; i < list.n && st == ST_OK; i++) st = take_model(s, v, &list.names[i], e);
    if (st == ST_OK) st = take_strange(v, &list, e);
    names_free(&list);
    for (size_t i = 0; i < v->n_models; i++) count_bytes(v, &v->models[i]);
    return st;
}

enum status inventory_take(const struct store *s, struct inventory *out, struct err *e) {
    *out = (struct inventory){0};
    enum status st = take_files(s, out, e);
    if (st == ST_OK) st = take_models(s, out, e);
    if (st != ST_OK) inventory_free(out);
    return st;
}

void inventory_free(struct inventory *v) {
    mem_free(v->files);
    mem_free(v->models);
    map_free(&v->by_digest);
    arena_free(&v->arena);
    *v = (struct inventory){0};
}
