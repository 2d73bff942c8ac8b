/* nemotron.c - Nemotron-H: layers of Mamba 2, attention, or feed-forward, one letter each
 * (spec/safetensors.md 5.11). */
#include <string.h>

#include "engine/convert/arch/tables.h"

/* clang-format off */
#define NAMES_NEMOTRON                                                              \
    NAMES_LM_HEAD,                                                                  \
    {"backbone.embeddings", "token_embd"},                                          \
    {"backbone.norm_f", "output_norm"},                                             \
    {"backbone.layers", "blk"},                                                     \
    {"mixer.in_proj", "ssm_in"},                                                    \
    {"mixer.out_proj", "ssm_out"},                                                  \
    {"mixer.dt_bias", "ssm_dt.bias"},                                               \
    {"mixer.A_log", "ssm_a"},                                                       \
    {"mixer.D", "ssm_d"},                                                           \
    {"mixer.conv1d", "ssm_conv1d"},                                                 \
    {"mixer.norm.weight", "ssm_norm.weight"},                                       \
    {"mixer.q_proj", "attn_q"},                                                     \
    {"mixer.k_proj", "attn_k"},                                                     \
    {"mixer.v_proj", "attn_v"},                                                     \
    {"mixer.o_proj", "attn_output"},                                                \
    {"mixer.gate.e_score_correction_bias", "exp_probs_b.bias"},                     \
    {"mixer.gate", "ffn_gate_inp"},                                                 \
    {"mixer.fc1_latent_proj", "ffn_latent_in"},                                     \
    {"mixer.fc2_latent_proj", "ffn_latent_out"},                                    \
    {"mixer.shared_experts.up_proj", "ffn_up_shexp"},                               \
    {"mixer.shared_experts.down_proj", "ffn_down_shexp"},                           \
    {"mixer.up_proj", "ffn_up"},                                                    \
    {"mixer.down_proj", "ffn_down"},                                                \
    {".norm.weight", ".attn_norm.weight"}
/* clang-format on */

static const struct rename nemotron_names[] = {
    NAMES_NEMOTRON,
    RENAMES_END,
};

static const struct rename omni_names[] = {
    {"language_model.", ""},
    {"vision_model.radio_model.model.patch_generator.embedder", "v.patch_embd"},
    {"vision_model.radio_model.model.patch_generator.pos_embed", "v.position_embd"},
    {"vision_model.radio_model.model.patch_generator.cls_token.token", "v.cls_embd"},
    {"vision_model.radio_model.model.blocks", "v.blk"},
    {"attn.qkv", "attn_qkv"},
    {"attn.proj", "attn_out"},
    {"mlp.fc1", "ffn_up"},
    {"mlp.fc2", "ffn_down"},
    {"norm1", "ln1"},
    {"norm2", "ln2"},
    {"mlp1.0", "mm.norm"},
    {"mlp1.1", "mm.1"},
    {"mlp1.3", "mm.2"},
    {"sound_encoder.encoder.feature_extractor.featurizer.fb", "a.feature_extractor.fb"},
    {"sound_encoder.encoder.feature_extractor.featurizer.window", "a.feature_extractor.window"},
    {"sound_encoder.encoder.subsampling.layers.0", "a.subsampling.conv0"},
    {"sound_encoder.encoder.subsampling.layers.2", "a.subsampling.dw1"},
    {"sound_encoder.encoder.subsampling.layers.3", "a.subsampling.pw1"},
    {"sound_encoder.encoder.subsampling.layers.5", "a.subsampling.dw2"},
    {"sound_encoder.encoder.subsampling.layers.6", "a.subsampling.pw2"},
    {"sound_encoder.encoder.subsampling.linear", "a.subsampling.linear"},
    {"sound_encoder.encoder.layers", "a.blk"},
    {"feed_forward1.linear1", "ffn1_up"},
    {"feed_forward1.linear2", "ffn1_down"},
    {"feed_forward2.linear1", "ffn2_up"},
    {"feed_forward2.linear2", "ffn2_down"},
    {"norm_feed_forward1", "ffn1_norm"},
    {"norm_feed_forward2", "ffn2_norm"},
    {"norm_self_att", "attn_norm"},
    {"norm_conv", "conv_norm"},
    {"norm_out", "out_norm"},
    {"self_attn.q_proj", "attn_q"},
    {"self_attn.k_proj", "attn_k"},
    {"self_attn.v_proj", "attn_v"},
    {"self_attn.o_proj", "attn_out"},
    {"self_attn.relative_k_proj", "attn_rel_k"},
    {"self_attn.bias_u", "attn_bias_u"},
    {"self_attn.bias_v", "attn_bias_v"},
    {"conv.pointwise_conv1", "conv_pw1"},
    {"conv.pointwise_conv2", "conv_pw2"},
    {"conv.depthwise_conv", "conv_dw"},
    {"conv.norm", "conv_bn"},
    {"sound_projection.norm", "mm.a.norm"},
    {"sound_projection.linear1", "mm.a.1"},
    {"sound_projection.linear2", "mm.a.2"},
    NAMES_NEMOTRON,
    RENAMES_END,
};

#define EPS "norm_eps|layer_norm_epsilon|0.00001"
static const struct key_row keys[] = {
    {"block_count", K_U32, "num_hidden_layers"},
    {"context_length", K_U32, "max_position_embeddings"},
    {"embedding_length", K_U32, "hidden_size"},
    {"attention.head_count", K_U32, "num_attention_heads"},
    {"attention.layer_norm_epsilon", K_F32, EPS},
    {"attention.layer_norm_rms_epsilon", K_F32, EPS},
    {"rope.freq_base", K_F32, "rope_theta|10000"},
    {"ssm.conv_kernel", K_U32, "conv_kernel"},
    {"ssm.state_size", K_U32, "ssm_state_size"},
    {"ssm.group_count", K_U32, "n_groups|1"},
    {"ssm.time_step_rank", K_U32, "mamba_num_heads"},
    KEYS_END,
};
static const struct key_row expert_keys[] = {
    {"expert_count", K_U32, "n_routed_experts|num_experts"},
    {"expert_used_count", K_U32, "num_experts_per_tok"},
    {"expert_feed_forward_length", K_U32, "moe_intermediate_size"},
    {"expert_shared_count", K_U32_IF, "n_shared_experts"},
    {"expert_shared_feed_forward_length", K_U32_IF, "moe_shared_expert_intermediate_size"},
    {"expert_weights_norm", K_BOOL, "norm_topk_prob"},
    {"expert_weights_scale", K_F32, "routed_scaling_factor"},
    {"expert_group_count", K_U32_IF, "n_group"},
    {"expert_group_used_count", K_U32_IF, "topk_group"},
    KEYS_END,
};

static bool has_experts(struct conversion *c) {
    return cfg_num(c, "n_routed_experts|num_experts") != 0;
}

static void prepare(struct conversion *c) {
    if (has_experts(c)) c->arch_name = "nemotron_h_moe";
}

/* The pattern is a text with a letter for each layer, or a list of them. */
static char letter(struct conversion *c, uint32_t i) {
    const json *p = cfg(c, "hybrid_override_pattern");
    if (json_kind(p) == JSON_ARRAY) return cfg_list_str(c, "hybrid_override_pattern", i)[0];
    const char *text = cfg_str(c, "hybrid_override_pattern");
    return i < strlen(text) ? text[i] : '\0';
}

static void put_layers(struct conversion *c) {
    const uint32_t layers = cfg_layers(c), heads = cfg_u32(c, "num_key_value_heads");
    const uint32_t wide = cfg_u32(c, "intermediate_size"),
                   moe = cfg_u32(c, "moe_intermediate_size");
    uint32_t *kv = convert_zalloc(c, layers, sizeof *kv),
             *ff = convert_zalloc(c, layers, sizeof *ff);
    for (uint32_t i = 0; kv != NULL && ff != NULL && i < layers && !convert_failed(c); i++) {
        const char kind = letter(c, i);
        if (kind == '\0' || strchr("*AE-M", kind) == NULL)
            convert_fail(c, ST_INVALID,
                         "config.json: hybrid_override_pattern has no kind for layer"
                         " %u",
                         i);
        kv[i] = kind == '*' || kind == 'A' ? heads : 0;
        ff[i] = kind == 'E' ? moe : kind == '-' ? wide : 0;
    }
    if (convert_failed(c)) return;
    put_array(c, "attention.head_count_kv", GGUF_U32, layers, kv);
    put_array(c, "feed_forward_length", GGUF_U32, layers, ff);
}

static void meta(struct conversion *c) {
    const uint32_t heads = cfg_u32(c, "num_attention_heads"), given = cfg_u32(c, "head_dim");
    const uint32_t hd = given != 0 ? given : heads != 0 ? cfg_u32(c, "hidden_size") / heads : 0;
    const double part = cfg_num(c, "partial_rotary_factor");
    put_u32(c, "attention.key_length", hd);
    put_u32(c, "attention.value_length", hd);
    if (part > 0 && part <= 1) put_u32(c, "rope.dimension_count", (uint32_t)(hd * part));
    put_u32(c, "ssm.inner_size", cfg_u32(c, "mamba_head_dim") * cfg_u32(c, "mamba_num_heads"));
    put_layers(c);
    if (has_experts(c)) keys_put(c, expert_keys);
}

static RULE(column) { /* [H] -> [H, 1] */
    const struct view v = view_of(s);
    out_of(c, &v, s->name, 2, (int64_t[]){s->n_elems, 1});
}

static RULE(column_a) { /* -exp(A_log), as a column */
    struct view v = view_of(s);
    v.fn = MAP_NEG_EXP;
    out_of(c, &v, s->name, 2, (int64_t[]){s->n_elems, 1});
}

static RULE(groups) { /* [inner] -> [g, inner/g] */
    const struct view v = view_of(s);
    const int64_t g = cfg_u32(c, "n_groups|1");
    out_of(c, &v, s->name, 2, (int64_t[]){g, g != 0 ? s->n_elems / g : 0});
}

/* clang-format off */
#define RULES_NEMOTRON                                                                      \
    {"*.ssm_a", column_a, NULL},                                                            \
    {"*.ssm_d", column, NULL},                                                              \
    {"*.ssm_norm.weight", groups, NULL},                                                    \
    {"*.ssm_conv1d.weight", rule_squeeze, NULL},                                            \
    {"blk.#.mixer.experts.#.up_proj.weight", rule_stack, "blk.#.ffn_up_exps.weight"},       \
    {"blk.#.mixer.experts.#.down_proj.weight", rule_stack, "blk.#.ffn_down_exps.weight"}
/* clang-format on */

static const struct rule rules[] = {RULES_NEMOTRON, RULES_END};

/* ---- with eyes and ears: all in one file ---- */

static const struct key_row omni_keys[] = {
    KEYS_TOWER("vision.", K_U32_IF, VISION),
    {"vision.attention.layer_norm_epsilon", K_F32_IF, VISION "layer_norm_eps"},
    {"vision.image_size", K_U32_IF, VISION "image_size|@force_image_size"},
    {"vision.patch_size", K_U32_IF, VISION "patch_size|@patch_size"},
    KEYS_TOWER("audio.", K_U32_IF, "@sound_config."),
    KEYS_END,
};

/* The text model's fields are in llm_config. */
static void omni_prepare(struct conversion *c) {
    const json *text = json_get(c->config, "llm_config");
    if (json_kind(text) == JSON_OBJECT) c->text = text;
}

static void omni_meta(struct conversion *c) {
    meta(c);
    keys_put(c, omni_keys);
}

/* [C, D, 1] -> [C, D]: convolutions of one step and depthwise ones. */
static RULE(squeeze_last) {
    const struct view v = view_of(s);
    if (s->n_dims == 3 && s->dim[2] == 1)
        out_of(c, &v, s->name, 2, s->dim);
    else if (s->n_dims == 3 && s->dim[1] == 1)
        out_of(c, &v, s->name, 2, (int64_t[]){s->dim[0], s->dim[2]});
    else
        out_keep(c, s, s->name);
}

static const struct rule omni_rules[] = {
    {"v.*attn_qkv.*", rule_third, "attn_q|attn_k|attn_v"},
    {"a.*.conv_*.weight", squeeze_last, NULL},
    RULES_NEMOTRON,
    RULES_END,
};

const struct arch_table nemotron_tables[] = {
    {.classes = "NemotronH_Nano_VL_V2|NemotronH_Nano_Omni_Reasoning_V3",
     .arch = "nemotron_h_omni",
     .text_config = true,
     .names = omni_names,
     .keys = keys,
     .rules = omni_rules,
     .prepare = omni_prepare,
     .meta = omni_meta},
    {.classes = "NemotronHForCausalLM",
     .arch = "nemotron_h",
     .names = nemotron_names,
     .keys = keys,
     .rules = rules,
     .prepare = prepare,
     .meta = meta},
    {0},
};
