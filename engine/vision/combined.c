/* combined.c - the rules of combined.h: for each architecture a projector type, a list of edits
 * (engine/layout.h), and where a list is not enough a function. */
#include "engine/vision/combined.h"

#include <stdio.h>
#include <string.h>

#include "engine/file/gguf_edit.h"
#include "engine/layout.h"
#include "engine/vision/vision.h"

enum { NAME_SIZE = 96, MAX_DEEP_KEYS = 16 };

static const struct edit every[] = {
    {EDIT_COPY, "clip.vision.block_count", "vision.block_count", 0},
    {EDIT_COPY, "clip.vision.embedding_length", "vision.embedding_length", 0},
    {EDIT_COPY, "clip.vision.feed_forward_length", "vision.feed_forward_length", 0},
    {EDIT_COPY, "clip.vision.attention.head_count", "vision.attention.head_count", 0},
    {EDIT_COPY, "clip.vision.attention.layer_norm_epsilon", "vision.attention.layer_norm_epsilon",
     0},
    {EDIT_COPY, "clip.vision.image_size", "vision.image_size", 0},
    {EDIT_COPY, "clip.vision.patch_size", "vision.patch_size", 0},
    {EDIT_COPY, "clip.vision.image_mean", "vision.image_mean", 0},
    {EDIT_COPY, "clip.vision.image_std", "vision.image_std", 0},
    {EDIT_COPY, "clip.vision.projection_dim", "embedding_length", 0},
    {EDIT_BOOL, "clip.has_vision_encoder", NULL, 1},
    {0},
};

/* CLIP's colours (Radford et al. 2021). */
static enum status clip_colours(struct gguf *g, struct err *e) {
    static const float mean[] = {0.48145467f, 0.4578275f, 0.40821072f};
    static const float std[] = {0.26862955f, 0.26130259f, 0.2757771f};
    enum status st = ST_OK;
    if (gguf_find(g, "clip.vision.image_mean") == NULL)
        st = gguf_edit_f32s(g, "clip.vision.image_mean", mean, 3, e);
    if (st == ST_OK && gguf_find(g, "clip.vision.image_std") == NULL)
        st = gguf_edit_f32s(g, "clip.vision.image_std", std, 3, e);
    return st;
}

static enum status wrong_shape(const char *name, const struct gguf_tensor *t, const char *want,
                               struct err *e) {
    return err_set(e, ST_FORMAT, "tensor '%s' has wrong shape {%lld,%lld,%lld,%lld}, expected %s",
                   name, (long long)t->dim[0], (long long)t->dim[1], (long long)t->dim[2],
                   (long long)t->dim[3], want);
}

/* ---- gemma ------------------------------------------------------------------------------------
 */

/* The first matrix of the MLP is called ffn_down in other files of this type, and put right when
 * they are loaded; here it gets its proper name at once. */
static const struct edit gemma3_edits[] = {
    {EDIT_COLOUR, "clip.vision.image_mean", NULL, 0.5},
    {EDIT_COLOUR, "clip.vision.image_std", NULL, 0.5},
    {EDIT_BOOL, "clip.use_gelu", NULL, 1},
    {EDIT_TENSOR, "patch_embedding", "patch_embd", 0},
    {EDIT_TENSOR, "position_embedding", "position_embd", 0},
    {EDIT_TENSOR, "post_layernorm", "post_ln", 0},
    {EDIT_TENSOR, "layer_norm1", "ln1", 0},
    {EDIT_TENSOR, "layer_norm2", "ln2", 0},
    {EDIT_TENSOR, "attn_output", "attn_out", 0},
    {EDIT_TENSOR, "mlp.fc1", "ffn_up", 0},
    {EDIT_TENSOR, "mlp.fc2", "ffn_down", 0},
    {EDIT_TENSOR, "mm.mm_input_projection", "mm.input_projection", 0},
    {EDIT_TENSOR, "mm.mm_soft_emb_norm", "mm.soft_emb_norm", 0},
    {0},
};
/* Rows of an image, where the file says how many: blocks of so many patches a side. */
static enum status more_gemma3(struct gguf *g, struct err *e) {
    const uint32_t size = layout_number(g, "", "clip.vision.image_size"),
                   patch = layout_number(g, "", "clip.vision.patch_size"),
                   rows = layout_number(g, "gemma3", "mm.tokens_per_image");
    if (size > 1 << 16 || patch == 0 || rows == 0) return ST_OK;
    for (uint32_t m = 1; m <= 16; m++) {
        const uint64_t side = size / patch / m;
        if (side * side == rows && side * m == size / patch)
            return gguf_edit_u32(g, "clip.vision.projector.scale_factor", m, e);
    }
    return ST_OK;
}

static const struct edit gemma4_edits[] = {
    {EDIT_U32, "clip.vision.image_size", NULL, 224},
    {EDIT_COLOUR, "clip.vision.image_mean", NULL, 0},
    {EDIT_COLOUR, "clip.vision.image_std", NULL, 1},
    {EDIT_BOOL, "clip.use_gelu", NULL, 1},
    {0},
};
/* Limits of what goes into and comes out of matrices, packed into one tensor: for each layer those
 * of its seven matrices, then perhaps those of the projection (spec/safetensors.md 5.4). */
static enum status unpack_limits(struct gguf *g, const char *matrix, const float *from,
                                 struct err *e) {
    static const char *const suffix[] = {"input_min", "input_max", "output_min", "output_max"};
    static const int64_t one[4] = {1, 1, 1, 1};
    enum status st = ST_OK;
    for (int i = 0; st == ST_OK && i < 4; i++) {
        char name[NAME_SIZE];
        float *x;
        snprintf(name, sizeof name, "%s.%s", matrix, suffix[i]);
        if (gguf_find_tensor(g, name) != NULL) continue;
        st = gguf_edit_floats(g, name, 1, one, &x, e);
        if (st == ST_OK) *x = from[i];
    }
    return st;
}
static enum status more_gemma4(struct gguf *g, struct err *e) {
    static const char *const matrix[] = {"attn_q",   "attn_k", "attn_v",  "attn_out",
                                         "ffn_gate", "ffn_up", "ffn_down"};
    static const char packed[] = "v.clamp_data";
    const uint64_t n_layer = layout_number(g, "", "clip.vision.block_count");
    if (gguf_find_tensor(g, packed) == NULL) return ST_OK;
    enum status st = gguf_edit_decode(g, packed, e);
    if (st != ST_OK) return st;
    const struct gguf_tensor *t = gguf_find_tensor(g, packed);
    const float *x = (const float *)(const void *)t->data;
    const uint64_t n = t->size / sizeof *x, all = n_layer * 7 * 4;
    if ((uintptr_t)x % sizeof *x != 0 || (n != all && n != all + 4))
        return wrong_shape(packed, t, "4 for each matrix", e);
    for (uint64_t i = 0; st == ST_OK && i < n_layer * 7; i++) {
        char name[NAME_SIZE];
        snprintf(name, sizeof name, "v.blk.%u.%s", (unsigned)(i / 7), matrix[i % 7]);
        st = unpack_limits(g, name, x + 4 * i, e);
    }
    return st == ST_OK && n > all ? unpack_limits(g, "mm.input_projection", x + all, e) : st;
}

/* ---- llama and mistral ------------------------------------------------------------------------
 */

static const struct edit llama4_edits[] = {
    {EDIT_COPY, "clip.vision.attention.layer_norm_epsilon", "vision.layer_norm_epsilon", 0},
    {EDIT_COLOUR, "clip.vision.image_mean", NULL, 0.5},
    {EDIT_COLOUR, "clip.vision.image_std", NULL, 0.5},
    {EDIT_BOOL, "clip.use_gelu", NULL, 1},
    {EDIT_TENSOR, "v.positional_embedding_vlm", "v.position_embd.weight", 0},
    {EDIT_TENSOR, "v.vision_adapter.mlp.fc1", "mm.model.mlp.1", 0},
    {EDIT_TENSOR, "v.vision_adapter.mlp.fc2", "mm.model.mlp.2", 0},
    {EDIT_TENSOR, "mm.linear_1", "mm.model.fc", 0},
    {EDIT_TENSOR, "class_embedding", "class_embd", 0},
    {EDIT_TENSOR, "layernorm_pre", "pre_ln", 0},
    {EDIT_TENSOR, "layernorm_post", "post_ln", 0},
    {EDIT_TENSOR, "patch_embedding", "patch_embd", 0},
    {EDIT_TENSOR, "attn_output", "attn_out", 0},
    {EDIT_TENSOR, "attn_norm", "ln1", 0},
    {EDIT_TENSOR, "ffn_norm", "ln2", 0},
    {EDIT_TENSOR, "mlp.fc1", "ffn_up", 0},
    {EDIT_TENSOR, "mlp.fc2", "ffn_down", 0},
    {0},
};
static enum status more_llama4(struct gguf *g, struct err *e) {
    float ratio = 0;
    uint32_t factor = 2;
    const enum status st = gguf_get_f32(g, "llama4.vision.pixel_shuffle_ratio", &ratio, NULL);
    if (st == ST_OK && ratio > 1.0f / 64 && ratio <= 1) factor = (uint32_t)(1 / ratio + 0.5f);
    return gguf_edit_u32(g, "clip.vision.projector.scale_factor", factor, e);
}

static const struct edit mistral3_edits[] = {
    {EDIT_COPY, "clip.vision.spatial_merge_size", "spatial_merge_size", 0},
    {EDIT_COPY, "clip.vision.attention.head_dim", "vision.attention.key_length", 0},
    {EDIT_F32, "clip.vision.attention.layer_norm_epsilon", NULL, 1e-5},
    {EDIT_BOOL, "clip.use_silu", NULL, 1},
    {EDIT_TENSOR, "patch_conv", "patch_embd", 0},
    {EDIT_TENSOR, "encoder_norm", "pre_ln", 0},
    {EDIT_TENSOR, "attn_output", "attn_out", 0},
    {EDIT_TENSOR, "attn_norm", "ln1", 0},
    {EDIT_TENSOR, "ffn_norm", "ln2", 0},
    {EDIT_TENSOR, "mm.linear_1", "mm.1", 0},
    {EDIT_TENSOR, "mm.linear_2", "mm.2", 0},
    {EDIT_TENSOR, "mm.norm", "mm.input_norm", 0},
    {EDIT_TENSOR, "mm.patch_merger.merging_layer", "mm.patch_merger", 0},
    {0},
};

/* Rope turned element j with element j + d/2 of a head; now it turns neighbours. */
static uint64_t neighbours(uint64_t i, const void *arg) {
    const uint64_t d = *(const uint64_t *)arg, in = i % d;
    return i - in + in % 2 * (d / 2) + in / 2;
}
static enum status turn_heads(struct gguf *g, const char *name, struct err *e) {
    const uint64_t n_head = layout_number(g, "", "clip.vision.attention.head_count");
    const struct gguf_tensor *t = gguf_find_tensor(g, name);
    if (t == NULL || n_head == 0) return ST_OK; /* missed later on */
    const uint64_t rows = (uint64_t)t->dim[1], d = rows / n_head;
    if (rows == 0 || rows % n_head != 0 || d % 2 != 0 || t->dim[2] != 1 || t->dim[3] != 1)
        return wrong_shape(name, t, "rows of heads", e);
    return gguf_edit_permute(g, name, neighbours, &d, e);
}

/* [IMG_BREAK], a row of the text model's embedding: token 12, unless the vocabulary says otherwise.
 */
static uint64_t break_token(const struct gguf *g) {
    const struct gguf_kv *kv = gguf_find(g, "tokenizer.ggml.tokens");
    if (kv == NULL || kv->type != GGUF_ARRAY || kv->elem != GGUF_STRING) return 12;
    for (uint64_t i = 0; i < kv->count; i++)
        if (gguf_str_is(gguf_elem_str(g, kv, i), "[IMG_BREAK]")) return i;
    return 12;
}
static enum status add_break_row(struct gguf *g, struct err *e) {
    static const char name[] = "v.token_embd.img_break";
    const struct gguf_tensor *found = gguf_find_tensor(g, "token_embd.weight");
    const uint64_t row = break_token(g);
    if (gguf_find_tensor(g, name) != NULL || found == NULL || row >= (uint64_t)found->dim[1])
        return ST_OK;
    const struct gguf_tensor t = *found; /* the list may move */
    const struct dtype_info *info = dtype_info(t.type);
    float *x;
    if (info->decode == NULL)
        return err_set(e, ST_UNSUPPORTED,
                       "tensor 'token_embd.weight': type %s cannot be "
                       "computed with",
                       info->name);
    enum status st = gguf_edit_floats(g, name, 1, (const int64_t[4]){t.dim[0], 1, 1, 1}, &x, e);
    if (st != ST_OK || t.dim[0] == 0) return st;
    info->decode(t.data + row * dtype_row_bytes(t.type, (size_t)t.dim[0]), x, (size_t)t.dim[0]);
    return ST_OK;
}

static enum status more_mistral3(struct gguf *g, struct err *e) {
    const uint32_t n = layout_number(g, "", "clip.vision.block_count");
    enum status st = clip_colours(g, e);
    if (st == ST_OK) st = add_break_row(g, e);
    for (uint32_t il = 0; st == ST_OK && il < n; il++) {
        char name[NAME_SIZE];
        snprintf(name, sizeof name, "v.blk.%u.attn_q.weight", il);
        if (gguf_find_tensor(g, name) == NULL) break; /* missed later on */
        st = turn_heads(g, name, e);
        snprintf(name, sizeof name, "v.blk.%u.attn_k.weight", il);
        if (st == ST_OK) st = turn_heads(g, name, e);
    }
    return st;
}

/* ---- qwen -------------------------------------------------------------------------------------
 */

static enum status add_ffn_length(struct gguf *g, struct err *e) {
    static const char key[] = "clip.vision.feed_forward_length";
    const int64_t rows = layout_rows(g, "v.blk.0.ffn_up.weight");
    if (gguf_find(g, key) != NULL || rows < 1 || rows > 1 << 20) return ST_OK;
    return gguf_edit_u32(g, key, (uint32_t)rows, e);
}

static const struct edit qwen25vl_edits[] = {
    {EDIT_COPY, "clip.vision.spatial_merge_size", "vision.spatial_merge_size", 0},
    {EDIT_U32, "clip.vision.image_size", NULL, 560},
    {EDIT_BOOL, "clip.use_silu", NULL, 1},
    {EDIT_TENSOR, "v.merger.ln_q", "v.post_ln", 0},
    {EDIT_TENSOR, "v.merger.mlp.0", "mm.0", 0},
    {EDIT_TENSOR, "v.merger.mlp.2", "mm.2", 0},
    {EDIT_TENSOR, "v.patch_embd_0.weight", "v.patch_embd.weight", 0},
    {EDIT_TENSOR, "v.patch_embd_1.weight", "v.patch_embd.weight.1", 0},
    {0},
};
/* Every n-th layer sees everything; which one is the first? */
static enum status more_qwen25vl(struct gguf *g, struct err *e) {
    const struct gguf_kv *kv = gguf_find(g, "qwen25vl.vision.fullatt_block_indexes");
    uint32_t every_nth = 8;
    if (kv != NULL && kv->type == GGUF_ARRAY && gguf_is_int(kv->elem) && kv->count > 0) {
        const int64_t first = gguf_elem_int(kv, 0);
        if (first >= 0 && first < 512) every_nth = (uint32_t)first + 1;
    }
    enum status st = gguf_edit_u32(g, "clip.vision.n_wa_pattern", every_nth, e);
    if (st == ST_OK) st = clip_colours(g, e);
    return st == ST_OK ? add_ffn_length(g, e) : st;
}

static const struct edit qwen3vl_edits[] = {
    {EDIT_COPY, "clip.vision.spatial_merge_size", "vision.spatial_merge_size", 0},
    {EDIT_COPY, "clip.vision.image_min_pixels", "vision.shortest_edge", 0},
    {EDIT_COPY, "clip.vision.image_max_pixels", "vision.longest_edge", 0},
    {EDIT_U32, "clip.vision.image_min_pixels", NULL, 65536},
    {EDIT_U32, "clip.vision.image_max_pixels", NULL, 16777216},
    {EDIT_COLOUR, "clip.vision.image_mean", NULL, 0.5},
    {EDIT_COLOUR, "clip.vision.image_std", NULL, 0.5},
    {EDIT_F32, "clip.vision.attention.layer_norm_epsilon", NULL, 1e-6},
    {EDIT_BOOL, "clip.use_gelu", NULL, 1},
    {EDIT_TENSOR, "v.patch_embed.", "v.patch_embd.", 0},
    {EDIT_TENSOR, "v.pos_embed", "v.position_embd", 0},
    {EDIT_TENSOR, "v.merger.norm", "v.post_ln", 0},
    {EDIT_TENSOR, "v.merger.linear_fc1", "mm.0", 0},
    {EDIT_TENSOR, "v.merger.linear_fc2", "mm.2", 0},
    {EDIT_TENSOR, "mlp.linear_fc1", "ffn_up", 0},
    {EDIT_TENSOR, "mlp.linear_fc2", "ffn_down", 0},
    {EDIT_TENSOR, ".linear_fc", ".fc", 0},
    {EDIT_TENSOR, ".norm1.", ".ln1.", 0},
    {EDIT_TENSOR, ".norm2.", ".ln2.", 0},
    {0},
};

/* The two frames of a kernel, {w, h, 2, 3 x n}, as two kernels {w, h, 3, n}. */
static enum status split_frames(struct gguf *g, struct err *e) {
    static const char *const name[] = {"v.patch_embd.weight", "v.patch_embd.weight.1"};
    const struct gguf_tensor *found = gguf_find_tensor(g, name[0]);
    if (found == NULL || gguf_find_tensor(g, name[1]) != NULL) return ST_OK;
    const struct gguf_tensor t = *found;
    const struct dtype_info *info = dtype_info(t.type);
    const int64_t w = t.dim[0], h = t.dim[1], n = t.dim[3] / 3, dim[] = {w, h, 3, n};
    if (t.dim[2] != 2 || w < 1 || h < 1 || n < 1 || t.dim[3] != 3 * n || info->decode == NULL)
        return wrong_shape(name[0], &t, "two frames of three colours", e);
    const size_t bytes = dtype_row_bytes(t.type, (size_t)w);
    for (int64_t f = 0; f < 2; f++) {
        float *x;
        const enum status st = gguf_edit_floats(g, name[f], 4, dim, &x, e);
        if (st != ST_OK) return st;
        for (int64_t c = 0; c < 3 * n; c++)
            for (int64_t y = 0; y < h; y++)
                info->decode(t.data + (size_t)((c * 2 + f) * h + y) * bytes, x + (c * h + y) * w,
                             (size_t)w);
    }
    return ST_OK;
}

/* The i-th merger belongs to the layer that the key names. */
static enum status name_deepstack(struct gguf *g, const char *arch, struct err *e) {
    char key[LAYOUT_KEY_SIZE];
    const struct gguf_kv *kv =
        gguf_find(g, layout_key(arch, "vision.deepstack_visual_indexes", key));
    if (kv == NULL || kv->type != GGUF_ARRAY || !gguf_is_int(kv->elem)) return ST_OK;
    const struct gguf_kv layers = *kv;
    if (layers.count > MAX_DEEP_KEYS)
        return err_set(e, ST_LIMIT, "key %s has more than %d layers", key, MAX_DEEP_KEYS);
    for (uint64_t i = 0; i < layers.count; i++) {
        char from[NAME_SIZE], to[NAME_SIZE];
        snprintf(from, sizeof from, "v.deepstack_merger.%u.", (unsigned)i);
        snprintf(to, sizeof to, "v.deepstack.%lld.", (long long)gguf_elem_int(&layers, i));
        const enum status st = gguf_edit_tensor_names(g, from, to, e);
        if (st != ST_OK) return st;
    }
    return ST_OK;
}

/* A square of positions, each of one patch. */
static enum status size_from_positions(struct gguf *g, struct err *e) {
    static const char key[] = "clip.vision.image_size";
    const int64_t n = layout_rows(g, "v.position_embd.weight");
    const uint32_t patch = layout_number(g, "", "clip.vision.patch_size");
    int64_t side = 1;
    while (n <= 1 << 20 && side * side < n) side++;
    if (n < 1 || side * side != n || patch > 256)
        return gguf_find(g, key) != NULL ? ST_OK : gguf_edit_u32(g, key, 768, e);
    return gguf_edit_u32(g, key, (uint32_t)side * patch, e);
}

static enum status more_qwen3vl_of(struct gguf *g, const char *arch, struct err *e) {
    enum status st = split_frames(g, e);
    if (st == ST_OK) st = name_deepstack(g, arch, e);
    if (st == ST_OK) st = size_from_positions(g, e);
    return st == ST_OK ? add_ffn_length(g, e) : st;
}
static enum status more_qwen3vl(struct gguf *g, struct err *e) {
    return more_qwen3vl_of(g, "qwen3vl", e);
}
static enum status more_qwen3vlmoe(struct gguf *g, struct err *e) {
    return more_qwen3vl_of(g, "qwen3vlmoe", e);
}
static enum status more_qwen35(struct gguf *g, struct err *e) {
    return more_qwen3vl_of(g, "qwen35", e);
}
static enum status more_qwen35moe(struct gguf *g, struct err *e) {
    return more_qwen3vl_of(g, "qwen35moe", e);
}

/* ---- glm --------------------------------------------------------------------------------------
 */

/* The sheet does not tell more than the type: what the converter writes (spec/safetensors.md). */
static const struct edit glmocr_edits[] = {
    {EDIT_COPY, "clip.vision.attention.layer_norm_epsilon",
     "vision.attention.layer_norm_rms_epsilon", 0},
    {EDIT_COPY, "clip.vision.spatial_merge_size", "vision.spatial_merge_size", 0},
    {EDIT_COPY, "clip.vision.image_min_pixels", "vision.shortest_edge", 0},
    {EDIT_COPY, "clip.vision.image_max_pixels", "vision.longest_edge", 0},
    {EDIT_F32, "clip.vision.attention.layer_norm_epsilon", NULL, 1e-5},
    {EDIT_U32, "clip.vision.image_size", NULL, 336},
    {EDIT_BOOL, "clip.use_silu", NULL, 1},
    {0},
};
static enum status more_glmocr(struct gguf *g, struct err *e) {
    const enum status st = clip_colours(g, e);
    return st == ST_OK ? add_ffn_length(g, e) : st;
}

/* ---- the table --------------------------------------------------------------------------------
 */

static const struct combined {
    const char *arch, *type;
    const struct edit *edits;
    enum status (*more)(struct gguf *g, struct err *e);
} table[] = {
    {"gemma3", "gemma3", gemma3_edits, more_gemma3},
    {"gemma4", "gemma4v", gemma4_edits, more_gemma4},
    {"glmocr", "glm4v", glmocr_edits, more_glmocr},
    {"llama4", "llama4", llama4_edits, more_llama4},
    {"mistral3", "pixtral", mistral3_edits, more_mistral3},
    {"qwen25vl", "qwen2.5vl_merger", qwen25vl_edits, more_qwen25vl},
    {"qwen35", "qwen3vl_merger", qwen3vl_edits, more_qwen35},
    {"qwen35moe", "qwen3vl_merger", qwen3vl_edits, more_qwen35moe},
    {"qwen3vl", "qwen3vl_merger", qwen3vl_edits, more_qwen3vl},
    {"qwen3vlmoe", "qwen3vl_merger", qwen3vl_edits, more_qwen3vlmoe},
};

static enum status translate(struct gguf *g, const struct combined *c, struct err *e) {
    static const char *const needed[] = {"v.", "mm.", "token_embd.weight", NULL};
    static const char *const kept[] = {"v.", "mm.", NULL};
    static const char *const floats[] = {"v.patch_embd.weight", "v.patch_embd.weight.1",
                                         "v.position_embd.weight"};
    enum status st = gguf_edit_keep_tensors(g, needed, e);
    if (st == ST_OK) st = layout_edit(g, c->arch, every, e);
    if (st == ST_OK) st = layout_edit(g, c->arch, c->edits, e);
    if (st == ST_OK) st = c->more(g, e);
    if (st == ST_OK) st = gguf_edit_keep_tensors(g, kept, e);
    for (int i = 0; st == ST_OK && i < 3; i++) st = gguf_edit_decode(g, floats[i], e);
    if (st == ST_OK) st = gguf_edit_str(g, "clip.projector_type", c->type, e);
    return st == ST_OK ? gguf_edit_str(g, "general.architecture", "clip", e) : st;
}

static const struct combined *row_of(const struct gguf *g) {
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (layout_text_is(g, "general.architecture", table[i].arch)) return &table[i];
    return NULL;
}

struct gguf_str combined_type(const struct gguf *g) {
    const struct combined *c = cria_vision_in(g) ? row_of(g) : NULL;
    return c != NULL ? (struct gguf_str){c->type, strlen(c->type)} : (struct gguf_str){"", 0};
}

enum status combined_translate(struct gguf *g, struct err *e) {
    struct gguf_str arch = {"", 0};
    const enum status st = gguf_get_str(g, "general.architecture", &arch, NULL);
    if (st != ST_OK || gguf_str_is(arch, "clip") || !cria_vision_in(g)) return ST_OK;
    const struct combined *c = row_of(g);
    const int shown = (int)(arch.len < 64 ? arch.len : 64);
    if (c != NULL && layout_has_tensors(g, "v.")) return translate(g, c, e);
    if (c != NULL)
        return err_set(e, ST_UNSUPPORTED, "the text model ('%.*s') has no image encoder inside",
                       shown, arch.ptr);
    return err_set(e, ST_UNSUPPORTED,
                   "the image encoder is inside of the text model ('%.*s'), of a layout that is "
                   "not supported",
                   shown, arch.ptr);
}
