/* iq2_xxs.h - IQ2_XXS: 256 values in 66 bytes: vectors of 8 from a grid of 256, a scale for 32.
 *
 *   0..1   d  f16
 *   2..65  8 bytes for each 32 values, k = 0..7, at o = 2 + 8 k:
 *            o + l      index of the vector of values 32 k + 8 l .., l = 0..3
 *            o + 4..7   u32: bits 7 l .. 7 l + 6 signs of vector l (grid.h: seven for eight),
 *                       bits 28..31 scale s
 *
 *   value = d (s + 1/2) / 4 x vector x sign */
#ifndef CRIA_KERNELS_QUANT_IQ2_XXS_H
#define CRIA_KERNELS_QUANT_IQ2_XXS_H

#include "kernels/quant/grid.h"

#define G(vector) vector
#include "kernels/quant/grid_iq2xxs.h"

QUANT_FN float iq2_xxs_at(quant_block b, int i) {
    int o = 2 + 8 * (i >> 5), l = i >> 3 & 3, j = i & 7;
    float d = QUANT_F16(b, 0) * (0.5f + QUANT_FLOAT(QUANT_U8(b, o + 7) >> 4)) * 0.25f;
    int value = grid_iq2_value(grid_digit2(QUANT_AT(grid_iq2xxs, QUANT_U8(b, o + l)), j));
    return d * QUANT_FLOAT(value * grid_sign7(grid_signs28(b, o + 4) >> 7 * l & 127, j));
}

#ifdef QUANT_ENCODE
/* Without an importance matrix large values count more (w = x x); files are not made so. */
static inline void iq2_xxs_encode(uint8_t *block, const float *x, const struct quant_weights *w) {
    static const struct grid_format format = {
        GRID_IQ2XXS,  .sub = 32,     .sigma2 = 1,       .even_signs = true,  .trials = 6,
        .step = 0.1f, .eps = 1e-15f, .fit_start = true, .refine = REFINE_ALL};
    struct grid_codes c;
    quant_put_f16(block, grid_encode(&format, x, w, &c));
    for (unsigned k = 0; k < 8; k++) {
        for (unsigned l = 0; l < 4; l++) block[2 + 8 * k + l] = (uint8_t)c.index[4 * k + l];
        grid_put_signs28(block + 6 + 8 * k, c.sign + 4 * k, c.scale[k]);
    }
}
#endif

#endif
