/* q6_k.h - Q6_K: 256 values in 210 bytes: 16 sub-blocks of 16, 6-bit codes, signed 8-bit scales.
 *
 *   0..127    low four bits: byte 64 H + l holds q[128 H + l] (low) and q[128 H + 64 + l] (high),
 *               H = 0, 1, l = 0..63
 *   128..191  high two bits: value 128 H + 32 p + l is bits 2p, 2p + 1 of byte 128 + 32 H + l,
 *               p = 0..3, l = 0..31
 *   192..207  s  i8, one for 16 values
 *   208..209  d  f16
 *
 *   value i = (d s) (q[i] - 32) */
#ifndef CRIA_KERNELS_QUANT_Q6_K_H
#define CRIA_KERNELS_QUANT_Q6_K_H

#include "kernels/quant/search.h"

QUANT_FN float q6_k_at(quant_block b, int i) {
    int low = QUANT_U8(b, 64 * (i >> 7) + (i & 63)) >> ((i & 64) != 0 ? 4 : 0) & 15;
    int high = QUANT_U8(b, 128 + 32 * (i >> 7) + (i & 31)) >> 2 * (i >> 5 & 3) & 3;
    float d = QUANT_F16(b, 208) * QUANT_FLOAT(QUANT_I8(b, 192 + (i >> 4)));
    return d * QUANT_FLOAT(low + 16 * high - 32);
}

#ifdef QUANT_ENCODE
static inline void q6_k_encode(uint8_t *block, const float *x, const struct quant_weights *w) {
    float scale[16], inv[16], weight[16];
    unsigned q[256];
    for (unsigned j = 0; j < 16; j++) {
        const float *y = x + 16 * j;
        for (unsigned i = 0; i < 16; i++) weight[i] = w != NULL ? w->iw[16 * j + i] : y[i] * y[i];
        struct quant_fit fit = quant_fit_s(16, y, weight, 32);
        scale[j] = fit.scale;
        inv[j] = fit.inv;
    }
    float m = quant_extreme(scale, 16), v = -128 / m;
    memset(block, 0, 210);
    if (fabsf(m) < 1e-15f) return;
    quant_put_f16(block + 208, 1 / v);
    float d = QUANT_F16(block, 208);
    for (unsigned j = 0; j < 16; j++) {
        float s = quant_clip(quant_round(v * scale[j]), -128, 127);
        block[192 + j] = (uint8_t)(int)s;
        if (d * s != 0)
            quant_codes_div(16, x + 16 * j, 0, d * s, -32, 31, q + 16 * j);
        else
            quant_codes(16, x + 16 * j, inv[j], -32, 31, q + 16 * j);
    }
    for (unsigned b = 0; b < 128; b++) {
        const unsigned *c = q + b / 64 * 128 + b % 64;
        block[b] = (uint8_t)((c[0] & 15) | (c[64] & 15) << 4);
    }
    quant_put_planes(q, 4, block + 128);
}
#endif

#endif
