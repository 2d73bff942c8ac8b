/* mamba: Mamba and Falcon-Mamba; mamba2: Mamba-2 and Codestral Mamba (spec/models/recurrent.md): a
 * recurrence in every layer, no attention, no feed-forward half. */
#include "engine/block.h"

static const struct hparam_spec hparams[] = {
    HP_SSM,
    HP("ssm.dt_b_c_rms", HP_BOOL, ssm_norm_parts),
    {0},
};

static const struct tensor_spec globals[] = {GLOBALS_STD, {0}};

static const struct tensor_spec blocks[] = {
    TENSOR("attn_norm.weight", attn_norm, "n_embd", 0),
    TENSOR("ssm_in.weight", ssm_in, "n_embd,2*ssm_inner", 0),
    TENSOR("ssm_conv1d.weight", ssm_conv, "ssm_conv,ssm_inner", TENSOR_F32),
    TENSOR("ssm_conv1d.bias", ssm_conv_b, "ssm_inner", 0),
    TENSOR("ssm_x.weight", ssm_x, "ssm_inner,ssm_x", 0),
    TENSOR("ssm_dt.weight", ssm_dt, "ssm_rank,ssm_inner", 0),
    TENSOR("ssm_dt.bias", ssm_dt_b, "ssm_inner", 0),
    TENSOR("ssm_a", ssm_a, "ssm_state,ssm_inner", TENSOR_F32),
    TENSOR("ssm_d", ssm_d, "ssm_inner", TENSOR_F32),
    TENSOR("ssm_out.weight", ssm_out, "ssm_inner,n_embd", 0),
    {0},
};
static const struct tensor_spec blocks2[] = {
    TENSOR("attn_norm.weight", attn_norm, "n_embd", 0),
    BLOCK_MAMBA2,
    {0},
};

static void only_recurrent(struct model *m) {
    for (uint32_t il = 0; il < m->hp.n_layer; il++) {
        struct layer *l = &m->layers[il];
        l->recurrent = 1;
        l->no_ffn = true;
        l->n_head_kv = 0;
    }
}

static enum status derive(struct model *m, struct err *e) {
    only_recurrent(m);
    if (m->hp.ssm_inner != 2 * m->hp.n_embd)
        return hparam_clash(m, "ssm.inner_size", "embedding_length", e, "is %u, expected %u",
                            m->hp.ssm_inner, 2 * m->hp.n_embd);
    return block_mamba_derive(m, e);
}

static enum status derive2(struct model *m, struct err *e) {
    only_recurrent(m);
    return block_mamba2_derive(m, e);
}

static val layer(struct forward *f, uint32_t il, val x) {
    const struct layer *l = &f->m->layers[il];
    val n = block_norm(f, "norm", x, (struct weight){l->attn_norm, NULL});
    return p_add(f->p, "h", x, f->m->arch->mixer(f, il, n));
}

extern const struct arch arch_mamba, arch_mamba2;
const struct arch arch_mamba = {
    .name = "mamba",
    .hparams = hparams,
    .globals = globals,
    .blocks = blocks,
    .style = {.hybrid = true},
    .derive = derive,
    .layer = layer,
    .mixer = block_mamba,
};
const struct arch arch_mamba2 = {
    .name = "mamba2",
    .hparams = hparams,
    .globals = globals,
    .blocks = blocks2,
    .style = {.hybrid = true},
    .derive = derive2,
    .layer = layer,
    .mixer = block_mamba2,
};
