/* qwen.c - Qwen 2, 2.5-VL, 3 and their mixtures of experts (spec/safetensors.md 5.6, 5.13). */
#include <string.h>

#include "engine/convert/arch/tables.h"

static const struct rename qwen2_names[] = {NAMES_LLAMA, RENAMES_END};

static const struct rename qwen25vl_names[] = {
    NAMES_LLAMA,      {"visual", "v"},  {"blocks", "blk"}, {"attn.proj", "attn_out"},
    {"norm1", "ln1"}, {"norm2", "ln2"}, RENAMES_END,
};

static const struct rename qwen3_names[] = {NAMES_QWEN3, RENAMES_END};

static const struct rename qwen2moe_names[] = {
    NAMES_LLAMA,
    NAMES_SHARED_EXPERT,
    {"mlp.shared_expert_gate", "ffn_gate_inp_shexp"},
    {"mlp.gate.weight", "ffn_gate_inp.weight"},
    RENAMES_END,
};

/* clang-format off */
#define KEYS_QWEN                                                           \
    KEYS_COMMON, KEYS_RMS,                                                  \
    {"rope.freq_base", K_F32, "rope_theta|rope_parameters.rope_theta"}
#define KEYS_EXPERTS                                                        \
    {"expert_count", K_U32, "num_experts"},                                 \
    {"expert_used_count", K_U32, "num_experts_per_tok"},                    \
    {"expert_feed_forward_length", K_U32, "moe_intermediate_size"}
/* clang-format on */

static const struct key_row qwen2_keys[] = {KEYS_QWEN, KEYS_END};
static const struct key_row qwen3_keys[] = {KEYS_QWEN, KEYS_HEAD_DIM, KEYS_END};
static const struct key_row qwen3moe_keys[] = {KEYS_QWEN, KEYS_HEAD_DIM, KEYS_EXPERTS, KEYS_END};
static const struct key_row qwen2moe_keys[] = {
    KEYS_QWEN,
    KEYS_EXPERTS,
    {"expert_shared_feed_forward_length", K_U32, "shared_expert_intermediate_size"},
    KEYS_END,
};
static const struct key_row qwen25vl_keys[] = {
    KEYS_QWEN,
    {"vision.block_count", K_U32, VISION "depth|32"},
    {"vision.embedding_length", K_U32, VISION "hidden_size"},
    {"vision.attention.head_count", K_U32, VISION "num_heads|16"},
    {"vision.num_channels", K_U32, VISION "in_chans"},
    {"vision.patch_size", K_U32, VISION "patch_size|14"},
    {"vision.spatial_merge_size", K_U32, VISION "spatial_merge_size|2"},
    {"vision.spatial_patch_size", K_U32, VISION "spatial_patch_size"},
    {"vision.window_size", K_U32, VISION "window_size|112"},
    {"vision.attention.layer_norm_epsilon", K_F32, VISION "layer_norm_epsilon|0.000001"},
    {"vision.rope.freq_base", K_F32, VISION "rope_theta|10000"},
    {"vision.temporal_patch_size", K_U32, VISION "temporal_patch_size|2"},
    KEYS_END,
};

static const struct rule expert_rules[] = {
    RULES_EXPERTS,
    {"blk.#.ffn_gate_up_exps.weight", rule_split_cols, NULL},
    {"blk.#.ffn_down_exps.weight", rule_transpose, NULL},
    RULES_END,
};

static void qwen2_meta(struct conversion *c) {
    static const struct key_row yarn[] = {
        {"rope.scaling.type", K_STR, "rope_scaling.rope_type|rope_scaling.type"},
        {"rope.scaling.factor", K_F32, "rope_scaling.factor"},
        {"rope.scaling.original_context_length", K_U32_IF,
         "rope_scaling.original_max_position_embeddings"},
        KEYS_END,
    };
    static const struct key_row sections[] = {
        {"rope.mrope_section", K_I32S_IF, "rope_scaling.mrope_section"},
        KEYS_END,
    };
    const char *type = cfg_str(c, "rope_scaling.type|rope_scaling.rope_type");
    if (strcmp(type, "yarn") == 0) keys_put(c, yarn);
    if (strcmp(type, "mrope") == 0 || strcmp(type, "default") == 0) keys_put(c, sections);
}

static void qwen25vl_meta(struct conversion *c) {
    static const struct key_row blocks[] = {
        {"vision.fullatt_block_indexes", K_I32S_IF, VISION "fullatt_block_indexes"},
        KEYS_END,
    };
    static const int32_t usual[] = {7, 15, 23, 31};
    qwen2_meta(c);
    if (cfg(c, blocks[0].from) != NULL)
        keys_put(c, blocks);
    else
        put_array(c, blocks[0].key, GGUF_I32, 4, usual);
}

static RULE(frames) {
    if (!out_frames(c, s, names_replace(c, s->name, "patch_embed.proj", "patch_embd_0"),
                    names_replace(c, s->name, "patch_embed.proj", "patch_embd_1")))
        convert_fail(c, ST_FORMAT, "tensor '%s' has %u dimensions, not 5", s->orig, s->n_dims);
}

static const struct rule qwen25vl_rules[] = {
    {"*patch_embed.proj*", frames, NULL},
    {"*attn.qkv*", rule_third, "attn_q|attn_k|attn_v"},
    RULES_END,
};

const struct arch_table qwen_tables[] = {
    {.classes = "Qwen2ForCausalLM",
     .arch = "qwen2",
     .names = qwen2_names,
     .keys = qwen2_keys,
     .meta = qwen2_meta},
    {.classes = "Qwen2_5_VLForConditionalGeneration",
     .arch = "qwen25vl",
     .text_config = true,
     .names = qwen25vl_names,
     .keys = qwen25vl_keys,
     .rules = qwen25vl_rules,
     .meta = qwen25vl_meta},
    {.classes = "Qwen3ForCausalLM",
     .arch = "qwen3",
     .names = qwen3_names,
     .keys = qwen3_keys,
     .meta = qwen2_meta},
    {.classes = "Qwen3MoeForCausalLM",
     .arch = "qwen3moe",
     .names = qwen3_names,
     .keys = qwen3moe_keys,
     .rules = expert_rules,
     .meta = qwen2_meta},
    {.classes = "Qwen2MoeForCausalLM",
     .arch = "qwen2moe",
     .names = qwen2moe_names,
     .keys = qwen2moe_keys,
     .rules = expert_rules,
     .meta = qwen2_meta},
    {0},
};
