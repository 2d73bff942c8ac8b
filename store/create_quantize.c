/* create_quantize.c - `quantize` and `draft_quantize` of a create request (spec/quants.md 9.7,
 * spec/api.md 5.8): the GGUF of a layer in other tensor types becomes a new blob, which takes the
 * layer's place. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "engine/quantize/quantize.h"
#include "store/create_impl.h"

struct change { /* one layer */
    struct creation *c;
    struct new_layer *layer;
    char status[96]; /* "quantizing F16 model to Q4_K_M" */
    struct quantize_params p;
    struct quantize_plan plan;
    struct store_upload *upload;
};

/* As the reference's clients expect it for work that has no digest yet. */
static const char no_digest[] = "0000000000000000000";

static bool progress(void *arg, const char *tensor, uint64_t done, uint64_t total) {
    struct change *x = arg;
    (void)tensor;
    return x->c->progress == NULL ||
           x->c->progress(x->c->progress_arg, x->status, no_digest, total, done);
}

/* The new blob takes the layer's place; an old one that this creation made has no more use. */
static enum status replace(struct change *x, const char *digest, uint64_t size) {
    struct creation *c = x->c;
    struct new_layer *l = x->layer;
    const char *copy = arena_strndup(&c->arena, digest, strlen(digest));
    if (copy == NULL) return err_no_memory(c->e);
    const struct new_layer old = *l;
    l->info.digest = copy;
    l->info.size = size;
    l->info.from = "";
    l->data = NULL;
    l->made = true;
    hold_blob(c->store, &c->holds, copy, NULL);
    if (old.made && strcmp(old.info.digest, copy) != 0) create_drop_blob(c, &old.info);
    return ST_OK;
}

static enum status convert(struct change *x, const struct gguf *g) {
    struct creation *c = x->c;
    char digest[STORE_DIGEST_TEXT];
    uint64_t size = 0;
    enum status st = quantize_plan(&x->plan, g, &x->p, c->e);
    if (st == ST_OK) st = store_blob_begin(c->store, &x->upload, c->e);
    if (st != ST_OK) return st;
    st = quantize_to(g, &x->plan, &x->p, blob_sink, x->upload, c->e);
    if (st != ST_OK) {
        store_blob_abort(x->upload);
        return st == ST_CANCELLED ? err_set(c->e, st, "request canceled") : st;
    }
    st = store_blob_commit(x->upload, NULL, digest, c->e);
    if (st == ST_OK) st = store_blob_stat(c->store, digest, &size, c->e);
    return st == ST_OK ? replace(x, digest, size) : st;
}

static bool is_plain(const char *file_type) {
    return strcmp(file_type, "F32") == 0 || strcmp(file_type, "F16") == 0 ||
           strcmp(file_type, "BF16") == 0;
}

static enum status quantize_gguf(struct change *x, const char *level, const struct gguf *g) {
    struct creation *c = x->c;
    enum ftype to;
    const char *have = gguf_file_type_name(g);
    enum status st = quantize_parse_level(level, &to, c->e);
    if (st != ST_OK) return st;
    if (strcmp(have, ftype_name(to)) == 0) return ST_OK;
    if (!is_plain(have) && x->layer->kind == LAYER_DRAFT)
        return err_set(c->e, ST_INVALID,
                       "draft quantization requires an unquantized draft model, got %s", have);
    if (!is_plain(have))
        return err_set(c->e, ST_INVALID,
                       "quantization is only supported for F16, BF16 and F32 models");
    snprintf(x->status, sizeof x->status, "quantizing %s model to %s", have, ftype_name(to));
    x->p = quantize_default_params(to);
    x->p.ollama = x->p.allow_requantize = true;
    x->p.progress = progress;
    x->p.arg = x;
    st = convert(x, g);
    quantize_plan_free(&x->plan);
    if (st == ST_OK) st = create_say(c, "verifying conversion");
    /* What `info` says stays; what came from the file is the new file's. */
    if (st == ST_OK && x->layer->kind == LAYER_MODEL && strcmp(c->config.file_type, have) == 0)
        c->config.file_type = ftype_name(to);
    return st;
}

static enum status quantize_layer(struct creation *c, struct new_layer *l, const char *level) {
    struct change x = {.c = c, .layer = l};
    struct gguf *g;
    char path[PATH_ROOM];
    enum status st = ST_OK;
    if (l->data != NULL) {
        st = gguf_open_memory(&g, l->data, (size_t)l->info.size, l->info.digest, c->e);
    } else {
        st = blob_path(c->store, l->info.digest, path, c->e);
        if (st == ST_OK) st = gguf_open(&g, path, c->e);
    }
    if (st != ST_OK) return st;
    st = quantize_gguf(&x, level, g);
    gguf_close(g);
    return st;
}

enum status create_quantize(struct creation *c) {
    const struct store_create_spec *s = c->spec;
    enum status st = ST_OK;
    for (size_t i = 0; i < c->n_layers && st == ST_OK; i++) {
        struct new_layer *l = &c->layers[i];
        const char *level = l->kind == LAYER_MODEL   ? s->quantize
                            : l->kind == LAYER_DRAFT ? s->draft_quantize
                                                     : NULL;
        if (level == NULL || *level == '\0') level = l->level;
        if (level != NULL && *level != '\0') st = quantize_layer(c, l, level);
    }
    return st;
}
