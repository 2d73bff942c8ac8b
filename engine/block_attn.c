/* block_attn.c - rope as the model wants it, and attention (spec/models/common.md 3 and 4). */
#include <math.h>
#include <string.h>

#include "engine/block.h"

/* ---- rope -------------------------------------------------------------------------------------
 */

/* The pair index at which a wavelength makes `turns` turns in the original context (YaRN). */
static float yarn_corr(const struct hparams *hp, uint32_t n_rot, float base, float turns) {
    float n = (float)n_rot;
    return n * logf((float)hp->n_ctx_orig / (turns * 2 * 3.14159265358979f)) / (2 * logf(base));
}

/* What a logarithm of the scaling multiplies magnitudes with. */
static float yarn_log(const struct hparams *hp, float k) {
    return hp->rope_freq_scale < 1 ? 1 + 0.1f * k * logf(1 / hp->rope_freq_scale) : 1;
}

float block_rope_magnitude(const struct hparams *hp) {
    if (hp->rope_scaling != ROPE_SCALING_YARN) return hp->rope_attn_factor;
    if (hp->yarn_log_mul == 0) return hp->rope_attn_factor * yarn_log(hp, 1);
    return hp->rope_attn_factor * yarn_log(hp, hp->yarn_mscale) / yarn_log(hp, hp->yarn_log_mul);
}

enum status block_whole_rope(struct model *m, struct err *e) {
    char keys[128] = "";
    if (m->hp.n_rot == m->hp.head_dim) return ST_OK;
    hparam_list(m, "rope.dimension_count attention.key_length", keys, sizeof keys);
    return err_set(e, ST_FORMAT, "invalid n_rot: %u, expected %u (%s)", m->hp.n_rot, m->hp.head_dim,
                   keys);
}

/* rope_freqs wins; longrope has one table for contexts longer than the original, one for others. */
static const struct tensor *rope_factors(const struct forward *f) {
    const struct model *m = f->m;
    if (m->rope_freqs != NULL) return m->rope_freqs;
    return f->n_ctx > m->hp.n_ctx_orig ? m->rope_long : m->rope_short;
}

struct rope_style block_rope(const struct forward *f, const struct layer *l) {
    const struct hparams *hp = &f->m->hp;
    const struct block_style *style = &f->m->arch->style;
    struct rope_style s = {.kind = style->rope,
                           .n_rot = l->n_rot,
                           .base = hp->rope_base,
                           .freq_scale = hp->rope_freq_scale,
                           .mscale = block_rope_magnitude(hp),
                           .factors = rope_factors(f)};
    bool yarn = hp->rope_scaling == ROPE_SCALING_YARN;
    if (model_has_axes(f->m)) {
        s.kind = ROPE_NEOX; /* glm4, too, which has pairs without sections */
        s.axes = style->rope_axes;
        memcpy(s.sections, hp->rope_sections, sizeof s.sections);
    }
    if (l->window && hp->rope_base_swa != 0) s.base = hp->rope_base_swa;
    if (l->window && style->swa_rope != SWA_INHERIT) s.freq_scale = 1;
    if (l->window && style->swa_rope == SWA_PLAIN) {
        s.mscale = 1;
        s.factors = NULL;
        yarn = false;
    }
    if (l->window && style->swa_no_factors) s.factors = NULL;
    if (yarn) {
        s.ext_factor = 1;
        s.corr_low = fmaxf(0, floorf(yarn_corr(hp, l->n_rot, s.base, hp->yarn_beta_fast)));
        s.corr_high =
            fminf((float)l->n_rot - 1, ceilf(yarn_corr(hp, l->n_rot, s.base, hp->yarn_beta_slow)));
    }
    return s;
}

/* ---- attention --------------------------------------------------------------------------------
 */

struct qkv {
    val q, k, v; /* k, v: VAL_NONE in a layer that reads another layer's cache */
    val gate;    /* of the heads' results; VAL_NONE */
};

static struct qkv project_fused(struct forward *f, const struct layer *l, val x) {
    const uint32_t q_dim = l->n_head * l->head_dim, k_dim = l->n_head_kv * l->head_dim;
    val qkv = p_linear1(f->p, "qkv", x, (struct weight){l->wqkv, l->wqkv_b});
    return (struct qkv){p_slice(f->p, "q", qkv, 0, q_dim), p_slice(f->p, "k", qkv, q_dim, k_dim),
                        p_slice(f->p, "v", qkv, q_dim + k_dim, l->n_head_kv * l->head_dim_v),
                        VAL_NONE};
}

static struct qkv project(struct forward *f, const struct layer *l, uint32_t il, val x) {
    static const char *const name[] = {"q", "k", "v"};
    const struct weight w[] = {{l->wq, l->wq_b}, {l->wk, l->wk_b}, {l->wv, l->wv_b}};
    val out[3] = {VAL_NONE, VAL_NONE, VAL_NONE};
    if (l->wqkv != NULL) return project_fused(f, l, x);
    const int n = l->kv_layer != il ? 1 : l->wv != NULL ? 3 : 2;
    p_linear(f->p, x, n, w, name, out);
    if (n == 2) out[2] = out[1]; /* without a weight of their own values are the keys */
    return (struct qkv){out[0], out[1], out[2], VAL_NONE};
}

/* Each head of q is followed by a gate. */
static void split_gate(struct forward *f, const struct layer *l, struct qkv *a) {
    const uint32_t dim = l->head_dim;
    a->gate = p_columns(f->p, "gate", a->q, 2 * dim, dim, dim);
    a->q = p_columns(f->p, "q", a->q, 2 * dim, 0, dim);
}

static void norm_qk(struct forward *f, const struct layer *l, struct qkv *a) {
    a->q = block_norm(f, "q_norm", a->q, (struct weight){l->q_norm, l->q_norm_b});
    if (a->k != VAL_NONE)
        a->k = block_norm(f, "k_norm", a->k, (struct weight){l->k_norm, l->k_norm_b});
}

static void turn_qk(struct forward *f, const struct layer *l, struct qkv *a) {
    const struct rope_style rope = block_rope(f, l);
    a->q = p_rope(f->p, "q_rope", a->q, l->n_head, l->head_dim, &rope);
    if (a->k != VAL_NONE) a->k = p_rope(f->p, "k_rope", a->k, l->n_head_kv, l->head_dim, &rope);
    if (!f->m->hp.qk_norm_plain) return;
    a->q = block_norm_plain(f, "q_norm", a->q, l->head_dim);
    a->k = block_norm_plain(f, "k_norm", a->k, l->head_dim);
}

val block_attn(struct forward *f, uint32_t il, val x) {
    const struct layer *l = &f->m->layers[il];
    const struct hparams *hp = &f->m->hp;
    const struct block_style *style = &f->m->arch->style;
    const struct attn_style attn = {.layer = l->kv_layer,
                                    .n_head = l->n_head,
                                    .n_head_kv = l->n_head_kv,
                                    .head_dim = l->head_dim,
                                    .head_dim_v = l->head_dim_v,
                                    .window = l->window ? hp->n_swa : 0,
                                    .chunked = l->window && style->chunked,
                                    .symmetric = l->window && style->symmetric,
                                    .causal = style->images_in_windows && !l->window,
                                    .scale = hp->attn_scale != 0 ? hp->attn_scale
                                                                 : 1.0f / sqrtf((float)l->head_dim),
                                    .softcap = hp->attn_softcap,
                                    .alibi = style->alibi,
                                    .sinks = l->sinks,
                                    .biases = l->attn_bias};
    struct qkv a = project(f, l, il, x);
    if (style->q_gate) split_gate(f, l, &a);
    if (!style->qk_norm_late) norm_qk(f, l, &a);
    if (style->v_norm && a.v != VAL_NONE) a.v = block_norm_plain(f, "v_norm", a.v, l->head_dim_v);
    if (l->rope) turn_qk(f, l, &a);
    if (l->temp)
        a.q = p_pos_scale(f->p, "q_temp", a.q, hp->temp_scale, hp->temp_offset, hp->temp_floor);
    if (style->qk_norm_late) norm_qk(f, l, &a);
    if (a.k != VAL_NONE) p_kv_store(f->p, a.k, a.v, &attn);
    val heads = p_attn(f->p, "heads", a.q, VAL_NONE, &attn);
    if (a.gate != VAL_NONE) heads = p_glu(f->p, "gated", ACT_SIGMOID, a.gate, heads);
    return p_linear1(f->p, "attn", heads, (struct weight){l->wo, l->wo_b});
}
