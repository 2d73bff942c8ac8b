/* block_encoder.c - what encoders share (spec/models/encoders.md): the embedding with its token
 * types, blocks with a norm behind each half as BERT has them (Devlin et al. 2019), and what a
 * pooled vector goes through. */
#include "engine/block.h"

val block_encoder_begin(struct forward *f, val x) {
    const struct model *m = f->m;
    if (m->token_types != NULL) /* there is one text: all tokens are of type 0 */
        x = p_add(f->p, "h", x, p_embed(f->p, "type", m->token_types, EMBED_FIRST, 1));
    return block_norm(f, "norm", x, (struct weight){m->embd_norm, m->embd_norm_b});
}

val block_encoder_layer(struct forward *f, uint32_t il, val x) {
    const struct layer *l = &f->m->layers[il];
    val h = p_add(f->p, "h", x, block_attn(f, il, x));
    h = block_norm(f, "norm", h, (struct weight){l->attn_out_norm, l->attn_out_norm_b});
    if (l->attn_norm_2 != NULL) /* jina-bert-v2: once more, with the block's input */
        h = block_norm(f, "norm_2", p_add(f->p, "h", h, x),
                       (struct weight){l->attn_norm_2, l->attn_norm_2_b});
    val y = p_add(f->p, "h", h, block_ffn(f, il, h));
    return block_norm(f, "norm", y, (struct weight){l->layer_out_norm, l->layer_out_norm_b});
}

void block_encoder_defaults(struct hparams *hp) { hp->causal = false; }

enum status block_no_rope(struct model *m, struct err *e) {
    (void)e;
    for (uint32_t il = 0; il < m->hp.n_layer; il++) m->layers[il].rope = false;
    return ST_OK;
}

/* ---- behind pooling ---------------------------------------------------------------------------
 */

static bool has_scores(const struct model *m) {
    return m->hp.pooling == POOLING_RANK && (m->cls != NULL || m->cls_output != NULL);
}

bool model_has_head(const struct model *m) {
    return has_scores(m) || m->dense_2 != NULL || m->dense_3 != NULL;
}

static val scores(struct forward *f, val x) {
    const struct model *m = f->m;
    const enum act act = m->arch->style.cls_act != ACT_NONE ? m->arch->style.cls_act : ACT_TANH;
    if (m->cls != NULL) {
        x = p_linear1(f->p, "cls", x, (struct weight){m->cls, m->cls_b});
        x = p_act(f->p, "cls_act", act, x);
        x = block_norm(f, "cls_norm", x, (struct weight){m->cls_norm, NULL});
    }
    if (m->cls_output == NULL) return x;
    return p_linear1(f->p, "scores", x, (struct weight){m->cls_output, m->cls_output_b});
}

void model_record_head(const struct model *m, struct recorder *p, val *output) {
    struct forward f = {.p = p, .m = m};
    p->layer = LAYER_NONE;
    val x = p_embed(p, "pooled", m->token_embd, EMBED_TOKENS, 1);
    p->delta = m->adapters.delta;
    p->n_deltas = m->adapters.n_deltas;
    if (has_scores(m)) x = scores(&f, x);
    if (m->dense_2 != NULL)
        x = p_linear1(p, "dense_2", x, (struct weight){m->dense_2, m->dense_2_b});
    if (m->dense_3 != NULL)
        x = p_linear1(p, "dense_3", x, (struct weight){m->dense_3, m->dense_3_b});
    *output = x;
}
