/* q4_k.h - Q4_K: 256 values in 144 bytes: 8 sub-blocks of 32, 4-bit codes, 6-bit scales and minima.
 *
 *   0..1     d     f16, scale of the scales
 *   2..3     dmin  f16, scale of the minima
 *   4..15    b[0..11]: scale s and minimum m of sub-block j = 0..7, six bits each
 *              j < 4:  s = b[j] & 63                       m = b[j + 4] & 63
 *              j >= 4: s = b[j + 4] & 15 | b[j - 4] >> 6 << 4
 *                      m = b[j + 4] >> 4 | b[j] >> 6 << 4
 *   16..143  nibbles: byte 16 + 32 g + l holds q[64 g + l] (low) and q[64 g + 32 + l] (high),
 *              g = 0..3, l = 0..31
 *
 *   value i = (d s) q[i] - (dmin m) */
#ifndef CRIA_KERNELS_QUANT_Q4_K_H
#define CRIA_KERNELS_QUANT_Q4_K_H

#include "kernels/quant/quant.h"

/* Scale and minimum of sub-block j; also of Q5_K. */
QUANT_FN int q4_k_scale(quant_block b, int j) {
    if (j < 4) return QUANT_U8(b, 4 + j) & 63;
    return (QUANT_U8(b, 8 + j) & 15) | QUANT_U8(b, j) >> 6 << 4;
}
QUANT_FN int q4_k_min(quant_block b, int j) {
    if (j < 4) return QUANT_U8(b, 8 + j) & 63;
    return QUANT_U8(b, 8 + j) >> 4 | QUANT_U8(b, 4 + j) >> 6 << 4;
}
QUANT_FN float q4_k_value(quant_block b, int j, int q) {
    float d = QUANT_F16(b, 0) * QUANT_FLOAT(q4_k_scale(b, j));
    float m = QUANT_MUL(QUANT_F16(b, 2), QUANT_FLOAT(q4_k_min(b, j)));
    return QUANT_MUL(d, QUANT_FLOAT(q)) - m;
}

QUANT_FN float q4_k_at(quant_block b, int i) {
    int byte = QUANT_U8(b, 16 + 32 * (i >> 6) + (i & 31));
    return q4_k_value(b, i >> 5, byte >> ((i & 32) != 0 ? 4 : 0) & 15);
}

#endif
