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
    double freq = pow((double)op->p.rope.base, -2.0 * i / op->p.rope.n_rot);
    if (factors != NULL) freq /= (double)factors[i];
    double ramp = 1.0 - fmin(1.0, fmax(0.0, (i - low) / fmax(0.001, high - low)));
    double mix = ramp * (double)op->p.rope.ext_factor;
    return freq * ((double)op->p.rope.freq_scale * (1.0 - mix) + mix);
}

/* The rows of this worker's share. Each worker computes the frequencies for itself: a few pow()
 * against a meeting. */
static void make_table(const struct cpu_worker *w, const struct op *op) {
    enum { STRIP = 64 }; /* pairs at a time */
    const struct batch *b = w->step->batch;
    uint32_t half = op->p.rope.n_rot / 2;
    float *table = (float *)(void *)w->cpu->rope.area.data;
    double freq[STRIP], m = (double)op->p.rope.mscale;
    size_t begin, end;
    cpu_share(w, b->n_tokens, &begin, &end);
    for (uint32_t i0 = 0; i0 < half && begin < end; i0 += STRIP) {
        uint32_t n = half - i0 < STRIP ? half - i0 : STRIP;
        for (uint32_t i = 0; i < n; i++) freq[i] = rope_freq(op, i0 + i);
        for (size_t t = begin; t < end; t++) {
            float *row = table + (t * half + i0) * 2;
            for (uint32_t i = 0; i < n; i++) {
                double angle = b->pos[t] * freq[i];
                row[2 * i] = (float)(cos(angle) * m);
                row[2 * i + 1] = (float)(sin(angle) * m);
            }
        }
    }
}

static void rope_head(const struct op *op, const float *cs, const float *x, float *y) {
    const uint32_t half = op->p.rope.n_rot / 2, dim = op->p.rope.head_dim;
    const uint32_t step = op->p.rope.kind == ROPE_NORM ? 2 : 1;
    const uint32_t other = op->p.rope.kind == ROPE_NORM ? 1 : half;
    for (uint32_t i = 0; i < half; i++) {
        float a = x[step * i], b = x[step * i + other], c = cs[2 * i], sn = cs[2 * i + 1];
        y[step * i] = a * c - b * sn;
        y[step * i + other] = a * sn + b * c;
    }
    if (y != x) memcpy(y + 2 * half, x + 2 * half, (dim - 2 * half) * sizeof *y);
}

void cpu_rope(struct cpu_worker *w, const struct op *op) {
    const struct step *s = w->step;
    struct cpu_rope *rope = &w->cpu->rope;
    size_t heads = op->p.rope.n_head, half = op->p.rope.n_rot / 2, begin, end;
    if (!same_rope(rope->made_for, op)) {
        make_table(w, op);
        team_barrier(w->cpu->team); /* all have looked at made_for, and the table is complete */
        if (w->id == 0) rope->made_for = op;
    }
    cpu_share(w, s->batch->n_tokens * heads, &begin, &end);
    for (size_t k = begin; k < end; k++) {
        uint32_t t = (uint32_t)(k / heads);
        size_t col = k % heads * op->p.rope.head_dim;
        rope_head(op, (const float *)(void *)rope->area.data + t * half * 2,
                  step_row(s, op->in[0], t) + col, step_row(s, op->out[0], t) + col);
    }
}

/* ---- KV_STORE ---- */

static void store_heads(const struct step *s, const struct tensor *plane, const float *x,
                        uint32_t t, uint32_t n_head) {
    const struct kv_seq *seq = &s->kv->seq[s->batch->seq[t]];
    size_t dim = (size_t)plane->dim[0];
    for (uint32_t h = 0; h < n_head; h++) {
        size_t off = kv_offset(plane, seq, s->batch->index[t], h);
        dtype_encode_fast(plane->type, x + h * dim, (unsigned char *)plane->data + off, dim);
    }
}

void cpu_kv_store(struct cpu_worker *w, const struct op *op) {
    const struct step *s = w->step;
    const uint32_t layer = op->p.kv_store.layer, n_head = op->p.kv_store.n_head_kv;
    size_t begin, end; /* a row's keys and its values are two things */
    cpu_share(w, 2 * (size_t)s->batch->n_tokens, &begin, &end);
    for (size_t k = begin; k < end; k++) {
        const struct tensor *plane = k % 2 == 0 ? &s->kv->k[layer] : &s->kv->v[layer];
        store_heads(s, plane, step_row(s, op->in[k % 2], (uint32_t)(k / 2)), (uint32_t)(k / 2),
                    n_head);
    }
}

/* ---- ATTN ---- */

/* Bytes of scratch memory of a worker. */
static size_t attn_part(const struct step *s, const struct op *op) {
    size_t group = op->p.attn.n_head / op->p.attn.n_head_kv, layer = op->p.attn.layer;
    size_t floats = attn_tmp_floats(group, &s->kv->k[layer], &s->kv->v[layer]);
    return (floats * sizeof(float) + 63) / 64 * 64;
}

enum status cpu_reserve_attn(struct cpu *c, const struct step *s, const struct op *op,
                             struct err *e) {
    return cpu_area_grow(&c->attn, attn_part(s, op) * team_size(c->team), e);
}

static void attn_task(const struct cpu_worker *w, const struct op *op, uint32_t t,
                      uint32_t head_kv) {
    const struct step *s = w->step;
    const struct batch *b = s->batch;
    const uint32_t group = op->p.attn.n_head / op->p.attn.n_head_kv, window = op->p.attn.window;
    struct attn_args a = {
        .q = step_row(s, op->in[0], t) + (size_t)head_kv * group * op->p.attn.head_dim,
        .out = step_row(s, op->out[0], t) + (size_t)head_kv * group * op->p.attn.head_dim_v,
        .tmp = (float *)(void *)(w->cpu->attn.data + w->id * attn_part(s, op)),
        .group = group,
        .head_dim = op->p.attn.head_dim,
        .head_dim_v = op->p.attn.head_dim_v,
        .scale = op->p.attn.scale,
        .softcap = op->p.attn.softcap,
        .k = &s->kv->k[op->p.attn.layer],
        .v = &s->kv->v[op->p.attn.layer],
        .seq = &s->kv->seq[b->seq[t]],
        .head_kv = head_kv,
        .begin = window != 0 && b->index[t] + 1 > window ? b->index[t] + 1 - window : 0,
        .end = b->kv_len[t],
    };
    w->isa->attn(&a);
}

void cpu_attn(struct cpu_worker *w, const struct op *op) {
    const uint32_t n_head_kv = op->p.attn.n_head_kv, n = w->step->batch->n_tokens * n_head_kv;
    assert(op->p.attn.n_head % n_head_kv == 0);
    for (uint32_t task = cpu_task(w); task < n; task = cpu_task(w)) {
        attn_task(w, op, task / n_head_kv, task % n_head_kv);
    }
}
