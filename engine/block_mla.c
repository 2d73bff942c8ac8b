/* block_mla.c - multi-head latent attention (DeepSeek-V2, arXiv 2405.04434; spec/models/moe.md
 * deepseek2), and its sparse form with an index of keys (DeepSeek-V3.2).
 *
 * Keys and values of all heads are products of one short row c and a shared rotated part k_r. In
 * files with attn_k_b and attn_v_b these products are absorbed: a query is multiplied into the
 * space of c, attention runs on [c | k_r] as one key/value head, and what it gives is multiplied
 * out of that space. The cache has kv_rank + n_rot floats a cell, and values are a part of the
 * keys. Older files have attn_kv_b alone: keys and values of all heads are made and cached. */
#include <math.h>

#include "engine/block.h"

/* ---- hyperparameters ---- */

enum status block_mla_derive(struct model *m, struct err *e) {
    struct hparams *hp = &m->hp;
    const bool latent = hp->latent = hp->mla_dim_k != 0 && hp->mla_dim_v != 0;
    if (!latent) {
        hp->mla_dim_k = hp->head_dim;
        hp->mla_dim_v = hp->head_dim_v;
    }
    if (hp->kv_rank == 0) return hparam_error(m, "attention.kv_lora_rank", e, "is missing or 0");
    if (hp->n_rot == 0 || hp->n_rot >= hp->mla_dim_k)
        return hparam_clash(m, "rope.dimension_count",
                            "attention.key_length_mla attention.value_length_mla "
                            "attention.key_length",
                            e, "is %u, in keys of %u", hp->n_rot, hp->mla_dim_k);
    if (latent && (hp->head_dim != hp->kv_rank + hp->n_rot || hp->head_dim_v != hp->kv_rank))
        return hparam_clash(m, "attention.key_length",
                            "attention.value_length attention.kv_lora_rank rope.dimension_count", e,
                            "is %u, expected %u and %u for values", hp->head_dim,
                            hp->kv_rank + hp->n_rot, hp->kv_rank);
    for (uint32_t il = 0; il < hp->n_layer; il++) {
        struct layer *l = &m->layers[il];
        if (l->recurrent != 0) continue;
        const uint32_t want = latent ? 1 : l->n_head;
        if (l->n_head_kv != want)
            return hparam_clash(m, "attention.head_count_kv",
                                "attention.head_count attention.key_length_mla "
                                "attention.value_length_mla",
                                e, "is %u, expected %u", l->n_head_kv, want);
        l->kv_dim_k = latent ? hp->kv_rank + hp->n_rot : hp->mla_dim_k;
        l->kv_dim_v = latent ? 0 : hp->mla_dim_v;
        if (l->own_index != 0) l->kv_dim_k += hp->index_dim;
        if (l->own_index != 0 && (!latent || hp->q_rank == 0))
            return hparam_error(m, "attention.q_lora_rank", e, "is needed by the index of keys");
    }
    /* Scores are scaled by the un-absorbed head size, and by the square of YaRN's logarithm. */
    const float log_s = logf(1 / hp->rope_freq_scale);
    const float mag = hp->rope_scaling == ROPE_SCALING_YARN
                          ? block_rope_magnitude(hp)
                          : hp->rope_attn_factor * (1 + 0.1f * log_s);
    const float q = mag * (1 + 0.1f * hp->yarn_log_mul * log_s);
    hp->attn_scale = q * q / sqrtf((float)hp->mla_dim_k);
    return ST_OK;
}

/* ---- choosing cells ---- */

/* The index key of each row goes behind [c | k_r] in its cell; f->cells becomes the best ones. */
static void choose_cells(struct forward *f, uint32_t il, val x, val q_low) {
    static const char *const name[] = {"index_k", "index_w"};
    const struct layer *l = &f->m->layers[il];
    const struct hparams *hp = &f->m->hp;
    const struct weight w[] = {{l->index_k, NULL}, {l->index_proj, NULL}};
    const struct norm_style norm = {.kind = NORM_LAYER, .eps = hp->index_eps};
    const uint32_t col = hp->kv_rank + hp->n_rot;
    const struct kv_part part = {
        .layer = il, .n_head_kv = 1, .width = hp->index_dim, .col = col, .step = hp->index_dim};
    const struct select_style select = {
        .layer = il,
        .n_head = hp->n_index_head,
        .head_dim = hp->index_dim,
        .col = col,
        .top_k = hp->index_top_k,
        .scale = 1 / sqrtf((float)hp->index_dim * (float)hp->n_index_head)};
    struct rope_style rope = block_rope(f, l);
    val out[2];
    rope.kind = f->m->arch->style.index_rope;
    val q = p_linear1(f->p, "index_q", q_low, (struct weight){l->index_q, NULL});
    p_linear(f->p, x, 2, w, name, out);
    val k =
        p_norm(f->p, "index_k", out[0], (struct weight){l->index_k_norm, l->index_k_norm_b}, norm);
    q = p_rope(f->p, "index_q", q, hp->n_index_head, hp->index_dim, &rope);
    k = p_rope(f->p, "index_k", k, 1, hp->index_dim, &rope);
    p_kv_store_part(f->p, k, &part);
    f->cells = p_attn_select(f->p, q, out[1], &select);
}

/* ---- attention ---- */

/* [c | k_r] into the cells; attention in the space of c. */
static val attend_latent(struct forward *f, uint32_t il, val q, val c, val k_r) {
    const struct layer *l = &f->m->layers[il];
    const struct hparams *hp = &f->m->hp;
    const uint32_t r = hp->kv_rank, rot = hp->n_rot;
    const struct attn_style attn = {.layer = il,
                                    .n_head = l->n_head,
                                    .n_head_kv = 1,
                                    .head_dim = r + rot,
                                    .head_dim_v = r,
                                    .latent = true,
                                    .scale = hp->attn_scale};
    p_kv_store_part(f->p, c, &(struct kv_part){.layer = il, .n_head_kv = 1, .width = r, .step = r});
    p_kv_store_part(
        f->p, k_r,
        &(struct kv_part){.layer = il, .n_head_kv = 1, .width = rot, .col = r, .step = rot});
    q = p_heads_mm(f->p, "q_latent", q, l->wk_up, rot);
    val heads = p_attn(f->p, "latent", q, f->cells, &attn);
    return p_heads_mm(f->p, "heads", heads, l->wv_up, 0);
}

/* Keys and values of all heads: kv_b c gives [k | v] of each, k_r is the same for all. */
static val attend_heads(struct forward *f, uint32_t il, val q, val c, val k_r) {
    const struct layer *l = &f->m->layers[il];
    const struct hparams *hp = &f->m->hp;
    const uint32_t rot = hp->n_rot, nope = hp->mla_dim_k - rot, dim_v = hp->mla_dim_v;
    const uint32_t step = nope + dim_v, H = l->n_head;
    const struct attn_style attn = {.layer = il,
                                    .n_head = H,
                                    .n_head_kv = H,
                                    .head_dim = hp->mla_dim_k,
                                    .head_dim_v = dim_v,
                                    .scale = hp->attn_scale};
    val kv = p_linear1(f->p, "kv", c, (struct weight){l->wkv_up, NULL});
    val v = p_slice(f->p, "v", kv, nope, H * step - nope);
    const struct kv_part k_part = {.layer = il, .n_head_kv = H, .width = nope, .step = step};
    const struct kv_part r_part = {.layer = il, .n_head_kv = H, .width = rot, .col = nope};
    const struct kv_part v_part = {
        .layer = il, .n_head_kv = H, .width = dim_v, .step = step, .values = true};
    p_kv_store_part(f->p, kv, &k_part);
    p_kv_store_part(f->p, k_r, &r_part);
    p_kv_store_part(f->p, v, &v_part);
    return p_attn(f->p, "heads", q, VAL_NONE, &attn);
}

val block_mla(struct forward *f, uint32_t il, val x) {
    static const char *const name[] = {"q_low", "kv_low"}, *const plain[] = {"q", "kv_low"};
    const struct layer *l = &f->m->layers[il];
    const struct hparams *hp = &f->m->hp;
    const struct weight w[] = {{l->wq_a != NULL ? l->wq_a : l->wq, NULL}, {l->wkv_a, NULL}};
    struct rope_style rope = block_rope(f, l), rope_k = rope;
    val out[2], q;
    p_linear(f->p, x, 2, w, l->wq_a != NULL ? name : plain, out);
    q = out[0];
    if (l->wq_a != NULL) {
        val low = block_norm(f, "q_low", q, (struct weight){l->q_a_norm, NULL});
        q = p_linear1(f->p, "q", low, (struct weight){l->wq_up, NULL});
        if (l->own_index != 0 && f->n_ctx > hp->index_top_k) choose_cells(f, il, x, low);
    }
    val c = p_slice(f->p, "c", out[1], 0, hp->kv_rank);
    val k_r = p_slice(f->p, "k", out[1], hp->kv_rank, hp->n_rot);
    c = block_norm(f, "c_norm", c, (struct weight){l->kv_a_norm, NULL});
    rope.first = hp->mla_dim_k - hp->n_rot;
    if (l->rope) q = p_rope(f->p, "q_rope", q, l->n_head, hp->mla_dim_k, &rope);
    if (l->temp)
        q = p_pos_scale(f->p, "q_temp", q, hp->temp_scale, hp->temp_offset, hp->temp_floor);
    if (l->rope) k_r = p_rope(f->p, "k_rope", k_r, 1, hp->n_rot, &rope_k);
    val heads = l->wk_up != NULL ? attend_latent(f, il, q, c, k_r) : attend_heads(f, il, q, c, k_r);
    return p_linear1(f->p, "attn", heads, (struct weight){l->wo, NULL});
}
