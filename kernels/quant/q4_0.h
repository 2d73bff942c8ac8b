/* q4_0.h - Q4_0: 32 values in 18 bytes, 4-bit codes around zero.
 *
 *   0..1   d    f16
 *   2..17  nibbles: byte 2 + j holds q[j] (low) and q[j + 16] (high), j = 0..15
 *
 *   value i = d (q[i] - 8) */
#ifndef CRIA_KERNELS_QUANT_Q4_0_H
#define CRIA_KERNELS_QUANT_Q4_0_H

#include "kernels/quant/search.h"

QUANT_FN float q4_0_at(quant_block b, int i) {
    int q = QUANT_U8(b, 2 + (i & 15)) >> (i < 16 ? 0 : 4) & 15;
    return QUANT_F16(b, 0) * QUANT_FLOAT(q - 8);
}

#ifdef QUANT_ENCODE
/* The value of largest magnitude becomes code 0 (-8), so d has the opposite sign of it. */
static inline void q4_0_encode(uint8_t *block, const float *x, const struct quant_weights *w) {
    unsigned q[32];
    float d = quant_extreme(x, 32) / -8.0f, id = quant_inverse(d), weight[32];
    if (w == NULL) {
        for (unsigned i = 0; i < 32; i++) q[i] = quant_code(x[i] * id + 8.5f, 15);
    } else {
        quant_weigh(32, x, w->iw, w->mean_square, weight);
        struct quant_fit fit = quant_fit_s(32, x, weight, 8);
        quant_codes(32, x, fit.inv, -8, 7, q);
        d = fit.scale;
    }
    quant_put_f16(block, d);
    quant_put_codes(q, block + 2, NULL);
}
#endif

#endif
