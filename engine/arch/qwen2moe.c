/* qwen2moe: Qwen1.5-MoE and Qwen2-57B-A14B (spec/models/moe.md): the chosen experts' probabilities
 * are not renormalised, a shared expert has a gate of its own. */
#include "engine/block.h"

static const struct hparam_spec hparams[] = {{0}};
static const struct hparam_spec layer_hparams[] = {
    HP_LAYER("expert_feed_forward_length", n_ff_exp),
    HP_LAYER("expert_shared_feed_forward_length", n_ff_shared),
    {0},
};

static const struct tensor_spec globals[] = {GLOBALS_OUTPUT, {0}};

static const struct tensor_spec blocks[] = {
    BLOCK_ATTN,    BLOCK_FFN,
    BLOCK_EXPERTS, TENSOR("ffn_gate_inp_shexp.weight", shared_router, "n_embd", TENSOR_MOE),
    BLOCK_SHARED,  {0},
};

static enum status derive(struct model *m, struct err *e) {
    const bool given = hparam_given(m, "expert_feed_forward_length");
    (void)e;
    for (uint32_t il = 0; il < m->hp.n_layer; il++) {
        struct layer *l = &m->layers[il];
        if (!given && m->hp.n_expert_used != 0) l->n_ff_exp = l->n_ff / m->hp.n_expert_used;
        if (l->n_ff_shared == 0) l->n_ff_shared = l->n_ff;
    }
    return ST_OK;
}

extern const struct arch arch_qwen2moe;
const struct arch arch_qwen2moe = {
    .name = "qwen2moe",
    .hparams = hparams,
    .layer_hparams = layer_hparams,
    .globals = globals,
    .blocks = blocks,
    .style = {.rope = ROPE_NEOX, .act = ACT_SILU},
    .derive = derive,
};
