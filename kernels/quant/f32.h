/* f32.h - F32: one IEEE binary32, little-endian. */
#ifndef CRIA_KERNELS_QUANT_F32_H
#define CRIA_KERNELS_QUANT_F32_H

#include "kernels/quant/quant.h"

QUANT_FN float f32_at(quant_block b, int i) { return QUANT_F32(b, 4 * i); }

#ifdef QUANT_ENCODE
static inline void f32_encode(uint8_t *block, const float *x) { quant_put_f32(block, *x); }
#endif

#endif
