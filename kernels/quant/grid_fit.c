/* grid_fit.c - the search of codes for the grid formats with signs, IQ2_* and IQ3_* (spec/quants.md
 * 5.7, the numbers of whose steps are in the comments).
 *
 * Digits 0..N-1 stand for the odd numbers 2 l + 1 here, whatever values they decode to. For each
 * sub-block many scales are tried: the values become digits, each vector of digits an entry of the
 * grid or its best neighbour, and the sums P = sum w y q, Q = sum w q q of the numbers q say what
 * scale fits best (P / Q) and how good it is (P P / Q). Every operation is one IEEE rounding, in
 * the order of the specification: equal bytes on every machine.
 *
 * Any input gives some block: comparisons are false for NaN, and rounding clips first. */
#define QUANT_ENCODE
#include "kernels/quant/grid.h"

#include <assert.h>

enum { MAX_SUB = 32 };

/* Four floats; the compiler makes of it what the base instruction set has. */
typedef float lanes __attribute__((vector_size(16)));
typedef int32_t lane_bits __attribute__((vector_size(16)));

/* Into 0..top; NaN gives 0. */
static inline lanes clip(lanes v, lanes top) {
    v = (lanes)((lane_bits)v & (v > 0));
    lane_bits less = v < top;
    return (lanes)(((lane_bits)v & less) | ((lane_bits)top & ~less));
}

/* A sub-block under search: magnitudes (one of eight may be negative), weights, and the sign bits
 * of eights. */
struct sub {
    unsigned n;
    float y[MAX_SUB], w[MAX_SUB], root_w[MAX_SUB], wy[MAX_SUB];
    uint8_t sign[MAX_SUB / 8];
};

/* Entries for its vectors, and which of them were not what the digits said. */
struct choice {
    uint16_t entry[MAX_SUB / 4];
    uint32_t off; /* bit v: vector v came from the neighbours */
};

/* ---- step 1: signs ---- */

static void take_signs(const struct grid_format *f, const float *x, struct sub *s) {
    for (unsigned k = 0; k < s->n; k += 8) {
        unsigned bits = 0, count = 0, least = 0;
        float weight[8];
        for (unsigned j = 0; j < 8; j++) {
            bool negative = x[k + j] < 0;
            s->y[k + j] = negative ? -x[k + j] : x[k + j];
            bits |= (unsigned)negative << j;
            count += negative;
            weight[j] = s->w[k + j] * x[k + j] * x[k + j];
            if (weight[j] < weight[least]) least = j;
        }
        if (f->even_signs && count % 2 != 0) {
            s->y[k + least] = -s->y[k + least];
            bits ^= 1u << least;
        }
        s->sign[k / 8] = (uint8_t)bits;
    }
}

/* ---- steps 4 and 5: entries for a scale, and the scale for entries ---- */

/* The digits of some values at a scale, as struct grid numbers them. Whole floats: exact. */
static unsigned number_at(const struct grid *g, const float *y, float inverse) {
    const lanes zero = {0}, top = zero + (float)(g->levels - 1), magic = zero + 12582912.0f;
    lanes sum = {0};
    for (unsigned j = 0; j < g->width; j += 4) {
        lanes v, place;
        memcpy(&v, y + j, sizeof v);
        memcpy(&place, g->place + j, sizeof place);
        v = clip(0.5f * (inverse * v - 1), top);
        sum += ((v + magic) - magic) * place; /* 1.5 x 2^23: rounds to nearest even */
    }
    return (unsigned)(sum[0] + sum[1] + sum[2] + sum[3]);
}

/* Vectors in `which` get entries: digits by the inverse scale, neighbours by the scale. */
static void choose(const struct grid *g, const struct sub *s, float inverse, float scale,
                   uint32_t which, struct choice *c) {
    float value[8];
    for (unsigned l = 0; l < 8; l++) value[l] = scale * (float)(2 * l + 1);
    for (unsigned v = 0, i = 0; i < s->n; v++, i += g->width) {
        if ((which >> v & 1) == 0) continue;
        unsigned number = number_at(g, s->y + i, inverse);
        bool off = g->index[number] < 0;
        c->off = (c->off & ~(1u << v)) | (uint32_t)off << v;
        c->entry[v] = (uint16_t)g->index[number];
        if (off) c->entry[v] = (uint16_t)grid_nearest(g, number, value, s->root_w + i, s->y + i);
    }
}

static void sums(const struct grid *g, const struct sub *s, const struct choice *c, float *p,
                 float *q) {
    float sum_p = 0, sum_q = 0;
    for (unsigned v = 0, i = 0; i < s->n; v++) {
        const uint8_t *digit = g->digit[c->entry[v]];
        for (unsigned j = 0; j < g->width; j++, i++) {
            float number = (float)(2 * digit[j] + 1);
            sum_p += s->wy[i] * number;
            sum_q += s->w[i] * number * number;
        }
    }
    *p = sum_p;
    *q = sum_q;
}

static float refine(const struct grid_format *f, const struct grid *g, const struct sub *s,
                    float scale, struct choice *c) {
    const uint32_t all = (uint32_t)((1ull << s->n / g->width) - 1);
    uint32_t which = c->off;
    float p, q;
    if (f->refine == REFINE_ALL || (f->refine == REFINE_ALL_IF_OFF && which != 0)) which = all;
    if (which == 0 || !(scale > 0)) return scale;
    choose(g, s, 1 / scale, scale, which, c);
    sums(g, s, c, &p, &q);
    return q > 0 ? p / q : scale;
}

/* ---- the start of IQ2_XXS: spec 5.4 with codes 0..4 ---- */

/* 5.4 is made for values that are not negative. Here one of eight can be, and its code with it; the
 * reference keeps codes in bytes, where -1 is 255, but sums a code before it is kept. Whoever wants
 * its bytes must do the same. */
enum { FIT_CODES = 4 };

static int fit_round(float v) {
    v = v < FIT_CODES ? v : FIT_CODES;
    v = v > -0x1p22f ? v : -0x1p22f;
    return (int)(quant_bits(v + 12582912.0f) & 0x7FFFFF) - 0x400000;
}

static float fit_error(const struct sub *s, float inverse, bool kept) {
    float step = 1 / inverse, sum = 0;
    for (unsigned i = 0; i < s->n; i++) {
        int code = fit_round(inverse * s->y[i]);
        float d = s->y[i] - step * (float)(kept ? code & 255 : code);
        sum += s->w[i] * d * d;
    }
    return sum;
}

/* One value after the other moves to the code that fits best, given the others; false: none did. */
static bool fit_descend(const struct sub *s, uint8_t *code, float *p, float *q) {
    bool moved = false;
    for (unsigned i = 0; i < s->n; i++) {
        const float w = s->w[i], x = s->y[i], old = (float)code[i];
        float p1 = *p - w * x * old, q1 = *q - w * old * old;
        if (!(p1 > 0 && q1 > 0)) continue;
        int c = fit_round(x * q1 / p1);
        if (c == code[i]) continue;
        p1 += w * x * (float)c;
        q1 += w * (float)c * (float)c;
        if (!(p1 > 0 && q1 > 0 && p1 * p1 * *q > *p * *p * q1)) continue;
        code[i] = (uint8_t)(c & 255);
        *p = p1;
        *q = q1;
        moved = true;
    }
    return moved;
}

static float fit_scale(const struct sub *s, float max) {
    float best = FIT_CODES / max, error = fit_error(s, best, true), p = 0, q = 0;
    uint8_t code[MAX_SUB];
    for (int k = -4; k <= 4; k++) {
        float inverse = (0.1f * (float)k + FIT_CODES) / max, e = fit_error(s, inverse, false);
        if (k == 0 || !(e < error)) continue;
        error = e;
        best = inverse;
    }
    for (unsigned i = 0; i < s->n; i++) {
        int c = fit_round(best * s->y[i]);
        p += s->w[i] * s->y[i] * (float)c;
        q += s->w[i] * (float)c * (float)c;
        code[i] = (uint8_t)(c & 255);
    }
    for (int pass = 0; pass < 5 && fit_descend(s, code, &p, &q);) pass++;
    return q > 0 ? p / q : 0;
}

/* ---- a sub-block, and the block ---- */

/* Steps 1 to 6; returns the scale, 0 with all codes zero for a sub-block of nothing. */
static float fit_sub(const struct grid_format *f, const struct grid *g, const float *x,
                     struct sub *s, struct choice *best) {
    const float top = (float)(2 * g->levels - 1);
    float max = 0, best_fit = 0;
    *best = (struct choice){.off = f->refine == REFINE_ALL_IF_OFF ? UINT32_MAX : 0};
    take_signs(f, x, s);
    for (unsigned i = 0; i < s->n; i++) {
        s->root_w[i] = sqrtf(s->w[i]);
        s->wy[i] = s->w[i] * s->y[i];
        if (s->y[i] > max) max = s->y[i];
    }
    float scale = max / top, from = max;
    if (max > 0 && max >= f->eps && f->fit_start) {
        scale = fit_scale(s, max);
        from = 3 * scale;
    }
    if (!(from > 0 && max >= f->eps)) {
        memset(s->sign, 0, sizeof s->sign);
        return 0;
    }
    for (int k = -f->trials; k <= f->trials; k++) {
        float inverse = (top + (float)k * f->step) / from, p, q;
        struct choice c = {.off = 0};
        choose(g, s, inverse, 1 / inverse, UINT32_MAX, &c);
        sums(g, s, &c, &p, &q);
        if (!(q > 0 && p * p > best_fit * q)) continue;
        *best = c;
        scale = p / q;
        best_fit = scale * p;
    }
    scale = refine(f, g, s, scale, best);
    if (scale < 0) {
        scale = -scale;
        for (unsigned k = 0; k < s->n / 8; k++) s->sign[k] = (uint8_t)~s->sign[k];
    }
    return scale;
}

static void weigh(const struct grid_format *f, const float *x, const float *iw, float sigma2,
                  struct sub *s) {
    for (unsigned i = 0; i < s->n; i++) {
        float xx = x[i] * x[i];
        s->w[i] = iw != NULL ? iw[i] * sqrtf(sigma2 + xx) : f->flat * sigma2 + xx;
    }
}

float grid_encode(const struct grid_format *f, const float x[256], const struct quant_weights *w,
                  struct grid_codes *out) {
    const struct grid *g = grid_get(f->id);
    const unsigned n_sub = 256 / f->sub, n_vectors = f->sub / g->width;
    struct sub s = {.n = f->sub};
    struct choice c;
    float scale[16], sum = 0, max = 0;
    assert(f->sub <= MAX_SUB && f->sub % 8 == 0);
    for (unsigned i = 0; i < 256; i++) sum += x[i] * x[i];
    for (unsigned k = 0; k < n_sub; k++) {
        const float *at = x + k * f->sub;
        weigh(f, at, w != NULL ? w->iw + k * f->sub : NULL, f->sigma2 * sum / 256, &s);
        scale[k] = fit_sub(f, g, at, &s, &c);
        memcpy(out->index + k * n_vectors, c.entry, n_vectors * sizeof *c.entry);
        memcpy(out->sign + k * f->sub / 8, s.sign, f->sub / 8);
        if (scale[k] > max) max = scale[k];
    }
    float step = max / 31, inverse = quant_inverse(step); /* step 7 */
    for (unsigned k = 0; k < n_sub; k++) {
        out->scale[k] = (uint8_t)grid_round(0.5f * (inverse * scale[k] - 1), 15);
    }
    return step;
}
