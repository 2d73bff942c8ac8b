/* legacy.c - the rules of legacy.h: for each old layout how it is told apart, a list of edits
 * (engine/layout.h), and where a list is not enough a function. Tensors of the image half of a file
 * ("v.", "mm.", ...) need no rule here, since what no table names is not looked at; who wants them
 * finds their rules in engine/vision/combined.c, those of "mtp." in engine/legacy_mtp.c. */
#include "engine/legacy.h"

#include <stdio.h>
#include <string.h>

#include "base/base64.h"
#include "engine/file/gguf_edit.h"
#include "engine/layout.h"

/* ---- looking at a file ------------------------------------------------------------------------
 */

static bool has_images(const struct gguf *g) {
    return layout_has_tensors(g, "v.") || layout_has_tensors(g, "mm.");
}

static bool pre_is_unset(const struct gguf *g) {
    static const char key[] = "tokenizer.ggml.pre";
    return gguf_find(g, key) == NULL || layout_text_is(g, key, "") ||
           layout_text_is(g, key, "default");
}

static bool token_is(const struct gguf *g, uint64_t id, const char *want) {
    const struct gguf_kv *kv = gguf_find(g, "tokenizer.ggml.tokens");
    if (kv == NULL || kv->type != GGUF_ARRAY || kv->elem != GGUF_STRING || id >= kv->count)
        return false;
    const struct gguf_str s = gguf_elem_str(g, kv, id);
    return s.len == strlen(want) && memcmp(s.ptr, want, s.len) == 0;
}

static bool template_has(const struct gguf *g, const char *what) {
    struct gguf_str s;
    const size_t n = strlen(what);
    if (gguf_get_str(g, "tokenizer.chat_template", &s, NULL) != ST_OK) return false;
    for (size_t i = 0; i + n <= s.len; i++)
        if (memcmp(s.ptr + i, what, n) == 0) return true;
    return false;
}

/* ---- gemma ------------------------------------------------------------------------------------
 */

static void shorten_vocab(struct gguf *g, int64_t n) {
    if (n <= 0) return;
    gguf_edit_shorten(g, "tokenizer.ggml.tokens", (uint64_t)n);
    gguf_edit_shorten(g, "tokenizer.ggml.scores", (uint64_t)n);
    gguf_edit_shorten(g, "tokenizer.ggml.token_type", (uint64_t)n);
}

static bool is_old_gemma3(const struct gguf *g) {
    static const char *const keys[] = {"mm.tokens_per_image",
                                       "rope.global.freq_base",
                                       "rope.local.freq_base",
                                       "tokenizer.ggml.add_padding_token",
                                       "tokenizer.ggml.add_unknown_token",
                                       NULL};
    if (gguf_find_tensor(g, "dense.0.weight") != NULL) return false; /* an embedding model */
    for (const char *const *k = keys; *k != NULL; k++)
        if (layout_has(g, "gemma3", *k)) return true;
    return has_images(g) || !layout_has(g, "gemma3", "attention.layer_norm_rms_epsilon");
}
static const struct edit gemma3_edits[] = {
    {EDIT_COPY, "rope.freq_base", "rope.global.freq_base", 0},
    {EDIT_COPY, "rope.freq_base_swa", "rope.local.freq_base", 0},
    {EDIT_F32, "attention.layer_norm_rms_epsilon", NULL, 1e-6},
    {EDIT_F32, "rope.freq_base", NULL, 1e6},
    {EDIT_F32, "rope.freq_base_swa", NULL, 1e4},
    {0},
};
static const struct edit gemma3_long_edits[] = {
    {EDIT_STR, "rope.scaling.type", "linear", 0},
    {EDIT_F32, "rope.scaling.factor", NULL, 8},
    {0},
};
static enum status more_gemma3(struct gguf *g, struct err *e) {
    shorten_vocab(g, layout_rows(g, "token_embd.weight"));
    if (layout_number(g, "gemma3", "context_length") < 131072) return ST_OK;
    return layout_edit(g, "gemma3", gemma3_long_edits, e);
}

static bool is_old_embedding(const struct gguf *g) {
    return gguf_find_tensor(g, "dense.0.weight") != NULL;
}
static const struct edit embedding_edits[] = {
    {EDIT_ARCH, NULL, "gemma-embedding", 0},
    {EDIT_F32, "rope.freq_base_swa", NULL, 1e4},
    {EDIT_TENSOR, "dense.0", "dense_2", 0},
    {EDIT_TENSOR, "dense.1", "dense_3", 0},
    {0},
};
static enum status more_embedding(struct gguf *g, struct err *e) {
    static const char *const dense[] = {"dense_2", "dense_3"};
    enum status st = gguf_edit_drop(g, "gemma-embedding.attention.causal", e);
    if (st == ST_OK) st = gguf_edit_drop(g, "gemma-embedding.attention.sliding_window_pattern", e);
    if (st == ST_OK) st = gguf_edit_tensor_name(g, "norm.weight", "output_norm.weight", e);
    for (int i = 0; st == ST_OK && i < 2; i++) {
        char name[LAYOUT_KEY_SIZE], in[LAYOUT_KEY_SIZE], out[LAYOUT_KEY_SIZE];
        snprintf(name, sizeof name, "%s.weight", dense[i]);
        snprintf(in, sizeof in, "gemma-embedding.%s_feat_in", dense[i]);
        snprintf(out, sizeof out, "gemma-embedding.%s_feat_out", dense[i]);
        const struct gguf_tensor *t = gguf_find_tensor(g, name);
        if (t == NULL || t->dim[0] > UINT32_MAX || t->dim[1] > UINT32_MAX) continue;
        st = gguf_edit_u32(g, in, (uint32_t)t->dim[0], e);
        if (st == ST_OK) st = gguf_edit_u32(g, out, (uint32_t)t->dim[1], e);
    }
    return st;
}

static bool is_old_gemma3n(const struct gguf *g) {
    const int64_t rows = layout_rows(g, "per_layer_token_embd.weight");
    return rows != 0 && rows != layout_rows(g, "token_embd.weight");
}
static const struct edit gemma3n_edits[] = {
    {EDIT_SET_STR, "tokenizer.ggml.model", "llama", 0},
    {0},
};
/* Bytes are bytes (6), and unused tokens are ordinary ones (1). */
static int32_t gemma3n_type(const struct gguf *g, uint64_t i, int64_t old) {
    const struct gguf_kv *tokens = gguf_find(g, "tokenizer.ggml.tokens");
    if (tokens == NULL || tokens->elem != GGUF_STRING || i >= tokens->count) return (int32_t)old;
    const struct gguf_str s = gguf_elem_str(g, tokens, i);
    if (s.len == 6 && memcmp(s.ptr, "<0x", 3) == 0 && s.ptr[5] == '>') return 6;
    return s.len >= 7 && memcmp(s.ptr, "<unused", 7) == 0 ? 1 : (int32_t)old;
}

/* The end of a turn is an end of the text. */
static enum status more_gemma3n(struct gguf *g, struct err *e) {
    static const char key[] = "tokenizer.ggml.eos_token_ids";
    const int64_t rows = layout_rows(g, "per_layer_token_embd.weight");
    int32_t ids[16] = {1, 106};
    size_t n = 2;
    shorten_vocab(g, rows);
    gguf_edit_rows(g, "token_embd.weight", rows);
    enum status st = gguf_edit_each(g, "tokenizer.ggml.token_type", gemma3n_type, e);
    if (st != ST_OK) return st;
    const struct gguf_kv *kv = gguf_find(g, key);
    if (kv != NULL && kv->type == GGUF_ARRAY && gguf_is_int(kv->elem) && kv->count < 15) {
        for (n = 0; n < kv->count; n++) {
            ids[n] = (int32_t)gguf_elem_int(kv, n);
            if (ids[n] == 106) return ST_OK;
        }
        ids[n++] = 106;
    }
    return gguf_edit_i32s(g, key, ids, n, e);
}

static bool is_old_gemma4(const struct gguf *g) {
    return has_images(g) || layout_has_tensors(g, "a.") ||
           layout_text_is(g, "tokenizer.ggml.model", "llama");
}
static const struct edit gemma4_edits[] = {
    {EDIT_TENSOR, "ffn_gate_inp.per_expert_scale", "ffn_down_exps.scale", 0},
    {0},
};
/* Its vocabulary is made of merges, whatever the file calls it. */
static enum status more_gemma4(struct gguf *g, struct err *e) {
    if (gguf_find(g, "tokenizer.ggml.merges") == NULL ||
        !layout_text_is(g, "tokenizer.ggml.model", "llama"))
        return ST_OK;
    return gguf_edit_str(g, "tokenizer.ggml.model", "gemma4", e);
}

/* ---- llama and mistral ------------------------------------------------------------------------
 */

static bool is_old_llama(const struct gguf *g) {
    if (!token_is(g, 128009, "<|eot_id|>")) return false;
    if (!token_is(g, 128006, "<|start_header_id|>") && !template_has(g, "<|start_header_id|>") &&
        !template_has(g, "<|eot_id|>"))
        return false;
    return pre_is_unset(g) || layout_number(g, "", "tokenizer.ggml.eos_token_id") == 128001;
}
static enum status more_llama(struct gguf *g, struct err *e) {
    static const char *const keys[] = {"tokenizer.ggml.eos_token_id",
                                       "tokenizer.ggml.eot_token_id"};
    static const int32_t eot = 128009;
    enum status st = ST_OK;
    if (pre_is_unset(g)) st = gguf_edit_str(g, "tokenizer.ggml.pre", "llama-bpe", e);
    for (int i = 0; st == ST_OK && i < 2; i++)
        if (gguf_find(g, keys[i]) == NULL || layout_number(g, "", keys[i]) == 128001)
            st = gguf_edit_u32(g, keys[i], (uint32_t)eot, e);
    if (st != ST_OK) return st;
    return gguf_edit_i32s(g, "tokenizer.ggml.eos_token_ids", &eot, 1, e);
}

static bool is_old_mistral3(const struct gguf *g) {
    return has_images(g) || layout_has(g, "mistral3", "rope.scaling.beta_fast") ||
           layout_has(g, "mistral3", "rope.scaling.mscale_all_dim") ||
           layout_has(g, "mistral3", "mscale_all_dim") ||
           layout_has(g, "mistral3", "rope.scaling_beta");
}
static const struct edit mistral3_edits[] = {
    {EDIT_COPY, "rope.scaling.yarn_beta_fast", "rope.scaling.beta_fast", 0},
    {EDIT_COPY, "rope.scaling.yarn_beta_slow", "rope.scaling.beta_slow", 0},
    {EDIT_COPY, "rope.scaling.yarn_log_multiplier", "mscale_all_dim", 0},
    {EDIT_COPY, "rope.scaling.yarn_log_multiplier", "rope.scaling.mscale_all_dim", 0},
    {EDIT_COPY, "attention.temperature_scale", "rope.scaling_beta", 0},
    {0},
};
static enum status more_mistral3(struct gguf *g, struct err *e) {
    return pre_is_unset(g) ? gguf_edit_str(g, "tokenizer.ggml.pre", "tekken", e) : ST_OK;
}

/* ---- gpt-oss, olmo, qwen, glm -----------------------------------------------------------------
 */

static const struct edit gptoss_edits[] = {
    {EDIT_ARCH, NULL, "gpt-oss", 0},
    {EDIT_STR, "rope.scaling.type", "yarn", 0},
    {EDIT_SET_STR, "tokenizer.ggml.pre", "gpt-4o", 0},
    {EDIT_TENSOR, ".attn_out.", ".attn_output.", 0},
    {EDIT_TENSOR, ".ffn_norm", ".post_attention_norm", 0},
    {0},
};
/* Sinks had no suffix. */
static enum status more_gptoss(struct gguf *g, struct err *e) {
    enum status st = ST_OK;
    if (gguf_find_tensor(g, "blk.0.attn_sinks") != NULL)
        st = gguf_edit_tensor_names(g, ".attn_sinks", ".attn_sinks.weight", e);
    const int64_t rows = layout_rows(g, "blk.0.ffn_gate_exps.weight");
    if (st == ST_OK && rows > 0 && !layout_has(g, "gpt-oss", "expert_feed_forward_length"))
        st = gguf_edit_u32(g, "gpt-oss.expert_feed_forward_length", (uint32_t)rows, e);
    return st;
}

static const struct edit olmo3_edits[] = {{EDIT_ARCH, NULL, "olmo2", 0}, {0}};

/* Sections [a, b, c] become [a, b, c, 0]. */
static enum status copy_sections(struct gguf *g, const char *to, const char *from, struct err *e) {
    const struct gguf_kv *kv = gguf_find(g, from);
    int32_t s[4] = {0};
    if (kv == NULL || kv->type != GGUF_ARRAY || !gguf_is_int(kv->elem) || kv->count > 4)
        return ST_OK;
    for (uint64_t i = 0; i < kv->count; i++) s[i] = (int32_t)gguf_elem_int(kv, i);
    return gguf_edit_i32s(g, to, s, 4, e);
}
static const struct edit qwen25vl_edits[] = {{EDIT_ARCH, NULL, "qwen2vl", 0}, {0}};
static enum status more_qwen25vl(struct gguf *g, struct err *e) {
    return copy_sections(g, "qwen2vl.rope.dimension_sections", "qwen2vl.rope.mrope_section", e);
}

static enum status more_qwen3vl_of(struct gguf *g, const char *arch, struct err *e) {
    static const int32_t sections[] = {24, 20, 20, 0};
    char key[LAYOUT_KEY_SIZE];
    if (layout_has(g, arch, "rope.dimension_sections")) return ST_OK;
    enum status st =
        gguf_edit_i32s(g, layout_key(arch, "rope.dimension_sections", key), sections, 4, e);
    const struct gguf_kv *kv =
        gguf_find(g, layout_key(arch, "vision.deepstack_visual_indexes", key));
    if (st != ST_OK || kv == NULL || layout_has(g, arch, "n_deepstack_layers")) return st;
    const uint32_t n = kv->count < 512 ? (uint32_t)kv->count : 512;
    return gguf_edit_u32(g, layout_key(arch, "n_deepstack_layers", key), n, e);
}
static enum status more_qwen3vl(struct gguf *g, struct err *e) {
    return more_qwen3vl_of(g, "qwen3vl", e);
}
static enum status more_qwen3vlmoe(struct gguf *g, struct err *e) {
    return more_qwen3vl_of(g, "qwen3vlmoe", e);
}

/* Which layers have keys and values follows from the interval; their number is one for all. */
static enum status one_head_count(struct gguf *g, const char *arch, struct err *e) {
    char key[LAYOUT_KEY_SIZE];
    const struct gguf_kv *kv = gguf_find(g, layout_key(arch, "attention.head_count_kv", key));
    int64_t most = 0;
    if (kv == NULL || kv->type != GGUF_ARRAY || !gguf_is_int(kv->elem)) return ST_OK;
    for (uint64_t i = 0; i < kv->count; i++) {
        const int64_t n = gguf_elem_int(kv, i);
        if (n > most) most = n;
    }
    return gguf_edit_u32(g, key, most == 0 ? 2 : most <= UINT32_MAX ? (uint32_t)most : 0, e);
}

static bool has_tensor_ending(const struct gguf *g, const char *end) {
    for (size_t i = 0; i < gguf_n_tensors(g); i++)
        if (gguf_str_ends(gguf_tensor_at(g, i)->name, end)) return true;
    return false;
}

static enum status name_dt_biases(struct gguf *g, struct err *e) {
    enum status st = ST_OK;
    for (size_t i = 0; st == ST_OK && i < gguf_n_tensors(g); i++) {
        const struct gguf_str s = gguf_tensor_at(g, i)->name;
        char from[LAYOUT_KEY_SIZE], to[LAYOUT_KEY_SIZE];
        if (!gguf_str_ends(s, ".ssm_dt")) continue;
        snprintf(from, sizeof from, "%.*s", (int)s.len, s.ptr);
        snprintf(to, sizeof to, "%.*s.bias", (int)s.len, s.ptr);
        st = gguf_edit_tensor_name(g, from, to, e);
    }
    return st;
}

static bool is_old_qwen35_of(const struct gguf *g, const char *arch) {
    static const char *const keys[] = {"vision.block_count", "image_token_id",
                                       "ssm.v_head_reordered", "rope.mrope_interleaved"};
    for (int i = 0; i < 4; i++)
        if (layout_has(g, arch, keys[i])) return true;
    return layout_has_tensors(g, "mtp.") || layout_has_tensors(g, "v.");
}
static bool is_old_qwen35(const struct gguf *g) { return is_old_qwen35_of(g, "qwen35"); }
static bool is_old_qwen35moe(const struct gguf *g) {
    return is_old_qwen35_of(g, "qwen35moe") || layout_has(g, "qwen35moe", "feed_forward_length");
}
static enum status more_qwen35_of(struct gguf *g, const char *arch, struct err *e) {
    char key[LAYOUT_KEY_SIZE];
    layout_key(arch, "rope.dimension_sections", key);
    enum status st = one_head_count(g, arch, e);
    if (st == ST_OK) st = name_dt_biases(g, e);
    return st == ST_OK ? copy_sections(g, key, key, e) : st;
}
static enum status more_qwen35(struct gguf *g, struct err *e) {
    return more_qwen35_of(g, "qwen35", e);
}
static enum status more_qwen35moe(struct gguf *g, struct err *e) {
    return more_qwen35_of(g, "qwen35moe", e);
}

static bool is_old_qwen3next(const struct gguf *g) { return has_tensor_ending(g, ".ssm_dt"); }
static enum status more_qwen3next(struct gguf *g, struct err *e) {
    const enum status st = one_head_count(g, "qwen3next", e);
    return st == ST_OK ? name_dt_biases(g, e) : st;
}

static bool is_old_lfm2(const struct gguf *g) {
    return gguf_find_tensor(g, "output_norm.weight") != NULL &&
           gguf_find_tensor(g, "token_embd_norm.weight") == NULL;
}
static enum status more_lfm2(struct gguf *g, struct err *e) {
    const int64_t rows = layout_rows(g, "blk.0.ffn_gate.weight");
    enum status st = gguf_edit_tensor_name(g, "output_norm.weight", "token_embd_norm.weight", e);
    if (st == ST_OK) st = gguf_edit_str(g, "tokenizer.ggml.pre", "lfm2", e);
    if (st != ST_OK || rows < 1 || rows > UINT32_MAX) return st;
    return gguf_edit_u32(g, "lfm2.feed_forward_length", (uint32_t)rows, e);
}

static const struct edit glm4moelite_edits[] = {
    {EDIT_ARCH, NULL, "deepseek2", 0},
    {EDIT_COPY, "attention.key_length_mla", "attention.key_length", 0},
    {EDIT_COPY, "attention.value_length_mla", "attention.key_length", 0},
    {EDIT_COPY, "attention.value_length", "attention.kv_lora_rank", 0},
    {EDIT_U32, "expert_group_count", NULL, 1},
    {EDIT_U32, "expert_group_used_count", NULL, 1},
    {EDIT_SET_STR, "tokenizer.ggml.pre", "glm4", 0},
    {0},
};
static enum status more_glm4moelite(struct gguf *g, struct err *e) {
    static const char *const keys[] = {NULL, "tokenizer.ggml.eot_token_id",
                                       "tokenizer.ggml.eom_token_id"};
    const uint64_t dim = (uint64_t)layout_number(g, "deepseek2", "attention.kv_lora_rank") +
                         layout_number(g, "deepseek2", "rope.dimension_count");
    enum status st = gguf_edit_u32(g, "deepseek2.attention.head_count_kv", 1, e);
    if (st == ST_OK)
        st = gguf_edit_u32(g, "deepseek2.attention.key_length",
                           dim <= UINT32_MAX ? (uint32_t)dim : UINT32_MAX, e);
    for (uint64_t i = 1; st == ST_OK && i < 3; i++) {
        const struct gguf_kv *kv = gguf_find(g, "tokenizer.ggml.eos_token_ids");
        if (kv == NULL || kv->type != GGUF_ARRAY || !gguf_is_int(kv->elem) || i >= kv->count) break;
        if (gguf_find(g, keys[i]) == NULL)
            st = gguf_edit_u32(g, keys[i], (uint32_t)gguf_elem_int(kv, i), e);
    }
    return st;
}

static const struct edit glmocr_edits[] = {
    {EDIT_ARCH, NULL, "glm4", 0},
    {EDIT_SET_STR, "tokenizer.ggml.pre", "chatglm-bpe", 0},
    {EDIT_TENSOR, ".attn_out.", ".attn_output.", 0},
    {EDIT_TENSOR, ".post_attn_norm.", ".post_attention_norm.", 0},
    {EDIT_TENSOR, ".post_ffn_norm.", ".post_ffw_norm.", 0},
    {0},
};
static enum status more_glmocr(struct gguf *g, struct err *e) {
    enum status st = ST_OK;
    for (uint32_t i = 0; st == ST_OK && i < layout_number(g, "glm4", "block_count"); i++) {
        char gate[64], up[64];
        snprintf(gate, sizeof gate, "blk.%u.ffn_gate.weight", i);
        snprintf(up, sizeof up, "blk.%u.ffn_up.weight", i);
        if (gguf_find_tensor(g, gate) == NULL) break;
        st = gguf_edit_stack(g, gate, up, e);
    }
    if (st == ST_OK && !layout_has(g, "glm4", "rope.dimension_count"))
        st = gguf_edit_copy(g, "glm4.rope.dimension_count", "glm4.attention.key_length", e);
    if (st != ST_OK) return st;
    return copy_sections(g, "glm4.rope.dimension_sections", "glm4.rope.mrope_section", e);
}

/* ---- nemotron, bert ---------------------------------------------------------------------------
 */

static bool is_old_nemotron(const struct gguf *g) {
    return has_tensor_ending(g, ".ffn_latent_in.weight") || layout_has_tensors(g, "mtp.");
}
static const struct edit nemotron_edits[] = {
    {EDIT_TENSOR, ".ffn_latent_in.", ".ffn_latent_down.", 0},
    {EDIT_TENSOR, ".ffn_latent_out.", ".ffn_latent_up.", 0},
    {0},
};
static enum status more_nemotron(struct gguf *g, struct err *e) {
    for (size_t i = 0; i < gguf_n_tensors(g); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(g, i);
        if (!gguf_str_ends(t->name, ".ffn_latent_down.weight") || t->dim[1] > UINT32_MAX) continue;
        return gguf_edit_u32(g, "nemotron_h_moe.moe_latent_size", (uint32_t)t->dim[1], e);
    }
    return ST_OK;
}

/* The text half of a model that also sees and hears. */
static enum status more_nemotron_omni(struct gguf *g, struct err *e) {
    const bool moe = layout_number(g, "nemotron_h_omni", "expert_count") != 0;
    enum status st = gguf_edit_arch(g, "nemotron_h_omni", moe ? "nemotron_h_moe" : "nemotron_h", e);
    if (st != ST_OK || !moe || !is_old_nemotron(g)) return st;
    st = layout_edit(g, "nemotron_h_moe", nemotron_edits, e);
    return st == ST_OK ? more_nemotron(g, e) : st;
}

/* The table of characters as base64, one string for each letter of it. */
static const char charsmap_key[] = "tokenizer.ggml.precompiled_charsmap";
static bool is_old_bert(const struct gguf *g) {
    const struct gguf_kv *kv = gguf_find(g, charsmap_key);
    return layout_text_is(g, "tokenizer.ggml.model", "t5") && kv != NULL &&
           kv->type == GGUF_ARRAY && kv->elem == GGUF_STRING && kv->count != 0;
}
static enum status more_bert(struct gguf *g, struct err *e) {
    const struct gguf_kv *kv = gguf_find(g, charsmap_key);
    struct buf text = {0}, bytes = {0};
    size_t bad = 0;
    enum status st = ST_OK;
    for (uint64_t i = 0; i < kv->count; i++) {
        const struct gguf_str s = gguf_elem_str(g, kv, i);
        buf_add(&text, s.ptr, s.len);
    }
    const bool ok = !text.failed && base64_get(&bytes, text.data, text.len, &bad);
    if (text.failed || bytes.failed)
        st = err_no_memory(e);
    else if (!ok || bytes.len == 0)
        st = err_set(e, ST_FORMAT, "key %s is no base64 (at byte %zu)", charsmap_key, bad);
    else
        st = gguf_edit_bytes(g, charsmap_key, bytes.data, bytes.len, e);
    buf_free(&text);
    buf_free(&bytes);
    return st;
}

/* ---- the table --------------------------------------------------------------------------------
 */

static const struct layout {
    const char *arch;
    bool (*is_old)(const struct gguf *g); /* NULL: the name tells */
    const struct edit *edits;             /* NULL: none */
    enum status (*more)(struct gguf *g, struct err *e);
} layouts[] = {
    {"bert", is_old_bert, NULL, more_bert},
    {"gemma3", is_old_embedding, embedding_edits, more_embedding},
    {"gemma3", is_old_gemma3, gemma3_edits, more_gemma3},
    {"gemma3n", is_old_gemma3n, gemma3n_edits, more_gemma3n},
    {"gemma4", is_old_gemma4, gemma4_edits, more_gemma4},
    {"glm4moelite", NULL, glm4moelite_edits, more_glm4moelite},
    {"glmocr", NULL, glmocr_edits, more_glmocr},
    {"gptoss", NULL, gptoss_edits, more_gptoss},
    {"lfm2", is_old_lfm2, NULL, more_lfm2},
    {"llama", is_old_llama, NULL, more_llama},
    {"mistral3", is_old_mistral3, mistral3_edits, more_mistral3},
    {"nemotron_h_moe", is_old_nemotron, nemotron_edits, more_nemotron},
    {"nemotron_h_omni", NULL, NULL, more_nemotron_omni},
    {"olmo3", NULL, olmo3_edits, NULL},
    {"qwen25vl", NULL, qwen25vl_edits, more_qwen25vl},
    {"qwen35", is_old_qwen35, NULL, more_qwen35},
    {"qwen35moe", is_old_qwen35moe, NULL, more_qwen35moe},
    {"qwen3next", is_old_qwen3next, NULL, more_qwen3next},
    {"qwen3vl", NULL, NULL, more_qwen3vl},
    {"qwen3vlmoe", NULL, NULL, more_qwen3vlmoe},
};

enum status legacy_translate(struct gguf *g, struct err *e) {
    for (size_t i = 0; i < sizeof layouts / sizeof layouts[0]; i++) {
        const struct layout *l = &layouts[i];
        if (!layout_text_is(g, "general.architecture", l->arch)) continue;
        if (l->is_old != NULL && !l->is_old(g)) continue;
        enum status st = layout_edit(g, l->arch, l->edits, e);
        return st == ST_OK && l->more != NULL ? l->more(g, e) : st;
    }
    return ST_OK;
}
