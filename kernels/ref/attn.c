/* attn.c - definitions of rope, the cache and attention (spec/models/common.md 3 and 4). */
#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "kernels/ref/ref.h"

/* YaRN's ramp: 1 below the first corrected pair, 0 above the last one. */
static double yarn_ramp(float low, float high, uint32_t i) {
    double t = ((double)i - (double)low) / fmax(0.001, (double)high - (double)low);
    return 1.0 - fmin(1.0, fmax(0.0, t));
}

/* Angle of pair i at position pos. */
static double rope_angle(const struct op *op, uint32_t i, int32_t pos) {
    const float *factors = op->w[0] != NULL ? op->w[0]->data : NULL;
    double theta = pos * pow((double)op->p.rope.base, rope_exponent(op, i));
    if (factors != NULL) theta /= (double)factors[i];
    double mix =
        yarn_ramp(op->p.rope.corr_low, op->p.rope.corr_high, i) * (double)op->p.rope.ext_factor;
    return theta * (double)op->p.rope.freq_scale * (1.0 - mix) + theta * mix;
}

static void rope_head(const struct step *s, const struct op *op, uint32_t t, const float *x,
                      float *y) {
    uint32_t half = op->p.rope.n_rot / 2, first = op->p.rope.first;
    bool norm = op->p.rope.kind == ROPE_NORM;
    for (uint32_t i = 0; i < op->p.rope.head_dim; i++) y[i] = x[i];
    for (uint32_t i = 0; i < half; i++) {
        uint32_t ia = first + (norm ? 2 * i : i), ib = first + (norm ? 2 * i + 1 : i + half);
        double angle = rope_angle(op, i, step_position(s, t, rope_axis(op, i)));
        double m = (double)op->p.rope.mscale;
        float c = (float)(cos(angle) * m), sn = (float)(sin(angle) * m), a = x[ia], b = x[ib];
        y[ia] = a * c - b * sn;
        y[ib] = a * sn + b * c;
    }
}

void ref_rope(const struct step *s, const struct op *op) {
    uint32_t dim = op->p.rope.head_dim;
    for (uint32_t t = 0; t < s->batch->n_tokens; t++)
        for (uint32_t h = 0; h < op->p.rope.n_head; h++)
            rope_head(s, op, t, step_row(s, op->in[0], t) + h * dim,
                      step_row(s, op->out[0], t) + h * dim);
}

static void store_heads(const struct step *s, const struct op *op, const struct tensor *plane,
                        val v, uint32_t t, uint32_t dim, uint32_t step, uint32_t col) {
    const struct kv_seq *seq = kv_seq_of(s->kv, op->p.kv_store.layer, s->batch->seq[t]);
    const uint32_t n_head = op->p.kv_store.n_head_kv;
    const struct dtype_info *type = dtype_info(plane->type);
    for (uint32_t h = 0; h < n_head; h++) {
        size_t off =
            kv_offset(plane, seq, s->batch->index[t], h) + col / type->elems * (size_t)type->bytes;
        dtype_encode_fast(plane->type, step_row(s, v, t) + h * step,
                          (unsigned char *)plane->data + off, dim);
    }
}

void ref_kv_store(const struct step *s, const struct op *op) {
    const struct tensor *k = &s->kv->k[op->p.kv_store.layer], *v = &s->kv->v[op->p.kv_store.layer];
    for (uint32_t t = 0; t < s->batch->n_tokens; t++) {
        store_heads(s, op, op->p.kv_store.values ? v : k, op->in[0], t, op->p.kv_store.head_dim,
                    op->p.kv_store.step, op->p.kv_store.col);
        if (op->in[1] == VAL_NONE) continue;
        store_heads(s, op, v, op->in[1], t, op->p.kv_store.head_dim_v, op->p.kv_store.head_dim_v,
                    0);
    }
}

static void load_cell(const struct tensor *plane, const struct kv_seq *seq, uint32_t cell,
                      uint32_t head, float *out) {
    const unsigned char *p = (const unsigned char *)plane->data + kv_offset(plane, seq, cell, head);
    dtype_info(plane->type)->decode(p, out, (size_t)plane->dim[0]);
}

/* What one row sees: its cells, in rising order, and the scratch memory of a head. */
struct view {
    const struct kv_seq *seq;
    uint32_t *cell, n, index;
    double *p, *sum; /* [n], [head_dim_v] */
    float *vec;      /* a key or a value */
};

static void find_cells(const struct step *s, const struct op *op, uint32_t t, struct view *v) {
    const uint32_t end = step_end_cell(s, t, op);
    v->seq = kv_seq_of(s->kv, op->p.attn.layer, s->batch->seq[t]);
    v->index = s->batch->index[t];
    v->n = 0;
    if (op->in[1] != VAL_NONE) {
        const float *list = step_row(s, op->in[1], t);
        for (uint32_t i = 0; i < s->prog->vals[op->in[1]].width && list[i] >= 0; i++)
            v->cell[v->n++] = (uint32_t)list[i];
        return;
    }
    for (uint32_t c = step_first_cell(s, t, op); c < end; c++) v->cell[v->n++] = c;
}

/* ALiBi (Press et al. 2022): the bias of a head for each cell of distance. */
static double alibi_slope(const struct op *op, uint32_t h) {
    uint32_t n2 = 1;
    while (n2 * 2 <= op->p.attn.n_head) n2 *= 2;
    double max = (double)op->p.attn.alibi;
    return h < n2 ? pow(2, -max / n2 * (h + 1)) : pow(2, -max / 2 / n2 * (2 * (h - n2) + 1));
}

/* T5's bias of a head for a key `r` cells behind the query (Raffel et al. 2020; bidirectional): a
 * bucket for each small distance, then ever wider ones up to 128. */
static double bucket_bias(const struct op *op, uint32_t h, int64_t r) {
    const uint32_t side = op->p.attn.n_bucket / 2, exact = side / 2;
    const uint64_t far = (uint64_t)(r < 0 ? -r : r);
    double b = (double)far;
    if (far >= exact)
        b = fmin(side - 1,
                 floor(exact + log((double)far / exact) * (side - exact) / log(128.0 / exact)));
    const uint32_t row = (uint32_t)b + (r > 0 ? side : 0);
    return (double)((const float *)tensor_row(op->w[1], row))[h];
}

/* Scores of one query head against the visible cells, as probabilities in v->p. A sink is one more
 * score without a value. */
static void attn_probs(const struct step *s, const struct op *op, const struct view *v, uint32_t h,
                       const float *q) {
    const uint32_t head_kv = h / (op->p.attn.n_head / op->p.attn.n_head_kv);
    const float *sink = op->w[0] != NULL ? (const float *)op->w[0]->data + h : NULL;
    double max = sink != NULL ? (double)*sink : (double)-INFINITY, sum = 0;
    double slope = op->p.attn.alibi > 0 ? alibi_slope(op, h) : 0;
    for (uint32_t j = 0; j < v->n; j++) {
        load_cell(&s->kv->k[op->p.attn.layer], v->seq, v->cell[j], head_kv, v->vec);
        double score = 0;
        for (uint32_t i = 0; i < op->p.attn.head_dim; i++)
            score += (double)q[i] * (double)v->vec[i];
        score *= (double)op->p.attn.scale;
        if (op->p.attn.softcap > 0)
            score = (double)op->p.attn.softcap * tanh(score / (double)op->p.attn.softcap);
        v->p[j] = score - slope * fabs((double)v->index - (double)v->cell[j]);
        if (op->w[1] != NULL)
            v->p[j] += bucket_bias(op, h, (int64_t)v->cell[j] - (int64_t)v->index);
        if (v->p[j] > max) max = v->p[j];
    }
    if (sink != NULL) sum = exp((double)*sink - max);
    for (uint32_t j = 0; j < v->n; j++) sum += v->p[j] = exp(v->p[j] - max);
    for (uint32_t j = 0; j < v->n; j++) v->p[j] /= sum;
}

static void attn_head(const struct step *s, const struct op *op, uint32_t t, uint32_t h,
                      const struct view *v) {
    const uint32_t dim_v = op->p.attn.head_dim_v, layer = op->p.attn.layer;
    const uint32_t head_kv = h / (op->p.attn.n_head / op->p.attn.n_head_kv);
    const struct tensor *values = op->p.attn.latent ? &s->kv->k[layer] : &s->kv->v[layer];
    attn_probs(s, op, v, h, step_row(s, op->in[0], t) + h * op->p.attn.head_dim);
    for (uint32_t i = 0; i < dim_v; i++) v->sum[i] = 0;
    for (uint32_t j = 0; j < v->n; j++) {
        load_cell(values, v->seq, v->cell[j], head_kv, v->vec);
        for (uint32_t i = 0; i < dim_v; i++) v->sum[i] += v->p[j] * (double)v->vec[i];
    }
    for (uint32_t i = 0; i < dim_v; i++)
        step_row(s, op->out[0], t)[h * dim_v + i] = (float)v->sum[i];
}

static uint32_t longest_view(const struct step *s) {
    uint32_t n = 0;
    for (uint32_t t = 0; t < s->batch->n_tokens; t++)
        if (s->batch->kv_len[t] > n) n = s->batch->kv_len[t];
    return n;
}

static size_t cell_width(const struct step *s, uint32_t layer) {
    const struct tensor *k = &s->kv->k[layer], *v = &s->kv->v[layer];
    return (size_t)(k->dim[0] > v->dim[0] ? k->dim[0] : v->dim[0]);
}

void ref_attn(const struct step *s, const struct op *op) {
    const uint32_t longest = longest_view(s);
    struct view v = {.cell = mem_array(longest, sizeof *v.cell),
                     .p = mem_array((size_t)longest + op->p.attn.head_dim_v, sizeof *v.p),
                     .vec = mem_array(cell_width(s, op->p.attn.layer), sizeof *v.vec)};
    assert(v.cell != NULL && v.p != NULL && v.vec != NULL);
    v.sum = v.p + longest;
    for (uint32_t t = s->first_row; t < s->n_rows[ROWS_TOKENS]; t++) {
        find_cells(s, op, t, &v);
        for (uint32_t h = 0; h < op->p.attn.n_head; h++) attn_head(s, op, t, h, &v);
    }
    mem_free(v.vec);
    mem_free(v.p);
    mem_free(v.cell);
}

/* ---- choosing cells (sparse attention of DeepSeek V3.2, spec/models/moe.md glm-dsa) ---- */

static float select_score(const struct op *op, const float *q, const float *weights,
                          const float *key) {
    const uint32_t dim = op->p.attn_select.head_dim;
    double sum = 0;
    for (uint32_t h = 0; h < op->p.attn_select.n_head; h++) {
        double dot = 0;
        for (uint32_t i = 0; i < dim; i++) dot += (double)q[h * dim + i] * (double)key[i];
        if (dot > 0) sum += dot * (double)weights[h];
    }
    return (float)(sum * (double)op->p.attn_select.scale);
}

struct scored {
    float score;
    uint32_t cell;
};
static int better_first(const void *a, const void *b) { /* of equals the earlier cell */
    const struct scored *x = a, *y = b;
    if (x->score != y->score) return x->score > y->score ? -1 : 1;
    return (x->cell > y->cell) - (x->cell < y->cell);
}
static int by_cell(const void *a, const void *b) {
    const struct scored *x = a, *y = b;
    return (x->cell > y->cell) - (x->cell < y->cell);
}

static void select_row(const struct step *s, const struct op *op, uint32_t t, struct scored *list,
                       float *vec) {
    const struct tensor *plane = &s->kv->k[op->p.attn_select.layer];
    const struct kv_seq *seq = kv_seq_of(s->kv, op->p.attn_select.layer, s->batch->seq[t]);
    const uint32_t top = op->p.attn_select.top_k;
    uint32_t n = s->batch->kv_len[t];
    for (uint32_t c = 0; c < n; c++) {
        load_cell(plane, seq, c, 0, vec);
        list[c] =
            (struct scored){select_score(op, step_row(s, op->in[0], t), step_row(s, op->in[1], t),
                                         vec + op->p.attn_select.col),
                            c};
    }
    if (n > top) {
        qsort(list, n, sizeof *list, better_first);
        n = top;
        qsort(list, n, sizeof *list, by_cell);
    }
    for (uint32_t i = 0; i < top; i++)
        step_row(s, op->out[0], t)[i] = i < n ? (float)list[i].cell : -1.0f;
}

void ref_attn_select(const struct step *s, const struct op *op) {
    const uint32_t n = longest_view(s);
    struct scored *list = mem_array(n, sizeof *list);
    float *vec = mem_array(cell_width(s, op->p.attn_select.layer), sizeof *vec);
    assert(list != NULL && vec != NULL);
    for (uint32_t t = s->first_row; t < step_rows(s, op->in[0]); t++)
        select_row(s, op, t, list, vec);
    mem_free(vec);
    mem_free(list);
}
