/* ernie4_5, ernie4_5-moe: ERNIE 4.5 (spec/models/dense.md, moe.md): rope on pairs; experts in some
 * layers behind the first ones, with shared ones. */
#include "engine/block.h"

static const struct hparam_spec hparams[] = {{0}};
static const struct hparam_spec moe_hparams[] = {
    HP_RANGE("leading_dense_block_count", HP_U32, n_leading_dense, 0, MAX_LAYER),
    HP_RANGE("interleave_moe_layer_step", HP_U32, moe_step, 0, MAX_LAYER),
    {0},
};
static const struct hparam_spec moe_layer_hparams[] = {
    HP_LAYER("expert_feed_forward_length", n_ff_exp),
    HP_LAYER("expert_shared_feed_forward_length", n_ff_shared),
    {0},
};

static const struct tensor_spec globals[] = {GLOBALS_STD, {0}};

static const struct tensor_spec blocks[] = {
    BLOCK_ATTN,
    TENSOR("attn_output.bias", wo_b, "n_embd", TENSOR_OPTIONAL),
    BLOCK_FFN,
    BLOCK_EXPERTS,
    BLOCK_ROUTER_BIAS(TENSOR_OPTIONAL),
    BLOCK_SHARED,
    {0},
};

extern const struct arch arch_ernie4_5, arch_ernie4_5_moe;
const struct arch arch_ernie4_5 = {
    .name = "ernie4_5",
    .hparams = hparams,
    .globals = globals,
    .blocks = blocks,
    .style = {.rope = ROPE_NORM, .act = ACT_SILU, .norm_weights = true},
};
const struct arch arch_ernie4_5_moe = {
    .name = "ernie4_5-moe",
    .hparams = moe_hparams,
    .layer_hparams = moe_layer_hparams,
    .globals = globals,
    .blocks = blocks,
    .style = {.rope = ROPE_NORM, .act = ACT_SILU, .norm_weights = true},
};
