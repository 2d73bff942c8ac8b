/* nemotron_h, nemotron_h_moe: Nemotron-H and Nemotron 3 (spec/models/recurrent.md): one mixer a
 * layer, which is Mamba-2, attention without rope, or a feed-forward part of squared relu. */
#include <stdio.h>

#include "engine/block.h"

static const struct hparam_spec hparams[] = {
    HP_SSM,
    HP("expert_weights_norm", HP_BOOL, norm_weights),
    HP_RANGE("moe_latent_size", HP_U32, n_latent, 0, 1 << 20),
    {0},
};
static const struct hparam_spec layer_hparams[] = {
    HP_LAYER("expert_feed_forward_length", n_ff_exp),
    HP_LAYER("expert_shared_feed_forward_length", n_ff_shared),
    {0},
};

static const struct tensor_spec globals[] = {GLOBALS_STD, {0}};

static const struct tensor_spec blocks[] = {
    BLOCK_ATTN,
    TENSOR("attn_output.bias", wo_b, "n_embd", TENSOR_OPTIONAL | TENSOR_ATTN),
    BLOCK_MAMBA2,
    BLOCK_MLP,
    TENSOR("ffn_up.bias", ffn_up_b, "n_ff", TENSOR_OPTIONAL | TENSOR_DENSE),
    TENSOR("ffn_down.bias", ffn_down_b, "n_embd", TENSOR_OPTIONAL | TENSOR_DENSE),
    BLOCK_ROUTER,
    BLOCK_ROUTER_BIAS(0),
    TENSOR("ffn_latent_down.weight", latent_down, "n_embd,n_latent", TENSOR_MOE | TENSOR_SHORT),
    TENSOR("ffn_latent_up.weight", latent_up, "n_latent,n_embd", TENSOR_MOE | TENSOR_SHORT),
    TENSOR("ffn_up_exps.weight", experts_up, "n_expert_in,n_ff_exp,n_expert", TENSOR_MOE),
    TENSOR("ffn_down_exps.weight", experts_down, "n_ff_exp,n_expert_in,n_expert", TENSOR_MOE),
    TENSOR("ffn_up_shexp.weight", shared_up, "n_embd,n_ff_shared", TENSOR_SHARED),
    TENSOR("ffn_down_shexp.weight", shared_down, "n_ff_shared,n_embd", TENSOR_SHARED),
    {0},
};

static bool has_router(const struct model *m, uint32_t il) {
    char name[64];
    snprintf(name, sizeof name, "blk.%u.ffn_gate_inp.weight", il);
    return m->hp.n_expert != 0 && gguf_find_tensor(m->gguf, name) != NULL;
}

static enum status derive(struct model *m, struct err *e) {
    for (uint32_t il = 0; il < m->hp.n_layer; il++) {
        struct layer *l = &m->layers[il];
        l->no_ffn = l->n_ff == 0;
        l->recurrent = l->no_ffn && l->n_head_kv == 0;
        l->moe = !l->no_ffn && has_router(m, il);
        l->rope = false;
        if (!l->no_ffn) l->n_head_kv = 0; /* no attention beside it */
    }
    return block_mamba2_derive(m, e);
}

static val layer(struct forward *f, uint32_t il, val x) {
    const struct layer *l = &f->m->layers[il];
    val n = block_norm(f, "norm", x, (struct weight){l->attn_norm, NULL});
    val y = l->recurrent != 0   ? block_mamba2(f, il, n)
            : l->n_head_kv != 0 ? block_attn(f, il, n)
                                : block_ffn(f, il, n);
    return p_add(f->p, "h", x, y);
}

extern const struct arch arch_nemotron_h, arch_nemotron_h_moe;
const struct arch arch_nemotron_h = {
    .name = "nemotron_h",
    .hparams = hparams,
    .layer_hparams = layer_hparams,
    .globals = globals,
    .blocks = blocks,
    .style = {.act = ACT_RELU2, .gating = MOE_SIGMOID, .hybrid = true, .layer_eps = true},
    .derive = derive,
    .layer = layer,
};
const struct arch arch_nemotron_h_moe = {
    .name = "nemotron_h_moe",
    .hparams = hparams,
    .layer_hparams = layer_hparams,
    .globals = globals,
    .blocks = blocks,
    .style = {.act = ACT_RELU2, .gating = MOE_SIGMOID, .hybrid = true, .layer_eps = true},
    .derive = derive,
    .layer = layer,
};
