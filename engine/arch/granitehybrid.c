/* granitehybrid: Granite 4.0 H (spec/models/recurrent.md): granite with Mamba-2 in the layers that
 * have no key/value heads. */
#include "engine/block.h"

static const struct hparam_spec hparams[] = {
    HP_SSM,
    HP_RANGE("embedding_scale", HP_F32, embd_scale, -1e6, 1e6),
    HP_RANGE("residual_scale", HP_F32, residual_scale, -1e6, 1e6),
    HP_RANGE("attention.scale", HP_F32, attn_scale, 0, 1e6),
    HP_RANGE("logit_scale", HP_F32, logit_scale, -1e6, 1e6),
    HP("rope.scaling.finetuned", HP_BOOL, rope_finetuned),
    {0},
};
static const struct hparam_spec layer_hparams[] = {
    HP_LAYER("expert_shared_feed_forward_length", n_ff_shared),
    {0},
};

static const struct tensor_spec globals[] = {GLOBALS_STD, {0}};

static const struct tensor_spec blocks[] = {
    BLOCK_ATTN,     TENSOR("attn_output.bias", wo_b, "n_embd", TENSOR_OPTIONAL | TENSOR_ATTN),
    BLOCK_MAMBA2,   BLOCK_FFN,
    BLOCK_FFN_BIAS, BLOCK_EXPERTS,
    BLOCK_SHARED,   {0},
};

static void defaults(struct hparams *hp) { hp->rope_finetuned = true; }

static enum status derive(struct model *m, struct err *e) {
    struct hparams *hp = &m->hp;
    if (hp->logit_scale != 0) hp->logit_scale = 1 / hp->logit_scale;
    if (hp->ssm_inner != 2 * hp->n_embd)
        return hparam_clash(m, "ssm.inner_size", "embedding_length", e, "is %u, expected %u",
                            hp->ssm_inner, 2 * hp->n_embd);
    for (uint32_t il = 0; il < hp->n_layer; il++) {
        struct layer *l = &m->layers[il];
        l->recurrent = l->n_head_kv == 0;
        l->rope &= hp->rope_finetuned;
    }
    return block_mamba2_derive(m, e);
}

static val mixer(struct forward *f, uint32_t il, val x) {
    return f->m->layers[il].recurrent != 0 ? block_mamba2(f, il, x) : block_attn(f, il, x);
}

extern const struct arch arch_granitehybrid;
const struct arch arch_granitehybrid = {
    .name = "granitehybrid",
    .hparams = hparams,
    .layer_hparams = layer_hparams,
    .globals = globals,
    .blocks = blocks,
    .style = {.rope = ROPE_NORM, .act = ACT_SILU, .norm_weights = true, .hybrid = true},
    .defaults = defaults,
    .derive = derive,
    .mixer = mixer,
};
