/* seed_oss: Seed-OSS (spec/models/dense.md). post_attention_norm is the norm before the
 * feed-forward half, not one behind attention. */
#include "engine/block.h"

static const struct hparam_spec hparams[] = {{0}};

static const struct tensor_spec globals[] = {GLOBALS_STD, {0}};

static const struct tensor_spec blocks[] = {
    BLOCK_ATTN,
    TENSOR("post_attention_norm.weight", ffn_norm, "n_embd", 0),
    BLOCK_GLU,
    {0},
};

extern const struct arch arch_seed_oss;
const struct arch arch_seed_oss = {
    .name = "seed_oss",
    .hparams = hparams,
    .globals = globals,
    .blocks = blocks,
    .style = {.rope = ROPE_NEOX, .act = ACT_SILU},
};
