/* import.c - models out of an archive: see archive.h.
 *
 * First everything is read: manifests into memory, blobs into the store, each under the digest that
 * its name promises or not at all. They are held, and no manifest names them. Then all manifests
 * are checked against the store, and written under its lock; if one cannot be, those written before
 * go again. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "store/archive.h"
#include "store/archive_impl.h"
#include "store/store_impl.h"
#include "store/upkeep.h"

enum { MAX_MEMBERS = 100000, MAX_MODELS = 10000, MAX_TEXT = 64 << 20 };

struct model {
    struct model_name name;
    char *text; /* owned by the arena */
    size_t len;
    struct manifest manifest, old;
    bool there, replaces, written;
};

struct import {
    struct store *s;
    const struct store_import *in;
    struct tar_reader tar;
    struct arena arena;
    struct holds holds;
    struct map seen;      /* members; keys in the arena */
    struct model *models; /* [MAX_MODELS at most] */
    size_t n_models, cap, n_members, text_bytes;
    struct store_layer *made; /* blobs that were not there before */
    size_t n_made, made_cap;
    char *room;
};

/* ---- reading ---- */

static enum status read_manifest(struct import *m, const struct tar_entry *t, struct err *e) {
    struct model *out;
    size_t got;
    if (t->size > MANIFEST_MAX_BYTES || m->text_bytes + t->size > MAX_TEXT ||
        m->n_models == MAX_MODELS)
        return err_set(e, ST_LIMIT, "archive: %.200s: too much of manifests", t->path);
    if (m->n_models == m->cap) {
        m->cap = m->cap != 0 ? m->cap * 2 : 8;
        struct model *grown = mem_grow(m->models, m->cap, sizeof *grown);
        if (grown == NULL) return err_no_memory(e);
        m->models = grown;
    }
    out = &m->models[m->n_models];
    *out = (struct model){.len = (size_t)t->size};
    if (!name_from_path(&out->name, t->path + strlen(ARCHIVE_MANIFESTS)))
        return err_set(e, ST_INVALID, "archive: %.200s is not the path of a model", t->path);
    out->text = arena_alloc(&m->arena, out->len + 1);
    if (out->text == NULL) return err_no_memory(e);
    enum status st = tar_read(&m->tar, out->text, out->len, &got, e);
    if (st != ST_OK) return st;
    out->text[out->len] = '\0';
    m->text_bytes += out->len;
    m->n_models++;
    st = manifest_parse(&out->manifest, out->text, out->len, &m->arena, e);
    return st == ST_OK ? st : err_wrap(e, "archive: %.200s", t->path);
}

static enum status remember_made(struct import *m, const char *digest, struct err *e) {
    if (m->n_made == m->made_cap) {
        m->made_cap = m->made_cap != 0 ? m->made_cap * 2 : 16;
        struct store_layer *grown = mem_grow(m->made, m->made_cap, sizeof *grown);
        if (grown == NULL) return err_no_memory(e);
        m->made = grown;
    }
    const char *copy = arena_strndup(&m->arena, digest, strlen(digest));
    if (copy == NULL) return err_no_memory(e);
    m->made[m->n_made++] = (struct store_layer){.digest = copy};
    return ST_OK;
}

static enum status copy_content(struct import *m, struct store_upload *u, const char *digest,
                                uint64_t size, struct err *e) {
    char status[32];
    size_t got = 1;
    enum status st = ST_OK;
    snprintf(status, sizeof status, "importing %.12s", digest + 7);
    for (uint64_t at = 0; st == ST_OK && got > 0; at += got) {
        st = tar_read(&m->tar, m->room, ARCHIVE_PIECE, &got, e);
        if (st == ST_OK && got > 0) st = store_blob_write(u, m->room, got, e);
        if (st == ST_OK && m->in->progress != NULL &&
            !m->in->progress(m->in->arg, status, digest, size, at + got))
            st = err_set(e, ST_CANCELLED, "cancelled");
    }
    return st;
}

static enum status read_blob(struct import *m, const struct tar_entry *t, struct err *e) {
    char digest[STORE_DIGEST_TEXT], real[STORE_DIGEST_TEXT] = "";
    struct store_upload *u;
    uint64_t size;
    enum status st = store_digest_parse(t->path + strlen(ARCHIVE_BLOBS), digest, NULL);
    if (st != ST_OK)
        return err_set(e, ST_INVALID, "archive: %.200s is not the name of a blob", t->path);
    if (store_blob_stat(m->s, digest, &size, NULL) == ST_OK && size == t->size &&
        verified_has(m->s, digest))
        return hold_blob(m->s, &m->holds, digest, e); /* its bytes here are passed over */
    st = store_make_room(m->s, t->size, e);
    if (st == ST_OK) st = store_blob_begin(m->s, &u, e);
    if (st != ST_OK) return st;
    st = copy_content(m, u, digest, t->size, e);
    if (st != ST_OK) {
        store_blob_abort(u);
        return st;
    }
    const bool there = store_blob_stat(m->s, digest, NULL, NULL) == ST_OK;
    st = store_blob_commit(u, digest, real, e);
    const char *kept = real[0] != '\0' ? real : digest;
    if (real[0] != '\0' && (!there || st != ST_OK)) {
        struct err why;
        enum status noted = remember_made(m, kept, &why);
        if (st == ST_OK && noted != ST_OK) st = err_set(e, noted, "%s", why.msg);
    }
    if (st != ST_OK) return st == ST_INVALID ? err_set(e, ST_FORMAT, "archive: %s", e->msg) : st;
    verified_add(m->s, digest);
    return hold_blob(m->s, &m->holds, digest, e);
}

static bool begins(const char *path, const char *with) {
    return strncmp(path, with, strlen(with)) == 0;
}

static enum status read_member(struct import *m, const struct tar_entry *t, struct err *e) {
    bool fresh = false;
    if (++m->n_members > MAX_MEMBERS)
        return err_set(e, ST_LIMIT, "archive: more than %d members", MAX_MEMBERS);
    if (t->folder) return ST_OK; /* they say nothing */
    const char *copy = arena_strndup(&m->arena, t->path, strlen(t->path));
    if (copy == NULL || !map_put(&m->seen, copy, strlen(copy), 0, &fresh)) return err_no_memory(e);
    if (!fresh) return err_set(e, ST_INVALID, "archive: %.200s is there twice", t->path);
    if (begins(t->path, ARCHIVE_MANIFESTS)) return read_manifest(m, t, e);
    if (begins(t->path, ARCHIVE_BLOBS "sha256-") && strstr(t->path, "-partial") == NULL)
        return read_blob(m, t, e);
    if (begins(t->path, ARCHIVE_BLOBS) && strchr(t->path + strlen(ARCHIVE_BLOBS), '/') == NULL)
        return ST_OK; /* of a store that was packed as it lay: half a download, an upload */
    return err_set(e, ST_INVALID, "archive: %.200s is neither a manifest nor a blob", t->path);
}

static enum status read_all(struct import *m, struct err *e) {
    struct tar_entry t;
    bool end = false;
    enum status st = ST_OK;
    while (st == ST_OK) {
        st = tar_next(&m->tar, &t, &end, e);
        if (st != ST_OK || end) break;
        st = read_member(m, &t, e);
    }
    if (st == ST_OK && m->n_models == 0) st = err_set(e, ST_FORMAT, "archive: it holds no model");
    return st;
}

/* ---- checking and writing ---- */

static enum status check_layer(const struct import *m, const struct model *x,
                               const struct store_layer *l, struct err *e) {
    char shown[NAME_TEXT_MAX];
    uint64_t size = 0;
    if (l->digest[0] == '\0') return ST_OK;
    enum status st = store_blob_stat(m->s, l->digest, &size, NULL);
    if (st == ST_OK && size == l->size) return ST_OK;
    name_shortest(&x->name, shown);
    if (st != ST_OK)
        return err_set(e, ST_FORMAT, "archive: model '%s' needs %s, which is not in it", shown,
                       l->digest);
    return err_set(e, ST_FORMAT, "archive: %s has %llu bytes, the manifest of '%s' says %llu",
                   l->digest, (unsigned long long)size, shown, (unsigned long long)l->size);
}

static enum status check_model(struct import *m, struct model *x, struct err *e) {
    char shown[NAME_TEXT_MAX];
    enum status st = store_spell(m->s, &x->name, e);
    for (size_t i = 0; i < x->manifest.n_layers && st == ST_OK; i++)
        st = check_layer(m, x, &x->manifest.layers[i], e);
    if (st == ST_OK) st = check_layer(m, x, &x->manifest.config, e);
    if (st != ST_OK) return st;
    x->replaces = manifest_read(m->s, &x->name, &x->old, &m->arena, NULL) == ST_OK;
    x->there = x->replaces && strcmp(x->old.digest, x->manifest.digest) == 0;
    if (!x->replaces || x->there || m->in->overwrite) return ST_OK;
    name_shortest(&x->name, shown);
    return err_set(e, ST_EXISTS, "model '%s' is there already, and another one", shown);
}

static enum status write_locked(struct import *m, struct err *e) {
    enum status st = ST_OK;
    for (size_t i = 0; i < m->n_models && st == ST_OK; i++) st = check_model(m, &m->models[i], e);
    for (size_t i = 0; i < m->n_models && st == ST_OK; i++) {
        struct model *x = &m->models[i];
        if (x->there) continue;
        st = manifest_write(m->s, &x->name, x->text, x->len, e);
        x->written = st == ST_OK;
    }
    for (size_t i = 0; i < m->n_models && st != ST_OK; i++)
        if (m->models[i].written && !m->models[i].replaces)
            manifest_remove(m->s, &m->models[i].name, NULL);
    holds_free(&m->holds);
    for (size_t i = 0; i < m->n_models && st == ST_OK; i++)
        if (m->models[i].written && m->models[i].replaces && prune_allowed())
            prune_manifest(m->s, &m->models[i].old);
    /* What no manifest of the archive names, or all that was made if it failed. */
    prune_layers(m->s, m->made, m->n_made);
    return st;
}

static enum status publish(struct import *m, enum status st, struct err *e) {
    int token;
    struct err why = {.msg = ""};
    enum status locked = store_lock(m->s, &token, &why);
    if (locked != ST_OK) return st != ST_OK ? st : err_set(e, locked, "%s", why.msg);
    if (st == ST_OK) {
        st = write_locked(m, e);
    } else {
        holds_free(&m->holds);
        prune_layers(m->s, m->made, m->n_made);
    }
    store_unlock(m->s, token);
    return st;
}

enum status store_import(struct store *s, const struct store_import *i, struct err *e) {
    struct err mine = {.msg = ""};
    struct import m = {.s = s, .in = i, .tar = {.read = i->read, .arg = i->read_arg}};
    m.room = mem_alloc(ARCHIVE_PIECE);
    enum status st = m.room != NULL ? read_all(&m, &mine) : err_no_memory(&mine);
    st = publish(&m, st, &mine);
    for (size_t k = 0; k < m.n_models && st == ST_OK && i->imported != NULL; k++)
        i->imported(i->arg, &m.models[k].name);
    holds_free(&m.holds);
    map_free(&m.seen);
    mem_free(m.models);
    mem_free(m.made);
    mem_free(m.room);
    arena_free(&m.arena);
    return st == ST_OK ? st : err_set(e, st, "%s", mine.msg);
}
