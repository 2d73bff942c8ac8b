/* push.c - a stored model to a registry: its blobs, then its manifest (spec/store.md 8). */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "store/registry/blob_push.h"
#include "store/store_impl.h"

struct push {
    struct store *store;
    struct session session;
    store_progress *progress;
    void *arg;
    struct arena arena;
};

static enum status say(const struct push *p, const char *status, struct err *e) {
    if (p->progress(p->arg, status, "", 0, 0)) return ST_OK;
    return err_set(e, ST_CANCELLED, "cancelled");
}

/* The stored manifest as compact JSON, members in their order, without a newline. */
static enum status compact(const char *text, size_t len, struct buf *out, struct err *e) {
    json *root = json_parse(text, len, &json_default_limits, NULL, e);
    if (root == NULL) return e != NULL ? e->code : ST_FORMAT;
    json_print(out, root);
    json_free(root);
    return out->failed ? err_no_memory(e) : ST_OK;
}

static enum status put_manifest(struct push *p, const struct buf *text, struct err *e) {
    struct fetch f;
    enum status st =
        session_request(&p->session, &f, "PUT", e, "manifests/%s", p->session.name.tag);
    fetch_header(&f, "Content-Type: " MANIFEST_MEDIA_TYPE);
    f.body = text->data;
    f.body_size = text->len;
    if (st == ST_OK) st = session_run(&p->session, &f, NULL, e);
    fetch_free(&f);
    return st;
}

static enum status push_all(struct push *p, const struct manifest *m, const struct buf *text,
                            struct err *e) {
    enum status st = ST_OK;
    for (size_t i = 0; i < m->n_layers && st == ST_OK; i++)
        st = blob_push(p->store, &p->session, &m->layers[i], p->progress, p->arg, e);
    if (st == ST_OK && m->config.digest[0] != '\0')
        st = blob_push(p->store, &p->session, &m->config, p->progress, p->arg, e);
    if (st == ST_OK) st = say(p, "pushing manifest", e);
    if (st == ST_OK) st = put_manifest(p, text, e);
    if (st == ST_OK) p->progress(p->arg, "success", "", 0, 0);
    return st;
}

enum status registry_push(struct store *s, const struct model_name *name,
                          const struct registry_options *o, store_progress *progress, void *arg,
                          struct err *e) {
    struct push p = {.store = s, .progress = progress, .arg = arg};
    struct manifest m;
    struct model_name stored = *name;
    struct buf text = {0};
    char *raw = NULL, shortest[NAME_TEXT_MAX];
    size_t len = 0;
    int64_t modified;
    enum status st = say(&p, "retrieving manifest", e);
    if (st == ST_OK) st = store_spell(s, &stored, e);
    if (st == ST_OK) st = manifest_read_text(s, &stored, &raw, &len, &modified, e);
    struct store *other = st == ST_NOT_FOUND ? more_find(s, &stored) : NULL;
    if (other != NULL) { /* its blobs are there, too */
        p.store = other;
        st = manifest_read_text(other, &stored, &raw, &len, &modified, e);
    }
    if (st == ST_NOT_FOUND) {
        name_shortest(name, shortest);
        say(&p, "couldn't retrieve manifest", NULL);
        st = err_set(e, ST_NOT_FOUND, "model '%s' not found", shortest);
    }
    if (st == ST_OK) st = manifest_parse(&m, raw, len, &p.arena, e);
    if (st == ST_OK) st = compact(raw, len, &text, e);
    if (st == ST_OK) st = session_open(&p.session, &stored, o, e);
    if (st == ST_OK) {
        st = push_all(&p, &m, &text, e);
        session_close(&p.session);
    }
    mem_free(raw);
    buf_free(&text);
    arena_free(&p.arena);
    return st;
}
