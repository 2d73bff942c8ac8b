/* llava: LLaVA 1.5 and 1.6, BakLLaVA, Moondream and others with type "mlp" (Liu et al. 2023):
 * CLIP's encoder without its last layer, then two matrices. The class token stands first in the
 * table of positions, as CLIP has it (spec/models/vision.md note A), and its row is dropped. */
#include "engine/vision/projector.h"

static enum status load(struct projector *p, struct err *e) {
    const struct vit_hparams *hp = &p->hp;
    uint32_t hidden = 0, width = hp->n_embd, deepest = 0;
    for (uint32_t i = 0; i < hp->n_feature; i++)
        if (hp->feature[i] > deepest) deepest = hp->feature[i];
    p->n_run = hp->n_feature != 0 ? deepest : hp->n_layer - 1;
    if (hp->n_feature != 0) width *= hp->n_feature;
    enum status st = proj_matrix(p, "mm.0", width, &hidden, false, &p->mm[0], e);
    p->n_out = 0;
    if (st == ST_OK) st = proj_matrix(p, "mm.2", hidden, &p->n_out, true, &p->mm[1], e);
    if (p->mm[1].w == NULL) p->n_out = hidden;
    return st;
}

static val head(const struct projector *p, struct recorder *r, val x) {
    if (p->mm[1].w == NULL) return p_linear1(r, "mm", x, p->mm[0]);
    return vit_mlp(r, x, ACT_GELU, p->mm[0], p->mm[1]);
}

extern const struct vision_type vision_mlp;
const struct vision_type vision_mlp = {
    .name = "mlp",
    .pre = PRE_FIXED,
    .filter = RESIZE_BICUBIC,
    .border = {122, 116, 104},
    .norm = NORM_LAYER,
    .positions = POS_TABLE,
    .class_token = CLASS_FIRST,
    .swapped_ffn = true,
    .pinpoints = true,
    .load = load,
    .head = head,
};
