/* q4_k.h - Q4_K: 256 values in 144 bytes: 8 sub-blocks of 32, 4-bit codes, 6-bit scales and minima.
 *
 *   0..1     d     f16, scale of the scales
 *   2..3     dmin  f16, scale of the minima
 *   4..15    b[0..11]: scale s and minimum m of sub-block j = 0..7, six bits each
 *              j < 4:  s = b[j] & 63                       m = b[j + 4] & 63
 *              j >= 4: s = b[j + 4] & 15 | b[j - 4] >> 6 << 4
 *                      m = b[j + 4] >> 4 | b[j] >> 6 << 4
 *   16..143  nibbles: byte 16 + 32 g + l holds q[64 g + l] (low) and q[64 g + 32 + l] (high),
 *              g = 0..3, l = 0..31
 *
 *   value i = (d s) q[i] - (dmin m) */
#ifndef CRIA_KERNELS_QUANT_Q4_K_H
#define CRIA_KERNELS_QUANT_Q4_K_H

#include "kernels/quant/search.h"

/* Scale and minimum of sub-block j; also of Q5_K. */
QUANT_FN int q4_k_scale(quant_block b, int j) {
    if (j < 4) return QUANT_U8(b, 4 + j) & 63;
    return (QUANT_U8(b, 8 + j) & 15) | QUANT_U8(b, j) >> 6 << 4;
}
QUANT_FN int q4_k_min(quant_block b, int j) {
    if (j < 4) return QUANT_U8(b, 8 + j) & 63;
    return QUANT_U8(b, 8 + j) >> 4 | QUANT_U8(b, 4 + j) >> 6 << 4;
}
QUANT_FN float q4_k_value(quant_block b, int j, int q) {
    float d = QUANT_F16(b, 0) * QUANT_FLOAT(q4_k_scale(b, j));
    float m = QUANT_MUL(QUANT_F16(b, 2), QUANT_FLOAT(q4_k_min(b, j)));
    return QUANT_MUL(d, QUANT_FLOAT(q)) - m;
}

QUANT_FN float q4_k_at(quant_block b, int i) {
    int byte = QUANT_U8(b, 16 + 32 * (i >> 6) + (i & 31));
    return q4_k_value(b, i >> 5, byte >> ((i & 32) != 0 ? 4 : 0) & 15);
}

#ifdef QUANT_ENCODE
/* The 16 bytes before the codes, and the codes; also of Q5_K. */
static inline void q4_k_search(uint8_t *block, const float *x, const struct quant_weights *w,
                               const struct fit_a *f, unsigned q[256]) {
    float weight[256], d, d_min;
    unsigned s[8], m[8];
    struct quant_subs subs;
    if (w != NULL) quant_weigh(256, x, w->iw, 2 * quant_sum_squares(256, x) / 256, weight);
    for (unsigned j = 0; w == NULL && j < 8; j++) {
        float rms = sqrtf(quant_sum_squares(32, x + 32 * j) / 32);
        for (unsigned i = 32 * j; i < 32 * j + 32; i++) weight[i] = rms + fabsf(x[i]);
    }
    quant_fit_subs(f, 32, x, weight, &subs);
    d = quant_fit_scales(8, subs.scale, w != NULL ? subs.weight : NULL, 63, s);
    d_min = quant_fit_scales(8, subs.min, w != NULL ? subs.weight : NULL, 63, m);
    quant_put_f16(block, d);
    quant_put_f16(block + 2, d_min);
    d = QUANT_F16(block, 0);
    d_min = QUANT_F16(block, 2);
    for (unsigned j = 0; j < 4; j++) {
        block[4 + j] = (uint8_t)(s[j] | s[j + 4] >> 4 << 6);
        block[8 + j] = (uint8_t)(m[j] | m[j + 4] >> 4 << 6);
        block[12 + j] = (uint8_t)((s[j + 4] & 15) | (m[j + 4] & 15) << 4);
    }
    for (unsigned j = 0; j < 8; j++) {
        quant_codes_sub(32, x, &subs, j, d * (float)s[j], d_min * (float)m[j], f->N, q);
    }
}

/* Low four bits of 256 codes: byte 32 g + l holds q[64 g + l] and q[64 g + 32 + l]. */
static inline void q4_k_put_nibbles(const unsigned q[256], uint8_t *p) {
    for (unsigned b = 0; b < 128; b++) {
        const unsigned *c = q + b / 32 * 64 + b % 32;
        p[b] = (uint8_t)((c[0] & 15) | (c[32] & 15) << 4);
    }
}

static inline void q4_k_encode(uint8_t *block, const float *x, const struct quant_weights *w) {
    const struct fit_a plain = {15, -1, 0.1f, 20, true}, weighted = {15, -0.9f, 0.05f, 36, true};
    unsigned q[256];
    q4_k_search(block, x, w, w != NULL ? &weighted : &plain, q);
    q4_k_put_nibbles(q, block + 16);
}
#endif

#endif
