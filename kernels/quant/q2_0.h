/* q2_0.h - Q2_0: 64 values in 18 bytes, 2-bit codes.
 *
 *   0..1   d    f16
 *   2..17  q[i] is bits 2 (i % 4) and up of byte 2 + i / 4
 *
 *   value i = d (q[i] - 1) */
#ifndef CRIA_KERNELS_QUANT_Q2_0_H
#define CRIA_KERNELS_QUANT_Q2_0_H

#include "kernels/quant/search.h"

QUANT_FN float q2_0_at(quant_block b, int i) {
    int q = QUANT_U8(b, 2 + (i >> 2)) >> 2 * (i & 3) & 3;
    return QUANT_F16(b, 0) * QUANT_FLOAT(q - 1);
}

#ifdef QUANT_ENCODE
/* The reference's encoder: d is the largest magnitude, and code 3 never used. */
static inline void q2_0_encode(uint8_t *block, const float *x) {
    unsigned q[64];
    quant_put_f16(block, quant_codes_max(64, x, 1, -1, 2, 1, q));
    for (unsigned b = 0; b < 16; b++) {
        const unsigned *c = q + 4 * b;
        block[2 + b] = (uint8_t)(c[0] | c[1] << 2 | c[2] << 4 | c[3] << 6);
    }
}
#endif

#endif
