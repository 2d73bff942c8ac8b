/* kimi-linear: Kimi Linear (arXiv 2510.26692; spec/models/recurrent.md): Kimi delta attention, a
 * delta rule with a decay for each column, and latent attention without rope in the layers with
 * key/value heads. */
#include "engine/block.h"

static const struct hparam_spec hparams[] = {
    HP_MLA,
    HP_RANGE("ssm.conv_kernel", HP_U32, ssm_conv, 1, 64),
    HP_RANGE("kda.head_dim", HP_U32, kda_dim, 1, DELTA_MAX_DIM),
    HP_RANGE("expert_gating_func", HP_U32, gating, 0, 4),
    HP_RANGE("leading_dense_block_count", HP_U32, n_leading_dense, 0, MAX_LAYER),
    HP_RANGE("expert_shared_count", HP_U32, n_expert_shared, 0, 1024),
    {0},
};
static const struct hparam_spec layer_hparams[] = {
    HP_LAYER("expert_feed_forward_length", n_ff_exp),
    {0},
};

static const struct tensor_spec globals[] = {GLOBALS_OUTPUT, {0}};

#define CONV(name, field) TENSOR(name, field, "ssm_conv,1,kda_dims", TENSOR_RECURRENT | TENSOR_F32)

static const struct tensor_spec blocks[] = {
    BLOCK_MLA,
    TENSOR("attn_q.weight", wq, "n_embd,kda_dims", TENSOR_RECURRENT),
    TENSOR("attn_k.weight", wk, "n_embd,kda_dims", TENSOR_RECURRENT),
    TENSOR("attn_v.weight", wv, "n_embd,kda_dims", TENSOR_RECURRENT),
    TENSOR("attn_output.weight", wo, "kda_dims,n_embd", TENSOR_RECURRENT),
    CONV("ssm_conv1d_q.weight", conv_q),
    CONV("ssm_conv1d_k.weight", conv_k),
    CONV("ssm_conv1d_v.weight", conv_v),
    TENSOR("ssm_f_a.weight", kda_f_a, "n_embd,kda_dim", TENSOR_RECURRENT),
    TENSOR("ssm_f_b.weight", kda_f_b, "kda_dim,kda_dims", TENSOR_RECURRENT),
    TENSOR("ssm_g_a.weight", kda_g_a, "n_embd,kda_dim", TENSOR_RECURRENT),
    TENSOR("ssm_g_b.weight", kda_g_b, "kda_dim,kda_dims", TENSOR_RECURRENT),
    TENSOR("ssm_beta.weight", ssm_beta, "n_embd,n_head", TENSOR_RECURRENT),
    TENSOR("ssm_a", ssm_a, "1,n_head", TENSOR_RECURRENT | TENSOR_F32),
    TENSOR("ssm_dt.bias", ssm_dt_b, "kda_dims", TENSOR_RECURRENT),
    TENSOR("ssm_norm.weight", ssm_norm, "kda_dim", TENSOR_RECURRENT),
    BLOCK_FFN,
    BLOCK_EXPERTS_FUSED,
    BLOCK_ROUTER_BIAS(TENSOR_OPTIONAL),
    BLOCK_SHARED,
    {0},
};

static enum status derive(struct model *m, struct err *e) {
    const struct hparams *hp = &m->hp;
    enum status st = block_shared_derive(m, e);
    if (st == ST_OK && hp->ssm_conv == 0) st = hparam_error(m, "ssm.conv_kernel", e, "is missing");
    if (st == ST_OK && hp->kda_dim == 0) st = hparam_error(m, "kda.head_dim", e, "is missing");
    for (uint32_t il = 0; st == ST_OK && il < hp->n_layer; il++) {
        struct layer *l = &m->layers[il];
        const uint64_t dims = (uint64_t)l->n_head * hp->kda_dim;
        l->recurrent = l->n_head_kv == 0;
        l->rope = false;
        if (l->recurrent == 0) continue;
        if (l->n_head == 0)
            return hparam_error(m, "attention.head_count", e, "is 0 for layer %u", il);
        st = block_state_derive(m, l, 3 * dims, dims * hp->kda_dim, e);
    }
    return st == ST_OK ? block_mla_derive(m, e) : st;
}

static val kda(struct forward *f, uint32_t il, val x) {
    static const char *const name[] = {"q", "k", "v"};
    const struct layer *l = &f->m->layers[il];
    const struct hparams *hp = &f->m->hp;
    const struct weight w[] = {{l->wq, NULL}, {l->wk, NULL}, {l->wv, NULL}};
    const struct tensor *const conv[] = {l->conv_q, l->conv_k, l->conv_v};
    const uint32_t dim = hp->kda_dim, past = (hp->ssm_conv - 1) * l->n_head * dim;
    const struct delta_style style = {.layer = il,
                                      .col = 3 * past,
                                      .n_head = l->n_head,
                                      .n_head_k = l->n_head,
                                      .dim_k = dim,
                                      .dim_v = dim,
                                      .a = l->ssm_a,
                                      .dt_b = l->ssm_dt_b};
    val out[3];
    p_linear(f->p, x, 3, w, name, out);
    for (uint32_t i = 0; i < 3; i++) {
        out[i] = p_conv_state(f->p, name[i], out[i], (struct weight){conv[i], NULL}, il, i * past);
        out[i] = p_act(f->p, name[i], ACT_SILU, out[i]);
        if (i < 2) out[i] = block_unit_heads(f, name[i], out[i], dim);
    }
    const struct delta_in in = {.q = out[0],
                                .k = out[1],
                                .v = out[2],
                                .gate = block_low_rank(f, "decay", x, l->kda_f_a, l->kda_f_b),
                                .beta =
                                    p_linear1(f->p, "beta", x, (struct weight){l->ssm_beta, NULL})};
    val y = p_delta_net(f->p, "delta", &in, &style);
    y = block_norm(f, "norm", y, (struct weight){l->ssm_norm, NULL});
    y = p_glu(f->p, "gated", ACT_SIGMOID, block_low_rank(f, "gate", x, l->kda_g_a, l->kda_g_b), y);
    return p_linear1(f->p, "mixed", y, (struct weight){l->wo, NULL});
}

static val mixer(struct forward *f, uint32_t il, val x) {
    return f->m->layers[il].recurrent != 0 ? kda(f, il, x) : block_mla(f, il, x);
}

extern const struct arch arch_kimi_linear;
const struct arch arch_kimi_linear = {
    .name = "kimi-linear",
    .hparams = hparams,
    .layer_hparams = layer_hparams,
    .globals = globals,
    .blocks = blocks,
    .style = {.rope = ROPE_NORM,
              .act = ACT_SILU,
              .gating = MOE_SIGMOID,
              .norm_weights = true,
              .hybrid = true},
    .derive = derive,
    .mixer = mixer,
};
