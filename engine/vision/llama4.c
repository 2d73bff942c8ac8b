/* llama4: the encoder of Llama 4 (spec/models/vision.md 6): tiles and an overview, a class token
 * behind the patches, rope by column and row, blocks of patches shuffled into one row. Rows come in
 * the order of the grid, as the original has them (note B). */
#include "engine/vision/projector.h"

static enum status load(struct projector *p, struct err *e) {
    uint32_t a = 0, b = 0;
    const uint32_t width = p->hp.n_embd * p->hp.merge * p->hp.merge;
    enum status st = proj_matrix(p, "mm.model.mlp.1", width, &a, false, &p->mm[0], e);
    if (st == ST_OK) st = proj_matrix(p, "mm.model.mlp.2", a, &b, false, &p->mm[1], e);
    return st == ST_OK ? proj_matrix(p, "mm.model.fc", b, &p->n_out, false, &p->mm[2], e) : st;
}

static val head(const struct projector *p, struct recorder *r, val x) {
    x = p_act(r, "act", ACT_GELU, vit_mlp(r, x, ACT_GELU, p->mm[0], p->mm[1]));
    return p_linear1(r, "mm", x, p->mm[2]);
}

extern const struct vision_type vision_llama4;
const struct vision_type vision_llama4 = {
    .name = "llama4",
    .before = "<|image_start|>",
    .after = "<|image_end|>",
    .pre = PRE_TILES,
    .filter = RESIZE_BICUBIC,
    .merge_key = "projector.scale_factor",
    .merge = 2,
    .max_side_tiles = 3,
    .norm = NORM_LAYER,
    .positions = POS_TABLE,
    .class_token = CLASS_LAST,
    .rope = VIT_ROPE_LLAMA4,
    .load = load,
    .head = head,
};
