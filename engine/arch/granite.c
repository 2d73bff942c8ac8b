/* granite, granitemoe: Granite 3 and 4 without recurrent layers (spec/models/dense.md, moe.md): a
 * llama with four scalars; attention.scale replaces 1/sqrt(head_dim), logits are divided. */
#include "engine/block.h"

#define GRANITE_HPARAMS                                                                            \
    HP_RANGE("embedding_scale", HP_F32, embd_scale, -1e6, 1e6),                                    \
        HP_RANGE("residual_scale", HP_F32, residual_scale, -1e6, 1e6),                             \
        HP_RANGE("attention.scale", HP_F32, attn_scale, 0, 1e6),                                   \
        HP_REQUIRED("logit_scale", HP_F32, logit_scale)

static const struct hparam_spec hparams[] = {
    GRANITE_HPARAMS,
    HP("rope.scaling.finetuned", HP_BOOL, rope_finetuned),
    {0},
};
static const struct hparam_spec moe_layer_hparams[] = {
    HP_LAYER("expert_shared_feed_forward_length", n_ff_shared),
    {0},
};

static const struct tensor_spec globals[] = {GLOBALS_STD, GLOBALS_ROPE_FREQS, {0}};

static const struct tensor_spec blocks[] = {
    BLOCK_ATTN,    TENSOR("attn_output.bias", wo_b, "n_embd", TENSOR_OPTIONAL),
    BLOCK_FFN,     BLOCK_FFN_BIAS,
    BLOCK_EXPERTS, BLOCK_SHARED,
    {0},
};

static void defaults(struct hparams *hp) { hp->rope_finetuned = true; }

/* "Finetuned" says here whether there is rope at all. */
static enum status derive(struct model *m, struct err *e) {
    if (m->hp.logit_scale == 0) return hparam_error(m, "logit_scale", e, "is 0");
    m->hp.logit_scale = 1 / m->hp.logit_scale;
    for (uint32_t il = 0; il < m->hp.n_layer; il++) m->layers[il].rope &= m->hp.rope_finetuned;
    return ST_OK;
}

extern const struct arch arch_granite, arch_granitemoe;
const struct arch arch_granite = {
    .name = "granite",
    .hparams = hparams,
    .globals = globals,
    .blocks = blocks,
    .style = {.rope = ROPE_NORM, .act = ACT_SILU, .norm_weights = true},
    .defaults = defaults,
    .derive = derive,
};
const struct arch arch_granitemoe = {
    .name = "granitemoe",
    .hparams = hparams,
    .layer_hparams = moe_layer_hparams,
    .globals = globals,
    .blocks = blocks,
    .style = {.rope = ROPE_NORM, .act = ACT_SILU, .norm_weights = true},
    .defaults = defaults,
    .derive = derive,
};
