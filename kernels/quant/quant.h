/* quant.h - the small language in which the block formats of this folder are written.
 *
 * quant/<format>.h holds a picture of the block, `float <prefix>_at(quant_block b, int i)`, which
 * decodes element i of the block b, and (C only, where QUANT_ENCODE is defined) the encoder
 * `void <prefix>_encode(uint8_t *block, const float *x)` or, where codes are searched,
 * `void <prefix>_encode(uint8_t *block, const float *x, const struct quant_weights *w)`. The
 * decoders are the one definition of a format for every backend: the text is meant to compile
 * unchanged as C, CUDA, HIP and GLSL. So they know int and float only, no pointers, no casts, no
 * arrays, and read the block through
 *
 *   QUANT_U8(b, o)  QUANT_I8(b, o)       the byte at offset o, as int
 *   QUANT_F16(b, o) QUANT_BF16  QUANT_F32  the number at offset o, little-endian, unaligned, as
 *                                          float
 *   QUANT_FLOAT(n)                         int to float
 *   QUANT_MUL(x, y)                        a product that is rounded before it is used in a sum
 *   QUANT_EXP2(n)                          2^n for n = -149..127, exact
 *   QUANT_F16_OF(n)                        the f16 with this pattern of bits, as float
 *   QUANT_GRID(name, n) .. QUANT_GRID_END  a constant table grid_<name> of n numbers 0..65535,
 *                                          listed between them, no comma at the end
 *   QUANT_AT(table, i)                     entry i of it, as int
 *
 * QUANT_MUL matters: decoding is IEEE binary32 with one rounding per operation
 * (spec/quants.md 1.1), and compilers like to make one fused operation of a product and a sum. C is
 * compiled with -ffp-contract=off; other languages define the macro as their unfused product.
 *
 * This file is the C side of it. The encoders follow spec/quants.md 4 operation by operation: equal
 * bytes are required, not only equal quality. */
#ifndef CRIA_KERNELS_QUANT_QUANT_H
#define CRIA_KERNELS_QUANT_QUANT_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

typedef const uint8_t *quant_block;

#define QUANT_FN static inline
#define QUANT_U8(b, o) ((int)(b)[o])
#define QUANT_I8(b, o) ((int)(int8_t)(b)[o])
#define QUANT_F16(b, o) quant_f16(quant_u16((b) + (o)))
#define QUANT_BF16(b, o) quant_float((uint32_t)quant_u16((b) + (o)) << 16)
#define QUANT_F32(b, o) quant_f32((b) + (o))
#define QUANT_FLOAT(n) ((float)(n))
#define QUANT_MUL(x, y) ((x) * (y))
#define QUANT_EXP2(n) quant_exp2(n)
#define QUANT_F16_OF(n) quant_f16((uint16_t)(n))

#define QUANT_GRID(name, n) static const uint16_t grid_##name[n] = {
#define QUANT_GRID_END                                                                             \
    }                                                                                              \
    ;
#define QUANT_AT(table, i) ((int)table[i])

/* ---- bits and floats ---- */

static inline float quant_float(uint32_t bits) {
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static inline uint32_t quant_bits(float f) {
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

static inline float quant_exp2(int n) {
    return quant_float(n < -126 ? 1u << (n + 149) : (uint32_t)(n + 127) << 23);
}

static inline uint16_t quant_u16(const uint8_t *p) { return (uint16_t)(p[0] | p[1] << 8); }

static inline uint32_t quant_u32(const uint8_t *p) {
    return quant_u16(p) | (uint32_t)quant_u16(p + 2) << 16;
}

static inline float quant_f32(const uint8_t *p) { return quant_float(quant_u32(p)); }

/* Exact. A NaN keeps sign and payload and becomes quiet, as processors do it. */
static inline float quant_f16(uint16_t h) {
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, exp = (h >> 10) & 31, man = h & 0x3FF;
    if (exp == 31) return quant_float(sign | 0x7F800000u | man << 13 | (uint32_t)(man != 0) << 22);
    if (exp == 0) return quant_float(sign | quant_bits((float)man * 0x1p-24f));
    return quant_float(sign | (exp + 112) << 23 | man << 13);
}

/* Nearest even; overflow gives infinity, a NaN 7e00 with its sign. */
static inline uint16_t quant_to_f16(float f) {
    uint32_t bits = quant_bits(f), sign = bits >> 16 & 0x8000, abs = bits & 0x7FFFFFFFu;
    if (abs > 0x7F800000u) return (uint16_t)(sign | 0x7E00);
    if (abs >= 0x47800000u) return (uint16_t)(sign | 0x7C00); /* 2^16 and more */
    if (abs < 0x38800000u) { /* subnormal: numbers in [0.5, 1) are 2^-24 apart, so the sum rounds */
        return (uint16_t)(sign | (quant_bits(quant_float(abs) + 0.5f) - 0x3F000000u));
    }
    abs += 0xFFF + (abs >> 13 & 1);
    return (uint16_t)(sign | (abs - (112u << 23)) >> 13);
}

/* Nearest even; a NaN stays one (quiet). */
static inline uint16_t quant_to_bf16(float f) {
    uint32_t bits = quant_bits(f);
    if ((bits & 0x7FFFFFFFu) > 0x7F800000u) return (uint16_t)(bits >> 16 | 64);
    return (uint16_t)((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

/* ---- pieces of encoders ---- */

#ifdef QUANT_ENCODE
/* What a search is told by an importance matrix (w is NULL without one). */
struct quant_weights {
    const float *iw;   /* one for each value of the block */
    float mean_square; /* of the values of the whole row */
};

static inline void quant_put_u16(uint8_t *p, uint16_t v) {
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}
static inline void quant_put_f16(uint8_t *p, float f) { quant_put_u16(p, quant_to_f16(f)); }
static inline void quant_put_f32(uint8_t *p, float f) {
    quant_put_u16(p, (uint16_t)quant_bits(f));
    quant_put_u16(p + 2, (uint16_t)(quant_bits(f) >> 16));
}

/* Codes of four bits, low nibble first. */
static inline void quant_put_nibbles(uint8_t *p, const uint8_t *code, unsigned n_bytes) {
    for (unsigned k = 0; k < n_bytes; k++) p[k] = (uint8_t)(code[2 * k] | code[2 * k + 1] << 4);
}

static inline float quant_inverse(float d) { return d != 0 ? 1.0f / d : 0.0f; }

/* min(max, trunc(v)) for the v >= 0 of the encoders; any other bits (NaN) give a code as well. */
static inline unsigned quant_code(float v, unsigned max) {
    if (!(v > 0)) return 0;
    return v < (float)max ? (unsigned)v : max;
}

/* The value of largest magnitude, the first one of equals, with its sign. */
static inline float quant_extreme(const float *x, unsigned n) {
    float best = 0, value = 0;
    for (unsigned i = 0; i < n; i++) {
        if (fabsf(x[i]) > best) {
            best = fabsf(x[i]);
            value = x[i];
        }
    }
    return value;
}

static inline void quant_range(const float *x, unsigned n, float *lo, float *hi) {
    *lo = *hi = x[0];
    for (unsigned i = 1; i < n; i++) {
        if (x[i] < *lo) *lo = x[i];
        if (x[i] > *hi) *hi = x[i];
    }
}

/* Codes of 32 values: low four bits to 16 bytes of nibbles, the fifth bits to high (may be NULL).
 */
static inline void quant_put_codes(const unsigned q[32], uint8_t *nibbles, uint8_t *high) {
    for (unsigned j = 0; j < 16; j++) {
        nibbles[j] = (uint8_t)((q[j] & 15) | (q[j + 16] & 15) << 4);
    }
    for (unsigned i = 0; high != NULL && i < 32; i++) {
        if (i % 8 == 0) high[i / 8] = 0;
        high[i / 8] = (uint8_t)(high[i / 8] | (q[i] >> 4) << i % 8);
    }
}

#endif

#endif
