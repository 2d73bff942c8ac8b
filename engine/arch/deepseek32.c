/* deepseek32: DeepSeek V3.2; glm-dsa: GLM-5 (spec/models/moe.md): deepseek2 with sparse attention.
 * An index of keys chooses the cells that attention reads; some layers of GLM-5.2 use the choice of
 * an earlier one. */
#include "engine/block.h"

#define DSA_HPARAMS                                                                                \
    HP_MLA, HP_GATING,                                                                             \
        HP_RANGE("leading_dense_block_count", HP_U32, n_leading_dense, 0, MAX_LAYER),              \
        HP_RANGE("expert_shared_count", HP_U32, n_expert_shared, 0, 1024),                         \
        HP_RANGE("attention.indexer.head_count", HP_U32, n_index_head, 1, 4096),                   \
        HP_RANGE("attention.indexer.key_length", HP_U32, index_dim, 1, 4096),                      \
        HP_RANGE("attention.indexer.top_k", HP_U32, index_top_k, 1, 1 << 20)

static const struct hparam_spec hparams[] = {
    DSA_HPARAMS,
    HP_RANGE("rope.scaling.yarn_log_multiplier", HP_F32, yarn_log_mul, 0, 1e3),
    {0},
};
static const struct hparam_spec glm_hparams[] = {
    DSA_HPARAMS,
    HP_RANGE("attention.layer_norm_epsilon", HP_F32, index_eps, 0, 1),
    {0},
};
static const struct hparam_spec layer_hparams[] = {
    HP_LAYER("expert_feed_forward_length", n_ff_exp),
    {0},
};
static const struct hparam_spec glm_layer_hparams[] = {
    HP_LAYER("expert_feed_forward_length", n_ff_exp),
    HP_LAYER("attention.indexer.types", own_index),
    {0},
};

static const struct tensor_spec globals[] = {GLOBALS_STD, {0}};

static const struct tensor_spec blocks[] = {
    BLOCK_MLA,
    TENSOR("indexer.k_norm.weight", index_k_norm, "index_dim", TENSOR_INDEX),
    TENSOR("indexer.k_norm.bias", index_k_norm_b, "index_dim", TENSOR_INDEX),
    TENSOR("indexer.proj.weight", index_proj, "n_embd,n_index_head", TENSOR_INDEX),
    TENSOR("indexer.attn_k.weight", index_k, "n_embd,index_dim", TENSOR_INDEX),
    TENSOR("indexer.attn_q_b.weight", index_q, "q_rank,index_q_dim", TENSOR_INDEX),
    BLOCK_FFN,
    BLOCK_EXPERTS_FUSED,
    BLOCK_ROUTER_BIAS(TENSOR_OPTIONAL),
    BLOCK_SHARED,
    {0},
};

/* Without the key: every layer has an index; for the longest contexts the first three and then one
 * of four. */
static void default_types(struct model *m) {
    const bool sparse = m->hp.n_ctx_train >= 1048576 && m->arch->style.index_rope == ROPE_NORM;
    if (hparam_given(m, "attention.indexer.types")) return;
    for (uint32_t il = 0; il < m->hp.n_layer; il++)
        m->layers[il].own_index = !sparse || il < 3 || (il - 2) % 4 == 0;
}

static enum status derive(struct model *m, struct err *e) {
    struct hparams *hp = &m->hp;
    hp->yarn_log_mul /= 0.1f; /* glm-dsa does not read it */
    default_types(m);
    for (uint32_t il = 0; il < hp->n_layer; il++) /* such a block sees everything */
        if (m->layers[il].mtp) m->layers[il].own_index = 0;
    if (hp->n_index_head == 0 || hp->index_dim == 0 || hp->index_top_k == 0)
        return hparam_error(m, "attention.indexer.top_k", e,
                            "or the index's head_count or key_length is missing");
    if (hp->index_dim < hp->n_rot)
        return hparam_clash(m, "attention.indexer.key_length", "rope.dimension_count", e,
                            "is %u, expected at least %u", hp->index_dim, hp->n_rot);
    if (m->layers[0].own_index == 0)
        return hparam_error(m, "attention.indexer.types", e, "gives the first layer no index");
    enum status st = block_shared_derive(m, e);
    return st == ST_OK ? block_mla_derive(m, e) : st;
}

static void deepseek_defaults(struct hparams *hp) { hp->index_eps = 1e-6f; }
static void glm_defaults(struct hparams *hp) { hp->index_eps = 1e-5f; }

extern const struct arch arch_deepseek32, arch_glm_dsa;
const struct arch arch_deepseek32 = {
    .name = "deepseek32",
    .hparams = hparams,
    .layer_hparams = layer_hparams,
    .globals = globals,
    .blocks = blocks,
    .style = {.rope = ROPE_NORM,
              .act = ACT_SILU,
              .gating = MOE_SIGMOID,
              .index_rope = ROPE_NEOX,
              .mtp = true},
    .defaults = deepseek_defaults,
    .derive = derive,
    .mixer = block_mla,
};
const struct arch arch_glm_dsa = {
    .name = "glm-dsa",
    .hparams = glm_hparams,
    .layer_hparams = glm_layer_hparams,
    .globals = globals,
    .blocks = blocks,
    .style = {.rope = ROPE_NORM,
              .act = ACT_SILU,
              .gating = MOE_SIGMOID,
              .index_rope = ROPE_NORM,
              .mtp = true},
    .defaults = glm_defaults,
    .derive = derive,
    .mixer = block_mla,
};
