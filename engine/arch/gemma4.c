/* gemma4: Gemma 4 E2B and E4B with per-layer embeddings, 31B, 26B-A4B with experts
 * (spec/models/dense.md). Heads of window layers have a size of their own, the last layers read the
 * caches of earlier ones, values are normed, and experts stand beside a dense half. */
#include <math.h>
#include <stdio.h>

#include "engine/block.h"

static const struct hparam_spec hparams[] = {
    HP_RANGE("attention.sliding_window", HP_U32, n_swa, 0, INT32_MAX),
    HP_RANGE("rope.freq_base_swa", HP_F32, rope_base_swa, 1, 1e30),
    HP_RANGE("final_logit_softcapping", HP_F32, logit_softcap, 0, 1e6),
    HP_RANGE("attention.shared_kv_layers", HP_U32, n_kv_shared, 0, MAX_LAYER),
    {.key = "embedding_length_per_layer_input",
     .offset = offsetof(struct hparams, n_embd_layer),
     .required = true,
     .high = 1 << 16},
    {0},
};
static const struct hparam_spec layer_hparams[] = {
    HP_LAYER("expert_feed_forward_length", n_ff_exp),
    {0},
};

static const struct tensor_spec globals[] = {
    GLOBALS_STD,
    GLOBALS_ROPE_FREQS,
    GLOBALS_PLE,
    {0},
};

static const struct tensor_spec blocks[] = {
    TENSOR("attn_norm.weight", attn_norm, "n_embd", 0),
    TENSOR("attn_qkv.weight", wqkv, "n_embd,qkv_dim", TENSOR_KV | TENSOR_OPTIONAL),
    TENSOR_UNLESS("attn_q.weight", wq, "n_embd,q_dim", 0, wqkv),
    TENSOR_UNLESS("attn_k.weight", wk, "n_embd,k_dim", TENSOR_KV, wqkv),
    TENSOR("attn_v.weight", wv, "n_embd,v_dim", TENSOR_KV | TENSOR_OPTIONAL),
    BLOCK_ATTN_OUT,
    TENSOR("attn_q_norm.weight", q_norm, "head_dim", 0),
    TENSOR("attn_k_norm.weight", k_norm, "head_dim", TENSOR_KV),
    TENSOR("post_attention_norm.weight", attn_post_norm, "n_embd", 0),
    BLOCK_FFN_NORM,
    TENSOR("ffn_gate.weight", ffn_gate, "n_embd,n_ff", 0),
    TENSOR("ffn_up.weight", ffn_up, "n_embd,n_ff", 0),
    TENSOR("ffn_down.weight", ffn_down, "n_ff,n_embd", 0),
    TENSOR("post_ffw_norm.weight", ffn_post_norm, "n_embd", 0),
    TENSOR("layer_output_scale.weight", layer_scale, "1", TENSOR_OPTIONAL),
    BLOCK_EXPERTS_FUSED,
    TENSOR("ffn_gate_inp.scale", router_scale, "n_embd", TENSOR_MOE),
    TENSOR("ffn_down_exps.scale", experts_down_scale, "n_expert", TENSOR_MOE | TENSOR_OPTIONAL),
    TENSOR("pre_ffw_norm_2.weight", ffn_pre_norm_2, "n_embd", TENSOR_MOE),
    TENSOR("post_ffw_norm_1.weight", ffn_post_norm_1, "n_embd", TENSOR_MOE),
    TENSOR("post_ffw_norm_2.weight", ffn_post_norm_2, "n_embd", TENSOR_MOE),
    BLOCK_PLE,
    {0},
};

static void defaults(struct hparams *hp) {
    hp->rope_base_swa = 10000;
    hp->logit_softcap = 30;
    hp->attn_scale = 1;
}

static enum status derive(struct model *m, struct err *e) {
    struct hparams *hp = &m->hp;
    bool global = false;
    if (!hparam_given(m, "attention.sliding_window_pattern"))
        return hparam_error(m, "attention.sliding_window_pattern", e, "is missing");
    for (uint32_t il = 0; il < hp->n_layer; il++) {
        struct layer *l = &m->layers[il];
        char name[64];
        snprintf(name, sizeof name, "blk.%u.ffn_gate_inp.weight", il);
        l->moe = hp->n_expert != 0 && gguf_find_tensor(m->gguf, name) != NULL;
        l->head_dim_v = l->kv_dim_v = l->head_dim;
        global |= !l->window;
    }
    if (global && gguf_find_tensor(m->gguf, "rope_freqs.weight") == NULL)
        return err_set(e, ST_FORMAT, "missing tensor 'rope_freqs.weight'");
    if (hp->n_kv_shared == 0) return ST_OK;
    if (hp->n_kv_shared + 2 > hp->n_layer)
        return hparam_error(m, "attention.shared_kv_layers", e, "is %u of %u layers",
                            hp->n_kv_shared, hp->n_layer);
    return block_share_kv(m, hp->n_layer - hp->n_kv_shared, "attention.shared_kv_layers", e);
}

static val begin(struct forward *f, val x) {
    return f->m->hp.n_embd_layer != 0 ? block_ple_begin(f, x) : x;
}

/* The router has a norm of its own; experts read the row under another one. */
static val experts(struct forward *f, const struct layer *l, val x) {
    val r = block_norm(f, "router_in", x, (struct weight){l->router_scale, NULL});
    r = p_scale(f->p, "router_in", r, 1 / sqrtf((float)f->m->hp.n_embd), 0);
    val logits = p_linear1(f->p, "router", r, (struct weight){l->router, NULL});
    val n = block_norm(f, "norm_2", x, (struct weight){l->ffn_pre_norm_2, NULL});
    val y = block_experts(f, l, n, logits);
    return block_norm(f, "experts_post", y, (struct weight){l->ffn_post_norm_2, NULL});
}

static val layer(struct forward *f, uint32_t il, val x) {
    const struct layer *l = &f->m->layers[il];
    val n = block_norm(f, "norm", x, (struct weight){l->attn_norm, NULL});
    val a = block_attn(f, il, n);
    a = block_norm(f, "attn_post", a, (struct weight){l->attn_post_norm, NULL});
    x = p_add(f->p, "h", x, a);
    n = block_norm(f, "norm", x, (struct weight){l->ffn_norm, NULL});
    val y = block_ffn_dense(f, l, n);
    if (l->moe) {
        y = block_norm(f, "dense_post", y, (struct weight){l->ffn_post_norm_1, NULL});
        y = p_add(f->p, "ffn", y, experts(f, l, x));
    }
    y = block_norm(f, "ffn_post", y, (struct weight){l->ffn_post_norm, NULL});
    x = p_add(f->p, "h", x, y);
    if (f->m->hp.n_embd_layer != 0) x = p_add(f->p, "h", x, block_ple_gate(f, il, x));
    return l->layer_scale != NULL ? p_mul_w(f->p, "h", x, l->layer_scale) : x;
}

extern const struct arch arch_gemma4;
const struct arch arch_gemma4 = {
    .name = "gemma4",
    .hparams = hparams,
    .layer_hparams = layer_hparams,
    .globals = globals,
    .blocks = blocks,
    .style = {.rope = ROPE_NEOX,
              .act = ACT_GELU,
              .scale_embd = true,
              .v_norm = true,
              .images_in_windows = true,
              .swa_rope = SWA_OWN_BASE,
              .swa_no_factors = true,
              .swa_flags = true,
              .norm_weights = true},
    .swa_period = 1,
    .defaults = defaults,
    .derive = derive,
    .begin = begin,
    .layer = layer,
};
