/* vision.c - vision models whose text part is another family's: Llama 3.2 Vision (mllama) and GLM
 * OCR (spec/safetensors.md 5.12). */
#include <string.h>

#include "engine/convert/arch/tables.h"

static const struct rename mllama_names[] = {
    NAMES_LLAMA,
    {"language_model.", ""},
    {"gate_attn", "attn_gate"},
    {"gate_ffn", "ffn_gate"},
    {"cross_attn.", "cross_attn_"},
    {"vision_model", "v"},
    {"class_embedding", "class_embd"},
    {"patch_embedding", "patch_embd"},
    {"gated_positional_embedding.tile_embedding", "tile_position_embd"},
    {"gated_positional_embedding.embedding", "position_embd.weight"},
    {"gated_positional_embedding", "position_embd"},
    {"embedding.weight", "weight"},
    {"pre_tile_positional_embedding", "pre_tile_position_embd"},
    {"post_tile_positional_embedding", "post_tile_position_embd"},
    {"layernorm_pre", "pre_ln"},
    {"layernorm_post", "post_ln"},
    {"global_transformer.layers", "global.blk"},
    {"transformer.layers", "blk"},
    {"mlp.fc1", "ffn_up"},
    {"mlp.fc2", "ffn_down"},
    {"multi_modal_projector", "mm.0"},
    RENAMES_END,
};

static const struct rename glmocr_names[] = {
    {"model.visual.patch_embed.proj_1", "v.patch_embd_1"},
    {"model.visual.patch_embed.proj", "v.patch_embd"},
    {"model.visual.blocks", "v.blk"},
    {"model.visual.post_layernorm", "v.post_ln"},
    {"model.visual.downsample", "mm.patch_merger"},
    {"attn.qkv", "attn_qkv"},
    {"attn.proj", "attn_out"},
    {"attn.q_norm", "attn_q_norm"},
    {"attn.k_norm", "attn_k_norm"},
    {"norm1", "ln1"},
    {"norm2", "ln2"},
    {"model.visual.merger.proj", "mm.model.fc"},
    {"model.visual.merger.post_projection_norm", "mm.post_norm"},
    {"model.visual.merger.gate_proj", "mm.gate"},
    {"model.visual.merger.up_proj", "mm.up"},
    {"model.visual.merger.down_proj", "mm.down"},
    {"model.language_model.embed_tokens", "token_embd"},
    {"model.language_model.layers", "blk"},
    {"model.language_model.norm", "output_norm"},
    NAMES_LM_HEAD,
    NAMES_ATTN,
    NAMES_FFN,
    NAMES_NORMS,
    {"post_self_attn_layernorm", "post_attention_norm"},
    {"post_mlp_layernorm", "post_ffw_norm"},
    {"mlp.gate_up_proj", "ffn_up"},
    RENAMES_END,
};

/* ---- Llama 3.2 Vision: both parts in one file ---- */

static const struct key_row mllama_keys[] = {
    {"block_count", K_U32, "num_hidden_layers"},
    {"context_length", K_U32_IF, "max_position_embeddings"},
    {"embedding_length", K_U32_IF, "hidden_size"},
    {"feed_forward_length", K_U32_IF, "intermediate_size"},
    {"attention.head_count", K_U32_IF, "num_attention_heads"},
    {"attention.head_count_kv", K_U32_IF, "num_key_value_heads"},
    {"rope.freq_base", K_F32_IF, "rope_theta"},
    {"attention.layer_norm_rms_epsilon", K_F32_IF, "rms_norm_eps"},
    {"vocab_size", K_U32, "vocab_size"},
    {"attention.cross_attention_layers", K_I32S_IF, "cross_attention_layers"},
    {"vision.block_count", K_U32, VISION "num_hidden_layers"},
    {"vision.global.block_count", K_U32, VISION "num_global_layers"},
    {"vision.embedding_length", K_U32, VISION "hidden_size"},
    {"vision.feed_forward_length", K_U32, VISION "intermediate_size"},
    {"vision.attention.head_count", K_U32, VISION "attention_heads|" VISION "num_attention_heads"},
    {"vision.attention.layer_norm_epsilon", K_F32, VISION "norm_eps"},
    {"vision.image_size", K_U32, VISION "image_size"},
    {"vision.patch_size", K_U32, VISION "patch_size"},
    {"vision.max_num_tiles", K_U32, VISION "max_num_tiles"},
    {"vision.num_channels", K_U32, VISION "num_channels"},
    {"vision.intermediate_layers_indices", K_I32S_IF, VISION "intermediate_layers_indices"},
    KEYS_END,
};

static void mllama_meta(struct conversion *c) {
    const uint32_t heads = cfg_u32(c, "num_attention_heads");
    put_u32(c, "rope.dimension_count", heads != 0 ? cfg_u32(c, "hidden_size") / heads : 0);
}

static RULE(gate) { out_mapped(c, s, s->name, MAP_TANH, 0); }

/* One gate blends the two kinds of positions. */
static RULE(position_gate) {
    out_mapped(c, s, s->name, MAP_ONE_MINUS_TANH, 0);
    out_mapped(c, s, "v.tile_position_embd.gate", MAP_TANH, 0);
}

#define V_HEADS VISION "attention_heads|" VISION "num_attention_heads"
static const struct rule mllama_rules[] = {
    {"v.position_embd.gate", position_gate, NULL},
    {"v.*attn_gate", gate, NULL},
    {"v.*ffn_gate", gate, NULL},
    {"v.*tile_position_embd.gate", gate, NULL},
    {"v.*attn_q.weight", rule_heads, V_HEADS},
    {"v.*attn_k.weight", rule_heads, V_HEADS},
    {"*attn_q.weight", rule_heads, "num_attention_heads"},
    {"*attn_k.weight", rule_heads, "num_key_value_heads|num_attention_heads"},
    RULES_END,
};

/* ---- GLM OCR: the tower is a file of its own ---- */

static const struct key_row glmocr_keys[] = {
    KEYS_COMMON,   KEYS_RMS,
    KEYS_HEAD_DIM, {"rope.freq_base", K_F32, "rope_theta|rope_parameters.rope_theta"},
    KEYS_END,
};
static const struct key_row glmocr_tower_keys[] = {
    {"clip.vision.block_count", K_U32, VISION "depth|" VISION "num_hidden_layers"},
    {"clip.vision.embedding_length", K_U32, VISION "hidden_size"},
    {"clip.vision.feed_forward_length", K_U32, VISION "intermediate_size"},
    {"clip.vision.attention.head_count", K_U32, VISION "num_heads|" VISION "num_attention_heads"},
    {"clip.vision.attention.layer_norm_epsilon", K_F32, VISION "rms_norm_eps|0.00001"},
    {"clip.vision.image_size", K_U32, VISION "image_size"},
    {"clip.vision.patch_size", K_U32, VISION "patch_size|14"},
    {"clip.vision.spatial_merge_size", K_U32, VISION "spatial_merge_size|2"},
    {"clip.vision.temporal_patch_size", K_U32, VISION "temporal_patch_size|2"},
    {"clip.vision.projection_dim", K_U32, VISION "out_hidden_size|hidden_size"},
    KEYS_END,
};

#define ROTARY "partial_rotary_factor|rope_parameters.partial_rotary_factor"
static uint32_t rotary(struct conversion *c) {
    const double part = cfg_num(c, ROTARY);
    return (uint32_t)(cfg_u32(c, "head_dim") * (part > 0 && part <= 1 ? part : 1)) & ~1u;
}

static void glmocr_meta(struct conversion *c) {
    put_u32(c, "rope.dimension_count", rotary(c));
    put_mrope(c, "rope.dimension_sections",
              "rope_parameters.mrope_section|rope_scaling.mrope_section");
    put_projector(c, "glm4v", glmocr_tower_keys);
}

/* Rows of each head from pairs to halves: the even ones of the rotated part, the odd ones, then
 * what is not rotated. */
static RULE(halves) {
    const int64_t hd = cfg_u32(c, "head_dim"), n = rotary(c);
    const int64_t heads = hd != 0 ? s->dim[0] / hd : 0;
    struct view all = view_of(s);
    view_reshape(c, &all, 0, heads);
    if (heads * hd != s->dim[0])
        convert_fail(c, ST_FORMAT, "tensor '%s': %lld rows are no heads of %lld", s->orig,
                     (long long)s->dim[0], (long long)hd);
    if (convert_failed(c)) return;
    struct out *o = out_new(c, s, s->name, s->n_dims, s->dim);
    for (int64_t h = 0; h < heads && !convert_failed(c); h++) {
        struct view turned = all, rest;
        view_slice(c, &turned, 0, h, 1, 1);
        rest = turned;
        view_slice(c, &turned, 1, 0, n, 1);
        view_slice(c, &rest, 1, n, hd - n, 1);
        view_reshape(c, &turned, 1, n / 2 > 0 ? n / 2 : 1);
        view_swap(&turned, 1, 2);
        out_add(c, o, &turned);
        out_add(c, o, &rest);
    }
}

static RULE(to_projector) {
    convert_open_projector(c);
    c->target = CONVERT_PROJECTOR;
    if (!out_frames(c, s, s->name, names_replace(c, s->name, "v.patch_embd", "v.patch_embd_1")))
        out_keep(c, s, s->name);
    c->target = CONVERT_MODEL;
}

static const struct rule glmocr_rules[] = {
    {"v.*", to_projector, NULL},
    {"mm.*", to_projector, NULL},
    {"*.attn_q.weight", halves, NULL},
    {"*.attn_k.weight", halves, NULL},
    {"*.attn_q.bias", halves, NULL},
    {"*.attn_k.bias", halves, NULL},
    RULES_END,
};

const struct arch_table vision_tables[] = {
    {.classes = "MllamaForConditionalGeneration",
     .arch = "mllama",
     .text_config = true,
     .names = mllama_names,
     .keys = mllama_keys,
     .rules = mllama_rules,
     .meta = mllama_meta,
     .tensors = llama3_rope_freqs},
    {.classes = "GlmOcrForConditionalGeneration",
     .arch = "glm4",
     .text_config = true,
     .names = glmocr_names,
     .keys = glmocr_keys,
     .rules = glmocr_rules,
     .prepare = drop_mtp_blocks,
     .meta = glmocr_meta,
     .vocab = {.pre = "chatglm-bpe"}},
    {0},
};
