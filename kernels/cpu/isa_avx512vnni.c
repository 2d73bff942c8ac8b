/* isa_avx512vnni.c - Cascade Lake, Ice Lake (2019), Zen 4: AVX-512 with the int8 dot product. */
#ifdef __x86_64__
#define ISA_NAME avx512vnni
#define ISA_SIMD "kernels/cpu/simd_avx512.h"
#include "kernels/cpu/isa.inc"
#endif
