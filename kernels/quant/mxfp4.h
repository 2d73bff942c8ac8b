/* mxfp4.h - MXFP4 (OCP microscaling, 2023): 32 values in 17 bytes, 4-bit floats and a power of two.
 *
 *   0      e    u8, E8M0: the scale 2^(e - 127), here its half
 *   1..16  nibbles: byte 1 + j holds q[j] (low) and q[j + 16] (high), j = 0..15
 *
 * A code is an FP4 number (E2M1): sign, two bits of exponent, one of mantissa; twice its value is
 * whole: 0, 1, 2, 3, 4, 6, 8, 12.
 *
 *   value i = 2^(e - 128) v(q[i]), v doubled; code 8 (minus zero) is 0 */
#ifndef CRIA_KERNELS_QUANT_MXFP4_H
#define CRIA_KERNELS_QUANT_MXFP4_H

#include "kernels/quant/quant.h"

/* Twice the value of an FP4 code; also of NVFP4. */
QUANT_FN int mxfp4_value(int q) {
    int e = q >> 1 & 3, m = q & 1, v = e == 0 ? m : (2 + m) << (e - 1);
    return q < 8 ? v : -v;
}

QUANT_FN float mxfp4_at(quant_block b, int i) {
    int q = QUANT_U8(b, 1 + (i & 15)) >> (i < 16 ? 0 : 4) & 15;
    return QUANT_FLOAT(mxfp4_value(q)) * QUANT_EXP2(QUANT_U8(b, 0) - 128);
}

#ifdef QUANT_ENCODE
/* The nearest code for scale h, the lower one of two; also of NVFP4. The values are exact products
 * of few bits and the differences exact, so nearest means beyond the middles. */
static inline unsigned mxfp4_nearest(float x, const float middle[7]) {
    unsigned q = 0;
    for (unsigned k = 0; k < 7; k++) q += fabsf(x) > middle[k];
    return x < 0 && q != 0 ? q + 8 : q;
}
static inline void mxfp4_middles(float h, float middle[7]) {
    for (int k = 0; k < 7; k++) {
        float up = (float)mxfp4_value(k + 1) * h;
        bool use = h > 0 && up < INFINITY; /* a scale of 0: only code 0 */
        middle[k] = use ? ((float)mxfp4_value(k) * h + up) / 2 : INFINITY;
    }
}

/* floor(log2 a) - 2 + 127 with the logarithm rounded to binary32: just below a power of two it
 * rounds up to it, as in the reference. */
static inline int mxfp4_exponent(float a) {
    if (!(a > 0)) return 0;
    int e = a < INFINITY ? (int)floorf((float)log2((double)a)) + 125 : 253;
    return e > 0 ? e : 0;
}

static inline void mxfp4_encode(uint8_t *block, const float *x) {
    int e = mxfp4_exponent(fabsf(quant_extreme(x, 32)));
    float middle[7];
    unsigned q[32];
    mxfp4_middles(quant_exp2(e - 128), middle);
    for (unsigned i = 0; i < 32; i++) q[i] = mxfp4_nearest(x[i], middle);
    block[0] = (uint8_t)e;
    quant_put_codes(q, block + 1, NULL);
}
#endif

#endif
