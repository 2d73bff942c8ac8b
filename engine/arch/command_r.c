/* command-r: Command R, R+ and Aya; cohere2: Command R7B, Command A (spec/models/dense.md):
 * LayerNorm without bias, attention and feed-forward side by side, logits scaled. R+ norms each
 * head with weights of its own. cohere2 has windows on three of four layers; the fourth sees
 * everything and knows no positions. */
#include "engine/block.h"

static const struct hparam_spec hparams[] = {
    HP_RANGE("logit_scale", HP_F32, logit_scale, -1e6, 1e6),
    {0},
};
static const struct hparam_spec cohere2_hparams[] = {
    HP_REQUIRED("logit_scale", HP_F32, logit_scale),
    HP_REQUIRED("attention.sliding_window", HP_U32, n_swa),
    {0},
};

static const struct tensor_spec globals[] = {GLOBALS_EMBD, {0}};

static const struct tensor_spec blocks[] = {
    BLOCK_ATTN,
    BLOCK_QK_NORM_HEADS,
    BLOCK_GLU,
    {0},
};
static const struct tensor_spec cohere2_blocks[] = {BLOCK_ATTN, BLOCK_GLU, {0}};

static enum status cohere2_derive(struct model *m, struct err *e) {
    (void)e;
    for (uint32_t il = 0; il < m->hp.n_layer; il++) m->layers[il].rope &= m->layers[il].window;
    return ST_OK;
}

extern const struct arch arch_command_r, arch_cohere2;
const struct arch arch_command_r = {
    .name = "command-r",
    .hparams = hparams,
    .globals = globals,
    .blocks = blocks,
    .style = {.rope = ROPE_NORM, .act = ACT_SILU, .norm = NORM_LAYER, .parallel = true},
};
const struct arch arch_cohere2 = {
    .name = "cohere2",
    .hparams = cohere2_hparams,
    .globals = globals,
    .blocks = cohere2_blocks,
    .style = {.rope = ROPE_NORM, .act = ACT_SILU, .norm = NORM_LAYER, .parallel = true},
    .swa_period = 4,
    .derive = cohere2_derive,
};
