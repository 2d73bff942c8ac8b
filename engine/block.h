/* block.h - the parts of a forward pass that architectures share, and rows for their tables.
 *
 * model_record() (block.c) walks embedding, layers, head. A layer is block_layer() unless the
 * architecture has one of its own; within it stand a mixer (block_attn, block_mla, or the
 * architecture's) and block_ffn. What each does follows from the tensors that the layer has (norms,
 * biases, fused weights, experts) and from the style; formulas in spec/models/common.md 2-7. */
#ifndef CRIA_ENGINE_BLOCK_H
#define CRIA_ENGINE_BLOCK_H

#include "engine/model.h"

/* A forward pass being recorded. */
struct forward {
    struct recorder *p;
    const struct model *m;
    uint32_t n_ctx;
    /* What layers hand to later ones beside the stream. */
    val cells;     /* chosen by the last layer with an index (block_mla.c) */
    val per_layer; /* [n_layer * n_embd_layer] (block_ple.c) */
    val stream[4]; /* gemma3n; [0] is the stream itself */
};

/* One block of layer il: mixer and feed-forward with what the layer's tensors and the style ask. */
val block_layer(struct forward *f, uint32_t il, val x);
/* The style's norm, each piece of the weight's first dimension. No weight: x itself. */
val block_norm(struct forward *f, const char *name, val x, struct weight n);
/* A norm without a weight over pieces of `group`; 0: the row. */
val block_norm_plain(struct forward *f, const char *name, val x, uint32_t group);
/* b (a x): one product of low rank. */
val block_low_rank(struct forward *f, const char *name, val x, const struct tensor *a,
                   const struct tensor *b);

/* The head, with what the model does to logits. */
val block_logits(struct forward *f, val x, struct weight head);

/* block_attn.c */
val block_attn(struct forward *f, uint32_t il, val x);
struct rope_style block_rope(const struct forward *f, const struct layer *l);
/* A `derive` of families whose rope turns whole heads: a file that says otherwise is broken. */
enum status block_whole_rope(struct model *m, struct err *e);
float block_rope_magnitude(const struct hparams *hp); /* of cos and sin */

/* block_mla.c: latent attention, with or without a choice of cells. */
val block_mla(struct forward *f, uint32_t il, val x);
enum status block_mla_derive(struct model *m, struct err *e); /* keys to heads and cache */

/* block_recur.c: mixers of recurrent layers. Their state is a part of the cache's slots:
 * layer.n_state floats, set by the function that goes with the mixer (`derive`; layer.recurrent is
 * set). */
val block_mamba(struct forward *f, uint32_t il, val x);
val block_mamba2(struct forward *f, uint32_t il, val x);
val block_delta(struct forward *f, uint32_t il, val x);
val block_unit_heads(struct forward *f, const char *name, val x, uint32_t dim); /* of length 1 */
enum status block_mamba_derive(struct model *m, struct err *e);
enum status block_mamba2_derive(struct model *m, struct err *e);
enum status block_delta_derive(struct model *m, struct err *e);
/* A convolution over conv_width columns, then `rest` floats. */
enum status block_state_derive(struct model *m, struct layer *l, uint64_t conv_width, uint64_t rest,
                               struct err *e);

/* Layers from `first` on read the cache of the last layer before it, or of the one before that,
 * whichever has a window as they do. An error names the key. */
enum status block_share_kv(struct model *m, uint32_t first, const char *key, struct err *e);
/* Shared experts: one network expert_shared_count times as wide as an expert. */
enum status block_shared_derive(struct model *m, struct err *e);

/* block_ffn.c: dense or experts, as the layer is. x is normed. */
val block_ffn(struct forward *f, uint32_t il, val x);
val block_ffn_dense(struct forward *f, const struct layer *l, val x);
val block_experts(struct forward *f, const struct layer *l, val x, val logits);

/* block_encoder.c: what the bert family shares. */
val block_encoder_begin(struct forward *f, val x);              /* token type 0, norm */
val block_encoder_layer(struct forward *f, uint32_t il, val x); /* norms behind each half */
void block_encoder_defaults(struct hparams *hp);                /* not causal */
enum status block_no_rope(struct model *m, struct err *e);      /* a `derive` */

/* block_ple.c: per-layer embeddings of gemma3n and gemma4. */
val block_ple_begin(struct forward *f, val x);             /* fills f->per_layer, returns x */
val block_ple_gate(struct forward *f, uint32_t il, val x); /* what layer il adds to the stream */

/* ---- rows of tables ---------------------------------------------------------------------------
 */

#define TENSOR(name_, field, dims_, flags_)                                                        \
    { .name = name_, .dims = dims_, .offset = offsetof(struct layer, field), .flags = flags_ }
#define TENSOR_UNLESS(name_, field, dims_, flags_, other)                                          \
    {                                                                                              \
        .name = name_, .dims = dims_, .offset = offsetof(struct layer, field), .flags = flags_,    \
        .unless = offsetof(struct layer, other)                                                    \
    }
#define GLOBAL(name_, field, dims_, flags_)                                                        \
    { .name = name_, .dims = dims_, .offset = offsetof(struct model, field), .flags = flags_ }

/* "Std tensors" of spec/models/dense.md, in groups. */
#define GLOBALS_EMBD                                                                               \
    GLOBAL("token_embd.weight", token_embd, "n_embd,n_vocab", 0),                                  \
        GLOBAL("output_norm.weight", output_norm, "n_embd", 0)
#define GLOBALS_STD /* the head may be tied */                                                     \
    GLOBALS_EMBD, GLOBAL("output.weight", output, "n_embd,n_vocab", TENSOR_OPTIONAL)
#define GLOBALS_OUTPUT /* it is not */                                                             \
    GLOBALS_EMBD, GLOBAL("output.weight", output, "n_embd,n_vocab", 0)
#define GLOBALS_ROPE_FREQS GLOBAL("rope_freqs.weight", rope_freqs, "n_rot/2", TENSOR_OPTIONAL)
#define GLOBALS_LONGROPE                                                                           \
    GLOBAL("rope_factors_long.weight", rope_long, "n_rot/2", TENSOR_OPTIONAL),                     \
        GLOBAL("rope_factors_short.weight", rope_short, "n_rot/2", TENSOR_OPTIONAL)
#define BLOCK_QKV                                                                                  \
    TENSOR("attn_qkv.weight", wqkv, "n_embd,qkv_dim", TENSOR_OPTIONAL | TENSOR_ATTN),              \
        TENSOR("attn_qkv.bias", wqkv_b, "qkv_dim", TENSOR_OPTIONAL | TENSOR_ATTN),                 \
        TENSOR_UNLESS("attn_q.weight", wq, "n_embd,q_dim", TENSOR_ATTN, wqkv),                     \
        TENSOR_UNLESS("attn_k.weight", wk, "n_embd,k_dim", TENSOR_ATTN, wqkv),                     \
        TENSOR_UNLESS("attn_v.weight", wv, "n_embd,v_dim", TENSOR_ATTN, wqkv),                     \
        TENSOR("attn_q.bias", wq_b, "q_dim", TENSOR_OPTIONAL | TENSOR_ATTN),                       \
        TENSOR("attn_k.bias", wk_b, "k_dim", TENSOR_OPTIONAL | TENSOR_ATTN),                       \
        TENSOR("attn_v.bias", wv_b, "v_dim", TENSOR_OPTIONAL | TENSOR_ATTN)
#define BLOCK_ATTN_OUT TENSOR("attn_output.weight", wo, "o_dim,n_embd", TENSOR_ATTN)
#define BLOCK_ATTN TENSOR("attn_norm.weight", attn_norm, "n_embd", 0), BLOCK_QKV, BLOCK_ATTN_OUT
#define BLOCK_QK_NORM                                                                              \
    TENSOR("attn_q_norm.weight", q_norm, "head_dim", TENSOR_ATTN),                                 \
        TENSOR("attn_k_norm.weight", k_norm, "head_dim", TENSOR_ATTN)
#define BLOCK_QK_NORM_WHOLE /* all heads together */                                               \
    TENSOR("attn_q_norm.weight", q_norm, "q_dim", 0),                                              \
        TENSOR("attn_k_norm.weight", k_norm, "k_dim", 0)
#define BLOCK_QK_NORM_HEADS /* weights of its own for each head */                                 \
    TENSOR("attn_q_norm.weight", q_norm, "head_dim,n_head", TENSOR_OPTIONAL | TENSOR_F32),         \
        TENSOR("attn_k_norm.weight", k_norm, "head_dim,n_head_kv", TENSOR_OPTIONAL | TENSOR_F32)
#define BLOCK_FFN_NORM TENSOR("ffn_norm.weight", ffn_norm, "n_embd", 0)
#define BLOCK_GLU                                                                                  \
    TENSOR("ffn_gate.weight", ffn_gate, "n_embd,n_ff", TENSOR_DENSE),                              \
        TENSOR("ffn_up.weight", ffn_up, "n_embd,n_ff", TENSOR_DENSE),                              \
        TENSOR("ffn_down.weight", ffn_down, "n_ff,n_embd", TENSOR_DENSE)
#define BLOCK_FFN BLOCK_FFN_NORM, BLOCK_GLU
#define BLOCK_GLU_FUSED /* gate and up in one weight, or apart */                                  \
    TENSOR("ffn_gate.weight", ffn_gate, "n_embd,n_ff", TENSOR_DENSE | TENSOR_OPTIONAL),            \
        TENSOR("ffn_up.weight", ffn_up, "n_embd,n_ff_up", TENSOR_DENSE),                           \
        TENSOR("ffn_down.weight", ffn_down, "n_ff,n_embd", TENSOR_DENSE)
#define BLOCK_MLP /* no gate */                                                                    \
    TENSOR("ffn_up.weight", ffn_up, "n_embd,n_ff", TENSOR_DENSE),                                  \
        TENSOR("ffn_down.weight", ffn_down, "n_ff,n_embd", TENSOR_DENSE)
#define BLOCK_FFN_BIAS                                                                             \
    TENSOR("ffn_gate.bias", ffn_gate_b, "n_ff", TENSOR_OPTIONAL | TENSOR_DENSE),                   \
        TENSOR("ffn_up.bias", ffn_up_b, "n_ff", TENSOR_OPTIONAL | TENSOR_DENSE),                   \
        TENSOR("ffn_down.bias", ffn_down_b, "n_embd", TENSOR_OPTIONAL | TENSOR_DENSE)
#define BLOCK_ROUTER TENSOR("ffn_gate_inp.weight", router, "n_embd,n_expert", TENSOR_MOE)
#define BLOCK_EXPERTS                                                                              \
    BLOCK_ROUTER,                                                                                  \
        TENSOR("ffn_gate_exps.weight", experts_gate, "n_embd,n_ff_exp,n_expert", TENSOR_MOE),      \
        TENSOR("ffn_up_exps.weight", experts_up, "n_embd,n_ff_exp,n_expert", TENSOR_MOE),          \
        TENSOR("ffn_down_exps.weight", experts_down, "n_ff_exp,n_embd,n_expert", TENSOR_MOE)
#define BLOCK_EXPERTS_FUSED /* gate and up may be one weight */                                    \
    BLOCK_ROUTER,                                                                                  \
        TENSOR("ffn_gate_up_exps.weight", experts_gate_up, "n_embd,2*n_ff_exp,n_expert",           \
               TENSOR_MOE | TENSOR_OPTIONAL),                                                      \
        TENSOR_UNLESS("ffn_gate_exps.weight", experts_gate, "n_embd,n_ff_exp,n_expert",            \
                      TENSOR_MOE, experts_gate_up),                                                \
        TENSOR_UNLESS("ffn_up_exps.weight", experts_up, "n_embd,n_ff_exp,n_expert", TENSOR_MOE,    \
                      experts_gate_up),                                                            \
        TENSOR("ffn_down_exps.weight", experts_down, "n_ff_exp,n_embd,n_expert", TENSOR_MOE)
#define BLOCK_ROUTER_BIAS(flags) /* of the choice alone */                                         \
    TENSOR("exp_probs_b.bias", router_bias_sel, "n_expert", TENSOR_MOE | (flags))
#define BLOCK_SHARED                                                                               \
    TENSOR("ffn_gate_shexp.weight", shared_gate, "n_embd,n_ff_shared", TENSOR_SHARED),             \
        TENSOR("ffn_up_shexp.weight", shared_up, "n_embd,n_ff_shared", TENSOR_SHARED),             \
        TENSOR("ffn_down_shexp.weight", shared_down, "n_ff_shared,n_embd", TENSOR_SHARED)
#define GLOBALS_PLE                                                                                \
    GLOBAL("per_layer_token_embd.weight", ple_embd, "n_embd_layers,n_vocab", TENSOR_PLE),          \
        GLOBAL("per_layer_model_proj.weight", ple_proj, "n_embd,n_embd_layers", TENSOR_PLE),       \
        GLOBAL("per_layer_proj_norm.weight", ple_norm, "n_embd_layer", TENSOR_PLE)
#define BLOCK_PLE                                                                                  \
    TENSOR("inp_gate.weight", ple_gate, "n_embd,n_embd_layer", TENSOR_PLE),                        \
        TENSOR("proj.weight", ple_proj, "n_embd_layer,n_embd", TENSOR_PLE),                        \
        TENSOR("post_norm.weight", ple_norm, "n_embd", TENSOR_PLE)
#define GLOBALS_CLS /* rerank head, behind pooling */                                              \
    GLOBAL("cls.weight", cls, "n_embd,*", TENSOR_OPTIONAL),                                        \
        GLOBAL("cls.bias", cls_b, "*", TENSOR_OPTIONAL),                                           \
        GLOBAL("cls.norm.weight", cls_norm, "*", TENSOR_OPTIONAL),                                 \
        GLOBAL("cls.output.weight", cls_output, "*,*", TENSOR_OPTIONAL),                           \
        GLOBAL("cls.output.bias", cls_output_b, "*", TENSOR_OPTIONAL)
#define GLOBALS_DENSE /* projections behind pooling */                                             \
    GLOBAL("dense_2.weight", dense_2, "n_embd,*", TENSOR_OPTIONAL),                                \
        GLOBAL("dense_2.bias", dense_2_b, "*", TENSOR_OPTIONAL),                                   \
        GLOBAL("dense_3.weight", dense_3, "*,*", TENSOR_OPTIONAL),                                 \
        GLOBAL("dense_3.bias", dense_3_b, "*", TENSOR_OPTIONAL)
#define GLOBALS_ENCODER                                                                            \
    GLOBAL("token_embd.weight", token_embd, "n_embd,n_vocab", 0),                                  \
        GLOBAL("token_types.weight", token_types, "n_embd,*", TENSOR_OPTIONAL),                    \
        GLOBAL("token_embd_norm.weight", embd_norm, "n_embd", 0),                                  \
        GLOBAL("token_embd_norm.bias", embd_norm_b, "n_embd", TENSOR_OPTIONAL), GLOBALS_CLS
#define BLOCK_ENCODER /* norms behind attention and feed-forward */                                \
    BLOCK_QKV, BLOCK_ATTN_OUT, TENSOR("attn_output.bias", wo_b, "n_embd", TENSOR_OPTIONAL),        \
        TENSOR("attn_output_norm.weight", attn_out_norm, "n_embd", 0),                             \
        TENSOR("attn_output_norm.bias", attn_out_norm_b, "n_embd", TENSOR_OPTIONAL),               \
        TENSOR("layer_output_norm.weight", layer_out_norm, "n_embd", 0),                           \
        TENSOR("layer_output_norm.bias", layer_out_norm_b, "n_embd", TENSOR_OPTIONAL)
#define BLOCK_MLA                                                                                  \
    TENSOR("attn_norm.weight", attn_norm, "n_embd", 0),                                            \
        TENSOR("attn_q_a.weight", wq_a, "n_embd,q_rank", TENSOR_LOW_Q | TENSOR_ATTN),              \
        TENSOR("attn_q_a_norm.weight", q_a_norm, "q_rank", TENSOR_LOW_Q | TENSOR_ATTN),            \
        TENSOR("attn_q_b.weight", wq_up, "q_rank,mla_q_dim", TENSOR_LOW_Q | TENSOR_ATTN),          \
        TENSOR("attn_q.weight", wq, "n_embd,mla_q_dim", TENSOR_FULL_Q | TENSOR_ATTN),              \
        TENSOR("attn_kv_a_mqa.weight", wkv_a, "n_embd,kv_rank+rot", TENSOR_ATTN),                  \
        TENSOR("attn_kv_a_norm.weight", kv_a_norm, "kv_rank", TENSOR_ATTN),                        \
        TENSOR("attn_k_b.weight", wk_up, "mla_nope,kv_rank,n_head", TENSOR_LATENT | TENSOR_ATTN),  \
        TENSOR("attn_v_b.weight", wv_up, "kv_rank,mla_dim_v,n_head", TENSOR_LATENT | TENSOR_ATTN), \
        TENSOR("attn_kv_b.weight", wkv_up, "kv_rank,mla_kv_dim", TENSOR_HEADS | TENSOR_ATTN),      \
        TENSOR("attn_output.weight", wo, "mla_o_dim,n_embd", TENSOR_ATTN)
#define HP_MLA                                                                                     \
    HP_RANGE("attention.q_lora_rank", HP_U32, q_rank, 0, 1 << 20),                                 \
        HP_RANGE("attention.kv_lora_rank", HP_U32, kv_rank, 0, 1 << 20),                           \
        HP_RANGE("attention.key_length_mla", HP_U32, mla_dim_k, 0, 4096),                          \
        HP_RANGE("attention.value_length_mla", HP_U32, mla_dim_v, 0, 4096)
#define HP_SSM                                                                                     \
    HP_RANGE("ssm.conv_kernel", HP_U32, ssm_conv, 1, 64),                                          \
        HP_RANGE("ssm.inner_size", HP_U32, ssm_inner, 1, 1 << 20),                                 \
        HP_RANGE("ssm.state_size", HP_U32, ssm_state, 1, DELTA_MAX_DIM),                           \
        HP_RANGE("ssm.time_step_rank", HP_U32, ssm_rank, 1, 1 << 16),                              \
        HP_RANGE("ssm.group_count", HP_U32, ssm_group, 0, 1 << 12)
#define BLOCK_MAMBA2                                                                               \
    TENSOR("ssm_in.weight", ssm_in, "n_embd,ssm2_in", TENSOR_RECURRENT),                           \
        TENSOR("ssm_conv1d.weight", ssm_conv, "ssm_conv,ssm2_conv",                                \
               TENSOR_RECURRENT | TENSOR_F32),                                                     \
        TENSOR("ssm_conv1d.bias", ssm_conv_b, "ssm2_conv", TENSOR_RECURRENT | TENSOR_OPTIONAL),    \
        TENSOR("ssm_dt.bias", ssm_dt_b, "ssm_rank", TENSOR_RECURRENT),                             \
        TENSOR("ssm_a", ssm_a, "1,ssm_rank", TENSOR_RECURRENT | TENSOR_F32),                       \
        TENSOR("ssm_d", ssm_d, "1,ssm_rank", TENSOR_RECURRENT | TENSOR_F32),                       \
        TENSOR("ssm_norm.weight", ssm_norm, "ssm_piece,ssm_group",                                 \
               TENSOR_RECURRENT | TENSOR_F32 | TENSOR_OPTIONAL),                                   \
        TENSOR("ssm_out.weight", ssm_out, "ssm_inner,n_embd", TENSOR_RECURRENT)
#define HP_GATING                                                                                  \
    HP_RANGE("expert_gating_func", HP_U32, gating, 0, 4),                                          \
        HP("expert_weights_norm", HP_BOOL, norm_weights)

#endif
