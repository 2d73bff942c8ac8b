/* iq1_s.h - IQ1_S: 256 values in 50 bytes: vectors of 8 from a grid of 2048, a scale for 32.
 *
 *   0..1    d  f16
 *   2..33   low eight bits of the index of vector v = 0..31
 *   34..49  u16 for each 32 values: bits 3 l .. 3 l + 2 high bits of the index of vector l = 0..3,
 *           bits 12..14 scale s, bit 15 set where the shift is -1/8
 *
 *   value = d (2 s + 1) (vector +- 1/8) */
#ifndef CRIA_KERNELS_QUANT_IQ1_S_H
#define CRIA_KERNELS_QUANT_IQ1_S_H

#include "kernels/quant/iq1.h"

QUANT_FN float iq1_s_at(quant_block b, int i) {
    int v = i >> 3, o = 34 + 2 * (i >> 5), h = QUANT_U8(b, o) | QUANT_U8(b, o + 1) << 8;
    float d = QUANT_F16(b, 0) * QUANT_FLOAT(2 * (h >> 12 & 7) + 1);
    return d * iq1_value(QUANT_U8(b, 2 + v) | (h >> 3 * (v & 3) & 7) << 8, i & 7, h >> 15);
}

#ifdef QUANT_ENCODE
/* 1.125 is the reference's correction. Without an importance matrix w = x x; files are not made so.
 */
static inline void iq1_s_encode(uint8_t *block, const float *x, const struct quant_weights *w) {
    struct iq1_codes c;
    quant_put_f16(block, iq1_s_fit(x, w, &c) * 1.125f);
    for (unsigned k = 0; k < 8; k++) {
        unsigned h = (unsigned)c.scale[k] << 12 | (unsigned)c.down[4 * k] << 15;
        for (unsigned l = 0; l < 4; l++) {
            block[2 + 4 * k + l] = (uint8_t)c.index[4 * k + l];
            h |= (unsigned)(c.index[4 * k + l] >> 8) << 3 * l;
        }
        quant_put_u16(block + 34 + 2 * k, (uint16_t)h);
    }
}
#endif

#endif
