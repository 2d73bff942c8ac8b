/* qwen2: Qwen 1.5, 2, 2.5, QwQ and the R1 distillates; qwen2vl: the text half of Qwen 2 and 2.5 VL
 * (spec/models/dense.md): biases on q, k, v; rope on halves; small ones tie the head to the
 * embeddings. */
#include "engine/block.h"

static const struct hparam_spec hparams[] = {{0}};
static const struct hparam_spec vl_hparams[] = {
    {.key = "rope.dimension_sections",
     .kind = HP_SECTIONS,
     .offset = offsetof(struct hparams, rope_sections),
     .required = true},
    {0},
};

static const struct tensor_spec globals[] = {
    GLOBALS_STD,
    GLOBAL("output.bias", output_b, "n_vocab", TENSOR_OPTIONAL),
    {0},
};

static const struct tensor_spec blocks[] = {BLOCK_ATTN, BLOCK_FFN, {0}};

extern const struct arch arch_qwen2, arch_qwen2vl;
const struct arch arch_qwen2 = {
    .name = "qwen2",
    .hparams = hparams,
    .globals = globals,
    .blocks = blocks,
    .style = {.rope = ROPE_NEOX, .act = ACT_SILU},
};
const struct arch arch_qwen2vl = {
    .name = "qwen2vl",
    .hparams = vl_hparams,
    .globals = globals,
    .blocks = blocks,
    .style = {.rope = ROPE_NEOX, .act = ACT_SILU, .rope_axes = ROPE_SECTIONS},
};
