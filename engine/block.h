/* block.h - the transformer block that most architectures share, and its rows for their tables. */
#ifndef CRIA_ENGINE_BLOCK_H
#define CRIA_ENGINE_BLOCK_H

#include "engine/model.h"

/* One block of layer il: attention and feed-forward with what the layer's tensors and the style ask
 * for. */
val block_layer(struct recorder *p, const struct model *m, uint32_t il, val x, uint32_t n_ctx);

#define TENSOR(name_, field, dims_, flags_)                                                        \
    { .name = name_, .dims = dims_, .offset = offsetof(struct layer, field), .flags = flags_ }
#define TENSOR_UNLESS(name_, field, dims_, other)                                                  \
    {                                                                                              \
        .name = name_, .dims = dims_, .offset = offsetof(struct layer, field),                     \
        .unless = offsetof(struct layer, other)                                                    \
    }
#define GLOBAL(name_, field, dims_, flags_)                                                        \
    { .name = name_, .dims = dims_, .offset = offsetof(struct model, field), .flags = flags_ }

/* "Std tensors" of spec/models/dense.md, in groups. */
#define GLOBALS_STD                                                                                \
    GLOBAL("token_embd.weight", token_embd, "n_embd,n_vocab", 0),                                  \
        GLOBAL("output_norm.weight", output_norm, "n_embd", 0),                                    \
        GLOBAL("output.weight", output, "n_embd,n_vocab", TENSOR_OPTIONAL)
#define BLOCK_QKV                                                                                  \
    TENSOR("attn_qkv.weight", wqkv, "n_embd,qkv_dim", TENSOR_OPTIONAL),                            \
        TENSOR("attn_qkv.bias", wqkv_b, "qkv_dim", TENSOR_OPTIONAL),                               \
        TENSOR_UNLESS("attn_q.weight", wq, "n_embd,q_dim", wqkv),                                  \
        TENSOR_UNLESS("attn_k.weight", wk, "n_embd,k_dim", wqkv),                                  \
        TENSOR_UNLESS("attn_v.weight", wv, "n_embd,v_dim", wqkv),                                  \
        TENSOR("attn_q.bias", wq_b, "q_dim", TENSOR_OPTIONAL),                                     \
        TENSOR("attn_k.bias", wk_b, "k_dim", TENSOR_OPTIONAL),                                     \
        TENSOR("attn_v.bias", wv_b, "v_dim", TENSOR_OPTIONAL)
#define BLOCK_ATTN                                                                                 \
    TENSOR("attn_norm.weight", attn_norm, "n_embd", 0), BLOCK_QKV,                                 \
        TENSOR("attn_output.weight", wo, "o_dim,n_embd", 0)
#define BLOCK_QK_NORM                                                                              \
    TENSOR("attn_q_norm.weight", q_norm, "head_dim", 0),                                           \
        TENSOR("attn_k_norm.weight", k_norm, "head_dim", 0)
#define BLOCK_FFN                                                                                  \
    TENSOR("ffn_norm.weight", ffn_norm, "n_embd", 0),                                              \
        TENSOR("ffn_gate.weight", ffn_gate, "n_embd,n_ff", TENSOR_DENSE),                          \
        TENSOR("ffn_up.weight", ffn_up, "n_embd,n_ff", TENSOR_DENSE),                              \
        TENSOR("ffn_down.weight", ffn_down, "n_ff,n_embd", TENSOR_DENSE)

#endif
