/* iq1_m.h - IQ1_M: 256 values in 56 bytes: vectors of 8 from a grid of 2048, a scale for 16.
 *
 *   0..31   low eight bits of the index of vector v = 0..31
 *   32..47  nibble v (byte 32 + v / 2, low first): three high bits of index v, and bit 3 set where
 *           the shift of this vector is -1/8
 *   48..55  4 u16 c: scale s of sub-block k = 0..15 (16 values) is bits 3 (k % 4) .. of c[k / 4];
 *           bits 12..15 of c[n] are bits 4 n .. 4 n + 3 of d, f16
 *
 *   value = d (2 s + 1) (vector +- 1/8) */
#ifndef CRIA_KERNELS_QUANT_IQ1_M_H
#define CRIA_KERNELS_QUANT_IQ1_M_H

#include "kernels/quant/iq1.h"

QUANT_FN float iq1_m_d(quant_block b) {
    return QUANT_F16_OF(QUANT_U8(b, 49) >> 4 | QUANT_U8(b, 51) >> 4 << 4 |
                        QUANT_U8(b, 53) >> 4 << 8 | QUANT_U8(b, 55) >> 4 << 12);
}

QUANT_FN float iq1_m_at(quant_block b, int i) {
    int v = i >> 3, k = i >> 4, o = 48 + 2 * (k >> 2);
    int s = (QUANT_U8(b, o) | QUANT_U8(b, o + 1) << 8) >> 3 * (k & 3) & 7;
    int high = QUANT_U8(b, 32 + (v >> 1)) >> 4 * (v & 1) & 15;
    float d = iq1_m_d(b) * QUANT_FLOAT(2 * s + 1);
    return d * iq1_value(QUANT_U8(b, v) | (high & 7) << 8, i & 7, high >> 3);
}

#ifdef QUANT_ENCODE
/* 1.1125 is the reference's correction. */
static inline void iq1_m_encode(uint8_t *block, const float *x, const struct quant_weights *w) {
    struct iq1_codes c;
    uint16_t d = quant_to_f16(iq1_m_fit(x, w, &c) * 1.1125f);
    memset(block + 32, 0, 16);
    for (unsigned v = 0; v < 32; v++) {
        unsigned high = (unsigned)(c.index[v] >> 8) | (unsigned)c.down[v] << 3;
        block[v] = (uint8_t)c.index[v];
        block[32 + v / 2] = (uint8_t)(block[32 + v / 2] | high << 4 * (v % 2));
    }
    for (unsigned n = 0; n < 4; n++) {
        unsigned word = (unsigned)(d >> 4 * n & 15) << 12;
        for (unsigned k = 0; k < 4; k++) word |= (unsigned)c.scale[4 * n + k] << 3 * k;
        quant_put_u16(block + 48 + 2 * n, (uint16_t)word);
    }
}
#endif

#endif
