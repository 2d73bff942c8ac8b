/* qwen3vl.c - Qwen 3 VL (spec/safetensors.md 5.6): the text model, and the vision tower as a second
 * file, the projector, which Qwen 3.5 shares. */
#include <math.h>
#include <string.h>

#include "engine/convert/arch/tables.h"

static const struct rename qwen3vl_names[] = {
    NAMES_QWEN3,
    {"model.language_", ""},
    {"model.visual", "v"},
    {"patch_embed.proj", "patch_embd"},
    {"pos_embed", "position_embd"},
    {"blocks", "blk"},
    {"attn.qkv", "attn_qkv"},
    {"attn.proj", "attn_out"},
    {"norm1", "ln1"},
    {"norm2", "ln2"},
    {"mlp.linear_fc1", "ffn_up"},
    {"mlp.linear_fc2", "ffn_down"},
    {"deepstack_merger_list", "deepstack"},
    RENAMES_END,
};

static const struct key_row text_keys[] = {
    KEYS_COMMON,   KEYS_RMS,
    KEYS_HEAD_DIM, {"rope.freq_base", K_F32, "rope_theta|rope_parameters.rope_theta"},
    KEYS_END,
};
static const struct key_row expert_keys[] = {
    {"expert_count", K_U32, "num_experts"},
    {"expert_used_count", K_U32, "num_experts_per_tok"},
    {"expert_feed_forward_length", K_U32_IF, "moe_intermediate_size"},
    {"norm_top_k_prob", K_BOOL, "norm_topk_prob"},
    KEYS_END,
};

/* ---- the projector ---- */

static const struct key_row projector_keys[] = {
    {"clip.vision.block_count", K_U32, VISION "depth"},
    {"clip.vision.embedding_length", K_U32, VISION "hidden_size"},
    {"clip.vision.attention.head_count", K_U32, VISION "num_heads|16"},
    {"clip.vision.attention.layer_norm_epsilon", K_F32, VISION "layer_norm_epsilon|0.000001"},
    {"clip.vision.num_channels", K_U32, VISION "in_channels|" VISION "in_chans"},
    {"clip.vision.patch_size", K_U32, VISION "patch_size|14"},
    {"clip.vision.spatial_merge_size", K_U32, VISION "spatial_merge_size|2"},
    {"clip.vision.projection_dim", K_U32, VISION "out_hidden_size|hidden_size"},
    {"clip.vision.temporal_patch_size", K_U32, VISION "temporal_patch_size|2"},
    {"clip.vision.rope.freq_base", K_F32, VISION "rope_theta|10000"},
    KEYS_END,
};

/* A square of positions, each one patch. */
static uint32_t image_size(struct conversion *c) {
    const uint32_t n = cfg_u32(c, VISION "num_position_embeddings"),
                   p = cfg_u32(c, VISION "patch_size|14");
    const uint32_t side = (uint32_t)lround(sqrt((double)n));
    return n != 0 && (uint64_t)side * side == n && p < 65536 && side < 65536 ? side * p : 768;
}

static void put_deepstack(struct conversion *c) {
    const uint32_t n = cfg_u32(c, VISION "depth");
    bool *is = n <= 10000 ? convert_zalloc(c, n, sizeof *is) : NULL;
    int64_t at;
    if (is == NULL) {
        convert_fail(c, ST_INVALID, "config.json: a vision tower of %u blocks", n);
        return;
    }
    const json *list = cfg(c, VISION "deepstack_visual_indexes");
    for (const json *v = json_first(list); v != NULL; v = json_next(v)) {
        if (json_int(v, &at) && at >= 0 && at < n)
            is[at] = true;
        else
            convert_fail(c, ST_INVALID, "config.json: deepstack_visual_indexes names no block");
    }
    put_array(c, "clip.vision.is_deepstack_layers", GGUF_BOOL, n, is);
}

static void put_floats(struct conversion *c, const char *key, const json *list) {
    float x[8] = {0};
    size_t n = 0;
    double d = 0;
    for (const json *v = json_first(list); v != NULL && n < 8; v = json_next(v))
        x[n++] = json_number(v, &d) ? (float)d : 0;
    if (n != 0) put_array(c, key, GGUF_F32, n, x);
}

static void put_pixels(struct conversion *c, const char *key, const json *size, const char *field) {
    int64_t n = 0;
    if (json_int(json_get(size, field), &n) && n >= 0 && n <= UINT32_MAX)
        put_u32(c, key, (uint32_t)n);
}

static void put_preprocessing(struct conversion *c) {
    json *p = files_json(c, "preprocessor_config.json");
    if (p == NULL) convert_fail(c, ST_INVALID, "missing file preprocessor_config.json");
    const json *size = json_get(p, "size");
    put_pixels(c, "clip.vision.image_min_pixels", size, "shortest_edge");
    put_pixels(c, "clip.vision.image_max_pixels", size, "longest_edge");
    put_floats(c, "clip.vision.image_mean", json_get(p, "image_mean"));
    put_floats(c, "clip.vision.image_std", json_get(p, "image_std"));
    json_free(p);
}

void put_projector(struct conversion *c, const char *type, const struct key_row *keys) {
    convert_open_projector(c);
    if (convert_failed(c)) return;
    c->target = CONVERT_PROJECTOR;
    put_str(c, "general.architecture", "clip");
    put_str(c, "general.type", "mmproj");
    put_u32(c, "general.file_type", 1);
    put_u32(c, "general.quantization_version", 2);
    put_bool(c, "clip.has_vision_encoder", true);
    put_str(c, "clip.projector_type", type);
    keys_put(c, keys);
    put_preprocessing(c);
    c->target = CONVERT_MODEL;
}

void put_qwen3vl_projector(struct conversion *c) {
    put_projector(c, "qwen3vl_merger", projector_keys);
    if (convert_failed(c)) return;
    c->target = CONVERT_PROJECTOR;
    put_bool(c, "clip.use_gelu", true);
    const uint32_t ff = cfg_u32(c, VISION "intermediate_size"),
                   embd = cfg_u32(c, VISION "hidden_size");
    put_u32(c, "clip.vision.feed_forward_length", ff != 0 ? ff : 4 * embd);
    put_u32(c, "clip.vision.image_size", image_size(c));
    put_deepstack(c);
    c->target = CONVERT_MODEL;
}

/* "v.deepstack.<j>.linear_fc1" of the j-th merger -> "v.deepstack.<its block>.fc1". */
static const char *deepstack_name(struct conversion *c, const char *name) {
    uint32_t num[2];
    int64_t block = 0;
    const bool merger = names_match("v.deepstack_merger.#.*", name, num); /* Qwen 3.5's spelling */
    if (!merger && !names_match("v.deepstack.#.*", name, num)) return name;
    const json *v = json_first(cfg(c, VISION "deepstack_visual_indexes"));
    for (uint32_t i = 0; i < num[0] && v != NULL; i++) v = json_next(v);
    if (!json_int(v, &block))
        convert_fail(c, ST_FORMAT, "%s: deepstack_visual_indexes has no element %u", name, num[0]);
    const char *rest = name + strlen(merger ? "v.deepstack_merger." : "v.deepstack.");
    rest += strcspn(rest, ".");
    return names_replace(c, convert_text(c, "v.deepstack.%lld%s", (long long)block, rest),
                         "linear_", "");
}

RULE(rule_qwen3vl_projector) {
    static const struct rename merger[] = {
        {"v.merger.linear_fc1", "mm.0"},
        {"v.merger.linear_fc2", "mm.2"},
        {"v.merger.norm", "v.post_ln"},
        {"v.patch_embed.", "v.patch_embd."},
        {"v.pos_embed.", "v.position_embd."},
        {"mlp.linear_fc1", "ffn_up"},
        {"mlp.linear_fc2", "ffn_down"},
        {"norm1", "ln1"},
        {"norm2", "ln2"},
        RENAMES_END,
    };
    c->target = CONVERT_PROJECTOR;
    convert_open_projector(c);
    const char *name = deepstack_name(c, names_rename(c, merger, s->name));
    if (!out_frames(c, s, name, convert_text(c, "%s.1", name))) out_keep(c, s, name);
    c->target = CONVERT_MODEL;
}

/* ---- the text model ---- */

static const struct rule rules[] = {
    {"v.*", rule_qwen3vl_projector, NULL},
    {"*ffn_gate_up_exps*", rule_split_cols, NULL},
    {"*ffn_down_exps*", rule_transpose, NULL},
    RULES_END,
};

void put_mrope(struct conversion *c, const char *key, const char *paths) {
    int32_t four[4] = {0};
    int64_t x;
    uint32_t n = 0;
    const json *list = cfg(c, paths);
    for (const json *v = json_first(list); v != NULL && n < 4; v = json_next(v))
        four[n++] = json_int(v, &x) && x >= 0 && x < 65536 ? (int32_t)x : 0;
    if (list != NULL) put_array(c, key, GGUF_I32, 4, four);
}

static void meta(struct conversion *c) {
    if (cfg_num(c, "num_experts") != 0) keys_put(c, expert_keys);
    put_mrope(c, "rope.dimension_sections",
              "rope_scaling.mrope_section|rope_parameters.mrope_section");
    put_u32(c, "n_deepstack_layers", (uint32_t)json_len(cfg(c, VISION "deepstack_visual_indexes")));
    put_qwen3vl_projector(c);
}

const struct arch_table qwen3vl_tables[] = {
    {.classes = "Qwen3VLForConditionalGeneration",
     .arch = "qwen3vl",
     .text_config = true,
     .names = qwen3vl_names,
     .keys = text_keys,
     .rules = rules,
     .meta = meta},
    {.classes = "Qwen3VLMoeForConditionalGeneration",
     .arch = "qwen3vlmoe",
     .text_config = true,
     .names = qwen3vl_names,
     .keys = text_keys,
     .rules = rules,
     .meta = meta},
    {0},
};
