/* lfm2.c - LFM 2: layers with a short convolution or with attention (spec/safetensors.md 5.11). */
#include <string.h>

#include "engine/convert/arch/tables.h"

/* clang-format off */
#define NAMES_LFM2                                                  \
    {"model.embed_tokens", "token_embd"},                           \
    {"model.embedding_norm", "token_embd_norm"},                    \
    {"model.layers", "blk"},                                        \
    {"operator_norm", "attn_norm"},                                 \
    {"self_attn.q_proj", "attn_q"},                                 \
    {"self_attn.k_proj", "attn_k"},                                 \
    {"self_attn.v_proj", "attn_v"},                                 \
    {"self_attn.out_proj", "attn_output"},                          \
    {"self_attn.q_layernorm", "attn_q_norm"},                       \
    {"self_attn.k_layernorm", "attn_k_norm"},                       \
    {"conv.conv", "shortconv.conv"},                                \
    {"conv.in_proj", "shortconv.in_proj"},                          \
    {"conv.out_proj", "shortconv.out_proj"},                        \
    {"feed_forward.gate", "ffn_gate_inp"},                          \
    {"feed_forward.expert_bias", "exp_probs_b.bias"},               \
    {"feed_forward.w1", "ffn_gate"},                                \
    {"feed_forward.w2", "ffn_down"},                                \
    {"feed_forward.w3", "ffn_up"},                                  \
    {"ffn_norm", "ffn_norm"}
/* clang-format on */

static const struct rename lfm2_names[] = {NAMES_LFM2, RENAMES_END};

static const struct rename lfm2vl_names[] = {
    NAMES_LFM2,
    {"model.language_model.embed_tokens", "token_embd"},
    {"model.language_model.model.embed_tokens", "token_embd"},
    {"model.language_model.embedding_norm", "token_embd_norm"},
    {"model.language_model.model.embedding_norm", "token_embd_norm"},
    {"model.language_model.layers", "blk"},
    {"model.language_model.model.layers", "blk"},
    {"model.vision_tower.vision_model.embeddings.patch_embedding", "v.patch_embd"},
    {"model.vision_tower.vision_model.embeddings.position_embedding", "v.position_embd"},
    {"model.vision_tower.vision_model.encoder.layers", "v.blk"},
    {"model.vision_tower.vision_model.post_layernorm", "v.post_ln"},
    {"model.multi_modal_projector.layer_norm", "mm.layer_norm"},
    {"model.multi_modal_projector.linear_1", "mm.1"},
    {"model.multi_modal_projector.linear_2", "mm.2"},
    {"layer_norm1", "ln1"},
    {"layer_norm2", "ln2"},
    {"mlp.fc1", "ffn_up"},
    {"mlp.fc2", "ffn_down"},
    RENAMES_END,
};

static const struct key_row keys[] = {
    {"vocab_size", K_U32, "vocab_size"},
    {"block_count", K_U32, "num_hidden_layers"},
    {"embedding_length", K_U32, "hidden_size"},
    {"attention.head_count", K_U32, "num_attention_heads"},
    {"attention.layer_norm_rms_epsilon", K_F32, "norm_eps"},
    {"shortconv.l_cache", K_U32, "conv_L_cache"},
    {"rope.freq_base", K_F32_IF, "rope_theta|rope_parameters.rope_theta"},
    KEYS_END,
};
static const struct key_row expert_keys[] = {
    {"expert_count", K_U32, "num_local_experts|num_experts"},
    {"expert_used_count", K_U32, "num_experts_per_tok"},
    {"expert_feed_forward_length", K_U32, "moe_intermediate_size"},
    {"leading_dense_block_count", K_U32, "num_dense_layers"},
    {"expert_gating_func", K_U32, "2"},
    {"expert_weights_scale", K_F32, "routed_scaling_factor|1"},
    KEYS_END,
};
static const struct key_row vision_keys[] = {
    KEYS_TOWER("vision.", K_U32, VISION),
    {"vision.attention.layer_norm_epsilon", K_F32, VISION "layer_norm_eps|0.000001"},
    {"vision.patch_size", K_U32, VISION "patch_size"},
    {"vision.num_channels", K_U32, VISION "num_channels|3"},
    KEYS_END,
};

static bool has_experts(struct conversion *c) {
    return cfg_num(c, "num_local_experts|num_experts") != 0 ||
           strcmp(cfg_str(c, "model_type"), "lfm2_moe") == 0;
}

/* The width that training used is two thirds of the configured one, rounded up. */
static uint32_t width(struct conversion *c) {
    const uint64_t m = cfg_u32(c, "block_multiple_of");
    const double times = cfg_num(c, "block_ffn_dim_multiplier");
    uint64_t f = cfg_u32(c, "block_ff_dim|intermediate_size");
    if (!cfg_bool(c, "block_auto_adjust_ff_dim") || m == 0) return (uint32_t)f;
    f = 2 * f / 3;
    if (times > 0 && times < 1000) f = (uint64_t)((double)f * times);
    f = (f + m - 1) / m * m;
    return f <= UINT32_MAX ? (uint32_t)f : 0;
}

static void meta(struct conversion *c) {
    const uint32_t layers = cfg_layers(c), heads = cfg_u32(c, "num_attention_heads");
    const uint32_t hd = heads != 0 ? cfg_u32(c, "hidden_size") / heads : 0;
    const uint32_t context = cfg_u32(c, "max_position_embeddings");
    const bool mixed = cfg(c, "layer_types") != NULL;
    const bool large = layers == 40 && cfg_u32(c, "num_local_experts|num_experts") == 64;
    uint32_t *kv = convert_zalloc(c, layers, sizeof *kv);
    for (uint32_t i = 0; kv != NULL && i < layers; i++)
        if (!mixed || strcmp(cfg_list_str(c, "layer_types", i), "full_attention") == 0)
            kv[i] = cfg_u32(c, "num_key_value_heads");
    if (kv != NULL) put_array(c, "attention.head_count_kv", GGUF_U32, layers, kv);
    put_u32(c, "attention.key_length", hd);
    put_u32(c, "attention.value_length", hd);
    put_u32(c, "context_length", large && context == 128000 ? 32768 : context);
    put_u32(c, "feed_forward_length", width(c));
    if (has_experts(c)) keys_put(c, expert_keys);
    if (cfg(c, "@vision_config") != NULL) keys_put(c, vision_keys);
}

static void prepare(struct conversion *c) {
    if (has_experts(c)) c->arch_name = "lfm2moe";
}

static RULE(patches) { out_patches(c, s); }

/* w1 is the gate, w2 leads down, w3 up. */
static const struct rule rules[] = {
    {"v.patch_embd.weight", patches, NULL},
    {"*.shortconv.conv.weight", rule_squeeze, NULL},
    {"blk.#.feed_forward.experts.#.w1.weight", rule_stack, "blk.#.ffn_gate_exps.weight"},
    {"blk.#.feed_forward.experts.#.w2.weight", rule_stack, "blk.#.ffn_down_exps.weight"},
    {"blk.#.feed_forward.experts.#.w3.weight", rule_stack, "blk.#.ffn_up_exps.weight"},
    RULES_END,
};

const struct arch_table lfm2_tables[] = {
    {.classes = "Lfm2ForCausalLM|Lfm2MoeForCausalLM",
     .arch = "lfm2",
     .names = lfm2_names,
     .keys = keys,
     .rules = rules,
     .prepare = prepare,
     .meta = meta,
     .vocab = {.pre = "lfm2"}},
    {.classes = "Lfm2VlForConditionalGeneration",
     .arch = "lfm2",
     .text_config = true,
     .names = lfm2vl_names,
     .keys = keys,
     .rules = rules,
     .prepare = prepare,
     .meta = meta,
     .vocab = {.pre = "lfm2"}},
    {0},
};
