/* grid_bytes.h - the grids of the IQ formats (quant/grid.h) as the dot kernels want them: a vector
 * is 8 (IQ3: 4) bytes in one number, the first value lowest.
 *
 * Bytes are what the digits stand for; of the IQ1 grid 8 (digit + 1): 0, 8, 16 for -1, 0, 1. The
 * tables are made from the lists by the compiler: 33 KB. */
#ifndef CRIA_KERNELS_CPU_GRID_BYTES_H
#define CRIA_KERNELS_CPU_GRID_BYTES_H

#include <stdint.h>

extern const uint64_t grid_bytes_iq2xxs[256], grid_bytes_iq2xs[512], grid_bytes_iq2s[1024];
extern const uint64_t grid_bytes_iq1[2048];
extern const uint32_t grid_bytes_iq3xxs[256], grid_bytes_iq3s[512];

#endif
