/* builtin.c - models that live in the binary.
 *
 * A built-in model is described by the same manifest and config as a stored one, composed in
 * memory: so it has an ID, sizes and details, and copying it into the store is writing these very
 * bytes. Composing hashes the weights (milliseconds), so it is left to the first use and done once.
 */
#include <assert.h>
#include <string.h>
#include <sys/stat.h>

#include "base/digest.h"
#include "base/mem.h"
#include "engine/file/gguf.h"
#include "store/store_impl.h"

enum { IN_PLACE_HASHED = 1 << 20 };

enum status store_add_builtin(struct store *s, const struct store_builtin *model, struct err *e) {
    struct model_name name;
    if (!name_parse(&name, model->name)) return err_set(e, ST_INVALID, "invalid model name");
    struct builtin *grown = mem_grow(s->builtins, s->n_builtins + 1, sizeof *grown);
    if (grown == NULL) return err_no_memory(e);
    s->builtins = grown;
    s->builtins[s->n_builtins++] = (struct builtin){.source = *model, .name = name};
    return ST_OK;
}

void builtin_free(struct builtin *b) { arena_free(&b->arena); }

/* ---- composing ---- */

static enum status make_layer(struct builtin *b, struct store_layer *l, const char *media_type,
                              const void *data, size_t size, struct err *e) {
    char hex[DIGEST_HEX + 1];
    const size_t hashed = b->source.in_place && size > IN_PLACE_HASHED ? IN_PLACE_HASHED : size;
    enum status st = digest_of(data, hashed, hex, e);
    if (st != ST_OK) return st;
    *l = (struct store_layer){.media_type = media_type, .size = size, .from = "", .name = ""};
    l->digest = arena_printf(&b->arena, "sha256:%s", hex);
    return l->digest != NULL ? ST_OK : err_no_memory(e);
}

/* Appends a layer, unless there is nothing to put in it. */
static enum status add_layer(struct builtin *b, enum layer_kind kind, const void *data, size_t size,
                             struct err *e) {
    if (size == 0) return ST_OK;
    size_t i = b->manifest.n_layers;
    assert(i < BUILTIN_LAYERS);
    enum status st = make_layer(b, &b->layers[i], layer_media_type(kind), data, size, e);
    if (st != ST_OK) return st;
    b->data[i] = data;
    b->manifest.n_layers++;
    return ST_OK;
}

static enum status add_text(struct builtin *b, enum layer_kind kind, const char *text,
                            struct err *e) {
    return text != NULL ? add_layer(b, kind, text, strlen(text), e) : ST_OK;
}

static enum status add_layers(struct builtin *b, struct err *e) {
    const struct store_builtin *src = &b->source;
    enum status st = add_layer(b, LAYER_MODEL, src->gguf, src->size, e);
    if (st == ST_OK) st = add_text(b, LAYER_TEMPLATE, src->template, e);
    if (st == ST_OK) st = add_text(b, LAYER_SYSTEM, src->system, e);
    if (st == ST_OK) st = add_text(b, LAYER_LICENSE, src->license, e);
    if (st == ST_OK) st = add_text(b, LAYER_PARAMS, src->params, e);
    return st;
}

static char *keep(struct builtin *b, const struct buf *text) {
    return text->failed ? NULL : arena_strndup(&b->arena, text->data, text->len);
}

static enum status make_config(struct builtin *b, struct err *e) {
    struct gguf *g;
    const struct store_builtin *src = &b->source;
    enum status st = ST_FORMAT;
    if (src->path != NULL) st = gguf_open_set(&g, src->path, NULL);
    if (st != ST_OK) /* also a part of a split set that cannot be loaded, but can be looked at */
        st = gguf_open_memory(&g, src->gguf, src->size, src->name, e);
    if (st != ST_OK) return st;
    struct buf text = {0};
    b->config = config_empty;
    st = config_from_gguf(&b->config, g, &b->arena, e);
    gguf_close(g);
    if (st == ST_OK) config_put(&text, &b->config);
    if (st == ST_OK && (b->config_text = keep(b, &text)) == NULL) st = err_no_memory(e);
    if (st == ST_OK)
        st = make_layer(b, &b->manifest.config, CONFIG_MEDIA_TYPE, text.data, text.len, e);
    buf_free(&text);
    return st;
}

static enum status make_manifest(struct builtin *b, struct err *e) {
    struct buf text = {0};
    struct manifest *m = &b->manifest;
    m->layers = b->layers;
    manifest_put(&text, &m->config, m->layers, m->n_layers);
    enum status st = ST_OK;
    if ((b->manifest_text = keep(b, &text)) == NULL)
        st = err_no_memory(e);
    else
        st = digest_of(text.data, text.len, m->digest, e);
    buf_free(&text);
    m->size = m->config.size;
    for (size_t i = 0; i < m->n_layers; i++) m->size += m->layers[i].size;
    return st;
}

/* The time of a built-in model: that of the program it comes with. */
static int64_t program_time(void) {
    struct stat info;
    if (stat("/proc/self/exe", &info) != 0) return 0;
    return (int64_t)info.st_mtim.tv_sec * 1000000000 + info.st_mtim.tv_nsec;
}

static enum status compose(struct builtin *b, struct err *e) {
    b->manifest = (struct manifest){0};
    enum status st = add_layers(b, e);
    if (st == ST_OK) st = make_config(b, e);
    if (st == ST_OK) st = make_manifest(b, e);
    if (st != ST_OK) {
        arena_free(&b->arena); /* the next use tries again */
        return st;
    }
    b->manifest.modified_ns = b->source.modified_ns != 0 ? b->source.modified_ns : program_time();
    b->ready = true;
    return ST_OK;
}

enum status builtin_find(struct store *s, const struct model_name *name, const struct builtin **out,
                         struct err *e) {
    *out = NULL;
    enum status st = ST_OK;
    for (size_t i = 0; s->show_builtins && i < s->n_builtins; i++) {
        struct builtin *b = &s->builtins[i];
        if (!name_equal(&b->name, name)) continue;
        pthread_mutex_lock(&s->builtin_lock);
        if (!b->ready) st = compose(b, e);
        pthread_mutex_unlock(&s->builtin_lock);
        if (st == ST_OK) *out = b;
        break;
    }
    return st;
}

/* ---- writing it into the store ---- */

enum status builtin_write(struct store *s, const struct builtin *b, struct err *e) {
    const struct manifest *m = &b->manifest;
    enum status st = ST_OK;
    bool created;
    if (b->source.in_place)
        return err_set(e, ST_UNSUPPORTED,
                       "model '%s' is a file run in place: create a model from it", b->source.name);
    for (size_t i = 0; i < m->n_layers && st == ST_OK; i++)
        st = blob_put(s, m->layers[i].digest, b->data[i], (size_t)m->layers[i].size, &created, e);
    if (st == ST_OK)
        st = blob_put(s, m->config.digest, b->config_text, strlen(b->config_text), &created, e);
    return st;
}
