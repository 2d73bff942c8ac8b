/* tq1_0.h - TQ1_0: 256 values in 54 bytes, five trits (-1, 0, 1) a byte.
 *
 *   0..31   byte m: trits of values m + 32 n, n = 0..4
 *   32..47  byte 32 + m: of values 160 + m + 16 n, n = 0..4
 *   48..51  byte 48 + m: of values 240 + m + 4 n, n = 0..3, and a zero
 *   52..53  d  f16
 *
 * The trits are the digits of T (base 3, the first one highest), stored as ceil(256 T / 243): times
 * 3^n modulo 256, it is digit n and what follows as a binary fraction. Every byte decodes.
 *
 *   value i = d (t[i] - 1) */
#ifndef CRIA_KERNELS_QUANT_TQ1_0_H
#define CRIA_KERNELS_QUANT_TQ1_0_H

#include "kernels/quant/search.h"

QUANT_FN int tq1_0_digit(int byte, int n) {
    int power = n == 0 ? 1 : n == 1 ? 3 : n == 2 ? 9 : n == 3 ? 27 : 81;
    return (byte * power & 255) * 3 >> 8;
}

QUANT_FN float tq1_0_at(quant_block b, int i) {
    int byte = i < 160 ? i & 31 : i < 240 ? 32 + (i & 15) : 48 + (i & 3);
    int n = i < 160 ? i >> 5 : i < 240 ? (i - 160) >> 4 : (i - 240) >> 2;
    return QUANT_F16(b, 52) * QUANT_FLOAT(tq1_0_digit(QUANT_U8(b, byte), n) - 1);
}

#ifdef QUANT_ENCODE
static inline uint8_t tq1_0_byte(const unsigned *q, unsigned n, unsigned stride) {
    unsigned T = 0;
    for (unsigned k = 0; k < 5; k++) T = 3 * T + (k < n ? q[k * stride] : 0);
    return (uint8_t)((T * 256 + 242) / 243);
}

static inline void tq1_0_encode(uint8_t *block, const float *x) {
    unsigned q[256];
    float d = quant_codes_max(256, x, 1, -1, 1, 1, q);
    for (unsigned m = 0; m < 32; m++) block[m] = tq1_0_byte(q + m, 5, 32);
    for (unsigned m = 0; m < 16; m++) block[32 + m] = tq1_0_byte(q + 160 + m, 5, 16);
    for (unsigned m = 0; m < 4; m++) block[48 + m] = tq1_0_byte(q + 240 + m, 4, 4);
    quant_put_f16(block + 52, d);
}
#endif

#endif
