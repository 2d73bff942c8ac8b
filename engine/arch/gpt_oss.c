/* gpt-oss (spec/models/moe.md): attention sinks, windows on every other layer, YaRN on all of them,
 * biases on every product, experts weighed by the softmax of the chosen ones' logits, and a clamped
 * gated activation. post_attention_norm is the norm before the feed-forward half. */
#include "engine/block.h"

static const struct hparam_spec hparams[] = {
    HP_RANGE("attention.sliding_window", HP_U32, n_swa, 0, INT32_MAX),
    {0},
};
static const struct hparam_spec layer_hparams[] = {
    HP_LAYER("expert_feed_forward_length", n_ff_exp),
    {0},
};

static const struct tensor_spec globals[] = {GLOBALS_OUTPUT, {0}};

static const struct tensor_spec blocks[] = {
    BLOCK_ATTN,
    TENSOR("attn_output.bias", wo_b, "n_embd", 0),
    TENSOR("attn_sinks.weight", sinks, "n_head", 0),
    TENSOR("post_attention_norm.weight", ffn_norm, "n_embd", 0),
    BLOCK_EXPERTS,
    TENSOR("ffn_gate_inp.bias", router_b, "n_expert", TENSOR_MOE),
    TENSOR("ffn_gate_exps.bias", experts_gate_b, "n_ff_exp,n_expert", TENSOR_MOE | TENSOR_F32),
    TENSOR("ffn_up_exps.bias", experts_up_b, "n_ff_exp,n_expert", TENSOR_MOE | TENSOR_F32),
    TENSOR("ffn_down_exps.bias", experts_down_b, "n_embd,n_expert", TENSOR_MOE | TENSOR_F32),
    {0},
};

/* The head size is what rope turns, whatever n_embd / n_head would be. */
static enum status derive(struct model *m, struct err *e) {
    const uint32_t n_rot = m->hp.n_rot;
    if (n_rot == 0) return hparam_error(m, "rope.dimension_count", e, "is 0");
    if (m->hp.n_expert == 0) return hparam_error(m, "expert_count", e, "is missing or 0");
    for (uint32_t il = 0; il < m->hp.n_layer; il++) {
        struct layer *l = &m->layers[il];
        l->head_dim = l->head_dim_v = l->n_rot = n_rot;
        l->kv_dim_k = l->kv_dim_v = n_rot;
    }
    return ST_OK;
}

extern const struct arch arch_gpt_oss;
const struct arch arch_gpt_oss = {
    .name = "gpt-oss",
    .hparams = hparams,
    .layer_hparams = layer_hparams,
    .globals = globals,
    .blocks = blocks,
    .style = {.rope = ROPE_NEOX, .act = ACT_SWIGLU_OAI, .gating = MOE_SOFTMAX_AFTER},
    .swa_period = 2,
    .derive = derive,
};
