/* qwen3moe: Qwen3-30B-A3B, 235B; qwen3vlmoe: the text half of Qwen 3 VL with experts
 * (spec/models/moe.md): the attention of qwen3, experts in every layer. */
#include "engine/block.h"

static const struct hparam_spec hparams[] = {{0}};
static const struct hparam_spec vl_hparams[] = {
    {.key = "rope.dimension_sections",
     .kind = HP_SECTIONS,
     .offset = offsetof(struct hparams, rope_sections),
     .required = true},
    HP_RANGE("n_deepstack_layers", HP_U32, n_deepstack, 0, MAX_LAYER),
    {0},
};
static const struct hparam_spec layer_hparams[] = {
    HP_LAYER("expert_feed_forward_length", n_ff_exp),
    {0},
};

static const struct tensor_spec globals[] = {GLOBALS_STD, {0}};

static const struct tensor_spec blocks[] = {
    BLOCK_ATTN, BLOCK_QK_NORM, BLOCK_FFN, BLOCK_EXPERTS, {0},
};

extern const struct arch arch_qwen3moe, arch_qwen3vlmoe;
const struct arch arch_qwen3moe = {
    .name = "qwen3moe",
    .hparams = hparams,
    .layer_hparams = layer_hparams,
    .globals = globals,
    .blocks = blocks,
    .style = {.rope = ROPE_NEOX, .act = ACT_SILU, .norm_weights = true},
};
const struct arch arch_qwen3vlmoe = {
    .name = "qwen3vlmoe",
    .hparams = vl_hparams,
    .layer_hparams = layer_hparams,
    .globals = globals,
    .blocks = blocks,
    .style = {.rope = ROPE_NEOX,
              .act = ACT_SILU,
              .rope_axes = ROPE_INTERLEAVED,
              .norm_weights = true},
};
