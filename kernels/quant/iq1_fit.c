/* iq1_fit.c - the search of codes for IQ1_S and IQ1_M (spec/quants.md 5.8).
 *
 * Three levels only: so with the values of a sub-block in ascending order, the best digits are a
 * cut into low, middle and high, and all cuts i1 <= i2 can be tried for both shifts. With prefix
 * sums of w x and w each costs a few operations; the one with the largest P P / Q wins (grid_fit.c
 * tells what P and Q are). Then the digits become entries of the grid.
 *
 * Every operation is one IEEE rounding in the order of the specification. Any input gives some
 * block: comparisons are false for NaN. */
#define QUANT_ENCODE
#include "kernels/quant/iq1.h"

#include <float.h>

enum { MAX_SUB = 32, MAX_HALVES = 2 };

/* The levels with the shift up, and down. */
static const float levels[2][3] = {{-0.875f, 0.125f, 1.125f}, {-1.125f, -0.125f, 0.875f}};

/* A sub-block: parts of it with shifts of their own (one of 32, or two of 8). */
struct sub {
    unsigned n, n_halves, width; /* width: values of a half */
    const float *x;
    float w[MAX_SUB];
    uint8_t order[MAX_SUB]; /* of the values, ascending */
    /* for each half: sums of w x and of w over its values among the first i in order */
    float wx[MAX_HALVES][MAX_SUB + 1], ww[MAX_HALVES][MAX_SUB + 1];
};
struct cut {
    unsigned i1, i2;
    bool down[MAX_HALVES];
    float scale, fit;
};

static void sort(struct sub *s) {
    for (unsigned i = 0; i < s->n; i++) {
        unsigned at = i;
        for (; at > 0 && s->x[s->order[at - 1]] > s->x[i]; at--) s->order[at] = s->order[at - 1];
        s->order[at] = (uint8_t)i;
    }
}

static void prefix_sums(struct sub *s) {
    for (unsigned h = 0; h < s->n_halves; h++) s->wx[h][0] = s->ww[h][0] = 0;
    for (unsigned i = 0; i < s->n; i++) {
        const unsigned k = s->order[i], of = k / s->width;
        for (unsigned h = 0; h < s->n_halves; h++) {
            s->wx[h][i + 1] = s->wx[h][i];
            s->ww[h][i + 1] = s->ww[h][i];
        }
        s->wx[of][i + 1] += s->w[k] * s->x[k];
        s->ww[of][i + 1] += s->w[k];
    }
}

/* ---- the best cut ---- */

static void consider(struct cut *best, unsigned i1, unsigned i2, float p, float q, bool down0,
                     bool down1) {
    if (!(q > 0 && p * p > best->fit * q)) return;
    float scale = p / q;
    *best = (struct cut){i1, i2, {down0, down1}, scale, scale * p};
}

static void cut_whole(const struct sub *s, struct cut *best) {
    const float *p = s->wx[0], *u = s->ww[0];
    for (unsigned i1 = 0; i1 <= s->n; i1++) {
        for (unsigned i2 = i1; i2 <= s->n; i2++) {
            float p0 = p[i1] - p[0], p1 = p[i2] - p[i1], p2 = p[s->n] - p[i2];
            float u0 = u[i1] - u[0], u1 = u[i2] - u[i1], u2 = u[s->n] - u[i2];
            for (unsigned down = 0; down < 2; down++) {
                const float *l = levels[down];
                consider(best, i1, i2, p0 * l[0] + p1 * l[1] + p2 * l[2],
                         u0 * l[0] * l[0] + u1 * l[1] * l[1] + u2 * l[2] * l[2], down != 0,
                         down != 0);
            }
        }
    }
}

/* P and Q of a half for a cut and a shift. */
struct half {
    float p[2], q[2];
};
static struct half half_sums(const struct sub *s, unsigned h, unsigned i1, unsigned i2) {
    const float *p = s->wx[h], *u = s->ww[h];
    struct half y;
    for (unsigned down = 0; down < 2; down++) {
        const float *l = levels[down];
        y.p[down] = p[s->n] * l[2] - (p[i1] + p[i2]);
        y.q[down] = u[s->n] * l[2] * l[2] + u[i1] * (l[0] * l[0] - l[1] * l[1]) +
                    u[i2] * (l[1] * l[1] - l[2] * l[2]);
    }
    return y;
}

static void cut_halves(const struct sub *s, struct cut *best) {
    for (unsigned i1 = 0; i1 <= s->n; i1++) {
        for (unsigned i2 = i1; i2 <= s->n; i2++) {
            const struct half a = half_sums(s, 0, i1, i2), b = half_sums(s, 1, i1, i2);
            for (unsigned k = 0; k < 4; k++) {
                consider(best, i1, i2, a.p[k / 2] + b.p[k % 2], a.q[k / 2] + b.q[k % 2], k / 2 != 0,
                         k % 2 != 0);
            }
        }
    }
}

/* ---- from digits to entries ---- */

/* Gives each vector its entry; returns the scale that fits these. */
static float choose(const struct sub *s, const struct cut *cut, bool mirror, uint16_t *index) {
    const struct grid *g = grid_get(GRID_IQ1);
    uint8_t digits[MAX_SUB];
    float p = 0, q = 0;
    bool off = false;
    for (unsigned i = 0; i < s->n; i++) {
        unsigned l = i < cut->i1 ? 0 : i < cut->i2 ? 1 : 2;
        digits[s->order[i]] = (uint8_t)(mirror ? 2 - l : l);
    }
    for (unsigned i = 0; i < s->n; i += 8) {
        const float *l = levels[cut->down[i / s->width]];
        const float value[8] = {cut->scale * l[0], cut->scale * l[1], cut->scale * l[2]};
        const unsigned number = grid_number(g, digits + i);
        int e = g->index[number];
        if (e < 0) {
            off = true;
            e = (int)grid_nearest(g, number, value, s->w + i, s->x + i);
        }
        index[i / 8] = (uint16_t)e;
        for (unsigned j = 0; j < 8; j++) {
            float level = l[g->digit[e][j]];
            p += s->w[i + j] * level * s->x[i + j];
            q += s->w[i + j] * level * level;
        }
    }
    return off && p > 0 && q > 0 ? p / q : cut->scale;
}

/* The scale (0: nothing in it), entries and shifts of a sub-block. */
static float fit_sub(struct sub *s, float eps, uint16_t *index, bool *down) {
    struct cut cut = {.fit = -FLT_MAX};
    float max = 0;
    for (unsigned i = 0; i < s->n; i++) {
        if (fabsf(s->x[i]) > max) max = fabsf(s->x[i]);
    }
    memset(index, 0, s->n / 8 * sizeof *index);
    memset(down, 0, s->n / 8 * sizeof *down);
    if (max < eps) return 0;
    sort(s);
    prefix_sums(s);
    if (s->n_halves == 1)
        cut_whole(s, &cut);
    else
        cut_halves(s, &cut);
    bool mirror = cut.scale < 0;
    if (mirror) {
        cut.scale = -cut.scale;
        for (unsigned h = 0; h < s->n_halves; h++) cut.down[h] = !cut.down[h];
    }
    for (unsigned v = 0; v < s->n / 8; v++) down[v] = cut.down[8 * v / s->width];
    return choose(s, &cut, mirror, index);
}

/* ---- a block ---- */

/* Sub-blocks of n values; returns the step of the scales, D/15, and all weights. */
static float fit_block(const float *x, const struct quant_weights *iw, unsigned n, float eps,
                       struct iq1_codes *out, float weights[256]) {
    struct sub s = {.n = n, .n_halves = n == 32 ? 1 : 2, .width = n == 32 ? 32 : 8};
    float scale[16], sum = 0, max = 0;
    for (unsigned i = 0; i < 256; i++) sum += x[i] * x[i];
    for (unsigned i = 0; i < 256; i++) {
        float xx = x[i] * x[i];
        weights[i] = iw != NULL ? iw->iw[i] * sqrtf(2 * sum / 256 + xx) : xx;
    }
    for (unsigned k = 0; k < 256 / n; k++) {
        s.x = x + k * n;
        memcpy(s.w, weights + k * n, n * sizeof *s.w);
        scale[k] = fit_sub(&s, eps, out->index + k * n / 8, out->down + k * n / 8);
        if (scale[k] > max) max = scale[k];
    }
    float step = max / 15, inverse = quant_inverse(step);
    for (unsigned k = 0; k < 256 / n; k++) {
        out->scale[k] = (uint8_t)grid_round(0.5f * (inverse * scale[k] - 1), 7);
    }
    return step;
}

float iq1_s_fit(const float x[256], const struct quant_weights *w, struct iq1_codes *out) {
    float weights[256];
    return fit_block(x, w, 32, 1e-12f, out, weights);
}

/* The step is fitted once more, for all codes as they are now. */
float iq1_m_fit(const float x[256], const struct quant_weights *w, struct iq1_codes *out) {
    const struct grid *g = grid_get(GRID_IQ1);
    float weights[256], p = 0, q = 0;
    float step = fit_block(x, w, 16, 1e-7f, out, weights);
    if (step == 0) return 0;
    for (unsigned i = 0; i < 256; i++) {
        const unsigned v = i / 8;
        float level = levels[out->down[v]][g->digit[out->index[v]][i % 8]];
        float number = level * (float)(2 * out->scale[i / 16] + 1);
        p += weights[i] * number * x[i];
        q += weights[i] * number * number;
    }
    return q > 0 ? p / q : step;
}
