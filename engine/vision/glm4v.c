/* glm4v: the encoder of GLM-4.1V, 4.5V and GLM-OCR (GLM-V Team 2025, arXiv 2507.01006). After
 * AIMv2: RMS norms and gated MLPs; the kernel of two frames, rope by row and column and
 * two-dimensional positions in the text model as in Qwen 2 VL; a table of positions resized to the
 * picture (GLM-OCR has none); a convolution of stride 2 puts neighbours together.
 *
 * Experimental: spec/models/vision.md describes it in one unverified line; the rest is from the
 * paper and the model as published (modules visual.post_conv_layernorm, visual.downsample,
 * visual.merger). Nobody has compared its rows with another implementation's. */
#include "engine/vision/projector.h"

enum { MM_MERGER, MM_FC, MM_GATE, MM_UP, MM_DOWN };

static enum status load_merger(struct projector *p, uint32_t *n, struct err *e) {
    enum status st = proj_kernel(p, "mm.patch_merger.weight", p->hp.merge, p->hp.n_embd, n,
                                 &p->mm[MM_MERGER].w, e);
    if (st != ST_OK) return st;
    return proj_vector(p, "mm.patch_merger.bias", *n, &p->mm[MM_MERGER].b, e);
}

static enum status load(struct projector *p, struct err *e) {
    uint32_t n = 0, wide = 0, n_ff = 0;
    if (p->act == ACT_GELU_QUICK) p->act = ACT_SILU; /* the file does not say */
    enum status st = load_merger(p, &n, e);
    if (st == ST_OK) st = proj_matrix(p, "mm.model.fc", n, &wide, false, &p->mm[MM_FC], e);
    if (st == ST_OK) st = proj_norm(p, "mm.post_norm", wide, false, &p->mm_norm, e);
    if (st == ST_OK) st = proj_matrix(p, "mm.gate", wide, &n_ff, false, &p->mm[MM_GATE], e);
    if (st == ST_OK) st = proj_matrix(p, "mm.up", wide, &n_ff, false, &p->mm[MM_UP], e);
    if (st != ST_OK) return st;
    return proj_matrix(p, "mm.down", n_ff, &p->n_out, false, &p->mm[MM_DOWN], e);
}

static val head(const struct projector *p, struct recorder *r, val x) {
    const struct norm_style style = {.kind = NORM_LAYER, .eps = 1e-5f};
    x = p_linear1(r, "mm", p_linear1(r, "merged", x, p->mm[MM_MERGER]), p->mm[MM_FC]);
    x = p_act(r, "act", ACT_GELU_ERF, p_norm(r, "norm", x, p->mm_norm, style));
    val up = p_linear1(r, "up", x, p->mm[MM_UP]);
    x = p_glu(r, "glu", ACT_SILU, p_linear1(r, "gate", x, p->mm[MM_GATE]), up);
    return p_linear1(r, "mm", x, p->mm[MM_DOWN]);
}

extern const struct vision_type vision_glm4v;
const struct vision_type vision_glm4v = {
    .name = "glm4v",
    .before = "<|begin_of_image|>",
    .after = "<|end_of_image|>",
    .pre = PRE_DYNAMIC,
    .filter = RESIZE_BICUBIC,
    .min_tokens = 8,
    .max_tokens = 4096,
    .merge_key = "spatial_merge_size",
    .merge = 2,
    .norm = NORM_RMS,
    .positions = POS_BICUBIC,
    .rope = VIT_ROPE_VISION,
    .gather = GATHER_CHANNELS,
    .two_frames = true,
    .patch_norm = true,
    .mrope = true,
    .experimental = true,
    .load = load,
    .head = head,
};
