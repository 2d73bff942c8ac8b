/* deepseek.c - DeepSeek V3, GLM-4 MoE Lite, DeepSeek OCR, Laguna (spec/safetensors.md 5.11, 5.12).
 */
#include <stdlib.h>
#include <string.h>

#include "engine/convert/arch/tables.h"

/* clang-format off */
#define NAMES_DEEPSEEK                                                              \
    NAMES_LM_HEAD, NAMES_MODEL, NAMES_NORMS, NAMES_FFN, NAMES_SHARED_EXPERTS,       \
    {"self_attn.kv_a_proj_with_mqa", "attn_kv_a_mqa"},                              \
    {"self_attn.kv_a_layernorm", "attn_kv_a_norm"},                                 \
    {"self_attn.kv_b_proj", "attn_kv_b"},                                           \
    {"self_attn.q_a_proj", "attn_q_a"},                                             \
    {"self_attn.q_a_layernorm", "attn_q_a_norm"},                                   \
    {"self_attn.q_b_proj", "attn_q_b"},                                             \
    {"self_attn.o_proj", "attn_output"},                                            \
    {"mlp.gate.e_score_correction_bias", "exp_probs_b.bias"},                       \
    {"mlp.gate", "ffn_gate_inp"}
/* clang-format on */

static const struct rename glm4_names[] = {NAMES_DEEPSEEK, RENAMES_END};
static const struct rename deepseek_names[] = {
    {"language_model.", ""},
    NAMES_DEEPSEEK,
    RENAMES_END,
};

static const struct rename ocr_names[] = {
    NAMES_LLAMA,
    NAMES_SHARED_EXPERTS,
    {"mlp.gate", "ffn_gate_inp"},
    {"model.vision_model", "v"},
    {"embeddings.patch_embedding", "patch_embd"},
    {"embeddings.class_embedding", "class_embd"},
    {"embeddings.position_embedding", "position_embd"},
    {"transformer.layers", "blk"},
    {"model.projector", "mm"},
    {"model.image_newline", "mm.image_newline"},
    {"model.view_seperator", "mm.view_seperator"},
    {"model.sam_model.patch_embed.proj", "s.patch_embd"},
    {"model.sam_model.pos_embed", "s.position_embd"},
    {"model.sam_model.blocks", "s.blk"},
    {"model.sam_model.neck", "s.neck"},
    {"model.sam_model.net_", "s.net_"},
    RENAMES_END,
};

static const struct rename laguna_names[] = {
    NAMES_LLAMA,
    NAMES_QK_NORM,
    {"self_attn.g_proj", "attn_g"},
    {"mlp.gate.weight", "ffn_gate_inp.weight"},
    {"mlp.experts.e_score_correction_bias", "exp_probs_b.bias"},
    NAMES_SHARED_EXPERT,
    {"mlp.experts.*.gate_proj", "ffn_gate_exps"},
    {"mlp.experts.*.up_proj", "ffn_up_exps"},
    {"mlp.experts.*.down_proj", "ffn_down_exps"},
    RENAMES_END,
};

/* ---- DeepSeek V3 and GLM-4 MoE Lite ---- */

/* clang-format off */
#define KEYS_DEEPSEEK                                                       \
    KEYS_COMMON, KEYS_RMS,                                                  \
    {"attention.kv_lora_rank", K_U32, "kv_lora_rank"},                      \
    {"attention.q_lora_rank", K_U32, "q_lora_rank"},                        \
    {"expert_count", K_U32, "n_routed_experts"},                            \
    {"expert_feed_forward_length", K_U32, "moe_intermediate_size"},         \
    {"expert_shared_count", K_U32, "n_shared_experts"},                     \
    {"expert_used_count", K_U32, "num_experts_per_tok"},                    \
    {"expert_weights_norm", K_BOOL, "norm_topk_prob"},                      \
    {"expert_weights_scale", K_F32, "routed_scaling_factor"},               \
    {"leading_dense_block_count", K_U32, "first_k_dense_replace"},          \
    {"rope.dimension_count", K_U32, "qk_rope_head_dim"}
/* clang-format on */

static const struct key_row deepseek_keys[] = {
    KEYS_DEEPSEEK,
    {"attention.value_length", K_U32, "v_head_dim"},
    {"rope.freq_base", K_F32, "rope_theta|10000"},
    {"rope.scaling.factor", K_F32, "rope_scaling.factor"},
    {"rope.scaling.original_context_length", K_U32,
     "rope_scaling.original_max_position_embeddings"},
    {"rope.scaling.type", K_STR, "rope_scaling.type|rope_scaling.rope_type"},
    {"expert_group_count", K_U32_IF, "n_group"},
    {"expert_group_used_count", K_U32_IF, "topk_group"},
    KEYS_END,
};
static const struct key_row glm4_keys[] = {
    KEYS_DEEPSEEK,
    {"attention.head_count_kv", K_U32, "1"},
    {"attention.value_length", K_U32, "kv_lora_rank"},
    {"attention.value_length_mla", K_U32, "v_head_dim"},
    {"expert_gating_func", K_U32, "2"},
    {"expert_group_count", K_U32, "n_group|1"},
    {"expert_group_used_count", K_U32, "topk_group|1"},
    {"rope.freq_base", K_F32, "rope_theta|1000000"},
    KEYS_END,
};

static void deepseek_meta(struct conversion *c) {
    const char *gate = cfg_str(c, "scoring_func");
    put_u32(c, "attention.key_length",
            cfg_u32(c, "qk_nope_head_dim") + cfg_u32(c, "qk_rope_head_dim"));
    put_u32(c, "expert_gating_func",
            strcmp(gate, "softmax") == 0   ? 1
            : strcmp(gate, "sigmoid") == 0 ? 2
                                           : 0);
    put_f32(c, "rope.scaling.yarn_log_multiplier",
            (double)(0.1f * (float)cfg_num(c, "rope_scaling.mscale_all_dim")));
}

/* The second and third of the tokens that end a generation have a meaning of their own. */
static void glm4_meta(struct conversion *c) {
    static const char *const keys[] = {NULL, "tokenizer.ggml.eot_token_id",
                                       "tokenizer.ggml.eom_token_id"};
    const uint32_t rope = cfg_u32(c, "qk_rope_head_dim");
    put_u32(c, "attention.key_length", cfg_u32(c, "kv_lora_rank") + rope);
    put_u32(c, "attention.key_length_mla", cfg_u32(c, "qk_nope_head_dim") + rope);
    json *generation = files_json(c, "generation_config.json");
    const json *v = json_first(json_get(generation, "eos_token_id"));
    int64_t id;
    for (int i = 0; i < 3 && v != NULL; i++, v = json_next(v))
        if (keys[i] != NULL && json_int(v, &id) && id >= 0 && id <= UINT32_MAX)
            put_u32(c, keys[i], (uint32_t)id);
    json_free(generation);
}

/* Blocks behind the last layer predict further tokens; they have no place here. */
void drop_mtp_blocks(struct conversion *c) {
    const uint32_t layers = cfg_layers(c);
    uint32_t num[2];
    for (size_t i = 0; i < c->n_sources; i++)
        if (names_match("blk.#.*", c->sources[i].name, num) && num[0] >= layers)
            c->sources[i].used = true;
}

/* [H * (nope + v), rank]: of each head the rows of k, transposed, and those of v. */
static RULE(split_kv_b) {
    const int64_t nope = cfg_u32(c, "qk_nope_head_dim"), vd = cfg_u32(c, "v_head_dim");
    const int64_t rank = s->dim[1], each = nope + vd, heads = each != 0 ? s->dim[0] / each : 0;
    struct view k = view_of(s), v;
    view_reshape(c, &k, 0, heads);
    if (convert_failed(c)) return;
    v = k;
    view_slice(c, &k, 1, 0, nope, 1);
    view_swap(&k, 1, 2);
    out_of(c, &k, names_replace(c, s->name, "kv_b", "k_b"), 3, (int64_t[]){heads, rank, nope});
    view_slice(c, &v, 1, nope, vd, 1);
    out_of(c, &v, names_replace(c, s->name, "kv_b", "v_b"), 3, (int64_t[]){heads, vd, rank});
}

static const struct rule expert_rules[] = {RULES_EXPERTS, RULES_END};
static const struct rule glm4_rules[] = {
    RULES_EXPERTS, {"*.attn_kv_b.weight", split_kv_b, NULL}, RULES_END};

/* ---- DeepSeek OCR ---- */

static const struct key_row ocr_keys[] = {
    {"block_count", K_U32, "num_hidden_layers|@num_hidden_layers"},
    {"context_length", K_U32, "max_position_embeddings|@max_position_embeddings"},
    {"embedding_length", K_U32, "hidden_size|@hidden_size"},
    {"feed_forward_length", K_U32, "intermediate_size|@intermediate_size"},
    {"attention.head_count", K_U32, "num_attention_heads|@num_attention_heads"},
    {"attention.head_count_kv", K_U32, "num_key_value_heads|@num_key_value_heads"},
    {"attention.layer_norm_rms_epsilon", K_F32, "rms_norm_eps|@rms_norm_eps|0.000001"},
    {"expert_count", K_U32, "n_routed_experts|@n_routed_experts"},
    {"expert_used_count", K_U32, "num_experts_per_tok|@num_experts_per_tok"},
    {"expert_shared_count", K_U32, "n_shared_experts|@n_shared_experts"},
    {"expert_feed_forward_length", K_U32, "moe_intermediate_size|@moe_intermediate_size"},
    {"leading_dense_block_count", K_U32, "first_k_dense_replace|@first_k_dense_replace"},
    KEYS_END,
};

/* ---- Laguna ---- */

static const struct key_row laguna_keys[] = {
    KEYS_COMMON,
    KEYS_HEAD_DIM,
    KEYS_RMS,
    {"attention.sliding_window", K_U32, "sliding_window"},
    {"attention.gating_type", K_U32, "1"},
    {"expert_count", K_U32, "num_experts"},
    {"expert_used_count", K_U32, "num_experts_per_tok"},
    {"expert_feed_forward_length", K_U32, "moe_intermediate_size"},
    {"expert_shared_feed_forward_length", K_U32, "shared_expert_intermediate_size"},
    {"expert_shared_count", K_U32, "1"},
    {"expert_weights_scale", K_F32, "moe_routed_scaling_factor"},
    {"expert_gating_func", K_U32, "2"},
    {"decoder_sparse_step", K_U32, "1"},
    {"leading_dense_block_count", K_U32, "1"},
    KEYS_END,
};

/* The same fields for full and for sliding layers. */
static void put_laguna_rope(struct conversion *c, const char *prefix, const char *from) {
    static const struct {
        const char *key, *field;
        enum key_kind kind;
    } rows[] = {
        {"freq_base", "rope_theta", K_F32_IF},
        {"scaling.type", "rope_type", K_STR_IF},
        {"scaling.factor", "factor", K_F32_IF},
        {"scaling.original_context_length", "original_max_position_embeddings", K_U32_IF},
        {"scaling.beta_fast", "beta_fast", K_F32_IF},
        {"scaling.beta_slow", "beta_slow", K_F32_IF},
        {"scaling.attn_factor", "attention_factor", K_F32_IF},
        {"partial_rotary_factor", "partial_rotary_factor", K_F32_IF},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct key_row row[] = {{convert_text(c, "%s%s", prefix, rows[i].key), rows[i].kind,
                                       convert_text(c, "%s%s", from, rows[i].field)},
                                      KEYS_END};
        keys_put(c, row);
    }
    const double part = cfg_num(c, convert_text(c, "%spartial_rotary_factor|1", from));
    if (part > 0 && part <= 1)
        put_u32(c, convert_text(c, "%sdimension_count", prefix),
                (uint32_t)(cfg_u32(c, "head_dim") * part));
}

static void put_laguna_layers(struct conversion *c) {
    const uint32_t layers = cfg_layers(c);
    const json *heads = cfg(c, "num_attention_heads_per_layer");
    uint32_t *n = convert_zalloc(c, layers, sizeof *n),
             *types = convert_zalloc(c, layers, sizeof *types);
    if (n == NULL || types == NULL) return;
    uint32_t i = 0;
    for (const json *v = json_first(heads); v != NULL && i < layers; v = json_next(v)) {
        int64_t x = 0;
        n[i++] = json_int(v, &x) && x >= 0 && x <= UINT32_MAX ? (uint32_t)x : 0;
    }
    if (heads != NULL) put_array(c, "attention.head_count", GGUF_U32, layers, n);
    for (i = 0; i < layers; i++)
        types[i] = strcmp(cfg_list_str(c, "layer_types", i), "sliding_attention") == 0;
    if (cfg(c, "layer_types") != NULL)
        put_array(c, "attention.layer_types", GGUF_U32, layers, types);
    put_layer_types(c);
}

static void laguna_meta(struct conversion *c) {
    static const uint32_t dense[] = {0};
    const bool nested = cfg(c, "rope_parameters.full_attention") != NULL;
    put_laguna_layers(c);
    put_bool(c, "attention.sink_enabled", false);
    put_bool(c, "attention.qk_norm", true);
    put_bool(c, "expert_weights_norm",
             cfg(c, "norm_topk_prob") == NULL || cfg_bool(c, "norm_topk_prob"));
    put_array(c, "dense_layers", GGUF_U32, 1, dense);
    put_laguna_rope(c, "rope.", nested ? "rope_parameters.full_attention." : "rope_parameters.");
    if (nested) put_laguna_rope(c, "rope.swa.", "rope_parameters.sliding_attention.");
    put_bool(c, "tokenizer.ggml.add_bos_token", false);
}

const struct arch_table deepseek_tables[] = {
    {.classes = "DeepseekV3ForCausalLM",
     .arch = "deepseek2",
     .names = deepseek_names,
     .keys = deepseek_keys,
     .rules = expert_rules,
     .prepare = drop_mtp_blocks,
     .meta = deepseek_meta,
     .vocab = {.pre = "deepseek-v3"}},
    {.classes = "Glm4MoeLiteForCausalLM",
     .arch = "deepseek2",
     .names = glm4_names,
     .keys = glm4_keys,
     .rules = glm4_rules,
     .prepare = drop_mtp_blocks,
     .meta = glm4_meta,
     .vocab = {.pre = "glm4"}},
    {.classes = "DeepseekOCRForCausalLM",
     .arch = "deepseekocr",
     .names = ocr_names,
     .keys = ocr_keys,
     .rules = expert_rules},
    {.classes = "LagunaForCausalLM",
     .arch = "laguna",
     .names = laguna_names,
     .keys = laguna_keys,
     .rules = expert_rules,
     .meta = laguna_meta,
     .vocab = {.pre = "laguna", .no_template = true, .few_specials = true}},
    {0},
};
