/* bf16.h - BF16: the upper 16 bits of a binary32, little-endian. */
#ifndef CRIA_KERNELS_QUANT_BF16_H
#define CRIA_KERNELS_QUANT_BF16_H

#include "kernels/quant/quant.h"

QUANT_FN float bf16_at(quant_block b, int i) { return QUANT_BF16(b, 2 * i); }

#ifdef QUANT_ENCODE
static inline void bf16_encode(uint8_t *block, const float *x) {
    quant_put_u16(block, quant_to_bf16(*x));
}
#endif

#endif
