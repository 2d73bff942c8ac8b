/* olmo2: OLMo 2 and 3 (spec/models/dense.md): norms behind attention and feed-forward only, one
 * norm over all heads of q and of k. OLMo 3 has windows on three of four layers, with plain rope.
 */
#include "engine/block.h"

static const struct hparam_spec hparams[] = {
    HP_RANGE("attention.sliding_window", HP_U32, n_swa, 0, INT32_MAX),
    {0},
};

static const struct tensor_spec globals[] = {GLOBALS_OUTPUT, {0}};

static const struct tensor_spec blocks[] = {
    BLOCK_QKV,
    BLOCK_ATTN_OUT,
    BLOCK_QK_NORM_WHOLE,
    TENSOR("post_attention_norm.weight", attn_post_norm, "n_embd", 0),
    BLOCK_GLU,
    TENSOR("post_ffw_norm.weight", ffn_post_norm, "n_embd", 0),
    {0},
};

extern const struct arch arch_olmo2;
const struct arch arch_olmo2 = {
    .name = "olmo2",
    .hparams = hparams,
    .globals = globals,
    .blocks = blocks,
    .style = {.rope = ROPE_NEOX, .act = ACT_SILU, .swa_rope = SWA_PLAIN},
    .swa_period = 4,
};
