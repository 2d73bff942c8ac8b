/* q6_k.h - Q6_K: 256 values in 210 bytes: 16 sub-blocks of 16, 6-bit codes, signed 8-bit scales.
 *
 *   0..127    low four bits: byte 64 H + l holds q[128 H + l] (low) and q[128 H + 64 + l] (high),
 *               H = 0, 1, l = 0..63
 *   128..191  high two bits: value 128 H + 32 p + l is bits 2p, 2p + 1 of byte 128 + 32 H + l,
 *               p = 0..3, l = 0..31
 *   192..207  s  i8, one for 16 values
 *   208..209  d  f16
 *
 *   value i = (d s) (q[i] - 32) */
#ifndef CRIA_KERNELS_QUANT_Q6_K_H
#define CRIA_KERNELS_QUANT_Q6_K_H

#include "kernels/quant/quant.h"

QUANT_FN float q6_k_at(quant_block b, int i) {
    int low = QUANT_U8(b, 64 * (i >> 7) + (i & 63)) >> ((i & 64) != 0 ? 4 : 0) & 15;
    int high = QUANT_U8(b, 128 + 32 * (i >> 7) + (i & 31)) >> 2 * (i >> 5 & 3) & 3;
    float d = QUANT_F16(b, 208) * QUANT_FLOAT(QUANT_I8(b, 192 + (i >> 4)));
    return d * QUANT_FLOAT(low + 16 * high - 32);
}

#endif
