/* qwen2: Qwen 1.5, 2, 2.5, QwQ and the R1 distillates (spec/models/dense.md): biases on q, k, v;
 * rope on halves; small ones tie the head to the embeddings. */
#include "engine/block.h"

static const struct hparam_spec hparams[] = {
    HP_REQUIRED("attention.layer_norm_rms_epsilon", HP_F32, norm_rms_eps),
    {0},
};

static const struct tensor_spec globals[] = {
    GLOBALS_STD,
    GLOBAL("output.bias", output_b, "n_vocab", TENSOR_OPTIONAL),
    {0},
};

static const struct tensor_spec blocks[] = {BLOCK_ATTN, BLOCK_FFN, {0}};

extern const struct arch arch_qwen2;
const struct arch arch_qwen2 = {
    .name = "qwen2",
    .hparams = hparams,
    .globals = globals,
    .blocks = blocks,
    .style = {.rope = ROPE_NEOX, .act = ACT_SILU},
};
