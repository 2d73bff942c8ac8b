/* gemma-embedding: EmbeddingGemma (spec/models/encoders.md): the blocks of gemma3, but rows see
 * both sides; two projections behind the pooling. */
#include "engine/block.h"

static const struct hparam_spec hparams[] = {
    HP_RANGE("attention.sliding_window", HP_U32, n_swa, 0, INT32_MAX),
    HP_RANGE("rope.freq_base_swa", HP_F32, rope_base_swa, 1, 1e30),
    {0},
};

static const struct tensor_spec globals[] = {GLOBALS_EMBD, GLOBALS_DENSE, {0}};

static const struct tensor_spec blocks[] = {
    BLOCK_ATTN,
    BLOCK_QK_NORM,
    TENSOR("post_attention_norm.weight", attn_post_norm, "n_embd", 0),
    BLOCK_FFN,
    TENSOR("post_ffw_norm.weight", ffn_post_norm, "n_embd", 0),
    {0},
};

static void defaults(struct hparams *hp) {
    hp->causal = false;
    hp->rope_base_swa = 10000;
}

extern const struct arch arch_gemma_embedding;
const struct arch arch_gemma_embedding = {
    .name = "gemma-embedding",
    .hparams = hparams,
    .globals = globals,
    .blocks = blocks,
    .style = {.rope = ROPE_NEOX,
              .act = ACT_GELU,
              .scale_embd = true,
              .symmetric = true,
              .swa_rope = SWA_OWN_BASE},
    .swa_period = 6,
    .defaults = defaults,
};
