/* manifest.c - manifests and config blobs as JSON, both ways (spec/store.md 2.1-2.3).
 *
 * A manifest comes from a registry or from another program's store, so nothing in it is trusted:
 * limits on size, depth and number, and every digest is checked against the grammar before it can
 * become part of a path. Members that are not known are ignored. What we write is one line. */
#include <assert.h>
#include <string.h>

#include "base/digest.h"
#include "store/store_impl.h"

#define MEDIA_PREFIX "application/vnd.ollama.image."

static const char *const media_types[LAYER_KINDS] = {
    [LAYER_MODEL] = MEDIA_PREFIX "model",       [LAYER_PROJECTOR] = MEDIA_PREFIX "projector",
    [LAYER_ADAPTER] = MEDIA_PREFIX "adapter",   [LAYER_DRAFT] = MEDIA_PREFIX "draft",
    [LAYER_TEMPLATE] = MEDIA_PREFIX "template", [LAYER_SYSTEM] = MEDIA_PREFIX "system",
    [LAYER_LICENSE] = MEDIA_PREFIX "license",   [LAYER_PARAMS] = MEDIA_PREFIX "params",
    [LAYER_MESSAGES] = MEDIA_PREFIX "messages", [LAYER_EMBED] = MEDIA_PREFIX "embed",
    [LAYER_TENSOR] = MEDIA_PREFIX "tensor",     [LAYER_JSON] = MEDIA_PREFIX "json",
};

enum layer_kind layer_kind_of(const char *media_type) {
    for (size_t i = 0; i < LAYER_KINDS; i++)
        if (media_types[i] != NULL && strcmp(media_types[i], media_type) == 0)
            return (enum layer_kind)i;
    return strcmp(media_type, MEDIA_PREFIX "prompt") == 0 ? LAYER_TEMPLATE : LAYER_UNKNOWN;
}

const char *layer_media_type(enum layer_kind kind) {
    assert(kind > LAYER_UNKNOWN && kind < LAYER_KINDS);
    return media_types[kind];
}

/* ---- reading ---- */

static const struct json_limits manifest_limits = {
    .max_bytes = MANIFEST_MAX_BYTES,
    .max_nodes = 200000,
    .max_depth = 32,
};

/* A string member as a copy; "" if it is absent. NULL: no memory. */
static const char *copy_string(const json *object, const char *key, struct arena *a) {
    size_t len = 0;
    const char *s = json_string_n(json_get(object, key), &len);
    if (s == NULL || len == 0) return "";
    return arena_strndup(a, s, strlen(s)); /* up to a NUL, which no use of these texts allows */
}

/* An array of strings; elements of another kind are left out. */
static enum status copy_strings(const json *array, const char *const **list, size_t *n,
                                struct arena *a, struct err *e) {
    *list = NULL;
    *n = 0;
    if (json_kind(array) != JSON_ARRAY || json_len(array) == 0) return ST_OK;
    const char **out = arena_zalloc(a, json_len(array), sizeof *out);
    if (out == NULL) return err_no_memory(e);
    for (const json *v = json_first(array); v != NULL; v = json_next(v)) {
        const char *s = json_string(v);
        if (s == NULL) continue;
        out[*n] = arena_strndup(a, s, strlen(s));
        if (out[(*n)++] == NULL) return err_no_memory(e);
    }
    *list = out;
    return ST_OK;
}

static enum status parse_layer(struct store_layer *l, const json *v, struct arena *a,
                               struct err *e) {
    char digest[STORE_DIGEST_TEXT];
    int64_t size = 0;
    const char *text = json_string(json_get(v, "digest"));
    enum status st = store_digest_parse(text != NULL ? text : "", digest, e);
    if (st != ST_OK) return err_set(e, ST_FORMAT, "invalid digest format");
    if (!json_int(json_get(v, "size"), &size) || size < 0)
        return err_set(e, ST_FORMAT, "layer %s: no size", digest);
    l->size = (uint64_t)size;
    l->media_type = copy_string(v, "mediaType", a);
    l->from = copy_string(v, "from", a);
    l->name = copy_string(v, "name", a);
    l->digest = arena_strndup(a, digest, strlen(digest));
    bool whole = l->media_type != NULL && l->from != NULL && l->name != NULL && l->digest != NULL;
    return whole ? ST_OK : err_no_memory(e);
}

/* A model may come without a config; its digest is then "". */
static enum status parse_config_layer(struct store_layer *l, const json *v, struct arena *a,
                                      struct err *e) {
    *l = (struct store_layer){.media_type = "", .digest = "", .from = "", .name = ""};
    const char *digest = json_string(json_get(v, "digest"));
    if (digest == NULL || *digest == '\0') return ST_OK;
    return parse_layer(l, v, a, e);
}

static enum status parse_layers(struct manifest *m, const json *list, struct arena *a,
                                struct err *e) {
    if (json_kind(list) != JSON_ARRAY && json_kind(list) != JSON_NULL)
        return err_set(e, ST_FORMAT, "layers is no list");
    m->layers = arena_zalloc(a, json_len(list), sizeof *m->layers);
    if (m->layers == NULL) return err_no_memory(e);
    for (const json *v = json_first(list); v != NULL; v = json_next(v)) {
        struct store_layer *l = &m->layers[m->n_layers++];
        enum status st = parse_layer(l, v, a, e);
        if (st != ST_OK) return st;
        m->size += l->size; /* unsigned, shown only: may wrap for a liar's sizes */
    }
    return ST_OK;
}

enum status manifest_parse(struct manifest *m, const char *text, size_t len, struct arena *a,
                           struct err *e) {
    *m = (struct manifest){0};
    enum status st = digest_of(text, len, m->digest, e);
    if (st != ST_OK) return st;
    struct err mine;
    json *root = json_parse(text, len, &manifest_limits, NULL, &mine);
    if (root == NULL) return err_set(e, mine.code, "%s", mine.msg);
    if (json_kind(root) != JSON_OBJECT) st = err_set(e, ST_FORMAT, "not an object");
    if (st == ST_OK) st = parse_config_layer(&m->config, json_get(root, "config"), a, e);
    if (st == ST_OK) st = parse_layers(m, json_get(root, "layers"), a, e);
    m->size += m->config.size;
    json_free(root);
    return st;
}

const char *manifest_parent(const struct manifest *m) {
    const char *parent = "";
    for (size_t i = 0; i < m->n_layers; i++)
        if (layer_kind_of(m->layers[i].media_type) == LAYER_MODEL) parent = m->layers[i].from;
    return parent;
}

/* ---- writing ---- */

static void put_layer(struct buf *b, const struct store_layer *l) {
    buf_chr(b, '{');
    json_put_field(b, "mediaType", l->media_type);
    json_put_field(b, "digest", l->digest);
    json_put_field_int(b, "size", (int64_t)l->size);
    if (l->from[0] != '\0') json_put_field(b, "from", l->from);
    if (l->name[0] != '\0') json_put_field(b, "name", l->name);
    buf_chr(b, '}');
}

void manifest_put(struct buf *b, const struct store_layer *config, const struct store_layer *layers,
                  size_t n_layers) {
    buf_chr(b, '{');
    json_put_field_int(b, "schemaVersion", 2);
    json_put_field(b, "mediaType", "application/vnd.docker.distribution.manifest.v2+json");
    json_put_key(b, "config");
    put_layer(b, config); /* its media type is CONFIG_MEDIA_TYPE */
    json_put_key(b, "layers");
    buf_chr(b, '[');
    for (size_t i = 0; i < n_layers; i++) {
        if (i > 0) buf_chr(b, ',');
        put_layer(b, &layers[i]);
    }
    buf_str(b, "]}\n");
}

/* ---- config ---- */

/* The text members in the order of the file, as rows; the others are written between them by
 * config_put, which knows where. */
/* clang-format off */
#define CONFIG_TEXTS(X)                                                                            \
    X(model_format) X(model_family) X(model_type) X(file_type) X(renderer) X(parser) X(requires)   \
    X(remote_host) X(remote_model) X(base_name)
/* clang-format on */

const struct store_config config_empty = {
#define EMPTY(field) .field = "",
    CONFIG_TEXTS(EMPTY)
#undef EMPTY
};

enum status config_parse(struct store_config *c, const char *text, size_t len, struct arena *a,
                         struct err *e) {
    struct err mine;
    *c = config_empty;
    json *root = json_parse(text, len, &manifest_limits, NULL, &mine);
    if (root == NULL) return err_set(e, mine.code, "config: %s", mine.msg);
    enum status st = ST_OK;
    if (json_kind(root) != JSON_OBJECT) st = err_set(e, ST_FORMAT, "config: not an object");
#define COPY(field)                                                                                \
    if (st == ST_OK && (c->field = copy_string(root, #field, a)) == NULL) st = err_no_memory(e);
    CONFIG_TEXTS(COPY)
#undef COPY
    if (st == ST_OK)
        st = copy_strings(json_get(root, "model_families"), &c->model_families,
                          &c->n_model_families, a, e);
    if (st == ST_OK)
        st = copy_strings(json_get(root, "capabilities"), &c->capabilities, &c->n_capabilities, a,
                          e);
    json_int(json_get(root, "context_length"), &c->context_length);
    json_int(json_get(root, "embedding_length"), &c->embedding_length);
    json_free(root);
    return st;
}

static void put_text(struct buf *b, const char *key, const char *value) {
    if (value[0] != '\0') json_put_field(b, key, value);
}

static void put_texts(struct buf *b, const char *key, const char *const *list, size_t n) {
    json_put_key(b, key);
    buf_chr(b, '[');
    for (size_t i = 0; i < n; i++) {
        if (i > 0) buf_chr(b, ',');
        json_put_string(b, list[i], strlen(list[i]));
    }
    buf_chr(b, ']');
}

/* The order is that of spec/store.md 2.2: equal models get equal digests. */
void config_put(struct buf *b, const struct store_config *c) {
    buf_chr(b, '{');
    json_put_field(b, "model_format", c->model_format);
    json_put_field(b, "model_family", c->model_family);
    put_texts(b, "model_families", c->model_families, c->n_model_families);
    json_put_field(b, "model_type", c->model_type);
    json_put_field(b, "file_type", c->file_type);
    put_text(b, "renderer", c->renderer);
    put_text(b, "parser", c->parser);
    put_text(b, "requires", c->requires);
    put_text(b, "remote_host", c->remote_host);
    put_text(b, "remote_model", c->remote_model);
    if (c->n_capabilities != 0) put_texts(b, "capabilities", c->capabilities, c->n_capabilities);
    if (c->context_length != 0) json_put_field_int(b, "context_length", c->context_length);
    if (c->embedding_length != 0) json_put_field_int(b, "embedding_length", c->embedding_length);
    put_text(b, "base_name", c->base_name);
    json_put_field(b, "architecture", "amd64");
    json_put_field(b, "os", "linux");
    buf_str(b, "}\n");
}
