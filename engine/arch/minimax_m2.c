/* minimax-m2 (spec/models/moe.md): one norm over all heads of q and of k, rope on a part of each
 * head, experts chosen with a bias. */
#include "engine/block.h"

static const struct hparam_spec hparams[] = {
    HP_RANGE("expert_gating_func", HP_U32, gating, 0, 4),
    {0},
};

static const struct tensor_spec globals[] = {GLOBALS_OUTPUT, {0}};

static const struct tensor_spec blocks[] = {
    BLOCK_ATTN, BLOCK_QK_NORM_WHOLE, BLOCK_FFN, BLOCK_EXPERTS, BLOCK_ROUTER_BIAS(0), {0},
};

extern const struct arch arch_minimax_m2;
const struct arch arch_minimax_m2 = {
    .name = "minimax-m2",
    .hparams = hparams,
    .globals = globals,
    .blocks = blocks,
    .style = {.rope = ROPE_NEOX, .act = ACT_SILU, .gating = MOE_SIGMOID, .norm_weights = true},
};
