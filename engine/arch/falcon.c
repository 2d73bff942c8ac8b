/* falcon: Falcon 7B and 40B (spec/models/dense.md): LayerNorm, attention and a GELU network side by
 * side. The 40B norms the row once for each. */
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
    TENSOR("attn_norm_2.weight", attn_norm_2, "n_embd", TENSOR_OPTIONAL),
    TENSOR("attn_norm_2.bias", attn_norm_2_b, "n_embd", TENSOR_OPTIONAL),
    BLOCK_MLP,
    {0},
};

extern const struct arch arch_falcon;
const struct arch arch_falcon = {
    .name = "falcon",
    .hparams = hparams,
    .globals = globals,
    .blocks = blocks,
    .style = {.rope = ROPE_NEOX, .act = ACT_GELU, .norm = NORM_LAYER, .parallel = true},
    .derive = block_whole_rope,
};
