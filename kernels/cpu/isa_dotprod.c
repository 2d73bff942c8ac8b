/* isa_dotprod.c - 64-bit ARM since 2018 (Cortex-A76, Neoverse N1, Apple): with the int8 dot
 * product. */
#ifdef __aarch64__
#define ISA_NAME dotprod
#define ISA_SIMD "kernels/cpu/simd_neon.h"
#include "kernels/cpu/isa.inc"
#endif
