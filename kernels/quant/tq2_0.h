/* tq2_0.h - TQ2_0: 256 values in 66 bytes, 2-bit codes for -1, 0, 1.
 *
 *   0..63   codes: 128 H + 32 p + l is bits 2p, 2p + 1 of byte 32 H + l, H = 0, 1, p = 0..3,
 *             l = 0..31
 *   64..65  d  f16
 *
 *   value i = d (q[i] - 1) */
#ifndef CRIA_KERNELS_QUANT_TQ2_0_H
#define CRIA_KERNELS_QUANT_TQ2_0_H

#include "kernels/quant/search.h"

QUANT_FN float tq2_0_at(quant_block b, int i) {
    int q = QUANT_U8(b, 32 * (i >> 7) + (i & 31)) >> 2 * (i >> 5 & 3) & 3;
    return QUANT_F16(b, 64) * QUANT_FLOAT(q - 1);
}

#ifdef QUANT_ENCODE
static inline void tq2_0_encode(uint8_t *block, const float *x) {
    unsigned q[256];
    float d = quant_codes_max(256, x, 1, -1, 1, 1, q);
    quant_put_planes(q, 0, block);
    quant_put_f16(block + 64, d);
}
#endif

#endif
