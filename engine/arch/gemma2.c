/* gemma2: Gemma 2 (spec/models/dense.md): norms before and after each half of a block, soft caps on
 * attention scores and logits, every other layer with a window. */
#include <math.h>

#include "engine/block.h"

static const struct hparam_spec hparams[] = {
    HP_RANGE("attention.sliding_window", HP_U32, n_swa, 0, INT32_MAX),
    HP_RANGE("rope.freq_base_swa", HP_F32, rope_base_swa, 1, 1e30),
    HP_RANGE("attn_logit_softcapping", HP_F32, attn_softcap, 0, 1e6),
    HP_RANGE("final_logit_softcapping", HP_F32, logit_softcap, 0, 1e6),
    {0},
};

static const struct tensor_spec globals[] = {GLOBALS_EMBD, {0}};

static const struct tensor_spec blocks[] = {
    BLOCK_ATTN, TENSOR("post_attention_norm.weight", attn_post_norm, "n_embd", 0),
    BLOCK_FFN,  TENSOR("post_ffw_norm.weight", ffn_post_norm, "n_embd", 0),
    {0},
};

static void defaults(struct hparams *hp) {
    hp->n_swa = 4096;
    hp->attn_softcap = 50;
    hp->logit_softcap = 30;
}

static enum status derive(struct model *m, struct err *e) {
    struct hparams *hp = &m->hp;
    (void)e;
    if (hp->n_layer == 46 && m->layers[0].n_head != 0) /* the 27B: n_embd / n_head, not head_dim */
        hp->attn_scale = 1.0f / sqrtf((float)hp->n_embd / (float)m->layers[0].n_head);
    return ST_OK;
}

extern const struct arch arch_gemma2;
const struct arch arch_gemma2 = {
    .name = "gemma2",
    .hparams = hparams,
    .globals = globals,
    .blocks = blocks,
    .style = {.rope = ROPE_NEOX, .act = ACT_GELU, .scale_embd = true},
    .swa_period = 2,
    .defaults = defaults,
    .derive = derive,
};
