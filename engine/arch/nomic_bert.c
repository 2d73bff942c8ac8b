/* nomic-bert: Nomic Embed v1 (spec/models/encoders.md): BERT with rope and a gated network;
 * nomic-bert-moe: v2, every few layers experts without a gate. */
#include "engine/block.h"

static const struct hparam_spec hparams[] = {{0}};
static const struct hparam_spec moe_hparams[] = {
    HP_RANGE("moe_every_n_layers", HP_U32, moe_every, 0, MAX_LAYER),
    {0},
};

static const struct tensor_spec globals[] = {GLOBALS_ENCODER, {0}};

static const struct tensor_spec blocks[] = {BLOCK_ENCODER, BLOCK_GLU, BLOCK_FFN_BIAS, {0}};
static const struct tensor_spec moe_blocks[] = {
    BLOCK_ENCODER,
    BLOCK_MLP,
    BLOCK_FFN_BIAS,
    BLOCK_ROUTER,
    TENSOR("ffn_up_exps.weight", experts_up, "n_embd,n_ff_exp,n_expert", TENSOR_MOE),
    TENSOR("ffn_down_exps.weight", experts_down, "n_ff_exp,n_embd,n_expert", TENSOR_MOE),
    {0},
};

static enum status derive(struct model *m, struct err *e) {
    const uint32_t every = m->hp.moe_every;
    if (every != 0 && m->hp.n_expert == 0)
        return hparam_clash(m, "moe_every_n_layers", "expert_count", e,
                            "is %u, but there are no experts", every);
    for (uint32_t il = 0; il < m->hp.n_layer; il++)
        m->layers[il].moe = every != 0 && il % every == 1;
    return ST_OK;
}

extern const struct arch arch_nomic_bert, arch_nomic_bert_moe;
const struct arch arch_nomic_bert = {
    .name = "nomic-bert",
    .hparams = hparams,
    .globals = globals,
    .blocks = blocks,
    .style = {.rope = ROPE_NEOX, .act = ACT_SILU, .norm = NORM_LAYER},
    .defaults = block_encoder_defaults,
    .begin = block_encoder_begin,
    .layer = block_encoder_layer,
};
const struct arch arch_nomic_bert_moe = {
    .name = "nomic-bert-moe",
    .hparams = moe_hparams,
    .globals = globals,
    .blocks = moe_blocks,
    .style = {.rope = ROPE_NEOX, .act = ACT_GELU, .norm = NORM_LAYER},
    .defaults = block_encoder_defaults,
    .derive = derive,
    .begin = block_encoder_begin,
    .layer = block_encoder_layer,
};
