/* glm4moe: GLM-4.5, 4.6, 4.7 and the text half of 4.5V (spec/models/moe.md): dense layers first,
 * then experts chosen with a bias beside shared ones. post_attention_norm is the norm before the
 * feed-forward half. */
#include "engine/block.h"

static const struct hparam_spec hparams[] = {
    HP_GATING,
    HP_RANGE("leading_dense_block_count", HP_U32, n_leading_dense, 0, MAX_LAYER),
    HP_RANGE("expert_shared_count", HP_U32, n_expert_shared, 0, 1024),
    {.key = "rope.dimension_sections",
     .kind = HP_SECTIONS,
     .offset = offsetof(struct hparams, rope_sections)},
    {0},
};
static const struct hparam_spec layer_hparams[] = {
    HP_LAYER("expert_feed_forward_length", n_ff_exp),
    {0},
};

static const struct tensor_spec globals[] = {GLOBALS_STD, {0}};

static const struct tensor_spec blocks[] = {
    BLOCK_ATTN,
    TENSOR("attn_q_norm.weight", q_norm, "head_dim", TENSOR_OPTIONAL),
    TENSOR("attn_k_norm.weight", k_norm, "head_dim", TENSOR_OPTIONAL),
    TENSOR("post_attention_norm.weight", ffn_norm, "n_embd", 0),
    BLOCK_GLU,
    BLOCK_EXPERTS,
    BLOCK_ROUTER_BIAS(0),
    BLOCK_SHARED,
    {0},
};

extern const struct arch arch_glm4moe;
const struct arch arch_glm4moe = {
    .name = "glm4moe",
    .hparams = hparams,
    .layer_hparams = layer_hparams,
    .globals = globals,
    .blocks = blocks,
    .style = {.rope_axes = ROPE_SECTIONS,
              .rope = ROPE_NEOX,
              .act = ACT_SILU,
              .gating = MOE_SIGMOID,
              .mtp = true},
    .derive = block_shared_derive,
};
