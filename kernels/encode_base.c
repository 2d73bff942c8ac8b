/* encode_base.c - the encoders for the base instruction set, and which set is used. */
#define ENCODE_ISA base
#include "kernels/encode.inc"

const struct encode_isa *encoders(void) {
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx2")) return &encode_avx2;
#endif
    return &encode_base;
}
