/* q1_0.h - Q1_0: 128 values in 18 bytes, signs.
 *
 *   0..1   d    f16
 *   2..17  bits: bit i % 8 of byte 2 + i / 8 belongs to value i
 *
 *   value i = d if its bit is set, else -d */
#ifndef CRIA_KERNELS_QUANT_Q1_0_H
#define CRIA_KERNELS_QUANT_Q1_0_H

#include "kernels/quant/quant.h"

QUANT_FN float q1_0_at(quant_block b, int i) {
    float d = QUANT_F16(b, 0);
    return (QUANT_U8(b, 2 + (i >> 3)) >> (i & 7) & 1) != 0 ? d : -d;
}

#ifdef QUANT_ENCODE
static inline void q1_0_encode(uint8_t *block, const float *x) {
    float sum = 0;
    memset(block, 0, 18);
    for (unsigned i = 0; i < 128; i++) {
        sum += fabsf(x[i]);
        block[2 + i / 8] |= (uint8_t)((x[i] >= 0) << i % 8);
    }
    quant_put_f16(block, sum / 128);
}
#endif

#endif
