/* shelf.c - see shelf.h. */
#include "store/shelf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/mem.h"
#include "base/os.h"
#include "store/store_impl.h"

/* The stored names of a repository, the default host first. */
struct shelf {
    struct name_list list;
    struct model_name **names; /* owned; [n], into the list */
    size_t n;
};

static bool is_of(const struct model_name *n, const char *repository) {
    const size_t len = strlen(n->namespace);
    return strncasecmp(repository, n->namespace, len) == 0 && repository[len] == '/' &&
           strcasecmp(repository + len + 1, n->model) == 0;
}

static enum status open_shelf(struct store *s, const char *repository, struct shelf *out,
                              struct err *e) {
    *out = (struct shelf){.n = 0};
    enum status st = names_scan(s, &out->list, e);
    if (st != ST_OK) return st;
    out->names = mem_array(out->list.n + 1, sizeof *out->names);
    if (out->names == NULL) {
        names_free(&out->list);
        return err_no_memory(e);
    }
    for (int others = 0; others < 2; others++)
        for (size_t i = 0; i < out->list.n; i++) {
            struct model_name *n = &out->list.names[i];
            const bool other = strcasecmp(n->host, NAME_DEFAULT_HOST) != 0;
            if (other == (others != 0) && is_of(n, repository)) out->names[out->n++] = n;
        }
    return ST_OK;
}

static void close_shelf(struct shelf *x) {
    mem_free(x->names);
    names_free(&x->list);
}

/* ---- manifests ---- */

static enum status read_if(struct store *s, const struct model_name *name, const char *reference,
                           char **text, size_t *len, char digest[STORE_DIGEST_TEXT]) {
    char hex[DIGEST_HEX + 1];
    int64_t modified;
    if (strchr(reference, ':') == NULL && strcasecmp(name->tag, reference) != 0)
        return ST_NOT_FOUND;
    if (manifest_read_text(s, name, text, len, &modified, NULL) != ST_OK) return ST_NOT_FOUND;
    if (digest_of(*text, *len, hex, NULL) == ST_OK) {
        memcpy(digest, "sha256:", 7);
        memcpy(digest + 7, hex, sizeof hex);
        if (strchr(reference, ':') == NULL || strcasecmp(digest, reference) == 0) return ST_OK;
    }
    mem_free(*text);
    return ST_NOT_FOUND;
}

enum status shelf_manifest(struct store *s, const char *repository, const char *reference,
                           char **text, size_t *len, char digest[STORE_DIGEST_TEXT],
                           struct err *e) {
    struct shelf x;
    enum status st = open_shelf(s, repository, &x, e);
    if (st != ST_OK) return st;
    st = ST_NOT_FOUND;
    for (size_t i = 0; i < x.n && st != ST_OK; i++)
        st = read_if(s, x.names[i], reference, text, len, digest);
    close_shelf(&x);
    return st == ST_OK ? st : err_set(e, st, "manifest unknown");
}

/* ---- blobs ---- */

static bool names_blob(struct store *s, const struct model_name *name, const char *digest) {
    struct manifest m;
    struct arena a = {0};
    bool found = false;
    if (manifest_read(s, name, &m, &a, NULL) == ST_OK) {
        found = strcmp(m.config.digest, digest) == 0;
        for (size_t i = 0; i < m.n_layers && !found; i++)
            found = strcmp(m.layers[i].digest, digest) == 0;
    }
    arena_free(&a);
    return found;
}

static enum status open_blob(struct store *s, const char *digest, int *fd, uint64_t *size,
                             struct err *e) {
    struct stat info;
    struct err why;
    *fd = blob_open(s, digest, &info, &why);
    if (*fd < 0) return err_set(e, why.code, "%s", why.msg);
    *size = (uint64_t)info.st_size;
    return ST_OK;
}

enum status shelf_blob(struct store *s, const char *repository, const char *digest, int *fd,
                       uint64_t *size, struct err *e) {
    struct shelf x;
    char clean[STORE_DIGEST_TEXT];
    bool named = false;
    enum status st = store_digest_parse(digest, clean, e);
    if (st == ST_OK) st = open_shelf(s, repository, &x, e);
    if (st != ST_OK) return st;
    for (size_t i = 0; i < x.n && !named; i++) named = names_blob(s, x.names[i], clean);
    close_shelf(&x);
    return named ? open_blob(s, clean, fd, size, e) : err_set(e, ST_NOT_FOUND, "blob unknown");
}

/* ---- tags ---- */

static int by_tag(const void *a, const void *b) {
    const struct model_name *const *x = a, *const *y = b;
    return strcasecmp((*x)->tag, (*y)->tag);
}

enum status shelf_tags(struct store *s, const char *repository, struct buf *out, struct err *e) {
    struct shelf x;
    enum status st = open_shelf(s, repository, &x, e);
    if (st != ST_OK) return st;
    if (x.n == 0) st = err_set(e, ST_NOT_FOUND, "repository name not known to registry");
    if (x.n > 1) qsort(x.names, x.n, sizeof *x.names, by_tag);
    for (size_t i = 0; i < x.n; i++) {
        const char *tag = x.names[i]->tag;
        if (i > 0 && strcasecmp(tag, x.names[i - 1]->tag) == 0) continue;
        if (i > 0) buf_chr(out, ',');
        json_put_string(out, tag, strlen(tag));
    }
    close_shelf(&x);
    return st == ST_OK && out->failed ? err_no_memory(e) : st;
}
