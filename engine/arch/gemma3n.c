/* gemma3n: Gemma 3n E2B and E4B (spec/models/dense.md). AltUp (Baykal et al. 2023): four streams,
 * of which one goes through the layer; before it all four are predicted from each other, behind it
 * all are corrected. Laurel: a low-rank product beside attention. Per-layer embeddings; the first
 * ten layers keep only large gates; the layers from 20 on read the caches of 18 and 19. */
#include <math.h>

#include "engine/block.h"

enum { N_STREAM = 4, N_SPARSE = 10, N_OWN_KV = 20, N_EMBD_LAYER = 256 };

static const struct hparam_spec hparams[] = {
    HP_REQUIRED("attention.sliding_window", HP_U32, n_swa),
    HP_RANGE("rope.freq_base_swa", HP_F32, rope_base_swa, 1, 1e30),
    {0},
};

static const struct tensor_spec globals[] = {
    GLOBALS_STD,
    GLOBALS_PLE,
    GLOBAL("altup_proj.weight", altup_proj, "n_embd,n_embd,3", 0),
    GLOBAL("altup_unembd_proj.weight", altup_unembd, "n_embd,n_embd,3", 0),
    {0},
};

static const struct tensor_spec blocks[] = {
    BLOCK_ATTN,
    BLOCK_QK_NORM,
    TENSOR("post_attention_norm.weight", attn_post_norm, "n_embd", 0),
    BLOCK_FFN,
    TENSOR("post_ffw_norm.weight", ffn_post_norm, "n_embd", 0),
    BLOCK_PLE,
    TENSOR("altup_correct_coef.weight", altup_correct, "4,4", 0),
    TENSOR("altup_correct_scale.weight", altup_scale, "n_embd", 0),
    TENSOR("altup_predict_coef.weight", altup_predict, "4,16", 0),
    TENSOR("altup_router.weight", altup_router, "n_embd,4", 0),
    TENSOR("altup_router_norm.weight", altup_norm, "n_embd", 0),
    TENSOR("laurel_l.weight", laurel_l, "n_embd,64", 0),
    TENSOR("laurel_r.weight", laurel_r, "64,n_embd", 0),
    TENSOR("laurel_post_norm.weight", laurel_norm, "n_embd", 0),
    {0},
};

static void defaults(struct hparams *hp) {
    hp->rope_base_swa = 10000;
    hp->logit_softcap = 30;
    hp->attn_scale = 1;
    hp->n_embd_layer = N_EMBD_LAYER;
}

static enum status derive(struct model *m, struct err *e) {
    for (uint32_t il = 0; il < m->hp.n_layer && il < N_SPARSE; il++)
        m->layers[il].gate_sparsity = 1.6448533535003662f; /* 95% of a normal distribution */
    return block_share_kv(m, N_OWN_KV, "attention.sliding_window_pattern", e);
}

/* Three rows by a matrix each, made as long as x. */
static void project(struct forward *f, const val in[N_STREAM - 1], const struct tensor *w, val x,
                    val out[N_STREAM - 1]) {
    const uint32_t n = f->m->hp.n_embd;
    val y = p_heads_mm(f->p, "streams", p_concat(f->p, "h3", N_STREAM - 1, in), w, 0);
    for (uint32_t k = 0; k < N_STREAM - 1; k++)
        out[k] = p_rescale(f->p, "stream", x, p_slice(f->p, "stream", y, k * n, n));
}

/* Three more streams, each as long as the first. */
static val begin(struct forward *f, val x) {
    block_ple_begin(f, x);
    f->stream[0] = x;
    project(f, (val[]){x, x, x}, f->m->altup_proj, x, f->stream + 1);
    return x;
}

/* What each stream is to get of the others, as one row says: w tanh(R norm(x) / n_embd). */
static val altup(struct forward *f, const struct layer *l, const char *name, val x,
                 const struct tensor *w) {
    val r = block_norm(f, "altup_in", x, (struct weight){l->altup_norm, NULL});
    r = p_scale(f->p, "altup_in", r, 1 / (float)f->m->hp.n_embd, 0);
    r = p_linear1(f->p, "altup_router", r, (struct weight){l->altup_router, NULL});
    r = p_act(f->p, "altup_router", ACT_TANH, r);
    return p_linear1(f->p, name, r, (struct weight){w, NULL});
}

static void predict(struct forward *f, const struct layer *l, val out[N_STREAM]) {
    val coef = altup(f, l, "predict", f->stream[0], l->altup_predict);
    val all = p_concat(f->p, "streams", N_STREAM, f->stream);
    for (uint32_t j = 0; j < N_STREAM; j++) {
        val c = p_slice(f->p, "coef", coef, j * N_STREAM, N_STREAM);
        out[j] = p_add(f->p, "predicted", f->stream[j], p_moe_sum(f->p, "mix", all, c, N_STREAM));
    }
}

/* Stream j gets its part of what the layer added to the active one, x. */
static void correct(struct forward *f, const struct layer *l, const val pred[N_STREAM], val x) {
    val c = p_scale(f->p, "correct", altup(f, l, "correct", x, l->altup_correct), 1, 1);
    val d = p_add(f->p, "change", x, p_scale(f->p, "change", pred[0], -1, 0));
    for (uint32_t j = 0; j < N_STREAM; j++) {
        val part = p_mul(f->p, "part", d, p_slice(f->p, "coef", c, j, 1));
        f->stream[j] = p_add(f->p, "corrected", pred[j], part);
    }
}

static val laurel(struct forward *f, const struct layer *l, val x) {
    val y = block_low_rank(f, "laurel", x, l->laurel_l, l->laurel_r);
    y = block_norm(f, "laurel", y, (struct weight){l->laurel_norm, NULL});
    return p_add(f->p, "laurel", x, y);
}

static val layer(struct forward *f, uint32_t il, val x) {
    const struct layer *l = &f->m->layers[il];
    val pred[N_STREAM];
    (void)x; /* the first stream */
    predict(f, l, pred);
    val n = block_norm(f, "norm", pred[0], (struct weight){l->attn_norm, NULL});
    val low = laurel(f, l, n);
    val a =
        block_norm(f, "attn_post", block_attn(f, il, n), (struct weight){l->attn_post_norm, NULL});
    a = p_scale(f->p, "h", p_add(f->p, "h", p_add(f->p, "h", a, pred[0]), low), sqrtf(0.5f), 0);
    n = block_norm(f, "norm", a, (struct weight){l->ffn_norm, NULL});
    val y = block_ffn_dense(f, l, n);
    y = block_norm(f, "ffn_post", y, (struct weight){l->ffn_post_norm, NULL});
    correct(f, l, pred, p_add(f->p, "h", y, a));
    val z = block_ple_gate(f, il, p_mul_w(f->p, "ple_in", f->stream[0], l->altup_scale));
    for (int j = 1; j < N_STREAM; j++) f->stream[j] = p_add(f->p, "stream", f->stream[j], z);
    return f->stream[0];
}

/* The mean of the streams, each made as long as the first. */
static val end(struct forward *f, val x) {
    val y[N_STREAM - 1], sum = x;
    project(f, f->stream + 1, f->m->altup_unembd, x, y);
    for (uint32_t k = 0; k < N_STREAM - 1; k++) sum = p_add(f->p, "sum", sum, y[k]);
    return p_scale(f->p, "h", sum, 1.0f / N_STREAM, 0);
}

extern const struct arch arch_gemma3n;
const struct arch arch_gemma3n = {
    .name = "gemma3n",
    .hparams = hparams,
    .globals = globals,
    .blocks = blocks,
    .style = {.rope = ROPE_NEOX,
              .act = ACT_GELU,
              .scale_embd = true,
              .v_norm = true,
              .swa_rope = SWA_OWN_BASE},
    .swa_period = 5,
    .defaults = defaults,
    .derive = derive,
    .begin = begin,
    .layer = layer,
    .end = end,
};
