/* simd_avx512.h - the vector language (simd.h) for x86 with AVX-512 F, BW, DQ and VL; with the VNNI
 * dot product where the compiler's flags have it. */
#ifndef CRIA_KERNELS_CPU_SIMD_AVX512_H
#define CRIA_KERNELS_CPU_SIMD_AVX512_H

#include <immintrin.h>

enum { VF_N = 16, VP_LANES = 8 };

typedef __m512 vf;
typedef __m512i vb;
typedef __m512i vi;
typedef __mmask64 vm;
typedef __m256i vs;
typedef __m128 v4;
typedef __m512 vp;

/* ---- floats ---- */

static inline vf vf_load(const float *p) { return _mm512_loadu_ps(p); }
static inline void vf_store(float *p, vf v) { _mm512_storeu_ps(p, v); }
static inline vf vf_set1(float x) { return _mm512_set1_ps(x); }
static inline vf vf_add(vf a, vf b) { return _mm512_add_ps(a, b); }
static inline vf vf_sub(vf a, vf b) { return _mm512_sub_ps(a, b); }
static inline vf vf_mul(vf a, vf b) { return _mm512_mul_ps(a, b); }
static inline vf vf_div(vf a, vf b) { return _mm512_div_ps(a, b); }
static inline vf vf_fma(vf a, vf b, vf c) { return _mm512_fmadd_ps(a, b, c); }
static inline vf vf_max(vf a, vf b) { return _mm512_max_ps(a, b); }
static inline vf vf_min(vf a, vf b) { return _mm512_min_ps(a, b); }
static inline vf vf_abs(vf a) { return _mm512_abs_ps(a); }
static inline vf vf_round(vf a) { return _mm512_roundscale_ps(a, 0); }
static inline vf vf_trunc(vf a) { return _mm512_roundscale_ps(a, 3); }
static inline vf vf_copysign(vf a, vf sign) {
    return _mm512_or_ps(vf_abs(a), _mm512_and_ps(_mm512_set1_ps(-0.0f), sign));
}
static inline vf vf_less(vf a, vf b, vf x, vf y) {
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), y, x);
}
static inline vf vf_pow2(vf n) {
    __m512i e = _mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127));
    return _mm512_castsi512_ps(_mm512_slli_epi32(e, 23));
}
static inline __m256 avx512_half(__m512 a, int h) {
    return h == 0 ? _mm512_castps512_ps256(a) : _mm512_extractf32x8_ps(a, 1);
}
static inline float vf_hsum(vf a) {
    __m256 y = _mm256_add_ps(avx512_half(a, 0), avx512_half(a, 1));
    __m128 x = _mm_add_ps(_mm256_castps256_ps128(y), _mm256_extractf128_ps(y, 1));
    x = _mm_add_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_add_ss(x, _mm_movehdup_ps(x)));
}
/* vf_hsum of all sixteen: a pair's halves are added in one go, and again, until a vector is left.
 */
static inline void vf_hsum4x4(const vf a[16], float *y, size_t pitch) {
    vf t[8], u[4], v[2];
    for (int i = 0; i < 8; i++) {
        vf b = a[2 * i], c = a[2 * i + 1];
        t[i] = vf_add(_mm512_shuffle_f32x4(b, c, 0x44), _mm512_shuffle_f32x4(b, c, 0xEE));
    }
    for (int i = 0; i < 4; i++) {
        vf b = t[2 * i], c = t[2 * i + 1];
        u[i] = vf_add(_mm512_shuffle_f32x4(b, c, 0x88), _mm512_shuffle_f32x4(b, c, 0xDD));
    }
    for (int i = 0; i < 2; i++) {
        __m512d b = _mm512_castps_pd(u[2 * i]), c = _mm512_castps_pd(u[2 * i + 1]);
        v[i] = vf_add(_mm512_castpd_ps(_mm512_unpacklo_pd(b, c)),
                      _mm512_castpd_ps(_mm512_unpackhi_pd(b, c)));
    }
    vf s = vf_add(_mm512_shuffle_ps(v[0], v[1], 0x88), _mm512_shuffle_ps(v[0], v[1], 0xDD));
    _mm_storeu_ps(y, _mm512_castps512_ps128(s));
    _mm_storeu_ps(y + pitch, _mm512_extractf32x4_ps(s, 1));
    _mm_storeu_ps(y + 2 * pitch, _mm512_extractf32x4_ps(s, 2));
    _mm_storeu_ps(y + 3 * pitch, _mm512_extractf32x4_ps(s, 3));
}
#define VF_HSUM4X4 vf_hsum4x4
static inline float vf_hmax(vf a) { return _mm512_reduce_max_ps(a); }
static inline float simd_f16(const uint8_t *p) { return _cvtsh_ss(quant_u16(p)); }
static inline __m256i avx512_load32(const uint8_t *p) {
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}
static inline vf vf_f16(const uint8_t *p) { return _mm512_cvtph_ps(avx512_load32(p)); }
static inline vf vf_bf16(const uint8_t *p) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(avx512_load32(p)), 16));
}
static inline void vf_store_i8(int8_t *p, vf v) {
    _mm_storeu_si128((__m128i *)(void *)p, _mm512_cvtsepi32_epi8(_mm512_cvttps_epi32(v)));
}

/* ---- codes ---- */

static inline __m512i avx512_pair(__m256i low, __m256i high) {
    return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
}
static inline vb vb_load(const uint8_t *p0, const uint8_t *p1) {
    return avx512_pair(avx512_load32(p0), avx512_load32(p1));
}
static inline vb vb_nibbles(const uint8_t *p0, const uint8_t *p1) {
    __m256i x = _mm256_inserti128_si256(
        _mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)p0)),
        _mm_loadu_si128((const __m128i *)(const void *)p1), 1);
    const __m512i twice = _mm512_setr_epi64(0, 1, 0, 1, 2, 3, 2, 3);
    const __m512i shift = _mm512_setr_epi64(0, 0, 4, 4, 0, 0, 4, 4);
    __m512i y = _mm512_permutexvar_epi64(twice, _mm512_castsi256_si512(x));
    return _mm512_and_si512(_mm512_srlv_epi64(y, shift), _mm512_set1_epi8(15));
}
static inline vb vb_bits(const uint8_t *p0, const uint8_t *p1) {
    uint32_t b0, b1;
    memcpy(&b0, p0, 4);
    memcpy(&b1, p1, 4);
    return _mm512_maskz_mov_epi8((uint64_t)b1 << 32 | b0, _mm512_set1_epi8(16));
}
static inline vb vb_shr(vb v, int n0, int n1) {
    return _mm512_srlv_epi64(v, _mm512_setr_epi64(n0, n0, n0, n0, n1, n1, n1, n1));
}
static inline vb vb_shl(vb v, int n) { return _mm512_sll_epi16(v, _mm_cvtsi32_si128(n)); }
static inline vb vb_nibbles8(const uint8_t *p0, const uint8_t *p1) {
    __m256i x = _mm256_inserti128_si256(
        _mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)p0)),
        _mm_loadu_si128((const __m128i *)(const void *)p1), 1);
    const __m512i twice = _mm512_setr_epi64(0, 0, 1, 1, 2, 2, 3, 3);
    const __m512i shift = _mm512_setr_epi64(0, 4, 0, 4, 0, 4, 0, 4);
    __m512i y = _mm512_permutexvar_epi64(twice, _mm512_castsi256_si512(x));
    return _mm512_and_si512(_mm512_srlv_epi64(y, shift), _mm512_set1_epi8(15));
}
static inline vb vb_look(const int8_t t[16], vb v) {
    __m128i x = _mm_loadu_si128((const __m128i *)(const void *)t);
    return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(x), v);
}
static inline vb vb_and(vb v, int mask) {
    return _mm512_and_si512(v, _mm512_set1_epi8((char)mask));
}
static inline vb vb_or(vb a, vb b) { return _mm512_or_si512(a, b); }
static inline vb vb_u64(const uint64_t v[8]) {
    return _mm512_set_epi64((long long)v[7], (long long)v[6], (long long)v[5], (long long)v[4],
                            (long long)v[3], (long long)v[2], (long long)v[1], (long long)v[0]);
}
static inline vm vm_bits(uint64_t x) { return x; }

/* ---- dot products ---- */

static inline vi vi_zero(void) { return _mm512_setzero_si512(); }
#ifdef __AVX512VNNI__
static inline vi vb_dot(vb u, vb a) { return _mm512_dpbusd_epi32(vi_zero(), u, a); }
#else
/* Pairs of products fit 16 bits: 2 x 128 x 127 < 32768. */
static inline vi vb_dot(vb u, vb a) {
    return _mm512_madd_epi16(_mm512_maddubs_epi16(u, a), _mm512_set1_epi16(1));
}
#endif
/* What x adds depends on a alone: the compiler computes it once for all rows of a tile. */
static inline vi vb_dot_less(vb u, int x, vb a) {
    return _mm512_sub_epi32(vb_dot(u, a), vb_dot(_mm512_set1_epi8((char)x), a));
}
/* a, negated where w is negative: there is no 512-bit vpsignb. */
static inline __m512i avx512_sign(__m512i a, __m512i w) {
    return _mm512_mask_sub_epi8(a, _mm512_movepi8_mask(w), _mm512_setzero_si512(), a);
}
static inline vi vb_dot_signed(vb w, vb a) {
#ifdef __AVX512VNNI__
    return vb_dot_less(_mm512_xor_si512(w, _mm512_set1_epi8((char)128)), 128, a);
#else
    return vb_dot(_mm512_abs_epi8(w), avx512_sign(a, w));
#endif
}
static inline vs vs_load(const uint8_t *p) {
    return _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)p));
}
static inline vs vs_set(uint64_t lo, uint64_t hi) {
    return _mm256_cvtepi8_epi16(_mm_set_epi64x((long long)hi, (long long)lo));
}
static inline vs vs_set_twice(uint64_t x) {
    __m128i y = _mm_cvtsi64_si128((long long)x);
    return _mm256_cvtepi8_epi16(_mm_unpacklo_epi8(y, y));
}
static inline vi vs_dot(vi x, vb u, vb a, vs s, int g) {
    const __m512i base = _mm512_inserti64x4(
        _mm512_castsi256_si512(_mm256_setr_m128i(_mm_set1_epi16(0), _mm_set1_epi16(1))),
        _mm256_setr_m128i(_mm_set1_epi16(2), _mm_set1_epi16(3)), 1);
    __m512i which = _mm512_add_epi16(base, _mm512_set1_epi16((short)(4 * g)));
    __m512i scale = _mm512_permutexvar_epi16(which, _mm512_castsi256_si512(s));
    __m512i pairs = _mm512_maddubs_epi16(u, a);
#ifdef __AVX512VNNI__
    return _mm512_dpwssd_epi32(x, pairs, scale);
#else
    return _mm512_add_epi32(x, _mm512_madd_epi16(pairs, scale));
#endif
}
static inline vi vs_dot_negated(vi x, vb u, vm m, vb a, vs s, int g) {
    return vs_dot(x, u, _mm512_mask_sub_epi8(a, m, _mm512_setzero_si512(), a), s, g);
}
static inline vi vs_dot_signed(vi x, vb w, vb a, vs s, int g) {
    return vs_dot(x, _mm512_abs_epi8(w), avx512_sign(a, w), s, g);
}
static inline v4 v4_pair(float x0, float x1) { return _mm_setr_ps(x0, x0, x1, x1); }
static inline v4 v4_mul(v4 a, v4 b) { return _mm_mul_ps(a, b); }
/* A UE4M3 number has the bits of a binary32 whose exponent begins at 2^-127, subnormals too. */
static inline v4 v4_ue4m3(const uint8_t *p) {
    int32_t four;
    memcpy(&four, p, 4);
    __m128i u = _mm_cvtepu8_epi32(_mm_cvtsi32_si128(four));
    u = _mm_maskz_and_epi32(_mm_cmpneq_epi32_mask(u, _mm_set1_epi32(127)), u, _mm_set1_epi32(127));
    return _mm_mul_ps(_mm_castsi128_ps(_mm_slli_epi32(u, 20)), _mm_set1_ps(0x1p119f));
}
static inline vp vp_zero(void) { return _mm512_setzero_ps(); }
static inline vp vp_set(float x0, float x1) {
    return _mm512_insertf32x8(_mm512_set1_ps(x0), _mm256_set1_ps(x1), 1);
}
static inline vp vp_f16(const uint8_t *p0, const uint8_t *p1) {
    __m128i h = _mm_cvtsi32_si128((int)((uint32_t)quant_u16(p1) << 16 | quant_u16(p0)));
    const __m512i spread = _mm512_setr_epi32(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1);
    return _mm512_permutexvar_ps(spread, _mm512_castps128_ps512(_mm_cvtph_ps(h)));
}
static inline vp vp_mul(vp a, vp b) { return _mm512_mul_ps(a, b); }
static inline vp vp_fma(vp a, vp b, vp c) { return _mm512_fmadd_ps(a, b, c); }
static inline vp vp_dot(vi x, vp scale, vp acc) {
    return _mm512_fmadd_ps(_mm512_cvtepi32_ps(x), scale, acc);
}
static inline vp vp_dot16(vb u, int x, vb a, v4 s, vp acc) {
    const __m512i spread = _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
    __m512 scale = _mm512_permutexvar_ps(spread, _mm512_castps128_ps512(s));
    return vp_dot(vb_dot_less(u, x, a), scale, acc);
}
static inline vp vs_blocks(vs s, const int16_t *sums, const float *d, float k, vp acc) {
    __m256i x = _mm256_madd_epi16(s, _mm256_loadu_si256((const __m256i *)(const void *)sums));
    __m256 scale = _mm256_mul_ps(_mm256_loadu_ps(d), _mm256_set1_ps(k));
    __m256 y = _mm256_mul_ps(_mm256_cvtepi32_ps(x), scale); /* a pair of scales is a block of 32 */
    return _mm512_add_ps(acc, _mm512_insertf32x8(_mm512_setzero_ps(), y, 0));
}
static inline float vp_hsum(vp v) { return vf_hsum(v); }
#define VP_HSUM4X4 vf_hsum4x4

#endif
