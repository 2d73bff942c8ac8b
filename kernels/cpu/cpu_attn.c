/* cpu_attn.c - rope, the cache, attention. */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "kernels/cpu/cpu.h"

/* ---- ROPE ---- */

/* The angle of pair i is proportional to the position: angle = pos * freq[i], with everything else
 * (base, factors, YaRN's mixture) in freq. cos and sin of all rows are computed once in a step and
 * used by every layer whose parameters are the same. */

enum status cpu_reserve_rope(struct cpu *c, const struct step *s, const struct op *op,
                             struct err *e) {
    size_t row = op->p.rope.n_rot / 2 * 2 * sizeof(float);
    return cpu_area_grow(&c->rope.area, s->batch->n_tokens * row, e);
}

static bool same_rope(const struct op *a, const struct op *b) { /* all that is in rope_freq */
    return a != NULL && a->w[0] == b->w[0] && a->p.rope.n_rot == b->p.rope.n_rot &&
           memcmp(&a->p.rope.base, &b->p.rope.base,
                  sizeof a->p.rope - offsetof(union op_params, rope.base)) == 0;
}

static double rope_freq(const struct op *op, uint32_t i) {
    const float *factors = op->w[0] != NULL ? op->w[0]->data : NULL;
    double low = (double)op->p.rope.corr_low, high = (double)op->p.rope.corr_high;
    double freq = pow((double)op->p.rope.base, rope_exponent(op, i));
    if (factors != NULL) freq /= (double)factors[i];
    double ramp = 1.0 - fmin(1.0, fmax(0.0, (i - low) / fmax(0.001, high - low)));
    double mix = ramp * (double)op->p.rope.ext_factor;
    return freq * ((double)op->p.rope.freq_scale * (1.0 - mix) + mix);
}

size_t cpu_rope_table_tasks(struct cpu *c, const struct step *s, const struct op *op) {
    if (same_rope(c->rope.made_for, op)) return 0;
    c->rope.made_for = op;
    return cpu_shares(c, s->batch->n_tokens);
}

/* The rows of the task's share. Each computes the frequencies for itself: a few pow() against one
 * more stage. */
void cpu_rope_table(const struct cpu_task *w, const struct op *op) {
    enum { STRIP = 64 }; /* pairs at a time */
    const struct step *s = w->step;
    uint32_t half = op->p.rope.n_rot / 2;
    float *table = (float *)(void *)w->cpu->rope.area.data;
    double freq[STRIP], m = (double)op->p.rope.mscale;
    uint32_t axis[STRIP];
    size_t begin, end;
    cpu_share(w, s->batch->n_tokens, &begin, &end);
    for (uint32_t i0 = 0; i0 < half && begin < end; i0 += STRIP) {
        uint32_t n = half - i0 < STRIP ? half - i0 : STRIP;
        for (uint32_t i = 0; i < n; i++) {
            freq[i] = rope_freq(op, i0 + i);
            axis[i] = rope_axis(op, i0 + i);
        }
        for (size_t t = begin; t < end; t++) {
            float *row = table + (t * half + i0) * 2;
            for (uint32_t i = 0; i < n; i++) {
                double angle = step_position(s, (uint32_t)t, axis[i]) * freq[i];
                row[2 * i] = (float)(cos(angle) * m);
                row[2 * i + 1] = (float)(sin(angle) * m);
            }
        }
    }
}

static void rope_head(const struct op *op, const float *cs, const float *x, float *y) {
    const uint32_t half = op->p.rope.n_rot / 2, dim = op->p.rope.head_dim, first = op->p.rope.first;
    const uint32_t behind = first + 2 * half;
    if (y != x) memcpy(y, x, first * sizeof *y);
    if (y != x) memcpy(y + behind, x + behind, (dim - behind) * sizeof *y);
    x += first;
    y += first;
    const uint32_t step = op->p.rope.kind == ROPE_NORM ? 2 : 1;
    const uint32_t other = op->p.rope.kind == ROPE_NORM ? 1 : half;
    for (uint32_t i = 0; i < half; i++) {
        float a = x[step * i], b = x[step * i + other], c = cs[2 * i], sn = cs[2 * i + 1];
        y[step * i] = a * c - b * sn;
        y[step * i + other] = a * sn + b * c;
    }
}

void cpu_rope(const struct cpu_task *w, const struct op *op) {
    const struct step *s = w->step;
    const float *table = (const float *)(const void *)w->cpu->rope.area.data;
    size_t heads = op->p.rope.n_head, half = op->p.rope.n_rot / 2, begin, end;
    cpu_share(w, s->batch->n_tokens * heads, &begin, &end);
    for (size_t k = begin; k < end; k++) {
        uint32_t t = (uint32_t)(k / heads);
        size_t col = k % heads * op->p.rope.head_dim;
        rope_head(op, table + t * half * 2, step_row(s, op->in[0], t) + col,
                  step_row(s, op->out[0], t) + col);
    }
}

/* ---- KV_STORE ---- */

static void store_heads(const struct step *s, const struct op *op, const struct tensor *plane,
                        const float *x, uint32_t t, size_t dim, size_t step, uint32_t col) {
    const struct kv_seq *seq = kv_seq_of(s->kv, op->p.kv_store.layer, s->batch->seq[t]);
    const uint32_t n_head = op->p.kv_store.n_head_kv;
    const struct dtype_info *type = dtype_info(plane->type);
    for (uint32_t h = 0; h < n_head; h++) {
        size_t off =
            kv_offset(plane, seq, s->batch->index[t], h) + col / type->elems * (size_t)type->bytes;
        dtype_encode_fast(plane->type, x + h * step, (unsigned char *)plane->data + off, dim);
    }
}

void cpu_kv_store(const struct cpu_task *w, const struct op *op) {
    const struct step *s = w->step;
    const struct tensor *keys = &s->kv->k[op->p.kv_store.layer];
    const struct tensor *values = &s->kv->v[op->p.kv_store.layer];
    const size_t n = op->in[1] != VAL_NONE ? 2 : 1; /* a row's keys and its values are two things */
    size_t begin, end;
    cpu_share(w, n * s->batch->n_tokens, &begin, &end);
    for (size_t k = begin; k < end; k++) {
        const uint32_t t = (uint32_t)(k / n);
        if (k % n == 0)
            store_heads(s, op, op->p.kv_store.values ? values : keys, step_row(s, op->in[0], t), t,
                        op->p.kv_store.head_dim, op->p.kv_store.step, op->p.kv_store.col);
        else
            store_heads(s, op, values, step_row(s, op->in[1], t), t, op->p.kv_store.head_dim_v,
                        op->p.kv_store.head_dim_v, 0);
    }
}

/* ---- ATTN ---- */

/* A task is a row and some of the query heads that share a key/value head: all of them in most
 * models; latent attention has one such head for up to 128 queries. */
enum { TASK_HEADS = 16 };

static uint32_t task_heads(const struct op *op) {
    uint32_t group = op->p.attn.n_head / op->p.attn.n_head_kv;
    return group < TASK_HEADS ? group : TASK_HEADS;
}
/* Bytes of scratch memory of a worker. */
static size_t attn_part(const struct step *s, const struct op *op) {
    const struct tensor *k = &s->kv->k[op->p.attn.layer], *v = &s->kv->v[op->p.attn.layer];
    size_t floats = attn_tmp_floats(task_heads(op), k, op->p.attn.latent ? k : v);
    return (floats * sizeof(float) + 63) / 64 * 64;
}

enum status cpu_reserve_attn(struct cpu *c, const struct step *s, const struct op *op,
                             struct err *e) {
    return cpu_area_grow(&c->attn, attn_part(s, op) * team_size(c->team), e);
}

/* ALiBi's slopes of heads first..first+n-1 (Press et al. 2022). */
static void alibi_slopes(const struct op *op, uint32_t first, uint32_t n, float *slope) {
    double max = (double)op->p.attn.alibi;
    uint32_t n2 = 1;
    while (n2 * 2 <= op->p.attn.n_head) n2 *= 2;
    for (uint32_t h = first; h < first + n; h++)
        slope[h - first] = (float)(h < n2 ? pow(2, -max / n2 * (h + 1))
                                          : pow(2, -max / 2 / n2 * (2 * (h - n2) + 1)));
}

static uint32_t list_length(const float *list, uint32_t width) {
    uint32_t n = 0;
    while (n < width && list[n] >= 0) n++;
    return n;
}

static void attn_task(const struct cpu_task *w, const struct op *op, uint32_t t, uint32_t head_kv,
                      uint32_t first, uint32_t n) {
    const struct step *s = w->step;
    const struct batch *b = s->batch;
    const uint32_t layer = op->p.attn.layer;
    struct attn_args a = {
        .q = step_row(s, op->in[0], t) + (size_t)first * op->p.attn.head_dim,
        .out = step_row(s, op->out[0], t) + (size_t)first * op->p.attn.head_dim_v,
        .tmp = (float *)(void *)(w->cpu->attn.data + w->worker * attn_part(s, op)),
        .group = n,
        .head_dim = op->p.attn.head_dim,
        .head_dim_v = op->p.attn.head_dim_v,
        .scale = op->p.attn.scale,
        .softcap = op->p.attn.softcap,
        .k = &s->kv->k[layer],
        .v = op->p.attn.latent ? &s->kv->k[layer] : &s->kv->v[layer],
        .seq = kv_seq_of(s->kv, layer, b->seq[t]),
        .head_kv = head_kv,
        .begin = step_first_cell(s, t, op),
        .end = step_end_cell(s, t, op),
        .sinks = op->w[0] != NULL ? (const float *)op->w[0]->data + first : NULL,
        .index = b->index[t],
    };
    if (op->in[1] != VAL_NONE) {
        a.list = step_row(s, op->in[1], t);
        a.begin = 0;
        a.end = list_length(a.list, s->prog->vals[op->in[1]].width);
    }
    if (op->p.attn.alibi > 0) {
        float *slope = a.tmp + n * (KV_PAGE + 2);
        alibi_slopes(op, first, n, slope);
        a.slope = slope;
    }
    w->isa->attn(&a);
}

/* Tasks for each row of the step. */
static uint32_t attn_per_row(const struct op *op) {
    const uint32_t n_head_kv = op->p.attn.n_head_kv, group = op->p.attn.n_head / n_head_kv;
    assert(op->p.attn.n_head % n_head_kv == 0);
    return n_head_kv * ((group + task_heads(op) - 1) / task_heads(op));
}

size_t cpu_attn_tasks(struct cpu *c, const struct step *s, const struct op *op) {
    const size_t n = s->batch->n_tokens;
    return op->w[1] == NULL ? n * attn_per_row(op) : cpu_shares(c, n);
}

void cpu_attn(const struct cpu_task *w, const struct op *op) {
    const uint32_t group = op->p.attn.n_head / op->p.attn.n_head_kv, heads = task_heads(op);
    const uint32_t per_row = attn_per_row(op), parts = per_row / op->p.attn.n_head_kv;
    const uint32_t head_kv = w->id % per_row / parts, begin = w->id % parts * heads;
    if (op->w[1] != NULL) /* T5's biases: rare */
        cpu_by_rows(w, op);
    else
        attn_task(w, op, w->id / per_row, head_kv, head_kv * group + begin,
                  group - begin < heads ? group - begin : heads);
}
