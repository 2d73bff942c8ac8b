/* t5encoder: the encoder of T5 (Raffel et al. 2020; spec/models/encoders.md): no positions but a
 * bias for each head and distance, in buckets; scores are not scaled. Layers without a table of
 * biases use that of the first. */
#include "engine/block.h"

static const struct hparam_spec hparams[] = {
    {.key = "attention.relative_buckets_count",
     .offset = offsetof(struct hparams, n_bucket),
     .required = true,
     .low = 4,
     .high = 256},
    {0},
};

static const struct tensor_spec globals[] = {
    GLOBAL("token_embd.weight", token_embd, "n_embd,n_vocab", 0),
    GLOBAL("enc.output_norm.weight", output_norm, "n_embd", 0),
    {0},
};

static const struct tensor_spec blocks[] = {
    TENSOR("attn_norm.weight", attn_norm, "n_embd", 0),
    TENSOR("attn_q.weight", wq, "n_embd,q_dim", 0),
    TENSOR("attn_k.weight", wk, "n_embd,k_dim", 0),
    TENSOR("attn_v.weight", wv, "n_embd,v_dim", 0),
    TENSOR("attn_o.weight", wo, "o_dim,n_embd", 0),
    TENSOR("attn_rel_b.weight", attn_bias, "n_head,n_bucket", TENSOR_OPTIONAL | TENSOR_F32),
    BLOCK_FFN_NORM,
    TENSOR("ffn_gate.weight", ffn_gate, "n_embd,n_ff", TENSOR_OPTIONAL),
    BLOCK_MLP,
    {0},
};

static void defaults(struct hparams *hp) {
    hp->causal = false;
    hp->attn_scale = 1;
}

/* Once the tensors are there: the first layer's table for all, and ReLU where there is no gate. */
static enum status loaded(struct model *m, struct err *e) {
    if (m->layers[0].attn_bias == NULL)
        return err_set(e, ST_FORMAT, "missing tensor 'enc.blk.0.attn_rel_b.weight'");
    for (uint32_t il = 1; il < m->hp.n_layer; il++)
        if (m->layers[il].attn_bias == NULL) m->layers[il].attn_bias = m->layers[0].attn_bias;
    if (m->layers[0].ffn_gate == NULL) m->hp.act = ACT_RELU;
    return ST_OK;
}

extern const struct arch arch_t5encoder;
const struct arch arch_t5encoder = {
    .name = "t5encoder",
    .hparams = hparams,
    .globals = globals,
    .blocks = blocks,
    .style = {.act = ACT_GELU},
    .block_prefix = "enc.",
    .defaults = defaults,
    .derive = block_no_rope,
    .loaded = loaded,
};
