/* iq3_s.h - IQ3_S: 256 values in 110 bytes: vectors of 4 from a grid of 512, a scale for 32.
 *
 *   0..1      d  f16
 *   2..65     low eight bits of the index of vector v = 0..63
 *   66..73    ninth bit of index v: bit v % 8 of byte 66 + v / 8
 *   74..105   signs of eight values, a bit each
 *   106..109  byte k: scale s of values 64 k .. 64 k + 31 (low nibble) and of the next 32 (high)
 *
 *   value = d (2 s + 1) x vector x sign */
#ifndef CRIA_KERNELS_QUANT_IQ3_S_H
#define CRIA_KERNELS_QUANT_IQ3_S_H

#include "kernels/quant/grid.h"

#define G(vector) vector
#include "kernels/quant/grid_iq3s.h"

QUANT_FN float iq3_s_at(quant_block b, int i) {
    int v = i >> 2, high = QUANT_U8(b, 66 + (v >> 3)) >> (v & 7) & 1;
    int s = QUANT_U8(b, 106 + (i >> 6)) >> ((i & 32) != 0 ? 4 : 0) & 15;
    float d = QUANT_F16(b, 0) * QUANT_FLOAT(2 * s + 1);
    int digit = grid_digit3(QUANT_AT(grid_iq3s, QUANT_U8(b, 2 + v) | high << 8), i & 3);
    return d * QUANT_FLOAT((2 * digit + 1) * grid_sign(QUANT_U8(b, 74 + (i >> 3)), i & 7));
}

#ifdef QUANT_ENCODE
/* The search fits scales a little too small: 1.033 is the reference's correction. */
static inline void iq3_s_encode(uint8_t *block, const float *x, const struct quant_weights *w) {
    static const struct grid_format format = {
        GRID_IQ3S, .sub = 32, .sigma2 = 2, .trials = 9, .step = 0.2f, .refine = REFINE_ALL_IF_OFF};
    struct grid_codes c;
    quant_put_f16(block, grid_encode(&format, x, w, &c) * 1.033f);
    memset(block + 66, 0, 8);
    for (unsigned v = 0; v < 64; v++) {
        block[2 + v] = (uint8_t)c.index[v];
        block[66 + v / 8] = (uint8_t)(block[66 + v / 8] | c.index[v] >> 8 << v % 8);
    }
    memcpy(block + 74, c.sign, 32);
    quant_put_nibbles(block + 106, c.scale, 4);
}
#endif

#endif
