/* keys.c - the metadata pairs of the output. */
#include <string.h>

#include "base/mem.h"
#include "engine/convert/impl.h"

static const char *full_key(struct conversion *c, const char *key) {
    static const char *const plain[] = {"general.", "tokenizer.", "adapter.", "clip."};
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        if (starts_with(key, plain[i])) return key;
    return convert_text(c, "%s.%s", c->arch_name, key);
}

void put_u32(struct conversion *c, const char *key, uint32_t v) {
    gguf_put_u32(c->writer[c->target], full_key(c, key), v);
}

void put_f32(struct conversion *c, const char *key, double v) {
    gguf_put_f32(c->writer[c->target], full_key(c, key), (float)v);
}

void put_bool(struct conversion *c, const char *key, bool v) {
    gguf_put_bool(c->writer[c->target], full_key(c, key), v);
}

void put_str(struct conversion *c, const char *key, const char *v) {
    gguf_put_text(c->writer[c->target], full_key(c, key), v);
}

void put_array(struct conversion *c, const char *key, enum gguf_type elem, size_t n,
               const void *elems) {
    gguf_put_array(c->writer[c->target], full_key(c, key), elem, n, elems);
}

/* A list of numbers of the config as i32 or f32. */
static void put_list(struct conversion *c, const struct key_row *r) {
    const json *list = cfg(c, r->from);
    const bool ints = r->kind == K_I32S_IF;
    const size_t n = json_len(list);
    if (list == NULL) return;
    if (json_kind(list) != JSON_ARRAY) {
        convert_fail(c, ST_INVALID, "parse config.json for \"%s\": %s is a %s, not a list",
                     c->arch_name, r->from, json_kind_name(list));
        return;
    }
    int32_t *i32 = convert_zalloc(c, n, sizeof *i32);
    float *f32 = convert_zalloc(c, n, sizeof *f32);
    if (i32 == NULL || f32 == NULL) return;
    size_t i = 0;
    for (const json *v = json_first(list); v != NULL; v = json_next(v), i++) {
        double x = 0;
        if (!json_number(v, &x) || (ints && (x < INT32_MIN || x > INT32_MAX)))
            convert_fail(c, ST_INVALID,
                         "parse config.json for \"%s\": %s has an element that is no"
                         " such number",
                         c->arch_name, r->from);
        else if (ints)
            i32[i] = (int32_t)x;
        else
            f32[i] = (float)x;
    }
    put_array(c, r->key, ints ? GGUF_I32 : GGUF_F32, n, ints ? (void *)i32 : (void *)f32);
}

static void put_row(struct conversion *c, const struct key_row *r) {
    const bool there = cfg(c, r->from) != NULL;
    switch (r->kind) {
    case K_U32_HAS:
        if (!there) return; /* fallthrough */
    case K_U32:
        put_u32(c, r->key, cfg_u32(c, r->from));
        return;
    case K_U32_IF:
        if (cfg_num(c, r->from) != 0) put_u32(c, r->key, cfg_u32(c, r->from));
        return;
    case K_F32_HAS:
        if (!there) return; /* fallthrough */
    case K_F32:
        put_f32(c, r->key, cfg_num(c, r->from));
        return;
    case K_F32_IF:
        if (cfg_num(c, r->from) != 0) put_f32(c, r->key, cfg_num(c, r->from));
        return;
    case K_BOOL_IF:
        if (!there) return; /* fallthrough */
    case K_BOOL:
        put_bool(c, r->key, cfg_bool(c, r->from));
        return;
    case K_STR_IF:
        if (cfg_str(c, r->from)[0] == '\0') return; /* fallthrough */
    case K_STR:
        put_str(c, r->key, cfg_str(c, r->from));
        return;
    case K_I32S_IF:
    case K_F32S_IF:
        put_list(c, r);
        return;
    }
}

void keys_put(struct conversion *c, const struct key_row *rows) {
    for (const struct key_row *r = rows; r != NULL && r->key != NULL && !convert_failed(c); r++)
        put_row(c, r);
}

void put_layer_types(struct conversion *c) {
    const json *types = cfg(c, "layer_types");
    const size_t n = json_len(types);
    bool *local = convert_zalloc(c, n, sizeof *local);
    if (json_kind(types) != JSON_ARRAY || n == 0 || local == NULL) return;
    size_t i = 0;
    for (const json *v = json_first(types); v != NULL; v = json_next(v)) {
        const char *type = json_string(v);
        local[i++] = type != NULL && strcmp(type, "sliding_attention") == 0;
    }
    put_array(c, "attention.sliding_window_pattern", GGUF_BOOL, n, local);
}
