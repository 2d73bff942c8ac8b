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
/* Ties away from zero, for abs(v) < 2^22. */
QUANT_INLINE qv qv_round_away(qv v) {
    qv even = qv_round(v), rest = v - even;
    qmask up = (rest >= 0.5f) & (v > 0), down = (rest <= -0.5f) & (v < 0);
    return even + (qv)(up & (qmask)qv_set(1)) - (qv)(down & (qmask)qv_set(1));
}
QUANT_INLINE qv qv_load(const float *p) {
    qv v;
    memcpy(&v, p, sizeof v);
    return v;
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
        qv v = qv_clip(qv_round((qv_load(x + i) + add) / div), lo, hi) - lo;
        qmask code = __builtin_convertvector(v, qmask);
        memcpy(q + i, &code, sizeof code);
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

/* n codes (a multiple of QV_N) round(x id), ties away from zero, clipped, plus `add`: of the
 * formats that divide by their largest value. Returns the scale; id is its inverse, or 0. */
QUANT_INLINE float quant_codes_max(unsigned n, const float *x, float levels, float lo, float hi,
                                   int add, unsigned *q) {
    float d = fabsf(quant_extreme(x, n)) / levels, id = quant_inverse(d);
    for (unsigned i = 0; i < n; i += QV_N) {
        qv v = qv_load(x + i) * id;
        v = qv_pick(qv_abs(v) <= hi + 1, v, qv_set(0)); /* NaN, or d too small for an inverse */
        qmask code = __builtin_convertvector(qv_clip(qv_round_away(v), lo, hi), qmask) + add;
        memcpy(q + i, &code, sizeof code);
    }
    return d;
}

/* 32 codes of Q8_0, and their scale before it is rounded to f16. */
QUANT_INLINE float quant_put_q8(const float *x, uint8_t *p) {
    unsigned q[32];
    float d = quant_codes_max(32, x, 127, -127, 127, 0, q);
    for (unsigned i = 0; i < 32; i++) p[i] = (uint8_t)q[i];
    return d;
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

/* What does not change from trial to trial. */
struct fit_a_sums {
    qv lo, hi, W, X;
};
QUANT_INLINE struct fit_a_sums fit_a_start(unsigned n, const qv *x, const qv *w) {
    struct fit_a_sums c = {x[0], x[0], qv_set(0), qv_set(0)};
    for (unsigned i = 0; i < n; i++) {
        c.lo = qv_min(x[i], c.lo);
        c.hi = qv_max(x[i], c.hi);
        c.W += w[i];
        c.X += w[i] * x[i];
    }
    c.lo = qv_pick(c.lo > 0, qv_set(0), c.lo);
    return c;
}

/* The trial whose codes are made with v from `base`: its scale and offset, fitted to them, and
 * which lanes have an error below `best` (then set to it). */
struct fit_a_trial {
    qv s, o;
    qmask take;
};
QUANT_INLINE struct fit_a_trial fit_a_try(const struct fit_a *f, unsigned n, const qv *x,
                                          const qv *w, const struct fit_a_sums *c, qv v, qv base,
                                          qv *best) {
    qv zero = qv_set(0), L = zero, L2 = zero, LX = zero;
    for (unsigned i = 0; i < n; i++) {
        qv l = fit_a_code(x[i], v, base, f->N), wl = w[i] * l;
        L += wl;
        L2 += wl * l;
        LX += wl * x[i];
    }
    qv D = c->W * L2 - L * L, s = (c->W * LX - c->X * L) / D, o = (L2 * c->X - L * LX) / D;
    struct fit_a_trial t = {qv_pick(o > zero, LX / L2, s), qv_pick(o > zero, zero, o), D > zero};
    qv error = fit_a_error(f, n, x, w, v, base, t.s, t.o);
    t.take &= error < *best;
    *best = qv_pick(t.take, error, *best);
    return t;
}

QUANT_INLINE struct quant_affine quant_fit_a(const struct fit_a *f, unsigned n, const qv *x,
                                             const qv *w) {
    const struct fit_a_sums c = fit_a_start(n, x, w);
    struct quant_affine a = {.inv = f->N / (c.hi - c.lo), .offset = c.lo};
    a.scale = 1.0f / a.inv;
    qv base = c.lo, best = fit_a_error(f, n, x, w, a.inv, c.lo, a.scale, c.lo);
    for (int k = 0; k <= f->trials; k++) {
        qv v = (f->from + f->step * (float)k + f->N) / (c.hi - base);
        struct fit_a_trial t = fit_a_try(f, n, x, w, &c, v, base, &best);
        a.scale = qv_pick(t.take, t.s, a.scale);
        a.inv = qv_pick(t.take, v, a.inv);
        a.offset = qv_pick(t.take, base, a.offset);
        base = qv_pick(t.take, t.o, base); /* the next trials start from the accepted one */
    }
    qmask flat = c.hi <= c.lo;
    a.min = qv_pick(flat, -c.lo, -base);
    a.scale = qv_pick(flat, qv_set(0), a.scale);
    a.inv = qv_pick(flat, qv_set(0), a.inv);
    return a;
}

/* One block of 32 (Q4_1, Q5_1 with weights). The lanes are trials that all start from the last
 * accepted one; behind the first that is accepted they are void and made again. */
QUANT_INLINE void quant_fit_a1(const struct fit_a *f, const float *x, const float *w, float *scale,
                               float *min, unsigned q[32]) {
    qv xx[32], ww[32], factor;
    for (unsigned i = 0; i < 32; i++) {
        xx[i] = qv_set(x[i]);
        ww[i] = qv_set(w[i]);
    }
    const struct fit_a_sums c = fit_a_start(32, xx, ww);
    float lo = c.lo[0], hi = c.hi[0], inv = f->N / (hi - lo), offset = lo, base = lo;
    *scale = 1.0f / inv;
    float best = fit_a_error(f, 32, xx, ww, qv_set(inv), c.lo, qv_set(*scale), c.lo)[0];
    for (int k = 0, lane; hi > lo && k <= f->trials; k += lane + 1) {
        for (lane = 0; lane < QV_N; lane++) {
            factor[lane] = f->from + f->step * (float)(k + lane) + f->N;
        }
        qv v = factor / (hi - base), error = qv_set(best);
        struct fit_a_trial t = fit_a_try(f, 32, xx, ww, &c, v, qv_set(base), &error);
        for (lane = 0; lane < QV_N - 1 && !t.take[lane]; lane++) {
        }
        if (!t.take[lane] || k + lane > f->trials) continue;
        best = error[lane];
        *scale = t.s[lane];
        inv = v[lane];
        offset = base;
        base = t.o[lane];
    }
    *min = -base;
    if (!(hi > lo)) *scale = inv = 0;
    for (unsigned i = 0; i < 32; i++) {
        q[i] = (unsigned)quant_clip(quant_round(inv * (x[i] - offset)), 0, f->N);
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
