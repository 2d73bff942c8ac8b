/* gemma3: the SigLIP encoder of Gemma 3 (spec/models/vision.md 6): blocks of patches are averaged,
 * normed and projected; the rows of an image see each other in the text model. */
#include "engine/vision/projector.h"

static enum status load(struct projector *p, struct err *e) {
    enum status st = proj_norm(p, "mm.soft_emb_norm", p->hp.n_embd, false, &p->mm_norm, e);
    if (st != ST_OK) return st;
    return proj_transposed(p, "mm.input_projection", p->hp.n_embd, &p->n_out, &p->mm[0], e);
}

static val head(const struct projector *p, struct recorder *r, val x) {
    const struct norm_style style = {.kind = NORM_RMS, .eps = p->hp.eps};
    return p_linear1(r, "mm", p_norm(r, "norm", x, p->mm_norm, style), p->mm[0]);
}

extern const struct vision_type vision_gemma3;
const struct vision_type vision_gemma3 = {
    .name = "gemma3",
    .before = "<start_of_image>",
    .after = "<end_of_image>",
    .pre = PRE_FIXED,
    .filter = RESIZE_BILINEAR,
    .merge_key = "projector.scale_factor",
    .merge = 4,
    .norm = NORM_LAYER,
    .positions = POS_TABLE,
    .gather = GATHER_MEAN,
    .swapped_ffn = true,
    .non_causal = true,
    .load = load,
    .head = head,
};
