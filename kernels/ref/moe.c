/* moe.c - definitions of expert routing (spec/models/common.md 6). Expert ids travel as floats:
 * exact up to 2^24, and values stay of one type. */
#include <assert.h>
#include <math.h>

#include "kernels/ref/ref.h"

enum { MAX_EXPERT = 1024 };

static void softmax(float *p, uint32_t n) {
    float max = -INFINITY, sum = 0;
    for (uint32_t i = 0; i < n; i++) max = fmaxf(max, p[i]);
    for (uint32_t i = 0; i < n; i++) sum += p[i] = expf(p[i] - max);
    for (uint32_t i = 0; i < n; i++) p[i] /= sum;
}

static void gate(enum moe_gating kind, const float *logits, float *p, uint32_t n) {
    for (uint32_t i = 0; i < n; i++)
        p[i] = kind == MOE_SIGMOID ? 1.0f / (1.0f + expf(-logits[i])) : logits[i];
    if (kind == MOE_SOFTMAX) softmax(p, n);
}

/* The n_used largest, in falling order; of equals the lower index first. */
static void choose(const float *p, uint32_t n, uint32_t n_used, float *ids, float *weights) {
    bool taken[MAX_EXPERT] = {false};
    for (uint32_t j = 0; j < n_used; j++) {
        uint32_t best = n;
        for (uint32_t i = 0; i < n; i++)
            if (!taken[i] && (best == n || p[i] > p[best])) best = i;
        taken[best] = true;
        ids[j] = (float)best;
        weights[j] = p[best];
    }
}

void ref_moe_route(const struct step *s, const struct op *op) {
    const uint32_t n = op->p.moe_route.n_expert, n_used = op->p.moe_route.n_used;
    float p[MAX_EXPERT];
    assert(n <= MAX_EXPERT && n_used <= n);
    for (uint32_t r = 0; r < step_rows(s, op->in[0]); r++) {
        float *w = step_row(s, op->out[1], r), sum = 0;
        gate(op->p.moe_route.gating, step_row(s, op->in[0], r), p, n);
        choose(p, n, n_used, step_row(s, op->out[0], r), w);
        if (op->p.moe_route.gating == MOE_SOFTMAX_AFTER) softmax(w, n_used);
        for (uint32_t j = 0; j < n_used; j++) sum += w[j];
        float scale = op->p.moe_route.norm_weights ? 1.0f / fmaxf(sum, 6.103515625e-5f) : 1.0f;
        if (op->p.moe_route.weights_scale != 0) scale *= op->p.moe_route.weights_scale;
        for (uint32_t j = 0; j < n_used; j++) w[j] *= scale;
    }
}

void ref_moe_sum(const struct step *s, const struct op *op) {
    uint32_t width = s->prog->vals[op->out[0]].width;
    for (uint32_t r = 0; r < step_rows(s, op->in[0]); r++) {
        const float *x = step_row(s, op->in[0], r), *w = step_row(s, op->in[1], r);
        float *y = step_row(s, op->out[0], r);
        for (uint32_t i = 0; i < width; i++) y[i] = 0;
        for (uint32_t j = 0; j < op->p.moe_sum.n_used; j++)
            for (uint32_t i = 0; i < width; i++) y[i] += w[j] * x[(size_t)j * width + i];
    }
}
