/* sources.c - the safetensors files of a folder as one list of sources. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "engine/convert/impl.h"

static bool is_weights(const char *name) {
    return ends_with(name, ".safetensors") && strchr(name, '/') == NULL;
}

/* Formats of other frameworks, which are programs rather than data. */
static bool is_pickle(const char *name) {
    return (starts_with(name, "pytorch_model") && ends_with(name, ".bin")) ||
           (starts_with(name, "consolidated.") && ends_with(name, ".pth"));
}

static struct sft_file *open_shard(struct conversion *c, const struct convert_file *f) {
    struct err e = {0};
    struct sft_file **grown = mem_grow(c->shards, c->n_shards + 1, sizeof *grown);
    if (grown == NULL) {
        convert_fail(c, ST_NO_MEMORY, "out of memory");
        return NULL;
    }
    c->shards = grown;
    struct sft_file **at = &grown[c->n_shards];
    const enum status st = f->path != NULL ? sft_open(at, f->path, f->name, &e)
                                           : sft_open_memory(at, f->data, f->size, f->name, &e);
    if (st != ST_OK) {
        convert_fail(c, e.code, "%s", e.msg);
        return NULL;
    }
    return grown[c->n_shards++];
}

static struct source source_of(const struct sft_tensor *t) {
    struct source s = {
        .orig = t->name, .name = t->name, .t = t, .n_dims = t->n_dims, .n_elems = t->n_elems};
    memcpy(s.dim, t->dim, sizeof s.dim);
    return s;
}

/* The index tells which files there should be: a forgotten one otherwise gives a broken model. */
static void check_index(struct conversion *c) {
    json *index = files_json(c, "model.safetensors.index.json");
    const json *map = json_get(index, "weight_map");
    for (const json *v = json_first(map); v != NULL && !convert_failed(c); v = json_next(v)) {
        const char *file = json_string(v);
        if (file == NULL)
            convert_fail(c, ST_FORMAT,
                         "model.safetensors.index.json: weight_map is no map of names");
        else if (files_find(c, file) == NULL)
            convert_fail(c, ST_INVALID, "missing shard %s", file);
    }
    json_free(index);
}

static void list_tensors(struct conversion *c) {
    size_t n = 0;
    for (size_t i = 0; i < c->n_shards; i++) n += sft_n_tensors(c->shards[i]);
    if (n > SFT_MAX_TENSORS) convert_fail(c, ST_LIMIT, "%zu tensors are too many", n);
    if (convert_failed(c)) return;
    c->sources = convert_zalloc(c, n, sizeof *c->sources);
    if (c->sources == NULL || !map_reserve(&c->source_names, n)) {
        convert_fail(c, ST_NO_MEMORY, "out of memory");
        return;
    }
    for (size_t i = 0; i < c->n_shards; i++) {
        for (size_t k = 0; k < sft_n_tensors(c->shards[i]); k++) {
            const struct sft_tensor *t = sft_tensor_at(c->shards[i], k);
            bool inserted = false;
            if (!map_put(&c->source_names, t->name, strlen(t->name), (uint32_t)c->n_sources,
                         &inserted))
                convert_fail(c, ST_NO_MEMORY, "out of memory");
            else if (!inserted)
                convert_fail(c, ST_FORMAT, "tensor '%s' is in two files", t->name);
            c->sources[c->n_sources++] = source_of(t);
        }
    }
}

void sources_open(struct conversion *c) {
    bool pickle = false;
    for (size_t i = 0; i < c->n_files && !convert_failed(c); i++) {
        pickle = pickle || is_pickle(c->files[i].name);
        if (is_weights(c->files[i].name)) open_shard(c, &c->files[i]);
    }
    if (c->n_shards == 0)
        convert_fail(c, ST_INVALID,
                     pickle ? "unknown tensor format" : "no safetensors files found");
    check_index(c);
    if (!convert_failed(c)) list_tensors(c);
}

struct source *sources_open_one(struct conversion *c, const char *file, const char *name) {
    const struct convert_file *f = files_find(c, file);
    if (f == NULL) {
        convert_fail(c, ST_INVALID, "missing file %s", file);
        return NULL;
    }
    struct sft_file *shard = open_shard(c, f);
    const struct sft_tensor *t = shard != NULL ? sft_find(shard, name) : NULL;
    struct source *s = convert_zalloc(c, 1, sizeof *s);
    if (shard != NULL && t == NULL) convert_fail(c, ST_FORMAT, "%s: no tensor '%s'", file, name);
    if (t == NULL || s == NULL) return NULL;
    *s = source_of(t);
    return s;
}

void source_forget(const struct conversion *c, const struct source *s) {
    for (size_t i = 0; i < c->n_shards && s->t != NULL; i++) sft_forget(c->shards[i], s->t);
}

void sources_rename(struct conversion *c, const struct rename *pairs) {
    for (size_t i = 0; i < c->n_sources && !convert_failed(c); i++)
        c->sources[i].name = names_rename(c, pairs, c->sources[i].orig);
}

void sources_close(struct conversion *c) {
    for (size_t i = 0; i < c->n_shards; i++) sft_close(c->shards[i]);
    mem_free(c->shards);
    map_free(&c->source_names);
}
