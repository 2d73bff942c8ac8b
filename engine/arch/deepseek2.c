/* deepseek2: DeepSeek V2, V3, R1, Kimi K2, Moonlight, GLM-4.7-Flash, Mistral Large 3 and others
 * (spec/models/moe.md): latent attention, dense layers first, then experts beside shared ones, in
 * groups for the large ones. */
#include "engine/block.h"

static const struct hparam_spec hparams[] = {
    HP_MLA,
    HP_GATING,
    HP_RANGE("leading_dense_block_count", HP_U32, n_leading_dense, 0, MAX_LAYER),
    HP_RANGE("expert_shared_count", HP_U32, n_expert_shared, 0, 1024),
    HP_RANGE("rope.scaling.yarn_log_multiplier", HP_F32, yarn_log_mul, 0, 1e3),
    HP_RANGE("attention.temperature_scale", HP_F32, temp_scale, -1e3, 1e3),
    HP_RANGE("attention.temperature_length", HP_F32, temp_floor, 0, 1e9),
    {0},
};
static const struct hparam_spec layer_hparams[] = {
    HP_LAYER("expert_feed_forward_length", n_ff_exp),
    {0},
};

static const struct tensor_spec globals[] = {GLOBALS_STD, {0}};

static const struct tensor_spec blocks[] = {
    BLOCK_MLA,    BLOCK_FFN, BLOCK_EXPERTS_FUSED, BLOCK_ROUTER_BIAS(TENSOR_OPTIONAL),
    BLOCK_SHARED, {0},
};

/* Files store a tenth of the multiplier (0.1 mscale_all_dim). Old GLM files lack the gating. */
static enum status derive(struct model *m, struct err *e) {
    struct hparams *hp = &m->hp;
    hp->yarn_log_mul /= 0.1f;
    hp->yarn_mscale = hp->yarn_log_mul;
    if (!hparam_given(m, "expert_gating_func") && (hp->n_block == 47 || hp->n_block == 48) &&
        hp->n_vocab == 154880)
        hp->gating = MOE_SIGMOID;
    if (hp->temp_scale != 0 && hp->temp_floor < 1)
        return hparam_clash(m, "attention.temperature_length", "attention.temperature_scale", e,
                            "is %g", (double)hp->temp_floor);
    for (uint32_t il = 0; il < hp->n_layer; il++) m->layers[il].temp = hp->temp_scale != 0;
    enum status st = block_shared_derive(m, e);
    return st == ST_OK ? block_mla_derive(m, e) : st;
}

extern const struct arch arch_deepseek2;
const struct arch arch_deepseek2 = {
    .name = "deepseek2",
    .hparams = hparams,
    .layer_hparams = layer_hparams,
    .globals = globals,
    .blocks = blocks,
    .style = {.rope = ROPE_NORM, .act = ACT_SILU, .mtp = true},
    .derive = derive,
    .mixer = block_mla,
};
