/* gemma4.c - Gemma 3n and Gemma 4 (spec/safetensors.md 5.4). Norms are not shifted, experts are not
 * transposed. */
#include <math.h>
#include <string.h>

#include "engine/convert/arch/tables.h"

static const struct rename gemma3n_names[] = {
    {"model.language_model.embed_tokens_per_layer", "per_layer_token_embd"},
    {"model.language_model.embed_tokens", "token_embd"},
    {"model.language_model.per_layer_model_projection", "per_layer_model_proj"},
    {"model.language_model.per_layer_projection_norm", "per_layer_proj_norm"},
    {"model.language_model.altup_projections", "altup_proj"},
    {"model.language_model.altup_unembed_projections", "altup_unembd_proj"},
    {"model.language_model.norm", "output_norm"},
    {"model.language_model.layers", "blk"},
    NAMES_ATTN,
    NAMES_QK_NORM,
    NAMES_FFN,
    NAMES_NORMS_4,
    {"per_layer_input_gate", "inp_gate"},
    {"per_layer_projection", "proj"},
    {"post_per_layer_input_norm", "post_norm"},
    {"altup.", "altup_"},
    {"modality_router", "router"},
    {"prediction_coefs", "predict_coef"},
    {"correction_coefs", "correct_coef"},
    {"correct_output_scale", "correct_scale.weight"},
    {"laurel.", "laurel_"},
    {"linear_left", "l"},
    {"linear_right", "r"},
    {"post_laurel_norm", "post_norm"},
    RENAMES_END,
};

static const struct rename gemma4_names[] = {
    {".linear.weight", ".weight"},
    {".linear.bias", ".bias"},
    {"model.audio_tower.subsample_conv_projection.conv_0.conv", "a.conv1d.0"},
    {"model.audio_tower.subsample_conv_projection.conv_0.norm", "a.conv1d.0.norm"},
    {"model.audio_tower.subsample_conv_projection.conv_1.conv", "a.conv1d.1"},
    {"model.audio_tower.subsample_conv_projection.conv_1.norm", "a.conv1d.1.norm"},
    {"model.audio_tower.subsample_conv_projection.layer0.conv", "a.conv1d.0"},
    {"model.audio_tower.subsample_conv_projection.layer0.norm", "a.conv1d.0.norm"},
    {"model.audio_tower.subsample_conv_projection.layer1.conv", "a.conv1d.1"},
    {"model.audio_tower.subsample_conv_projection.layer1.norm", "a.conv1d.1.norm"},
    {"model.audio_tower.subsample_conv_projection.input_proj_linear", "a.pre_encode.out"},
    {"model.audio_tower.conformer", "a.blk"},
    {"model.audio_tower.layers", "a.blk"},
    {"attention.attn.relative_position_embedding.pos_proj", "linear_pos"},
    {"self_attn.relative_k_proj", "linear_pos"},
    {"attention.attn.per_dim_key_scale", "per_dim_k_scale"},
    {"attention.attn.per_dim_scale", "per_dim_scale"},
    {"self_attn.per_dim_scale", "per_dim_scale"},
    {"attention.attn.q_proj", "attn_q"},
    {"attention.attn.k_proj", "attn_k"},
    {"attention.attn.v_proj", "attn_v"},
    {"attention.pre_attn_norm", "ln1"},
    {"attention.post_norm", "ln2"},
    {"attention.post", "attn_out"},
    {"self_attn.post", "attn_out"},
    {"norm_pre_attn", "ln1"},
    {"norm_post_attn", "ln2"},
    {"ffw_layer_start.pre_layer_norm", "ffn_norm"},
    {"ffw_layer_start.post_layer_norm", "ffn_post_norm"},
    {"ffw_layer_start.ffw_layer_1", "ffn_up"},
    {"ffw_layer_start.ffw_layer_2", "ffn_down"},
    {"ffw_layer_end.pre_layer_norm", "ffn_norm_1"},
    {"ffw_layer_end.post_layer_norm", "ffn_post_norm_1"},
    {"ffw_layer_end.ffw_layer_1", "ffn_up_1"},
    {"ffw_layer_end.ffw_layer_2", "ffn_down_1"},
    {"feed_forward1.pre_layer_norm", "ffn_norm"},
    {"feed_forward1.post_layer_norm", "ffn_post_norm"},
    {"feed_forward1.ffw_layer_1", "ffn_up"},
    {"feed_forward1.ffw_layer_2", "ffn_down"},
    {"feed_forward2.pre_layer_norm", "ffn_norm_1"},
    {"feed_forward2.post_layer_norm", "ffn_post_norm_1"},
    {"feed_forward2.ffw_layer_1", "ffn_up_1"},
    {"feed_forward2.ffw_layer_2", "ffn_down_1"},
    {"lconv1d.depthwise_conv1d", "conv_dw"},
    {"lconv1d.pre_layer_norm", "conv_norm"},
    {"lconv1d.conv_norm", "norm_conv"},
    {"lconv1d.linear_start", "conv_pw1"},
    {"lconv1d.linear_end", "conv_pw2"},
    {"norm_out", "layer_pre_norm"},
    {"model.embed_audio.embedding_projection", "mm.a.input_projection"},
    {"model.audio_tower.output_proj", "mm.a.fc"},
    {"model.vision_tower.encoder.layers", "v.blk"},
    {"model.vision_tower.patch_embedder.input_proj", "v.patch_embd"},
    {"model.vision_tower.patch_embedder.position_embedding_table", "v.position_embd.weight"},
    {"model.vision_tower.std_bias", "v.std_bias"},
    {"model.vision_tower.std_scale", "v.std_scale"},
    {"model.embed_vision.embedding_projection", "mm.input_projection"},
    {"model.language_model.embed_tokens_per_layer", "per_layer_token_embd"},
    {"model.language_model.embed_tokens", "token_embd"},
    {"model.language_model.per_layer_model_projection", "per_layer_model_proj"},
    {"model.language_model.per_layer_projection_norm", "per_layer_proj_norm"},
    {"model.language_model.norm", "output_norm"},
    {"model.language_model.layers", "blk"},
    {"pre_feedforward_layernorm_2", "pre_ffw_norm_2"},
    {"post_feedforward_layernorm_1", "post_ffw_norm_1"},
    {"post_feedforward_layernorm_2", "post_ffw_norm_2"},
    NAMES_ATTN,
    NAMES_QK_NORM,
    NAMES_FFN,
    NAMES_NORMS_4,
    {"per_layer_input_gate", "inp_gate"},
    {"per_layer_projection", "proj"},
    {"post_per_layer_input_norm", "post_norm"},
    {"router.proj", "ffn_gate_inp"},
    {"router.scale", "ffn_gate_inp.scale"},
    {"router.per_expert_scale.weight", "ffn_down_exps.scale"},
    {"router.per_expert_scale", "ffn_down_exps.scale"},
    {"experts.gate_up_proj.weight", "ffn_gate_up_exps.weight"},
    {"experts.gate_up_proj", "ffn_gate_up_exps.weight"},
    {"experts.down_proj.weight", "ffn_down_exps.weight"},
    {"experts.down_proj", "ffn_down_exps.weight"},
    {"moe.gate_proj", "ffn_gate_exps.weight"},
    {"moe.up_proj", "ffn_up_exps.weight"},
    {"moe.gate_up_proj.weight", "ffn_gate_up_exps.weight"},
    {"moe.gate_up_proj", "ffn_gate_up_exps.weight"},
    {"moe.down_proj", "ffn_down_exps.weight"},
    {"moe.per_expert_scale.weight", "ffn_down_exps.scale"},
    {"moe.per_expert_scale", "ffn_down_exps.scale"},
    {"layer_scalar", "layer_output_scale.weight"},
    RENAMES_END,
};

/* ---- Gemma 3n ---- */

static const struct key_row gemma3n_keys[] = {
    {"block_count", K_U32, "num_hidden_layers"},
    {"context_length", K_U32, "max_position_embeddings"},
    {"embedding_length", K_U32, "hidden_size"},
    {"attention.head_count", K_U32, "num_attention_heads"},
    {"attention.head_count_kv", K_U32, "num_key_value_heads"},
    KEYS_RMS,
    {"altup.active_idx", K_U32, "altup_active_idx"},
    {"altup.correct_scale", K_BOOL, "altup_correct_scale"},
    {"altup.lr_multiplier", K_F32, "altup_lr_multiplier"},
    {"altup.num_inputs", K_U32, "altup_num_inputs"},
    {"attention.sliding_window", K_U32, "sliding_window"},
    {"attention.shared_kv_layers", K_U32, "num_kv_shared_layers"},
    {"embedding_length_per_layer_input", K_U32, "hidden_size_per_layer_input"},
    {"head_dim", K_U32, "head_dim"},
    {"rope.freq_base_local", K_F32, "rope_local_base_freq"},
    {"rope.freq_base", K_F32, "rope_theta"},
    KEYS_END,
};

static RULE(clamp) {
    const double limit = cfg_num(c, "altup_coef_clip");
    out_mapped(c, s, s->name, limit > 0 ? MAP_CLAMP : MAP_NONE, (float)limit);
}

static const struct rule gemma3n_rules[] = {
    {"*audio_tower*", rule_drop, NULL},
    {"*embed_audio*", rule_drop, NULL},
    {"*vision_tower*", rule_drop, NULL},
    {"*embed_vision*", rule_drop, NULL},
    {"altup_proj.#.weight", rule_stack, "altup_proj.weight"},
    {"altup_unembd_proj.#.weight", rule_stack, "altup_unembd_proj.weight"},
    {"*altup_predict_coef*", clamp, NULL},
    {"*altup_correct_coef*", clamp, NULL},
    RULES_END,
};

/* The x with P(X < x) = p for a standard normal X: bisection on erfc, to the last bit of a double.
 */
static double normal_quantile(double p) {
    double lo = -40, hi = 40;
    if (p <= 0) return (double)-INFINITY;
    if (p >= 1) return (double)INFINITY;
    for (int i = 0; i < 200; i++) {
        const double mid = (lo + hi) / 2;
        if (erfc(-mid * 0.70710678118654752440) / 2 < p)
            lo = mid;
        else
            hi = mid;
    }
    return (lo + hi) / 2;
}

static void gemma3n_meta(struct conversion *c) {
    const json *pattern = cfg(c, "activation_sparsity_pattern"), *ff = cfg(c, "intermediate_size");
    const size_t n = json_len(pattern);
    float *scale = convert_zalloc(c, n, sizeof *scale);
    size_t i = 0;
    if (scale == NULL) return;
    for (const json *v = json_first(pattern); v != NULL; v = json_next(v)) {
        double p = 0;
        json_number(v, &p);
        scale[i++] = (float)normal_quantile((double)(float)p); /* the reference's 0.95f */
    }
    if (pattern != NULL) put_array(c, "activation_sparsity_scale", GGUF_F32, n, scale);
    put_layer_types(c);
    if (json_kind(ff) != JSON_ARRAY) {
        put_u32(c, "feed_forward_length", cfg_u32(c, "intermediate_size"));
        return;
    }
    int64_t one = 0, other;
    json_int(json_first(ff), &one);
    for (const json *v = json_first(ff); v != NULL; v = json_next(v))
        if (!json_int(v, &other) || other != one || one < 0 || one > INT32_MAX)
            convert_fail(c, ST_UNSUPPORTED, "config.json: layers of different intermediate_size");
    put_u32(c, "feed_forward_length", (uint32_t)one);
}

/* ---- Gemma 4 ---- */

#define FULL "rope_parameters.full_attention."
#define LOCAL "rope_parameters.sliding_attention."
static const struct key_row gemma4_keys[] = {
    KEYS_COMMON,
    {"attention.key_length", K_U32, "global_head_dim"},
    {"attention.value_length", K_U32, "global_head_dim"},
    {"attention.key_length_swa", K_U32, "head_dim"},
    {"attention.value_length_swa", K_U32, "head_dim"},
    KEYS_RMS,
    {"attention.sliding_window", K_U32, "sliding_window"},
    {"attention.shared_kv_layers", K_U32, "num_kv_shared_layers"},
    {"rope.freq_base", K_F32, FULL "rope_theta"},
    {"rope.dimension_count", K_U32, "global_head_dim"},
    {"rope.freq_base_swa", K_F32, LOCAL "rope_theta"},
    {"rope.dimension_count_swa", K_U32, "head_dim"},
    {"final_logit_softcapping", K_F32_IF, "final_logit_softcapping"},
    {"embedding_length_per_layer_input", K_U32, "hidden_size_per_layer_input"},
    KEYS_TOWER("vision.", K_U32_IF, VISION),
    {"vision.attention.layer_norm_epsilon", K_F32_IF, VISION "rms_norm_eps"},
    {"vision.patch_size", K_U32_IF, VISION "patch_size"},
    KEYS_TOWER("audio.", K_U32_IF, "@audio_config."),
    KEYS_END,
};
static const struct key_row gemma4_moe_keys[] = {
    {"expert_count", K_U32, "num_experts"},
    {"expert_used_count", K_U32, "top_k_experts"},
    {"expert_feed_forward_length", K_U32, "moe_intermediate_size"},
    KEYS_END,
};

/* [C, p*p*3] -> [C, 3, p, p] as F16. */
static RULE(patches) {
    struct out *o = out_patches(c, s);
    if (o != NULL && o->type == DT_BF16) o->type = DT_F16;
}

static RULE(softplus) { out_mapped(c, s, s->name, MAP_SOFTPLUS, 0); }

static const struct rule gemma4_rules[] = {
    {"*embedding_post_projection_norm*", rule_drop, NULL},
    {"v.patch_embd.weight", patches, NULL},
    {"*.per_dim_scale", softplus, NULL},
    {"*.conv_dw.weight", rule_squeeze, NULL},
    RULES_END,
};

static bool is_local(struct conversion *c, uint32_t i) {
    return strcmp(cfg_list_str(c, "layer_types", i), "sliding_attention") == 0;
}

/* The last layers, which share the cache of others, may have feed-forward parts twice as wide. */
static void put_widths(struct conversion *c, uint32_t layers) {
    const uint32_t shared = cfg_u32(c, "num_kv_shared_layers");
    const uint32_t width = cfg_u32(c, "intermediate_size");
    if (!cfg_bool(c, "use_double_wide_mlp") || shared == 0 || width > INT32_MAX / 2) return;
    int32_t *list = convert_zalloc(c, layers, sizeof *list);
    for (uint32_t i = 0; list != NULL && i < layers; i++)
        list[i] = (int32_t)(i + shared >= layers ? 2 * width : width);
    if (list != NULL) put_array(c, "feed_forward_length", GGUF_I32, layers, list);
}

static void put_kv_heads(struct conversion *c, uint32_t layers) {
    const uint32_t local = cfg_u32(c, "num_key_value_heads");
    const uint32_t global = cfg_u32(c, "num_global_key_value_heads");
    if (global == 0 || global == local || cfg(c, "layer_types") == NULL) return;
    int32_t *list = convert_zalloc(c, layers, sizeof *list);
    for (uint32_t i = 0; list != NULL && i < layers; i++)
        list[i] = (int32_t)(is_local(c, i) ? local : global);
    if (list != NULL) put_array(c, "attention.head_count_kv", GGUF_I32, layers, list);
}

static void gemma4_meta(struct conversion *c) {
    const uint32_t layers = cfg_layers(c);
    put_widths(c, layers);
    put_kv_heads(c, layers);
    put_layer_types(c);
    if (cfg_bool(c, "enable_moe_block")) keys_put(c, gemma4_moe_keys);
}

/* Only the first part of a full attention head is rotated: the other frequencies are divided by so
 * much that nothing turns. */
static void gemma4_freqs(struct conversion *c) {
    const uint32_t g = cfg_u32(c, "global_head_dim");
    double part = cfg_num(c, FULL "partial_rotary_factor");
    if (cfg(c, FULL "partial_rotary_factor") == NULL) part = 0.25;
    if (g > 65536 || part < 0 || part > 1) {
        convert_fail(c, ST_INVALID, "config.json: global_head_dim %u, rotary factor %g", g, part);
        return;
    }
    float *f = convert_zalloc(c, g / 2, sizeof *f);
    for (uint32_t i = 0; f != NULL && i < g / 2; i++)
        f[i] = i < (uint32_t)(g * part / 2) ? 1 : 1e30f;
    out_values(c, "rope_freqs.weight", f, g / 2);
}

const struct arch_table gemma4_tables[] = {
    {.classes = "Gemma3nForConditionalGeneration",
     .arch = "gemma3n",
     .text_config = true,
     .names = gemma3n_names,
     .keys = gemma3n_keys,
     .rules = gemma3n_rules,
     .meta = gemma3n_meta},
    {.classes = "Gemma4ForCausalLM|Gemma4ForConditionalGeneration",
     .arch = "gemma4",
     .text_config = true,
     .names = gemma4_names,
     .keys = gemma4_keys,
     .rules = gemma4_rules,
     .meta = gemma4_meta,
     .tensors = gemma4_freqs,
     .vocab = {.model = "llama", .pre = "gemma4"}},
    {0},
};
