/* nvfp4.h - NVFP4: 64 values in 36 bytes, 4-bit floats, a scale for 16.
 *
 *   0..3   u    UE4M3: an unsigned 8-bit float (4 bits of exponent, 3 of mantissa) a sub-block
 *   4..35  nibbles: byte 4 + 8 s + j holds q[16 s + j] (low) and q[16 s + 8 + j] (high),
 *            s = 0..3, j = 0..7
 *
 *   value i = h(u) v(q[i]), v as in MXFP4 (doubled), h half the value of u; 0 and 7f are 0, and bit
 *   7 does not count otherwise */
#ifndef CRIA_KERNELS_QUANT_NVFP4_H
#define CRIA_KERNELS_QUANT_NVFP4_H

#include "kernels/quant/mxfp4.h"

/* Half the value of a UE4M3 number: M 2^-10 or (8 + M) 2^(E - 11). */
QUANT_FN float nvfp4_scale(int u) {
    int e = u >> 3 & 15, m = u & 7;
    if (u == 127) return 0.0f;
    return QUANT_FLOAT(e == 0 ? m << 1 : (8 + m) << e) * 0.00048828125f;
}

QUANT_FN float nvfp4_at(quant_block b, int i) {
    int q = QUANT_U8(b, 4 + 8 * (i >> 4) + (i & 7)) >> ((i & 8) != 0 ? 4 : 0) & 15;
    return QUANT_FLOAT(mxfp4_value(q)) * nvfp4_scale(QUANT_U8(b, i >> 4));
}

#ifdef QUANT_ENCODE
/* v as UE4M3. Halves round up; whatever is above 240 becomes 448, as in the reference. */
static inline unsigned nvfp4_scale_code(float v) {
    if (!(v > 0)) return 0;
    if (v > 448) v = 448;
    uint32_t bits = quant_bits(v);
    int e = (int)(bits >> 23) - 127 + 7, m = (int)(bits >> 20 & 7);
    if (e <= 0) return quant_code(v * 512 + 0.5f, 7);
    m += (int)(bits >> 19 & 1);
    if (m == 8) {
        m = 0;
        e++;
    }
    return e >= 15 ? 0x7E : (unsigned)(e * 8 + m);
}

static inline void nvfp4_encode(uint8_t *block, const float *x) {
    for (unsigned s = 0; s < 4; s++, x += 16) {
        float middle[7];
        unsigned u = nvfp4_scale_code(fabsf(quant_extreme(x, 16)) / 6);
        mxfp4_middles(nvfp4_scale((int)u), middle);
        block[s] = (uint8_t)u;
        for (unsigned j = 0; j < 8; j++) {
            unsigned high = mxfp4_nearest(x[j + 8], middle);
            block[4 + 8 * s + j] = (uint8_t)(mxfp4_nearest(x[j], middle) | high << 4);
        }
    }
}
#endif

#endif
