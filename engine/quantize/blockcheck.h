/* blockcheck.h - are the numbers in tensor data finite? (spec/quants.md 7)
 *
 * Every bit pattern of a block decodes to something, but a scale that is infinite or no number
 * makes all that is computed with it so. What is quantized is checked: what goes in, because nobody
 * could use the result, and what comes out, because a 16-bit scale overflows on large weights. */
#ifndef CRIA_ENGINE_BLOCKCHECK_H
#define CRIA_ENGINE_BLOCKCHECK_H

#include <stdbool.h>
#include <stddef.h>

#include "kernels/dtype.h"

/* False for the one type that has no place in a model's file (Q8_1). */
bool blockcheck_known(enum dtype t);
/* The first of n blocks with a number that is not finite; n if there is none. */
size_t blockcheck_find(enum dtype t, const void *data, size_t n);

#endif
