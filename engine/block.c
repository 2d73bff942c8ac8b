/* block.c - the forward pass, in the paper's order: embedding, blocks, final norm, head.
 *
 * Only the rows whose results are wanted go through the head. What a block does follows from the
 * tensors its layer has (q/k norms, post norms, biases, fused qkv, experts) and the architecture's
 * style; formulas in spec/models/common.md 2-7. */
#include "engine/block.h"

#include <assert.h>
#include <math.h>

/* ---- rope --------------------------------------------------------------------------------------
 */

/* The pair index at which a wavelength makes `turns` turns in the original context (YaRN). */
static float yarn_corr(const struct hparams *hp, float base, float turns) {
    float n = (float)hp->n_rot;
    return n * logf((float)hp->n_ctx_orig / (turns * 2 * 3.14159265358979f)) / (2 * logf(base));
}

static void yarn_style(const struct hparams *hp, struct rope_style *s) {
    const float beta_fast = 32, beta_slow = 1;
    s->ext_factor = 1;
    s->corr_low = fmaxf(0, floorf(yarn_corr(hp, s->base, beta_fast)));
    s->corr_high = fminf((float)hp->n_rot - 1, ceilf(yarn_corr(hp, s->base, beta_slow)));
    if (s->freq_scale < 1) s->mscale *= 1 + 0.1f * logf(1 / s->freq_scale);
}

/* rope_freqs wins; longrope has one table for contexts longer than the original, one for others. */
static const struct tensor *rope_factors(const struct model *m, uint32_t n_ctx) {
    if (m->rope_freqs != NULL) return m->rope_freqs;
    return n_ctx > m->hp.n_ctx_orig ? m->rope_long : m->rope_short;
}

static struct rope_style rope_of(const struct model *m, const struct layer *l, uint32_t n_ctx) {
    const struct hparams *hp = &m->hp;
    bool local =
        l->window && hp->rope_base_swa != 0; /* window layers with a base of their own: unscaled */
    struct rope_style s = {
        .kind = m->arch->style.rope,
        .n_rot = hp->n_rot,
        .base = local ? hp->rope_base_swa : hp->rope_base,
        .freq_scale = local ? 1 : hp->rope_freq_scale,
        .mscale = hp->rope_attn_factor,
        .factors = rope_factors(m, n_ctx),
    };
    if (hp->rope_scaling == ROPE_SCALING_YARN) yarn_style(hp, &s);
    return s;
}

/* ---- attention
 * ------------------------------------------------------------------------------------ */

struct qkv {
    val q, k, v;
};

static struct qkv project(struct recorder *p, const struct model *m, const struct layer *l, val x) {
    struct qkv r;
    if (l->wqkv == NULL) {
        static const char *const name[] = {"q", "k", "v"};
        const struct weight w[] = {{l->wq, l->wq_b}, {l->wk, l->wk_b}, {l->wv, l->wv_b}};
        val out[3];
        p_linear(p, x, 3, w, name, out);
        return (struct qkv){out[0], out[1], out[2]};
    }
    uint32_t q_dim = l->n_head * m->hp.head_dim, k_dim = l->n_head_kv * m->hp.head_dim;
    val qkv = p_linear1(p, "qkv", x, (struct weight){l->wqkv, l->wqkv_b});
    r.q = p_slice(p, "q", qkv, 0, q_dim);
    r.k = p_slice(p, "k", qkv, q_dim, k_dim);
    r.v = p_slice(p, "v", qkv, q_dim + k_dim, l->n_head_kv * m->hp.head_dim_v);
    return r;
}

static val attention(struct recorder *p, const struct model *m, uint32_t il, val x,
                     uint32_t n_ctx) {
    const struct layer *l = &m->layers[il];
    const struct hparams *hp = &m->hp;
    const struct rope_style rope = rope_of(m, l, n_ctx);
    const struct attn_style style = {
        .layer = il,
        .n_head = l->n_head,
        .n_head_kv = l->n_head_kv,
        .head_dim = hp->head_dim,
        .head_dim_v = hp->head_dim_v,
        .window = l->window ? hp->n_swa : 0,
        .scale = hp->attn_scale != 0 ? hp->attn_scale : 1.0f / sqrtf((float)hp->head_dim)};
    struct qkv a = project(p, m, l, x);
    if (l->q_norm != NULL)
        a.q = p_norm(p, "q_norm", a.q, l->q_norm, hp->head_dim, hp->norm_rms_eps);
    if (l->k_norm != NULL)
        a.k = p_norm(p, "k_norm", a.k, l->k_norm, hp->head_dim, hp->norm_rms_eps);
    a.q = p_rope(p, "q_rope", a.q, l->n_head, hp->head_dim, &rope);
    a.k = p_rope(p, "k_rope", a.k, l->n_head_kv, hp->head_dim, &rope);
    p_kv_store(p, a.k, a.v, &style);
    val heads = p_attn(p, "heads", a.q, &style);
    return p_linear1(p, "attn", heads, (struct weight){l->wo, l->wo_b});
}

/* ---- feed-forward
 * --------------------------------------------------------------------------------- */

static val ffn_dense(struct recorder *p, const struct model *m, const struct layer *l, val x) {
    static const char *const name[] = {"gate", "up"};
    const struct weight w[] = {{l->ffn_gate, l->ffn_gate_b}, {l->ffn_up, l->ffn_up_b}};
    val out[2];
    p_linear(p, x, 2, w, name, out);
    val act = p_glu(p, "act", m->arch->style.act, out[0], out[1]);
    return p_linear1(p, "ffn", act, (struct weight){l->ffn_down, l->ffn_down_b});
}

static val ffn_experts(struct recorder *p, const struct model *m, const struct layer *l, val x) {
    static const char *const name[] = {"gate", "up"}, *const down_name[] = {"down"};
    const struct moe_style moe = {.n_expert = m->hp.n_expert,
                                  .n_used = m->hp.n_expert_used,
                                  .gating = MOE_SOFTMAX,
                                  .norm_weights = true};
    val ids, weights, out[2], down;
    val logits = p_linear1(p, "router", x, (struct weight){l->router, NULL});
    p_moe_route(p, logits, &moe, &ids, &weights);
    p_linear_id(p, x, ids, moe.n_used, false, 2,
                (const struct tensor *[]){l->experts_gate, l->experts_up}, name, out);
    val act = p_glu(p, "act", m->arch->style.act, out[0], out[1]);
    p_linear_id(p, act, ids, moe.n_used, true, 1, &l->experts_down, down_name, &down);
    return p_moe_sum(p, "ffn", down, weights, moe.n_used);
}

/* ---- the block, the model
 * --------------------------------------------------------------------------- */

val block_layer(struct recorder *p, const struct model *m, uint32_t il, val x, uint32_t n_ctx) {
    const struct layer *l = &m->layers[il];
    const float eps = m->hp.norm_rms_eps;
    val a = attention(p, m, il, p_norm(p, "norm", x, l->attn_norm, 0, eps), n_ctx);
    if (l->attn_post_norm != NULL) a = p_norm(p, "attn_post", a, l->attn_post_norm, 0, eps);
    x = p_add(p, "h", x, a);
    val n = p_norm(p, "norm", x, l->ffn_norm, 0, eps);
    val f = l->router != NULL ? ffn_experts(p, m, l, n) : ffn_dense(p, m, l, n);
    if (l->ffn_post_norm != NULL) f = p_norm(p, "ffn_post", f, l->ffn_post_norm, 0, eps);
    return p_add(p, "h", x, f);
}

void model_record(const struct model *m, struct recorder *p, enum program_kind kind, uint32_t n_ctx,
                  val *output) {
    p->layer = LAYER_NONE;
    val x = p_embed(p, "h", m->token_embd,
                    m->arch->style.scale_embd ? sqrtf((float)m->hp.n_embd) : 1.0f);
    for (uint32_t il = 0; il < m->hp.n_layer; il++) {
        p->layer = (uint16_t)il;
        x = block_layer(p, m, il, x, n_ctx);
    }
    p->layer = LAYER_NONE;
    x = p_rows(p, "wanted", x);
    x = p_norm(p, "norm", x, m->output_norm, 0, m->hp.norm_rms_eps);
    if (kind == PROGRAM_LOGITS) {
        x = p_linear1(p, "logits", x, (struct weight){m->output, m->output_b});
        if (m->hp.logit_softcap != 0) x = p_softcap(p, "logits", x, m->hp.logit_softcap);
    } else if (m->cls_output != NULL) {
        x = p_linear1(p, "scores", x, (struct weight){m->cls_output, NULL});
    }
    *output = x;
}
