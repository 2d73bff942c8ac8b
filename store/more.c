/* more.c - several stores, one after the other: what is not in the first is looked for in those of
 * the setting more_models, which are only read. A USB disk, a folder of the whole office, Ollama's
 * own.
 *
 * A model runs from where it lies. What changes something (create from it, cp) copies its blobs
 * into the first store, as clones where the disk can; delete refuses. */
#include <errno.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/config.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/os.h"
#include "store/store_impl.h"
#include "store/upkeep.h"

/* ---- opening ---- */

static void add(struct store *s, const char *dir, size_t n) {
    struct store *one;
    struct stat info;
    struct err why = {.msg = ""};
    char *copy = mem_strndup(dir, n);
    if (copy == NULL) return;
    if (stat(copy, &info) != 0 || !S_ISDIR(info.st_mode)) {
        log_warn("store", "more_models: %s is not a folder", copy);
        mem_free(copy);
        return;
    }
    struct store **grown = mem_grow(s->more, s->n_more + 1, sizeof *grown);
    if (grown != NULL) s->more = grown;
    if (grown == NULL || store_open_plain(&one, copy, &why) != ST_OK) {
        if (grown == NULL) mem_free(copy);
        return;
    }
    s->more[s->n_more++] = one;
}

void more_open(struct store *s) {
    const char *list = config_text(SET_more_models);
    while (list != NULL && *list != '\0') {
        const size_t n = strcspn(list, ",");
        size_t from = 0, to = n;
        while (from < to && list[from] == ' ') from++;
        while (to > from && (list[to - 1] == ' ' || list[to - 1] == '/')) to--;
        if (to > from &&
            (strlen(s->dir) != to - from || strncmp(s->dir, list + from, to - from) != 0))
            add(s, list + from, to - from);
        list += n + (list[n] == ',');
    }
}

void more_close(struct store *s) {
    for (size_t i = 0; i < s->n_more; i++) store_close(s->more[i]);
    mem_free(s->more);
}

/* ---- finding ---- */

struct store *more_find(const struct store *s, const struct model_name *name) {
    for (size_t i = 0; i < s->n_more; i++)
        if (store_has(s->more[i], name)) return s->more[i];
    return NULL;
}

enum status more_names(const struct store *s, struct name_list *out, struct err *e) {
    enum status st = ST_OK;
    for (size_t i = 0; i < s->n_more && st == ST_OK; i++) {
        struct name_list list;
        st = names_scan(s->more[i], &list, e);
        if (st != ST_OK) return st;
        struct model_name *grown = mem_grow(out->names, out->n + list.n + 1, sizeof *grown);
        if (grown == NULL) {
            names_free(&list);
            return err_no_memory(e);
        }
        out->names = grown;
        out->cap = out->n + list.n + 1;
        for (size_t k = 0; k < list.n; k++)
            if (names_find(out, &list.names[k]) == out->n) out->names[out->n++] = list.names[k];
        names_free(&list);
    }
    return st;
}

/* ---- bringing ---- */

static enum status copy_blob(struct store *s, const char *path, const char *digest, struct err *e) {
    enum { PIECE = 1 << 20 };
    struct store_upload *u;
    struct os_map m;
    char real[STORE_DIGEST_TEXT];
    enum status st = store_blob_adopt(s, path, false, real, e);
    if (st == ST_OK && strcasecmp(real, digest) != 0)
        return err_set(e, ST_FORMAT, "%s is damaged: its hash is %s", path, real);
    if (st != ST_UNSUPPORTED) return st;
    st = os_map_open(&m, path, e);
    if (st != ST_OK) return st;
    st = store_make_room(s, m.size, e);
    if (st == ST_OK) st = store_blob_begin(s, &u, e);
    if (st != ST_OK) {
        os_map_close(&m);
        return st;
    }
    for (size_t at = 0; at < m.size && st == ST_OK; at += PIECE) {
        const size_t n = m.size - at < PIECE ? m.size - at : PIECE;
        st = store_blob_write(u, m.data + at, n, e);
        os_map_forget(&m, m.data + at, n);
    }
    os_map_close(&m);
    if (st == ST_OK) return store_blob_commit(u, digest, NULL, e);
    store_blob_abort(u);
    return st;
}

static enum status bring_blob(struct store *s, struct store *from, struct holds *h,
                              const struct store_layer *l, struct err *e) {
    char path[PATH_ROOM];
    enum status st = ST_OK;
    if (l->digest[0] == '\0') return ST_OK;
    if (store_blob_stat(s, l->digest, NULL, NULL) != ST_OK) {
        st = blob_path(from, l->digest, path, e);
        if (st == ST_OK) st = copy_blob(s, path, l->digest, e);
    }
    return st == ST_OK ? hold_blob(s, h, l->digest, e) : st;
}

enum status more_bring(struct store *s, struct store *from, const struct model_name *name,
                       struct holds *h, char **text, size_t *len, struct err *e) {
    struct model_name found = *name;
    struct manifest m;
    struct arena a = {0};
    int64_t modified;
    *text = NULL;
    enum status st = store_spell(from, &found, e);
    if (st == ST_OK) st = manifest_read(from, &found, &m, &a, e);
    if (st == ST_OK) st = manifest_read_text(from, &found, text, len, &modified, e);
    for (size_t i = 0; st == ST_OK && i < m.n_layers; i++)
        st = bring_blob(s, from, h, &m.layers[i], e);
    if (st == ST_OK) st = bring_blob(s, from, h, &m.config, e);
    if (st != ST_OK) {
        mem_free(*text);
        *text = NULL;
    }
    arena_free(&a);
    return st;
}
