/* smollm3 (spec/models/dense.md): a llama whose every fourth layer knows no positions. */
#include "engine/block.h"

static const struct hparam_spec hparams[] = {{0}};

static const struct tensor_spec globals[] = {GLOBALS_STD, {0}};

static const struct tensor_spec blocks[] = {BLOCK_ATTN, BLOCK_FFN, {0}};

static enum status derive(struct model *m, struct err *e) {
    (void)e;
    for (uint32_t il = 3; il < m->hp.n_layer; il += 4) m->layers[il].rope = false;
    return ST_OK;
}

extern const struct arch arch_smollm3;
const struct arch arch_smollm3 = {
    .name = "smollm3",
    .hparams = hparams,
    .globals = globals,
    .blocks = blocks,
    .style = {.rope = ROPE_NORM, .act = ACT_SILU},
    .derive = derive,
};
