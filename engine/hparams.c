/* hparams.c - the metadata of a model: keys by the tables of its architecture, values that follow
 * from others, and the checks that make all later arithmetic safe (model.h; spec/models/common.md 1
 * to 4). Every message names its key. */
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "engine/model.h"

enum { MAX_HEAD = 65536, MAX_HEAD_DIM = 4096, MAX_FF = 1 << 24, MAX_EXPERT = 1024 };

/* Keys that every architecture has. */
static const struct hparam_spec first_hparams[] = {
    {.key = "context_length",
     .offset = offsetof(struct hparams, n_ctx_train),
     .required = true,
     .low = 1,
     .high = 1 << 30},
    {.key = "embedding_length",
     .offset = offsetof(struct hparams, n_embd),
     .required = true,
     .low = 1,
     .high = 1 << 20},
    {.key = "block_count",
     .offset = offsetof(struct hparams, n_block),
     .required = true,
     .low = 1,
     .high = MAX_LAYER},
    HP_RANGE("nextn_predict_layers", HP_U32, n_nextn, 0, MAX_LAYER),
    {0},
};
static const struct hparam_spec common_hparams[] = {
    HP_RANGE("attention.key_length", HP_U32, head_dim, 0, MAX_HEAD_DIM),
    HP_RANGE("attention.value_length", HP_U32, head_dim_v, 0, MAX_HEAD_DIM),
    HP_RANGE("attention.key_length_swa", HP_U32, head_dim_swa, 0, MAX_HEAD_DIM),
    HP_RANGE("attention.value_length_swa", HP_U32, head_dim_v_swa, 0, MAX_HEAD_DIM),
    HP_RANGE("rope.dimension_count", HP_U32, n_rot, 0, MAX_HEAD_DIM),
    HP_RANGE("rope.dimension_count_swa", HP_U32, n_rot_swa, 0, MAX_HEAD_DIM),
    HP_RANGE("rope.freq_base", HP_F32, rope_base, 1, 1e30),
    HP_RANGE("rope.scaling.attn_factor", HP_F32, rope_attn_factor, 1e-6, 1e6),
    HP_RANGE("rope.scaling.original_context_length", HP_U32, n_ctx_orig, 0, 1 << 30),
    HP_RANGE("expert_count", HP_U32, n_expert, 0, MAX_EXPERT),
    HP_RANGE("expert_group_count", HP_U32, n_group, 0, MAX_EXPERT),
    HP_RANGE("expert_group_used_count", HP_U32, n_group_used, 0, MAX_EXPERT),
    HP_RANGE("expert_weights_scale", HP_F32, weights_scale, -1e6, 1e6),
    HP_RANGE("pooling_type", HP_U32, pooling, 0, POOLING_RANK),
    HP("attention.causal", HP_BOOL, causal),
    {0},
};
static const struct hparam_spec common_layer_hparams[] = {
    {.key = "attention.head_count",
     .kind = HP_LAYER_U32,
     .offset = offsetof(struct layer, n_head),
     .high = MAX_HEAD},
    {.key = "attention.head_count_kv",
     .kind = HP_LAYER_U32,
     .offset = offsetof(struct layer, n_head_kv),
     .high = MAX_HEAD},
    HP_LAYER("feed_forward_length", n_ff),
    {0},
};

enum { KEY_SIZE = 192 };
static const char *full_key(const struct model *m, const char *suffix, char out[KEY_SIZE]) {
    snprintf(out, KEY_SIZE, "%s.%s", m->arch->name, suffix);
    return out;
}

enum status hparam_error(const struct model *m, const char *key, struct err *e, const char *fmt,
                         ...) {
    char text[160];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return err_set(e, ST_FORMAT, "key %s.%s %s", m->arch->name, key, text);
}

void hparam_list(const struct model *m, const char *keys, char *out, size_t size) {
    while (*keys != '\0') {
        const size_t n = strcspn(keys, " "), at = strlen(out);
        char suffix[128], key[KEY_SIZE];
        snprintf(suffix, sizeof suffix, "%.*s", (int)n, keys);
        full_key(m, suffix, key);
        if (hparam_given(m, suffix) && strstr(out, key) == NULL)
            snprintf(out + at, size - at, "%s%s", at != 0 ? ", " : "", key);
        keys += n + (keys[n] == ' ');
    }
}

enum status hparam_clash(const struct model *m, const char *key, const char *others, struct err *e,
                         const char *fmt, ...) {
    char text[160], list[320] = "";
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    hparam_list(m, others, list, sizeof list);
    if (list[0] == '\0') return hparam_error(m, key, e, "%s", text);
    return err_set(e, ST_FORMAT, "key %s.%s %s (%s)", m->arch->name, key, text, list);
}

/* ---- reading ----------------------------------------------------------------------------------
 */

static uint32_t *u32_at(void *base, size_t offset) {
    return (uint32_t *)(void *)((char *)base + offset);
}

static bool in_range(const struct hparam_spec *s, double x) {
    return isfinite(x) && ((s->low == 0 && s->high == 0) || (x >= s->low && x <= s->high));
}

static enum status out_of_range(const struct model *m, const struct hparam_spec *s, double x,
                                struct err *e) {
    return hparam_error(m, s->key, e, "is %.10g, expected %.10g to %.10g", x, s->low, s->high);
}

static enum status wrong_type(const char *key, const struct gguf_kv *kv, const char *want,
                              struct err *e) {
    return err_set(e, ST_FORMAT, "key %s has type %s, expected %s", key, gguf_type_name(kv->elem),
                   want);
}

/* Arrays have an entry for each block, or for each but those that predict further tokens, which are
 * as the last one then. */
static bool right_length(const struct model *m, const struct gguf_kv *kv) {
    return kv->count != 0 && kv->count <= m->hp.n_block &&
           kv->count >= m->hp.n_block - m->hp.n_nextn;
}

static enum status wrong_length(const struct model *m, const char *key, const struct gguf_kv *kv,
                                struct err *e) {
    char why[KEY_SIZE] = "";
    hparam_list(m, "block_count nextn_predict_layers", why, sizeof why);
    return err_set(e, ST_FORMAT, "key %s has wrong array length; expected %u, got %" PRIu64 " (%s)",
                   key, m->hp.n_block, kv->count, why);
}

/* Which element is that of layer il. */
static uint64_t elem_of(const struct gguf_kv *kv, uint32_t il) {
    if (kv->type != GGUF_ARRAY) return 0;
    return il < kv->count ? il : kv->count - 1;
}

/* A scalar for all layers, or an array. */
static enum status read_layer_u32(struct model *m, const struct hparam_spec *s, const char *key,
                                  struct err *e) {
    const struct gguf_kv *kv = gguf_find(m->gguf, key);
    const bool array = kv->type == GGUF_ARRAY;
    if (!gguf_is_int(kv->elem) && !(kv->elem == GGUF_BOOL && s->high == 1))
        return wrong_type(key, kv, "an integer", e);
    if (array && !right_length(m, kv)) return wrong_length(m, key, kv, e);
    for (uint32_t il = 0; il < m->hp.n_layer; il++) {
        int64_t x = gguf_elem_int(kv, elem_of(kv, il));
        if (x < 0 || !in_range(s, (double)x)) return out_of_range(m, s, (double)x, e);
        *u32_at(&m->layers[il], s->offset) = (uint32_t)x;
    }
    return ST_OK;
}

static enum status read_sections(struct model *m, const struct hparam_spec *s, const char *key,
                                 struct err *e) {
    const struct gguf_kv *kv = gguf_find(m->gguf, key);
    if (kv->type != GGUF_ARRAY || !gguf_is_int(kv->elem))
        return wrong_type(key, kv, "an array of integers", e);
    if (kv->count < 1 || kv->count > 4)
        return err_set(e, ST_FORMAT, "key %s has wrong array length; expected 4, got %" PRIu64, key,
                       kv->count);
    for (uint64_t i = 0; i < kv->count; i++) {
        int64_t x = gguf_elem_int(kv, i);
        if (x < 0 || x > MAX_HEAD_DIM)
            return hparam_error(m, s->key, e, "has an entry of %" PRId64, x);
        m->hp.rope_sections[i] = (uint32_t)x;
    }
    return ST_OK;
}

/* Some keys are needed because of what another one says. */
static enum status not_found(const struct model *m, const struct hparam_spec *s, const char *key,
                             struct err *e) {
    char why[KEY_SIZE] = "";
    if (s->needed_by != NULL) hparam_list(m, s->needed_by, why, sizeof why);
    return err_set(e, ST_FORMAT, "key not found in model: %s%s%s%s", key, why[0] != 0 ? " (" : "",
                   why, why[0] != 0 ? ")" : "");
}

static enum status read_hparam(struct model *m, const struct hparam_spec *s, struct err *e) {
    char key[KEY_SIZE];
    void *to = (char *)&m->hp + s->offset;
    enum status st = ST_OK;
    double x = 0;
    if (gguf_find(m->gguf, full_key(m, s->key, key)) == NULL)
        return s->required ? not_found(m, s, key, e) : ST_OK;
    switch (s->kind) {
    case HP_U32:
        st = gguf_get_u32(m->gguf, key, to, e);
        if (st == ST_OK) x = *(uint32_t *)to;
        break;
    case HP_F32:
        st = gguf_get_f32(m->gguf, key, to, e);
        if (st == ST_OK) x = (double)*(float *)to;
        break;
    case HP_BOOL:
        return gguf_get_bool(m->gguf, key, to, e);
    case HP_LAYER_U32:
        return read_layer_u32(m, s, key, e);
    case HP_SECTIONS:
        return read_sections(m, s, key, e);
    }
    if (st == ST_OK && !in_range(s, x)) st = out_of_range(m, s, x, e);
    return st;
}

static enum status read_hparams(struct model *m, const struct hparam_spec *table, struct err *e) {
    enum status st = ST_OK;
    for (; st == ST_OK && table != NULL && table->key != NULL; table++)
        st = read_hparam(m, table, e);
    return st;
}

bool hparam_given(const struct model *m, const char *suffix) {
    char key[KEY_SIZE];
    return gguf_find(m->gguf, full_key(m, suffix, key)) != NULL;
}

static enum status read_norm_eps(struct model *m, struct err *e) {
    const struct hparam_spec s = {.key = m->arch->style.norm == NORM_LAYER
                                             ? "attention.layer_norm_epsilon"
                                             : "attention.layer_norm_rms_epsilon",
                                  .kind = HP_F32,
                                  .offset = offsetof(struct hparams, norm_eps),
                                  .required = true,
                                  .low = 0,
                                  .high = 1};
    if (!m->arch->style.layer_eps) return read_hparam(m, &s, e);
    struct hparam_spec layer = s, rms = s;
    layer.key = "attention.layer_norm_epsilon";
    rms.required = false;
    enum status st = read_hparam(m, &layer, e);
    return st == ST_OK ? read_hparam(m, &rms, e) : st;
}

static enum status read_rope_scaling(struct model *m, struct err *e) {
    static const char *const names[] = {"none", "linear", "yarn", "longrope"};
    char key[KEY_SIZE];
    struct gguf_str type;
    float factor = 0;
    m->hp.rope_scaling = ROPE_SCALING_LINEAR;
    enum status st = gguf_get_str(m->gguf, full_key(m, "rope.scaling.type", key), &type, e);
    if (st != ST_OK && st != ST_NOT_FOUND) return st;
    if (st == ST_OK) {
        size_t i = 0;
        while (i < 4 && !gguf_str_is(type, names[i])) i++;
        if (i == 4)
            return err_set(e, ST_UNSUPPORTED, "key %s: '%.*s' is not known", key,
                           (int)(type.len < 64 ? type.len : 64), type.ptr);
        m->hp.rope_scaling = (enum rope_scaling)i;
    }
    st = gguf_get_f32(m->gguf, full_key(m, "rope.scaling.factor", key), &factor, e);
    if (st == ST_NOT_FOUND) /* the old spelling */
        st = gguf_get_f32(m->gguf, full_key(m, "rope.scale_linear", key), &factor, e);
    if (st != ST_OK && st != ST_NOT_FOUND) return st;
    if (!(factor == 0 || (factor >= 1e-6f && factor <= 1e9f)))
        return err_set(e, ST_FORMAT, "key %s is %g, expected a positive number", key,
                       (double)factor);
    m->hp.rope_freq_scale = factor == 0 || m->hp.rope_scaling == ROPE_SCALING_NONE ? 1 : 1 / factor;
    return ST_OK;
}

/* Window layers by period, or by one flag for each layer. */
static enum status read_windows(struct model *m, struct err *e) {
    char key[KEY_SIZE];
    uint32_t period = m->arch->swa_period;
    const struct gguf_kv *kv =
        gguf_find(m->gguf, full_key(m, "attention.sliding_window_pattern", key));
    const bool array = kv != NULL && kv->type == GGUF_ARRAY;
    const bool flags = kv != NULL && (array || kv->elem == GGUF_BOOL || m->arch->style.swa_flags);
    if (period == 0 || m->hp.n_swa == 0) return ST_OK;
    if (kv != NULL && !gguf_is_int(kv->elem) && kv->elem != GGUF_BOOL)
        return wrong_type(key, kv, "integers or bools", e);
    if (array && !right_length(m, kv)) return wrong_length(m, key, kv, e);
    if (kv != NULL && !flags) {
        int64_t x = gguf_elem_int(kv, 0);
        if (x < 0 || x > UINT32_MAX) return err_set(e, ST_FORMAT, "key %s is %" PRId64, key, x);
        period = (uint32_t)x;
    }
    for (uint32_t il = 0; il < m->hp.n_layer; il++) {
        const uint32_t phase = period != 0 ? il % period : 0;
        const bool dense =
            period != 0 && phase == (m->arch->style.windows_dense_first ? 0 : period - 1);
        m->layers[il].window = flags ? gguf_elem_int(kv, elem_of(kv, il)) != 0 : !dense;
    }
    return ST_OK;
}

static enum status read_vocab_size(struct model *m, struct err *e) {
    const struct gguf_kv *tokens = gguf_find(m->gguf, "tokenizer.ggml.tokens");
    char key[KEY_SIZE];
    if (tokens != NULL && tokens->type == GGUF_ARRAY && tokens->count <= INT32_MAX) {
        m->hp.n_vocab = (uint32_t)tokens->count;
        return ST_OK;
    }
    enum status st = gguf_get_u32(m->gguf, full_key(m, "vocab_size", key), &m->hp.n_vocab, e);
    return st == ST_NOT_FOUND ? err_set(e, ST_FORMAT, "key not found in model: %s", key) : st;
}

/* ---- what follows from others -----------------------------------------------------------------
 */

static enum status derive_heads(struct model *m, struct err *e) {
    struct hparams *hp = &m->hp;
    uint32_t n_head = m->layers[0].n_head;
    bool needed = hp->head_dim == 0 || hp->head_dim_v == 0;
    for (uint32_t il = 0; m->arch->style.hybrid && n_head == 0 && il < hp->n_layer; il++)
        n_head = m->layers[il].n_head;
    if (m->arch->style.hybrid && n_head == 0) needed = false; /* no layer has attention */
    if (needed && (n_head == 0 || hp->n_embd % n_head != 0 || hp->n_embd / n_head > MAX_HEAD_DIM))
        return hparam_clash(m, "attention.head_count",
                            "embedding_length attention.key_length attention.value_length", e,
                            "is %u: the heads do not divide %u", n_head, hp->n_embd);
    if (needed && hp->head_dim == 0) hp->head_dim = hp->n_embd / n_head;
    if (needed && hp->head_dim_v == 0) hp->head_dim_v = hp->n_embd / n_head;
    if (hp->head_dim_swa == 0) hp->head_dim_swa = hp->head_dim;
    if (hp->head_dim_v_swa == 0) hp->head_dim_v_swa = hp->head_dim_v;
    if (!hparam_given(m, "rope.dimension_count")) hp->n_rot = hp->head_dim;
    if (!hparam_given(m, "rope.dimension_count_swa")) hp->n_rot_swa = hp->n_rot;
    if (hp->n_ctx_orig == 0) hp->n_ctx_orig = hp->n_ctx_train;
    return ST_OK;
}

void layer_size_heads(struct model *m, uint32_t il) {
    const struct hparams *hp = &m->hp;
    struct layer *l = &m->layers[il];
    l->head_dim = l->kv_dim_k = l->window ? hp->head_dim_swa : hp->head_dim;
    l->head_dim_v = l->kv_dim_v = l->window ? hp->head_dim_v_swa : hp->head_dim_v;
    l->n_rot = l->window ? hp->n_rot_swa : hp->n_rot;
    l->rope = l->n_rot != 0;
}

static void derive_layers(struct model *m) {
    const struct hparams *hp = &m->hp;
    const bool kv_given = hparam_given(m, "attention.head_count_kv");
    for (uint32_t il = 0; il < hp->n_layer; il++) {
        struct layer *l = &m->layers[il];
        if (!kv_given) l->n_head_kv = l->n_head;
        if (l->mtp) l->window = false;
        l->kv_layer = il;
        layer_size_heads(m, il);
        l->moe = hp->n_expert != 0 && il >= hp->n_leading_dense && (il + 1) % hp->moe_step == 0;
        if (l->n_ff_exp == 0) l->n_ff_exp = l->n_ff;
    }
}

/* ---- checks -----------------------------------------------------------------------------------
 */

static enum status check_experts(const struct model *m, struct err *e) {
    const struct hparams *hp = &m->hp;
    if (hp->n_expert == 0) return ST_OK;
    if (hp->n_expert_used == 0 || hp->n_expert_used > hp->n_expert)
        return hparam_clash(m, "expert_used_count", "expert_count", e, "is %u, expected 1 to %u",
                            hp->n_expert_used, hp->n_expert);
    if (hp->gating > MOE_SQRT_SOFTPLUS)
        return hparam_error(m, "expert_gating_func", e, "is %u, expected 1 to 4", hp->gating);
    if (hp->n_group <= 1) return ST_OK;
    if (hp->n_expert % hp->n_group != 0)
        return hparam_clash(m, "expert_group_count", "expert_count", e,
                            "is %u, which does not divide %u experts", hp->n_group, hp->n_expert);
    if (hp->n_group_used == 0 || hp->n_group_used > hp->n_group ||
        hp->n_group_used * (hp->n_expert / hp->n_group) < hp->n_expert_used)
        return hparam_clash(m, "expert_group_used_count",
                            "expert_group_count expert_count expert_used_count", e,
                            "is %u: too few or too many of %u", hp->n_group_used, hp->n_group);
    return ST_OK;
}

static enum status check_heads(const struct model *m, uint32_t il, struct err *e) {
    const struct layer *l = &m->layers[il];
    if (m->arch->style.hybrid && l->n_head_kv == 0) return ST_OK;
    if (l->n_head == 0)
        return hparam_error(m, "attention.head_count", e, "is 0 for layer %u: no heads", il);
    if (l->n_head_kv == 0 || l->n_head % l->n_head_kv != 0)
        return hparam_clash(m, "attention.head_count_kv", "attention.head_count", e,
                            "is %u for layer %u, which does not divide %u heads", l->n_head_kv, il,
                            l->n_head);
    if (l->n_rot > l->head_dim)
        return hparam_clash(m, l->window ? "rope.dimension_count_swa" : "rope.dimension_count",
                            "rope.dimension_count attention.key_length attention.key_length_swa "
                            "embedding_length attention.head_count",
                            e, "is %u, expected 0 to %u", l->n_rot, l->head_dim);
    return ST_OK;
}

static enum status check_layer(const struct model *m, uint32_t il, struct err *e) {
    const struct layer *l = &m->layers[il];
    const struct hparams *hp = &m->hp;
    enum status st = check_heads(m, il, e);
    if (st != ST_OK || l->no_ffn) return st;
    if (!l->moe && l->n_ff == 0)
        return hparam_clash(m, "feed_forward_length", "expert_count", e, "is 0 for layer %u", il);
    if (l->moe && (l->n_ff_exp == 0 || l->n_ff_exp > (1u << 30) / hp->n_expert_used))
        return hparam_clash(m, "expert_feed_forward_length",
                            "feed_forward_length expert_used_count", e, "is %u for layer %u",
                            l->n_ff_exp, il);
    return ST_OK;
}

static enum status check_all(const struct model *m, struct err *e) {
    enum status st = check_experts(m, e);
    for (uint32_t il = 0; st == ST_OK && il < m->hp.n_layer; il++) st = check_layer(m, il, e);
    return st;
}

/* ---- the whole --------------------------------------------------------------------------------
 */

/* Tables in their order: later ones need what earlier ones say. */
static enum status read_all(struct model *m, struct err *e) {
    struct hparam_spec used = HP_RANGE("expert_used_count", HP_U32, n_expert_used, 0, MAX_EXPERT);
    enum status st = read_hparams(m, common_hparams, e);
    used.required = m->hp.n_expert != 0;
    used.needed_by = "expert_count";
    if (st == ST_OK) st = read_hparam(m, &used, e);
    if (st == ST_OK) st = read_hparams(m, common_layer_hparams, e);
    if (st == ST_OK) st = read_norm_eps(m, e);
    if (st == ST_OK) st = read_hparams(m, m->arch->hparams, e);
    if (st == ST_OK) st = read_hparams(m, m->arch->layer_hparams, e);
    if (st == ST_OK) st = read_rope_scaling(m, e);
    if (st == ST_OK) st = read_windows(m, e);
    if (st == ST_OK) st = read_vocab_size(m, e);
    return st;
}

/* Many files tell of such blocks but have left them out. */
static bool has_mtp(const struct model *m) {
    char name[64];
    snprintf(name, sizeof name, "blk.%u.nextn.eh_proj.weight", m->hp.n_layer);
    return m->arch->style.mtp && m->hp.n_nextn != 0 && gguf_find_tensor(m->gguf, name) != NULL;
}

static enum status make_layers(struct model *m, struct err *e) {
    struct hparams *hp = &m->hp;
    if (hp->n_nextn >= hp->n_block)
        return hparam_clash(m, "nextn_predict_layers", "block_count", e, "is %u of %u blocks",
                            hp->n_nextn, hp->n_block);
    hp->n_layer = hp->n_block - hp->n_nextn;
    hp->n_mtp = m->wants_mtp && has_mtp(m) ? 1 : 0;
    m->layers = arena_zalloc(&m->arena, hp->n_layer + hp->n_mtp, sizeof *m->layers);
    if (m->layers == NULL) return err_no_memory(e);
    /* What is read and derived of layers is for this one, too, until all is done. */
    hp->n_layer += hp->n_mtp;
    if (hp->n_mtp != 0) m->layers[hp->n_layer - 1].mtp = true;
    return ST_OK;
}

enum status hparams_load(struct model *m, struct err *e) {
    m->hp = (struct hparams){.rope_base = 10000,
                             .rope_attn_factor = 1,
                             .rope_freq_scale = 1,
                             .yarn_beta_fast = 32,
                             .yarn_beta_slow = 1,
                             .yarn_mscale = 1,
                             .moe_step = 1,
                             .causal = true,
                             .norm_weights = m->arch->style.norm_weights};
    if (m->arch->defaults != NULL) m->arch->defaults(&m->hp);
    enum status st = read_hparams(m, first_hparams, e);
    if (st == ST_OK) st = make_layers(m, e);
    if (st == ST_OK) st = read_all(m, e);
    if (st == ST_OK) st = derive_heads(m, e);
    if (st != ST_OK) return st;
    if (m->hp.gating == 0) m->hp.gating = m->arch->style.gating;
    if (m->hp.gating == 0) m->hp.gating = MOE_SOFTMAX;
    if (m->hp.moe_step == 0) m->hp.moe_step = 1;
    if (m->arch->style.scale_embd) m->hp.embd_scale = sqrtf((float)m->hp.n_embd);
    derive_layers(m);
    if (m->arch->derive != NULL) st = m->arch->derive(m, e);
    if (st == ST_OK) st = check_all(m, e);
    m->hp.n_layer -= m->hp.n_mtp;
    return st;
}
