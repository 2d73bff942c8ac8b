/* q8_1.h - Q8_1: 32 values in 36 bytes: Q8_0 with the sum, a form of activations.
 *
 *   0..1   d    f16
 *   2..3   s    f16, d times the sum of the codes; the values do not depend on it
 *   4..35  q    i8, one a value
 *
 *   value i = d q[i] */
#ifndef CRIA_KERNELS_QUANT_Q8_1_H
#define CRIA_KERNELS_QUANT_Q8_1_H

#include "kernels/quant/search.h"

QUANT_FN float q8_1_at(quant_block b, int i) {
    return QUANT_F16(b, 0) * QUANT_FLOAT(QUANT_I8(b, 4 + i));
}

#ifdef QUANT_ENCODE
static inline void q8_1_encode(uint8_t *block, const float *x) {
    float d = quant_put_q8(x, block + 4);
    int sum = 0;
    for (unsigned i = 0; i < 32; i++) sum += QUANT_I8(block, 4 + i);
    quant_put_f16(block, d);
    quant_put_f16(block + 2, (float)sum * d);
}
#endif

#endif
