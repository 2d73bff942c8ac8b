/* phi2: Phi-1.5 and Phi-2 (spec/models/dense.md): LayerNorm and biases everywhere, attention and a
 * GELU network side by side, rope on a part of each head. */
#include "engine/block.h"

static const struct hparam_spec hparams[] = {{0}};

static const struct tensor_spec globals[] = {
    GLOBALS_OUTPUT,
    GLOBAL("output_norm.bias", output_norm_b, "n_embd", 0),
    GLOBAL("output.bias", output_b, "n_vocab", 0),
    {0},
};

static const struct tensor_spec blocks[] = {
    BLOCK_ATTN,
    TENSOR("attn_norm.bias", attn_norm_b, "n_embd", 0),
    TENSOR("attn_output.bias", wo_b, "n_embd", 0),
    BLOCK_MLP,
    TENSOR("ffn_up.bias", ffn_up_b, "n_ff", 0),
    TENSOR("ffn_down.bias", ffn_down_b, "n_embd", 0),
    {0},
};

extern const struct arch arch_phi2;
const struct arch arch_phi2 = {
    .name = "phi2",
    .hparams = hparams,
    .globals = globals,
    .blocks = blocks,
    .style = {.rope = ROPE_NEOX, .act = ACT_GELU, .norm = NORM_LAYER, .parallel = true},
};
