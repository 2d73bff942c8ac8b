/* llama: Llama 1 to 3, TinyLlama, Mistral 7B, Mixtral and everything built like them; mistral3:
 * Ministral 3 and what Mistral converts like it (spec/models/dense.md). Rope on pairs; Llama 3's
 * scaling comes as the tensor rope_freqs. */
#include "engine/block.h"

static const struct hparam_spec hparams[] = {{0}};

static const struct tensor_spec globals[] = {
    GLOBALS_STD,
    GLOBALS_ROPE_FREQS,
    GLOBALS_LONGROPE,
    {0},
};

static const struct tensor_spec blocks[] = {
    BLOCK_ATTN,    TENSOR("attn_output.bias", wo_b, "n_embd", TENSOR_OPTIONAL),
    BLOCK_FFN,     BLOCK_FFN_BIAS,
    BLOCK_EXPERTS, {0},
};

extern const struct arch arch_llama, arch_mistral3;
const struct arch arch_llama = {
    .name = "llama",
    .hparams = hparams,
    .globals = globals,
    .blocks = blocks,
    .style = {.rope = ROPE_NORM, .act = ACT_SILU, .norm_weights = true},
    .derive = block_whole_rope,
};

/* llama-embed: the same to embed texts with; rows see all of their text. */
extern const struct arch arch_llama_embed;
const struct arch arch_llama_embed = {
    .name = "llama-embed",
    .hparams = hparams,
    .globals = globals,
    .blocks = blocks,
    .style = {.rope = ROPE_NORM, .act = ACT_SILU, .norm_weights = true},
    .defaults = block_encoder_defaults,
    .derive = block_whole_rope,
};

/* ---- mistral3: the logarithm of YaRN's scaling may be taken back (Llama 4's q scale instead) ----
 */

static const struct hparam_spec mistral3_hparams[] = {
    HP_RANGE("attention.temperature_scale", HP_F32, temp_scale, -1e3, 1e3),
    HP_RANGE("rope.scaling.yarn_beta_fast", HP_F32, yarn_beta_fast, 1e-6, 1e6),
    HP_RANGE("rope.scaling.yarn_beta_slow", HP_F32, yarn_beta_slow, 1e-6, 1e6),
    HP_RANGE("rope.scaling.yarn_log_multiplier", HP_F32, yarn_log_mul, 0, 1e3),
    {0},
};

static enum status mistral3_derive(struct model *m, struct err *e) {
    (void)e;
    m->hp.temp_floor = (float)m->hp.n_ctx_orig;
    for (uint32_t il = 0; il < m->hp.n_layer; il++) m->layers[il].temp = m->hp.temp_scale != 0;
    return ST_OK;
}

const struct arch arch_mistral3 = {
    .name = "mistral3",
    .hparams = mistral3_hparams,
    .globals = globals,
    .blocks = blocks,
    .style = {.rope = ROPE_NORM, .act = ACT_SILU, .norm_weights = true},
    .derive = mistral3_derive,
};
