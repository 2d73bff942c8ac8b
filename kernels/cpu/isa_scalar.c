/* isa_scalar.c - plain C for the base instruction set: always usable. */
#define ISA_NAME scalar
#define ISA_SIMD "kernels/cpu/simd_scalar.h"
#include "kernels/cpu/isa.inc"
