/* row.c - definitions of the ops that work row by row: tables, norms, pointwise functions. */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "kernels/ref/ref.h"

void ref_weight_row(const struct tensor *w, int64_t i, float *out) {
    const struct dtype_info *t = dtype_info(w->type);
    assert(t != NULL && t->decode != NULL);
    t->decode(tensor_row(w, i), out, (size_t)w->dim[0]);
}

void ref_embed(const struct step *s, const struct op *op) {
    const struct batch *b = s->batch;
    uint32_t width = s->prog->vals[op->out[0]].width;
    const float *embd = b->embd;
    for (uint32_t t = 0; t < b->n_tokens; t++) {
        float *y = step_row(s, op->out[0], t);
        if (b->token[t] < 0) { /* given vectors come unscaled: they are no table rows */
            memcpy(y, embd, width * sizeof *y);
            embd += width;
            continue;
        }
        ref_weight_row(op->w[0], b->token[t], y);
        for (uint32_t i = 0; i < width; i++) y[i] *= op->p.embed.scale;
    }
}

void ref_rows(const struct step *s, const struct op *op) {
    size_t bytes = s->prog->vals[op->out[0]].width * sizeof(float);
    for (uint32_t o = 0; o < s->batch->n_outputs; o++)
        memcpy(step_row(s, op->out[0], o), step_row(s, op->in[0], s->batch->output[o]), bytes);
}

static void norm_piece(const float *x, const float *w, float *y, uint32_t n, float eps) {
    double sum = 0;
    for (uint32_t i = 0; i < n; i++) sum += (double)x[i] * (double)x[i];
    float scale = (float)(1.0 / sqrt(sum / n + (double)eps));
    for (uint32_t i = 0; i < n; i++) y[i] = x[i] * scale * (w != NULL ? w[i] : 1.0f);
}

void ref_norm(const struct step *s, const struct op *op) {
    uint32_t width = s->prog->vals[op->in[0]].width, group = op->p.norm.group;
    const float *w = op->w[0] != NULL ? op->w[0]->data : NULL;
    assert(width % group == 0 && (w == NULL || op->w[0]->type == DT_F32));
    for (uint32_t r = 0; r < step_rows(s, op->in[0]); r++)
        for (uint32_t i = 0; i < width; i += group)
            norm_piece(step_row(s, op->in[0], r) + i, w, step_row(s, op->out[0], r) + i, group,
                       op->p.norm.eps);
}

void ref_add(const struct step *s, const struct op *op) {
    uint32_t width = s->prog->vals[op->out[0]].width;
    for (uint32_t r = 0; r < step_rows(s, op->out[0]); r++) {
        const float *a = step_row(s, op->in[0], r), *b = step_row(s, op->in[1], r);
        float *y = step_row(s, op->out[0], r);
        for (uint32_t i = 0; i < width; i++) y[i] = a[i] + b[i];
    }
}

void ref_scale(const struct step *s, const struct op *op) {
    uint32_t width = s->prog->vals[op->out[0]].width;
    for (uint32_t r = 0; r < step_rows(s, op->out[0]); r++) {
        const float *x = step_row(s, op->in[0], r);
        float *y = step_row(s, op->out[0], r);
        for (uint32_t i = 0; i < width; i++) y[i] = op->p.scale.a * x[i] + op->p.scale.b;
    }
}

float ref_act1(enum act kind, float cap, float x) {
    switch (kind) {
    case ACT_SILU:
        return x / (1.0f + expf(-x));
    case ACT_GELU:
        return 0.5f * x * (1.0f + tanhf(0.79788456080286535588f * (x + 0.044715f * x * x * x)));
    case ACT_SOFTCAP:
        return cap * tanhf(x / cap);
    case ACT_NONE:
    case ACT_COUNT:
        break;
    }
    return x;
}

void ref_act(const struct step *s, const struct op *op) {
    uint32_t width = s->prog->vals[op->out[0]].width;
    for (uint32_t r = 0; r < step_rows(s, op->out[0]); r++) {
        const float *x = step_row(s, op->in[0], r);
        float *y = step_row(s, op->out[0], r);
        for (uint32_t i = 0; i < width; i++) y[i] = ref_act1(op->p.act.kind, op->p.act.cap, x[i]);
    }
}

void ref_glu(const struct step *s, const struct op *op) {
    uint32_t width = s->prog->vals[op->out[0]].width;
    for (uint32_t r = 0; r < step_rows(s, op->out[0]); r++) {
        const float *gate = step_row(s, op->in[0], r), *up = step_row(s, op->in[1], r);
        float *y = step_row(s, op->out[0], r);
        for (uint32_t i = 0; i < width; i++) y[i] = ref_act1(op->p.glu.kind, 0, gate[i]) * up[i];
    }
}
