/* create_source.c - where the layers of a new model come from: another model, or uploaded files.
 *
 * Files are known by their digest only: nothing here opens a path that the request names. A file's
 * kind is told by its extension, else by its first bytes; what a GGUF is (model, adapter,
 * projector) by its general.type. Every GGUF is parsed completely before it becomes a layer. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/os.h"
#include "engine/file/gguf.h"
#include "store/create_impl.h"

/* ---- kinds of files ---- */

enum file_kind { FILE_UNKNOWN, FILE_GGUF, FILE_SAFETENSORS };

static bool ends_with(const char *s, const char *end) {
    size_t n = strlen(s), m = strlen(end);
    return n >= m && strcmp(s + n - m, end) == 0;
}

static enum status kind_by_content(struct creation *c, const char *digest, enum file_kind *kind) {
    unsigned char head[9] = {0};
    struct err why;
    int fd = blob_open(c->store, digest, NULL, &why);
    if (fd < 0) return err_set(c->e, why.code, "%s", why.msg);
    ssize_t n = read(fd, head, sizeof head);
    close(fd);
    /* safetensors: 8 bytes of length, then a JSON object. */
    if (n >= 4 && memcmp(head, "GGUF", 4) == 0)
        *kind = FILE_GGUF;
    else if (n == 9 && head[8] == '{' && head[7] == 0)
        *kind = FILE_SAFETENSORS;
    else
        *kind = FILE_UNKNOWN;
    return ST_OK;
}

static enum status kind_of_file(struct creation *c, const struct store_file *f,
                                enum file_kind *kind) {
    if (ends_with(f->path, ".gguf"))
        *kind = FILE_GGUF;
    else if (ends_with(f->path, ".safetensors"))
        *kind = FILE_SAFETENSORS;
    else
        return kind_by_content(c, f->digest, kind);
    return ST_OK;
}

/* Weights as programs of another framework: opening them would run them. */
static bool is_pickle(const char *path) {
    const char *name = strrchr(path, '/') != NULL ? strrchr(path, '/') + 1 : path;
    return (strncmp(name, "pytorch_model", 13) == 0 && ends_with(name, ".bin")) ||
           (strncmp(name, "consolidated", 12) == 0 && ends_with(name, ".pth"));
}

/* The kind of a set. Safetensors come with configuration files of any kind; GGUFs come alone. */
static enum status kind_of_files(struct creation *c, const struct store_file *f, size_t n,
                                 enum file_kind *set) {
    size_t of[3] = {0};
    bool pickle = false;
    for (size_t i = 0; i < n; i++) {
        enum file_kind kind;
        enum status st = kind_of_file(c, &f[i], &kind);
        if (st != ST_OK) return st;
        of[kind]++;
        pickle = pickle || (kind == FILE_UNKNOWN && is_pickle(f[i].path));
    }
    *set = of[FILE_SAFETENSORS] != 0 && of[FILE_GGUF] == 0 ? FILE_SAFETENSORS : FILE_GGUF;
    if (*set == FILE_SAFETENSORS) return ST_OK;
    if (pickle) return err_set(c->e, ST_INVALID, "unknown tensor format");
    if (n == 0 || of[FILE_GGUF] != n) return err_set(c->e, ST_INVALID, "unknown type");
    return ST_OK;
}

/* ---- GGUF files ---- */

static bool is_part(const struct gguf *g) {
    int64_t parts = 0;
    return gguf_get_i64(g, "split.count", &parts, NULL) == ST_OK && parts > 1;
}

/* File i of n; of a split set it is the one that is met first, and the others get their mark. */
static enum status parse_gguf(struct creation *c, const struct store_file *f, size_t n, size_t i,
                              bool *used, enum layer_kind forced) {
    char digest[STORE_DIGEST_TEXT];
    struct os_map map = {0};
    struct gguf *g = NULL;
    bool made = false;
    enum status st = create_say(c, "parsing GGUF");
    if (st == ST_OK) st = store_digest_parse(f[i].digest, digest, c->e);
    if (st == ST_OK) st = create_open_blob(c, digest, f[i].path, &map, &g);
    if (st == ST_OK && is_part(g)) {
        gguf_close(g);
        g = NULL;
        os_map_close(&map);
        made = true;
        st = create_merge(c, f, n, i, used, digest);
        if (st == ST_OK) st = create_open_blob(c, digest, f[i].path, &map, &g);
    }
    if (st == ST_OK) st = create_use_gguf(c, digest, forced, made, g);
    gguf_close(g);
    os_map_close(&map);
    return st;
}

static enum status parse_files(struct creation *c, const struct store_file *f, size_t n,
                               enum layer_kind forced) {
    enum file_kind kind;
    enum status st = kind_of_files(c, f, n, &kind);
    if (st == ST_OK && kind == FILE_SAFETENSORS) return create_convert(c, f, n, forced);
    if (st == ST_OK && forced == LAYER_ADAPTER && n > 1)
        st = err_set(c->e, ST_INVALID, "only one adapter is currently supported");
    bool *used = arena_zalloc(&c->arena, n + 1, sizeof *used);
    if (used == NULL) return err_no_memory(c->e);
    for (size_t i = 0; i < n && st == ST_OK; i++)
        if (!used[i]) st = parse_gguf(c, f, n, i, used, forced);
    return st;
}

static enum status from_files(struct creation *c) {
    enum status st = parse_files(c, c->spec->files, c->spec->n_files, LAYER_UNKNOWN);
    if (st != ST_OK) return st;
    for (size_t i = 0; i < c->n_layers; i++)
        if (c->layers[i].kind == LAYER_MODEL) return ST_OK;
    return err_set(c->e, ST_INVALID, "none of the files holds a model");
}

/* ---- another model ---- */

static enum status find_base(struct creation *c, struct model_name *name, struct manifest *m,
                             const struct builtin **builtin) {
    const struct store_create_spec *s = c->spec;
    enum status st = store_find(c->store, name, m, builtin, &c->arena, c->e);
    if (st != ST_NOT_FOUND) return st;
    if (store_alias(c->store, name) || more_find(c->store, name) != NULL) {
        if (more_find(c->store, name) != NULL) st = store_copy(c->store, name, name, c->e);
        return st == ST_OK || st == ST_NOT_FOUND
                   ? store_find(c->store, name, m, builtin, &c->arena, c->e)
                   : st;
    }
    if (s->pull == NULL) return st;
    st = s->pull(s->hook_arg, name, c->e);
    return st == ST_OK ? store_find(c->store, name, m, builtin, &c->arena, c->e) : st;
}

/* Reads the GGUF of an inherited layer; data is NULL for one in the store. */
static enum status note_inherited(struct creation *c, enum layer_kind kind,
                                  const struct store_layer *l, const void *data) {
    char path[PATH_ROOM];
    struct gguf *g;
    enum status st = blob_path(c->store, l->digest, path, c->e);
    if (st != ST_OK) return st;
    if (data != NULL)
        st = gguf_open_memory(&g, data, (size_t)l->size, l->digest, c->e);
    else
        st = create_missing_blob(c->e, gguf_open(&g, path, c->e));
    if (st != ST_OK) return st;
    st = create_note_gguf(c, kind, g);
    gguf_close(g);
    return st;
}

static enum status inherit_params(struct creation *c, const struct store_layer *l,
                                  const void *data) {
    struct store_text text = {.ptr = data, .len = (size_t)l->size};
    enum status st = data != NULL ? ST_OK : blob_read(c->store, l->digest, &c->arena, &text, c->e);
    if (st != ST_OK) return st;
    st = create_set_params(c, text.ptr, text.len);
    return st == ST_OK ? ST_OK : err_wrap(c->e, "layer %s", l->digest);
}

static enum status inherit_layer(struct creation *c, const struct store_layer *l, const void *data,
                                 const char *from) {
    struct store_layer info = *l;
    enum layer_kind kind = layer_kind_of(l->media_type);
    info.from = from;
    enum status st = create_add(c, kind, l->media_type, &info, data);
    if (st == ST_OK && (kind == LAYER_MODEL || kind == LAYER_PROJECTOR))
        st = note_inherited(c, kind, l, data);
    if (st == ST_OK && kind == LAYER_PARAMS) st = inherit_params(c, l, data);
    return st;
}

/* Takes a text of the base's config where the new one has none. */
static void take(const char **field, const char *base) {
    if ((*field)[0] == '\0') *field = base;
}

/* Renderer, parser, requires and capabilities are the base's unless given; the rest is read from
 * the GGUF again, and from the base only if it has none. */
static void inherit_config(struct creation *c, const struct store_config *base) {
    struct store_config *to = &c->config;
    take(&to->renderer, base->renderer);
    take(&to->parser, base->parser);
    take(&to->requires, base->requires);
    if (to->n_capabilities == 0) {
        to->capabilities = base->capabilities;
        to->n_capabilities = base->n_capabilities;
    }
    take(&to->model_format, base->model_format);
    take(&to->model_family, base->model_family);
    take(&to->model_type, base->model_type);
    take(&to->file_type, base->file_type);
    if (to->n_model_families == 0) {
        to->model_families = base->model_families;
        to->n_model_families = base->n_model_families;
    }
}

static enum status from_model(struct creation *c) {
    struct model_name name = *c->spec->from;
    struct manifest m;
    struct store_entry entry;
    const struct builtin *builtin;
    char shown[NAME_TEXT_MAX];
    enum status st = find_base(c, &name, &m, &builtin);
    if (st == ST_OK) st = store_fill_entry(c->store, &name, &m, builtin, &entry, &c->arena, c->e);
    if (st != ST_OK) return st;
    name_shortest(&name, shown);
    const char *from = arena_strndup(&c->arena, shown, strlen(shown));
    if (from == NULL) return err_no_memory(c->e);
    for (size_t i = 0; i < m.n_layers && st == ST_OK; i++)
        st = inherit_layer(c, &m.layers[i], builtin != NULL ? builtin->data[i] : NULL, from);
    if (st == ST_OK) inherit_config(c, &entry.config);
    return st;
}

/* ---- the whole ---- */

enum status create_sources(struct creation *c) {
    const struct store_create_spec *s = c->spec;
    enum status st = s->from != NULL ? from_model(c) : from_files(c);
    if (st == ST_OK && s->n_adapters != 0)
        st = parse_files(c, s->adapters, s->n_adapters, LAYER_ADAPTER);
    if (st == ST_OK && s->n_drafts != 0) st = parse_files(c, s->drafts, s->n_drafts, LAYER_DRAFT);
    return st;
}
