/* mistral3.c - Mistral 3 and Ministral 3 (spec/safetensors.md 5.2). */
#include <string.h>

#include "engine/convert/arch/tables.h"

/* clang-format off */
/* What both classes have behind their different beginnings. */
#define NAMES_MISTRAL3                                                          \
    NAMES_LM_HEAD, NAMES_ATTN, NAMES_FFN, NAMES_NORMS,                          \
    {"layers", "blk"},                                                          \
    {"transformer.layers", "blk"},                                              \
    {"vision_tower", "v"},                                                      \
    {"ln_pre", "encoder_norm"},                                                 \
    {"embed_tokens", "token_embd"},                                             \
    {"attention.q_proj", "attn_q"},                                             \
    {"attention.k_proj", "attn_k"},                                             \
    {"attention.v_proj", "attn_v"},                                             \
    {"attention.o_proj", "attn_output"},                                        \
    {"attention_norm", "attn_norm"},                                            \
    {"feed_forward.gate_proj", "ffn_gate"},                                     \
    {"feed_forward.down_proj", "ffn_down"},                                     \
    {"feed_forward.up_proj", "ffn_up"},                                         \
    {"multi_modal_projector", "mm"},                                            \
    {"ffn_norm", "ffn_norm"}
/* clang-format on */

static const struct rename ministral3_names[] = {
    {"model.norm", "output_norm"},
    {"model.", ""},
    NAMES_MISTRAL3,
    RENAMES_END,
};

static const struct rename mistral3_names[] = {
    {"language_model.model.norm", "output_norm"},
    {"language_model.model.", ""},
    {"language_model.", ""},
    NAMES_MISTRAL3,
    RENAMES_END,
};

/* clang-format off */
#define P "rope_parameters."
#define KEYS_TEXT                                                                              \
    {"vocab_size", K_U32, "vocab_size"},                                                       \
    KEYS_COMMON, KEYS_RMS, KEYS_HEAD_DIM,                                                      \
    {"rope.freq_base", K_F32, "rope_theta|" P "rope_theta"},                                   \
    {"rope.scaling.factor", K_F32, P "factor"},                                                \
    {"rope.scaling.type", K_STR, P "rope_type"},                                               \
    {"rope.scaling.yarn_beta_fast", K_F32, P "beta_fast"},                                     \
    {"rope.scaling.yarn_beta_slow", K_F32, P "beta_slow"},                                     \
    {"rope.scaling.yarn_log_multiplier", K_F32_HAS, P "mscale_all_dim"},                       \
    {"rope.scaling.original_context_length", K_U32_IF, P "original_max_position_embeddings"},  \
    {"attention.temperature_scale", K_F32_HAS, P "llama_4_scaling_beta"}
/* clang-format on */

static const struct key_row ministral3_keys[] = {KEYS_TEXT, KEYS_END};
static const struct key_row mistral3_keys[] = {
    KEYS_TEXT,
    KEYS_TOWER("vision.", K_U32, VISION),
    {"vision.attention.key_length", K_U32, VISION "head_dim"},
    {"vision.image_size", K_U32, VISION "image_size"},
    {"vision.patch_size", K_U32, VISION "patch_size"},
    {"vision.num_channels", K_U32, VISION "num_channels"},
    {"vision.rope.freq_base", K_F32, VISION "rope_theta|" VISION "rope_parameters.rope_theta"},
    {"image_token_index", K_U32, "@image_token_index"},
    {"spatial_merge_size", K_U32, "@spatial_merge_size"},
    {"mm.projector_bias", K_BOOL, "@multimodal_projector_bias"},
    {"mm.projector_hidden_act", K_STR_IF, "@projector_hidden_act"},
    KEYS_END,
};

#define HEADS "num_attention_heads"
#define KV_HEADS "num_key_value_heads|num_attention_heads"
static const struct rule rules[] = {
    {"v.*", rule_keep, NULL}, /* the tower keeps its own order */
    RULES_HEADS(HEADS, KV_HEADS),
    RULES_END,
};

static void meta(struct conversion *c) {
    const uint32_t heads = cfg_u32(c, HEADS), hd = cfg_u32(c, "head_dim");
    put_u32(c, "rope.dimension_count",
            hd != 0      ? hd
            : heads != 0 ? cfg_u32(c, "hidden_size") / heads
                         : 0);
}

const struct arch_table mistral3_tables[] = {
    {.classes = "Ministral3ForCausalLM",
     .arch = "mistral3",
     .names = ministral3_names,
     .keys = ministral3_keys,
     .rules = rules,
     .meta = meta,
     .vocab = {.pre_if_unknown = "tekken"}},
    {.classes = "Mistral3ForConditionalGeneration",
     .arch = "mistral3",
     .text_config = true,
     .names = mistral3_names,
     .keys = mistral3_keys,
     .rules = rules,
     .meta = meta,
     .vocab = {.pre_if_unknown = "tekken"}},
    {0},
};
