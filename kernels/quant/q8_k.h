/* q8_k.h - Q8_K: 256 values in 292 bytes, a form of activations.
 *
 *   0..3      d     f32
 *   4..259    q     i8, one a value
 *   260..291  sums  i16 of 16 codes each; the values do not depend on them
 *
 *   value i = d q[i] */
#ifndef CRIA_KERNELS_QUANT_Q8_K_H
#define CRIA_KERNELS_QUANT_Q8_K_H

#include "kernels/quant/search.h"

QUANT_FN float q8_k_at(quant_block b, int i) {
    return QUANT_F32(b, 0) * QUANT_FLOAT(QUANT_I8(b, 4 + i));
}

#ifdef QUANT_ENCODE
/* The value of largest magnitude becomes -127, so d has the opposite sign of it. */
static inline void q8_k_encode(uint8_t *block, const float *x) {
    float m = quant_extreme(x, 256), scale = -127 / m;
    memset(block, 0, 292);
    if (m == 0) return;
    quant_put_f32(block, 1 / scale);
    if (isinf(scale)) return; /* values near the smallest float: d is 0 */
    for (unsigned k = 0; k < 16; k++) {
        int sum = 0;
        for (unsigned i = 16 * k; i < 16 * k + 16; i++) {
            int q = (int)quant_clip(quant_round(scale * x[i]), -128, 127);
            block[4 + i] = (uint8_t)q;
            sum += q;
        }
        quant_put_u16(block + 260 + 2 * k, (uint16_t)sum);
    }
}
#endif

#endif
