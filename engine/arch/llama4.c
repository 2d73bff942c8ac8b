/* llama4: Scout and Maverick (spec/models/moe.md): attention within chunks of 8192 positions on
 * three of four layers; the fourth sees everything, knows no positions and scales its queries with
 * them. An expert's weight multiplies its input, and experts are chosen by their logits. */
#include "engine/block.h"

enum { CHUNK = 8192 };

static const struct hparam_spec hparams[] = {
    HP_RANGE("attention.sliding_window", HP_U32, n_swa, 0, INT32_MAX),
    HP_RANGE("interleave_moe_layer_step", HP_U32, moe_step, 0, MAX_LAYER),
    {0},
};
static const struct hparam_spec layer_hparams[] = {
    HP_LAYER("expert_feed_forward_length", n_ff_exp),
    {0},
};

static const struct tensor_spec globals[] = {GLOBALS_STD, GLOBALS_ROPE_FREQS, {0}};

static const struct tensor_spec blocks[] = {
    BLOCK_ATTN, BLOCK_FFN, BLOCK_EXPERTS, BLOCK_SHARED, {0}};

static void defaults(struct hparams *hp) {
    hp->n_swa = CHUNK;
    hp->temp_scale = 0.1f;
    hp->temp_floor = CHUNK;
    hp->temp_offset = 1;
}

/* attention.sliding_window says only whether there are chunks, not how large they are. */
static enum status derive(struct model *m, struct err *e) {
    struct hparams *hp = &m->hp;
    const uint32_t period = hp->n_swa != 0 ? 4 : hp->n_layer;
    (void)e;
    if (hp->n_swa != 0) hp->n_swa = CHUNK;
    hp->qk_norm_plain = hp->n_expert != 128;
    for (uint32_t il = 0; il < hp->n_layer; il++) {
        struct layer *l = &m->layers[il];
        l->rope &= (il + 1) % period != 0;
        l->temp = !l->rope;
        l->n_ff_shared = l->n_ff_exp;
    }
    return ST_OK;
}

extern const struct arch arch_llama4;
const struct arch arch_llama4 = {
    .name = "llama4",
    .hparams = hparams,
    .layer_hparams = layer_hparams,
    .globals = globals,
    .blocks = blocks,
    .style = {.rope = ROPE_NORM,
              .act = ACT_SILU,
              .chunked = true,
              .gating = MOE_SIGMOID,
              .choose_by_logits = true,
              .weigh_inputs = true},
    .swa_period = 4,
    .defaults = defaults,
    .derive = derive,
};
