/* qwen3: Qwen 3 dense, its embedding and reranking models; qwen3vl: the text half of Qwen 3 VL
 * (spec/models/dense.md): a norm on each head of q and k before rope; heads need not add up to
 * n_embd. */
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

static const struct tensor_spec globals[] = {
    GLOBALS_STD,
    GLOBALS_CLS,
    {0},
};

static const struct tensor_spec blocks[] = {BLOCK_ATTN, BLOCK_QK_NORM, BLOCK_FFN, {0}};

extern const struct arch arch_qwen3, arch_qwen3vl;
const struct arch arch_qwen3 = {
    .name = "qwen3",
    .hparams = hparams,
    .globals = globals,
    .blocks = blocks,
    .style = {.rope = ROPE_NEOX, .act = ACT_SILU, .softmax_scores = true},
};
const struct arch arch_qwen3vl = {
    .name = "qwen3vl",
    .hparams = vl_hparams,
    .globals = globals,
    .blocks = blocks,
    .style = {.rope = ROPE_NEOX,
              .act = ACT_SILU,
              .rope_axes = ROPE_INTERLEAVED,
              .softmax_scores = true},
};
