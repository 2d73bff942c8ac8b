/* q2_k.h - Q2_K: 256 values in 84 bytes: 16 sub-blocks of 16, 2-bit codes, 4-bit scales and minima.
 *
 *   0..15   byte j: scale s (low nibble) and minimum m (high nibble) of sub-block j
 *   16..79  codes: 128 H + 32 p + l is bits 2p, 2p + 1 of byte 16 + 32 H + l,
 *             H = 0, 1, p = 0..3, l = 0..31
 *   80..81  d     f16, scale of the scales
 *   82..83  dmin  f16, scale of the minima
 *
 *   value i = (d s) q[i] - (dmin m) */
#ifndef CRIA_KERNELS_QUANT_Q2_K_H
#define CRIA_KERNELS_QUANT_Q2_K_H

#include "kernels/quant/search.h"

QUANT_FN float q2_k_at(quant_block b, int i) {
    int q = QUANT_U8(b, 16 + 32 * (i >> 7) + (i & 31)) >> 2 * (i >> 5 & 3) & 3;
    int k = QUANT_U8(b, i >> 4);
    float d = QUANT_F16(b, 80) * QUANT_FLOAT(k & 15);
    float m = QUANT_MUL(QUANT_F16(b, 82), QUANT_FLOAT(k >> 4));
    return QUANT_MUL(d, QUANT_FLOAT(q)) - m;
}

#ifdef QUANT_ENCODE
static inline void q2_k_encode(uint8_t *block, const float *x, const struct quant_weights *w) {
    const struct fit_a plain = {3, -0.5f, 0.1f, 15, false}, weighted = {3, -0.9f, 0.05f, 36, true};
    float weight[256], d, d_min;
    unsigned q[256], s[16], m[16];
    struct quant_subs subs;
    if (w != NULL) {
        quant_weigh(256, x, w->iw, quant_sum_squares(256, x) / 256, weight);
        quant_fit_subs(&weighted, 16, x, weight, &subs);
    } else {
        for (unsigned i = 0; i < 256; i++) weight[i] = fabsf(x[i]);
        quant_fit_subs(&plain, 16, x, weight, &subs);
    }
    d = quant_fit_scales(16, subs.scale, w != NULL ? subs.weight : NULL, 15, s);
    d_min = quant_fit_scales(16, subs.min, w != NULL ? subs.weight : NULL, 15, m);
    quant_put_f16(block + 80, d);
    quant_put_f16(block + 82, d_min);
    d = QUANT_F16(block, 80);
    d_min = QUANT_F16(block, 82);
    for (unsigned j = 0; j < 16; j++) {
        block[j] = (uint8_t)(s[j] | m[j] << 4);
        quant_codes_sub(16, x, &subs, j, d * (float)s[j], d_min * (float)m[j], 3, q);
    }
    quant_put_planes(q, 0, block + 16);
}
#endif

#endif
