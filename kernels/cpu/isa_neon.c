/* isa_neon.c - 64-bit ARM. */
#ifdef __aarch64__
#define ISA_NAME neon
#define ISA_SIMD "kernels/cpu/simd_neon.h"
#include "kernels/cpu/isa.inc"
#endif
