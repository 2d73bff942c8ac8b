/* llama.c - Llama 1 to 4, Mistral, Mixtral, Granite (spec/safetensors.md 5.1, 5.13). */
#include <math.h>
#include <string.h>

#include "engine/convert/arch/tables.h"

static const struct rename llama_names[] = {
    NAMES_LLAMA,
    RENAMES_END,
};

static const struct rename mixtral_names[] = {
    NAMES_LLAMA,
    {"block_sparse_moe.gate", "ffn_gate_inp"},
    {"block_sparse_moe.experts.", "."},
    RENAMES_END,
};

static const struct rename llama4_names[] = {
    NAMES_LLAMA,
    {"language_model.", ""},
    {"vision_model", "v"},
    {"multi_modal_projector", "mm"},
    {"feed_forward.down_proj", "ffn_down"},
    {"feed_forward.up_proj", "ffn_up"},
    {"feed_forward.gate_proj", "ffn_gate"},
    {"feed_forward.", "ffn_"},
    {"shared_expert.down_proj", "down_shexp"},
    {"shared_expert.gate_proj", "gate_shexp"},
    {"shared_expert.up_proj", "up_shexp"},
    {"experts.down_proj", "down_exps.weight"},
    {"experts.gate_up_proj", "gate_up_exps.weight"},
    {"router", "gate_inp"},
    {"patch_embedding.linear", "patch_embedding"},
    RENAMES_END,
};

/* clang-format off */
#define HEADS "num_attention_heads|n_head"
#define KV_HEADS "num_key_value_heads|num_attention_heads|n_head"

#define KEYS_LLAMA                                                           \
    {"block_count", K_U32, "n_layers|num_hidden_layers|n_layer"},            \
    {"context_length", K_U32_IF, "max_position_embeddings|n_ctx"},           \
    {"embedding_length", K_U32_IF, "hidden_size|n_embd"},                    \
    {"feed_forward_length", K_U32_IF, "intermediate_size|n_inner"},          \
    {"attention.head_count", K_U32_IF, HEADS},                               \
    {"attention.head_count_kv", K_U32_IF, "num_key_value_heads"},            \
    {"rope.freq_base", K_F32_IF, "rope_theta|rope_parameters.rope_theta"},   \
    {"attention.layer_norm_rms_epsilon", K_F32_IF, "rms_norm_eps"},          \
    {"attention.layer_norm_epsilon", K_F32_IF,                               \
        "layer_norm_eps|layer_norm_epsilon|norm_epsilon"},                   \
    {"vocab_size", K_U32, "vocab_size"}
#define KEYS_LLAMA_HEAD_DIM                                                  \
    {"attention.head_dim", K_U32_IF, "head_dim"},                            \
    {"attention.key_length", K_U32_IF, "head_dim"},                          \
    {"attention.value_length", K_U32_IF, "head_dim"}
/* clang-format on */

static const struct key_row llama_keys[] = {KEYS_LLAMA, KEYS_LLAMA_HEAD_DIM, KEYS_END};
static const struct key_row mixtral_keys[] = {
    KEYS_LLAMA,
    KEYS_LLAMA_HEAD_DIM,
    {"expert_count", K_U32_IF, "num_local_experts"},
    {"expert_used_count", K_U32_IF, "num_experts_per_tok"},
    KEYS_END,
};
static const struct key_row granite_keys[] = {
    KEYS_LLAMA,
    {"attention.scale", K_F32_IF, "attention_multiplier"},
    {"embedding_scale", K_F32_IF, "embedding_multiplier"},
    {"residual_scale", K_F32_IF, "residual_multiplier"},
    {"logit_scale", K_F32_IF, "logits_scaling"},
    KEYS_END,
};
static const struct key_row llama4_keys[] = {
    KEYS_LLAMA,
    KEYS_LLAMA_HEAD_DIM,
    {"feed_forward_length", K_U32, "intermediate_size_mlp"},
    {"expert_feed_forward_length", K_U32, "intermediate_size"},
    {"expert_count", K_U32, "num_local_experts"},
    {"expert_used_count", K_U32, "num_experts_per_tok"},
    {"interleave_moe_layer_step", K_U32, "interleave_moe_layer_step"},
    {"use_qk_norm", K_BOOL, "use_qk_norm"},
    {"attention.chunk_size", K_U32, "attention_chunk_size"},
    KEYS_TOWER("vision.", K_U32, VISION),
    {"vision.image_size", K_U32, VISION "image_size"},
    {"vision.patch_size", K_U32, VISION "patch_size"},
    {"vision.rope.freq_base", K_F32, VISION "rope_theta"},
    {"vision.layer_norm_epsilon", K_F32, VISION "norm_eps"},
    {"vision.pixel_shuffle_ratio", K_F32, VISION "pixel_shuffle_ratio"},
    KEYS_END,
};

static const struct rule llama_rules[] = {RULES_HEADS(HEADS, KV_HEADS), RULES_END};
/* w1 is the gate, w2 leads down, w3 up. */
static const struct rule mixtral_rules[] = {
    {"blk.#..#.w1.weight", rule_stack, "blk.#.ffn_gate_exps.weight"},
    {"blk.#..#.w2.weight", rule_stack, "blk.#.ffn_down_exps.weight"},
    {"blk.#..#.w3.weight", rule_stack, "blk.#.ffn_up_exps.weight"},
    RULES_HEADS(HEADS, KV_HEADS),
    RULES_END,
};
static const struct rule llama4_rules[] = {
    {"*ffn_gate_up_exps*", rule_split_cols, NULL},
    {"*ffn_down_exps*", rule_transpose, NULL},
    RULES_END,
};

static uint32_t head_dim(struct conversion *c) {
    const uint32_t heads = cfg_u32(c, HEADS), given = cfg_u32(c, "head_dim");
    if (given != 0) return given;
    return heads != 0 ? cfg_u32(c, "hidden_size|n_embd") / heads : 0;
}

static const char *scaling_type(struct conversion *c) {
    return cfg_str(c, "rope_scaling.rope_type|rope_scaling.type|rope_parameters.rope_type");
}

static void llama_meta(struct conversion *c) {
    put_u32(c, "rope.dimension_count", head_dim(c));
    if (strcmp(scaling_type(c), "linear") != 0) return;
    put_str(c, "rope.scaling.type", "linear");
    put_f32(c, "rope.scaling.factor", cfg_num(c, "rope_scaling.factor|rope_parameters.factor"));
}

/* The frequency factors of Llama 3.1: long waves are stretched, short ones stay, those between are
 * blended. */
void llama3_rope_freqs(struct conversion *c) {
    if (strcmp(scaling_type(c), "llama3") != 0) return;
    const uint32_t hd = head_dim(c);
    const double theta = (double)(float)cfg_num(c, "rope_theta|rope_parameters.rope_theta");
    const float factor = (float)cfg_num(c, "rope_scaling.factor|rope_parameters.factor|8");
    const float lo = (float)cfg_num(c, "rope_scaling.low_freq_factor|"
                                       "rope_parameters.low_freq_factor|1");
    const float hi = (float)cfg_num(c, "rope_scaling.high_freq_factor|"
                                       "rope_parameters.high_freq_factor|4");
    const float orig = (float)cfg_num(c, "rope_scaling.original_max_position_embeddings|"
                                         "rope_parameters.original_max_position_embeddings|8192");
    if (hd > 65536) {
        convert_fail(c, ST_INVALID, "config.json: head_dim of %u", hd);
        return;
    }
    float *f = convert_zalloc(c, hd / 2, sizeof *f);
    for (uint32_t i = 0; f != NULL && i < hd / 2; i++) {
        const double wave = 2 * 3.14159265358979323846 * pow(theta, 2.0 * i / hd);
        const float s = (orig / (float)wave - lo) / (hi - lo);
        f[i] = wave < (double)(orig / hi)   ? 1
               : wave > (double)(orig / lo) ? factor
                                            : 1 / ((1 - s) / factor + s);
    }
    out_values(c, "rope_freqs.weight", f, hd / 2);
}

const struct arch_table llama_tables[] = {
    {.classes = "LlamaForCausalLM|MistralForCausalLM",
     .arch = "llama",
     .names = llama_names,
     .keys = llama_keys,
     .rules = llama_rules,
     .meta = llama_meta,
     .tensors = llama3_rope_freqs},
    {.classes = "MixtralForCausalLM",
     .arch = "llama",
     .names = mixtral_names,
     .keys = mixtral_keys,
     .rules = mixtral_rules,
     .meta = llama_meta,
     .tensors = llama3_rope_freqs},
    {.classes = "GraniteForCausalLM",
     .arch = "granite",
     .names = llama_names,
     .keys = granite_keys,
     .rules = llama_rules,
     .meta = llama_meta},
    {.classes = "Llama4ForConditionalGeneration",
     .arch = "llama4",
     .text_config = true,
     .names = llama4_names,
     .keys = llama4_keys,
     .rules = llama4_rules,
     .meta = llama_meta,
     .tensors = llama3_rope_freqs,
     .vocab = {.pre_if_unknown = "llama4"}},
    {0},
};
