/* create_layers.c - see create_layers.h. */
#include "store/create_layers.h"

#include <stdio.h>
#include <string.h>

#include "base/digest.h"
#include "base/mem.h"

enum status create_say(struct creation *c, const char *status) {
    bool go_on = c->progress == NULL || c->progress(c->progress_arg, status, "", 0, 0);
    return go_on ? ST_OK : err_set(c->e, ST_CANCELLED, "request canceled");
}

enum status create_add(struct creation *c, enum layer_kind kind, const char *media_type,
                       const struct store_layer *info, const void *data) {
    if (c->n_layers == c->cap) {
        size_t cap = c->cap != 0 ? c->cap * 2 : 8;
        struct new_layer *grown = mem_grow(c->layers, cap, sizeof *grown);
        if (grown == NULL) return err_no_memory(c->e);
        c->layers = grown;
        c->cap = cap;
    }
    struct new_layer *l = &c->layers[c->n_layers++];
    *l = (struct new_layer){.info = *info, .kind = kind, .data = data};
    l->info.media_type = media_type;
    if (data == NULL) hold_blob(c->store, &c->holds, info->digest, NULL); /* missing: told later */
    return ST_OK;
}

enum status create_add_data(struct creation *c, enum layer_kind kind, const void *data, size_t n) {
    char hex[DIGEST_HEX + 1];
    struct store_layer info = {.size = n, .from = "", .name = ""};
    enum status st = digest_of(data, n, hex, c->e);
    if (st != ST_OK) return st;
    info.digest = arena_printf(&c->arena, "sha256:%s", hex);
    if (info.digest == NULL) return err_no_memory(c->e);
    return create_add(c, kind, layer_media_type(kind), &info, data);
}

void create_remove(struct creation *c, enum layer_kind kind) {
    size_t kept = 0;
    for (size_t i = 0; i < c->n_layers; i++)
        if (c->layers[i].kind != kind) c->layers[kept++] = c->layers[i];
    c->n_layers = kept;
}

void create_drop_blob(struct creation *c, const struct store_layer *layer) {
    int token;
    hold_release(&c->holds, layer->digest);
    if (store_lock(c->store, &token, NULL) != ST_OK) return; /* prune will find it */
    prune_layers(c->store, layer, 1);
    store_unlock(c->store, token);
}

/* ---- parameters ---- */

enum status create_check_params(const json *params, struct err *e) {
    if (json_kind(params) != JSON_OBJECT && json_kind(params) != JSON_NULL)
        return err_set(e, ST_INVALID, "parameters must be an object");
    if (json_len(params) > CREATE_MAX_PARAMS)
        return err_set(e, ST_LIMIT, "more than %d parameters", CREATE_MAX_PARAMS);
    return ST_OK;
}

enum status create_set_params(struct creation *c, const char *text, size_t n) {
    json_free(c->params);
    c->params = json_parse(text, n, &json_default_limits, NULL, c->e);
    return c->params != NULL ? create_check_params(c->params, c->e) : c->e->code;
}

/* ---- GGUF files ---- */

enum status create_missing_blob(struct err *e, enum status st) {
    if (st == ST_NOT_FOUND && e != NULL) e->code = ST_IO;
    return st == ST_NOT_FOUND ? ST_IO : st;
}

static enum layer_kind kind_of_gguf(const struct gguf *g) {
    struct gguf_str type = {.ptr = "", .len = 0}, arch = type;
    gguf_get_str(g, "general.type", &type, NULL);
    gguf_get_str(g, "general.architecture", &arch, NULL);
    if (gguf_str_is(type, "adapter")) return LAYER_ADAPTER;
    if (gguf_str_is(type, "mmproj") || gguf_str_is(type, "projector") || gguf_str_is(arch, "clip"))
        return LAYER_PROJECTOR;
    return LAYER_MODEL;
}

enum status create_note_gguf(struct creation *c, enum layer_kind kind, const struct gguf *g) {
    struct gguf_str arch = {.ptr = "", .len = 0};
    if (kind != LAYER_MODEL && kind != LAYER_PROJECTOR) return ST_OK;
    gguf_get_str(g, "general.architecture", &arch, NULL);
    const char *family = arena_strndup(&c->arena, arch.ptr, arch.len);
    if (family == NULL) return err_no_memory(c->e);
    if (kind == LAYER_PROJECTOR) return config_add_family(&c->config, family, &c->arena, c->e);
    c->arch = family;
    return config_from_gguf(&c->config, g, &c->arena, c->e);
}

/* The Go template that fits the model's own one; only for models that get none otherwise. */
static enum status detect_template(struct creation *c, const struct gguf *g) {
    const struct store_create_spec *s = c->spec;
    const char *name = "", *params = NULL;
    if (s->detect_template == NULL || (s->template != NULL && *s->template != '\0')) return ST_OK;
    const char *text = s->detect_template(s->hook_arg, g, &name, &params);
    if (text == NULL) return ST_OK;
    char status[128];
    snprintf(status, sizeof status, "using autodetected template %s", name);
    enum status st = create_say(c, status);
    if (st != ST_OK) return st;
    create_remove(c, LAYER_TEMPLATE);
    const char *copy = arena_strndup(&c->arena, text, strlen(text));
    if (copy == NULL) return err_no_memory(c->e);
    st = create_add_data(c, LAYER_TEMPLATE, copy, strlen(copy));
    if (st != ST_OK || params == NULL) return st;
    c->params_changed = true;
    return create_set_params(c, params, strlen(params));
}

enum status create_use_gguf(struct creation *c, const char *digest, enum layer_kind forced,
                            bool made, const struct gguf *g) {
    struct store_layer info = {.size = gguf_file_size(g), .from = "", .name = ""};
    enum layer_kind kind = forced != LAYER_UNKNOWN ? forced : kind_of_gguf(g);
    info.digest = arena_strndup(&c->arena, digest, strlen(digest));
    if (info.digest == NULL) return err_no_memory(c->e);
    enum status st = create_add(c, kind, layer_media_type(kind), &info, NULL);
    if (st == ST_OK) c->layers[c->n_layers - 1].made = made;
    if (st == ST_OK) st = create_note_gguf(c, kind, g);
    if (st == ST_OK && kind == LAYER_MODEL) st = create_say(c, "verifying conversion");
    if (st == ST_OK && kind == LAYER_MODEL) st = detect_template(c, g);
    return st;
}

enum status create_open_blob(struct creation *c, const char *digest, const char *label,
                             struct os_map *map, struct gguf **g) {
    char path[PATH_ROOM];
    enum status st = blob_path(c->store, digest, path, c->e);
    if (st == ST_OK) st = create_missing_blob(c->e, os_map_open(map, path, c->e));
    if (st != ST_OK) return st;
    if (map->size < 4 || memcmp(map->data, "GGUF", 4) != 0)
        return err_set(c->e, ST_INVALID, "supplied file was not in GGUF format");
    return gguf_open_memory(g, map->data, map->size, label, c->e);
}

enum status create_use_blob(struct creation *c, const char *digest, const char *label,
                            enum layer_kind forced) {
    struct os_map map = {0};
    struct gguf *g = NULL;
    enum status st = create_open_blob(c, digest, label, &map, &g);
    if (st == ST_OK) st = create_use_gguf(c, digest, forced, true, g);
    gguf_close(g);
    os_map_close(&map);
    return st;
}
