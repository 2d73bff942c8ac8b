/* gemma4v: the encoder of Gemma 4 (spec/models/vision.md 6): pictures keep their shape, positions
 * by column and by row, norms on queries, keys and values; averaged blocks are standardised. */
#include <math.h>

#include "engine/vision/projector.h"

static enum status load(struct projector *p, struct err *e) {
    static const char name[] = "mm.input_projection";
    const uint32_t n = p->hp.n_embd;
    enum status st = proj_floats(p, "v.std_bias", n, &p->std_bias, e);
    if (st == ST_OK) st = proj_floats(p, "v.std_scale", n, &p->std_scale, e);
    if (st == ST_OK && (p->std_bias != NULL) != (p->std_scale != NULL))
        st = err_set(e, ST_FORMAT, "missing tensor '%s'",
                     p->std_bias == NULL ? "v.std_bias" : "v.std_scale");
    if (st != ST_OK) return st;
    st = proj_matrix(p, name, n, &p->n_out, false, &p->mm_limited.m, e);
    return st == ST_OK ? proj_limits(p, name, &p->mm_limited, e) : st;
}

static void gathered(const struct projector *p, float *row, size_t n) {
    const float scale = sqrtf((float)n);
    for (size_t i = 0; i < n; i++) row[i] *= scale;
    for (size_t i = 0; p->std_bias != NULL && i < n; i++)
        row[i] = (row[i] - p->std_bias[i]) * p->std_scale[i];
}

static val head(const struct projector *p, struct recorder *r, val x) {
    const struct norm_style style = {.kind = NORM_RMS, .eps = p->hp.eps};
    x = p_norm(r, "norm", x, (struct weight){NULL, NULL}, style);
    return vit_linear(r, "mm", x, &p->mm_limited);
}

extern const struct vision_type vision_gemma4v;
const struct vision_type vision_gemma4v = {
    .name = "gemma4v",
    .before = "<|image>",
    .after = "<image|>",
    .pre = PRE_DYNAMIC,
    .filter = RESIZE_BICUBIC,
    .min_tokens = 70,
    .max_tokens = 1120,
    .merge_key = "projector.scale_factor",
    .merge = 3,
    .norm = NORM_RMS,
    .positions = POS_XY,
    .rope = VIT_ROPE_GEMMA4,
    .gather = GATHER_MEAN,
    .v_norm = true,
    .unit_range = true,
    .non_causal = true,
    .load = load,
    .gathered = gathered,
    .head = head,
};
