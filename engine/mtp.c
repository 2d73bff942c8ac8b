/* mtp.c - a block that predicts a further token (spec/models/lora-mtp.md 2; DeepSeek-V3, arXiv
 * 2412.19437, 2.2).
 *
 *     u = eh_proj [ norm(embed(x_p)) | norm(h_{p-1}) ]     h: what the main model's head sees
 *     u = a layer of the architecture, with a cache of its own
 *     g = norm(u), logits(p) = head g                      predicts x_{p+1}
 *
 * A program of its own: its rows are the tokens of a step again, with the vectors that the main
 * program kept of the tokens before them. It keeps g, which takes the place of h where one more
 * token is predicted. Embedding, head and last norm are the main model's unless the block brings
 * its own; a row of an image is given in place of an embedding, as it is to the main program. */
#include "engine/block.h"

static const struct tensor *own_or(const struct tensor *own, const struct tensor *shared) {
    return own != NULL ? own : shared;
}

void model_record_mtp(const struct model *m, struct recorder *p, uint32_t n_ctx, val *output) {
    const uint32_t il = m->hp.n_layer;
    const struct layer *l = &m->layers[il];
    const float scale = m->hp.embd_scale != 0 ? m->hp.embd_scale : 1;
    struct forward f = {.p = p, .m = m, .n_ctx = n_ctx, .cells = VAL_NONE, .per_layer = VAL_NONE};
    p->layer = (uint16_t)il;
    p->delta = m->adapters.delta;
    p->n_deltas = m->adapters.n_deltas;
    val x = p_embed(p, "token", own_or(l->mtp_embd, m->token_embd), EMBED_TOKENS, scale);
    val h = p_beside(p, "before", m->hp.n_embd);
    const val both[] = {block_norm(&f, "token_norm", x, (struct weight){l->enorm, NULL}),
                        block_norm(&f, "before_norm", h, (struct weight){l->hnorm, NULL})};
    x = p_concat(p, "both", 2, both);
    x = p_linear1(p, "h", x, (struct weight){l->eh_proj, NULL});
    x = m->arch->layer != NULL ? m->arch->layer(&f, il, x) : block_layer(&f, il, x);
    p->layer = LAYER_NONE;
    x = block_norm(&f, "hidden", x, (struct weight){own_or(l->mtp_norm, m->output_norm), NULL});
    p->kept = x;
    p->keeps = true;
    x = p_rows(p, "wanted", x);
    *output = block_logits(&f, x, (struct weight){own_or(l->mtp_head, m->output), m->output_b});
}
