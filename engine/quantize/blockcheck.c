/* blockcheck.c - where the floats of each block format are; see blockcheck.h. */
#include "engine/quantize/blockcheck.h"

#include <stdint.h>

/* How a number is not finite: all bits of its exponent are set. */
enum number { NONE, HALF, BRAIN, SINGLE, DOUBLE, E8M0, SCATTERED };

/* One or two numbers in each block: kind, and offsets in bytes. */
static const struct place {
    enum number kind;
    uint16_t at, second; /* second 0: there is none */
} places[DT_COUNT] = {
    [DT_F32] = {SINGLE, 0, 0},  [DT_F16] = {HALF, 0, 0},         [DT_BF16] = {BRAIN, 0, 0},
    [DT_F64] = {DOUBLE, 0, 0},  [DT_Q4_0] = {HALF, 0, 0},        [DT_Q4_1] = {HALF, 0, 2},
    [DT_Q5_0] = {HALF, 0, 0},   [DT_Q5_1] = {HALF, 0, 2},        [DT_Q8_0] = {HALF, 0, 0},
    [DT_Q2_K] = {HALF, 80, 82}, [DT_Q3_K] = {HALF, 108, 0},      [DT_Q4_K] = {HALF, 0, 2},
    [DT_Q5_K] = {HALF, 0, 2},   [DT_Q6_K] = {HALF, 208, 0},      [DT_Q8_K] = {SINGLE, 0, 0},
    [DT_IQ1_S] = {HALF, 0, 0},  [DT_IQ2_XXS] = {HALF, 0, 0},     [DT_IQ2_XS] = {HALF, 0, 0},
    [DT_IQ2_S] = {HALF, 0, 0},  [DT_IQ3_XXS] = {HALF, 0, 0},     [DT_IQ3_S] = {HALF, 0, 0},
    [DT_IQ4_NL] = {HALF, 0, 0}, [DT_IQ4_XS] = {HALF, 0, 0},      [DT_TQ1_0] = {HALF, 52, 0},
    [DT_TQ2_0] = {HALF, 64, 0}, [DT_Q1_0] = {HALF, 0, 0},        [DT_Q2_0] = {HALF, 0, 0},
    [DT_MXFP4] = {E8M0, 0, 0},  [DT_IQ1_M] = {SCATTERED, 48, 0},
    /* NVFP4 and the integers: nothing can be wrong. */
};

bool blockcheck_known(enum dtype t) { return t != DT_Q8_1; }

static bool finite_at(enum number kind, const unsigned char *p) {
    switch (kind) {
    case HALF:
        return (p[1] & 0x7C) != 0x7C;
    case BRAIN:
        return (p[1] & 0x7F) != 0x7F || (p[0] & 0x80) == 0;
    case SINGLE:
        return (p[3] & 0x7F) != 0x7F || (p[2] & 0x80) == 0;
    case DOUBLE:
        return (p[7] & 0x7F) != 0x7F || (p[6] & 0xF0) != 0xF0;
    case E8M0:
        return p[0] != 255;
    case SCATTERED: /* IQ1_M: the upper halves of the odd bytes are the nibbles of a half */
        return ((unsigned)p[7] >> 4 & 7) != 7 || ((unsigned)p[5] >> 4 & 0xC) != 0xC;
    case NONE:
        break;
    }
    return true;
}

size_t blockcheck_find(enum dtype t, const void *data, size_t n) {
    const struct place *place = &places[t];
    const size_t bytes = dtype_info(t)->bytes;
    const unsigned char *p = data;
    if (place->kind == NONE) return n;
    for (size_t i = 0; i < n; i++, p += bytes) {
        if (!finite_at(place->kind, p + place->at)) return i;
        if (place->second != 0 && !finite_at(place->kind, p + place->second)) return i;
    }
    return n;
}
