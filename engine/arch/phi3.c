/* phi3: Phi-3, 3.5, Phi-4 and Phi-4-mini (spec/models/dense.md): fused qkv and fused gate and up,
 * longrope. phimoe: Phi-3.5-MoE (spec/models/moe.md): norms and projections with biases, experts.
 * Window keys of old files are ignored: results stay as they were. */
#include "engine/block.h"

static const struct hparam_spec hparams[] = {{0}};

static const struct tensor_spec globals[] = {
    GLOBALS_STD, GLOBALS_ROPE_FREQS, GLOBALS_LONGROPE, {0}};

static const struct tensor_spec blocks[] = {BLOCK_ATTN, BLOCK_FFN_NORM, BLOCK_GLU_FUSED, {0}};

static const struct tensor_spec moe_globals[] = {
    GLOBALS_OUTPUT,
    GLOBALS_LONGROPE,
    GLOBAL("output_norm.bias", output_norm_b, "n_embd", 0),
    GLOBAL("output.bias", output_b, "n_vocab", 0),
    {0},
};

static const struct tensor_spec moe_blocks[] = {
    BLOCK_ATTN,
    TENSOR("attn_norm.bias", attn_norm_b, "n_embd", 0),
    TENSOR("attn_output.bias", wo_b, "n_embd", 0),
    BLOCK_FFN,
    TENSOR("ffn_norm.bias", ffn_norm_b, "n_embd", 0),
    BLOCK_EXPERTS,
    {0},
};

extern const struct arch arch_phi3, arch_phimoe;
const struct arch arch_phi3 = {
    .name = "phi3",
    .hparams = hparams,
    .globals = globals,
    .blocks = blocks,
    .style = {.rope = ROPE_NEOX, .act = ACT_SILU},
};
const struct arch arch_phimoe = {
    .name = "phimoe",
    .hparams = hparams,
    .globals = moe_globals,
    .blocks = moe_blocks,
    .style = {.rope = ROPE_NEOX, .act = ACT_SILU, .norm_weights = true},
};
