/* iq3_xxs.h - IQ3_XXS: 256 values in 98 bytes: vectors of 4 from a grid of 256, a scale for 32.
 *
 *   0..1    d  f16
 *   2..65   index of vector v = 0..63
 *   66..97  u32 for each 32 values: bits 7 l .. 7 l + 6 signs of eight values, l = 0..3 (grid.h:
 *           seven for eight), bits 28..31 scale s
 *
 *   value = d (s + 1/2) / 2 x vector x sign */
#ifndef CRIA_KERNELS_QUANT_IQ3_XXS_H
#define CRIA_KERNELS_QUANT_IQ3_XXS_H

#include "kernels/quant/grid.h"

#define G(vector) vector
#include "kernels/quant/grid_iq3xxs.h"

/* 4, 12, 20, .. 52, 62 */
QUANT_FN int iq3_xxs_value(int digit) { return 4 + 8 * digit + (digit == 7 ? 2 : 0); }

QUANT_FN float iq3_xxs_at(quant_block b, int i) {
    int o = 66 + 4 * (i >> 5), l = i >> 3 & 3;
    float d = QUANT_F16(b, 0) * (0.5f + QUANT_FLOAT(QUANT_U8(b, o + 3) >> 4)) * 0.5f;
    int vector = QUANT_AT(grid_iq3xxs, QUANT_U8(b, 2 + (i >> 2)));
    int sign = grid_sign7(grid_signs28(b, o) >> 7 * l & 127, i & 7);
    return d * QUANT_FLOAT(iq3_xxs_value(grid_digit3(vector, i & 3)) * sign);
}

#ifdef QUANT_ENCODE
/* The search fits scales a little too small: 1.0125 is the reference's correction. */
static inline void iq3_xxs_encode(uint8_t *block, const float *x, const struct quant_weights *w) {
    static const struct grid_format format = {GRID_IQ3XXS,        .sub = 32,    .sigma2 = 2,
                                              .even_signs = true, .trials = 15, .step = 0.2f,
                                              .eps = 1e-8f};
    struct grid_codes c;
    quant_put_f16(block, grid_encode(&format, x, w, &c) * 1.0125f);
    for (unsigned v = 0; v < 64; v++) block[2 + v] = (uint8_t)c.index[v];
    for (unsigned k = 0; k < 8; k++) {
        grid_put_signs28(block + 66 + 4 * k, c.sign + 4 * k, c.scale[k]);
    }
}
#endif

#endif
