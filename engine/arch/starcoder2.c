/* starcoder2 (spec/models/dense.md): LayerNorm, biases everywhere, a GELU network. */
#include "engine/block.h"

static const struct hparam_spec hparams[] = {{0}};

static const struct tensor_spec globals[] = {
    GLOBALS_STD,
    GLOBAL("output_norm.bias", output_norm_b, "n_embd", 0),
    {0},
};

static const struct tensor_spec blocks[] = {
    BLOCK_ATTN,
    TENSOR("attn_norm.bias", attn_norm_b, "n_embd", 0),
    TENSOR("attn_output.bias", wo_b, "n_embd", TENSOR_OPTIONAL),
    BLOCK_FFN_NORM,
    TENSOR("ffn_norm.bias", ffn_norm_b, "n_embd", 0),
    BLOCK_MLP,
    TENSOR("ffn_up.bias", ffn_up_b, "n_ff", TENSOR_OPTIONAL),
    TENSOR("ffn_down.bias", ffn_down_b, "n_embd", TENSOR_OPTIONAL),
    {0},
};

extern const struct arch arch_starcoder2;
const struct arch arch_starcoder2 = {
    .name = "starcoder2",
    .hparams = hparams,
    .globals = globals,
    .blocks = blocks,
    .style = {.rope = ROPE_NEOX, .act = ACT_GELU, .norm = NORM_LAYER},
};
