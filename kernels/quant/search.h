/* search.h - the searches that the encoders share (spec/quants.md 5.1 to 5.4).
 *
 * Every search tries scales, makes the codes that belong to each and compares sums. The sums run
 * over increasing index with one rounding per operation: equal bytes are required. So they are not
 * split. What goes side by side in the lanes of a vector (qv) is independent: the trials of one
 * block (quant_fit_s), or the sub-blocks of a superblock (quant_fit_a, quant_fit_c). However many
 * lanes the instruction set has, the bytes are the same.
 *
 * Codes are whole floats until they are stored. Any input gives codes in range: the comparisons are
 * written so that a NaN falls to the lower end. */
#ifndef CRIA_KERNELS_QUANT_SEARCH_H
#define CRIA_KERNELS_QUANT_SEARCH_H

#include "kernels/quant/quant.h"

#ifdef QUANT_ENCODE

#define QUANT_INLINE static inline __attribute__((always_inline))

#ifdef __AVX2__
enum { QV_N = 8 };
#else
enum { QV_N = 4 };
#endif
#if defined(__SSE2__)
#include <immintrin.h>
#endif

typedef float qv __attribute__((vector_size(4 * QV_N)));      /* lanes */
typedef int32_t qmask __attribute__((vector_size(4 * QV_N))); /* -1 or 0 in each */

QUANT_INLINE qv qv_set(float x) { return x - (qv){0}; }
QUANT_INLINE qv qv_pick(qmask m, qv a, qv b) { return (qv)((m & (qmask)a) | (~m & (qmask)b)); }
/* Nearest even for abs(v) < 2^22; of larger numbers anything as large. */
QUANT_INLINE qv qv_round(qv v) { return (v + 12582912.0f) - 12582912.0f; }
/* b where one of them is a NaN. */
QUANT_INLINE qv qv_max(qv a, qv b) {
#if defined(__AVX2__)
    return (qv)_mm256_max_ps((__m256)a, (__m256)b);
#elif defined(__SSE2__)
    return (qv)_mm_max_ps((__m128)a, (__m128)b);
#else
    return qv_pick(a > b, a, b);
#endif
}
QUANT_INLINE qv qv_min(qv a, qv b) {
#if defined(__AVX2__)
    return (qv)_mm256_min_ps((__m256)a, (__m256)b);
#elif defined(__SSE2__)
    return (qv)_mm_min_ps((__m128)a, (__m128)b);
#else
    return qv_pick(a < b, a, b);
#endif
}
QUANT_INLINE qv qv_clip(qv v, float lo, float hi) {
    return qv_min(qv_max(v, qv_set(lo)), qv_set(hi));
}
QUANT_INLINE qv qv_abs(qv v) { return (qv)((qmask)v & 0x7FFFFFFF); }

QUANT_INLINE float quant_round(float v) { return (v + 12582912.0f) - 12582912.0f; }
QUANT_INLINE float quant_clip(float v, float lo, float hi) {
    v = v > lo ? v : lo;
    return v < hi ? v : hi;
}

/* Codes of n values (a multiple of QV_N) as they are stored: round((x + add) / div), clipped. */
QUANT_INLINE void quant_codes_div(unsigned n, const float *x, float add, float div, float lo,
                                  float hi, unsigned *q) {
    for (unsigned i = 0; i < n; i += QV_N) {
        qv v;
        memcpy(&v, x + i, sizeof v);
        v = qv_clip(qv_round((v + add) / div), lo, hi) - lo;
        for (unsigned k = 0; k < QV_N; k++) q[i + k] = (unsigned)v[k];
    }
}
/* The same for an inverse scale; 0 stands for a block without a scale, whose codes are stored as 0.
 */
QUANT_INLINE void quant_codes(unsigned n, const float *x, float inv, float lo, float hi,
                              unsigned *q) {
    for (unsigned i = 0; i < n; i++) {
        q[i] = inv != 0 ? (unsigned)(quant_clip(quant_round(inv * x[i]), lo, hi) - lo) : 0;
    }
}

/* w = iw sqrt(sigma2 + x x) */
QUANT_INLINE void quant_weigh(unsigned n, const float *x, const float *iw, float sigma2, float *w) {
    for (unsigned i = 0; i < n; i++) w[i] = iw[i] * sqrtf(sigma2 + x[i] * x[i]);
}

QUANT_INLINE float quant_sum_squares(unsigned n, const float *x) {
    float sum = 0;
    for (unsigned i = 0; i < n; i++) sum += x[i] * x[i];
    return sum;
}

/* ---- FIT_S: codes -N..N-1, trials side by side ---- */

struct quant_fit {
    float scale, inv; /* inv: the trial whose codes are taken; 0: all codes are 0 */
};

enum { FIT_S_TRIALS = 19, FIT_S_VECS = (FIT_S_TRIALS + QV_N - 1) / QV_N };

/* P and Q of every trial v. */
QUANT_INLINE void fit_s_sums(unsigned n, const float *x, const float *w, float N, const qv *v,
                             qv *P, qv *Q) {
    for (unsigned t = 0; t < FIT_S_VECS; t++) P[t] = Q[t] = qv_set(0);
    for (unsigned i = 0; i < n; i++) {
        qv wx = qv_set(w[i] * x[i]), wi = qv_set(w[i]), xi = qv_set(x[i]);
        for (unsigned t = 0; t < FIT_S_VECS; t++) {
            qv l = qv_clip(qv_round(v[t] * xi), -N, N - 1);
            P[t] += wx * l;
            Q[t] += (wi * l) * l;
        }
    }
}

QUANT_INLINE struct quant_fit quant_fit_s(unsigned n, const float *x, const float *w, float N) {
    float m = quant_extreme(x, n), v[FIT_S_VECS * QV_N], P[FIT_S_VECS * QV_N], Q[FIT_S_VECS * QV_N];
    if (fabsf(m) < 1e-15f) return (struct quant_fit){0, 0};
    for (int k = 0; k < FIT_S_VECS * QV_N; k++) {
        int step = k <= 9 ? k - 10 : k - 9; /* after the start: -9..-1, 1..9 */
        v[k] = k == 0 ? -N / m : -(N + 0.1f * (float)step) / m;
    }
    qv vv[FIT_S_VECS], pp[FIT_S_VECS], qq[FIT_S_VECS];
    memcpy(vv, v, sizeof v);
    fit_s_sums(n, x, w, N, vv, pp, qq);
    memcpy(P, pp, sizeof P);
    memcpy(Q, qq, sizeof Q);
    struct quant_fit fit = {Q[0] != 0 ? P[0] / Q[0] : 0, v[0]};
    float best = fit.scale * P[0];
    for (int k = 1; k < FIT_S_TRIALS; k++) {
        if (!(Q[k] > 0) || !(P[k] * P[k] > best * Q[k])) continue;
        fit = (struct quant_fit){P[k] / Q[k], v[k]};
        best = fit.scale * P[k];
    }
    return fit;
}

/* ---- FIT_A: codes 0..N above a minimum, sub-blocks side by side ---- */

struct quant_affine {
    qv scale, min;  /* x is about scale l - min */
    qv inv, offset; /* l = clip(round(inv (x - offset)), 0, N) */
};

struct fit_a { /* how a format searches */
    float N, from, step;
    int trials;  /* and one */
    bool square; /* the error counts by its square, or by its magnitude */
};

QUANT_INLINE qv fit_a_code(qv x, qv inv, qv offset, float N) {
    return qv_clip(qv_round(inv * (x - offset)), 0, N);
}

/* sum w err(((s l) + o) - x) */
QUANT_INLINE qv fit_a_error(const struct fit_a *f, unsigned n, const qv *x, const qv *w, qv inv,
                            qv offset, qv s, qv o) {
    qv sum = qv_set(0);
    for (unsigned i = 0; i < n; i++) {
        qv e = ((s * fit_a_code(x[i], inv, offset, f->N)) + o) - x[i];
        sum += w[i] * (f->square ? e * e : qv_abs(e));
    }
    return sum;
}

QUANT_INLINE struct quant_affine quant_fit_a(const struct fit_a *f, unsigned n, const qv *x,
                                             const qv *w) {
    qv lo = x[0], hi = x[0], W = qv_set(0), X = qv_set(0), zero = qv_set(0);
    for (unsigned i = 0; i < n; i++) {
        lo = qv_pick(x[i] < lo, x[i], lo);
        hi = qv_pick(x[i] > hi, x[i], hi);
        W += w[i];
        X += w[i] * x[i];
    }
    lo = qv_pick(lo > zero, zero, lo);
    qmask flat = hi <= lo;
    struct quant_affine a = {.inv = f->N / (hi - lo), .offset = lo};
    a.scale = 1.0f / a.inv;
    qv base = lo; /* of the accepted trial; the next ones start from it */
    qv best = fit_a_error(f, n, x, w, a.inv, lo, a.scale, lo);
    for (int k = 0; k <= f->trials; k++) {
        qv v = (f->from + f->step * (float)k + f->N) / (hi - base);
        qv L = zero, L2 = zero, LX = zero;
        for (unsigned i = 0; i < n; i++) {
            qv l = fit_a_code(x[i], v, base, f->N), wl = w[i] * l;
            L += wl;
            L2 += wl * l;
            LX += wl * x[i];
        }
        qv D = W * L2 - L * L, s = (W * LX - X * L) / D, o = (L2 * X - L * LX) / D;
        s = qv_pick(o > zero, LX / L2, s);
        o = qv_pick(o > zero, zero, o);
        qv error = fit_a_error(f, n, x, w, v, base, s, o);
        qmask take = (D > zero) & (error < best);
        best = qv_pick(take, error, best);
        a.scale = qv_pick(take, s, a.scale);
        a.inv = qv_pick(take, v, a.inv);
        a.offset = qv_pick(take, base, a.offset);
        base = qv_pick(take, o, base);
    }
    a.min = qv_pick(flat, -lo, -base);
    a.scale = qv_pick(flat, zero, a.scale);
    a.inv = qv_pick(flat, zero, a.inv);
    return a;
}

/* One block of 32 alone, in lane 0: Q4_1 and Q5_1 with weights. Returns scale and minimum. */
QUANT_INLINE void quant_fit_a1(const struct fit_a *f, const float *x, const float *w, float *scale,
                               float *min, unsigned q[32]) {
    qv xx[32], ww[32];
    for (unsigned i = 0; i < 32; i++) {
        xx[i] = qv_set(x[i]);
        ww[i] = qv_set(w[i]);
    }
    struct quant_affine a = quant_fit_a(f, 32, xx, ww);
    *scale = a.scale[0];
    *min = a.min[0];
    for (unsigned i = 0; i < 32; i++) {
        q[i] = (unsigned)fit_a_code(xx[i], a.inv, a.offset, f->N)[0];
    }
}

/* ---- FIT_C: codes -N..N-1 by coordinate descent, weights x x, sub-blocks side by side ---- */

/* Writes the codes and returns the scales. */
QUANT_INLINE qv quant_fit_c(unsigned n, const qv *x, float N, qv *l) {
    qv m = qv_set(0), big = m, P = m, Q = m, zero = m;
    for (unsigned i = 0; i < n; i++) {
        qmask more = qv_abs(x[i]) > big;
        m = qv_pick(more, x[i], m);
        big = qv_pick(more, qv_abs(x[i]), big);
    }
    qmask dead = big < 1e-15f;
    qv v = -N / m;
    for (unsigned i = 0; i < n; i++) {
        qv w = x[i] * x[i];
        l[i] = qv_clip(qv_round(v * x[i]), -N, N - 1);
        P += (w * x[i]) * l[i];
        Q += (w * l[i]) * l[i];
    }
    for (int pass = 0; pass < 5; pass++) { /* in a lane that has settled nothing changes again */
        for (unsigned i = 0; i < n; i++) {
            qv w = x[i] * x[i], wx = w * x[i], P1 = P - wx * l[i], Q1 = Q - (w * l[i]) * l[i];
            qv c = qv_clip(qv_round(x[i] * Q1 / P1), -N, N - 1);
            qv P2 = P1 + wx * c, Q2 = Q1 + (w * c) * c;
            qmask take = (P1 > zero) & (c != l[i]) & (Q2 > zero) & (P2 * P2 * Q > P * P * Q2);
            l[i] = qv_pick(take, c, l[i]);
            P = qv_pick(take, P2, P);
            Q = qv_pick(take, Q2, Q);
        }
    }
    for (unsigned i = 0; i < n; i++) l[i] = qv_pick(dead, qv_set(-N), l[i]);
    return qv_pick((Q > zero) & ~dead, P / Q, zero);
}

/* ---- FIT_P: codes 0..N of non-negative numbers: the scales of sub-blocks ---- */

QUANT_INLINE float fit_p_error(unsigned n, const float *x, const float *w, float v, float N) {
    float scale = 1.0f / v, sum = 0;
    for (unsigned i = 0; i < n; i++) {
        float d = x[i] - scale * quant_clip(quant_round(v * x[i]), 0, N);
        sum += (w[i] * d) * d;
    }
    return sum;
}

QUANT_INLINE float quant_fit_p(unsigned n, const float *x, const float *w, float N, unsigned *q) {
    float m = 0, l[32];
    for (unsigned i = 0; i < n; i++) m = x[i] > m ? x[i] : m;
    for (unsigned i = 0; i < n; i++) q[i] = 0;
    if (m < 1e-15f) return 0;
    float v = N / m, best = fit_p_error(n, x, w, v, N);
    for (int k = -4; k <= 4; k++) {
        float trial = (0.1f * (float)k + N) / m;
        float error = k != 0 ? fit_p_error(n, x, w, trial, N) : best;
        if (!(error < best)) continue;
        best = error;
        v = trial;
    }
    float P = 0, Q = 0;
    for (unsigned i = 0; i < n; i++) {
        l[i] = quant_clip(quant_round(v * x[i]), 0, N);
        P += (w[i] * x[i]) * l[i];
        Q += (w[i] * l[i]) * l[i];
    }
    bool changed = true;
    for (int pass = 0; pass < 5 && changed; pass++) {
        changed = false;
        for (unsigned i = 0; i < n; i++) {
            float P1 = P - (w[i] * x[i]) * l[i], Q1 = Q - (w[i] * l[i]) * l[i];
            if (!(P1 > 0 && Q1 > 0)) continue;
            float c = quant_clip(quant_round(x[i] * Q1 / P1), 0, N);
            if (c == l[i]) continue;
            float P2 = P1 + (w[i] * x[i]) * c, Q2 = Q1 + (w[i] * c) * c;
            if (!(Q2 > 0 && P2 * P2 * Q > P * P * Q2)) continue;
            l[i] = c;
            P = P2;
            Q = Q2;
            changed = true;
        }
    }
    for (unsigned i = 0; i < n; i++) q[i] = (unsigned)l[i];
    return Q > 0 ? P / Q : 0;
}

/* ---- superblocks ---- */

/* Value i of sub-blocks j, j + 1 ... (n values each) side by side. */
QUANT_INLINE void quant_lanes(unsigned n, const float *x, unsigned j, qv *out) {
    for (unsigned i = 0; i < n; i++) {
        for (unsigned k = 0; k < QV_N; k++) out[i][k] = x[(j + k) * n + i];
    }
}

/* What FIT_A finds for the sub-blocks of a superblock, and the sums of their weights. */
struct quant_subs {
    float scale[16], min[16], inv[16], offset[16], weight[16];
};

QUANT_INLINE void quant_fit_subs(const struct fit_a *f, unsigned n, const float *x, const float *w,
                                 struct quant_subs *subs) {
    for (unsigned j = 0; j < 256 / n; j += QV_N) {
        qv xx[32], ww[32], sum = qv_set(0);
        quant_lanes(n, x, j, xx);
        quant_lanes(n, w, j, ww);
        struct quant_affine a = quant_fit_a(f, n, xx, ww);
        for (unsigned i = 0; i < n; i++) sum += ww[i];
        memcpy(subs->scale + j, &a.scale, sizeof(qv));
        memcpy(subs->min + j, &a.min, sizeof(qv));
        memcpy(subs->inv + j, &a.inv, sizeof(qv));
        memcpy(subs->offset + j, &a.offset, sizeof(qv));
        memcpy(subs->weight + j, &sum, sizeof(qv));
    }
}

/* Scales (or minima) as codes 0..N; returns what a code counts, before it is rounded to f16. */
QUANT_INLINE float quant_fit_scales(unsigned n, const float *s, const float *w, float N,
                                    unsigned *q) {
    float max = 0;
    if (w != NULL) return quant_fit_p(n, s, w, N, q);
    for (unsigned j = 0; j < n; j++) max = s[j] > max ? s[j] : max;
    float inv = max > 0 ? N / max : 0;
    for (unsigned j = 0; j < n; j++) q[j] = (unsigned)quant_clip(quant_round(inv * s[j]), 0, N);
    return max / N;
}

/* The codes of sub-block j for its stored scale and minimum; a scale of 0 keeps those of the
 * search. */
QUANT_INLINE void quant_codes_sub(unsigned n, const float *x, const struct quant_subs *subs,
                                  unsigned j, float scale, float min, float N, unsigned *q) {
    if (scale != 0) {
        quant_codes_div(n, x + n * j, min, scale, 0, N, q + n * j);
        return;
    }
    for (unsigned i = n * j; i < n * j + n; i++) {
        float v = quant_round(subs->inv[j] * (x[i] - subs->offset[j]));
        q[i] = (unsigned)quant_clip(v, 0, N);
    }
}

/* 256 codes of two bits into 64 bytes: 128 H + 32 p + l is bits 2p, 2p + 1 of byte 32 H + l. */
QUANT_INLINE void quant_put_planes(const unsigned *q, unsigned shift, uint8_t *p) {
    for (unsigned b = 0; b < 64; b++) {
        const unsigned *c = q + b / 32 * 128 + b % 32;
        p[b] = (uint8_t)((c[0] >> shift & 3) | (c[32] >> shift & 3) << 2 |
                         (c[64] >> shift & 3) << 4 | (c[96] >> shift & 3) << 6);
    }
}

/* Bit `bit` of 256 codes into 32 bytes: value i is bit i / 32 of byte i % 32. */
QUANT_INLINE void quant_put_bits(const unsigned *q, unsigned bit, uint8_t *p) {
    for (unsigned b = 0; b < 32; b++) {
        unsigned byte = 0;
        for (unsigned k = 0; k < 8; k++) byte |= (q[32 * k + b] >> bit & 1) << k;
        p[b] = (uint8_t)byte;
    }
}

#endif
#endif
