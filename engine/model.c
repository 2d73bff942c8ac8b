/* model.c - from a checked GGUF file to a model: its architecture, and the tensors by the tables of
 * that (model.h); hyperparameters are in hparams.c. */
#include "engine/model.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "engine/legacy.h"

#define ARCH(symbol) extern const struct arch arch_##symbol;
#include "engine/arch/list.def"
#undef ARCH

const struct arch *const archs[] = {
#define ARCH(symbol) &arch_##symbol,
#include "engine/arch/list.def"
#undef ARCH
    NULL,
};

/* ---- shapes ---------------------------------------------------------------------------------- */

enum { MAX_HEAD_OUT = 1 << 20 }; /* labels, or elements of a projection */
enum { DIM_ANY = -1, TENSOR_NAME = 64 };

struct dim {
    const char *name;
    int64_t value;
    const char *keys; /* that it follows from, behind "<arch>."; NULL: it is a constant */
};

#define HEADS "attention.head_count"
#define HEADS_KV "attention.head_count_kv"
#define DIM_K "attention.key_length"
#define DIM_V "attention.value_length"
#define MLA_K "attention.key_length_mla"
#define MLA_V "attention.value_length_mla"
#define KV_RANK "attention.kv_lora_rank"
#define ROT "rope.dimension_count"
#define SWA_SIZES                                                                                  \
    "attention.key_length_swa attention.value_length_swa attention.sliding_window "                \
    "attention.sliding_window_pattern"
#define SSM_SIZES "ssm.inner_size ssm.state_size ssm.group_count"

/* A dimension by its name, for layer l (outside of the blocks: a layer of zeros). */
static struct dim find_dim(const struct model *m, const struct layer *l, const char *name,
                           size_t len) {
    const struct hparams *hp = &m->hp;
    const int64_t q = (int64_t)l->n_head * l->head_dim, k = (int64_t)l->n_head_kv * l->head_dim;
    const int64_t v = (int64_t)l->n_head_kv * l->head_dim_v;
    const int64_t D = hp->ssm_inner, N = hp->ssm_state, R = hp->ssm_rank, G = hp->ssm_group;
    const int64_t nope = (int64_t)hp->mla_dim_k - hp->n_rot; /* of an MLA key */
    const struct dim dims[] = {
        {"n_embd", hp->n_embd, "embedding_length"},
        {"n_vocab", hp->n_vocab, "vocab_size"},
        {"n_ctx_train", hp->n_ctx_train, "context_length"},
        {"head_dim", l->head_dim, DIM_K},
        {"n_head", l->n_head, HEADS},
        {"n_head_kv", l->n_head_kv, HEADS_KV},
        {"n_rot/2", hp->n_rot / 2, ROT " " DIM_K},
        {"*", DIM_ANY, NULL},
        {"q_dim", q, HEADS " " DIM_K},
        {"k_dim", k, HEADS_KV " " DIM_K},
        {"v_dim", v, HEADS_KV " " DIM_V},
        {"o_dim", (int64_t)l->n_head * l->head_dim_v, HEADS " " DIM_V},
        {"qkv_dim", q + k + v, HEADS " " HEADS_KV " " DIM_K " " DIM_V},
        {"n_ff", l->n_ff, "feed_forward_length"},
        {"n_ff_up", l->ffn_gate != NULL ? l->n_ff : 2 * (int64_t)l->n_ff,
         "feed_forward_length"}, /* fused: both halves */
        {"n_expert", hp->n_expert, "expert_count"},
        {"n_bucket", hp->n_bucket, "attention.relative_buckets_count"},
        {"n_ff_exp", l->n_ff_exp,
         "expert_feed_forward_length feed_forward_length expert_used_count"},
        {"2*n_ff_exp", 2 * (int64_t)l->n_ff_exp,
         "expert_feed_forward_length feed_forward_length expert_used_count"},
        {"n_ff_shared", l->n_ff_shared, "expert_shared_feed_forward_length expert_shared_count"},
        {"q_rank", hp->q_rank, "attention.q_lora_rank"},
        {"kv_rank", hp->kv_rank, KV_RANK},
        {"kv_rank+rot", (int64_t)hp->kv_rank + hp->n_rot, KV_RANK " " ROT},
        {"mla_q_dim", (int64_t)l->n_head * hp->mla_dim_k, HEADS " " MLA_K " " DIM_K},
        {"mla_o_dim", (int64_t)l->n_head * hp->mla_dim_v, HEADS " " MLA_V},
        {"mla_kv_dim", (int64_t)l->n_head * (nope + hp->mla_dim_v),
         HEADS " " DIM_K " " DIM_V " " ROT},
        {"mla_nope", nope, MLA_K " " ROT},
        {"mla_dim_v", hp->mla_dim_v, MLA_V},
        {"n_index_head", hp->n_index_head, "attention.indexer.head_count"},
        {"index_dim", hp->index_dim, "attention.indexer.key_length"},
        {"index_q_dim", (int64_t)hp->n_index_head * hp->index_dim,
         "attention.indexer.head_count attention.indexer.key_length"},
        {"n_embd_layer", hp->n_embd_layer, "embedding_length_per_layer_input"},
        {"n_embd_layers", (int64_t)hp->n_embd_layer * hp->n_layer,
         "embedding_length_per_layer_input block_count nextn_predict_layers"},
        {"2*q_dim", 2 * q, HEADS " " DIM_K},
        {"2*n_embd", 2 * (int64_t)hp->n_embd, "embedding_length"},
        {"3*n_embd", 3 * (int64_t)hp->n_embd, "embedding_length"},
        {"n_expert_in", hp->n_latent != 0 ? hp->n_latent : hp->n_embd,
         "embedding_length moe_latent_size"},
        {"n_latent", hp->n_latent, "moe_latent_size"},
        {"ssm_conv", hp->ssm_conv, "ssm.conv_kernel shortconv.l_cache"},
        {"ssm_inner", D, "ssm.inner_size"},
        {"2*ssm_inner", 2 * D, "ssm.inner_size"},
        {"ssm_state", N, "ssm.state_size"},
        {"ssm_rank", R, "ssm.time_step_rank"},
        {"2*ssm_rank", 2 * R, "ssm.time_step_rank"},
        {"ssm_x", R + 2 * N, "ssm.time_step_rank ssm.state_size"}, /* mamba: [dt | B | C] */
        {"ssm_group", G, "ssm.group_count"},
        {"ssm_piece", G != 0 ? D / G : D,
         "ssm.inner_size ssm.group_count"},      /* mamba2: columns of a group */
        {"ssm2_conv", D + 2 * G * N, SSM_SIZES}, /* [x | B | C] */
        {"ssm2_in", 2 * D + 2 * G * N + R,
         SSM_SIZES " ssm.time_step_rank"},        /* [z | x | B | C | dt] */
        {"delta_conv", 2 * G * N + D, SSM_SIZES}, /* delta rule: [q | k | v] */
        {"delta_in", 2 * G * N + 2 * D, SSM_SIZES},
        {"kda_dim", hp->kda_dim, "kda.head_dim"},
        {"kda_dims", (int64_t)l->n_head * hp->kda_dim, HEADS " kda.head_dim"},
        {"1", 1, NULL},
        {"3", 3, NULL},
        {"4", 4, NULL},
        {"16", 16, NULL},
        {"64", 64, NULL},
    };
    for (size_t i = 0; i < sizeof dims / sizeof dims[0]; i++)
        if (strlen(dims[i].name) == len && memcmp(dims[i].name, name, len) == 0) return dims[i];
    abort(); /* a table names a dimension that does not exist: our mistake */
}

static bool same_shape(const struct gguf_tensor *t, const int64_t want[4]) {
    for (int i = 0; i < 4; i++)
        if (want[i] != DIM_ANY && t->dim[i] != want[i]) return false;
    return true;
}

/* The keys that make a block have a tensor of these flags. */
static const char *keys_of(unsigned flags) {
    static const struct {
        unsigned flags;
        const char *keys;
    } table[] = {{TENSOR_SHARED, "expert_shared_count expert_shared_feed_forward_length"},
                 {TENSOR_INDEX, "attention.indexer.types"},
                 {TENSOR_PLE, "embedding_length_per_layer_input"},
                 {TENSOR_LATENT | TENSOR_HEADS, MLA_K " " MLA_V},
                 {TENSOR_LOW_Q | TENSOR_FULL_Q, "attention.q_lora_rank"},
                 {TENSOR_SHORT, "moe_latent_size"},
                 {TENSOR_KV, "attention.shared_kv_layers"},
                 {TENSOR_DENSE | TENSOR_MOE,
                  "expert_count leading_dense_block_count interleave_moe_layer_step "
                  "moe_every_n_layers feed_forward_length"},
                 {TENSOR_ATTN | TENSOR_RECURRENT,
                  HEADS_KV " full_attention_interval attention.recurrent_layers "
                           "feed_forward_length"}};
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if ((flags & table[i].flags) != 0) return table[i].keys;
    return "";
}

/* Says what was expected by which keys: they may be what is wrong. */
static enum status wrong_shape(const struct model *m, const struct layer *l,
                               const struct gguf_tensor *t, const struct tensor_spec *s,
                               const char *name, struct err *e) {
    const char *dims = s->dims;
    const unsigned by_mixer = TENSOR_ATTN | TENSOR_RECURRENT;
    char want[96] = "", keys[384] = "";
    for (const char *p = dims; *p != '\0';) {
        const size_t n = strcspn(p, ","), at = strlen(want);
        const struct dim d = find_dim(m, l, p, n);
        if (d.value == DIM_ANY)
            snprintf(want + at, sizeof want - at, "%s*", at != 0 ? "," : "");
        else
            snprintf(want + at, sizeof want - at, "%s%" PRId64, at != 0 ? "," : "", d.value);
        if (d.keys != NULL) hparam_list(m, d.keys, keys, sizeof keys);
        p += n + (p[n] == ',');
    }
    if (m->arch->style.hybrid) hparam_list(m, keys_of(s->flags & by_mixer), keys, sizeof keys);
    if (hparam_given(m, "attention.key_length_swa") ||
        hparam_given(m, "attention.value_length_swa"))
        hparam_list(m, SWA_SIZES, keys, sizeof keys);
    return err_set(e, ST_FORMAT,
                   "tensor '%s' has wrong shape {%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64
                   "}, expected {%s} = {%s} by %s",
                   name, t->dim[0], t->dim[1], t->dim[2], t->dim[3], dims, want, keys);
}

static enum status check_shape(const struct model *m, const struct layer *l,
                               const struct gguf_tensor *t, const struct tensor_spec *s,
                               const char *name, struct err *e) {
    static const struct layer none;
    const char *p = s->dims;
    int64_t want[4];
    if (l == NULL) l = &none;
    for (int i = 0; i < 4; i++) {
        const size_t len = strcspn(p, ",");
        want[i] = len != 0 ? find_dim(m, l, p, len).value : 1;
        p += len + (p[len] == ',');
    }
    return same_shape(t, want) ? ST_OK : wrong_shape(m, l, t, s, name, e);
}

/* ---- tensors --------------------------------------------------------------------------------- */

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

enum status model_make_tensor(struct model *m, const struct gguf_tensor *g, const char *name,
                              bool vector, struct tensor **out, struct err *e) {
    if (vector && g->type != DT_F32)
        return err_set(e, ST_UNSUPPORTED, "tensor '%s': must be F32, not %s", name,
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

/* Some tensors belong to layers of one kind only. */
static bool is_wanted(const struct model *m, const struct layer *l, uint32_t il, unsigned flags) {
    if (l == NULL) return (flags & TENSOR_PLE) == 0 || m->hp.n_embd_layer != 0;
    return !(((flags & TENSOR_MOE) != 0 && !l->moe) || ((flags & TENSOR_DENSE) != 0 && l->moe) ||
             ((flags & TENSOR_SHARED) != 0 && (!l->moe || l->n_ff_shared == 0)) ||
             ((flags & TENSOR_KV) != 0 && l->kv_layer != il) ||
             ((flags & TENSOR_INDEX) != 0 && l->own_index == 0) ||
             ((flags & TENSOR_LATENT) != 0 && !m->hp.latent) ||
             ((flags & TENSOR_HEADS) != 0 && m->hp.latent) ||
             ((flags & TENSOR_LOW_Q) != 0 && m->hp.q_rank == 0) ||
             ((flags & TENSOR_FULL_Q) != 0 && m->hp.q_rank != 0) ||
             ((flags & TENSOR_ATTN) != 0 && l->n_head_kv == 0) ||
             ((flags & TENSOR_SHORT) != 0 && m->hp.n_latent == 0) ||
             ((flags & TENSOR_RECURRENT) != 0 && l->recurrent == 0) ||
             ((flags & (TENSOR_DENSE | TENSOR_MOE)) != 0 && l->no_ffn) ||
             ((flags & TENSOR_PLE) != 0 && m->hp.n_embd_layer == 0));
}

static void full_name(const struct model *m, bool block, uint32_t il, const char *name,
                      char out[TENSOR_NAME]) {
    const char *prefix = m->arch->block_prefix != NULL ? m->arch->block_prefix : "";
    if (block)
        snprintf(out, TENSOR_NAME, "%sblk.%u.%s", prefix, il, name);
    else
        snprintf(out, TENSOR_NAME, "%s", name);
}

static enum status missing(const struct model *m, const struct layer *l, unsigned flags,
                           const char *name, struct err *e) {
    char keys[384] = "";
    if (l != NULL) hparam_list(m, "block_count nextn_predict_layers", keys, sizeof keys);
    hparam_list(m, keys_of(flags), keys, sizeof keys);
    if (keys[0] == '\0') return err_set(e, ST_FORMAT, "missing tensor '%s'", name);
    return err_set(e, ST_FORMAT, "missing tensor '%s' (asked for by %s)", name, keys);
}

static enum status load_tensor(struct model *m, struct layer *l, uint32_t il,
                               const struct tensor_spec *s, struct err *e) {
    char *base = l != NULL ? (char *)l : (char *)m, name[TENSOR_NAME];
    const struct tensor **slot = (const struct tensor **)(void *)(base + s->offset);
    struct tensor *made = NULL;
    if (!is_wanted(m, l, il, s->flags)) return ST_OK;
    full_name(m, l != NULL, il, s->name, name);
    const struct gguf_tensor *g = gguf_find_tensor(m->gguf, name);
    if (g == NULL) {
        bool replaced = s->unless != 0 && *(void **)(void *)(base + s->unless) != NULL;
        if ((s->flags & TENSOR_OPTIONAL) != 0 || replaced) return ST_OK;
        return missing(m, l, s->flags, name, e);
    }
    enum status st = check_shape(m, l, g, s, name, e);
    if (st == ST_OK)
        st =
            model_make_tensor(m, g, name, g->n_dims <= 1 || (s->flags & TENSOR_F32) != 0, &made, e);
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
    const int64_t q = (int64_t)l->n_head * l->head_dim, n = l->wqkv->dim[1];
    const int64_t k = (int64_t)l->n_head_kv * l->head_dim;
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

/* Each matrix behind pooling takes what the one before gives, and adds a bias of its own size. */
static enum status check_head(const struct model *m, struct err *e) {
    const struct tensor *const chain[][2] = {{m->cls, m->cls_b},
                                             {m->cls_output, m->cls_output_b},
                                             {m->dense_2, m->dense_2_b},
                                             {m->dense_3, m->dense_3_b}};
    int64_t width = m->hp.n_embd;
    for (size_t i = 0; i < sizeof chain / sizeof chain[0]; i++) {
        const struct tensor *w = chain[i][0], *b = chain[i][1];
        if (i == 2) width = m->hp.n_embd; /* projections and rerank heads exclude each other */
        if (w == NULL) continue;
        if (w->dim[0] != width || w->dim[1] < 1 || w->dim[1] > MAX_HEAD_OUT)
            return err_set(e, ST_FORMAT,
                           "tensor '%s' has wrong shape {%" PRId64 ",%" PRId64
                           "}, expected %" PRId64 " columns",
                           w->name, w->dim[0], w->dim[1], width);
        width = w->dim[1];
        if (b != NULL && b->dim[0] != width)
            return err_set(e, ST_FORMAT, "tensor '%s' has %" PRId64 " elements, expected %" PRId64,
                           b->name, b->dim[0], width);
        if (w == m->cls && m->cls_norm != NULL && m->cls_norm->dim[0] != width)
            return err_set(e, ST_FORMAT, "tensor '%s' has %" PRId64 " elements, expected %" PRId64,
                           m->cls_norm->name, m->cls_norm->dim[0], width);
    }
    return ST_OK;
}

/* Of a block that predicts a further token, beside those of a layer. */
#define MTP(name_, field, dims_, flags_)                                                           \
    {                                                                                              \
        .name = "nextn." name_ ".weight", .dims = dims_, .offset = offsetof(struct layer, field),  \
        .flags = flags_                                                                            \
    }
static const struct tensor_spec mtp_tensors[] = {
    MTP("eh_proj", eh_proj, "2*n_embd,n_embd", 0),
    MTP("enorm", enorm, "n_embd", 0),
    MTP("hnorm", hnorm, "n_embd", 0),
    MTP("shared_head_norm", mtp_norm, "n_embd", TENSOR_OPTIONAL),
    MTP("embed_tokens", mtp_embd, "n_embd,n_vocab", TENSOR_OPTIONAL),
    MTP("shared_head_head", mtp_head, "n_embd,n_vocab", TENSOR_OPTIONAL),
    {0},
};

static enum status load_tensors(struct model *m, struct err *e) {
    enum status st = ST_OK;
    for (const struct tensor_spec *s = m->arch->globals; st == ST_OK && s->name != NULL; s++)
        st = load_tensor(m, NULL, 0, s, e);
    for (uint32_t il = 0; st == ST_OK && il < m->hp.n_layer + m->hp.n_mtp; il++) {
        for (const struct tensor_spec *s = m->arch->blocks; st == ST_OK && s->name != NULL; s++)
            st = load_tensor(m, &m->layers[il], il, s, e);
        for (const struct tensor_spec *s = mtp_tensors; st == ST_OK && il >= m->hp.n_layer; s++) {
            if (s->name == NULL) break;
            st = load_tensor(m, &m->layers[il], il, s, e);
        }
        if (st == ST_OK) st = join_qkv_bias(m, il, e);
    }
    if (m->output == NULL) m->output = m->token_embd; /* tied */
    if (st == ST_OK && m->arch->loaded != NULL) st = m->arch->loaded(m, e);
    return st == ST_OK ? check_head(m, e) : st;
}

/* ---- the whole ---------------------------------------------------------------------------------
 */

static enum status find_arch(struct model *m, struct err *e) {
    struct gguf_str name = {"", 0};
    enum status st = gguf_get_str(m->gguf, "general.architecture", &name, e);
    if (st != ST_OK && st != ST_NOT_FOUND) return st;
    for (const struct arch *const *a = archs; *a != NULL; a++) {
        if (!gguf_str_is(name, (*a)->name)) continue;
        m->arch = *a;
        return ST_OK;
    }
    return err_set(e, ST_UNSUPPORTED, "unknown model architecture: '%.*s'",
                   (int)(name.len < 64 ? name.len : 64), name.ptr);
}

static enum status load(struct model **out, struct gguf *g, struct device *dev, bool mtp,
                        struct err *e) {
    struct model *m = mem_zalloc(1, sizeof *m);
    if (m == NULL) {
        gguf_close(g);
        return err_no_memory(e);
    }
    m->gguf = g;
    m->dev = dev;
    m->wants_mtp = mtp;
    enum status st = legacy_translate(g, e);
    if (st == ST_OK && mtp) st = legacy_translate_mtp(g, e);
    if (st == ST_OK) st = find_arch(m, e);
    if (st == ST_OK) st = hparams_load(m, e);
    if (st == ST_OK) st = load_tensors(m, e);
    if (st != ST_OK) {
        err_wrap(e, "%s", gguf_label(g));
        model_free(m);
        return st;
    }
    *out = m;
    return ST_OK;
}

enum status model_load(struct model **out, struct gguf *g, struct device *dev, struct err *e) {
    return load(out, g, dev, false, e);
}

enum status model_load_mtp(struct model **out, struct gguf *g, struct device *dev, struct err *e) {
    return load(out, g, dev, true, e);
}

void model_free(struct model *m) {
    if (m == NULL) return;
    for (size_t i = 0; i < m->n_dev_mem; i++) m->dev->backend->release(m->dev, m->dev_mem[i]);
    mem_free(m->dev_mem);
    adapters_close(&m->adapters);
    arena_free(&m->arena);
    gguf_close(m->gguf);
    mem_free(m);
}
