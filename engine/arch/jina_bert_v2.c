/* jina-bert-v2 (spec/models/encoders.md): BERT with ALiBi to both sides in place of positions, a
 * gated network, and in some models a norm over all heads of q and of k. */
#include "engine/block.h"

static const struct hparam_spec hparams[] = {{0}};

static const struct tensor_spec globals[] = {GLOBALS_ENCODER, {0}};

static const struct tensor_spec blocks[] = {
    BLOCK_ENCODER,
    TENSOR("attn_q_norm.weight", q_norm, "q_dim", TENSOR_OPTIONAL),
    TENSOR("attn_q_norm.bias", q_norm_b, "q_dim", TENSOR_OPTIONAL),
    TENSOR("attn_k_norm.weight", k_norm, "k_dim", TENSOR_OPTIONAL),
    TENSOR("attn_k_norm.bias", k_norm_b, "k_dim", TENSOR_OPTIONAL),
    TENSOR("attn_norm_2.weight", attn_norm_2, "n_embd", TENSOR_OPTIONAL),
    TENSOR("attn_norm_2.bias", attn_norm_2_b, "n_embd", TENSOR_OPTIONAL),
    BLOCK_GLU_FUSED,
    TENSOR("ffn_up.bias", ffn_up_b, "n_ff_up", TENSOR_OPTIONAL),
    TENSOR("ffn_down.bias", ffn_down_b, "n_embd", TENSOR_OPTIONAL),
    {0},
};

extern const struct arch arch_jina_bert_v2;
const struct arch arch_jina_bert_v2 = {
    .name = "jina-bert-v2",
    .hparams = hparams,
    .globals = globals,
    .blocks = blocks,
    .style = {.act = ACT_GELU, .norm = NORM_LAYER, .alibi = 8},
    .defaults = block_encoder_defaults,
    .derive = block_no_rope,
    .begin = block_encoder_begin,
    .layer = block_encoder_layer,
};
