/* stablelm: StableLM 2 and Zephyr (spec/models/dense.md): LayerNorm with bias, rope on a quarter of
 * each head, heads of the 12B normed with weights of their own. Without an ffn_norm both halves
 * read the same normed row. */
#include "engine/block.h"

static const struct hparam_spec hparams[] = {{0}};

static const struct tensor_spec globals[] = {
    GLOBALS_OUTPUT,
    GLOBAL("output_norm.bias", output_norm_b, "n_embd", 0),
    {0},
};

static const struct tensor_spec blocks[] = {
    BLOCK_ATTN,
    TENSOR("attn_norm.bias", attn_norm_b, "n_embd", 0),
    BLOCK_QK_NORM_HEADS,
    TENSOR("ffn_norm.weight", ffn_norm, "n_embd", TENSOR_OPTIONAL),
    TENSOR("ffn_norm.bias", ffn_norm_b, "n_embd", TENSOR_OPTIONAL),
    BLOCK_GLU,
    {0},
};

extern const struct arch arch_stablelm;
const struct arch arch_stablelm = {
    .name = "stablelm",
    .hparams = hparams,
    .globals = globals,
    .blocks = blocks,
    .style = {.rope = ROPE_NEOX, .act = ACT_SILU, .norm = NORM_LAYER},
};
