/* recur.c - definitions of the ops with a state per sequence: causal convolution, selective scan
 * (Mamba, arXiv 2312.00752; Mamba-2, arXiv 2405.21060), gated delta rule (arXiv 2412.06464;
 * spec/models/common.md 9).
 *
 * A row reads the state that the row before it in its sequence has left, and leaves its own. States
 * are f32 and are rounded after each row, so that it does not show where steps begin and end. */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "kernels/ref/ref.h"

static double softplus(double x) { return x > 20 ? x : log1p(exp(x)); }

static const float *vector(const struct tensor *t) {
    assert(t == NULL || t->type == DT_F32);
    return t != NULL ? t->data : NULL;
}

/* The state of part `at` of row t, `n` floats; zeros where a sequence begins. */
static float *begin_state(const struct step *s, uint32_t layer, uint32_t t, size_t at, size_t n) {
    float *state = step_state(s, layer, t, 0) + at;
    if (s->batch->index[t] == 0) memset(state, 0, n * sizeof *state);
    return state;
}

/* ---- convolution ---- */

static float conv_one(const float *w, float *past, uint32_t n_past, float x) {
    double sum = (double)w[n_past] * (double)x;
    for (uint32_t j = 0; j < n_past; j++) sum += (double)w[j] * (double)past[j];
    for (uint32_t j = 0; j + 1 < n_past; j++) past[j] = past[j + 1];
    if (n_past > 0) past[n_past - 1] = x;
    return (float)sum;
}

void ref_conv_state_part(const struct step *s, const struct op *op, uint32_t begin, uint32_t end) {
    const uint32_t n_past = op->p.conv_state.n_kernel - 1;
    const float *w = vector(op->w[0]), *bias = vector(op->b[0]);
    for (uint32_t t = 0; t < s->batch->n_tokens; t++) {
        const float *x = step_row(s, op->in[0], t);
        float *y = step_row(s, op->out[0], t);
        float *past =
            begin_state(s, op->p.conv_state.layer, t, op->p.conv_state.col + (size_t)begin * n_past,
                        (size_t)(end - begin) * n_past);
        for (uint32_t c = begin; c < end; c++, past += n_past)
            y[c] = conv_one(w + (size_t)c * (n_past + 1), past, n_past, x[c]) +
                   (bias != NULL ? bias[c] : 0.0f);
    }
}

void ref_conv_state(const struct step *s, const struct op *op) {
    ref_conv_state_part(s, op, 0, s->prog->vals[op->in[0]].width);
}

/* ---- scan ---- */

/* Column c: head c / head_dim. A is a number for each head, or a vector over the state. */
static float scan_one(const struct op *op, uint32_t c, float *state, const float *x,
                      const float *dt, const float *in, const float *out) {
    const uint32_t n = op->p.ssm_scan.n_state, h = c / op->p.ssm_scan.head_dim;
    const uint32_t group = h / (op->p.ssm_scan.n_head / op->p.ssm_scan.n_group);
    const bool wide = op->w[0]->dim[0] != 1;
    const float *a = vector(op->w[0]), *skip = vector(op->w[1]), *bias = vector(op->b[0]);
    const double delta = softplus((double)dt[h] + (bias != NULL ? (double)bias[h] : 0));
    const double dx = delta * (double)x[c];
    double decay = wide ? 0 : exp(delta * (double)a[h]), sum = 0;
    in += (size_t)group * n;
    out += (size_t)group * n;
    for (uint32_t i = 0; i < n; i++) {
        if (wide) decay = exp(delta * (double)a[(size_t)h * n + i]);
        state[i] = (float)((double)state[i] * decay + dx * (double)in[i]);
        sum += (double)state[i] * (double)out[i];
    }
    return (float)(sum + (double)x[c] * (double)skip[h]);
}

void ref_ssm_scan_part(const struct step *s, const struct op *op, uint32_t begin, uint32_t end) {
    const uint32_t n = op->p.ssm_scan.n_state;
    for (uint32_t t = 0; t < s->batch->n_tokens; t++) {
        float *state =
            begin_state(s, op->p.ssm_scan.layer, t, op->p.ssm_scan.col + (size_t)begin * n,
                        (size_t)(end - begin) * n);
        for (uint32_t c = begin; c < end; c++, state += n)
            step_row(s, op->out[0], t)[c] =
                scan_one(op, c, state, step_row(s, op->in[0], t), step_row(s, op->in[1], t),
                         step_row(s, op->in[2], t), step_row(s, op->in[3], t));
    }
}

void ref_ssm_scan(const struct step *s, const struct op *op) {
    ref_ssm_scan_part(s, op, 0, s->prog->vals[op->in[0]].width);
}

/* ---- delta rule ---- */

/* The decay of each column of head h's state: one gate for all, or one for each. */
static void delta_decay(const struct step *s, const struct op *op, uint32_t t, uint32_t h,
                        double *decay) {
    const uint32_t dim = op->p.delta_net.dim_k, n_head = op->p.delta_net.n_head;
    const uint32_t n = s->prog->vals[op->in[3]].width / n_head;
    const float *gate = step_row(s, op->in[3], t) + (size_t)h * n;
    const float *a = vector(op->w[0]), *bias = vector(op->b[0]);
    assert(n == 1 || n == dim);
    for (uint32_t i = 0; i < dim; i++) {
        if (i < n)
            decay[i] =
                exp((double)a[h] * softplus((double)gate[i] + (double)bias[(size_t)h * n + i]));
        else
            decay[i] = decay[0];
    }
}

static void delta_head(const struct step *s, const struct op *op, uint32_t t, uint32_t h) {
    const uint32_t dim_k = op->p.delta_net.dim_k, dim_v = op->p.delta_net.dim_v;
    const uint32_t n_k = op->p.delta_net.n_head_k;
    const uint32_t hk = op->p.delta_net.tiled ? h % n_k : h / (op->p.delta_net.n_head / n_k);
    const float *q = step_row(s, op->in[0], t) + (size_t)hk * dim_k;
    const float *k = step_row(s, op->in[1], t) + (size_t)hk * dim_k;
    const float *v = step_row(s, op->in[2], t) + (size_t)h * dim_v;
    const double beta = 1 / (1 + exp(-(double)step_row(s, op->in[4], t)[h]));
    float *y = step_row(s, op->out[0], t) + (size_t)h * dim_v;
    const size_t size = (size_t)dim_v * dim_k;
    float *state = begin_state(s, op->p.delta_net.layer, t, op->p.delta_net.col + h * size, size);
    double decay[DELTA_MAX_DIM];
    delta_decay(s, op, t, h, decay);
    for (uint32_t j = 0; j < dim_v; j++, state += dim_k) {
        double held = 0, sum = 0;
        for (uint32_t i = 0; i < dim_k; i++) {
            state[i] = (float)((double)state[i] * decay[i]);
            held += (double)state[i] * (double)k[i];
        }
        const double delta = beta * ((double)v[j] - held);
        for (uint32_t i = 0; i < dim_k; i++) {
            state[i] = (float)((double)state[i] + (double)k[i] * delta);
            sum += (double)state[i] * (double)q[i];
        }
        y[j] = (float)(sum / sqrt((double)dim_k));
    }
}

void ref_delta_net_part(const struct step *s, const struct op *op, uint32_t begin, uint32_t end) {
    assert(op->p.delta_net.dim_k <= DELTA_MAX_DIM);
    for (uint32_t t = 0; t < s->batch->n_tokens; t++)
        for (uint32_t h = begin; h < end; h++) delta_head(s, op, t, h);
}

void ref_delta_net(const struct step *s, const struct op *op) {
    ref_delta_net_part(s, op, 0, op->p.delta_net.n_head);
}
