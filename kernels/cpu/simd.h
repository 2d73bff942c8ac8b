/* simd.h - the vector language of the CPU kernels, and its rules.
 *
 * An isa_<name>.c names one simd_<isa>.h, which defines the types and functions below for one
 * instruction set; the kernels (*.inc) are written once over them. All of it is static: a function
 * with a name of its own could be merged by the linker across files, and an AVX-512 copy would end
 * up in everybody's path.
 *
 * vf: VF_N floats
 *   vf_load(p) vf_store(p, v) vf_set1(x) vf_add vf_sub vf_mul vf_div(a, b)
 *   vf_fma(a, b, c)        a b + c, one rounding where there is one
 *   vf_max(a, b) vf_min    if b is NaN the result is b: constants go first
 *   vf_abs(a) vf_trunc(a) vf_copysign(a, sign)
 *   vf_round(a)            nearest even, abs(a) < 2^22
 *   vf_less(a, b, x, y)    x where a < b, else y
 *   vf_pow2(n)             2^n for whole n in -126..127
 *   vf_hsum(a) vf_hmax(a)  over the lanes, in one fixed order
 *   VF_HSUM4X4(a, y, pitch) y[c * pitch + r] = vf_hsum(a[4 r + c]); defined where it is worth it
 *   vf_f16(p) vf_bf16(p)   VF_N 16-bit floats, unaligned
 *   vf_store_i8(p, v)      whole numbers as int8
 *   simd_f16(p)            one f16, unaligned, as float
 *
 * vb: 64 bytes in two halves of 32, the codes of two blocks of 32 (or of 64 values in a row)
 *   vb_load(p0, p1)        32 bytes from each
 *   vb_nibbles(p0, p1)     16 bytes from each: low nibbles of all 16, then the high ones
 *   vb_bits(p0, p1)        16 where bit i of the 32 bits at p is set, else 0
 *   vb_shr(v, n0, n1)      the halves shifted right; bits of the next byte come in
 *   vb_shl(v, n)           per byte, only where no bit leaves its byte
 *   vb_nibbles8(p0, p1)    16 bytes from each: low nibbles of 8, high nibbles of them; the other 8
 *   vb_look(t, v)          t[v] of 16 int8, v 0..15
 *   vb_and(v, mask) vb_or(a, b)
 *   vb_u64(v)              eight numbers of eight bytes, the lowest byte first
 *
 * vm: one of 64 bits for each byte of a vb
 *   vm_bits(x)             bit i for byte i
 *
 * vi: int32 lanes in two halves: partial sums of dot products, any number of lanes a half
 *   vi_zero()
 *   vb_dot(u, a)           u 0..63, a -127..127
 *   vb_dot_less(u, x, a)   the same for u - x
 *   vb_dot_signed(w, a)    w -128..127, a -127..127
 *
 * vs: 16 scales of a superblock as 16-bit numbers
 *   vs_load(p)             16 int8
 *   vs_set(lo, hi)         the same from two numbers of eight bytes
 *   vs_set_twice(x)        eight bytes, each for two
 *   vs_dot(x, u, a, s, g)  x + 64 products u a, each times its scale: s[4g..4g+3], 16 values each
 *   vs_dot_signed          the same for u -127..127
 *   vs_dot_negated(x, u, m, a, s, g)    the same for u negated where m is set
 *
 * v4: four floats
 *   v4_pair(x0, x1)        x0, x0, x1, x1
 *   v4_ue4m3(p)            halves of four UE4M3 numbers (quant/nvfp4.h)
 *   v4_mul(a, b)
 *
 * vp: float lanes as vi has them: the accumulator of a weight row and an activation row. A number
 * set into it stands once for each lane, so sums that are not a vi use VP_LANES (of a half).
 *   vp_zero() vp_set(x0, x1) vp_mul(a, b) vp_fma(a, b, c)
 *   vp_f16(p0, p1)         an f16 from each
 *   vp_dot(vi x, scale, acc)            acc + scale x
 *   vp_dot16(u, x, a, s, acc)           acc + the products (u - x) a, s (a v4) for 16 values each
 *   vs_blocks(s, sums, d, k, acc)       acc + k sum over j < 8 of d[j] (s[2j] sums[2j] +
 *                                       s[2j+1] sums[2j+1]), in any lanes
 *   vp_hsum(v) VP_HSUM4X4 */
#ifndef CRIA_KERNELS_CPU_SIMD_H
#define CRIA_KERNELS_CPU_SIMD_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "kernels/dtype.h"
#include "kernels/quant/nvfp4.h"
#include "kernels/quant/quant.h"

#include ISA_SIMD

#define INLINE static inline __attribute__((always_inline))

/* For loops over constants that must disappear. */
#ifndef UNROLL
#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif
#endif

/* k < VF_N elements of a row, the other lanes 0; the whole vector if k is larger. */
INLINE vf vf_get(const float *p, size_t k) {
    if (k >= VF_N) return vf_load(p);
    float tmp[VF_N] = {0};
    memcpy(tmp, p, k * sizeof *p);
    return vf_load(tmp);
}
INLINE void vf_put(float *p, vf v, size_t k) {
    if (k >= VF_N) {
        vf_store(p, v);
        return;
    }
    float tmp[VF_N];
    vf_store(tmp, v);
    memcpy(p, tmp, k * sizeof *p);
}

/* The same for stored rows of F32, F16 or BF16, from element i on; t is a constant at every call.
 */
INLINE size_t simd_size(enum dtype t) { return t == DT_F32 ? 4 : 2; }
INLINE vf vf_any(enum dtype t, const uint8_t *row, size_t i) {
    const uint8_t *p = row + i * simd_size(t);
    if (t == DT_F16) return vf_f16(p);
    if (t == DT_BF16) return vf_bf16(p);
    return vf_load((const float *)(const void *)p);
}
INLINE vf vf_any_get(enum dtype t, const uint8_t *row, size_t i, size_t k) {
    if (k >= VF_N) return vf_any(t, row, i);
    uint8_t tmp[VF_N * 4] = {0};
    memcpy(tmp, row + i * simd_size(t), k * simd_size(t));
    return vf_any(t, tmp, 0);
}

#endif
