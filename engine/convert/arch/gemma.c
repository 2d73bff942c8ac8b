/* gemma.c - Gemma 1 to 3 and EmbeddingGemma (spec/safetensors.md 5.3). The models compute norms
 * with 1 + w; the files hold 1 + w. */
#include <string.h>

#include "engine/convert/arch/tables.h"

static const struct rename gemma_names[] = {
    NAMES_MODEL, NAMES_ATTN, NAMES_FFN, NAMES_NORMS, RENAMES_END,
};

static const struct rename gemma2_names[] = {
    NAMES_MODEL, NAMES_ATTN, NAMES_FFN, NAMES_NORMS_4, RENAMES_END,
};

static const struct rename gemma3_names[] = {
    NAMES_LM_HEAD,
    NAMES_MODEL,
    NAMES_ATTN,
    NAMES_QK_NORM,
    NAMES_FFN,
    NAMES_NORMS_4,
    {"language_model.", ""},
    {"vision_tower.vision_model.embeddings", "v"},
    {"vision_tower.vision_model", "v"},
    {"vision_model.vision_model.embeddings", "v"},
    {"vision_model.vision_model", "v"},
    {"encoder.layers", "blk"},
    {"self_attn.out_proj", "attn_output"},
    {"input_projection_weight", "input_projection.weight"},
    {"multi_modal_projector", "mm"},
    RENAMES_END,
};

static const struct rename embedding_names[] = {
    {"embed_tokens.", "token_embd."},
    {"layers.", "blk."},
    NAMES_ATTN,
    NAMES_QK_NORM,
    NAMES_FFN,
    NAMES_NORMS_4,
    RENAMES_END,
};

/* clang-format off */
#define KEYS_FILL_IN                                        \
    {"tokenizer.ggml.eot_token_id", K_U32, "107"},          \
    {"tokenizer.ggml.middle_token_id", K_U32, "68"},        \
    {"tokenizer.ggml.prefix_token_id", K_U32, "67"},        \
    {"tokenizer.ggml.suffix_token_id", K_U32, "69"}
/* clang-format on */

static const struct key_row gemma_keys[] = {KEYS_COMMON, KEYS_RMS, KEYS_HEAD_DIM, KEYS_FILL_IN,
                                            KEYS_END};
static const struct key_row gemma2_keys[] = {
    KEYS_COMMON,
    KEYS_RMS,
    KEYS_HEAD_DIM,
    KEYS_FILL_IN,
    {"attention.sliding_window", K_U32, "sliding_window"},
    {"attn_logit_softcapping", K_F32, "attn_logit_softcapping"},
    {"final_logit_softcapping", K_F32, "final_logit_softcapping"},
    KEYS_END,
};
static const struct key_row gemma3_keys[] = {
    {"block_count", K_U32, "num_hidden_layers"},
    {"context_length", K_U32, "max_position_embeddings"},
    {"embedding_length", K_U32, "hidden_size"},
    {"feed_forward_length", K_U32, "intermediate_size"},
    KEYS_RMS,
    KEYS_HEAD_DIM,
    {"attention.sliding_window", K_U32, "sliding_window"},
    {"final_logit_softcapping", K_F32_IF, "final_logit_softcapping"},
    {"rope.local.freq_base", K_F32, "rope_local_base_freq|10000"},
    {"rope.freq_base", K_F32, "rope_theta|1000000"},
    {"mm.tokens_per_image", K_U32_IF, "@mm_tokens_per_image"},
    KEYS_END,
};
static const struct key_row gemma3_vision_keys[] = {
    {"block_count", K_U32, "@num_hidden_layers|num_hidden_layers"},
    {"context_length", K_U32, "@max_position_embeddings|max_position_embeddings|131072"},
    {"embedding_length", K_U32, "hidden_size"},
    {"feed_forward_length", K_U32, "intermediate_size"},
    {"attention.layer_norm_rms_epsilon", K_F32_IF, "rms_norm_eps|@rms_norm_eps"},
    {"attention.key_length", K_U32, "head_dim|256"},
    {"attention.value_length", K_U32, "head_dim|256"},
    {"attention.sliding_window", K_U32, "sliding_window"},
    {"final_logit_softcapping", K_F32_IF, "final_logit_softcapping"},
    {"rope.local.freq_base", K_F32_IF, "rope_local_base_freq"},
    {"rope.freq_base", K_F32_IF, "rope_theta"},
    KEYS_TOWER("vision.", K_U32, VISION),
    {"vision.image_size", K_U32, VISION "image_size"},
    {"vision.patch_size", K_U32, VISION "patch_size"},
    {"vision.num_channels", K_U32, VISION "num_channels|3"},
    {"vision.attention.layer_norm_epsilon", K_F32, VISION "layer_norm_eps|0.000001"},
    {"mm.tokens_per_image", K_U32_IF, "@mm_tokens_per_image"},
    KEYS_END,
};
static const struct key_row embedding_keys[] = {
    {"block_count", K_U32, "num_hidden_layers"},
    {"context_length", K_U32, "max_position_embeddings|2048"},
    {"embedding_length", K_U32, "hidden_size"},
    {"feed_forward_length", K_U32, "intermediate_size"},
    {"attention.head_count", K_U32, "num_attention_heads"},
    {"attention.head_count_kv", K_U32, "num_key_value_heads"},
    {"attention.layer_norm_rms_epsilon", K_F32, "rms_norm_eps|0.000001"},
    KEYS_HEAD_DIM,
    {"attention.sliding_window", K_U32, "sliding_window"},
    {"rope.freq_base", K_F32, "rope_theta|1000000"},
    {"rope.freq_base_swa", K_F32, "rope_local_base_freq|10000"},
    KEYS_END,
};

/* The matrix may have more rows than there are tokens. */
static RULE(cut_to_tokens) {
    int64_t dim[SFT_MAX_DIMS];
    struct view v = view_of(s);
    memcpy(dim, s->dim, sizeof dim);
    if (s->n_dims == 2 && dim[0] > (int64_t)c->n_tokens) {
        dim[0] = c->n_tokens;
        view_slice(c, &v, 0, 0, dim[0], 1);
    }
    out_of(c, &v, s->name, s->n_dims, dim);
}

static const struct rule gemma_rules[] = {
    {"v.*", rule_keep, NULL},
    {"*_norm.weight", rule_add_one, NULL},
    RULES_END,
};
static const struct rule gemma3_rules[] = {
    {"v.*", rule_keep, NULL},
    {"*_norm.weight", rule_add_one, NULL},
    {"token_embd.weight", cut_to_tokens, NULL},
    RULES_END,
};

static RULE(norm_as_output) {
    s->name = "output_norm.weight";
    rule_add_one(c, s, r, num);
}
static const struct rule embedding_rules[] = {
    {"norm.weight", norm_as_output, NULL},
    {"*_norm.weight", rule_add_one, NULL},
    RULES_END,
};

/* The published configurations leave out what the sizes imply. */
static void put_heads(struct conversion *c) {
    static const uint32_t known[][3] = {{34, 8, 4}, {48, 16, 8}, {62, 32, 16}};
    const uint32_t layers = cfg_layers(c);
    uint32_t heads = cfg_u32(c, "num_attention_heads|@num_attention_heads"),
             kv = cfg_u32(c, "num_key_value_heads|@num_key_value_heads");
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (known[i][0] != layers) continue;
        if (heads == 0) heads = known[i][1];
        if (kv == 0) kv = known[i][2];
    }
    put_u32(c, "attention.head_count", heads);
    put_u32(c, "attention.head_count_kv", kv);
}

static void put_yarn(struct conversion *c) {
    static const struct key_row rows[] = {
        {"rope.scaling.type", K_STR, "rope_scaling.rope_type"},
        {"rope.scaling.factor", K_F32, "rope_scaling.factor"},
        {"rope.scaling.original_context_length", K_U32,
         "rope_scaling.original_max_position_embeddings"},
        {"rope.scaling.extrapolation_factor", K_F32, "rope_scaling.extrapolation_factor|1"},
        {"rope.scaling.beta_fast", K_F32, "rope_scaling.beta_fast|64"},
        {"rope.scaling.beta_slow", K_F32, "rope_scaling.beta_slow|1"},
        KEYS_END,
    };
    if (strcmp(cfg_str(c, "rope_scaling.rope_type"), "yarn") == 0 &&
        cfg_num(c, "rope_scaling.factor") > 0)
        keys_put(c, rows);
}

static void gemma3_meta(struct conversion *c) {
    const uint32_t layers = cfg_layers(c), period = cfg_u32(c, "sliding_window_pattern");
    put_heads(c);
    put_yarn(c);
    if (cfg(c, "layer_types") != NULL) {
        put_layer_types(c);
    } else if (period != 0) {
        bool *local = convert_zalloc(c, layers, sizeof *local);
        for (uint32_t i = 0; local != NULL && i < layers; i++) local[i] = (i + 1) % period != 0;
        if (local != NULL)
            put_array(c, "attention.sliding_window_pattern", GGUF_BOOL, layers, local);
    }
}

/* The two linear layers behind the pooling of sentence-transformers. */
static void embedding_dense(struct conversion *c) {
    for (int i = 2; i <= 3; i++) {
        json *config = files_json(c, convert_text(c, "%d_Dense/config.json", i));
        int64_t in = 0, out = 0;
        if (config == NULL) convert_fail(c, ST_INVALID, "missing file %d_Dense/config.json", i);
        if (!json_int(json_get(config, "in_features"), &in) ||
            !json_int(json_get(config, "out_features"), &out) || in < 0 || out < 0 ||
            in > INT32_MAX || out > INT32_MAX)
            convert_fail(c, ST_FORMAT, "%d_Dense/config.json: no in_features and out_features", i);
        json_free(config);
        put_u32(c, convert_text(c, "dense_%d_feat_in", i), (uint32_t)in);
        put_u32(c, convert_text(c, "dense_%d_feat_out", i), (uint32_t)out);
        struct source *s =
            sources_open_one(c, convert_text(c, "%d_Dense/model.safetensors", i), "linear.weight");
        if (s != NULL) out_keep(c, s, convert_text(c, "dense_%d.weight", i));
    }
}

static void embedding_meta(struct conversion *c) { put_u32(c, "pooling_type", pooling_type(c, 1)); }

const struct arch_table gemma_tables[] = {
    {.classes = "GemmaForCausalLM",
     .arch = "gemma",
     .names = gemma_names,
     .keys = gemma_keys,
     .rules = gemma_rules},
    {.classes = "Gemma2ForCausalLM",
     .arch = "gemma2",
     .names = gemma2_names,
     .keys = gemma2_keys,
     .rules = gemma_rules},
    {.classes = "Gemma3ForCausalLM",
     .arch = "gemma3",
     .text_config = true,
     .names = gemma3_names,
     .keys = gemma3_keys,
     .rules = gemma3_rules,
     .meta = gemma3_meta},
    {.classes = "Gemma3ForConditionalGeneration",
     .arch = "gemma3",
     .text_config = true,
     .names = gemma3_names,
     .keys = gemma3_vision_keys,
     .rules = gemma3_rules,
     .meta = gemma3_meta},
    {.classes = "Gemma3TextModel",
     .arch = "gemma-embedding",
     .names = embedding_names,
     .keys = embedding_keys,
     .rules = embedding_rules,
     .meta = embedding_meta,
     .tensors = embedding_dense,
     .vocab = {.cut = true}},
    {0},
};
