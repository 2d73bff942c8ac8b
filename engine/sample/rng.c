/* rng.c - see rng.h. */
#include "engine/sample/rng.h"

#include <assert.h>

enum { SHIFT_WORDS = 397 }; /* the paper's m */

void rng_seed(struct rng *r, uint32_t seed) {
    r->word[0] = seed;
    for (uint32_t i = 1; i < RNG_WORDS; i++) {
        uint32_t prev = r->word[i - 1];
        r->word[i] = 1812433253u * (prev ^ prev >> 30) + i;
    }
    r->next = RNG_WORDS;
}

/* The next 624 words: each mixes its own top bit, the rest of its neighbour and a far word. */
static void twist(struct rng *r) {
    uint32_t *w = r->word;
    for (unsigned i = 0; i < RNG_WORDS; i++) {
        uint32_t y = (w[i] & 0x80000000u) | (w[(i + 1) % RNG_WORDS] & 0x7FFFFFFFu);
        w[i] = w[(i + SHIFT_WORDS) % RNG_WORDS] ^ y >> 1 ^ (y & 1 ? 0x9908B0DFu : 0);
    }
    r->next = 0;
}

uint32_t rng_u32(struct rng *r) {
    assert(r->next <= RNG_WORDS);
    if (r->next == RNG_WORDS) twist(r);
    uint32_t y = r->word[r->next++];
    y ^= y >> 11;
    y ^= y << 7 & 0x9D2C5680u;
    y ^= y << 15 & 0xEFC60000u;
    return y ^ y >> 18;
}

double rng_double(struct rng *r) {
    double low = rng_u32(r), high = rng_u32(r);
    double u = (low + high * 0x1p32) / 0x1p64;
    return u < 1.0 ? u : 0x1.fffffffffffffp-1; /* rounded up to 1: the largest below */
}

float rng_float(struct rng *r) {
    float u = (float)rng_u32(r) / 0x1p32f;
    return u < 1.0f ? u : 0x1.fffffep-1f;
}
