/* block_ple.c - per-layer embeddings of Gemma 3n and Gemma 4 (spec/models/dense.md): beside the
 * stream, a token has a short vector for each layer, partly looked up and partly made of the first
 * row of the stream; each layer gates it with its own row and adds it. */
#include <math.h>

#include "engine/block.h"

val block_ple_begin(struct forward *f, val x) {
    const struct model *m = f->m;
    const float n = (float)m->hp.n_embd_layer;
    val given = p_embed(f->p, "ple_token", m->ple_embd, EMBED_IDS, sqrtf(n));
    val made = p_linear1(f->p, "ple_proj", x, (struct weight){m->ple_proj, NULL});
    made = p_scale(f->p, "ple_proj", made, 1 / sqrtf((float)m->hp.n_embd), 0);
    made = block_norm(f, "ple_norm", made, (struct weight){m->ple_norm, NULL});
    val sum = p_add(f->p, "ple", made, given);
    f->per_layer = p_scale(f->p, "ple", sum, sqrtf(0.5f), 0);
    return x;
}

val block_ple_gate(struct forward *f, uint32_t il, val x) {
    const struct layer *l = &f->m->layers[il];
    const uint32_t n = f->m->hp.n_embd_layer;
    val own = p_slice(f->p, "ple", f->per_layer, il * n, n);
    val gate = p_linear1(f->p, "ple_gate", x, (struct weight){l->ple_gate, NULL});
    gate = p_glu(f->p, "ple_act", f->m->arch->style.act, gate, own);
    val y = p_linear1(f->p, "ple_out", gate, (struct weight){l->ple_proj, NULL});
    return block_norm(f, "ple_norm", y, (struct weight){l->ple_norm, NULL});
}
