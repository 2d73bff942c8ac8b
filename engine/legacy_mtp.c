/* legacy_mtp.c - blocks that predict further tokens, as files of older layouts carry them
 * (legacy.h, spec/models/legacy-ollama-gguf.md): beside the model's blocks instead of behind them,
 * with the checkpoint's names, with norms that lack their 1, and with experts one by one. */
#include <stdio.h>

#include "engine/file/gguf_edit.h"
#include "engine/layout.h"
#include "engine/legacy.h"

enum { MAX_BLOCKS = 16 };

/* What they share belongs to the first one. */
static const struct {
    const char *old, *today;
} shared[] = {
    {"mtp.fc", "eh_proj"},
    {"mtp.pre_fc_norm_embedding", "enorm"},
    {"mtp.pre_fc_norm_hidden", "hnorm"},
    {"mtp.embed_tokens", "embed_tokens"},
    {"mtp.shared_head.head", "shared_head_head"},
    {"mtp.shared_head.norm", "shared_head_norm"},
    {"mtp.norm", "shared_head_norm"},
};

static uint32_t count_blocks(const struct gguf *g) {
    char prefix[32];
    for (uint32_t n = 0;; n++) {
        snprintf(prefix, sizeof prefix, "mtp.layers.%u.", n);
        if (n > MAX_BLOCKS || !layout_has_tensors(g, prefix)) return n;
    }
}

static bool is_todays(const struct gguf *g) {
    for (size_t i = 0; i < gguf_n_tensors(g); i++) {
        const struct gguf_str s = gguf_tensor_at(g, i)->name;
        if (gguf_str_ends(s, ".nextn.eh_proj.weight")) return true;
    }
    return false;
}

static enum status rename_tensors(struct gguf *g, uint32_t first, uint32_t n, struct err *e) {
    char from[LAYOUT_KEY_SIZE], to[LAYOUT_KEY_SIZE];
    enum status st = ST_OK;
    for (uint32_t i = 0; st == ST_OK && i < n; i++) {
        snprintf(from, sizeof from, "mtp.layers.%u.", i);
        snprintf(to, sizeof to, "blk.%u.", first + i);
        st = gguf_edit_tensor_names(g, from, to, e);
    }
    for (size_t i = 0; st == ST_OK && i < sizeof shared / sizeof shared[0]; i++) {
        snprintf(from, sizeof from, "%s.", shared[i].old);
        snprintf(to, sizeof to, "blk.%u.nextn.%s.", first, shared[i].today);
        st = gguf_edit_tensor_names(g, from, to, e);
    }
    return st;
}

static bool lacks_one(const struct gguf_tensor *t) {
    static const char *const norms[] = {"_norm.weight", ".enorm.weight", ".hnorm.weight"};
    bool norm = false;
    for (int i = 0; i < 3; i++) norm = norm || gguf_str_ends(t->name, norms[i]);
    return norm && t->n_dims == 1 && !gguf_str_ends(t->name, ".ssm_norm.weight");
}

static enum status complete_norms(struct gguf *g, uint32_t block, struct err *e) {
    char prefix[32], name[LAYOUT_KEY_SIZE];
    const int n = snprintf(prefix, sizeof prefix, "blk.%u.", block);
    enum status st = ST_OK;
    for (size_t i = 0; st == ST_OK && i < gguf_n_tensors(g); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(g, i);
        if (t->name.len < (size_t)n || memcmp(t->name.ptr, prefix, (size_t)n) != 0) continue;
        if (!lacks_one(t)) continue;
        snprintf(name, sizeof name, "%.*s", (int)t->name.len, t->name.ptr);
        st = gguf_edit_add(g, name, 1, e);
    }
    return st;
}

static enum status join_experts(struct gguf *g, uint32_t block, struct err *e) {
    static const char *const parts[] = {"gate", "up", "down"};
    enum status st = ST_OK;
    for (int i = 0; st == ST_OK && i < 3; i++) {
        char before[64], behind[64], name[64];
        snprintf(before, sizeof before, "blk.%u.mlp.experts.", block);
        snprintf(behind, sizeof behind, ".%s_proj.weight", parts[i]);
        snprintf(name, sizeof name, "blk.%u.ffn_%s_exps.weight", block, parts[i]);
        st = gguf_edit_join(g, before, behind, name, e);
    }
    return st;
}

enum status legacy_translate_mtp(struct gguf *g, struct err *e) {
    const bool moe = layout_text_is(g, "general.architecture", "qwen35moe");
    const char *arch = moe ? "qwen35moe" : "qwen35";
    const uint32_t n = count_blocks(g);
    char key[LAYOUT_KEY_SIZE];
    if (!moe && !layout_text_is(g, "general.architecture", arch)) return ST_OK;
    if (n == 0 || is_todays(g)) return ST_OK;
    if (n > MAX_BLOCKS)
        return err_set(e, ST_LIMIT, "more than %d blocks 'mtp.layers.#' for further tokens",
                       MAX_BLOCKS);
    const uint32_t blocks = layout_number(g, arch, "block_count");
    const uint32_t counted = layout_number(g, arch, "nextn_predict_layers");
    const uint32_t first = counted < blocks ? blocks - counted : blocks;
    if (first > UINT32_MAX - n) return ST_OK; /* refused by who reads the key */
    enum status st = gguf_edit_u32(g, layout_key(arch, "block_count", key), first + n, e);
    if (st == ST_OK) st = gguf_edit_u32(g, layout_key(arch, "nextn_predict_layers", key), n, e);
    if (st == ST_OK && (st = rename_tensors(g, first, n, e)) == ST_FORMAT)
        return err_wrap(
            e, "'mtp.layers' behind %u blocks (keys %s.block_count, %s.nextn_predict_layers)",
            first, arch, arch);
    for (uint32_t i = 0; st == ST_OK && i < n; i++) {
        st = complete_norms(g, first + i, e);
        if (st == ST_OK) st = join_experts(g, first + i, e);
    }
    return st;
}
