/* q4_1.h - Q4_1: 32 values in 20 bytes, 4-bit codes above a minimum.
 *
 *   0..1   d    f16
 *   2..3   m    f16, the minimum
 *   4..19  nibbles: byte 4 + j holds q[j] (low) and q[j + 16] (high), j = 0..15
 *
 *   value i = d q[i] + m */
#ifndef CRIA_KERNELS_QUANT_Q4_1_H
#define CRIA_KERNELS_QUANT_Q4_1_H

#include "kernels/quant/search.h"

QUANT_FN float q4_1_at(quant_block b, int i) {
    int q = QUANT_U8(b, 4 + (i & 15)) >> (i < 16 ? 0 : 4) & 15;
    return QUANT_MUL(QUANT_F16(b, 0), QUANT_FLOAT(q)) + QUANT_F16(b, 2);
}

#ifdef QUANT_ENCODE
static inline void q4_1_encode(uint8_t *block, const float *x, const struct quant_weights *w) {
    const struct fit_a search = {15, -0.9f, 0.05f, 36, true};
    unsigned q[32];
    float lo, hi, weight[32];
    quant_range(x, 32, &lo, &hi);
    float d = (hi - lo) / 15.0f, id = quant_inverse(d);
    if (w == NULL) {
        for (unsigned i = 0; i < 32; i++) q[i] = quant_code((x[i] - lo) * id + 0.5f, 15);
    } else {
        quant_weigh(32, x, w->iw, w->mean_square, weight);
        quant_fit_a1(&search, x, weight, &d, &lo, q);
        lo = -lo;
    }
    quant_put_f16(block, d);
    quant_put_f16(block + 2, lo);
    quant_put_codes(q, block + 4, NULL);
}
#endif

#endif
