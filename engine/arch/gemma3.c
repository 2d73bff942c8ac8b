/* gemma3: Gemma 3 text models (spec/models/dense.md): norms before and after each half of a block,
 * a norm on each head of q and k, five window layers to one global one. Window layers have a rope
 * base of their own and no scaling. */
#include <math.h>

#include "engine/block.h"

static const struct hparam_spec hparams[] = {
    HP_RANGE("attention.sliding_window", HP_U32, n_swa, 0, INT32_MAX),
    HP_RANGE("rope.freq_base_swa", HP_F32, rope_base_swa, 1, 1e30),
    HP_RANGE("final_logit_softcapping", HP_F32, logit_softcap, 0, 1e6),
    {0},
};

static const struct tensor_spec globals[] = {GLOBALS_STD, {0}};

static const struct tensor_spec blocks[] = {
    BLOCK_ATTN,
    BLOCK_QK_NORM,
    TENSOR("post_attention_norm.weight", attn_post_norm, "n_embd", 0),
    BLOCK_FFN,
    TENSOR("post_ffw_norm.weight", ffn_post_norm, "n_embd", 0),
    {0},
};

static void defaults(struct hparams *hp) { hp->rope_base_swa = 10000; }

static enum status derive(struct model *m, struct err *e) {
    (void)e;
    struct hparams *hp = &m->hp;
    if (hp->n_layer == 62 && m->layers[0].n_head != 0)
        /* the 27B was trained with n_embd / n_head in place of the head size */
        hp->attn_scale = 1.0f / sqrtf((float)hp->n_embd / (float)m->layers[0].n_head);
    return ST_OK;
}

extern const struct arch arch_gemma3;
const struct arch arch_gemma3 = {
    .name = "gemma3",
    .hparams = hparams,
    .globals = globals,
    .blocks = blocks,
    .style = {.rope = ROPE_NEOX, .act = ACT_GELU, .scale_embd = true, .swa_rope = SWA_OWN_BASE},
    .swa_period = 6,
    .defaults = defaults,
    .derive = derive,
};
