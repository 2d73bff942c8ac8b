/* q8_0.h - Q8_0: 32 values in 34 bytes.
 *
 *   0..1   d    f16
 *   2..33  q    i8, one a value
 *
 *   value i = d q[i] */
#ifndef CRIA_KERNELS_QUANT_Q8_0_H
#define CRIA_KERNELS_QUANT_Q8_0_H

#include "kernels/quant/search.h"

QUANT_FN float q8_0_at(quant_block b, int i) {
    return QUANT_F16(b, 0) * QUANT_FLOAT(QUANT_I8(b, 2 + i));
}

#ifdef QUANT_ENCODE
static inline void q8_0_encode(uint8_t *block, const float *x) {
    quant_put_f16(block, quant_put_q8(x, block + 2));
}
#endif

#endif
