/* iq2_xs.h - IQ2_XS: 256 values in 74 bytes: vectors of 8 from a grid of 512, a scale for 16.
 *
 *   0..1    d  f16
 *   2..65   u16 for each 8 values: bits 0..8 index, 9..15 signs (grid.h: seven for eight)
 *   66..73  byte k: scale s of values 32 k .. 32 k + 15 (low nibble) and of the next 16 (high)
 *
 *   value = d (s + 1/2) / 4 x vector x sign */
#ifndef CRIA_KERNELS_QUANT_IQ2_XS_H
#define CRIA_KERNELS_QUANT_IQ2_XS_H

#include "kernels/quant/grid.h"

#define G(vector) vector
#include "kernels/quant/grid_iq2xs.h"

QUANT_FN float iq2_xs_at(quant_block b, int i) {
    int o = 2 + 2 * (i >> 3), j = i & 7, high = QUANT_U8(b, o + 1);
    int s = QUANT_U8(b, 66 + (i >> 5)) >> ((i & 16) != 0 ? 4 : 0) & 15;
    float d = QUANT_F16(b, 0) * (0.5f + QUANT_FLOAT(s)) * 0.25f;
    int vector = QUANT_AT(grid_iq2xs, QUANT_U8(b, o) | (high & 1) << 8);
    return d * QUANT_FLOAT(grid_iq2_value(grid_digit2(vector, j)) * grid_sign7(high >> 1, j));
}

#ifdef QUANT_ENCODE
/* Without an importance matrix large values count more (w = x x); files are not made so. */
static inline void iq2_xs_encode(uint8_t *block, const float *x, const struct quant_weights *w) {
    static const struct grid_format format = {GRID_IQ2XS,         .sub = 16,   .sigma2 = 1,
                                              .even_signs = true, .trials = 9, .step = 0.1f,
                                              .eps = 1e-15f};
    struct grid_codes c;
    quant_put_f16(block, grid_encode(&format, x, w, &c));
    for (unsigned v = 0; v < 32; v++) {
        quant_put_u16(block + 2 + 2 * v, (uint16_t)(c.index[v] | (c.sign[v] & 127) << 9));
    }
    quant_put_nibbles(block + 66, c.scale, 8);
}
#endif

#endif
