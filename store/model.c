/* model.c - reading one model: its manifest, config and text layers become a struct store_model. */
#include <assert.h>
#include <string.h>

#include "base/mem.h"
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
    size_t n_of[LAYER_KINDS];      /* layers of each kind */
    struct err *e;
};

/* ---- one layer ---- */

static enum status read_text(struct loader *l, const struct store_layer *layer,
                             struct store_text *out) {
    if (l->builtin == NULL)
        return blob_read(l->store, layer->digest, &l->m->arena, out, l->e);
    const struct builtin_layer *b = &l->builtin->layers[layer - l->builtin->list];
    *out = (struct store_text){.ptr = b->data, .len = (size_t)b->info.size};
    return ST_OK;
}

/* A text layer that holds JSON of one kind. */
static enum status read_json(struct loader *l, const struct store_layer *layer,
                             enum json_kind kind, json **out) {
    struct store_text text;
    enum status st = read_text(l, layer, &text);
    if (st != ST_OK) return st;
    json *v = json_parse(text.ptr, text.len, &text_limits, NULL, l->e);
    if (v == NULL) {
        struct err none, *e = l->e != NULL ? l->e : &none;
        if (l->e == NULL) return ST_FORMAT;
        return err_wrap(e, "layer %s", layer->digest);
    }
    if (json_kind(v) == kind) {
        json_free(*out); /* of several layers the last one counts */
        *out = v;
        return ST_OK;
    }
    st = err_set(l->e, ST_FORMAT, "layer %s: %s expected, found %s", layer->digest,
                 kind == JSON_OBJECT ? "object" : "array", json_kind_name(v));
    json_free(v);
    return st;
}

static enum status layer_path(struct loader *l, const struct store_layer *layer, const char **out) {
    char path[PATH_ROOM];
    enum status st = blob_path(l->store, layer->digest, path, l->e);
    if (st != ST_OK) return st;
    *out = arena_strndup(&l->m->arena, path, strlen(path));
    return *out != NULL ? ST_OK : err_no_memory(l->e);
}

static enum status read_weights(struct loader *l, const struct store_layer *layer) {
    struct store_model *m = l->m;
    if (l->builtin == NULL) return layer_path(l, layer, &m->model_path);
    m->model_data = l->builtin->source.gguf;
    m->model_size = l->builtin->source.size;
    return ST_OK;
}

/* Appends a path to one of the lists, which grow_lists has made long enough. */
static enum status add_path(struct loader *l, const struct store_layer *layer,
                            const char *const *list, size_t *n) {
    const char **slot = (const char **)(uintptr_t)&list[*n];
    enum status st = layer_path(l, layer, slot);
    if (st == ST_OK) ++*n;
    return st;
}

static enum status read_layer(struct loader *l, const struct store_layer *layer) {
    struct store_model *m = l->m;
    switch (layer_kind_of(layer->media_type)) {
    case LAYER_MODEL: return read_weights(l, layer);
    case LAYER_PROJECTOR: return add_path(l, layer, m->projectors, &m->n_projectors);
    case LAYER_ADAPTER: return add_path(l, layer, m->adapters, &m->n_adapters);
    case LAYER_DRAFT: return add_path(l, layer, m->drafts, &m->n_drafts);
    case LAYER_TEMPLATE: m->has_template = true; return read_text(l, layer, &m->template);
    case LAYER_SYSTEM: return read_text(l, layer, &m->system);
    case LAYER_LICENSE: {
        struct store_text *t = (struct store_text *)(uintptr_t)&m->licenses[m->n_licenses++];
        return read_text(l, layer, t);
    }
    case LAYER_PARAMS: return read_json(l, layer, JSON_OBJECT, &m->params);
    case LAYER_MESSAGES: return read_json(l, layer, JSON_ARRAY, &m->messages);
    case LAYER_TENSOR:
    case LAYER_JSON: m->tensor_layers = true; return ST_OK;
    case LAYER_EMBED:
    case LAYER_UNKNOWN:
    case LAYER_KINDS: break;
    }
    return ST_OK;
}
