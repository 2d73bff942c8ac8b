/* q3_k.h - Q3_K: 256 values in 110 bytes: 16 sub-blocks of 16, 3-bit codes around zero, 6-bit
 * signed scales.
 *
 *   0..31     third bits: bit i / 32 of byte i % 32 belongs to value i
 *   32..95    low two bits: 128 H + 32 p + l is bits 2p, 2p + 1 of byte 32 + 32 H + l
 *   96..107   scales s + 32 of sub-blocks j = 0..15, six bits each
 *               low four bits: byte 96 + j (low nibble) for j < 8, byte 88 + j (high nibble) from 8
 *               high two: bits 2 (j / 4) and up of byte 104 + j % 4
 *   108..109  d  f16
 *
 *   value i = (d s) (q[i] - 4) */
#ifndef CRIA_KERNELS_QUANT_Q3_K_H
#define CRIA_KERNELS_QUANT_Q3_K_H

#include "kernels/quant/search.h"

QUANT_FN int q3_k_scale(quant_block b, int j) {
    int low = QUANT_U8(b, 96 + (j & 7)) >> (j < 8 ? 0 : 4) & 15;
    return (low | (QUANT_U8(b, 104 + (j & 3)) >> 2 * (j >> 2) & 3) << 4) - 32;
}

QUANT_FN float q3_k_at(quant_block b, int i) {
    int low = QUANT_U8(b, 32 + 32 * (i >> 7) + (i & 31)) >> 2 * (i >> 5 & 3) & 3;
    int high = QUANT_U8(b, i & 31) >> (i >> 5) & 1;
    float d = QUANT_F16(b, 108) * QUANT_FLOAT(q3_k_scale(b, i >> 4));
    return d * QUANT_FLOAT(low + 4 * high - 4);
}

#ifdef QUANT_ENCODE
/* Scales and codes of the sub-blocks. */
static inline void q3_k_plain(const float *x, float *scale, unsigned *q) {
    for (unsigned j = 0; j < 16; j += QV_N) {
        qv xx[16], l[16];
        quant_lanes(16, x, j, xx);
        qv s = quant_fit_c(16, xx, 4, l);
        memcpy(scale + j, &s, sizeof s);
        for (unsigned i = 0; i < 16; i++) {
            for (unsigned k = 0; k < QV_N; k++) q[16 * (j + k) + i] = (unsigned)(l[i][k] + 4);
        }
    }
}
static inline void q3_k_weighted(const float *x, const float *iw, float *scale, float *weight,
                                 unsigned *q) {
    float sigma2 = 2 * quant_sum_squares(256, x) / 256, w[16];
    for (unsigned j = 0; j < 16; j++) {
        quant_weigh(16, x + 16 * j, iw + 16 * j, sigma2, w);
        struct quant_fit fit = quant_fit_s(16, x + 16 * j, w, 4);
        scale[j] = fit.scale;
        quant_codes(16, x + 16 * j, fit.inv, -4, 3, q + 16 * j);
        weight[j] = 0;
        for (unsigned i = 0; i < 16; i++) weight[j] += w[i];
    }
}

static inline void q3_k_encode(uint8_t *block, const float *x, const struct quant_weights *w) {
    float scale[16], weight[16], d = 0, inv;
    unsigned q[256], s[16];
    if (w != NULL) {
        q3_k_weighted(x, w->iw, scale, weight, q);
        struct quant_fit fit = quant_fit_s(16, scale, weight, 32);
        d = fit.scale;
        inv = fit.inv;
    } else {
        q3_k_plain(x, scale, q);
        float m = quant_extreme(scale, 16);
        inv = m != 0 ? -32 / m : 0;
        d = inv != 0 ? 1 / inv : 0;
    }
    quant_codes(16, scale, inv, -32, 31, s);
    quant_put_f16(block + 108, d);
    d = QUANT_F16(block, 108);
    memset(block + 96, 0, 12);
    for (unsigned j = 0; j < 16; j++) {
        float sub = d * (float)((int)s[j] - 32);
        block[96 + j % 8] |= (uint8_t)((s[j] & 15) << (j < 8 ? 0 : 4));
        block[104 + j % 4] |= (uint8_t)(s[j] >> 4 << 2 * (j / 4));
        if (sub != 0) quant_codes_div(16, x + 16 * j, 0, sub, -4, 3, q + 16 * j);
    }
    quant_put_bits(q, 2, block);
    quant_put_planes(q, 0, block + 32);
}
#endif

#endif
