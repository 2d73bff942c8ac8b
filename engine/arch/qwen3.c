/* qwen3: Qwen 3 dense, its embedding and reranking models (spec/models/dense.md): a norm on each
 * head of q and k before rope; heads need not add up to n_embd. */
#include "engine/block.h"

static const struct hparam_spec hparams[] = {
    HP_REQUIRED("attention.layer_norm_rms_epsilon", HP_F32, norm_rms_eps),
    {0},
};

static const struct tensor_spec globals[] = {
    GLOBALS_STD,
    GLOBAL("cls.output.weight", cls_output, "n_embd,*", TENSOR_OPTIONAL),
    {0},
};

static const struct tensor_spec blocks[] = {BLOCK_ATTN, BLOCK_QK_NORM, BLOCK_FFN, {0}};

extern const struct arch arch_qwen3;
const struct arch arch_qwen3 = {
    .name = "qwen3",
    .hparams = hparams,
    .globals = globals,
    .blocks = blocks,
    .style = {.rope = ROPE_NEOX, .act = ACT_SILU},
};
