/* block_recur.c - mixers with a recurrence in place of attention (spec/models/recurrent.md): Mamba,
 * Mamba-2, gated delta rule. What they keep of a sequence does not grow with it. A layer's state is
 * that of its convolution, then that of the recurrence. */
#include <math.h>

#include "engine/block.h"

/* ---- hyperparameters ---- */

enum { MAX_STATE = 1 << 28 }; /* floats of a layer */

enum status block_state_derive(struct model *m, struct layer *l, uint64_t conv_width, uint64_t rest,
                               struct err *e) {
    const uint64_t n = (m->hp.ssm_conv - 1) * conv_width + rest;
    if (n > MAX_STATE)
        return hparam_error(m, "ssm.state_size", e, "gives a layer a state of more than %d floats",
                            MAX_STATE);
    l->n_state = (uint32_t)n;
    return ST_OK;
}

/* Keys that every one of these needs. */
static enum status check_sizes(const struct model *m, struct err *e) {
    const struct hparams *hp = &m->hp;
    const struct {
        const char *key;
        uint32_t value;
    } needed[] = {{"ssm.conv_kernel", hp->ssm_conv},
                  {"ssm.inner_size", hp->ssm_inner},
                  {"ssm.state_size", hp->ssm_state},
                  {"ssm.time_step_rank", hp->ssm_rank}};
    for (int i = 0; i < 4; i++)
        if (needed[i].value == 0) return hparam_error(m, needed[i].key, e, "is missing");
    return ST_OK;
}

static enum status set_states(struct model *m, uint64_t conv_width, uint64_t rest, struct err *e) {
    enum status st = ST_OK;
    for (uint32_t il = 0; st == ST_OK && il < m->hp.n_layer; il++)
        if (m->layers[il].recurrent != 0)
            st = block_state_derive(m, &m->layers[il], conv_width, rest, e);
    return st;
}

enum status block_mamba_derive(struct model *m, struct err *e) {
    const uint64_t inner = m->hp.ssm_inner;
    enum status st = check_sizes(m, e);
    return st == ST_OK ? set_states(m, inner, inner * m->hp.ssm_state, e) : st;
}

enum status block_mamba2_derive(struct model *m, struct err *e) {
    const struct hparams *hp = &m->hp;
    const uint64_t inner = hp->ssm_inner, n_group = hp->ssm_group;
    enum status st = check_sizes(m, e);
    if (st != ST_OK) return st;
    if (inner % hp->ssm_rank != 0)
        return hparam_clash(m, "ssm.time_step_rank", "ssm.inner_size", e,
                            "is %u heads, which do not divide %u", hp->ssm_rank, hp->ssm_inner);
    if (n_group == 0 || hp->ssm_rank % n_group != 0)
        return hparam_clash(m, "ssm.group_count", "ssm.time_step_rank", e,
                            "is %u, which does not divide %u heads", hp->ssm_group, hp->ssm_rank);
    return set_states(m, inner + 2 * n_group * hp->ssm_state, inner * hp->ssm_state, e);
}

/* state_size is the size of all heads, group_count the key heads, time_step_rank the value heads.
 */
enum status block_delta_derive(struct model *m, struct err *e) {
    const struct hparams *hp = &m->hp;
    const uint64_t dim = hp->ssm_state, n_k = hp->ssm_group, n_v = hp->ssm_rank;
    enum status st = check_sizes(m, e);
    if (st != ST_OK) return st;
    if (n_k == 0 || n_v % n_k != 0)
        return hparam_clash(m, "ssm.group_count", "ssm.time_step_rank", e,
                            "is %u, which does not divide %u heads", hp->ssm_group, hp->ssm_rank);
    if (hp->ssm_inner != n_v * dim)
        return hparam_clash(m, "ssm.inner_size", "ssm.state_size ssm.time_step_rank", e,
                            "is %u, expected %u heads of %u", hp->ssm_inner, hp->ssm_rank,
                            hp->ssm_state);
    return set_states(m, (2 * n_k + n_v) * dim, n_v * dim * dim, e);
}

/* ---- Mamba ---- */

static val norm_part(struct forward *f, const char *name, val x) {
    return f->m->hp.ssm_norm_parts ? block_norm_plain(f, name, x, 0) : x;
}

static struct ssm_style scan_style(const struct hparams *hp, const struct layer *l, uint32_t il) {
    return (struct ssm_style){.layer = il,
                              .n_head = hp->ssm_inner,
                              .head_dim = 1,
                              .n_state = hp->ssm_state,
                              .n_group = 1,
                              .a = l->ssm_a,
                              .d = l->ssm_d};
}

val block_mamba(struct forward *f, uint32_t il, val x) {
    const struct layer *l = &f->m->layers[il];
    const struct hparams *hp = &f->m->hp;
    const uint32_t inner = hp->ssm_inner, n = hp->ssm_state, rank = hp->ssm_rank;
    struct ssm_style scan = scan_style(hp, l, il);
    scan.col = (hp->ssm_conv - 1) * inner;
    val in = p_linear1(f->p, "in", x, (struct weight){l->ssm_in, NULL});
    val z = p_slice(f->p, "z", in, inner, inner);
    x = p_slice(f->p, "x", in, 0, inner);
    x = p_conv_state(f->p, "conv", x, (struct weight){l->ssm_conv, l->ssm_conv_b}, il, 0);
    x = p_act(f->p, "x", ACT_SILU, x);
    val parts = p_linear1(f->p, "parts", x, (struct weight){l->ssm_x, NULL});
    val dt = norm_part(f, "dt", p_slice(f->p, "dt", parts, 0, rank));
    val b = norm_part(f, "b", p_slice(f->p, "b", parts, rank, n));
    val c = norm_part(f, "c", p_slice(f->p, "c", parts, rank + n, n));
    dt = p_linear1(f->p, "dt", dt, (struct weight){l->ssm_dt, l->ssm_dt_b});
    val y = p_ssm_scan(f->p, "scan", x, dt, b, c, &scan);
    y = p_glu(f->p, "gated", ACT_SILU, z, y);
    return p_linear1(f->p, "mixed", y, (struct weight){l->ssm_out, NULL});
}

val block_mamba2(struct forward *f, uint32_t il, val x) {
    const struct layer *l = &f->m->layers[il];
    const struct hparams *hp = &f->m->hp;
    const uint32_t inner = hp->ssm_inner, gn = hp->ssm_group * hp->ssm_state;
    const uint32_t width = inner + 2 * gn;
    struct ssm_style scan = scan_style(hp, l, il);
    scan.col = (hp->ssm_conv - 1) * width;
    scan.n_head = hp->ssm_rank;
    scan.head_dim = inner / hp->ssm_rank;
    scan.n_group = hp->ssm_group;
    scan.dt_b = l->ssm_dt_b;
    val in = p_linear1(f->p, "in", x, (struct weight){l->ssm_in, NULL});
    val z = p_slice(f->p, "z", in, 0, inner);
    val xbc = p_slice(f->p, "xbc", in, inner, width);
    val dt = p_slice(f->p, "dt", in, inner + width, hp->ssm_rank);
    xbc = p_conv_state(f->p, "conv", xbc, (struct weight){l->ssm_conv, l->ssm_conv_b}, il, 0);
    xbc = p_act(f->p, "xbc", ACT_SILU, xbc);
    x = p_slice(f->p, "x", xbc, 0, inner);
    val b = p_slice(f->p, "b", xbc, inner, gn), c = p_slice(f->p, "c", xbc, inner + gn, gn);
    val y = p_ssm_scan(f->p, "scan", x, dt, b, c, &scan);
    y = p_glu(f->p, "gated", ACT_SILU, z, y);
    y = block_norm(f, "norm", y, (struct weight){l->ssm_norm, NULL});
    return p_linear1(f->p, "mixed", y, (struct weight){l->ssm_out, NULL});
}

/* ---- gated delta rule ---- */

/* x / sqrt(sum(x^2) + eps) of each head, by the norm of means. */
val block_unit_heads(struct forward *f, const char *name, val x, uint32_t dim) {
    const struct norm_style style = {
        .kind = NORM_RMS, .eps = f->m->hp.norm_eps / (float)dim, .group = dim};
    x = p_norm(f->p, name, x, (struct weight){NULL, NULL}, style);
    return p_scale(f->p, name, x, 1 / sqrtf((float)dim), 0);
}

/* [q | k | v] and z. Older files have all of them in one weight, by key heads. */
static val project_delta(struct forward *f, const struct layer *l, val x, val *z) {
    static const char *const name[] = {"qkv", "z"};
    const struct hparams *hp = &f->m->hp;
    const struct weight w[] = {{l->ssm_qkv, NULL}, {l->ssm_gate, NULL}};
    const uint32_t dim = hp->ssm_state, dims_v = dim * (hp->ssm_rank / hp->ssm_group);
    const uint32_t piece = 2 * dim + 2 * dims_v;
    val out[2];
    if (l->ssm_in == NULL) {
        p_linear(f->p, x, 2, w, name, out);
        *z = out[1];
        return out[0];
    }
    val in = p_linear1(f->p, "in", x, (struct weight){l->ssm_in, NULL});
    const val parts[] = {p_columns(f->p, "q", in, piece, 0, dim),
                         p_columns(f->p, "k", in, piece, dim, dim),
                         p_columns(f->p, "v", in, piece, 2 * dim, dims_v)};
    *z = p_columns(f->p, "z", in, piece, 2 * dim + dims_v, dims_v);
    return p_concat(f->p, "qkv", 3, parts);
}

/* beta and the gate of the decay, apart or in one weight by key heads. */
static void project_gates(struct forward *f, const struct layer *l, val x, struct delta_in *in) {
    static const char *const name[] = {"beta", "gate"};
    const struct weight w[] = {{l->ssm_beta, NULL}, {l->ssm_alpha, NULL}};
    const uint32_t n = f->m->hp.ssm_rank / f->m->hp.ssm_group;
    val out[2];
    if (l->ssm_ba == NULL) {
        p_linear(f->p, x, 2, w, name, out);
        in->beta = out[0];
        in->gate = out[1];
        return;
    }
    val both = p_linear1(f->p, "gates", x, (struct weight){l->ssm_ba, NULL});
    in->beta = p_columns(f->p, "beta", both, 2 * n, 0, n);
    in->gate = p_columns(f->p, "gate", both, 2 * n, n, n);
}

val block_delta(struct forward *f, uint32_t il, val x) {
    const struct layer *l = &f->m->layers[il];
    const struct hparams *hp = &f->m->hp;
    const uint32_t dim = hp->ssm_state, dims_k = hp->ssm_group * dim;
    const struct delta_style style = {.layer = il,
                                      .col = (hp->ssm_conv - 1) * (2 * dims_k + hp->ssm_inner),
                                      .n_head = hp->ssm_rank,
                                      .n_head_k = hp->ssm_group,
                                      .dim_k = dim,
                                      .dim_v = dim,
                                      .tiled = f->m->arch->style.k_in_turn,
                                      .a = l->ssm_a,
                                      .dt_b = l->ssm_dt_b};
    struct delta_in in;
    val z, qkv = project_delta(f, l, x, &z);
    project_gates(f, l, x, &in);
    qkv = p_conv_state(f->p, "conv", qkv, (struct weight){l->ssm_conv, NULL}, il, 0);
    qkv = p_act(f->p, "qkv", ACT_SILU, qkv);
    val qk = block_unit_heads(f, "qk", p_slice(f->p, "qk", qkv, 0, 2 * dims_k), dim);
    in.q = p_slice(f->p, "q", qk, 0, dims_k);
    in.k = p_slice(f->p, "k", qk, dims_k, dims_k);
    in.v = p_slice(f->p, "v", qkv, 2 * dims_k, hp->ssm_inner);
    val y = p_delta_net(f->p, "delta", &in, &style);
    y = block_norm(f, "norm", y, (struct weight){l->ssm_norm, NULL});
    y = p_glu(f->p, "gated", ACT_SILU, z, y);
    return p_linear1(f->p, "mixed", y, (struct weight){l->ssm_out, NULL});
}
