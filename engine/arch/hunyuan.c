/* hunyuan-dense, hunyuan_vl (its text half), hunyuan-moe (spec/models/dense.md, moe.md): a norm on
 * each head of q and k behind rope; experts beside a shared one. */
#include "engine/block.h"

static const struct hparam_spec hparams[] = {
    {.key = "rope.dimension_sections",
     .kind = HP_SECTIONS,
     .offset = offsetof(struct hparams, rope_sections)},
    {0},
};
static const struct hparam_spec moe_layer_hparams[] = {
    HP_LAYER("expert_shared_feed_forward_length", n_ff_shared),
    {0},
};

static const struct tensor_spec globals[] = {GLOBALS_STD, {0}};

static const struct tensor_spec blocks[] = {
    BLOCK_ATTN, BLOCK_QK_NORM, BLOCK_FFN, BLOCK_EXPERTS, BLOCK_SHARED, {0},
};

static enum status moe_derive(struct model *m, struct err *e) {
    (void)e;
    for (uint32_t il = 0; il < m->hp.n_layer; il++)
        if (m->layers[il].n_ff_shared == 0) m->layers[il].n_ff_shared = m->layers[il].n_ff;
    return ST_OK;
}

extern const struct arch arch_hunyuan_dense, arch_hunyuan_vl, arch_hunyuan_moe;
const struct arch arch_hunyuan_dense = {
    .name = "hunyuan-dense",
    .hparams = hparams,
    .globals = globals,
    .blocks = blocks,
    .style = {.rope = ROPE_NEOX, .act = ACT_SILU, .qk_norm_late = true},
};
const struct arch arch_hunyuan_vl = {
    .name = "hunyuan_vl",
    .hparams = hparams,
    .globals = globals,
    .blocks = blocks,
    .style = {.rope_axes = ROPE_SECTIONS, .rope = ROPE_NEOX, .act = ACT_SILU, .qk_norm_late = true},
};
const struct arch arch_hunyuan_moe = {
    .name = "hunyuan-moe",
    .hparams = hparams,
    .layer_hparams = moe_layer_hparams,
    .globals = globals,
    .blocks = blocks,
    .style = {.rope = ROPE_NEOX, .act = ACT_SILU, .qk_norm_late = true, .norm_weights = true},
    .derive = moe_derive,
};
