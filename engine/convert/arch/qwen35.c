/* qwen35.c - Qwen 3.5 and Qwen 3 Next (spec/safetensors.md 5.7): three of four layers have a gated
 * delta net in the place of attention.
 *
 * The value heads of a delta net belong to key heads, r of them to each. The hub's files have them
 * grouped by key head (k0v0 k0v1 k1v0 ...), GGUF files tiled (k0v0 k1v0 ... k0v1 ...); see tile().
 * Layers that predict further tokens (mtp.*) become blocks behind the model's own. */
#include <string.h>

#include "engine/convert/arch/tables.h"

static const struct rename qwen35_names[] = {
    NAMES_LM_HEAD,
    NAMES_MODEL,
    NAMES_ATTN,
    NAMES_QK_NORM,
    NAMES_FFN,
    NAMES_SHARED_EXPERT,
    {"model.language_model.embed_tokens", "token_embd"},
    {"model.language_model.norm", "output_norm"},
    {"model.language_model.layers", "blk"},
    {"model.visual", "v"},
    {"patch_embed.proj", "patch_embed"},
    {"blocks", "blk"},
    {"attn.qkv", "attn_qkv"},
    {"attn.proj", "attn_out"},
    {"deepstack_merger_list", "deepstack_merger"},
    {"input_layernorm", "attn_norm"},
    {"post_attention_layernorm", "post_attention_norm"},
    {"linear_attn.in_proj_qkvz", "ssm_in"},
    {"linear_attn.in_proj_ba", "ssm_ba"},
    {"linear_attn.in_proj_qkv", "attn_qkv"},
    {"linear_attn.in_proj_z", "attn_gate"},
    {"linear_attn.in_proj_a", "ssm_alpha"},
    {"linear_attn.in_proj_b", "ssm_beta"},
    {"linear_attn.conv1d", "ssm_conv1d"},
    {"linear_attn.dt_bias", "ssm_dt.bias"},
    {"linear_attn.dt_proj", "ssm_dt"},
    {"linear_attn.A_log", "ssm_a"},
    {"linear_attn.norm", "ssm_norm"},
    {"linear_attn.out_proj", "ssm_out"},
    {"mlp.gate.weight", "ffn_gate_inp.weight"},
    {"mlp.shared_expert_gate", "ffn_gate_inp_shexp"},
    RENAMES_END,
};

static const struct key_row keys[] = {
    {"context_length", K_U32, "max_position_embeddings"},
    {"embedding_length", K_U32, "hidden_size"},
    {"feed_forward_length", K_U32, "intermediate_size"},
    {"attention.head_count", K_U32, "num_attention_heads"},
    {"attention.head_count_kv", K_U32, "num_key_value_heads"},
    KEYS_HEAD_DIM,
    KEYS_RMS,
    {"rope.freq_base", K_F32, "rope_theta|rope_parameters.rope_theta"},
    {"expert_count", K_U32_IF, "num_experts"},
    {"expert_used_count", K_U32_IF, "num_experts_per_tok"},
    {"norm_top_k_prob", K_BOOL_IF, "norm_topk_prob"},
    {"expert_feed_forward_length", K_U32_IF, "moe_intermediate_size"},
    {"expert_shared_feed_forward_length", K_U32_IF, "shared_expert_intermediate_size"},
    {"ssm.state_size", K_U32, "linear_key_head_dim"},
    {"ssm.group_count", K_U32, "linear_num_key_heads"},
    {"ssm.time_step_rank", K_U32, "linear_num_value_heads"},
    {"ssm.conv_kernel", K_U32, "linear_conv_kernel_dim"},
    {"full_attention_interval", K_U32_IF, "full_attention_interval"},
    KEYS_END,
};

#define K_HEADS "linear_num_key_heads"
#define V_HEADS "linear_num_value_heads"
#define ROTARY "partial_rotary_factor|rope_parameters.partial_rotary_factor"

/* ---- preparation ---- */

static void check_config(struct conversion *c) {
    static const char *const needed[][2] = {
        {"num_hidden_layers", "num_hidden_layers"},
        {"num_attention_heads", "num_attention_heads"},
        {"num_key_value_heads", "num_key_value_heads"},
        {"head_dim", "head_dim"},
        {"rope_theta", "rope_theta|rope_parameters.rope_theta"},
        {"linear_num_key_heads", K_HEADS},
        {"linear_num_value_heads", V_HEADS},
        {"linear_key_head_dim", "linear_key_head_dim"},
        {"linear_value_head_dim", "linear_value_head_dim"},
        {"linear_conv_kernel_dim", "linear_conv_kernel_dim"},
    };
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
        if (cfg_num(c, needed[i][1]) == 0)
            convert_fail(c, ST_INVALID, "qwen3next: %s must be set", needed[i][0]);
    const double part = cfg_num(c, ROTARY);
    if (part <= 0 || part > 1)
        convert_fail(c, ST_INVALID, "qwen3next: partial_rotary_factor must be set (0 < it <= 1)");
    const uint32_t hk = cfg_u32(c, K_HEADS), hv = cfg_u32(c, V_HEADS);
    if (!convert_failed(c) && hv % hk != 0)
        convert_fail(c, ST_INVALID, "qwen3next: %u value heads for %u key heads", hv, hk);
    if (cfg_u32(c, "head_dim") > 65536 || cfg_u32(c, "linear_value_head_dim") > 65536 || hv > 65536)
        convert_fail(c, ST_INVALID, "qwen3next: head sizes are too large");
}

/* How many blocks predict further tokens: as the config says, else as there are. */
static uint32_t count_mtp(struct conversion *c) {
    uint32_t n = cfg_u32(c, "num_nextn_predict_layers|mtp_num_hidden_layers"), found = 0, num[2];
    for (size_t i = 0; i < c->n_sources; i++) {
        if (!starts_with(c->sources[i].name, "mtp.")) continue;
        if (found == 0) found = 1;
        if (names_match("mtp.layers.#.*", c->sources[i].name, num) && num[0] >= found &&
            num[0] < 1000)
            found = num[0] + 1;
    }
    return n != 0 ? n : found;
}

static void rename_mtp(struct conversion *c, uint32_t layers) {
    for (size_t i = 0; i < c->n_sources; i++) {
        uint32_t num[2];
        struct source *s = &c->sources[i];
        if (!names_match("mtp.layers.#.*", s->name, num)) continue;
        const char *rest = s->name + strlen("mtp.layers.");
        s->name = convert_text(c, "blk.%u%s", layers + num[0], rest + strcspn(rest, "."));
    }
}

static bool is_next(struct conversion *c) {
    const char *class = json_string(json_first(json_get(c->config, "architectures")));
    return class != NULL && strcmp(class, "Qwen3NextForCausalLM") == 0;
}

static void prepare(struct conversion *c) {
    check_config(c);
    const uint32_t layers = cfg_layers(c);
    if (!is_next(c) && cfg_num(c, "num_experts") != 0) c->arch_name = "qwen35moe";
    c->n_mtp_layers = count_mtp(c);
    if (c->n_mtp_layers > 16) /* each one gets a copy of what they share */
        convert_fail(c, ST_INVALID, "config.json: %u layers of further tokens", c->n_mtp_layers);
    rename_mtp(c, layers);
}

/* ---- keys ---- */

static bool has_tower(const struct conversion *c) {
    for (size_t i = 0; i < c->n_sources; i++)
        if (starts_with(c->sources[i].name, "v.")) return true;
    return false;
}

static void put_rope(struct conversion *c) {
    static const struct key_row sections[] = {
        {"mrope_sections", K_I32S_IF, "rope_parameters.mrope_section|rope_scaling.mrope_section"},
        {"rope.mrope_section", K_I32S_IF,
         "rope_parameters.mrope_section|rope_scaling.mrope_section"},
        KEYS_END,
    };
    const char *type = cfg_str(c, "rope_parameters.rope_type|rope_scaling.rope_type|"
                                  "rope_scaling.type");
    put_u32(c, "rope.dimension_count", (uint32_t)(cfg_u32(c, "head_dim") * cfg_num(c, ROTARY)));
    put_mrope(c, "rope.dimension_sections", sections[0].from);
    if (!has_tower(c)) {
        keys_put(c, sections);
        if (cfg_bool(c, "rope_parameters.mrope_interleaved|rope_scaling.mrope_interleaved"))
            put_bool(c, "rope.mrope_interleaved", true);
    }
    if (*type != '\0' && strcmp(type, "default") != 0) {
        put_str(c, "rope.scaling.type", type);
        put_f32(c, "rope.scaling.factor", cfg_num(c, "rope_parameters.factor|rope_scaling.factor"));
    }
}

static void meta(struct conversion *c) {
    put_u32(c, "block_count", cfg_layers(c) + c->n_mtp_layers);
    if (c->n_mtp_layers != 0) put_u32(c, "nextn_predict_layers", c->n_mtp_layers);
    put_u32(c, "ssm.inner_size", cfg_u32(c, "linear_value_head_dim") * cfg_u32(c, V_HEADS));
    put_rope(c);
    if (!is_next(c) && !has_tower(c)) put_bool(c, "ssm.v_head_reordered", true);
    if (has_tower(c)) put_qwen3vl_projector(c);
}

/* ---- tensors ---- */

/* Value heads along an axis: k*r + j -> j*Hk + k. */
static void tile(struct conversion *c, struct view *v, uint32_t axis) {
    const uint32_t hk = cfg_u32(c, K_HEADS), hv = cfg_u32(c, V_HEADS);
    if (hk == 0) return;
    view_reshape(c, v, axis, hk);
    view_reshape(c, v, axis + 1, hv / hk);
    view_swap(v, axis, axis + 1);
}

static RULE(tile_rows) {
    struct view v = view_of(s);
    tile(c, &v, 0);
    out_of(c, &v, s->name, s->n_dims, s->dim);
}

static RULE(tile_columns) {
    struct view v = view_of(s);
    tile(c, &v, 1);
    out_of(c, &v, s->name, s->n_dims, s->dim);
}

static RULE(tile_a) { /* -exp(A_log) */
    struct view v = view_of(s);
    v.fn = MAP_NEG_EXP;
    tile(c, &v, 0);
    out_of(c, &v, s->name, s->n_dims, s->dim);
}

/* Rows of q and k as they are, then those of v tiled; for the convolution [C, 1, K] -> [C, K]. */
static RULE(tile_qkv) {
    const int64_t qk = 2 * (int64_t)cfg_u32(c, K_HEADS) * cfg_u32(c, "linear_key_head_dim");
    struct view head = view_of(s), tail = head;
    const int64_t rows = head.dim[0], cols = rows != 0 ? s->n_elems / rows : 0;
    view_slice(c, &head, 0, 0, qk, 1);
    view_slice(c, &tail, 0, qk, rows - qk, 1);
    tile(c, &tail, 0);
    struct out *o = out_of(c, &head, s->name, 2, (int64_t[]){rows, cols});
    out_add(c, o, &tail);
}

/* Experts in one tensor: the halves of the rows are gate and up. */
static RULE(experts_gate_up) {
    const struct rule halves = {NULL, NULL,
                                ".mlp.experts.gate_up_proj|.ffn_gate_exps.weight|"
                                ".ffn_up_exps.weight"};
    if (ends_with(s->name, ".weight"))
        s->name = convert_text(c, "%.*s", (int)(strlen(s->name) - 7), s->name);
    rule_split_rows(c, s, &halves, num);
}

/* mtp.fc and its like: in every block of further tokens. */
static RULE(nextn) {
    const enum map_fn fn = strstr(r->arg, "norm") != NULL ? MAP_ADD : MAP_NONE;
    for (uint32_t i = 0; i < c->n_mtp_layers; i++)
        out_mapped(c, s, convert_text(c, "blk.%u.nextn.%s.weight", cfg_layers(c) + i, r->arg), fn,
                   1);
}

/* clang-format off */
#define RULES_MTP                                                                           \
    {"mtp.fc.weight", nextn, "eh_proj"},                                                    \
    {"mtp.pre_fc_norm_embedding.weight", nextn, "enorm"},                                   \
    {"mtp.pre_fc_norm_hidden.weight", nextn, "hnorm"},                                      \
    {"mtp.norm.weight", nextn, "shared_head_norm"},                                         \
    {"mtp.shared_head.norm.weight", nextn, "shared_head_norm"},                             \
    {"mtp.embed_tokens.weight", nextn, "embed_tokens"},                                     \
    {"mtp.shared_head.head.weight", nextn, "shared_head_head"}
#define RULES_REST                                                                          \
    {"*.ssm_norm.weight", rule_keep, NULL},                                                 \
    {"*_norm.weight", rule_add_one, NULL},                                                  \
    {"*.mlp.experts.gate_up_proj*", experts_gate_up, NULL},                                 \
    {"blk.#.mlp.experts.down_proj", rule_rename, "blk.#.ffn_down_exps.weight"},             \
    {"blk.#.mlp.experts.down_proj.weight", rule_rename, "blk.#.ffn_down_exps.weight"},      \
    RULES_EXPERTS
/* clang-format on */

static const struct rule qwen35_rules[] = {
    {"v.*", rule_qwen3vl_projector, NULL},
    RULES_MTP,
    {"*.attn_qkv.weight", tile_qkv, NULL},
    {"*.ssm_conv1d.weight", tile_qkv, NULL},
    {"*.ssm_a", tile_a, NULL},
    {"*.ssm_alpha.weight", tile_rows, NULL},
    {"*.ssm_beta.weight", tile_rows, NULL},
    {"*.ssm_dt.bias", tile_rows, NULL},
    {"*.attn_gate.weight", tile_rows, NULL},
    {"*.ssm_out.weight", tile_columns, NULL},
    RULES_REST,
    RULES_END,
};

/* Qwen 3 Next: ssm_in has for each key head its q, k, then v and z of its r value heads. The output
 * has all q, all k, all v in attn_qkv and all z in attn_gate. */
static RULE(regroup) {
    const uint32_t hk = cfg_u32(c, K_HEADS), hv = cfg_u32(c, V_HEADS);
    const int64_t dk = cfg_u32(c, "linear_key_head_dim");
    const int64_t rv = hk != 0 ? (int64_t)hv / hk * cfg_u32(c, "linear_value_head_dim") : 0;
    const int64_t part[4] = {dk, dk, rv, rv};
    struct out *qkv = NULL;
    int64_t at = 0;
    for (int i = 0; i < 4 && !convert_failed(c); at += part[i++]) {
        struct view v = view_of(s);
        view_reshape(c, &v, 0, hk);
        view_slice(c, &v, 1, at, part[i], 1);
        if (i == 0)
            qkv = out_new(c, s, names_replace(c, s->name, "ssm_in", "attn_qkv"), 2,
                          (int64_t[]){hk * (2 * dk + rv), s->dim[1]});
        if (i < 3)
            out_add(c, qkv, &v);
        else
            out_of(c, &v, names_replace(c, s->name, "ssm_in", "attn_gate"), 2,
                   (int64_t[]){hk * rv, s->dim[1]});
    }
}

static const struct rule next_rules[] = {
    RULES_MTP,
    {"*.ssm_in.weight", regroup, NULL},
    {"*.ssm_conv1d.weight", rule_squeeze, NULL},
    {"*.ssm_a", rule_neg_exp, NULL},
    RULES_REST,
    RULES_END,
};

const struct arch_table qwen35_tables[] = {
    {.classes = "Qwen3_5ForConditionalGeneration|Qwen3_5MoeForConditionalGeneration",
     .arch = "qwen35",
     .text_config = true,
     .names = qwen35_names,
     .keys = keys,
     .rules = qwen35_rules,
     .prepare = prepare,
     .meta = meta,
     .vocab = {.pre = "qwen35"}},
    {.classes = "Qwen3NextForCausalLM",
     .arch = "qwen3next",
     .text_config = true,
     .names = qwen35_names,
     .keys = keys,
     .rules = next_rules,
     .prepare = prepare,
     .meta = meta},
    {0},
};
