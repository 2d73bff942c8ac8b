/* exaone: EXAONE 3; exaone4: EXAONE 4 (spec/models/dense.md): norms behind each half only, a norm
 * on each head of q and k. The 32B (64 layers) has windows on three of four layers, and rope on
 * these only. */
#include "engine/block.h"

static const struct hparam_spec hparams[] = {{0}};
static const struct hparam_spec exaone4_hparams[] = {
    HP_RANGE("attention.sliding_window", HP_U32, n_swa, 0, INT32_MAX),
    {0},
};

static const struct tensor_spec globals[] = {GLOBALS_STD, GLOBALS_ROPE_FREQS, {0}};

static const struct tensor_spec blocks[] = {BLOCK_ATTN, BLOCK_FFN, {0}};

static const struct tensor_spec exaone4_blocks[] = {
    BLOCK_QKV,     BLOCK_ATTN_OUT,
    BLOCK_QK_NORM, TENSOR("post_attention_norm.weight", attn_post_norm, "n_embd", 0),
    BLOCK_GLU,     TENSOR("post_ffw_norm.weight", ffn_post_norm, "n_embd", 0),
    {0},
};

static void exaone4_defaults(struct hparams *hp) { hp->n_swa = 4096; }

static enum status exaone4_derive(struct model *m, struct err *e) {
    const bool windows = m->hp.n_layer == 64 && m->hp.n_swa != 0;
    (void)e;
    for (uint32_t il = 0; il < m->hp.n_layer; il++) {
        struct layer *l = &m->layers[il];
        l->window &= windows;
        layer_size_heads(m, il);
        if (windows) l->rope &= l->window;
    }
    return ST_OK;
}

extern const struct arch arch_exaone, arch_exaone4;
const struct arch arch_exaone = {
    .name = "exaone",
    .hparams = hparams,
    .globals = globals,
    .blocks = blocks,
    .style = {.rope = ROPE_NEOX, .act = ACT_SILU},
};
const struct arch arch_exaone4 = {
    .name = "exaone4",
    .hparams = exaone4_hparams,
    .globals = globals,
    .blocks = exaone4_blocks,
    .style = {.rope = ROPE_NEOX, .act = ACT_SILU},
    .swa_period = 4,
    .defaults = exaone4_defaults,
    .derive = exaone4_derive,
};
