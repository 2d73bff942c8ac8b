/* model.c - reading one model: its manifest, config and text layers become a struct store_model.
 *
 * Layers are taken in order; where only one of a kind makes sense, the last counts. Layers of an
 * unknown type are kept in the list and otherwise ignored. Weights are not opened here. */
#include <string.h>

#include "store/store_impl.h"

static const struct json_limits text_limits = {
    .max_bytes = TEXT_MAX_BYTES,
    .max_nodes = 1000000,
    .max_depth = 128,
};

struct loader {
    struct store *store;
    const struct builtin *builtin; /* NULL: the layers are blobs */
    struct store_model *m;
    /* Lists under construction, each with room for all layers: adapters, projectors, drafts by
     * their kind, and licences. They become the const ones of the model at the end. */
    const char **paths[LAYER_KINDS];
    size_t n_paths[LAYER_KINDS];
    struct store_text *licenses;
    struct err *e; /* never NULL */
};

/* ---- one layer ---- */

static enum status read_text(struct loader *l, const struct store_layer *layer,
                             struct store_text *out) {
    if (l->builtin == NULL) return blob_read(l->store, layer->digest, &l->m->arena, out, l->e);
    const void *data = l->builtin->data[layer - l->builtin->layers];
    *out = (struct store_text){.ptr = data, .len = (size_t)layer->size};
    return ST_OK;
}

/* A text layer that holds JSON of one kind. */
static enum status read_json(struct loader *l, const struct store_layer *layer, enum json_kind kind,
                             json **out) {
    struct store_text text;
    enum status st = read_text(l, layer, &text);
    if (st != ST_OK) return st;
    json *v = json_parse(text.ptr, text.len, &text_limits, NULL, l->e);
    if (v == NULL) return err_wrap(l->e, "layer %s", layer->digest);
    if (json_kind(v) != kind) {
        st = err_set(l->e, ST_FORMAT, "layer %s: found %s", layer->digest, json_kind_name(v));
        json_free(v);
        return st;
    }
    json_free(*out);
    *out = v;
    return ST_OK;
}

static enum status layer_path(struct loader *l, const struct store_layer *layer, const char **out) {
    char path[PATH_ROOM];
    struct err why;
    enum status st = blob_path(l->store, layer->digest, path, l->e);
    if (st != ST_OK) return st;
    /* Told early; a blob that is missing is told by who opens it. */
    if (store_blob_stat(l->store, layer->digest, NULL, &why) == ST_DENIED)
        return err_set(l->e, ST_DENIED, "%s", why.msg);
    *out = arena_strndup(&l->m->arena, path, strlen(path));
    return *out != NULL ? ST_OK : err_no_memory(l->e);
}

static enum status read_weights(struct loader *l, const struct store_layer *layer) {
    if (l->builtin == NULL) return layer_path(l, layer, &l->m->model_path);
    l->m->model_path = l->builtin->source.path;
    if (l->m->model_path == NULL) l->m->model_data = l->builtin->source.gguf;
    l->m->model_size = l->builtin->source.size;
    return ST_OK;
}

static enum status add_path(struct loader *l, const struct store_layer *layer,
                            enum layer_kind kind) {
    if (l->paths[kind] == NULL) {
        l->paths[kind] = arena_zalloc(&l->m->arena, l->m->n_layers, sizeof *l->paths[kind]);
        if (l->paths[kind] == NULL) return err_no_memory(l->e);
    }
    return layer_path(l, layer, &l->paths[kind][l->n_paths[kind]++]);
}

static enum status add_license(struct loader *l, const struct store_layer *layer) {
    if (l->licenses == NULL) {
        l->licenses = arena_zalloc(&l->m->arena, l->m->n_layers, sizeof *l->licenses);
        if (l->licenses == NULL) return err_no_memory(l->e);
    }
    return read_text(l, layer, &l->licenses[l->m->n_licenses++]);
}

static enum status read_layer(struct loader *l, const struct store_layer *layer) {
    enum layer_kind kind = layer_kind_of(layer->media_type);
    struct store_model *m = l->m;
    switch (kind) {
    case LAYER_MODEL:
        return read_weights(l, layer);
    case LAYER_PROJECTOR:
    case LAYER_ADAPTER:
    case LAYER_DRAFT:
        return add_path(l, layer, kind);
    case LAYER_TEMPLATE:
        m->has_template = true;
        return read_text(l, layer, &m->template);
    case LAYER_SYSTEM:
        return read_text(l, layer, &m->system);
    case LAYER_LICENSE:
        return add_license(l, layer);
    case LAYER_PARAMS:
        return read_json(l, layer, JSON_OBJECT, &m->params);
    case LAYER_MESSAGES:
        return read_json(l, layer, JSON_ARRAY, &m->messages);
    case LAYER_TENSOR:
    case LAYER_JSON:
        m->tensor_layers = true;
        return ST_OK;
    case LAYER_EMBED:
    case LAYER_UNKNOWN:
    case LAYER_KINDS:
        break;
    }
    return ST_OK;
}

/* ---- the whole ---- */

static enum status load(struct loader *l, const struct manifest *manifest) {
    struct store_model *m = l->m;
    m->layers = manifest->layers;
    m->n_layers = manifest->n_layers;
    m->config_layer = manifest->config;
    m->template = m->system = (struct store_text){.ptr = "", .len = 0};
    enum status st = ST_OK;
    for (size_t i = 0; i < m->n_layers && st == ST_OK; i++) st = read_layer(l, &m->layers[i]);
    m->adapters = l->paths[LAYER_ADAPTER];
    m->n_adapters = l->n_paths[LAYER_ADAPTER];
    m->projectors = l->paths[LAYER_PROJECTOR];
    m->n_projectors = l->n_paths[LAYER_PROJECTOR];
    m->drafts = l->paths[LAYER_DRAFT];
    m->n_drafts = l->n_paths[LAYER_DRAFT];
    m->licenses = l->licenses;
    return st;
}

static enum status resolve_once(struct store *s, const struct model_name *name,
                                struct store_model *out, struct err *e) {
    struct manifest manifest;
    struct model_name found = *name;
    struct loader l = {.store = s, .m = out, .e = e};
    *out = (struct store_model){0};
    enum status st = store_find(s, &found, &manifest, &l.builtin, &out->arena, e);
    if (st == ST_OK)
        st = store_fill_entry(s, &found, &manifest, l.builtin, &out->entry, &out->arena, e);
    if (st == ST_OK) st = load(&l, &manifest);
    if (st != ST_OK) store_model_free(out);
    return st;
}

/* What an alias stands for, here or in a further store; if it is not there, the alias' own error.
 */
static enum status resolve_target(struct store *s, const struct model_name *target,
                                  struct store_model *out, const struct err *missing,
                                  struct err *e) {
    struct err mine;
    enum status st = resolve_once(s, target, out, &mine);
    struct store *other = st == ST_NOT_FOUND ? more_find(s, target) : NULL;
    if (other != NULL) st = resolve_once(other, target, out, &mine);
    return st == ST_OK ? st : err_set(e, st, "%s", st == ST_NOT_FOUND ? missing->msg : mine.msg);
}

/* A model that is replaced or deleted while we read it looks as if a blob were missing: then we
 * look again. If it is really damaged the answer stays the same. */
enum status store_resolve(struct store *s, const struct model_name *name, struct store_model *out,
                          struct err *e) {
    struct err mine;
    enum status st = ST_IO;
    for (int tries = 0; tries < 3 && st == ST_IO; tries++) st = resolve_once(s, name, out, &mine);
    struct store *other = st == ST_NOT_FOUND ? more_find(s, name) : NULL;
    if (other != NULL) return store_resolve(other, name, out, e);
    struct model_name target = *name;
    if (st == ST_NOT_FOUND && store_alias(s, &target) && !name_equal(&target, name))
        return resolve_target(s, &target, out, &mine, e);
    return st == ST_OK ? ST_OK : err_set(e, st, "%s", mine.msg);
}

void store_model_free(struct store_model *m) {
    json_free(m->params);
    json_free(m->messages);
    arena_free(&m->arena);
    *m = (struct store_model){0};
}
