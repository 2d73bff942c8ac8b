/* isa_avx2.c - x86 since Haswell (2013) and Zen: AVX2, FMA, F16C. */
#ifdef __x86_64__
#define ISA_NAME avx2
#define ISA_SIMD "kernels/cpu/simd_avx2.h"
#include "kernels/cpu/isa.inc"
#endif
