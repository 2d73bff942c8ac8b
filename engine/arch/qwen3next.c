/* qwen3next: Qwen3-Next; qwen35, qwen35moe: Qwen 3.5 and 3.6 (spec/models/recurrent.md): gated
 * delta rule in most layers, attention with a gate of its result in every fourth. */
#include "engine/block.h"

#define QWEN_HPARAMS                                                                               \
    HP_SSM, HP_RANGE("full_attention_interval", HP_U32, full_interval, 1, MAX_LAYER)

static const struct hparam_spec hparams[] = {QWEN_HPARAMS, {0}};
static const struct hparam_spec sections_hparams[] = {
    QWEN_HPARAMS,
    {.key = "rope.dimension_sections",
     .kind = HP_SECTIONS,
     .offset = offsetof(struct hparams, rope_sections),
     .required = true},
    {0},
};
static const struct hparam_spec layer_hparams[] = {
    HP_LAYER("expert_feed_forward_length", n_ff_exp),
    HP_LAYER("expert_shared_feed_forward_length", n_ff_shared),
    {.key = "attention.recurrent_layers",
     .kind = HP_LAYER_U32,
     .offset = offsetof(struct layer, recurrent),
     .high = 1},
    {0},
};

static const struct tensor_spec globals[] = {GLOBALS_STD, {0}};

static const struct tensor_spec blocks[] = {
    TENSOR("attn_norm.weight", attn_norm, "n_embd", 0),
    TENSOR("attn_q.weight", wq, "n_embd,2*q_dim", TENSOR_ATTN),
    TENSOR("attn_k.weight", wk, "n_embd,k_dim", TENSOR_ATTN),
    TENSOR("attn_v.weight", wv, "n_embd,v_dim", TENSOR_ATTN),
    BLOCK_QK_NORM,
    BLOCK_ATTN_OUT,
    TENSOR("ssm_in.weight", ssm_in, "n_embd,delta_in", TENSOR_RECURRENT | TENSOR_OPTIONAL),
    TENSOR_UNLESS("attn_qkv.weight", ssm_qkv, "n_embd,delta_conv", TENSOR_RECURRENT, ssm_in),
    TENSOR_UNLESS("attn_gate.weight", ssm_gate, "n_embd,ssm_inner", TENSOR_RECURRENT, ssm_in),
    TENSOR("ssm_ba.weight", ssm_ba, "n_embd,2*ssm_rank", TENSOR_RECURRENT | TENSOR_OPTIONAL),
    TENSOR_UNLESS("ssm_beta.weight", ssm_beta, "n_embd,ssm_rank", TENSOR_RECURRENT, ssm_ba),
    TENSOR_UNLESS("ssm_alpha.weight", ssm_alpha, "n_embd,ssm_rank", TENSOR_RECURRENT, ssm_ba),
    TENSOR("ssm_conv1d.weight", ssm_conv, "ssm_conv,delta_conv", TENSOR_RECURRENT | TENSOR_F32),
    TENSOR("ssm_dt.bias", ssm_dt_b, "ssm_rank", TENSOR_RECURRENT),
    TENSOR("ssm_a", ssm_a, "ssm_rank", TENSOR_RECURRENT),
    TENSOR("ssm_norm.weight", ssm_norm, "ssm_state", TENSOR_RECURRENT),
    TENSOR("ssm_out.weight", ssm_out, "ssm_inner,n_embd", TENSOR_RECURRENT),
    TENSOR("post_attention_norm.weight", ffn_norm, "n_embd", 0),
    BLOCK_GLU,
    BLOCK_EXPERTS_FUSED,
    TENSOR("ffn_gate_inp_shexp.weight", shared_router, "n_embd", TENSOR_SHARED | TENSOR_OPTIONAL),
    BLOCK_SHARED,
    {0},
};

static void defaults(struct hparams *hp) { hp->full_interval = 4; }

static enum status derive(struct model *m, struct err *e) {
    const bool given = hparam_given(m, "attention.recurrent_layers");
    for (uint32_t il = 0; il < m->hp.n_layer; il++) {
        struct layer *l = &m->layers[il];
        if (!given) l->recurrent = (il + 1) % m->hp.full_interval != 0;
        if (l->mtp) l->recurrent = 0;
        if (l->recurrent == 0 && l->n_head_kv == 0)
            return hparam_error(m, "attention.head_count_kv", e, "is 0 for layer %u", il);
        if (l->recurrent != 0) l->n_head_kv = 0;
    }
    return block_delta_derive(m, e);
}

static val mixer(struct forward *f, uint32_t il, val x) {
    return f->m->layers[il].recurrent != 0 ? block_delta(f, il, x) : block_attn(f, il, x);
}

#define QWEN_STYLE                                                                                 \
    .rope = ROPE_NEOX, .act = ACT_SILU, .norm_weights = true, .hybrid = true, .q_gate = true,      \
    .mtp = true

extern const struct arch arch_qwen3next, arch_qwen35, arch_qwen35moe;
const struct arch arch_qwen3next = {
    .name = "qwen3next",
    .hparams = hparams,
    .layer_hparams = layer_hparams,
    .globals = globals,
    .blocks = blocks,
    .style = {QWEN_STYLE},
    .defaults = defaults,
    .derive = derive,
    .mixer = mixer,
};
const struct arch arch_qwen35 = {
    .name = "qwen35",
    .hparams = sections_hparams,
    .layer_hparams = layer_hparams,
    .globals = globals,
    .blocks = blocks,
    .style = {QWEN_STYLE, .k_in_turn = true, .rope_axes = ROPE_INTERLEAVED},
    .defaults = defaults,
    .derive = derive,
    .mixer = mixer,
};
const struct arch arch_qwen35moe = {
    .name = "qwen35moe",
    .hparams = sections_hparams,
    .layer_hparams = layer_hparams,
    .globals = globals,
    .blocks = blocks,
    .style = {QWEN_STYLE, .k_in_turn = true, .rope_axes = ROPE_INTERLEAVED},
    .defaults = defaults,
    .derive = derive,
    .mixer = mixer,
};
