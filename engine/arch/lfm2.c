/* lfm2, lfm2moe: LFM2 of Liquid AI (spec/models/recurrent.md): short gated convolutions in most
 * layers, attention in those with key/value heads. The norm behind the last layer has the name of
 * one behind the embedding. */
#include "engine/block.h"

#define LFM2_HPARAMS                                                                               \
    HP_RANGE("shortconv.l_cache", HP_U32, ssm_conv, 1, 64),                                        \
        HP_RANGE("attention.sliding_window", HP_U32, n_swa, 0, INT32_MAX),                         \
        HP_RANGE("rope.freq_base_swa", HP_F32, rope_base_swa, 1, 1e30)

static const struct hparam_spec hparams[] = {LFM2_HPARAMS, {0}};
static const struct hparam_spec moe_hparams[] = {
    LFM2_HPARAMS,
    HP_RANGE("expert_gating_func", HP_U32, gating, 0, 4),
    HP_RANGE("leading_dense_block_count", HP_U32, n_leading_dense, 0, MAX_LAYER),
    {0},
};
static const struct hparam_spec moe_layer_hparams[] = {
    HP_LAYER("expert_feed_forward_length", n_ff_exp),
    {0},
};

static const struct tensor_spec globals[] = {
    GLOBAL("token_embd.weight", token_embd, "n_embd,n_vocab", 0),
    GLOBAL("token_embd_norm.weight", output_norm, "n_embd", 0),
    GLOBAL("output.weight", output, "n_embd,n_vocab", TENSOR_OPTIONAL),
    GLOBALS_DENSE, /* of retrieval models */
    {0},
};

static const struct tensor_spec blocks[] = {
    BLOCK_ATTN,
    BLOCK_QK_NORM,
    TENSOR("shortconv.in_proj.weight", ssm_in, "n_embd,3*n_embd", TENSOR_RECURRENT),
    TENSOR("shortconv.conv.weight", ssm_conv, "ssm_conv,n_embd", TENSOR_RECURRENT | TENSOR_F32),
    TENSOR("shortconv.out_proj.weight", ssm_out, "n_embd,n_embd", TENSOR_RECURRENT),
    BLOCK_FFN,
    BLOCK_EXPERTS,
    BLOCK_ROUTER_BIAS(0),
    {0},
};

static void defaults(struct hparams *hp) { hp->rope_base_swa = 10000; }

static enum status derive(struct model *m, struct err *e) {
    enum status st = ST_OK;
    if (m->hp.ssm_conv == 0) return hparam_error(m, "shortconv.l_cache", e, "is missing");
    for (uint32_t il = 0; st == ST_OK && il < m->hp.n_layer; il++) {
        struct layer *l = &m->layers[il];
        l->recurrent = l->n_head_kv == 0;
        l->window = l->recurrent == 0 && m->hp.n_swa != 0;
        if (l->recurrent != 0) st = block_state_derive(m, l, m->hp.n_embd, 0, e);
    }
    return st;
}

static val mixer(struct forward *f, uint32_t il, val x) {
    const struct layer *l = &f->m->layers[il];
    const uint32_t n = f->m->hp.n_embd;
    if (l->recurrent == 0) return block_attn(f, il, x);
    val in = p_linear1(f->p, "bcx", x, (struct weight){l->ssm_in, NULL});
    val b = p_slice(f->p, "b", in, 0, n), c = p_slice(f->p, "c", in, n, n);
    val u = p_mul(f->p, "bx", b, p_slice(f->p, "x", in, 2 * n, n));
    u = p_conv_state(f->p, "conv", u, (struct weight){l->ssm_conv, NULL}, il, 0);
    return p_linear1(f->p, "mixed", p_mul(f->p, "gated", c, u), (struct weight){l->ssm_out, NULL});
}

extern const struct arch arch_lfm2, arch_lfm2moe;
const struct arch arch_lfm2 = {
    .name = "lfm2",
    .hparams = hparams,
    .globals = globals,
    .blocks = blocks,
    .style = {.rope = ROPE_NEOX, .act = ACT_SILU, .swa_rope = SWA_OWN_BASE, .hybrid = true},
    .defaults = defaults,
    .derive = derive,
    .mixer = mixer,
};
const struct arch arch_lfm2moe = {
    .name = "lfm2moe",
    .hparams = moe_hparams,
    .layer_hparams = moe_layer_hparams,
    .globals = globals,
    .blocks = blocks,
    .style = {.rope = ROPE_NEOX,
              .act = ACT_SILU,
              .swa_rope = SWA_OWN_BASE,
              .hybrid = true,
              .norm_weights = true},
    .defaults = defaults,
    .derive = derive,
    .mixer = mixer,
};
