/* create_convert.c - safetensors of a create request become GGUF layers (spec/safetensors.md): a
 * model, perhaps with a projector, or an adapter for the model that is there already.
 *
 * The request's paths are names for the converter and nothing else: what is opened are blobs. */
#include <string.h>

#include "base/mem.h"
#include "engine/convert/convert.h"
#include "store/create_impl.h"

struct work {
    struct creation *c;
    struct conversion *conversion;
    struct gguf *base; /* an adapter's model */
    struct store_upload *upload;
};

/* The blobs of the files; all of them are there and too young to be pruned while we work. */
static enum status list_files(struct creation *c, const struct store_file *f, size_t n,
                              struct convert_file **out) {
    struct convert_file *list = arena_zalloc(&c->arena, n + 1, sizeof *list);
    enum status st = list != NULL ? ST_OK : err_no_memory(c->e);
    for (size_t i = 0; i < n && st == ST_OK; i++) {
        char digest[STORE_DIGEST_TEXT], path[PATH_ROOM];
        st = store_digest_parse(f[i].digest, digest, c->e);
        if (st == ST_OK) st = blob_touch(c->store, digest, c->e);
        if (st == ST_OK) st = blob_path(c->store, digest, path, c->e);
        if (st != ST_OK) return st;
        const char *copy = arena_strndup(&c->arena, path, strlen(path));
        if (copy == NULL) return err_no_memory(c->e);
        list[i] = (struct convert_file){.name = f[i].path, .path = copy};
    }
    *out = list;
    return st;
}

static enum status open_base(struct work *w) {
    struct creation *c = w->c;
    char path[PATH_ROOM];
    for (size_t i = 0; i < c->n_layers; i++) {
        const struct new_layer *l = &c->layers[i];
        if (l->kind != LAYER_MODEL) continue;
        if (l->data != NULL)
            return gguf_open_memory(&w->base, l->data, (size_t)l->info.size, l->info.digest, c->e);
        enum status st = blob_path(c->store, l->info.digest, path, c->e);
        return st == ST_OK ? gguf_open(&w->base, path, c->e) : st;
    }
    return err_set(c->e, ST_INVALID, "an adapter needs the model that it is for");
}

static enum status write_part(struct work *w, enum convert_part part, const char *label,
                              enum layer_kind forced) {
    struct creation *c = w->c;
    char digest[STORE_DIGEST_TEXT];
    enum status st = store_blob_begin(c->store, &w->upload, c->e);
    if (st != ST_OK) return st;
    st = convert_write(w->conversion, part, blob_sink, w->upload, c->e);
    if (st != ST_OK) {
        store_blob_abort(w->upload);
        return st;
    }
    st = store_blob_commit(w->upload, NULL, digest, c->e);
    if (st == ST_OK) st = create_use_blob(c, digest, label, forced);
    /* Weights that were 8 bits wide stay so, unless the request says otherwise. */
    if (st == ST_OK && part == CONVERT_MODEL && convert_was_fp8(w->conversion))
        c->layers[c->n_layers - 1].level = "Q8_0";
    return st;
}

static enum status convert(struct work *w, const struct store_file *f, size_t n,
                           enum layer_kind forced) {
    struct creation *c = w->c;
    const bool adapter = forced == LAYER_ADAPTER;
    struct convert_file *files = NULL;
    enum status st = create_say(c, adapter ? "converting adapter" : "converting model");
    if (st == ST_OK) st = list_files(c, f, n, &files);
    if (st == ST_OK && adapter) st = open_base(w);
    if (st != ST_OK) return st;
    const struct convert_spec spec = {.files = files, .n_files = n, .base = w->base};
    st = adapter ? convert_open_adapter(&w->conversion, &spec, c->e)
                 : convert_open_model(&w->conversion, &spec, c->e);
    if (st == ST_OK) st = write_part(w, CONVERT_MODEL, "model.gguf", forced);
    if (st == ST_OK && forced == LAYER_UNKNOWN && convert_has(w->conversion, CONVERT_PROJECTOR))
        st = write_part(w, CONVERT_PROJECTOR, "mmproj.gguf", LAYER_PROJECTOR);
    return st;
}

enum status create_convert(struct creation *c, const struct store_file *f, size_t n,
                           enum layer_kind forced) {
    struct work w = {.c = c};
    const enum status st = convert(&w, f, n, forced);
    convert_free(w.conversion);
    gguf_close(w.base);
    return st;
}
