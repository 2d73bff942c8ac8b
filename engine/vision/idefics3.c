/* idefics3: Idefics 3 and SmolVLM (Laurencon et al. 2024, arXiv 2408.12637; Marafioti et al. 2025,
 * arXiv 2504.05299): SigLIP over tiles of a picture and an overview of it, blocks of patches
 * shuffled into one row, one matrix. Text between the images says where each tile lies.
 *
 * Experimental: spec/models/vision.md describes it in one unverified line; sizes and texts are from
 * the papers and the processor as published. Nobody has compared its rows with another
 * implementation's. */
#include <stdio.h>

#include "engine/vision/projector.h"

static enum status load(struct projector *p, struct err *e) {
    const uint32_t width = p->hp.n_embd * p->hp.merge * p->hp.merge;
    return proj_matrix(p, "mm.model.fc", width, &p->n_out, false, &p->mm[0], e);
}

static val head(const struct projector *p, struct recorder *r, val x) {
    return p_linear1(r, "mm", x, p->mm[0]);
}

/* Tiles line by line, a line end behind each line and an empty line before the overview. */
static void mark(const struct tiles *t, size_t i, char out[MARK_SIZE]) {
    static const char fake[] = "<fake_token_around_image>";
    const size_t n = (size_t)t->nx * t->ny;
    if (i < n)
        snprintf(out, MARK_SIZE, "%s%s<row_%zu_col_%zu>", i > 0 && i % t->nx == 0 ? "\n" : "", fake,
                 i / t->nx + 1, i % t->nx + 1);
    else if (i < t->n)
        snprintf(out, MARK_SIZE, "%s%s<global-img>", n > 0 ? "\n\n" : "", fake);
    else
        snprintf(out, MARK_SIZE, "%s", fake);
}

extern const struct vision_type vision_idefics3;
const struct vision_type vision_idefics3 = {
    .name = "idefics3",
    .mark = mark,
    .pre = PRE_SPLIT,
    .filter = RESIZE_LANCZOS,
    .merge_key = "projector.scale_factor",
    .merge = 2,
    .norm = NORM_LAYER,
    .positions = POS_TABLE,
    .swapped_ffn = true,
    .experimental = true,
    .load = load,
    .head = head,
};
