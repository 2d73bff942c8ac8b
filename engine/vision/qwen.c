/* qwen2vl_merger, qwen2.5vl_merger, qwen3vl_merger: the encoders of Qwen 2, 2.5 and 3 VL (Wang et
 * al. 2024, Bai et al. 2025): pictures keep their shape, rope by row and column, four neighbours
 * become one row, and rows have two-dimensional positions in the text model, too. 2.5 has windows
 * in most layers; 3 has a table of positions that is resized to the picture, and DeepStack: states
 * of early layers for the first layers of the text model, behind each row. */
#include <stdio.h>

#include "engine/vision/projector.h"

enum { BLOCK = 4 }; /* patches of a row: derive() has checked it */

static enum status load(struct projector *p, struct err *e) {
    uint32_t hidden = 0;
    enum status st = proj_matrix(p, "mm.0", BLOCK * p->hp.n_embd, &hidden, false, &p->mm[0], e);
    return st == ST_OK ? proj_matrix(p, "mm.2", hidden, &p->n_out, false, &p->mm[1], e) : st;
}

static val head(const struct projector *p, struct recorder *r, val x) {
    return vit_mlp(r, x, ACT_GELU, p->mm[0], p->mm[1]);
}

/* ---- Qwen 3 -----------------------------------------------------------------------------------
 */

static enum status load_deep(struct projector *p, uint32_t il, struct err *e) {
    struct vit_layer *l = &p->layers[il];
    const uint32_t n = BLOCK * p->hp.n_embd;
    uint32_t hidden = 0, n_out = p->n_out;
    char name[64];
    snprintf(name, sizeof name, "v.deepstack.%u.norm", il);
    enum status st = proj_norm(p, name, n, false, &l->deep_norm, e);
    snprintf(name, sizeof name, "v.deepstack.%u.fc1", il);
    if (st == ST_OK) st = proj_matrix(p, name, n, &hidden, false, &l->deep_fc1, e);
    snprintf(name, sizeof name, "v.deepstack.%u.fc2", il);
    return st == ST_OK ? proj_matrix(p, name, hidden, &n_out, false, &l->deep_fc2, e) : st;
}

/* By the file's flags; without them, where there are tensors. */
static bool is_deep(const struct projector *p, const struct gguf_kv *flags, uint32_t il) {
    char name[64];
    if (flags != NULL) return il < flags->count && gguf_elem_int(flags, il) != 0;
    snprintf(name, sizeof name, "v.deepstack.%u.fc1.weight", il);
    return gguf_find_tensor(p->gguf, name) != NULL;
}

static enum status load3(struct projector *p, struct err *e) {
    static const char key[] = "clip.vision.is_deepstack_layers";
    const struct gguf_kv *flags = gguf_find(p->gguf, key);
    enum status st = load(p, e);
    if (st == ST_OK && flags != NULL &&
        (flags->type != GGUF_ARRAY || (flags->elem != GGUF_BOOL && !gguf_is_int(flags->elem))))
        return err_set(e, ST_FORMAT, "key %s is no array of bools", key);
    for (uint32_t il = 0; st == ST_OK && il < p->hp.n_layer; il++) {
        if (!is_deep(p, flags, il)) continue;
        if (++p->n_deep > MAX_DEEP)
            return err_set(e, ST_LIMIT, "key %s has more than %d layers", key, MAX_DEEP);
        st = load_deep(p, il, e);
    }
    p->n_out *= 1 + p->n_deep;
    return st;
}

static val head3(const struct projector *p, struct recorder *r, val x) {
    const uint32_t n = BLOCK * p->hp.n_embd;
    const struct norm_style style = {.kind = NORM_LAYER, .eps = p->hp.eps};
    val y = vit_mlp(r, p_slice(r, "merged", x, 0, n), ACT_GELU, p->mm[0], p->mm[1]);
    uint32_t k = 1;
    for (uint32_t il = 0; il < p->hp.n_layer; il++) {
        const struct vit_layer *l = &p->layers[il];
        if (l->deep_fc1.w == NULL) continue;
        val d = p_norm(r, "norm", p_slice(r, "deep", x, k++ * n, n), l->deep_norm, style);
        d = vit_mlp(r, d, ACT_GELU, l->deep_fc1, l->deep_fc2);
        y = p_concat(r, "rows", 2, (const val[]){y, d});
    }
    return y;
}

#define QWEN                                                                                       \
    .before = "<|vision_start|>", .after = "<|vision_end|>", .pre = PRE_DYNAMIC,                   \
    .filter = RESIZE_BICUBIC, .min_tokens = 8, .max_tokens = 4096,                                 \
    .merge_key = "spatial_merge_size", .merge = 2, .rope = VIT_ROPE_VISION, .two_frames = true,    \
    .blocks = true, .mrope = true

extern const struct vision_type vision_qwen2vl, vision_qwen25vl, vision_qwen3vl;
const struct vision_type vision_qwen2vl = {
    .name = "qwen2vl_merger",
    QWEN,
    .norm = NORM_LAYER,
    .swapped_ffn = true,
    .load = load,
    .head = head,
};
const struct vision_type vision_qwen25vl = {
    .name = "qwen2.5vl_merger",
    QWEN,
    .norm = NORM_RMS,
    .swapped_ffn = true,
    .windows = true,
    .load = load,
    .head = head,
};
const struct vision_type vision_qwen3vl = {
    .name = "qwen3vl_merger",
    QWEN,
    .norm = NORM_LAYER,
    .positions = POS_BILINEAR,
    .load = load3,
    .head = head3,
};
