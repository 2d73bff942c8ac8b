/* grid_bytes.c - see grid_bytes.h. The decoders of kernels/quant say what a digit stands for;
 * isa_test.c compares every kernel with them. */
#include "kernels/cpu/grid_bytes.h"

#define DIGIT2(vector, j) ((vector) >> 2 * (j)&3)
#define DIGIT3(vector, j) ((vector) >> 3 * (j)&7)
#define BYTES4(F, v) (F(v, 0) | F(v, 1) << 8 | F(v, 2) << 16 | F(v, 3) << 24)
#define BYTES8(F, v) (BYTES4(F, v) | F(v, 4) << 32 | F(v, 5) << 40 | F(v, 6) << 48 | F(v, 7) << 56)

#define IQ1(v, j) (UINT64_C(8) * DIGIT2(v, j))
#define IQ2(v, j) (UINT64_C(8) + 17 * DIGIT2(v, j) + (DIGIT2(v, j) >> 1))
#define IQ3_XXS(v, j) (UINT32_C(4) + 8 * DIGIT3(v, j) + (DIGIT3(v, j) == 7 ? 2 : 0))
#define IQ3_S(v, j) (UINT32_C(1) + 2 * DIGIT3(v, j))

#define QUANT_GRID_END                                                                             \
    }                                                                                              \
    ;
#define QUANT_GRID(name, n) const uint64_t grid_bytes_##name[n] = {
#define G(v) BYTES8(IQ1, v)
#include "kernels/quant/grid_iq1.h"
#define G(v) BYTES8(IQ2, v)
#include "kernels/quant/grid_iq2xxs.h"
#define G(v) BYTES8(IQ2, v)
#include "kernels/quant/grid_iq2xs.h"
#define G(v) BYTES8(IQ2, v)
#include "kernels/quant/grid_iq2s.h"
#undef QUANT_GRID

#define QUANT_GRID(name, n) const uint32_t grid_bytes_##name[n] = {
#define G(v) BYTES4(IQ3_XXS, v)
#include "kernels/quant/grid_iq3xxs.h"
#define G(v) BYTES4(IQ3_S, v)
#include "kernels/quant/grid_iq3s.h"
