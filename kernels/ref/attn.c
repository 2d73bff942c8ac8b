/* attn.c - definitions of rope, the cache and attention (spec/models/common.md 3 and 4). */
#include <assert.h>
#include <math.h>

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
    double theta = pos * pow((double)op->p.rope.base, -2.0 * i / op->p.rope.n_rot);
    if (factors != NULL) theta /= (double)factors[i];
    double mix =
        yarn_ramp(op->p.rope.corr_low, op->p.rope.corr_high, i) * (double)op->p.rope.ext_factor;
    return theta * (double)op->p.rope.freq_scale * (1.0 - mix) + theta * mix;
}

static void rope_head(const struct op *op, const float *x, float *y, int32_t pos) {
    uint32_t half = op->p.rope.n_rot / 2;
    bool norm = op->p.rope.kind == ROPE_NORM;
    for (uint32_t i = 0; i < op->p.rope.head_dim; i++) y[i] = x[i];
    for (uint32_t i = 0; i < half; i++) {
        uint32_t ia = norm ? 2 * i : i, ib = norm ? 2 * i + 1 : i + half;
        double angle = rope_angle(op, i, pos), m = (double)op->p.rope.mscale;
        float c = (float)(cos(angle) * m), sn = (float)(sin(angle) * m), a = x[ia], b = x[ib];
        y[ia] = a * c - b * sn;
        y[ib] = a * sn + b * c;
    }
}

void ref_rope(const struct step *s, const struct op *op) {
    uint32_t dim = op->p.rope.head_dim;
    for (uint32_t t = 0; t < s->batch->n_tokens; t++)
        for (uint32_t h = 0; h < op->p.rope.n_head; h++)
            rope_head(op, step_row(s, op->in[0], t) + h * dim, step_row(s, op->out[0], t) + h * dim,
                      s->batch->pos[t]);
}

static void store_heads(const struct step *s, const struct tensor *plane, val v, uint32_t t,
                        uint32_t n_head, uint32_t dim) {
    const struct kv_seq *seq = &s->kv->seq[s->batch->seq[t]];
    for (uint32_t h = 0; h < n_head; h++) {
        size_t off = kv_offset(plane, seq, s->batch->index[t], h);
        dtype_encode_fast(plane->type, step_row(s, v, t) + h * dim,
                          (unsigned char *)plane->data + off, dim);
    }
}

void ref_kv_store(const struct step *s, const struct op *op) {
    const uint32_t layer = op->p.kv_store.layer, n = op->p.kv_store.n_head_kv;
    for (uint32_t t = 0; t < s->batch->n_tokens; t++) {
        store_heads(s, &s->kv->k[layer], op->in[0], t, n, op->p.kv_store.head_dim);
        store_heads(s, &s->kv->v[layer], op->in[1], t, n, op->p.kv_store.head_dim_v);
    }
}

static void load_cell(const struct tensor *plane, const struct kv_seq *seq, uint32_t cell,
                      uint32_t head, float *out) {
    const unsigned char *p = (const unsigned char *)plane->data + kv_offset(plane, seq, cell, head);
    dtype_info(plane->type)->decode(p, out, (size_t)plane->dim[0]);
}

/* Scores of one query head against the visible cells, as probabilities in p[begin..end). */
static void attn_probs(const struct step *s, const struct op *op, const struct kv_seq *seq,
                       const float *q, uint32_t head_kv, uint32_t begin, uint32_t end, double *p,
                       float *vec) {
    double max = (double)-INFINITY, sum = 0;
    for (uint32_t c = begin; c < end; c++) {
        load_cell(&s->kv->k[op->p.attn.layer], seq, c, head_kv, vec);
        double score = 0;
        for (uint32_t i = 0; i < op->p.attn.head_dim; i++) score += (double)q[i] * (double)vec[i];
        score *= (double)op->p.attn.scale;
        if (op->p.attn.softcap > 0)
            score = (double)op->p.attn.softcap * tanh(score / (double)op->p.attn.softcap);
        p[c] = score;
        if (score > max) max = score;
    }
    for (uint32_t c = begin; c < end; c++) sum += p[c] = exp(p[c] - max);
    for (uint32_t c = begin; c < end; c++) p[c] /= sum;
}

static void attn_head(const struct step *s, const struct op *op, uint32_t t, uint32_t h, double *p,
                      double *sum, float *vec) {
    const struct kv_seq *seq = &s->kv->seq[s->batch->seq[t]];
    const uint32_t dim_v = op->p.attn.head_dim_v, window = op->p.attn.window;
    const uint32_t head_kv = h / (op->p.attn.n_head / op->p.attn.n_head_kv);
    const uint32_t end = s->batch->kv_len[t], index = s->batch->index[t];
    const uint32_t begin = window != 0 && index + 1 > window ? index + 1 - window : 0;
    attn_probs(s, op, seq, step_row(s, op->in[0], t) + h * op->p.attn.head_dim, head_kv, begin, end,
               p, vec);
    for (uint32_t i = 0; i < dim_v; i++) sum[i] = 0;
    for (uint32_t c = begin; c < end; c++) {
        load_cell(&s->kv->v[op->p.attn.layer], seq, c, head_kv, vec);
        for (uint32_t i = 0; i < dim_v; i++) sum[i] += p[c] * (double)vec[i];
    }
    for (uint32_t i = 0; i < dim_v; i++) step_row(s, op->out[0], t)[h * dim_v + i] = (float)sum[i];
}

void ref_attn(const struct step *s, const struct op *op) {
    uint32_t longest = 0, dim = op->p.attn.head_dim, dim_v = op->p.attn.head_dim_v;
    for (uint32_t t = 0; t < s->batch->n_tokens; t++)
        if (s->batch->kv_len[t] > longest) longest = s->batch->kv_len[t];
    double *p = mem_array((size_t)longest + dim_v, sizeof *p);
    float *vec = mem_array(dim > dim_v ? dim : dim_v, sizeof *vec);
    assert(p != NULL && vec != NULL);
    for (uint32_t t = 0; t < s->batch->n_tokens; t++)
        for (uint32_t h = 0; h < op->p.attn.n_head; h++)
            attn_head(s, op, t, h, p, p + longest, vec);
    mem_free(vec);
    mem_free(p);
}
