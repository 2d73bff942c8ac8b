/* dense.c - dense models that need little: Phi 2 and 3, Command R, OLMo 2 and 3, StarCoder 2
 * (spec/safetensors.md 5.5, 5.13). */
#include <math.h>
#include <string.h>

#include "engine/convert/arch/tables.h"

static const struct rename phi3_names[] = {
    NAMES_LM_HEAD,
    NAMES_MODEL,
    NAMES_NORMS,
    {"self_attn.qkv_proj", "attn_qkv"},
    {"self_attn.o_proj", "attn_output"},
    {"mlp.down_proj", "ffn_down"},
    {"mlp.gate_up_proj", "ffn_up"},
    RENAMES_END,
};

static const struct rename cohere_names[] = {
    NAMES_MODEL, NAMES_ATTN, NAMES_QK_NORM, NAMES_FFN, {"input_layernorm", "attn_norm"},
    RENAMES_END,
};

static const struct rename olmo_names[] = {
    NAMES_LM_HEAD,
    NAMES_MODEL,
    NAMES_ATTN,
    NAMES_QK_NORM,
    NAMES_FFN,
    {"post_attention_layernorm", "post_attention_norm"},
    {"post_feedforward_layernorm", "post_ffw_norm"},
    RENAMES_END,
};

static const struct rename phi2_names[] = {
    {"lm_head", "output"},
    {"model.embed_tokens", "token_embd"},
    {"model.final_layernorm", "output_norm"},
    {"model.layers", "blk"},
    {"input_layernorm", "attn_norm"},
    {"self_attn.q_proj", "attn_q"},
    {"self_attn.k_proj", "attn_k"},
    {"self_attn.v_proj", "attn_v"},
    {"self_attn.dense", "attn_output"},
    {"mlp.fc1", "ffn_up"},
    {"mlp.fc2", "ffn_down"},
    RENAMES_END,
};
static const struct rename starcoder2_names[] = {
    NAMES_LM_HEAD,
    NAMES_MODEL,
    NAMES_ATTN,
    NAMES_NORMS,
    {"mlp.c_fc", "ffn_up"},
    {"mlp.c_proj", "ffn_down"},
    RENAMES_END,
};

/* ---- Phi 3 ---- */

static const struct key_row phi3_keys[] = {
    {"block_count", K_U32, "num_hidden_layers|n_layers|n_layer"},
    {"context_length", K_U32, "max_position_embeddings"},
    {"embedding_length", K_U32, "hidden_size|n_embd"},
    {"feed_forward_length", K_U32, "intermediate_size"},
    {"attention.head_count", K_U32, "num_attention_heads|n_head"},
    {"attention.head_count_kv", K_U32, "num_key_value_heads|n_head_kv"},
    KEYS_RMS,
    {"rope.freq_base", K_F32, "rope_theta"},
    {"rope.scaling.original_context_length", K_U32, "original_max_position_embeddings"},
    {"attention.sliding_window", K_U32, "sliding_window"},
    KEYS_END,
};

/* How much attention grows with the stretch x of the context. */
static void put_attn_factor(struct conversion *c) {
    const char *type = cfg_str(c, "rope_scaling.type|rope_scaling.rope_type");
    const double orig = cfg_num(c, "original_max_position_embeddings");
    const double x = orig > 0 ? cfg_num(c, "max_position_embeddings") / orig : 0;
    double f = 1;
    if (*type == '\0') return;
    if (strcmp(type, "su") == 0 || strcmp(type, "longrope") == 0)
        f = x > 0 && orig > 1 ? sqrt(1 + log(x) / log(orig)) : 1;
    else if (strcmp(type, "yarn") == 0)
        f = x > 0 ? 0.1 * log(x) + 1 : 1;
    else
        convert_fail(c, ST_INVALID, "unknown rope scaling type \"%.40s\"", type);
    put_f32(c, "rope.scaling.attn_factor", f > 1 ? f : 1);
}

static void phi3_meta(struct conversion *c) {
    const uint32_t heads = cfg_u32(c, "num_attention_heads|n_head");
    const double part = cfg_num(c, "partial_rotary_factor");
    const uint32_t hd = heads != 0 ? cfg_u32(c, "hidden_size|n_embd") / heads : 0;
    put_u32(c, "rope.dimension_count", part > 0 && part < 1 ? (uint32_t)(hd * part) : hd);
    put_attn_factor(c);
}

static void put_factors(struct conversion *c, const char *name, const char *from) {
    const json *list = cfg(c, from);
    float *f = convert_zalloc(c, json_len(list), sizeof *f);
    size_t n = 0;
    double x = 0;
    if (list == NULL || f == NULL) return;
    for (const json *v = json_first(list); v != NULL; v = json_next(v)) {
        if (!json_number(v, &x))
            convert_fail(c, ST_INVALID, "config.json: %s is no list of numbers", from);
        f[n++] = (float)x;
    }
    if (n != 0) out_values(c, name, f, n);
}

static void phi3_factors(struct conversion *c) {
    put_factors(c, "rope_factors_long.weight", "rope_scaling.long_factor");
    put_factors(c, "rope_factors_short.weight", "rope_scaling.short_factor");
}

/* ---- Command R ---- */

static const struct key_row cohere_keys[] = {
    KEYS_COMMON,
    {"context_length", K_U32, "model_max_length|max_position_embeddings|n_ctx"},
    {"attention.layer_norm_epsilon", K_F32, "layer_norm_eps"},
    {"rope.freq_base", K_F32, "rope_theta"},
    {"max_position_embeddings", K_U32, "model_max_length|max_position_embeddings"},
    {"logit_scale", K_F32, "logit_scale"},
    KEYS_END,
};

static void cohere_meta(struct conversion *c) {
    put_str(c, "general.name", "command-r");
    put_str(c, "rope.scaling.type", "none");
}

/* ---- OLMo ---- */

static const struct key_row olmo3_keys[] = {
    {"block_count", K_U32, "num_hidden_layers"},
    {"context_length", K_U32, "max_position_embeddings"},
    {"embedding_length", K_U32, "hidden_size"},
    {"feed_forward_length", K_U32, "intermediate_size"},
    {"attention.head_count", K_U32, "num_attention_heads"},
    {"attention.head_count_kv", K_U32, "num_key_value_heads|num_attention_heads"},
    {"rope.freq_base", K_F32_IF, "rope_theta"},
    {"rope.scaling.factor", K_F32_IF, "rope_scaling.factor"},
    {"rope.scaling.original_context_length", K_U32_IF,
     "rope_scaling.original_max_position_embeddings"},
    {"rope.scaling.attn_factor", K_F32_IF, "rope_scaling.attention_factor"},
    {"rope.scaling.extrapolation_factor", K_F32_IF, "rope_scaling.extrapolation_factor"},
    {"rope.scaling.yarn_beta_fast", K_F32_IF, "rope_scaling.beta_fast"},
    {"rope.scaling.yarn_beta_slow", K_F32_IF, "rope_scaling.beta_slow"},
    {"rope.scaling.type", K_STR_IF, "rope_scaling.rope_type|rope_scaling.type"},
    {"attention.layer_norm_rms_epsilon", K_F32_IF, "rms_norm_eps"},
    {"attention.sliding_window", K_U32_IF, "sliding_window"},
    KEYS_END,
};

/* ---- Phi 2 and StarCoder 2 ---- */

static const struct key_row phi2_keys[] = {
    {"block_count", K_U32, "num_hidden_layers"},
    {"context_length", K_U32, "max_position_embeddings"},
    {"embedding_length", K_U32, "hidden_size"},
    {"attention.head_count", K_U32, "num_attention_heads"},
    {"attention.head_count_kv", K_U32, "num_attention_heads"},
    {"attention.layer_norm_epsilon", K_F32, "layer_norm_eps|layer_norm_epsilon"},
    KEYS_END,
};

static void phi2_meta(struct conversion *c) {
    const uint32_t heads = cfg_u32(c, "num_attention_heads"), embd = cfg_u32(c, "hidden_size");
    put_u32(c, "feed_forward_length", 4 * embd);
    put_u32(c, "rope.dimension_count",
            heads != 0 ? (uint32_t)(cfg_num(c, "partial_rotary_factor|1") * embd / heads) : 0);
    put_bool(c, "tokenizer.ggml.add_bos_token", false);
}

static const struct key_row starcoder2_keys[] = {
    KEYS_COMMON,
    {"attention.layer_norm_epsilon", K_F32, "norm_epsilon"},
    {"rope.freq_base", K_F32, "rope_theta"},
    KEYS_END,
};

const struct arch_table dense_tables[] = {
    {.classes = "Phi3ForCausalLM",
     .arch = "phi3",
     .names = phi3_names,
     .keys = phi3_keys,
     .meta = phi3_meta,
     .tensors = phi3_factors},
    {.classes = "CohereForCausalLM",
     .arch = "command-r",
     .names = cohere_names,
     .keys = cohere_keys,
     .meta = cohere_meta,
     .vocab = {.pre_if_unknown = "command-r"}},
    {.classes = "Olmo3ForCausalLM|Olmo2ForCausalLM",
     .arch = "olmo2",
     .names = olmo_names,
     .keys = olmo3_keys,
     .meta = put_layer_types},
    {.classes = "PhiForCausalLM",
     .arch = "phi2",
     .names = phi2_names,
     .keys = phi2_keys,
     .meta = phi2_meta,
     .vocab = {.pre = "phi-2"}},
    {.classes = "Starcoder2ForCausalLM",
     .arch = "starcoder2",
     .names = starcoder2_names,
     .keys = starcoder2_keys,
     .vocab = {.pre = "starcoder"}},
    {0},
};
