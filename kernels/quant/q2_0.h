/* q2_0.h - Q2_0: 64 values in 18 bytes, 2-bit codes.
 *
 *   0..1   d    f16
 *   2..17  q[i] is bits 2 (i % 4) and up of byte 2 + i / 4
 *
 *   value i = d (q[i] - 1) */
#ifndef CRIA_KERNELS_QUANT_Q2_0_H
#define CRIA_KERNELS_QUANT_Q2_0_H

#include "kernels/quant/quant.h"

QUANT_FN float q2_0_at(quant_block b, int i) {
    int q = QUANT_U8(b, 2 + (i >> 2)) >> 2 * (i & 3) & 3;
    return QUANT_F16(b, 0) * QUANT_FLOAT(q - 1);
}

#ifdef QUANT_ENCODE
/* The reference's encoder: d is the largest magnitude, and code 3 never used. */
static inline void q2_0_encode(uint8_t *block, const float *x) {
    float d = fabsf(quant_extreme(x, 64)), id = quant_inverse(d);
    memset(block, 0, 18);
    quant_put_f16(block, d);
    for (unsigned i = 0; i < 64; i++) {
        unsigned q = quant_code(quant_round_away(x[i] * id) + 1, 3);
        block[2 + i / 4] |= (uint8_t)(q << 2 * (i % 4));
    }
}
#endif

#endif
