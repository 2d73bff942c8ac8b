/* q8_0.h - Q8_0: 32 values in 34 bytes.
 *
 *   0..1   d    f16
 *   2..33  q    i8, one a value
 *
 *   value i = d q[i] */
#ifndef CRIA_KERNELS_QUANT_Q8_0_H
#define CRIA_KERNELS_QUANT_Q8_0_H

#include "kernels/quant/quant.h"

QUANT_FN float q8_0_at(quant_block b, int i) {
    return QUANT_F16(b, 0) * QUANT_FLOAT(QUANT_I8(b, 2 + i));
}

#ifdef QUANT_ENCODE
/* The codes use d before it is rounded to f16; ties go away from zero. */
static inline void q8_0_encode(uint8_t *block, const float *x) {
    float d = fabsf(quant_extreme(x, 32)) / 127.0f, id = quant_inverse(d);
    for (unsigned i = 0; i < 32; i++) {
        float q = roundf(x[i] * id);
        block[2 + i] = (uint8_t)(q >= -127 && q <= 127 ? (int)q : 0); /* else NaN or d too small */
    }
    quant_put_f16(block, d);
}
#endif

#endif
