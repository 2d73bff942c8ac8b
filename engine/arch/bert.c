/* bert: BERT, MiniLM, BGE, e5, Arctic Embed and XLM-R models (spec/models/encoders.md): learned
 * positions, token types, LayerNorms behind each half of a block; jina-bert-v3: the same with rope
 * in place of positions. */
#include "engine/block.h"

static const struct hparam_spec hparams[] = {{0}};

static const struct tensor_spec globals[] = {
    GLOBALS_ENCODER,
    GLOBAL("position_embd.weight", pos_embd, "n_embd,n_ctx_train", 0),
    {0},
};
static const struct tensor_spec v3_globals[] = {GLOBALS_ENCODER, {0}};

static const struct tensor_spec blocks[] = {BLOCK_ENCODER, BLOCK_MLP, BLOCK_FFN_BIAS, {0}};

extern const struct arch arch_bert, arch_jina_bert_v3;
const struct arch arch_bert = {
    .name = "bert",
    .hparams = hparams,
    .globals = globals,
    .blocks = blocks,
    .style = {.act = ACT_GELU, .norm = NORM_LAYER},
    .defaults = block_encoder_defaults,
    .derive = block_no_rope,
    .begin = block_encoder_begin,
    .layer = block_encoder_layer,
};
const struct arch arch_jina_bert_v3 = {
    .name = "jina-bert-v3",
    .hparams = hparams,
    .globals = v3_globals,
    .blocks = blocks,
    .style = {.rope = ROPE_NEOX, .act = ACT_GELU, .norm = NORM_LAYER},
    .defaults = block_encoder_defaults,
    .begin = block_encoder_begin,
    .layer = block_encoder_layer,
};
