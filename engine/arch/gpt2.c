/* gpt2 (spec/models/dense.md): learned positions, no rope, LayerNorm, biases, a GELU network. The
 * engine never lets a context be longer than the table of positions. */
#include "engine/block.h"

static const struct hparam_spec hparams[] = {{0}};

static const struct tensor_spec globals[] = {
    GLOBALS_STD,
    GLOBAL("output_norm.bias", output_norm_b, "n_embd", 0),
    GLOBAL("position_embd.weight", pos_embd, "n_embd,n_ctx_train", 0),
    {0},
};

static const struct tensor_spec blocks[] = {
    BLOCK_ATTN,
    TENSOR("attn_norm.bias", attn_norm_b, "n_embd", 0),
    TENSOR("attn_output.bias", wo_b, "n_embd", 0),
    BLOCK_FFN_NORM,
    TENSOR("ffn_norm.bias", ffn_norm_b, "n_embd", 0),
    BLOCK_MLP,
    TENSOR("ffn_up.bias", ffn_up_b, "n_ff", 0),
    TENSOR("ffn_down.bias", ffn_down_b, "n_embd", 0),
    {0},
};

static enum status derive(struct model *m, struct err *e) {
    (void)e;
    for (uint32_t il = 0; il < m->hp.n_layer; il++) m->layers[il].rope = false;
    return ST_OK;
}

extern const struct arch arch_gpt2;
const struct arch arch_gpt2 = {
    .name = "gpt2",
    .hparams = hparams,
    .globals = globals,
    .blocks = blocks,
    .style = {.act = ACT_GELU, .norm = NORM_LAYER},
    .derive = derive,
};
