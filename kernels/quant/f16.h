/* f16.h - F16: one IEEE binary16, little-endian. */
#ifndef CRIA_KERNELS_QUANT_F16_H
#define CRIA_KERNELS_QUANT_F16_H

#include "kernels/quant/quant.h"

QUANT_FN float f16_at(quant_block b, int i) { return QUANT_F16(b, 2 * i); }

#ifdef QUANT_ENCODE
static inline void f16_encode(uint8_t *block, const float *x) { quant_put_f16(block, *x); }
#endif

#endif
