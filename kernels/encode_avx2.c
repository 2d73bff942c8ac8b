/* encode_avx2.c - x86 since Haswell (2013) and Zen: eight trials at once. No FMA. */
#ifdef __x86_64__
#define ENCODE_ISA avx2
#include "kernels/encode.inc"
#endif
