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
        p[i] = kind == MOE_SIGMOID         ? ref_act1(ACT_SIGMOID, 0, logits[i])
               : kind == MOE_SQRT_SOFTPLUS ? sqrtf(ref_act1(ACT_SOFTPLUS, 0, logits[i]))
                                           : logits[i];
    if (kind == MOE_SOFTMAX) softmax(p, n);
}

/* The n_used largest, in falling order; of equals the lower index first. */
static void choose(const float *p, uint32_t n, uint32_t n_used, float *ids) {
    bool taken[MAX_EXPERT] = {false};
    for (uint32_t j = 0; j < n_used; j++) {
        uint32_t best = n;
        for (uint32_t i = 0; i < n; i++)
            if (!taken[i] && (best == n || p[i] > p[best])) best = i;
        taken[best] = true;
        ids[j] = (float)best;
    }
}

/* Experts outside of the n_chosen best groups get -infinity; a group is as good as the sum of its
 * two best. */
static void keep_groups(float *sel, uint32_t n, uint32_t n_group, uint32_t n_chosen) {
    const uint32_t size = n / n_group;
    float score[MAX_EXPERT], ids[MAX_EXPERT];
    bool kept[MAX_EXPERT] = {false};
    for (uint32_t g = 0; g < n_group; g++) {
        float first = -INFINITY, second = -INFINITY;
        for (uint32_t i = g * size; i < (g + 1) * size; i++) {
            if (sel[i] > first) {
                second = first;
                first = sel[i];
            } else if (sel[i] > second) {
                second = sel[i];
            }
        }
        score[g] = size > 1 ? first + second : first;
    }
    choose(score, n_group, n_chosen, ids);
    for (uint32_t j = 0; j < n_chosen; j++) kept[(uint32_t)ids[j]] = true;
    for (uint32_t i = 0; i < n; i++)
        if (!kept[i / size]) sel[i] = -INFINITY;
}

static void choose_experts(const struct op *op, const float *logits, const float *p, float *ids) {
    const uint32_t n = op->p.moe_route.n_expert;
    const float *bias = op->w[0] != NULL ? op->w[0]->data : NULL;
    const float *by = op->p.moe_route.by_logits ? logits : p;
    float sel[MAX_EXPERT];
    for (uint32_t i = 0; i < n; i++) sel[i] = by[i] + (bias != NULL ? bias[i] : 0.0f);
    if (op->p.moe_route.n_group > 1)
        keep_groups(sel, n, op->p.moe_route.n_group, op->p.moe_route.n_chosen);
    choose(sel, n, op->p.moe_route.n_used, ids);
}

void ref_moe_route(const struct step *s, const struct op *op) {
    const uint32_t n = op->p.moe_route.n_expert, n_used = op->p.moe_route.n_used;
    float p[MAX_EXPERT];
    assert(n <= MAX_EXPERT && n_used <= n);
    const float *factor = op->w[1] != NULL ? op->w[1]->data : NULL; /* [n_expert] */
    for (uint32_t r = s->first_row; r < step_rows(s, op->in[0]); r++) {
        const float *logits = step_row(s, op->in[0], r);
        float *ids = step_row(s, op->out[0], r), *w = step_row(s, op->out[1], r), sum = 0;
        gate(op->p.moe_route.gating, logits, p, n);
        choose_experts(op, logits, p, ids);
        for (uint32_t j = 0; j < n_used; j++) w[j] = p[(uint32_t)ids[j]];
        if (op->p.moe_route.gating == MOE_SOFTMAX_AFTER) softmax(w, n_used);
        for (uint32_t j = 0; j < n_used; j++) sum += w[j];
        float scale = op->p.moe_route.norm_weights ? 1.0f / fmaxf(sum, 6.103515625e-5f) : 1.0f;
        if (op->p.moe_route.weights_scale != 0) scale *= op->p.moe_route.weights_scale;
        for (uint32_t j = 0; j < n_used; j++)
            w[j] *= scale * (factor != NULL ? factor[(uint32_t)ids[j]] : 1.0f);
    }
}

void ref_moe_sum(const struct step *s, const struct op *op) {
    uint32_t width = s->prog->vals[op->out[0]].width;
    for (uint32_t r = s->first_row; r < step_rows(s, op->in[0]); r++) {
        const float *x = step_row(s, op->in[0], r);
        const float *w = op->in[1] != VAL_NONE ? step_row(s, op->in[1], r) : NULL;
        float *y = step_row(s, op->out[0], r);
        for (uint32_t i = 0; i < width; i++) y[i] = 0;
        for (uint32_t j = 0; j < op->p.moe_sum.n_used; j++)
            for (uint32_t i = 0; i < width; i++)
                y[i] += (w != NULL ? w[j] : 1.0f) * x[(size_t)j * width + i];
    }
}
