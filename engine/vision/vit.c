/* vit.c - the vision transformer that all types share (Dosovitskiy et al. 2021), recorded with the
 * verbs of the text models (engine/program.h, spec/models/vision.md 3 and 4).
 *
 * A row is a patch. All rows of a tile are one sequence in one step and see each other; each layer
 * writes its keys and values over those of the layer before, so there is a cache of one layer. In
 * layers with windows a row sees the cells that its input lists. */
#include <math.h>
#include <stdio.h>

#include "engine/vision/projector.h"

struct vit_inputs vit_inputs(const struct projector *p, uint32_t n_cells) {
    const bool offset = p->patch_b != NULL || p->pos != NULL || p->class_embd != NULL;
    struct vit_inputs in = {.n_pixels = 3 * p->hp.patch * p->hp.patch,
                            .n_offset = offset ? p->hp.n_embd : 0,
                            .n_cells = n_cells};
    in.width = in.n_pixels + in.n_offset + in.n_cells;
    return in;
}

val vit_norm(const struct projector *p, struct recorder *r, const char *name, val x,
             struct weight n) {
    const struct norm_style style = {.kind = p->norm, .eps = p->hp.eps};
    return n.w != NULL ? p_norm(r, name, x, n, style) : x;
}

val vit_mlp(struct recorder *r, val x, enum act act, struct weight a, struct weight b) {
    x = p_act(r, "act", act, p_linear1(r, "mm", x, a));
    return p_linear1(r, "mm", x, b);
}

val vit_linear(struct recorder *r, const char *name, val x, const struct vit_weight *w) {
    if (w->limited) x = p_clamp(r, "limited", x, w->in_low, w->in_high);
    x = p_linear1(r, name, x, w->m);
    return w->limited ? p_clamp(r, name, x, w->out_low, w->out_high) : x;
}

/* ---- attention --------------------------------------------------------------------------------
 */

/* Half of each head, from element `first` on, by one position (1: y, 2: x). */
static val rope_half(const struct projector *p, struct recorder *r, val x, uint32_t n_head,
                     enum rope_kind kind, uint32_t first, uint32_t axis, float base, float scale) {
    const uint32_t d = p->hp.head_dim;
    const struct rope_style style = {.kind = kind,
                                     .n_rot = d / 2,
                                     .first = first,
                                     .base = base,
                                     .freq_scale = scale,
                                     .mscale = 1,
                                     .axes = ROPE_ONE,
                                     .axis = axis};
    return p_rope(r, "rope", x, n_head, d, &style);
}

static val rope(const struct projector *p, struct recorder *r, val x, uint32_t n_head) {
    const uint32_t d = p->hp.head_dim;
    const struct rope_style vision = {.kind = ROPE_NEOX,
                                      .n_rot = d,
                                      .base = 10000,
                                      .freq_scale = 1,
                                      .mscale = 1,
                                      .axes = ROPE_VISION};
    switch (p->type->rope) {
    case VIT_ROPE_NONE:
        break;
    case VIT_ROPE_VISION:
        return p_rope(r, "rope", x, n_head, d, &vision);
    case VIT_ROPE_PIXTRAL: /* columns have the frequencies between those of the rows */
        x = rope_half(p, r, x, n_head, ROPE_NORM, 0, 1, 10000, 1);
        return rope_half(p, r, x, n_head, ROPE_NORM, d / 2, 2, 10000, (float)pow(10000, -2.0 / d));
    case VIT_ROPE_LLAMA4:
        x = rope_half(p, r, x, n_head, ROPE_NORM, 0, 2, 10000, 1);
        return rope_half(p, r, x, n_head, ROPE_NORM, d / 2, 1, 10000, 1);
    case VIT_ROPE_GEMMA4:
        x = rope_half(p, r, x, n_head, ROPE_NEOX, 0, 2, 100, 1);
        return rope_half(p, r, x, n_head, ROPE_NEOX, d / 2, 1, 100, 1);
    }
    return x;
}

struct qkv {
    val q, k, v;
};

static struct qkv project(const struct projector *p, struct recorder *r, const struct vit_layer *l,
                          val x) {
    const uint32_t q = p->hp.n_head * p->hp.head_dim, k = p->hp.n_head_kv * p->hp.head_dim;
    if (l->qkv.m.w == NULL)
        return (struct qkv){vit_linear(r, "q", x, &l->q), vit_linear(r, "k", x, &l->k),
                            vit_linear(r, "v", x, &l->v)};
    val all = vit_linear(r, "qkv", x, &l->qkv);
    return (struct qkv){p_slice(r, "q", all, 0, q), p_slice(r, "k", all, q, k),
                        p_slice(r, "v", all, q + k, k)};
}

static val attention(const struct projector *p, struct recorder *r, const struct vit_layer *l,
                     val x, val cells) {
    const struct vit_hparams *hp = &p->hp;
    const struct attn_style style = {
        .layer = 0, /* the only one of the cache */
        .n_head = hp->n_head,
        .n_head_kv = hp->n_head_kv,
        .head_dim = hp->head_dim,
        .head_dim_v = hp->head_dim,
        .scale = p->type->v_norm ? 1 : 1 / sqrtf((float)hp->head_dim),
    };
    struct qkv a = project(p, r, l, x);
    const struct norm_style heads = {.kind = NORM_RMS, .eps = hp->eps};
    const struct norm_style plain = {.kind = NORM_RMS, .eps = hp->eps, .group = hp->head_dim};
    if (l->q_norm.w != NULL) a.q = p_norm(r, "q_norm", a.q, l->q_norm, heads);
    if (l->k_norm.w != NULL) a.k = p_norm(r, "k_norm", a.k, l->k_norm, heads);
    a.q = rope(p, r, a.q, hp->n_head);
    a.k = rope(p, r, a.k, hp->n_head_kv);
    if (p->type->v_norm) a.v = p_norm(r, "v_norm", a.v, (struct weight){NULL, NULL}, plain);
    p_kv_store(r, a.k, a.v, &style);
    return vit_linear(r, "attn", p_attn(r, "heads", a.q, cells, &style), &l->out);
}

/* ---- layers -----------------------------------------------------------------------------------
 */

static val ffn(const struct projector *p, struct recorder *r, const struct vit_layer *l, val x) {
    val up = vit_linear(r, "up", x, &l->up);
    if (l->gate.m.w != NULL)
        up = p_glu(r, "act", p->act, vit_linear(r, "gate", x, &l->gate), up);
    else
        up = p_act(r, "act", p->act, up);
    return vit_linear(r, "ffn", up, &l->down);
}

static val branch(const struct projector *p, struct recorder *r, val x, val y,
                  const struct tensor *scale, struct weight post) {
    if (scale != NULL) y = p_mul_w(r, "scaled", y, scale);
    return p_add(r, "h", x, vit_norm(p, r, "post", y, post));
}

static val layer(const struct projector *p, struct recorder *r, const struct vit_layer *l, val x,
                 val cells) {
    val y = attention(p, r, l, vit_norm(p, r, "norm", x, l->ln1), cells);
    x = branch(p, r, x, y, l->ls1, l->attn_post);
    y = ffn(p, r, l, vit_norm(p, r, "norm", x, l->ln2));
    x = branch(p, r, x, y, l->ls2, l->ffn_post);
    return l->out_scale != NULL ? p_mul_w(r, "h", x, l->out_scale) : x;
}

/* Pixels, and what does not depend on them: bias, position, class. */
static val patches(const struct projector *p, struct recorder *r, const struct vit_inputs *in) {
    static const char *const name[] = {"patch", "patch_2"};
    const struct weight w[] = {{p->patch[0], p->patch_bias}, {p->patch[1], NULL}};
    val out[2];
    p_linear(r, p_given(r, "pixels", 0, in->n_pixels), p->patch[1] != NULL ? 2 : 1, w, name, out);
    val x = p->patch[1] != NULL ? p_add(r, "h", out[0], out[1]) : out[0];
    x = vit_norm(p, r, "patch_norm", x, p->patch_norm);
    if (in->n_offset != 0) x = p_add(r, "h", x, p_given(r, "offset", in->n_pixels, in->n_offset));
    return vit_norm(p, r, "pre_norm", x, p->pre_ln);
}

static bool has_window(const struct projector *p, uint32_t il) {
    return p->type->windows && p->hp.full_every != 0 && (il + 1) % p->hp.full_every != 0;
}

static bool is_feature(const struct projector *p, uint32_t il) {
    bool found = false;
    for (uint32_t i = 0; i < p->hp.n_feature; i++) found = found || p->hp.feature[i] == il;
    return found;
}

/* States side by side: the result and those of DeepStack, or features of several layers. */
static val side_by_side(struct recorder *r, const val *x, uint32_t n) {
    val y = x[0];
    for (uint32_t i = 1; i < n; i += OP_MAX_IN - 1) {
        val part[OP_MAX_IN] = {y};
        uint32_t m = 1;
        while (m < OP_MAX_IN && i + m - 1 < n) {
            part[m] = x[i + m - 1];
            m++;
        }
        y = p_concat(r, "states", (int)m, part);
    }
    return y;
}

val vit_record(const struct projector *p, struct recorder *r, uint32_t n_cells) {
    const struct vit_inputs in = vit_inputs(p, n_cells);
    val states[1 + MAX_DEEP], x;
    uint32_t n = 0, n_deep = 1;
    r->layer = LAYER_NONE;
    x = patches(p, r, &in);
    val cells = n_cells != 0 ? p_given(r, "cells", in.n_pixels + in.n_offset, n_cells) : VAL_NONE;
    for (uint32_t il = 0; il < p->n_run; il++) {
        r->layer = (uint16_t)il;
        if (is_feature(p, il)) states[n++] = x;
        x = layer(p, r, &p->layers[il], x, has_window(p, il) ? cells : VAL_NONE);
        if (p->layers[il].deep_fc1.w != NULL) states[n_deep++] = x;
    }
    r->layer = LAYER_NONE;
    if (is_feature(p, p->n_run)) states[n++] = x;
    if (p->hp.n_feature != 0) return side_by_side(r, states, n);
    x = vit_norm(p, r, "post_norm", x, p->post_ln);
    states[0] = p->type->tail != NULL ? p->type->tail(p, r, x) : x;
    return side_by_side(r, states, n_deep);
}
