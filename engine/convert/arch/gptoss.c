/* gptoss.c - gpt-oss, whose experts are published in MXFP4 (spec/safetensors.md 5.9). They keep
 * their four bits: only the order of codes in a block changes (write.c). */
#include <string.h>

#include "engine/convert/arch/tables.h"

static const struct rename gptoss_names[] = {
    NAMES_LM_HEAD,
    NAMES_MODEL,
    NAMES_ATTN,
    {"input_layernorm", "attn_norm"},
    {"self_attn.sinks", "attn_sinks.weight"},
    {"post_attention_layernorm", "post_attention_norm"},
    {"mlp.router", "ffn_gate_inp"},
    {"mlp.experts.gate_up_proj_", "ffn_gate_up_exps."},
    {"mlp.experts.down_proj_", "ffn_down_exps."},
    RENAMES_END,
};

static const struct rename gptoss_original_names[] = {
    {".blocks", ".blocks"},
    {".scales", ".scales"},
    {"block", "blk"},
    {"attn.norm", "attn_norm"},
    {"attn.qkv", "attn_qkv"},
    {"attn.sinks", "attn_sinks.weight"},
    {"attn.out", "attn_output"},
    {"mlp.norm", "post_attention_norm"},
    {"mlp.gate", "ffn_gate_inp"},
    {"mlp.mlp1_", "ffn_gate_up_exps."},
    {"mlp.mlp2_", "ffn_down_exps."},
    {"embedding", "token_embd"},
    {"norm", "output_norm"},
    {"unembedding", "output"},
    {"scale", "weight"},
    RENAMES_END,
};

static const struct key_row keys[] = {
    KEYS_COMMON,
    {"general.file_type", K_U32, "4"},
    {"expert_feed_forward_length", K_U32, "intermediate_size"},
    {"expert_count", K_U32, "num_experts|num_local_experts"},
    {"expert_used_count", K_U32, "experts_per_token|num_experts_per_tok"},
    KEYS_HEAD_DIM,
    {"attention.layer_norm_rms_epsilon", K_F32, "rms_norm_eps|0.00001"},
    {"attention.sliding_window", K_U32, "sliding_window"},
    {"rope.freq_base", K_F32, "rope_theta"},
    {"rope.scaling.factor", K_F32, "rope_scaling_factor|rope_scaling.factor"},
    {"rope.scaling.original_context_length", K_U32,
     "rope_scaling.original_max_position_embeddings|initial_context_length"},
    {"rope.scaling.yarn_beta_fast", K_F32_IF, "rope_scaling.beta_fast"},
    {"rope.scaling.yarn_beta_slow", K_F32_IF, "rope_scaling.beta_slow"},
    KEYS_END,
};
/* What tokenizer_config.json says about them is not what the model was trained with. */
static const struct key_row token_keys[] = {
    {"tokenizer.ggml.bos_token_id", K_U32, "199998"},
    {"tokenizer.ggml.eos_token_id", K_U32, "199999"},
    KEYS_END,
};

static void meta(struct conversion *c) {
    static const int32_t eos[] = {199999, 200002, 200012};
    const char *type = cfg_str(c, "rope_scaling.rope_type");
    const double context = cfg_num(c, "max_position_embeddings");
    const double stretched =
        cfg_num(c, "rope_scaling_factor") * cfg_num(c, "initial_context_length");
    put_str(c, "rope.scaling.type", *type != '\0' ? type : "yarn");
    if (context == 0 && stretched > 0 && stretched < UINT32_MAX)
        put_u32(c, "context_length", (uint32_t)stretched);
    keys_put(c, token_keys);
    put_array(c, "tokenizer.ggml.eos_token_ids", GGUF_I32, 3, eos);
    put_bool(c, "tokenizer.ggml.add_bos_token", false);
    put_bool(c, "tokenizer.ggml.add_eos_token", false);
}

/* Even entries of the last dimension are gate, odd ones up. */
static RULE(bias) {
    static const char *const to[] = {"gate_exps", "up_exps"};
    for (int i = 0; i < 2 && s->n_dims == 2; i++) {
        struct view v = view_of(s);
        view_slice(c, &v, 1, i, s->dim[1] / 2, 2);
        out_of(c, &v, names_replace(c, s->name, "gate_up_exps", to[i]), 2,
               (int64_t[]){s->dim[0], s->dim[1] / 2});
    }
    if (s->n_dims != 2) convert_fail(c, ST_FORMAT, "tensor '%s' has no two dimensions", s->orig);
}

/* The scales of blocks: same name, other end. */
static const struct source *scales_of(struct conversion *c, const struct source *s) {
    const char *name =
        names_replace(c, s->orig, s->orig + strlen(s->orig) - strlen("blocks"), "scales");
    uint32_t i;
    const struct source *k =
        map_get(&c->source_names, name, strlen(name), &i) ? &c->sources[i] : NULL;
    const bool fits = k != NULL && k->t->dtype == SFT_U8 && k->n_dims == 3 && s->n_dims == 4 &&
                      s->t->dtype == SFT_U8 && s->dim[3] == 16 &&
                      memcmp(k->dim, s->dim, 3 * sizeof *k->dim) == 0;
    if (!fits)
        convert_fail(c, ST_FORMAT, "tensor '%s' is no MXFP4 with a scale for each block", s->orig);
    return fits ? k : NULL;
}

/* [E, rows, blocks, 16 bytes]; every step-th row from `first` on. */
static void put_blocks(struct conversion *c, struct source *s, const char *name, int64_t first,
                       int64_t step) {
    /* The original release has ".weight" in the names already. */
    const char *tail = ends_with(name, ".weight.blocks") ? ".weight.blocks" : ".blocks";
    const struct source *scales = scales_of(c, s);
    if (scales == NULL) return;
    struct view v = view_of(scales); /* a view of blocks: both have one element for each */
    view_slice(c, &v, 1, first, s->dim[1] / step, step);
    v.src = s;
    struct out *o =
        out_new_typed(c, scales, names_replace(c, name, tail, ".weight"), 3,
                      (int64_t[]){s->dim[0], s->dim[1] / step, s->dim[2] * 32}, DT_MXFP4);
    if (o == NULL) return;
    o->scales = scales;
    out_add(c, o, &v);
}

static RULE(blocks) {
    if (strstr(s->name, "gate_up_exps") != NULL) {
        put_blocks(c, s, names_replace(c, s->name, "gate_up", "gate"), 0, 2);
        put_blocks(c, s, names_replace(c, s->name, "gate_up", "up"), 1, 2);
    } else {
        put_blocks(c, s, s->name, 0, 1);
    }
}

static const struct rule rules[] = {
    {"*.blocks", blocks, NULL},
    {"*.scales", rule_drop, NULL},
    {"*gate_up_exps.bias", bias, NULL},
    RULES_END,
};

const struct arch_table gptoss_tables[] = {
    {.classes = "GptOssForCausalLM",
     .arch = "gpt-oss",
     .names = gptoss_names,
     .keys = keys,
     .rules = rules,
     .meta = meta,
     .vocab = {.pre = "gpt-4o"},
     .if_field = "max_position_embeddings"},
    {.classes = "GptOssForCausalLM",
     .arch = "gpt-oss",
     .names = gptoss_original_names,
     .keys = keys,
     .rules = rules,
     .meta = meta,
     .vocab = {.pre = "gpt-4o"}},
    {0},
};
