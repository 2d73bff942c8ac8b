/* iq4_xs.h - IQ4_XS: 256 values in 136 bytes: 8 sub-blocks of 32, the codes of IQ4_NL, 6-bit
 * scales.
 *
 *   0..1    d  f16
 *   2..3    high two bits of the scales: bits 2j, 2j + 1 of the 16 for sub-block j
 *   4..7    low four bits: byte 4 + j / 2, low nibble for even j
 *   8..135  nibbles: sub-block j is 16 bytes at 8 + 16 j, each q[i] (low) and q[i + 16] (high)
 *
 *   value i = (d (s - 32)) v(q[i]) */
#ifndef CRIA_KERNELS_QUANT_IQ4_XS_H
#define CRIA_KERNELS_QUANT_IQ4_XS_H

#include "kernels/quant/iq4_nl.h"

QUANT_FN int iq4_xs_scale(quant_block b, int j) {
    int low = QUANT_U8(b, 4 + (j >> 1)) >> 4 * (j & 1) & 15;
    return (low | (QUANT_U8(b, 2 + (j >> 2)) >> 2 * (j & 3) & 3) << 4) - 32;
}

QUANT_FN float iq4_xs_at(quant_block b, int i) {
    int q = QUANT_U8(b, 8 + 16 * (i >> 5) + (i & 15)) >> ((i & 16) != 0 ? 4 : 0) & 15;
    float d = QUANT_F16(b, 0) * QUANT_FLOAT(iq4_xs_scale(b, i >> 5));
    return d * QUANT_FLOAT(iq4_nl_value(q));
}

#ifdef QUANT_ENCODE
static inline void iq4_xs_encode(uint8_t *block, const float *x, const struct quant_weights *w) {
    float weight[256], scale[8];
    iq4_nl_weigh(256, x, w, weight);
    for (unsigned j = 0; j < 8; j++) scale[j] = iq4_nl_scale(x + 32 * j, weight + 32 * j);
    float d = -quant_extreme(scale, 8) / 32, id = quant_inverse(d);
    memset(block, 0, 8);
    quant_put_f16(block, d);
    for (unsigned j = 0; j < 8; j++) {
        float s = quant_clip(quant_round(id * scale[j]), -32, 31);
        unsigned code = (unsigned)((int)s + 32);
        iq4_nl_put(x + 32 * j, d * s, block + 8 + 16 * j);
        block[2 + j / 4] |= (uint8_t)(code >> 4 << 2 * (j % 4));
        block[4 + j / 2] |= (uint8_t)((code & 15) << 4 * (j % 2));
    }
}
#endif

#endif
