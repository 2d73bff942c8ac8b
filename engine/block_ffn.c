/* block_ffn.c - the feed-forward half of a block: a gated product, a plain one, or experts
 * (spec/models/common.md 5 and 6). */
#include "engine/block.h"

/* One hidden layer; gate NULL: `up` is both halves of a gated product if it is twice as wide as
 * `down` takes, else it goes through the activation alone. */
struct mlp {
    struct weight gate, up, down;
    const char *name;
    float sparsity; /* p_sparsify of the gate; 0: none */
};

static enum act block_act(const struct forward *f) {
    return f->m->hp.act != ACT_NONE ? f->m->hp.act : f->m->arch->style.act;
}

static val mlp(struct forward *f, const struct mlp *w, val x) {
    static const char *const name[] = {"gate", "up"};
    const enum act act = block_act(f);
    const uint32_t n_ff = (uint32_t)w->down.w->dim[0];
    val out[2], hidden;
    if (w->gate.w != NULL) {
        p_linear(f->p, x, 2, (const struct weight[]){w->gate, w->up}, name, out);
        if (w->sparsity != 0) out[0] = p_sparsify(f->p, "gate", out[0], w->sparsity);
        hidden = p_glu(f->p, "act", act, out[0], out[1]);
    } else {
        val up = p_linear1(f->p, "up", x, w->up);
        hidden = w->up.w->dim[1] == 2 * (int64_t)n_ff ? p_glu_halves(f->p, "act", act, up, n_ff)
                                                      : p_act(f->p, "act", act, up);
    }
    return p_linear1(f->p, w->name, hidden, w->down);
}

val block_ffn_dense(struct forward *f, const struct layer *l, val x) {
    const struct mlp w = {{l->ffn_gate, l->ffn_gate_b},
                          {l->ffn_up, l->ffn_up_b},
                          {l->ffn_down, l->ffn_down_b},
                          "ffn",
                          l->gate_sparsity};
    return mlp(f, &w, x);
}

/* ---- experts ----------------------------------------------------------------------------------
 */

/* The experts' hidden rows, side by side. A weight that belongs to the input multiplies both
 * products, which is the same. */
static val experts_hidden(struct forward *f, const struct layer *l, val x, val ids, val weights) {
    static const char *const name[] = {"gate", "up"}, *const fused[] = {"gate_up"};
    const struct weight w[] = {{l->experts_gate, l->experts_gate_b},
                               {l->experts_up, l->experts_up_b}};
    const uint32_t n_used = f->m->hp.n_expert_used;
    const enum act act = block_act(f);
    val out[2];
    if (l->experts_gate_up != NULL) {
        const struct weight both = {l->experts_gate_up, NULL};
        p_linear_id(f->p, x, ids, n_used, false, 1, &both, fused, out);
        return p_glu_halves(f->p, "act", act, out[0], l->n_ff_exp);
    }
    if (l->experts_gate == NULL) {
        p_linear_id(f->p, x, ids, n_used, false, 1, w + 1, name + 1, out);
        return p_act(f->p, "act", act, out[0]);
    }
    p_linear_id(f->p, x, ids, n_used, false, 2, w, name, out);
    if (f->m->arch->style.weigh_inputs)
        for (int i = 0; i < 2; i++) out[i] = p_mul(f->p, name[i], out[i], weights);
    return p_glu(f->p, "act", act, out[0], out[1]);
}

val block_experts(struct forward *f, const struct layer *l, val x, val logits) {
    static const char *const name[] = {"down"};
    const struct hparams *hp = &f->m->hp;
    const struct block_style *style = &f->m->arch->style;
    const struct moe_style moe = {.n_expert = hp->n_expert,
                                  .n_used = hp->n_expert_used,
                                  .gating = (enum moe_gating)hp->gating,
                                  .norm_weights = hp->norm_weights,
                                  .by_logits = style->choose_by_logits,
                                  .n_group = hp->n_group,
                                  .n_chosen = hp->n_group_used,
                                  .weights_scale = hp->weights_scale,
                                  .bias = l->router_bias_sel,
                                  .factors = l->experts_down_scale};
    const struct weight down_w = {l->experts_down, l->experts_down_b};
    val ids, weights, down;
    p_moe_route(f->p, logits, &moe, &ids, &weights);
    val hidden = experts_hidden(f, l, x, ids, weights);
    p_linear_id(f->p, hidden, ids, moe.n_used, true, 1, &down_w, name, &down);
    return p_moe_sum(f->p, "ffn", down, style->weigh_inputs ? VAL_NONE : weights, moe.n_used);
}

/* Every row's experts, which may have a gate of their own: sigmoid of one product. */
static val shared_experts(struct forward *f, const struct layer *l, val x) {
    const struct mlp w = {
        {l->shared_gate, NULL}, {l->shared_up, NULL}, {l->shared_down, NULL}, "shared", 0};
    val y = mlp(f, &w, x);
    if (l->shared_router == NULL) return y;
    val gate = p_linear1(f->p, "shared_gate", x, (struct weight){l->shared_router, NULL});
    return p_mul(f->p, "shared", y, p_act(f->p, "shared_gate", ACT_SIGMOID, gate));
}

val block_ffn(struct forward *f, uint32_t il, val x) {
    const struct layer *l = &f->m->layers[il];
    if (!l->moe) return block_ffn_dense(f, l, x);
    val logits = p_linear1(f->p, "router", x, (struct weight){l->router, l->router_b});
    val in = x;
    if (l->latent_down != NULL)
        in = p_linear1(f->p, "latent", x, (struct weight){l->latent_down, NULL});
    val y = block_experts(f, l, in, logits);
    if (l->latent_up != NULL) y = p_linear1(f->p, "ffn", y, (struct weight){l->latent_up, NULL});
    if (l->shared_up == NULL) return y;
    return p_add(f->p, "ffn", y, shared_experts(f, l, x));
}
