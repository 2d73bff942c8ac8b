/* q5_k.h - Q5_K: 256 values in 176 bytes: Q4_K with a fifth bit for each code.
 *
 *   0..1     d, 2..3 dmin  f16
 *   4..15    scales and minima of 8 sub-blocks of 32, as Q4_K
 *   16..47   fifth bits: bit i / 32 of byte 16 + i % 32 belongs to value i
 *   48..175  nibbles as Q4_K: byte 48 + 32 g + l holds q[64 g + l] and q[64 g + 32 + l]
 *
 *   value i = (d s) q[i] - (dmin m) */
#ifndef CRIA_KERNELS_QUANT_Q5_K_H
#define CRIA_KERNELS_QUANT_Q5_K_H

#include "kernels/quant/q4_k.h"

QUANT_FN float q5_k_at(quant_block b, int i) {
    int low = QUANT_U8(b, 48 + 32 * (i >> 6) + (i & 31)) >> ((i & 32) != 0 ? 4 : 0) & 15;
    int high = QUANT_U8(b, 16 + (i & 31)) >> (i >> 5) & 1;
    return q4_k_value(b, i >> 5, low + 16 * high);
}

#ifdef QUANT_ENCODE
static inline void q5_k_encode(uint8_t *block, const float *x, const struct quant_weights *w) {
    const struct fit_a plain = {31, -0.5f, 0.1f, 15, true}, weighted = {31, -0.9f, 0.05f, 36, true};
    unsigned q[256];
    q4_k_search(block, x, w, w != NULL ? &weighted : &plain, q);
    quant_put_bits(q, 4, block + 16);
    q4_k_put_nibbles(q, block + 48);
}
#endif

#endif
