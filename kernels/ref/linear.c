/* linear.c - definitions of the matrix products. A weight is {in, out} (dim[0] = in is contiguous):
 * y[o] = sum_i W[o][i] x[i]. Each weight row is decoded once and used for all activation rows. */
#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "kernels/ref/ref.h"

static float dot(const float *a, const float *b, int64_t n) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += (double)a[i] * (double)b[i];
    return (float)sum;
}

static void linear_one(const struct step *s, const struct op *op, int k, float *row) {
    const struct tensor *w = op->w[k];
    const float *bias = op->b[k] != NULL ? op->b[k]->data : NULL;
    assert(s->prog->vals[op->in[0]].width == w->dim[0] &&
           s->prog->vals[op->out[k]].width == w->dim[1]);
    for (int64_t o = 0; o < w->dim[1]; o++) {
        ref_weight_row(w, o, row);
        for (uint32_t r = 0; r < step_rows(s, op->in[0]); r++)
            step_row(s, op->out[k], r)[o] =
                dot(row, step_row(s, op->in[0], r), w->dim[0]) + (bias != NULL ? bias[o] : 0.0f);
    }
}

/* Head h of a row: its first `in` elements times its matrix, its tail as it is. */
static void heads_row(const struct step *s, const struct op *op, uint32_t r, float *row) {
    const struct tensor *w = op->w[0];
    const uint32_t tail = op->p.heads_mm.tail;
    const size_t in = (size_t)w->dim[0] + tail, out = (size_t)w->dim[1] + tail;
    for (uint32_t h = 0; h < op->p.heads_mm.n_head; h++) {
        const float *x = step_row(s, op->in[0], r) + h * in;
        float *y = step_row(s, op->out[0], r) + h * out;
        for (int64_t o = 0; o < w->dim[1]; o++) {
            ref_weight_row(w, h * w->dim[1] + o, row);
            y[o] = dot(row, x, w->dim[0]);
        }
        memcpy(y + w->dim[1], x + w->dim[0], tail * sizeof *y);
    }
}

void ref_heads_mm(const struct step *s, const struct op *op) {
    float *row = mem_array((size_t)op->w[0]->dim[0], sizeof *row);
    assert(row != NULL);
    for (uint32_t r = 0; r < step_rows(s, op->in[0]); r++) heads_row(s, op, r, row);
    mem_free(row);
}

void ref_linear(const struct step *s, const struct op *op) {
    float *row = mem_array((size_t)op->w[0]->dim[0], sizeof *row);
    assert(row != NULL); /* a definition has no error path; the sizes are those of a loaded model */
    for (int k = 0; k < OP_MAX_W && op->w[k] != NULL; k++) linear_one(s, op, k, row);
    mem_free(row);
}

/* Output o of expert slot j for row r. ids hold expert numbers as floats. */
static void linear_id_row(const struct step *s, const struct op *op, int k, uint32_t r,
                          float *row) {
    const struct tensor *w = op->w[k];
    const float *bias = op->b[k] != NULL ? op->b[k]->data : NULL; /* [out][n_expert] */
    const float *ids = step_row(s, op->in[1], r), *x = step_row(s, op->in[0], r);
    float *y = step_row(s, op->out[k], r);
    for (uint32_t j = 0; j < op->p.linear_id.n_used; j++) {
        const float *xj = op->p.linear_id.per_expert_input ? x + (size_t)j * (size_t)w->dim[0] : x;
        for (int64_t o = 0; o < w->dim[1]; o++) {
            const int64_t at = (int64_t)ids[j] * w->dim[1] + o;
            ref_weight_row(w, at, row);
            y[(int64_t)j * w->dim[1] + o] =
                dot(row, xj, w->dim[0]) + (bias != NULL ? bias[at] : 0.0f);
        }
    }
}

void ref_linear_id(const struct step *s, const struct op *op) {
    float *row = mem_array((size_t)op->w[0]->dim[0], sizeof *row);
    assert(row != NULL);
    for (int k = 0; k < OP_MAX_W && op->w[k] != NULL; k++)
        for (uint32_t r = 0; r < step_rows(s, op->in[0]); r++) linear_id_row(s, op, k, r, row);
    mem_free(row);
}
