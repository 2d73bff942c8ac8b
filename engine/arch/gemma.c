/* gemma: Gemma 1 (spec/models/dense.md): GeGLU, embeddings times sqrt(n_embd), the head always
 * tied. (No "1 + w" in norms: converters store the sum.) */
#include "engine/block.h"

static const struct hparam_spec hparams[] = {{0}};

static const struct tensor_spec globals[] = {GLOBALS_EMBD, {0}};

static const struct tensor_spec blocks[] = {BLOCK_ATTN, BLOCK_FFN, {0}};

extern const struct arch arch_gemma;
const struct arch arch_gemma = {
    .name = "gemma",
    .hparams = hparams,
    .globals = globals,
    .blocks = blocks,
    .style = {.rope = ROPE_NEOX, .act = ACT_GELU, .scale_embd = true},
};
