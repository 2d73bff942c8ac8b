/* q5_0.h - Q5_0: 32 values in 22 bytes, 5-bit codes around zero.
 *
 *   0..1   d    f16
 *   2..5   fifth bits: bit i % 8 of byte 2 + i / 8 belongs to value i
 *   6..21  nibbles: byte 6 + j holds the low bits of q[j] (low) and q[j + 16] (high), j = 0..15
 *
 *   value i = d (q[i] - 16) */
#ifndef CRIA_KERNELS_QUANT_Q5_0_H
#define CRIA_KERNELS_QUANT_Q5_0_H

#include "kernels/quant/search.h"

QUANT_FN float q5_0_at(quant_block b, int i) {
    int low = QUANT_U8(b, 6 + (i & 15)) >> (i < 16 ? 0 : 4) & 15;
    int high = QUANT_U8(b, 2 + (i >> 3)) >> (i & 7) & 1;
    return QUANT_F16(b, 0) * QUANT_FLOAT(low + 16 * high - 16);
}

#ifdef QUANT_ENCODE
static inline void q5_0_encode(uint8_t *block, const float *x, const struct quant_weights *w) {
    unsigned q[32];
    float d = quant_extreme(x, 32) / -16.0f, id = quant_inverse(d), weight[32];
    if (w == NULL) {
        for (unsigned i = 0; i < 32; i++) q[i] = quant_code(x[i] * id + 16.5f, 31);
    } else {
        quant_weigh(32, x, w->iw, w->mean_square, weight);
        struct quant_fit fit = quant_fit_s(32, x, weight, 16);
        quant_codes(32, x, fit.inv, -16, 15, q);
        d = fit.scale;
    }
    quant_put_f16(block, d);
    quant_put_codes(q, block + 6, block + 2);
}
#endif

#endif
