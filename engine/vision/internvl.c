/* internvl: InternVL 2 to 3.5 (Chen et al. 2024): tiles and an overview, a class token, layer
 * scale, blocks of patches shuffled into one row. The 6B encoder has RMS norms. */
#include "engine/vision/projector.h"

static enum status load(struct projector *p, struct err *e) {
    uint32_t hidden = 0;
    const uint32_t width = p->hp.n_embd * p->hp.merge * p->hp.merge;
    if (p->hp.n_embd == 3200 && p->hp.n_layer == 45) p->norm = NORM_RMS;
    enum status st = proj_norm(p, "mm.model.mlp.0", width, false, &p->mm_norm, e);
    if (st == ST_OK) st = proj_matrix(p, "mm.model.mlp.1", width, &hidden, false, &p->mm[0], e);
    if (st != ST_OK) return st;
    return proj_matrix(p, "mm.model.mlp.3", hidden, &p->n_out, false, &p->mm[1], e);
}

static val head(const struct projector *p, struct recorder *r, val x) {
    const struct norm_style style = {.kind = NORM_LAYER, .eps = 1e-5f};
    x = p_norm(r, "norm", x, p->mm_norm, style);
    return vit_mlp(r, x, ACT_GELU, p->mm[0], p->mm[1]);
}

extern const struct vision_type vision_internvl;
const struct vision_type vision_internvl = {
    .name = "internvl",
    .before = "<img>",
    .after = "</img>",
    .pre = PRE_TILES,
    .filter = RESIZE_BICUBIC,
    .merge_key = "projector.scale_factor",
    .merge = 2,
    .norm = NORM_LAYER,
    .positions = POS_TABLE,
    .class_token = CLASS_LAST,
    .load = load,
    .head = head,
};
