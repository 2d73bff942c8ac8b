/* iq2_s.h - IQ2_S: 256 values in 82 bytes: vectors of 8 from a grid of 1024, a scale for 16.
 *
 *   0..1    d  f16
 *   2..33   low eight bits of the index of vector v = 0..31
 *   34..65  signs of vector v, a bit each
 *   66..73  high two bits of index v: bits 2 (v % 4), 2 (v % 4) + 1 of byte 66 + v / 4
 *   74..81  byte k: scale s of values 32 k .. 32 k + 15 (low nibble) and of the next 16 (high)
 *
 *   value = d (s + 1/2) / 4 x vector x sign */
#ifndef CRIA_KERNELS_QUANT_IQ2_S_H
#define CRIA_KERNELS_QUANT_IQ2_S_H

#include "kernels/quant/grid.h"

#define G(vector) vector
#include "kernels/quant/grid_iq2s.h"

QUANT_FN float iq2_s_at(quant_block b, int i) {
    int v = i >> 3, j = i & 7;
    int s = QUANT_U8(b, 74 + (i >> 5)) >> ((i & 16) != 0 ? 4 : 0) & 15;
    float d = QUANT_F16(b, 0) * (0.5f + QUANT_FLOAT(s)) * 0.25f;
    int high = QUANT_U8(b, 66 + (v >> 2)) >> 2 * (v & 3) & 3;
    int vector = QUANT_AT(grid_iq2s, QUANT_U8(b, 2 + v) | high << 8);
    return d *
           QUANT_FLOAT(grid_iq2_value(grid_digit2(vector, j)) * grid_sign(QUANT_U8(b, 34 + v), j));
}

#ifdef QUANT_ENCODE
/* The search fits scales a little too large: 0.9875 is the reference's correction. */
static inline void iq2_s_encode(uint8_t *block, const float *x, const struct quant_weights *w) {
    static const struct grid_format format = {GRID_IQ2S,   .sub = 16,    .sigma2 = 2, .flat = 0.25f,
                                              .trials = 9, .step = 0.1f, .eps = 1e-8f};
    struct grid_codes c;
    quant_put_f16(block, grid_encode(&format, x, w, &c) * 0.9875f);
    memset(block + 66, 0, 8);
    for (unsigned v = 0; v < 32; v++) {
        block[2 + v] = (uint8_t)c.index[v];
        block[34 + v] = c.sign[v];
        block[66 + v / 4] = (uint8_t)(block[66 + v / 4] | c.index[v] >> 8 << 2 * (v % 4));
    }
    quant_put_nibbles(block + 74, c.scale, 8);
}
#endif

#endif
