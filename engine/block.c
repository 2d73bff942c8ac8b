/* block.c - the forward pass, in the paper's order: embedding, blocks, final norm, head. Only the
 * rows whose results are wanted go through the head. */
#include "engine/block.h"

#include <assert.h>

val block_norm(struct forward *f, const char *name, val x, struct weight n) {
    const struct norm_style style = {.kind = f->m->arch->style.norm, .eps = f->m->hp.norm_eps};
    return n.w != NULL ? p_norm(f->p, name, x, n, style) : x;
}

val block_norm_plain(struct forward *f, const char *name, val x, uint32_t group) {
    const struct norm_style style = {
        .kind = f->m->arch->style.norm, .eps = f->m->hp.norm_eps, .group = group};
    return p_norm(f->p, name, x, (struct weight){NULL, NULL}, style);
}

val block_low_rank(struct forward *f, const char *name, val x, const struct tensor *a,
                   const struct tensor *b) {
    x = p_linear1(f->p, name, x, (struct weight){a, NULL});
    return p_linear1(f->p, name, x, (struct weight){b, NULL});
}

/* x + residual_scale * y */
static val add_branch(struct forward *f, val x, val y) {
    const float scale = f->m->hp.residual_scale;
    if (scale != 0 && scale != 1) y = p_scale(f->p, "branch", y, scale, 0);
    return p_add(f->p, "h", x, y);
}

/* Attention and feed-forward of the same row; falcon-40b norms it for each. */
static val parallel_layer(struct forward *f, uint32_t il, val x, val n, val mixed) {
    x = add_branch(f, x, mixed);
    return add_branch(f, x, block_ffn(f, il, n));
}

val block_layer(struct forward *f, uint32_t il, val x) {
    const struct arch *arch = f->m->arch;
    const struct layer *l = &f->m->layers[il];
    val n = block_norm(f, "norm", x, (struct weight){l->attn_norm, l->attn_norm_b});
    val in = n;
    if (l->attn_norm_2 != NULL)
        in = block_norm(f, "norm_2", x, (struct weight){l->attn_norm_2, l->attn_norm_2_b});
    val a = arch->mixer != NULL ? arch->mixer(f, il, in) : block_attn(f, il, in);
    if (arch->style.parallel) return parallel_layer(f, il, x, n, a);
    a = block_norm(f, "attn_post", a, (struct weight){l->attn_post_norm, NULL});
    x = add_branch(f, x, a);
    /* No second norm: the first one's row (stablelm), or none at all (models of post norms). */
    if (l->ffn_norm != NULL || l->attn_norm == NULL) n = x;
    n = block_norm(f, "norm", n, (struct weight){l->ffn_norm, l->ffn_norm_b});
    val y = block_ffn(f, il, n);
    y = block_norm(f, "ffn_post", y, (struct weight){l->ffn_post_norm, NULL});
    return add_branch(f, x, y);
}

static val embed(struct forward *f) {
    const struct model *m = f->m;
    const float scale = m->hp.embd_scale != 0 ? m->hp.embd_scale : 1;
    val x = p_embed(f->p, "h", m->token_embd, EMBED_TOKENS, scale);
    if (m->pos_embd == NULL) return x;
    return p_add(f->p, "h", x, p_embed(f->p, "positions", m->pos_embd, EMBED_POSITIONS, 1));
}

val block_logits(struct forward *f, val x, struct weight head) {
    const struct hparams *hp = &f->m->hp;
    x = p_linear1(f->p, "logits", x, head);
    if (hp->logit_scale != 0 && hp->logit_scale != 1)
        x = p_scale(f->p, "logits", x, hp->logit_scale, 0);
    return hp->logit_softcap != 0 ? p_softcap(f->p, "logits", x, hp->logit_softcap) : x;
}

enum status block_share_kv(struct model *m, uint32_t first, const char *key, struct err *e) {
    for (uint32_t il = first; il < m->hp.n_layer; il++) {
        struct layer *l = &m->layers[il];
        l->kv_layer = first - (l->window ? 2 : 1);
        const struct layer *from = &m->layers[l->kv_layer];
        if (from->window != l->window || from->n_head_kv != l->n_head_kv)
            return hparam_clash(m, key,
                                "block_count nextn_predict_layers attention.head_count_kv "
                                "attention.sliding_window_pattern",
                                e, "lets layer %u share the cache of layer %u, another kind", il,
                                l->kv_layer);
    }
    return ST_OK;
}

enum status block_shared_derive(struct model *m, struct err *e) {
    for (uint32_t il = 0; il < m->hp.n_layer; il++) {
        struct layer *l = &m->layers[il];
        const uint64_t n = (uint64_t)m->hp.n_expert_shared * l->n_ff_exp;
        if (n > 1 << 24)
            return hparam_error(m, "expert_shared_count", e, "is %u: too many",
                                m->hp.n_expert_shared);
        l->n_ff_shared = (uint32_t)n;
    }
    return ST_OK;
}

bool model_has_axes(const struct model *m) {
    return m->arch->style.rope_axes != ROPE_ONE && m->hp.rope_sections[0] != 0 &&
           m->hp.rope_sections[1] != 0;
}

/* What an image's rows carry beside their embedding for the first layers (DeepStack, Meng et al.
 * 2024). */
static val add_deep_rows(struct forward *f, uint32_t il, val x) {
    const uint32_t n_embd = f->m->hp.n_embd;
    if (il >= f->m->hp.n_deepstack) return x;
    return p_add(f->p, "h", x, p_given(f->p, "deep", (il + 1) * n_embd, n_embd));
}

void model_record(const struct model *m, struct recorder *p, enum program_kind kind, uint32_t n_ctx,
                  val *output) {
    struct forward f = {.p = p, .m = m, .n_ctx = n_ctx, .cells = VAL_NONE, .per_layer = VAL_NONE};
    p->layer = LAYER_NONE;
    p->delta = m->adapters.delta;
    p->n_deltas = m->adapters.n_deltas;
    val x = embed(&f);
    if (m->arch->begin != NULL) x = m->arch->begin(&f, x);
    for (uint32_t il = 0; il < m->hp.n_layer; il++) {
        p->layer = (uint16_t)il;
        x = m->arch->layer != NULL ? m->arch->layer(&f, il, x) : block_layer(&f, il, x);
        x = add_deep_rows(&f, il, x);
    }
    p->layer = LAYER_NONE;
    if (m->arch->end != NULL) x = m->arch->end(&f, x);
    const struct weight norm = {m->output_norm, m->output_norm_b};
    if (kind == PROGRAM_HIDDEN) {
        p->kept = x = block_norm(&f, "hidden", x, norm);
        p->keeps = true;
    }
    x = p_rows(p, "wanted", x);
    if (kind != PROGRAM_HIDDEN) x = block_norm(&f, "norm", x, norm);
    *output = kind != PROGRAM_EMBEDDING
                  ? block_logits(&f, x, (struct weight){m->output, m->output_b})
                  : x;
}
