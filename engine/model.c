/* model.c - from a checked GGUF file to a model: hyperparameters, then tensors, by the tables of
 * the architecture (model.h). */
#include "engine/model.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define ARCH(symbol) extern const struct arch arch_##symbol;
#include "engine/arch/list.def"
#undef ARCH

const struct arch *const archs[] = {
#define ARCH(symbol) &arch_##symbol,
#include "engine/arch/list.def"
#undef ARCH
    NULL,
};

/* ---- hyperparameters ------------------------------------------------------------------------- */

/* Keys that every architecture has (spec/models/common.md 1). */
static const struct hparam_spec common_hparams[] = {
    HP_REQUIRED("context_length", HP_U32, n_ctx_train),
    HP_REQUIRED("embedding_length", HP_U32, n_embd),
    HP_REQUIRED("block_count", HP_U32, n_block),
    HP("nextn_predict_layers", HP_U32, n_nextn),
    HP("attention.key_length", HP_U32, head_dim),
    HP("attention.value_length", HP_U32, head_dim_v),
    HP("rope.dimension_count", HP_U32, n_rot),
    HP("rope.freq_base", HP_F32, rope_base),
    HP("rope.scaling.attn_factor", HP_F32, rope_attn_factor),
    HP("rope.scaling.original_context_length", HP_U32, n_ctx_orig),
    HP("expert_count", HP_U32, n_expert),
    HP("expert_used_count", HP_U32, n_expert_used),
    HP("pooling_type", HP_U32, pooling),
    {0},
};
static const struct hparam_spec common_layer_hparams[] = {
    {.key = "attention.head_count",
     .kind = HP_LAYER_U32,
     .offset = offsetof(struct layer, n_head),
     .required = true},
    {.key = "attention.head_count_kv",
     .kind = HP_LAYER_U32,
     .offset = offsetof(struct layer, n_head_kv)},
    {.key = "feed_forward_length", .kind = HP_LAYER_U32, .offset = offsetof(struct layer, n_ff)},
    {0},
};

enum { KEY_SIZE = 192 };
static const char *full_key(const struct model *m, const char *suffix, char out[KEY_SIZE]) {
    snprintf(out, KEY_SIZE, "%s.%s", m->arch->name, suffix);
    return out;
}

static uint32_t *u32_at(void *base, size_t offset) {
    return (uint32_t *)(void *)((char *)base + offset);
}

/* A scalar for all layers, or an array with one entry for each block. */
static enum status read_layer_u32(struct model *m, const char *key, size_t offset, struct err *e) {
    const struct gguf_kv *kv = gguf_find(m->gguf, key);
    if (!gguf_is_int(kv->elem))
        return err_set(e, ST_FORMAT, "key %s has type %s, expected an integer", key,
                       gguf_type_name(kv->elem));
    if (kv->type == GGUF_ARRAY && kv->count < m->hp.n_layer)
        return err_set(e, ST_FORMAT, "key %s has wrong array length; expected %u, got %" PRIu64,
                       key, m->hp.n_block, kv->count);
    for (uint32_t il = 0; il < m->hp.n_layer; il++) {
        int64_t x = gguf_elem_int(kv, kv->type == GGUF_ARRAY ? il : 0);
        if (x < 0 || x > UINT32_MAX)
            return err_set(e, ST_FORMAT, "key %s: %" PRId64 " is out of range", key, x);
        *u32_at(&m->layers[il], offset) = (uint32_t)x;
    }
    return ST_OK;
}

static enum status read_hparam(struct model *m, const struct hparam_spec *s, struct err *e) {
    char key[KEY_SIZE];
    if (gguf_find(m->gguf, full_key(m, s->key, key)) == NULL)
        return s->required ? err_set(e, ST_FORMAT, "key not found in model: %s", key) : ST_OK;
    switch (s->kind) {
    case HP_U32:
        return gguf_get_u32(m->gguf, key, u32_at(&m->hp, s->offset), e);
    case HP_F32:
        return gguf_get_f32(m->gguf, key, (float *)(void *)((char *)&m->hp + s->offset), e);
    case HP_LAYER_U32:
        return read_layer_u32(m, key, s->offset, e);
    }
    return ST_OK;
}

static enum status read_hparams(struct model *m, const struct hparam_spec *table, struct err *e) {
    for (; table->key != NULL; table++) {
        enum status st = read_hparam(m, table, e);
        if (st != ST_OK) return st;
    }
    return ST_OK;
}

static enum status check_range(const char *what, uint32_t x, uint32_t low, uint32_t high,
                               struct err *e) {
    if (x >= low && x <= high) return ST_OK;
    return err_set(e, ST_FORMAT, "%s is %u, expected %u to %u", what, x, low, high);
}

static bool text_is(struct gguf_str s, const char *text) {
    return s.len == strlen(text) && memcmp(s.ptr, text, s.len) == 0;
}

static enum status read_rope_scaling(struct model *m, struct err *e) {
    static const char *const names[] = {"none", "linear", "yarn", "longrope"};
    char key[KEY_SIZE];
    struct gguf_str type;
    float factor = 0;
    m->hp.rope_scaling = ROPE_SCALING_LINEAR;
    if (gguf_get_str(m->gguf, full_key(m, "rope.scaling.type", key), &type, NULL) == ST_OK) {
        size_t i = 0;
        while (i < 4 && !text_is(type, names[i])) i++;
        if (i == 4)
            return err_set(e, ST_UNSUPPORTED, "key %s: '%.*s' is not known", key, (int)type.len,
                           type.ptr);
        m->hp.rope_scaling = (enum rope_scaling)i;
    }
    enum status st = gguf_get_f32(m->gguf, full_key(m, "rope.scaling.factor", key), &factor, e);
    if (st == ST_NOT_FOUND) /* the old spelling */
        st = gguf_get_f32(m->gguf, full_key(m, "rope.scale_linear", key), &factor, e);
    if (st != ST_OK && st != ST_NOT_FOUND) return st;
    m->hp.rope_freq_scale = factor == 0 || m->hp.rope_scaling == ROPE_SCALING_NONE ? 1 : 1 / factor;
    return ST_OK;
}

/* Window layers by period ("dense last"), or by one flag for each layer. */
static enum status read_windows(struct model *m, struct err *e) {
    char key[KEY_SIZE];
    uint32_t period = m->arch->swa_period;
    const struct gguf_kv *kv =
        gguf_find(m->gguf, full_key(m, "attention.sliding_window_pattern", key));
    bool flags = kv != NULL && kv->type == GGUF_ARRAY;
    if (period == 0 || m->hp.n_swa == 0) return ST_OK;
    if (kv != NULL && !gguf_is_int(kv->elem) && kv->elem != GGUF_BOOL)
        return err_set(e, ST_FORMAT, "key %s has type %s, expected integers or bools", key,
                       gguf_type_name(kv->elem));
    if (flags && kv->count < m->hp.n_layer)
        return err_set(e, ST_FORMAT, "key %s has wrong array length; expected %u, got %" PRIu64,
                       key, m->hp.n_block, kv->count);
    if (kv != NULL && !flags) period = (uint32_t)gguf_elem_int(kv, 0);
    for (uint32_t il = 0; il < m->hp.n_layer; il++)
        m->layers[il].window =
            flags ? gguf_elem_int(kv, il) != 0 : period == 0 || il % period < period - 1;
    return ST_OK;
}

/* Values that default to others, and the checks that make all later arithmetic safe. */
static enum status derive_hparams(struct model *m, struct err *e) {
    struct hparams *hp = &m->hp;
    const uint32_t n_head0 = m->layers[0].n_head;
    if (n_head0 == 0 || (hp->head_dim == 0 && hp->n_embd % n_head0 != 0))
        return err_set(e, ST_FORMAT, "%u heads do not divide n_embd %u", n_head0, hp->n_embd);
    if (hp->head_dim == 0) hp->head_dim = hp->n_embd / n_head0;
    if (hp->head_dim_v == 0) hp->head_dim_v = hp->n_embd / n_head0;
    if (hp->n_rot == 0) hp->n_rot = hp->head_dim;
    if (hp->n_ctx_orig == 0) hp->n_ctx_orig = hp->n_ctx_train;
    enum status st = check_range("head size", hp->head_dim, 1, 4096, e);
    if (st == ST_OK) st = check_range("value head size", hp->head_dim_v, 1, 4096, e);
    if (st == ST_OK) st = check_range("rope.dimension_count", hp->n_rot, 0, hp->head_dim, e);
    if (st == ST_OK && hp->n_expert != 0)
        st = check_range("expert_used_count", hp->n_expert_used, 1, hp->n_expert, e);
    if (st == ST_OK) st = check_range("expert_count", hp->n_expert, 0, 1024, e);
    if (st == ST_OK &&
        !(hp->rope_base > 0 && isfinite(hp->rope_base) && isfinite(hp->rope_freq_scale)))
        st = err_set(e, ST_FORMAT, "rope base or scaling factor is no positive number");
    for (uint32_t il = 0; st == ST_OK && il < hp->n_layer; il++) {
        struct layer *l = &m->layers[il];
        if (l->n_head_kv == 0) l->n_head_kv = l->n_head;
        if (l->n_head == 0 || l->n_head > 65536 || l->n_head % l->n_head_kv != 0)
            st = err_set(e, ST_FORMAT, "layer %u: %u heads on %u key/value heads", il, l->n_head,
                         l->n_head_kv);
        else
            st = check_range("feed_forward_length", l->n_ff, 1, 1u << 24, e);
    }
    return st;
}

static enum status load_hparams(struct model *m, struct err *e) {
    struct hparams *hp = &m->hp;
    *hp = (struct hparams){.rope_base = 10000, .rope_attn_factor = 1, .rope_freq_scale = 1};
    enum status st = read_hparams(m, common_hparams, e);
    if (st == ST_OK) st = check_range("block_count", hp->n_block, 1, MAX_LAYER, e);
    if (st == ST_OK) st = check_range("nextn_predict_layers", hp->n_nextn, 0, hp->n_block - 1, e);
    if (st == ST_OK) st = check_range("embedding_length", hp->n_embd, 1, 1u << 20, e);
    if (st == ST_OK) st = check_range("context_length", hp->n_ctx_train, 1, 1u << 30, e);
    if (st != ST_OK) return st;
    hp->n_layer = hp->n_block - hp->n_nextn;
    m->layers = arena_zalloc(&m->arena, hp->n_layer, sizeof *m->layers);
    if (m->layers == NULL) return err_no_memory(e);
    st = read_hparams(m, common_layer_hparams, e);
    if (st == ST_OK) st = read_hparams(m, m->arch->hparams, e);
    if (st == ST_OK) st = read_rope_scaling(m, e);
    if (st == ST_OK) st = read_windows(m, e);
    if (st == ST_OK) st = derive_hparams(m, e);
    const struct gguf_kv *tokens = gguf_find(m->gguf, "tokenizer.ggml.tokens");
    char key[KEY_SIZE];
    if (tokens != NULL && tokens->type == GGUF_ARRAY && tokens->count <= INT32_MAX)
        hp->n_vocab = (uint32_t)tokens->count;
    else if (st == ST_OK)
        st = gguf_get_u32(m->gguf, full_key(m, "vocab_size", key), &hp->n_vocab, e);
    if (st == ST_OK && m->arch->derive != NULL) st = m->arch->derive(m, e);
    return st;
}

/* ---- tensors --------------------------------------------------------------------------------- */

/* The value of a dimension's name for layer l (NULL: outside of the blocks). */
static int64_t dim_value(const struct model *m, const struct layer *l, const char *name,
                         size_t len) {
    const struct hparams *hp = &m->hp;
    const struct {
        const char *name;
        int64_t value;
    } dims[] = {
        {"n_embd", hp->n_embd},
        {"n_vocab", hp->n_vocab},
        {"head_dim", hp->head_dim},
        {"n_rot/2", hp->n_rot / 2},
        {"n_expert", hp->n_expert},
        {"*", -1},
        {"n_ff", l != NULL ? l->n_ff : 0},
        {"q_dim", l != NULL ? (int64_t)l->n_head * hp->head_dim : 0},
        {"k_dim", l != NULL ? (int64_t)l->n_head_kv * hp->head_dim : 0},
        {"v_dim", l != NULL ? (int64_t)l->n_head_kv * hp->head_dim_v : 0},
        {"o_dim", l != NULL ? (int64_t)l->n_head * hp->head_dim_v : 0},
        {"qkv_dim", l != NULL ? ((int64_t)l->n_head + l->n_head_kv) * hp->head_dim +
                                    (int64_t)l->n_head_kv * hp->head_dim_v
                              : 0},
    };
    for (size_t i = 0; i < sizeof dims / sizeof dims[0]; i++)
        if (strlen(dims[i].name) == len && memcmp(dims[i].name, name, len) == 0)
            return dims[i].value;
    abort(); /* a table names a dimension that does not exist: our mistake */
}

static enum status check_shape(const struct model *m, const struct layer *l,
                               const struct gguf_tensor *t, const char *dims, const char *name,
                               struct err *e) {
    const char *p = dims;
    bool ok = true;
    for (int i = 0; i < 4; i++) {
        size_t len = strcspn(p, ",");
        int64_t want = len != 0 ? dim_value(m, l, p, len) : 1;
        ok = ok && (want == -1 || t->dim[i] == want);
        p += len + (p[len] == ',');
    }
    if (ok) return ST_OK;
    return err_set(e, ST_FORMAT,
                   "tensor '%s' has wrong shape {%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64
                   "}, expected {%s}",
                   name, t->dim[0], t->dim[1], t->dim[2], t->dim[3], dims);
}

/* Vectors (norms, biases, factors) are copied: kernels may take them as aligned floats. */
static void *copy_vector(struct model *m, const struct gguf_tensor *t) {
    void *p = arena_alloc(&m->arena, t->size);
    if (p != NULL) memcpy(p, t->data, t->size);
    return p;
}

static void *upload(struct model *m, const void *data, size_t size, struct err *e) {
    void **list = mem_grow(m->dev_mem, m->n_dev_mem + 1, sizeof *list);
    if (list == NULL) return NULL;
    m->dev_mem = list;
    void *p = m->dev->backend->alloc(m->dev, size);
    if (p == NULL) return NULL;
    m->dev_mem[m->n_dev_mem++] = p;
    return m->dev->backend->upload(m->dev, p, data, size, e) == ST_OK ? p : NULL;
}

static enum status make_tensor(struct model *m, const struct gguf_tensor *g, const char *name,
                               struct tensor **out, struct err *e) {
    bool vector = g->dim[1] == 1 && g->dim[2] == 1 && g->dim[3] == 1 && g->n_dims <= 1;
    if (vector && g->type != DT_F32)
        return err_set(e, ST_UNSUPPORTED, "tensor '%s': vectors must be F32, not %s", name,
                       dtype_info(g->type)->name);
    if (dtype_info(g->type)->decode == NULL)
        return err_set(e, ST_UNSUPPORTED, "tensor '%s': type %s cannot be computed with", name,
                       dtype_info(g->type)->name);
    struct tensor *t = arena_zalloc(&m->arena, 1, sizeof *t);
    if (t == NULL) return err_no_memory(e);
    m->weights_bytes += tensor_shape(t, g->type, g->dim);
    t->name = arena_strndup(&m->arena, name, strlen(name));
    if (!m->dev->uses_host_memory)
        t->data = upload(m, g->data, g->size, e);
    else
        t->data = vector ? copy_vector(m, g) : (void *)(uintptr_t)g->data;
    if (t->name == NULL || t->data == NULL) return err_no_memory(e);
    *out = t;
    return ST_OK;
}

static enum status load_tensor(struct model *m, struct layer *l, uint32_t il,
                               const struct tensor_spec *s, struct err *e) {
    char *base = l != NULL ? (char *)l : (char *)m, name[64];
    const struct tensor **slot = (const struct tensor **)(void *)(base + s->offset);
    struct tensor *made = NULL;
    if ((s->flags & TENSOR_MOE) != 0 && m->hp.n_expert == 0) return ST_OK;
    if ((s->flags & TENSOR_DENSE) != 0 && m->hp.n_expert != 0) return ST_OK;
    if (l != NULL)
        snprintf(name, sizeof name, "blk.%u.%s", il, s->name);
    else
        snprintf(name, sizeof name, "%s", s->name);
    const struct gguf_tensor *g = gguf_find_tensor(m->gguf, name);
    if (g == NULL) {
        bool replaced = s->unless != 0 && *(void **)(void *)(base + s->unless) != NULL;
        if ((s->flags & TENSOR_OPTIONAL) != 0 || replaced) return ST_OK;
        return err_set(e, ST_FORMAT, "missing tensor '%s'", name);
    }
    enum status st = check_shape(m, l, g, s->dims, name, e);
    if (st == ST_OK) st = make_tensor(m, g, name, &made, e);
    if (st == ST_OK) *slot = made;
    return st;
}

/* Part of a joined bias: the n floats of layer il's tensor, zeros where there is none. Taken from
 * the file: the tensor itself may be in a device's memory. */
static float *join_bias(const struct model *m, uint32_t il, const char *suffix, float *to,
                        int64_t n) {
    char name[64];
    snprintf(name, sizeof name, "blk.%u.%s", il, suffix);
    const struct gguf_tensor *g = gguf_find_tensor(m->gguf, name);
    if (g != NULL) memcpy(to, g->data, (size_t)n * sizeof *to); /* shape and type were checked */
    return to + n;
}

/* A fused attn_qkv.weight may come with the biases of q, k and v on their own: one vector of them.
 */
static enum status join_qkv_bias(struct model *m, uint32_t il, struct err *e) {
    struct layer *l = &m->layers[il];
    if (l->wqkv == NULL || l->wqkv_b != NULL) return ST_OK;
    if (l->wq_b == NULL && l->wk_b == NULL && l->wv_b == NULL) return ST_OK;
    const int64_t q = (int64_t)l->n_head * m->hp.head_dim, n = l->wqkv->dim[1];
    const int64_t k = (int64_t)l->n_head_kv * m->hp.head_dim;
    struct tensor *t = arena_zalloc(&m->arena, 1, sizeof *t);
    float *data = arena_zalloc(&m->arena, (size_t)n, sizeof *data), *to = data;
    if (t == NULL || data == NULL) return err_no_memory(e);
    to = join_bias(m, il, "attn_q.bias", to, q);
    to = join_bias(m, il, "attn_k.bias", to, k);
    join_bias(m, il, "attn_v.bias", to, n - q - k);
    tensor_shape(t, DT_F32, (const int64_t[4]){n, 1, 1, 1});
    t->name = "attn_qkv.bias";
    t->data = m->dev->uses_host_memory ? data : upload(m, data, (size_t)n * sizeof *data, e);
    l->wqkv_b = t;
    return t->data != NULL ? ST_OK : err_no_memory(e);
}

static enum status load_tensors(struct model *m, struct err *e) {
    enum status st = ST_OK;
    for (const struct tensor_spec *s = m->arch->globals; st == ST_OK && s->name != NULL; s++)
        st = load_tensor(m, NULL, 0, s, e);
    for (uint32_t il = 0; st == ST_OK && il < m->hp.n_layer; il++) {
        for (const struct tensor_spec *s = m->arch->blocks; st == ST_OK && s->name != NULL; s++)
            st = load_tensor(m, &m->layers[il], il, s, e);
        if (st == ST_OK) st = join_qkv_bias(m, il, e);
    }
    if (m->output == NULL) m->output = m->token_embd; /* tied */
    return st;
}

/* ---- the whole ---------------------------------------------------------------------------------
 */

static enum status find_arch(struct model *m, struct err *e) {
    struct gguf_str name = {"", 0};
    enum status st = gguf_get_str(m->gguf, "general.architecture", &name, e);
    if (st != ST_OK && st != ST_NOT_FOUND) return st;
    for (const struct arch *const *a = archs; *a != NULL; a++) {
        if (!text_is(name, (*a)->name)) continue;
        m->arch = *a;
        return ST_OK;
    }
    return err_set(e, ST_UNSUPPORTED, "unknown model architecture: '%.*s'",
                   (int)(name.len < 64 ? name.len : 64), name.ptr);
}

enum status model_load(struct model **out, struct gguf *g, struct device *dev, struct err *e) {
    struct model *m = mem_zalloc(1, sizeof *m);
    if (m == NULL) {
        gguf_close(g);
        return err_no_memory(e);
    }
    m->gguf = g;
    m->dev = dev;
    enum status st = find_arch(m, e);
    if (st == ST_OK) st = load_hparams(m, e);
    if (st == ST_OK) st = load_tensors(m, e);
    if (st != ST_OK) {
        err_wrap(e, "%s", gguf_label(g));
        model_free(m);
        return st;
    }
    *out = m;
    return ST_OK;
}

void model_free(struct model *m) {
    if (m == NULL) return;
    for (size_t i = 0; i < m->n_dev_mem; i++) m->dev->backend->release(m->dev, m->dev_mem[i]);
    mem_free(m->dev_mem);
    arena_free(&m->arena);
    gguf_close(m->gguf);
    mem_free(m);
}
