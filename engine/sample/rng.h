/* rng.h - the random generator of a request: MT19937 (spec/sampling.md 4).
 *
 * The Mersenne Twister of Matsumoto and Nishimura (1998), 32-bit words, standard initialisation
 * from one seed word. Same seed, same numbers, on every machine: a fixed seed is a promise to the
 * user. Not for secrets. Open struct, no allocation; one owner, not thread-safe. */
#ifndef CRIA_ENGINE_RNG_H
#define CRIA_ENGINE_RNG_H

#include <stdint.h>

enum { RNG_WORDS = 624 };

struct rng {
    uint32_t word[RNG_WORDS];
    uint32_t next; /* first word not handed out yet; RNG_WORDS: make new ones first */
};

void rng_seed(struct rng *r, uint32_t seed);
uint32_t rng_u32(struct rng *r);
double rng_double(struct rng *r); /* [0, 1) from two words, the low one first */
float rng_float(struct rng *r);   /* [0, 1) from one word */

#endif
