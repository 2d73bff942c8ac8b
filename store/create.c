/* create.c - making a model (spec/store.md 4, spec/api.md 5.8): the checks, the order of the work,
 * and writing its result. See create_impl.h for the two phases. */
#include <stdio.h>
#include <string.h>

#include "base/digest.h"
#include "base/mem.h"
#include "store/create_impl.h"

static bool is_given(const char *text) { return text != NULL && *text != '\0'; }

/* ---- checks before the first status item ---- */

/* Relative, and no part of it is empty, "." or "..". */
static bool is_relative(const char *path) {
    for (const char *part = path;; part++) {
        size_t n = strcspn(part, "/");
        if (n == 0 || (n == 1 && part[0] == '.') || (n == 2 && memcmp(part, "..", 2) == 0))
            return false;
        part += n;
        if (*part == '\0') return true;
    }
}

static enum status check_paths(const struct store_file *f, size_t n, struct err *e) {
    for (size_t i = 0; i < n; i++)
        if (!is_relative(f[i].path)) return err_set(e, ST_INVALID, "file path must be relative");
    return ST_OK;
}

static enum status check_digests(const struct store_file *f, size_t n, struct err *e) {
    for (size_t i = 0; i < n; i++)
        if (!is_given(f[i].digest)) return err_set(e, ST_INVALID, "invalid digest format");
    return ST_OK;
}

enum status store_create_check(const struct store_create_spec *s, struct err *e) {
    enum status st = check_paths(s->files, s->n_files, e);
    if (st == ST_OK) st = check_paths(s->drafts, s->n_drafts, e);
    if (st == ST_OK) st = check_digests(s->files, s->n_files, e);
    if (st == ST_OK) st = check_digests(s->drafts, s->n_drafts, e);
    if (st == ST_OK) st = check_digests(s->adapters, s->n_adapters, e);
    if (st == ST_OK && is_given(s->draft_quantize) && s->n_drafts == 0)
        st = err_set(e, ST_INVALID, "--draft-quantize requires a DRAFT model");
    if (st == ST_OK && (s->name == NULL || !name_is_valid(s->name)))
        st = err_set(e, ST_INVALID, "invalid model name");
    return st;
}

/* What can be known to be wrong before any work, so that no status item goes before the error. */
static enum status check_request(const struct store_create_spec *s, struct err *e) {
    struct err why;
    if (is_given(s->remote_host)) {
        if (s->n_drafts != 0)
            return err_set(e, ST_INVALID, "DRAFT cannot be used with remote models");
        return err_set(e, ST_DENIED, "ollama cloud is disabled: remote model is unavailable");
    }
    if (s->from == NULL && !s->has_files)
        return err_set(e, ST_INVALID, "neither 'from' or 'files' was specified");
    if (s->from != NULL && !name_is_valid(s->from))
        return err_set(e, ST_INVALID, "invalid model name");
    if (is_given(s->template) && s->check_template != NULL &&
        s->check_template(s->hook_arg, s->template, strlen(s->template), &why) != ST_OK)
        return err_set(e, why.code == ST_NO_MEMORY ? ST_NO_MEMORY : ST_INVALID,
                       "template error: %s", why.msg);
    return create_check_values(s, e);
}

/* ---- writing ---- */

static enum status say_layers(struct creation *c) {
    enum status st = ST_OK;
    for (size_t i = 0; i < c->n_layers && st == ST_OK; i++) {
        const struct new_layer *l = &c->layers[i];
        char text[128];
        const bool stored =
            l->data == NULL || store_blob_stat(c->store, l->info.digest, NULL, NULL) == ST_OK;
        const bool there = stored && !l->made;
        snprintf(text, sizeof text, "%s layer %s", there ? "using existing" : "creating new",
                 l->info.digest);
        st = create_say(c, text);
    }
    return st;
}

struct output {
    struct buf config, manifest;
    struct store_layer config_layer;
    char config_digest[STORE_DIGEST_TEXT];
    struct store_layer *layers; /* as in the manifest; in the arena */
};

static enum status compose(struct creation *c, struct output *o) {
    char hex[DIGEST_HEX + 1];
    config_put(&o->config, &c->config);
    if (o->config.failed) return err_no_memory(c->e);
    enum status st = digest_of(o->config.data, o->config.len, hex, c->e);
    if (st != ST_OK) return st;
    snprintf(o->config_digest, sizeof o->config_digest, "sha256:%s", hex);
    o->config_layer = (struct store_layer){.media_type = CONFIG_MEDIA_TYPE,
                                           .digest = o->config_digest,
                                           .size = o->config.len,
                                           .from = "",
                                           .name = ""};
    o->layers = arena_zalloc(&c->arena, c->n_layers, sizeof *o->layers);
    if (o->layers == NULL) return err_no_memory(c->e);
    for (size_t i = 0; i < c->n_layers; i++) o->layers[i] = c->layers[i].info;
    manifest_put(&o->manifest, &o->config_layer, o->layers, c->n_layers);
    return o->manifest.failed ? err_no_memory(c->e) : ST_OK;
}

/* Every blob of the model is there, durable, and too young to be pruned when this returns ST_OK. */
static enum status write_blobs(struct creation *c, const struct output *o) {
    enum status st = ST_OK;
    bool created;
    for (size_t i = 0; i < c->n_layers && st == ST_OK; i++) {
        const struct new_layer *l = &c->layers[i];
        if (l->data == NULL)
            st = blob_touch(c->store, l->info.digest, c->e);
        else
            st = blob_put(c->store, l->info.digest, l->data, (size_t)l->info.size, &created, c->e);
    }
    if (st == ST_OK)
        st = blob_put(c->store, o->config_digest, o->config.data, o->config.len, &created, c->e);
    return st;
}

/* A create that failed half-way leaves no new blob; uploaded files stay, for the next try. */
static void undo_blobs(struct creation *c, const struct output *o) {
    if (!prune_allowed()) return;
    for (size_t i = 0; i < c->n_layers; i++)
        if (c->layers[i].data != NULL) prune_layers(c->store, &c->layers[i].info, 1);
    prune_layers(c->store, &o->config_layer, 1);
}

static enum status publish_locked(struct creation *c, const struct output *o) {
    struct model_name target = *c->spec->name;
    struct manifest old;
    enum status st = store_spell(c->store, &target, c->e);
    if (st == ST_OK) st = write_blobs(c, o);
    bool replaces = manifest_read(c->store, &target, &old, &c->arena, NULL) == ST_OK;
    if (st == ST_OK)
        st = manifest_write(c->store, &target, o->manifest.data, o->manifest.len, c->e);
    holds_free(&c->holds); /* the manifest names them now, or they may go */
    if (st != ST_OK)
        undo_blobs(c, o);
    else if (replaces && prune_allowed())
        prune_manifest(c->store, &old);
    return st;
}

static enum status publish(struct creation *c) {
    struct output o = {0};
    int token;
    enum status st = say_layers(c);
    if (st == ST_OK) st = compose(c, &o);
    if (st == ST_OK) st = create_say(c, "writing manifest");
    if (st == ST_OK) st = store_lock(c->store, &token, c->e);
    if (st == ST_OK) {
        st = publish_locked(c, &o);
        store_unlock(c->store, token);
    }
    buf_free(&o.config);
    buf_free(&o.manifest);
    return st;
}

/* ---- blobs made on the way ---- */

static void drop_made_blobs(struct creation *c) {
    for (size_t i = 0; i < c->n_layers && prune_allowed(); i++)
        if (c->layers[i].made) create_drop_blob(c, &c->layers[i].info);
}

/* ---- the whole ---- */

static enum status run(struct creation *c) {
    enum status st = store_create_check(c->spec, c->e);
    if (st == ST_OK) st = check_request(c->spec, c->e);
    if (st == ST_OK) st = create_apply_info(c);
    if (st == ST_OK) st = create_sources(c);
    if (st == ST_OK) st = create_quantize(c);
    if (st == ST_OK) st = create_texts(c);
    if (st == ST_OK) st = publish(c);
    if (st != ST_OK) return st;
    if (c->progress != NULL) c->progress(c->progress_arg, "success", "", 0, 0); /* it is done */
    return ST_OK;
}

enum status store_create(struct store *s, const struct store_create_spec *spec,
                         store_progress *progress, void *progress_arg, struct err *e) {
    struct err mine;
    struct creation c = {.store = s,
                         .spec = spec,
                         .progress = progress,
                         .progress_arg = progress_arg,
                         .config = config_empty,
                         .arch = "",
                         .e = &mine};
    enum status st = run(&c);
    if (st != ST_OK) drop_made_blobs(&c);
    holds_free(&c.holds);
    mem_free(c.layers);
    json_free(c.params);
    arena_free(&c.arena);
    return st == ST_OK ? ST_OK : err_set(e, st, "%s", mine.msg);
}
