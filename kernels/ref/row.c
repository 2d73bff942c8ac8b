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
    const uint32_t given = b->embd_width != 0 ? b->embd_width : width;
    for (uint32_t t = 0; t < b->n_tokens; t++) {
        float *y = step_row(s, op->out[0], t);
        if (op->p.embed.kind == EMBED_BESIDE) {
            memcpy(y, b->beside + (size_t)t * width, width * sizeof *y);
            continue;
        }
        const bool takes = op->p.embed.kind == EMBED_TOKENS || op->p.embed.kind == EMBED_GIVEN;
        if (takes && b->token[t] < 0) { /* given vectors come unscaled: they are no table rows */
            memcpy(y, embd + op->p.embed.col, width * sizeof *y);
            embd += given;
            continue;
        }
        if (op->p.embed.kind == EMBED_GIVEN) {
            memset(y, 0, width * sizeof *y);
            continue;
        }
        int32_t at = op->p.embed.kind == EMBED_POSITIONS ? b->pos[t] : b->token[t];
        if (op->p.embed.kind == EMBED_FIRST) at = 0;
        ref_weight_row(op->w[0], at >= 0 ? at : 0, y);
        for (uint32_t i = 0; i < width; i++) y[i] *= op->p.embed.scale;
    }
}

void ref_rows(const struct step *s, const struct op *op) {
    size_t bytes = s->prog->vals[op->out[0]].width * sizeof(float);
    for (uint32_t o = 0; o < s->batch->n_outputs; o++)
        memcpy(step_row(s, op->out[0], o), step_row(s, op->in[0], s->batch->output[o]), bytes);
}

static void norm_piece(const struct op *op, const float *x, const float *w, const float *b,
                       float *y) {
    const uint32_t n = op->p.norm.group;
    double mean = 0, sum = 0;
    for (uint32_t i = 0; i < n && op->p.norm.kind == NORM_LAYER; i++) mean += (double)x[i] / n;
    for (uint32_t i = 0; i < n; i++) sum += ((double)x[i] - mean) * ((double)x[i] - mean);
    double scale = 1.0 / sqrt(sum / n + (double)op->p.norm.eps);
    for (uint32_t i = 0; i < n; i++)
        y[i] = (float)(((double)x[i] - mean) * scale) * (w != NULL ? w[i] : 1.0f) +
               (b != NULL ? b[i] : 0.0f);
}

/* A weight wider than a piece holds one part for each of several pieces. */
void ref_norm(const struct step *s, const struct op *op) {
    uint32_t width = s->prog->vals[op->in[0]].width, group = op->p.norm.group;
    const struct tensor *weight = op->w[0];
    const float *w = weight != NULL ? weight->data : NULL;
    const float *b = op->b[0] != NULL ? op->b[0]->data : NULL;
    const uint32_t n_w = weight != NULL ? (uint32_t)(weight->dim[0] * weight->dim[1]) : group;
    assert(width % group == 0 && n_w % group == 0 && (w == NULL || weight->type == DT_F32));
    for (uint32_t r = 0; r < step_rows(s, op->in[0]); r++)
        for (uint32_t i = 0; i < width; i += group)
            norm_piece(op, step_row(s, op->in[0], r) + i, w != NULL ? w + i % n_w : NULL,
                       b != NULL ? b + i % n_w : NULL, step_row(s, op->out[0], r) + i);
}

void ref_add(const struct step *s, const struct op *op) {
    uint32_t width = s->prog->vals[op->out[0]].width;
    for (uint32_t r = 0; r < step_rows(s, op->out[0]); r++) {
        const float *a = step_row(s, op->in[0], r), *b = step_row(s, op->in[1], r);
        float *y = step_row(s, op->out[0], r);
        for (uint32_t i = 0; i < width; i++) y[i] = a[i] + b[i];
    }
}

void ref_mul(const struct step *s, const struct op *op) {
    const struct tensor *w = op->w[0];
    uint32_t width = s->prog->vals[op->out[0]].width;
    uint32_t n = w != NULL ? (uint32_t)w->dim[0] : s->prog->vals[op->in[1]].width;
    assert(width % n == 0 && (w == NULL || w->type == DT_F32));
    for (uint32_t r = s->first_row; r < step_rows(s, op->out[0]); r++) {
        const float *a = step_row(s, op->in[0], r);
        const float *b = w != NULL ? w->data : step_row(s, op->in[1], r);
        float *y = step_row(s, op->out[0], r);
        for (uint32_t i = 0; i < width; i++) y[i] = a[i] * b[i / (width / n)];
    }
}

void ref_concat(const struct step *s, const struct op *op) {
    for (uint32_t r = s->first_row; r < step_rows(s, op->out[0]); r++) {
        float *y = step_row(s, op->out[0], r);
        for (int k = 0; k < OP_MAX_IN && op->in[k] != VAL_NONE; k++) {
            uint32_t width = s->prog->vals[op->in[k]].width;
            memcpy(y, step_row(s, op->in[k], r), width * sizeof *y);
            y += width;
        }
    }
}

/* Rows without the adapter get zeros, whatever x is. */
void ref_adapt(const struct step *s, const struct op *op) {
    const struct batch *b = s->batch;
    const uint32_t width = s->prog->vals[op->out[0]].width;
    assert(op->p.adapt.adapter < b->n_adapters);
    for (uint32_t r = s->first_row; r < step_rows(s, op->out[0]); r++) {
        const uint32_t t = step_token(s, op->out[0], r);
        const float *x = step_row(s, op->in[0], r);
        float *y = step_row(s, op->out[0], r);
        float f = b->adapt[t * b->n_adapters + op->p.adapt.adapter] * op->p.adapt.scale;
        if (op->p.adapt.tokens && b->token[t] < 0) f = 0;
        for (uint32_t i = 0; i < width; i++) y[i] = f != 0 ? x[i] * f : 0;
    }
}

void ref_columns(const struct step *s, const struct op *op) {
    const uint32_t width = s->prog->vals[op->out[0]].width, n = op->p.columns.n;
    for (uint32_t r = s->first_row; r < step_rows(s, op->out[0]); r++) {
        const float *x = step_row(s, op->in[0], r) + op->p.columns.first;
        float *y = step_row(s, op->out[0], r);
        for (uint32_t i = 0; i < width; i++) y[i] = x[i / n * op->p.columns.piece + i % n];
    }
}

static double length_of(const float *x, uint32_t n) {
    double sum = 0;
    for (uint32_t i = 0; i < n; i++) sum += (double)x[i] * (double)x[i];
    return sqrt(sum);
}

void ref_rescale(const struct step *s, const struct op *op) {
    uint32_t width = s->prog->vals[op->out[0]].width;
    for (uint32_t r = s->first_row; r < step_rows(s, op->out[0]); r++) {
        const float *a = step_row(s, op->in[0], r), *b = step_row(s, op->in[1], r);
        double length = length_of(b, width), factor = length > 0 ? length_of(a, width) / length : 0;
        for (uint32_t i = 0; i < width; i++)
            step_row(s, op->out[0], r)[i] = (float)((double)b[i] * factor);
    }
}

void ref_sparsify(const struct step *s, const struct op *op) { /* deviation with divisor n - 1 */
    uint32_t width = s->prog->vals[op->out[0]].width;
    for (uint32_t r = s->first_row; r < step_rows(s, op->out[0]); r++) {
        const float *x = step_row(s, op->in[0], r);
        double mean = 0, sum = 0;
        for (uint32_t i = 0; i < width; i++) mean += (double)x[i] / width;
        for (uint32_t i = 0; i < width; i++) sum += ((double)x[i] - mean) * ((double)x[i] - mean);
        double cut = mean + (double)op->p.sparsify.c * sqrt(sum / (width > 1 ? width - 1 : 1));
        for (uint32_t i = 0; i < width; i++)
            step_row(s, op->out[0], r)[i] = (float)fmax((double)x[i] - cut, 0);
    }
}

void ref_clamp(const struct step *s, const struct op *op) {
    uint32_t width = s->prog->vals[op->out[0]].width;
    for (uint32_t r = s->first_row; r < step_rows(s, op->out[0]); r++) {
        const float *x = step_row(s, op->in[0], r);
        float *y = step_row(s, op->out[0], r);
        for (uint32_t i = 0; i < width; i++)
            y[i] = fminf(fmaxf(x[i], op->p.clamp.low), op->p.clamp.high);
    }
}

void ref_pos_scale(const struct step *s, const struct op *op) {
    uint32_t width = s->prog->vals[op->out[0]].width;
    for (uint32_t t = s->first_row; t < step_rows(s, op->out[0]); t++) {
        double pos = (double)s->batch->pos[t] + (double)op->p.pos_scale.offset;
        double n = floor(pos / (double)op->p.pos_scale.floor) + 1;
        float factor = (float)(log(n) * (double)op->p.pos_scale.a + 1);
        for (uint32_t i = 0; i < width; i++)
            step_row(s, op->out[0], t)[i] = step_row(s, op->in[0], t)[i] * factor;
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
    case ACT_GELU_ERF:
        return 0.5f * x * erfcf(x * -0.70710678118654752440f);
    case ACT_GELU_QUICK:
        return x / (1.0f + expf(-1.702f * x));
    case ACT_RELU:
        return fmaxf(x, 0);
    case ACT_RELU2:
        return fmaxf(x, 0) * fmaxf(x, 0);
    case ACT_SIGMOID:
        return 1.0f / (1.0f + expf(-x));
    case ACT_TANH:
        return tanhf(x);
    case ACT_SOFTPLUS:
        return x > 20 ? x : log1pf(expf(x));
    case ACT_NONE:
    case ACT_SWIGLU_OAI: /* has two inputs: ref_glu1 */
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

static float ref_glu1(enum act kind, float gate, float up) {
    if (kind != ACT_SWIGLU_OAI) return ref_act1(kind, 0, gate) * up;
    float g = fminf(gate, 7);
    return ref_act1(ACT_GELU_QUICK, 0, g) * (fminf(fmaxf(up, -7), 7) + 1);
}

void ref_glu(const struct step *s, const struct op *op) {
    uint32_t width = s->prog->vals[op->out[0]].width;
    bool one = op->in[1] == VAL_NONE; /* gate and up of a piece side by side */
    uint32_t n = one ? op->p.glu.piece : width;
    for (uint32_t r = 0; r < step_rows(s, op->out[0]); r++) {
        const float *gate = step_row(s, op->in[0], r);
        const float *up = one ? gate + n : step_row(s, op->in[1], r);
        for (uint32_t i = 0; i < width; i++) {
            uint32_t at = one ? i / n * 2 * n + i % n : i;
            step_row(s, op->out[0], r)[i] = ref_glu1(op->p.glu.kind, gate[at], up[at]);
        }
    }
}
