/* grid.h - what the grid formats IQ1_*, IQ2_* and IQ3_* have in common.
 *
 * A few values in a row (8, or 4 of IQ3_*) are stored as the index of a vector of small whole
 * numbers: the grid, some hundreds of vectors chosen out of all that the digits allow (a coarse
 * lattice, as E8 is one). Signs are stored apart, or (IQ1_*) a shift by an eighth. So the vectors,
 * not the single values, are what the bits are spent on.
 *
 * grid_<name>.h lists a grid, each vector as one number with its digits packed; the including file
 * defines G(number). The first part here is for the decoders, in the language of quant.h; the
 * second, C only, finds vectors and scales for given values (spec/quants.md 5.7, 5.8). */
#ifndef CRIA_KERNELS_QUANT_GRID_H
#define CRIA_KERNELS_QUANT_GRID_H

#include "kernels/quant/quant.h"

/* ---- decoding ---- */

/* Digit j of a packed vector. */
QUANT_FN int grid_digit2(int vector, int j) { return vector >> 2 * j & 3; }
QUANT_FN int grid_digit3(int vector, int j) { return vector >> 3 * j & 7; }

/* -1 where bit j is set, else 1. */
QUANT_FN int grid_sign(int signs, int j) { return (signs >> j & 1) != 0 ? -1 : 1; }

/* Seven bits for eight values: the number of negative ones is always even. */
QUANT_FN int grid_sign7(int signs, int j) {
    int odd = signs ^ signs >> 4;
    odd = odd ^ odd >> 2;
    odd = (odd ^ odd >> 1) & 1;
    return grid_sign(signs | odd << 7, j);
}

/* What the digits of the IQ2 grids stand for: 8, 25, 43. */
QUANT_FN int grid_iq2_value(int digit) { return 8 + 17 * digit + (digit >> 1); }

/* Bits 0..27 of the four bytes at o: four sign fields of IQ2_XXS and IQ3_XXS. */
QUANT_FN int grid_signs28(quant_block b, int o) {
    return QUANT_U8(b, o) | QUANT_U8(b, o + 1) << 8 | QUANT_U8(b, o + 2) << 16 |
           (QUANT_U8(b, o + 3) & 15) << 24;
}

/* ---- encoding ---- */

#ifdef QUANT_ENCODE
#include <stdbool.h>

enum grid_id { GRID_IQ2XXS, GRID_IQ2XS, GRID_IQ2S, GRID_IQ3XXS, GRID_IQ3S, GRID_IQ1, GRID_COUNT };

/* A grid made ready for searching: any vector of digits is a number in base `levels`, digit 0 the
 * most significant. */
struct grid {
    unsigned n, width, levels;
    float place[8];            /* what a digit counts in a number: levels^(width - 1 - j) */
    const uint8_t (*digit)[8]; /* [n] */
    const int16_t *index;      /* [levels^width] entry that is this vector, or -1 */
    const uint32_t *first;     /* [levels^width + 1] where its neighbours begin in near */
    const uint16_t *near;      /* entries near a vector that is none: by distance, then index */
};

/* Made at the first call for a grid, then kept; any thread. The neighbours of all six grids are
 * 1.4 MB, untouched memory until then (times: grid.c). */
const struct grid *grid_get(enum grid_id id);

/* Of the neighbours of a vector of digits that is no entry, the one whose values value[digit] have
 * the least sum of w d d, d the difference from y; the first of equals. */
unsigned grid_nearest(const struct grid *g, unsigned number, const float value[8], const float *w,
                      const float *y);

/* Digits as a number, as struct grid has them. */
static inline unsigned grid_number(const struct grid *g, const uint8_t *digits) {
    unsigned number = 0;
    for (unsigned j = 0; j < g->width; j++) number = number * g->levels + digits[j];
    return number;
}

/* The row of a format in the table of spec/quants.md 5.7. */
struct grid_format {
    enum grid_id id;
    unsigned sub;    /* values in a sub-block: 16 or 32 */
    float sigma2;    /* times the mean square of the block */
    float flat;      /* without importance: w = flat sigma2 + x x */
    bool even_signs; /* the number of negative values in eight is even */
    int trials;      /* scales tried: -trials..trials, */
    float step;      /* so far apart */
    float eps;       /* less than this is zero */
    bool fit_start;  /* the trials start at a fitted scale, not at the largest value */
    enum grid_refine { REFINE_OFF, REFINE_ALL, REFINE_ALL_IF_OFF } refine;
};

/* The codes of 256 values: vectors, signs of eight values each, a scale for each sub-block. */
struct grid_codes {
    uint16_t index[64];
    uint8_t sign[32];
    uint8_t scale[16];
};

/* Returns the step of the scales, D/31 (0: all zero); each format has its own factor for d. */
float grid_encode(const struct grid_format *f, const float x[256], const struct quant_weights *w,
                  struct grid_codes *out);

/* The u32 of grid_signs28: four sign fields and the scale above them. */
static inline void grid_put_signs28(uint8_t *p, const uint8_t sign[4], unsigned scale) {
    uint32_t u = (uint32_t)scale << 28;
    for (unsigned l = 0; l < 4; l++) u |= (uint32_t)(sign[l] & 127) << 7 * l;
    quant_put_u16(p, (uint16_t)u);
    quant_put_u16(p + 2, (uint16_t)(u >> 16));
}

/* round to nearest even, then into 0..max; NaN gives 0 */
static inline unsigned grid_round(float v, float max) {
    v = v > 0 ? v : 0;
    v = v < max ? v : max;
    return quant_bits(v + 12582912.0f) & 0xFF; /* 1.5 x 2^23: whole numbers are 1 apart */
}
#endif

#endif
