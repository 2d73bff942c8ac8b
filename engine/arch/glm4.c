/* glm4: GLM-4-0414, GLM-Z1 and the text half of GLM-4.1V; chatglm: ChatGLM 3, the first GLM-4-9b,
 * CodeGeeX 4 (spec/models/dense.md): rope on pairs of half of each head, gate and up in one weight;
 * glm4 has norms before and after each half of a block. */
#include "engine/block.h"

static const struct hparam_spec hparams[] = {
    {.key = "rope.dimension_sections",
     .kind = HP_SECTIONS,
     .offset = offsetof(struct hparams, rope_sections)},
    {0},
};

static const struct tensor_spec globals[] = {GLOBALS_STD, {0}};

static const struct tensor_spec blocks[] = {
    BLOCK_ATTN,
    TENSOR("post_attention_norm.weight", attn_post_norm, "n_embd", 0),
    BLOCK_FFN_NORM,
    BLOCK_GLU_FUSED,
    TENSOR("post_ffw_norm.weight", ffn_post_norm, "n_embd", 0),
    {0},
};
static const struct tensor_spec chatglm_blocks[] = {
    BLOCK_ATTN,
    BLOCK_FFN_NORM,
    BLOCK_GLU_FUSED,
    {0},
};

extern const struct arch arch_glm4, arch_chatglm;
const struct arch arch_glm4 = {
    .name = "glm4",
    .hparams = hparams,
    .globals = globals,
    .blocks = blocks,
    .style = {.rope_axes = ROPE_SECTIONS, .rope = ROPE_NORM, .act = ACT_SILU},
};
const struct arch arch_chatglm = {
    .name = "chatglm",
    .hparams = hparams,
    .globals = globals,
    .blocks = chatglm_blocks,
    .style = {.rope = ROPE_NORM, .act = ACT_SILU},
};
