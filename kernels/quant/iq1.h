/* iq1.h - what IQ1_S and IQ1_M share: a grid of 2048 vectors of 8 digits -1, 0, 1, each vector
 * shifted by +-1/8, so that its values are not 0; and the search for them (spec/quants.md 5.8). */
#ifndef CRIA_KERNELS_QUANT_IQ1_H
#define CRIA_KERNELS_QUANT_IQ1_H

#include "kernels/quant/grid.h"

#define G(vector) vector
#include "kernels/quant/grid_iq1.h"

/* Value j of a vector; down: the shift is -1/8. */
QUANT_FN float iq1_value(int index, int j, int down) {
    float digit = QUANT_FLOAT(grid_digit2(QUANT_AT(grid_iq1, index), j) - 1);
    return down != 0 ? digit - 0.125f : digit + 0.125f;
}

#ifdef QUANT_ENCODE
struct iq1_codes {
    uint16_t index[32];
    bool down[32];     /* of each vector; IQ1_S has the same for four in a row */
    uint8_t scale[16]; /* 0..7, of sub-blocks of 32 (IQ1_S: eight of them) or 16 */
};
/* Both return d before the factor that each format puts on it. */
float iq1_s_fit(const float x[256], const struct quant_weights *w, struct iq1_codes *out);
float iq1_m_fit(const float x[256], const struct quant_weights *w, struct iq1_codes *out);
#endif

#endif
