/* pixtral: the encoder of Pixtral 12B and, with a merger, Mistral Small 3.1 (Agrawal et al. 2024):
 * pictures keep their shape, rope by row and column, a row of the vocabulary's [IMG_BREAK] behind
 * each row of the grid. */
#include "engine/vision/projector.h"

enum { MM_1, MM_2, MM_MERGER };

static enum status load_merger(struct projector *p, struct err *e) {
    const uint32_t n = p->hp.n_embd, area = p->hp.merge * p->hp.merge;
    uint32_t n_out = n;
    enum status st = proj_norm(p, "mm.input_norm", n, false, &p->mm_norm, e);
    if (st != ST_OK) return st;
    return proj_matrix(p, "mm.patch_merger", n * area, &n_out, false, &p->mm[MM_MERGER], e);
}

static enum status load(struct projector *p, struct err *e) {
    uint32_t hidden = 0;
    enum status st = p->hp.merge > 1 ? load_merger(p, e) : ST_OK;
    if (st == ST_OK) st = proj_matrix(p, "mm.1", p->hp.n_embd, &hidden, false, &p->mm[MM_1], e);
    if (st == ST_OK) st = proj_matrix(p, "mm.2", hidden, &p->n_out, false, &p->mm[MM_2], e);
    return st == ST_OK ? proj_floats(p, "v.token_embd.img_break", p->n_out, &p->break_row, e) : st;
}

static val tail(const struct projector *p, struct recorder *r, val x) {
    const struct norm_style style = {.kind = NORM_RMS, .eps = p->hp.eps};
    return p->mm_norm.w != NULL ? p_norm(r, "merger_norm", x, p->mm_norm, style) : x;
}

static val head(const struct projector *p, struct recorder *r, val x) {
    if (p->mm[MM_MERGER].w != NULL) x = p_linear1(r, "merged", x, p->mm[MM_MERGER]);
    return vit_mlp(r, x, ACT_GELU, p->mm[MM_1], p->mm[MM_2]);
}

extern const struct vision_type vision_pixtral;
const struct vision_type vision_pixtral = {
    .name = "pixtral",
    .after = "[IMG_END]",
    .pre = PRE_DYNAMIC,
    .filter = RESIZE_BICUBIC,
    .min_tokens = 8,
    .max_tokens = 1024,
    .merge_key = "spatial_merge_size",
    .norm = NORM_RMS,
    .rope = VIT_ROPE_PIXTRAL,
    .gather = GATHER_CHANNELS,
    .load = load,
    .tail = tail,
    .head = head,
};
