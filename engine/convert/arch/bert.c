/* bert.c - BERT and nomic-bert with what sentence-transformers adds (spec/safetensors.md 5.8). */
#include <string.h>

#include "engine/convert/arch/tables.h"

static const struct rename bert_names[] = {
    {"encoder.layer", "blk"},
    {"encoder.layers", "blk"},
    {"embeddings.word_embeddings", "token_embd"},
    {"embeddings.token_type_embeddings", "token_types"},
    {"embeddings.LayerNorm", "token_embd_norm"},
    {"embeddings.position_embeddings", "position_embd"},
    {"attention.self.query", "attn_q"},
    {"attention.self.key", "attn_k"},
    {"attention.self.value", "attn_v"},
    {"attention.output.dense", "attn_output"},
    {"attention.output.LayerNorm", "attn_output_norm"},
    {"intermediate.dense", "ffn_up"},
    {"output.dense", "ffn_down"},
    {"output.LayerNorm", "layer_output_norm"},
    RENAMES_END,
};

static const struct rename nomic_names[] = {
    {"encoder.layer", "blk"},
    {"encoder.layers", "blk"},
    {"embeddings.word_embeddings", "token_embd"},
    {"embeddings.token_type_embeddings", "token_types"},
    {"embeddings.LayerNorm", "token_embd_norm"},
    {"attention.self.qkv", "attn_qkv"},
    {"attention.output.dense", "attn_output"},
    {"attention.output.LayerNorm", "attn_output_norm"},
    {"mlp.up", "ffn_up"},
    {"mlp.down", "ffn_down"},
    {"mlp.router", "ffn_gate_inp"},
    {"mlp.experts.up", "ffn_up_exps"},
    {"mlp.experts.down", "ffn_down_exps"},
    {"intermediate.dense", "ffn_up"},
    {"output.dense", "ffn_down"},
    {"output.LayerNorm", "layer_output_norm"},
    RENAMES_END,
};

/* clang-format off */
#define KEYS_BERT                                                                                 \
    {"block_count", K_U32, "n_layers|num_hidden_layers|n_layer"},                                 \
    {"context_length", K_U32_IF, "max_position_embeddings|n_ctx|n_positions"},                    \
    {"embedding_length", K_U32_IF, "hidden_size|n_embd"},                                         \
    {"feed_forward_length", K_U32_IF, "intermediate_size|n_inner"},                               \
    {"attention.head_count", K_U32_IF, "num_attention_heads|n_head"},                             \
    {"attention.layer_norm_epsilon", K_F32_IF, "layer_norm_eps|layer_norm_epsilon|norm_epsilon"}, \
    {"tokenizer.ggml.token_type_count", K_U32, "2"}
/* clang-format on */

static const struct key_row bert_keys[] = {KEYS_BERT, KEYS_END};
static const struct key_row nomic_keys[] = {
    KEYS_BERT,
    {"attention.head_count_kv", K_U32_IF, "num_key_value_heads"},
    {"rope.freq_base", K_F32_IF, "rope_theta|rotary_emb_base"},
    {"expert_count", K_U32_IF, "num_local_experts|num_experts"},
    {"expert_used_count", K_U32_IF, "num_experts_per_tok|moe_top_k"},
    {"moe_every_n_layers", K_U32_IF, "moe_every_n_layers"},
    KEYS_END,
};

static const struct rule rules[] = {
    {"embeddings.position_ids", rule_drop, NULL},
    {"pooler.dense.weight", rule_drop, NULL},
    {"pooler.dense.bias", rule_drop, NULL},
    RULES_END,
};

/* ---- modules.json of sentence-transformers ---- */

static bool true_at(const json *object, const char *key) {
    bool b = false;
    return json_bool(json_get(object, key), &b) && b;
}

/* 1: mean of all tokens, 2: the first token, 0: none. */
static uint32_t read_pooling(struct conversion *c, const char *folder) {
    json *p = files_json(c, convert_text(c, "%s/config.json", folder));
    const uint32_t type = true_at(p, "pooling_mode_mean_tokens") ? 1
                          : true_at(p, "pooling_mode_cls_token") ? 2
                                                                 : 0;
    if (p == NULL) convert_fail(c, ST_INVALID, "missing file %s/config.json", folder);
    json_free(p);
    return type;
}

static uint32_t read_modules(struct conversion *c, uint32_t pooling, bool *normalize) {
    json *modules = files_json(c, "modules.json");
    *normalize = false;
    for (const json *m = json_first(modules); m != NULL; m = json_next(m)) {
        const char *type = json_string(json_get(m, "type")),
                   *path = json_string(json_get(m, "path"));
        if (type == NULL) continue;
        if (strcmp(type, "sentence_transformers.models.Pooling") == 0 && path != NULL)
            pooling = read_pooling(c, path);
        if (ends_with(type, "Normalize")) *normalize = true;
    }
    json_free(modules);
    return pooling;
}

uint32_t pooling_type(struct conversion *c, uint32_t fallback) {
    bool normalize;
    return read_modules(c, fallback, &normalize);
}

static void meta(struct conversion *c) {
    bool normalize;
    const uint32_t pooling = read_modules(c, 1, &normalize);
    put_bool(c, "attention.causal", false);
    put_u32(c, "pooling_type", pooling);
    put_bool(c, "normalize_embeddings", normalize);
}

static void nomic_prepare(struct conversion *c) {
    if (cfg_num(c, "moe_every_n_layers") > 0) c->arch_name = "nomic-bert-moe";
}

const struct arch_table bert_tables[] = {
    {.classes = "BertModel",
     .arch = "bert",
     .names = bert_names,
     .keys = bert_keys,
     .rules = rules,
     .meta = meta,
     .vocab = {.model = "bert", .words = true}},
    {.classes = "NomicBertModel|NomicBertMoEModel",
     .arch = "nomic-bert",
     .names = nomic_names,
     .keys = nomic_keys,
     .rules = rules,
     .prepare = nomic_prepare,
     .meta = meta,
     .vocab = {.model = "bert", .words = true}},
    {0},
};
