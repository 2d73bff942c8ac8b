/* projector.c - from a "clip" file to a projector: its type, and hyper-parameters by a table with
 * their ranges (projector.h). Tensors are in projector_tensors.c. */
#include "engine/vision/projector.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "engine/vision/combined.h"

#define TYPE(symbol) extern const struct vision_type vision_##symbol;
#include "engine/vision/types.def"
#undef TYPE

const struct vision_type *const vision_types[] = {
#define TYPE(symbol) &vision_##symbol,
#include "engine/vision/types.def"
#undef TYPE
    NULL,
};

/* ---- hyper-parameters -------------------------------------------------------------------------
 */

enum { MAX_EMBD = 1 << 16, MAX_HEAD = 4096, MAX_SIDE = 4096 };

struct key_spec {
    const char *key; /* behind "clip.vision." */
    size_t offset;   /* in struct vit_hparams */
    bool is_float, required;
    double low, high;
};
#define KEY(key_, field, required_, low_, high_)                                                   \
    {                                                                                              \
        .key = key_, .offset = offsetof(struct vit_hparams, field), .required = required_,         \
        .low = low_, .high = high_                                                                 \
    }
static const struct key_spec keys[] = {
    KEY("embedding_length", n_embd, true, 1, MAX_EMBD),
    KEY("feed_forward_length", n_ff, true, 1, 1 << 20),
    KEY("block_count", n_layer, true, 1, 512),
    KEY("attention.head_count", n_head, true, 1, MAX_HEAD),
    KEY("attention.head_count_kv", n_head_kv, false, 1, MAX_HEAD),
    KEY("attention.head_dim", head_dim, false, 1, 1024),
    KEY("projection_dim", n_proj, true, 1, 1 << 20),
    KEY("image_size", image_size, true, 1, MAX_SIDE),
    KEY("patch_size", patch, true, 1, 256),
    KEY("n_wa_pattern", full_every, false, 0, 512),
    KEY("image_min_pixels", min_pixels, false, 1, MAX_SIDE *MAX_SIDE),
    KEY("image_max_pixels", max_pixels, false, 1, MAX_SIDE *MAX_SIDE),
    KEY("preproc_min_tiles", min_tiles, false, 1, MAX_TILES),
    KEY("preproc_max_tiles", max_tiles, false, 1, MAX_TILES),
    KEY("preproc_image_size", long_side, false, 1, MAX_SIDE),
    {.key = "attention.layer_norm_epsilon",
     .offset = offsetof(struct vit_hparams, eps),
     .is_float = true,
     .required = true,
     .low = 0,
     .high = 1},
};

enum { KEY_SIZE = 96 };
static const char *full_key(const char *suffix, char *out) {
    snprintf(out, KEY_SIZE, "clip.vision.%s", suffix);
    return out;
}

static enum status key_error(const char *suffix, double x, double low, double high, struct err *e) {
    return err_set(e, ST_FORMAT, "key clip.vision.%s is %g, expected %g to %g", suffix, x, low,
                   high);
}

static enum status read_key(struct projector *p, const struct key_spec *s, struct err *e) {
    char key[KEY_SIZE];
    void *to = (char *)&p->hp + s->offset;
    if (gguf_find(p->gguf, full_key(s->key, key)) == NULL)
        return s->required ? err_set(e, ST_FORMAT, "key not found in projector: %s", key) : ST_OK;
    enum status st =
        s->is_float ? gguf_get_f32(p->gguf, key, to, e) : gguf_get_u32(p->gguf, key, to, e);
    if (st != ST_OK) return st;
    const double x = s->is_float ? (double)*(float *)to : *(uint32_t *)to;
    return x >= s->low && x <= s->high ? ST_OK : key_error(s->key, x, s->low, s->high, e);
}

static enum status read_colour(struct projector *p, const char *suffix, float out[3],
                               struct err *e) {
    char key[KEY_SIZE];
    const struct gguf_kv *kv = gguf_find(p->gguf, full_key(suffix, key));
    if (kv == NULL) return err_set(e, ST_FORMAT, "key not found in projector: %s", key);
    if (kv->type != GGUF_ARRAY || kv->count != 3 || !gguf_is_float(kv->elem))
        return err_set(e, ST_FORMAT, "key %s is no array of three floats", key);
    for (uint64_t i = 0; i < 3; i++) {
        const double x = gguf_elem_float(kv, i);
        if (!(x >= -1e4 && x <= 1e4)) return key_error(suffix, x, -1e4, 1e4, e);
        out[i] = (float)x;
    }
    return ST_OK;
}

/* An optional array of at most `most` integers from low to high. */
static enum status read_ints(struct projector *p, const char *suffix, uint32_t most, int64_t low,
                             int64_t high, uint32_t *out, uint32_t *n, struct err *e) {
    char key[KEY_SIZE];
    const struct gguf_kv *kv = gguf_find(p->gguf, full_key(suffix, key));
    *n = 0;
    if (kv == NULL) return ST_OK;
    if (kv->type != GGUF_ARRAY || !gguf_is_int(kv->elem))
        return err_set(e, ST_FORMAT, "key %s is no array of integers", key);
    if (kv->count > most)
        return err_set(e, ST_FORMAT, "key %s has %" PRIu64 " entries, expected at most %u", key,
                       kv->count, most);
    for (; *n < kv->count; ++*n) {
        const int64_t x = gguf_elem_int(kv, *n);
        if (x < low || x > high) return key_error(suffix, (double)x, (double)low, (double)high, e);
        out[*n] = (uint32_t)x;
    }
    return ST_OK;
}

static enum status read_act(struct projector *p, struct err *e) {
    bool gelu = false, silu = false;
    enum status st = gguf_get_bool(p->gguf, "clip.use_gelu", &gelu, e);
    if (st == ST_OK || st == ST_NOT_FOUND) st = gguf_get_bool(p->gguf, "clip.use_silu", &silu, e);
    p->act = gelu ? ACT_GELU : silu ? ACT_SILU : ACT_GELU_QUICK;
    return st == ST_NOT_FOUND ? ST_OK : st;
}

static enum status read_merge(struct projector *p, struct err *e) {
    char key[KEY_SIZE];
    p->hp.merge = p->type->merge != 0 ? p->type->merge : 1;
    if (p->type->merge_key == NULL) return ST_OK;
    enum status st = gguf_get_u32(p->gguf, full_key(p->type->merge_key, key), &p->hp.merge, e);
    if (st == ST_NOT_FOUND) return ST_OK;
    if (st == ST_OK && (p->hp.merge < 1 || p->hp.merge > 16))
        st = key_error(p->type->merge_key, p->hp.merge, 1, 16, e);
    return st;
}

static enum status read_lists(struct projector *p, struct err *e) {
    struct vit_hparams *hp = &p->hp;
    uint32_t n = 0;
    enum status st = read_colour(p, "image_mean", hp->mean, e);
    if (st == ST_OK) st = read_colour(p, "image_std", hp->std, e);
    for (int c = 0; st == ST_OK && c < 3; c++)
        if (!(hp->std[c] >= 1e-6f)) st = key_error("image_std", (double)hp->std[c], 1e-6, 1e4, e);
    if (st == ST_OK && p->type->features)
        st = read_ints(p, "feature_layer", VIT_MAX_FEATURES, 0, hp->n_layer, hp->feature,
                       &hp->n_feature, e);
    if (st == ST_OK)
        st = read_ints(p, "image_grid_pinpoints", 2 * MAX_TILES, 1, MAX_SIDE, hp->grid, &n, e);
    hp->n_grid = n / 2;
    return st;
}

/* ---- what follows from the keys ---------------------------------------------------------------
 */

static enum status check_grid(const struct projector *p, struct err *e) {
    const struct vit_hparams *hp = &p->hp;
    const uint64_t side = hp->image_size / hp->patch;
    if (p->type->pre == PRE_DYNAMIC) return ST_OK;
    if (side == 0 || side % hp->merge != 0 || hp->image_size % hp->patch != 0)
        return err_set(e, ST_FORMAT,
                       "key clip.vision.image_size is %u, which is no multiple of %u patches of %u",
                       hp->image_size, hp->merge, hp->patch);
    if (side * side > VIT_MAX_ROWS)
        return err_set(e, ST_LIMIT, "key clip.vision.patch_size is %u: more than %d patches",
                       hp->patch, VIT_MAX_ROWS);
    if (p->type->pre == PRE_TILES &&
        (uint64_t)hp->image_size * hp->image_size * hp->max_tiles > 1 << 27)
        return err_set(e, ST_LIMIT, "key clip.vision.preproc_max_tiles is %u, of %u pixels a side",
                       hp->max_tiles, hp->image_size);
    const uint64_t across = ((uint64_t)hp->long_side + hp->image_size - 1) / hp->image_size;
    if (p->type->pre == PRE_SPLIT && (across * across > MAX_TILES ||
                                      across * across * hp->image_size * hp->image_size > 1 << 27))
        return err_set(e, ST_LIMIT, "key clip.vision.preproc_image_size is %u, of %u pixels a tile",
                       hp->long_side, hp->image_size);
    for (uint32_t i = 0; i < hp->n_grid; i++) {
        const uint32_t w = hp->grid[2 * i], h = hp->grid[2 * i + 1];
        if (w % hp->image_size == 0 && h % hp->image_size == 0 &&
            (w / hp->image_size) * (h / hp->image_size) <= MAX_TILES)
            continue;
        return err_set(e, ST_FORMAT,
                       "key clip.vision.image_grid_pinpoints has %ux%u, which is not 1 to %d "
                       "tiles of %u",
                       w, h, MAX_TILES, hp->image_size);
    }
    return ST_OK;
}

/* Of a picture that keeps its shape: the caller's limits, the file's, the type's. */
static enum status set_pixels(struct projector *p, const struct cria_vision_params *params,
                              struct err *e) {
    const struct vit_hparams *hp = &p->hp;
    const uint64_t unit = (uint64_t)hp->patch * hp->merge, row = unit * unit;
    const uint64_t patch = (uint64_t)hp->patch * hp->patch;
    if (p->type->pre != PRE_DYNAMIC) return ST_OK;
    p->min_pixels = hp->min_pixels != 0 ? hp->min_pixels : p->type->min_tokens * row;
    p->max_pixels = hp->max_pixels != 0 ? hp->max_pixels : p->type->max_tokens * row;
    if (p->max_pixels / patch > VIT_MAX_ROWS) p->max_pixels = VIT_MAX_ROWS * patch;
    if (params != NULL && params->image_min_tokens != 0)
        p->min_pixels = params->image_min_tokens * row;
    if (params != NULL && params->image_max_tokens != 0)
        p->max_pixels = params->image_max_tokens * row;
    if (p->max_pixels < row || p->min_pixels > p->max_pixels)
        return err_set(e, ST_INVALID,
                       "an image of %" PRIu64 " to %" PRIu64 " pixels is not possible with rows of "
                       "%" PRIu64 " pixels",
                       p->min_pixels, p->max_pixels, row);
    if (p->max_pixels / patch > VIT_MAX_ROWS)
        return err_set(e, ST_LIMIT, "images of up to %" PRIu64 " pixels have more than %d patches",
                       p->max_pixels, VIT_MAX_ROWS);
    return ST_OK;
}

static enum status derive(struct projector *p, const struct cria_vision_params *params,
                          struct err *e) {
    struct vit_hparams *hp = &p->hp;
    if (hp->n_head_kv == 0) hp->n_head_kv = hp->n_head;
    if (hp->head_dim == 0) hp->head_dim = hp->n_embd / hp->n_head;
    if (hp->head_dim == 0 || (p->type->rope != VIT_ROPE_NONE && hp->head_dim % 4 != 0))
        return err_set(e, ST_FORMAT, "key clip.vision.attention.head_count is %u: heads of %u",
                       hp->n_head, hp->head_dim);
    if (hp->n_head % hp->n_head_kv != 0)
        return err_set(e, ST_FORMAT,
                       "key clip.vision.attention.head_count_kv is %u, which does not divide %u",
                       hp->n_head_kv, hp->n_head);
    if (hp->max_tiles == 0) hp->max_tiles = 12;
    if (hp->min_tiles == 0) hp->min_tiles = 1;
    if (hp->long_side == 0) hp->long_side = 4 * hp->image_size;
    if (hp->min_tiles > hp->max_tiles)
        return key_error("preproc_min_tiles", hp->min_tiles, 1, hp->max_tiles, e);
    if (p->type->blocks && hp->merge != 2)
        return err_set(e, ST_UNSUPPORTED, "key clip.vision.%s is %u: only 2 is supported",
                       p->type->merge_key, hp->merge);
    if (p->type->windows && hp->full_every != 0 && WINDOW_PIXELS / hp->patch < hp->merge)
        return err_set(e, ST_UNSUPPORTED, "key clip.vision.patch_size is %u: windows of %d pixels",
                       hp->patch, WINDOW_PIXELS);
    p->norm = p->type->norm;
    p->n_run = hp->n_layer;
    p->layers = arena_zalloc(&p->arena, hp->n_layer, sizeof *p->layers);
    if (p->layers == NULL) return err_no_memory(e);
    enum status st = check_grid(p, e);
    return st == ST_OK ? set_pixels(p, params, e) : st;
}

static const struct vision_type *type_of(struct gguf_str name) {
    for (const struct vision_type *const *t = vision_types; *t != NULL; t++)
        if (gguf_str_is(name, (*t)->name)) return *t;
    return NULL;
}

/* Of a "clip" file; very old ones do not say it, they are LLaVA's. */
static enum status type_name(const struct gguf *g, struct gguf_str *out, struct err *e) {
    *out = (struct gguf_str){"mlp", 3};
    enum status st = gguf_get_str(g, "clip.projector_type", out, e);
    if (st == ST_NOT_FOUND) st = gguf_get_str(g, "clip.vision.projector_type", out, e);
    return st == ST_NOT_FOUND ? ST_OK : st;
}

static enum status find_type(struct projector *p, struct err *e) {
    struct gguf_str arch = {"", 0}, name;
    bool vision = false, audio = false;
    enum status st = gguf_get_str(p->gguf, "general.architecture", &arch, e);
    if (st != ST_OK && st != ST_NOT_FOUND) return st;
    if (!gguf_str_is(arch, "clip"))
        return err_set(e, ST_UNSUPPORTED, "architecture '%.*s' is no projector",
                       (int)(arch.len < 64 ? arch.len : 64), arch.ptr);
    st = gguf_get_bool(p->gguf, "clip.has_vision_encoder", &vision, e);
    if (st != ST_OK && st != ST_NOT_FOUND) return st;
    if (!vision && gguf_get_bool(p->gguf, "clip.has_audio_encoder", &audio, NULL) == ST_OK && audio)
        return err_set(e, ST_UNSUPPORTED,
                       "the projector has an audio encoder only, and audio is not supported");
    if (!vision) return err_set(e, ST_UNSUPPORTED, "the projector has no image encoder");
    st = type_name(p->gguf, &name, e);
    if (st != ST_OK) return st;
    p->type = type_of(name);
    if (p->type != NULL) return ST_OK;
    return err_set(e, ST_UNSUPPORTED, "projector type '%.*s' is not supported",
                   (int)(name.len < 64 ? name.len : 64), name.ptr);
}

const char *cria_vision_notice(const struct gguf *g) {
    struct gguf_str arch = {"", 0}, name = {"", 0};
    gguf_get_str(g, "general.architecture", &arch, NULL);
    if (!gguf_str_is(arch, "clip"))
        name = combined_type(g);
    else if (type_name(g, &name, NULL) != ST_OK)
        return NULL;
    const struct vision_type *t = type_of(name);
    if (t == NULL || !t->experimental) return NULL;
    return "experimental: the image encoder is implemented from an unverified description; its "
           "results were never compared with another implementation's";
}

/* ---- the whole --------------------------------------------------------------------------------
 */

uint32_t projector_max_rows(const struct projector *p) {
    const struct vit_hparams *hp = &p->hp;
    const uint64_t unit = (uint64_t)hp->patch * hp->merge;
    const uint64_t side = hp->image_size / unit;
    if (p->type->pre != PRE_DYNAMIC) return (uint32_t)(side * side);
    const uint64_t rows = p->max_pixels / (unit * unit);
    return (uint32_t)(p->break_row != NULL ? 2 * rows : rows); /* at worst one behind each */
}

static enum status load(struct projector *p, const struct cria_vision_params *params,
                        struct err *e) {
    enum status st = combined_translate(p->gguf, e);
    if (st == ST_OK) st = find_type(p, e);
    for (size_t i = 0; st == ST_OK && i < sizeof keys / sizeof keys[0]; i++)
        st = read_key(p, &keys[i], e);
    if (st == ST_OK) st = read_act(p, e);
    if (st == ST_OK) st = read_merge(p, e);
    if (st == ST_OK) st = read_lists(p, e);
    if (st == ST_OK) st = derive(p, params, e);
    return st == ST_OK ? projector_load_tensors(p, e) : st;
}

enum status projector_load(struct projector **out, struct gguf *g, struct device *dev,
                           const struct cria_vision_params *params, struct err *e) {
    struct projector *p = mem_zalloc(1, sizeof *p);
    if (p == NULL) {
        gguf_close(g);
        return err_no_memory(e);
    }
    p->gguf = g;
    p->dev = dev;
    enum status st = load(p, params, e);
    if (st != ST_OK) {
        err_wrap(e, "%s", gguf_label(g));
        projector_free(p);
        return st;
    }
    *out = p;
    return ST_OK;
}

void projector_free(struct projector *p) {
    if (p == NULL) return;
    for (size_t i = 0; i < p->n_dev_mem; i++) p->dev->backend->release(p->dev, p->dev_mem[i]);
    mem_free(p->dev_mem);
    arena_free(&p->arena);
    gguf_close(p->gguf);
    mem_free(p);
}
