/* iq4_nl.h - IQ4_NL: 32 values in 18 bytes, 4-bit codes on a curve.
 *
 *   0..1   d    f16
 *   2..17  nibbles: byte 2 + j holds q[j] (low) and q[j + 16] (high), j = 0..15
 *
 *   value i = d v(q[i]), v in -127..113, denser around zero */
#ifndef CRIA_KERNELS_QUANT_IQ4_NL_H
#define CRIA_KERNELS_QUANT_IQ4_NL_H

#include "kernels/quant/search.h"

/* v(q); also of IQ4_XS. A tree, for the common language has no arrays. */
QUANT_FN int iq4_nl_value(int q) {
    if (q < 8) {
        if (q < 4) return q < 2 ? (q < 1 ? -127 : -104) : q < 3 ? -83 : -65;
        return q < 6 ? (q < 5 ? -49 : -35) : q < 7 ? -22 : -10;
    }
    if (q < 12) return q < 10 ? (q < 9 ? 1 : 13) : q < 11 ? 25 : 38;
    return q < 14 ? (q < 13 ? 53 : 69) : q < 15 ? 89 : 113;
}

QUANT_FN float iq4_nl_at(quant_block b, int i) {
    int q = QUANT_U8(b, 2 + (i & 15)) >> (i < 16 ? 0 : 4) & 15;
    return QUANT_F16(b, 0) * QUANT_FLOAT(iq4_nl_value(q));
}

#ifdef QUANT_ENCODE
/* The code whose value is nearest to v; of two the upper one. The differences near the middles are
 * exact, so nearest means from the middle on. */
static const float iq4_nl_middle[15] = {-115.5f, -93.5f, -74,   -57,   -42, -28.5f, -16, -4.5f,
                                        7,       19,     31.5f, 45.5f, 61,  79,     101};
static const float iq4_nl_gap[15] = {23, 21, 18, 16, 14, 13, 12, 11, 12, 12, 13, 15, 16, 20, 24};

QUANT_INLINE unsigned iq4_nl_near(float v) {
    unsigned q = 0;
    for (unsigned k = 0; k < 15; k++) q += v >= iq4_nl_middle[k];
    return q;
}
QUANT_INLINE qv iq4_nl_near_values(qv v) {
    qv value = qv_set(-127);
    for (unsigned k = 0; k < 15; k++) {
        value += (qv)((v >= iq4_nl_middle[k]) & (qmask)qv_set(iq4_nl_gap[k]));
    }
    return value;
}

/* The best scale of 32 values (spec/quants.md 5.6), trials side by side. */
static inline float iq4_nl_scale(const float *x, const float *w) {
    enum { VECS = 16 / QV_N };
    float m = quant_extreme(x, 32), inv[16], P[16], Q[16];
    qv v[VECS], p[VECS], q[VECS];
    if (fabsf(m) < 1e-15f) return 0;
    inv[0] = 1 / (-m / -127);
    for (int k = -7; k <= 7; k++) inv[k + 8] = ((float)k - 127) / m;
    memcpy(v, inv, sizeof v);
    for (unsigned t = 0; t < VECS; t++) p[t] = q[t] = qv_set(0);
    for (unsigned i = 0; i < 32; i++) {
        for (unsigned t = 0; t < VECS; t++) {
            qv l = iq4_nl_near_values(v[t] * x[i]), wl = w[i] * l;
            p[t] += wl * x[i];
            q[t] += wl * l;
        }
    }
    memcpy(P, p, sizeof P);
    memcpy(Q, q, sizeof Q);
    float scale = Q[0] > 0 ? P[0] / Q[0] : 0, best = scale * P[0];
    for (unsigned k = 1; k < 16; k++) {
        if (!(Q[k] > 0) || !(P[k] * P[k] > best * Q[k])) continue;
        scale = P[k] / Q[k];
        best = scale * P[k];
    }
    return scale;
}

/* Weights of a block of n values, and the codes of 32. */
static inline void iq4_nl_weigh(unsigned n, const float *x, const struct quant_weights *w,
                                float *weight) {
    if (w != NULL)
        quant_weigh(n, x, w->iw, quant_sum_squares(n, x) * (2.0f / (float)n), weight);
    else
        for (unsigned i = 0; i < n; i++) weight[i] = x[i] * x[i];
}
static inline void iq4_nl_put(const float *x, float scale, uint8_t *nibbles) {
    float inv = quant_inverse(scale);
    unsigned q[32];
    for (unsigned i = 0; i < 32; i++) q[i] = iq4_nl_near(inv * x[i]);
    quant_put_codes(q, nibbles, NULL);
}

static inline void iq4_nl_encode(uint8_t *block, const float *x, const struct quant_weights *w) {
    float weight[32];
    iq4_nl_weigh(32, x, w, weight);
    float scale = iq4_nl_scale(x, weight);
    quant_put_f16(block, scale);
    iq4_nl_put(x, scale, block + 2);
}

/* Without trials, for what is written while one waits. */
static inline void iq4_nl_encode_fast(uint8_t *block, const float *x) {
    float m = quant_extreme(x, 32), inv = fabsf(m) < 1e-15f ? 0 : 1 / (m / -127), P = 0, Q = 0;
    unsigned q[32];
    for (unsigned i = 0; i < 32; i++) {
        float w = x[i] * x[i], l;
        q[i] = iq4_nl_near(inv * x[i]);
        l = (float)iq4_nl_value((int)q[i]);
        P += (w * l) * x[i];
        Q += (w * l) * l;
    }
    quant_put_f16(block, inv != 0 && Q > 0 ? P / Q : 0);
    quant_put_codes(q, block + 2, NULL);
}
#endif

#endif
