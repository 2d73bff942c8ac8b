/* isa_avx512.c - Skylake-SP (2017): AVX-512 F, BW, DQ, VL. */
#ifdef __x86_64__
#define ISA_NAME avx512
#define ISA_SIMD "kernels/cpu/simd_avx512.h"
#include "kernels/cpu/isa.inc"
#endif
