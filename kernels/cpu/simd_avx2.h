/* simd_avx2.h - the vector language (simd.h) for x86 with AVX2, FMA and F16C. */
#ifndef CRIA_KERNELS_CPU_SIMD_AVX2_H
#define CRIA_KERNELS_CPU_SIMD_AVX2_H

#include <immintrin.h>

enum { VF_N = 8, VP_LANES = 8 };

typedef __m256 vf;
typedef struct {
    __m256i v[2];
} vb;
typedef vb vi;
typedef vb vm; /* -1 where the bit is set, else 1 */
typedef struct {
    __m256i lo, hi; /* scales 0..7 and 8..15, each in both 128-bit lanes */
} vs;
typedef __m128 v4;
typedef struct {
    __m256 v[2];
} vp;

/* ---- floats ---- */

static inline vf vf_load(const float *p) { return _mm256_loadu_ps(p); }
static inline void vf_store(float *p, vf v) { _mm256_storeu_ps(p, v); }
static inline vf vf_set1(float x) { return _mm256_set1_ps(x); }
static inline vf vf_add(vf a, vf b) { return _mm256_add_ps(a, b); }
static inline vf vf_sub(vf a, vf b) { return _mm256_sub_ps(a, b); }
static inline vf vf_mul(vf a, vf b) { return _mm256_mul_ps(a, b); }
static inline vf vf_div(vf a, vf b) { return _mm256_div_ps(a, b); }
static inline vf vf_fma(vf a, vf b, vf c) { return _mm256_fmadd_ps(a, b, c); }
static inline vf vf_max(vf a, vf b) { return _mm256_max_ps(a, b); }
static inline vf vf_min(vf a, vf b) { return _mm256_min_ps(a, b); }
static inline vf vf_abs(vf a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
static inline vf vf_round(vf a) {
    return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
static inline vf vf_trunc(vf a) {
    return _mm256_round_ps(a, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC);
}
static inline vf vf_copysign(vf a, vf sign) {
    return _mm256_or_ps(vf_abs(a), _mm256_and_ps(_mm256_set1_ps(-0.0f), sign));
}
static inline vf vf_less(vf a, vf b, vf x, vf y) {
    return _mm256_blendv_ps(y, x, _mm256_cmp_ps(a, b, _CMP_LT_OQ));
}
static inline vf vf_pow2(vf n) {
    __m256i e = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
    return _mm256_castsi256_ps(_mm256_slli_epi32(e, 23));
}
static inline float vf_hsum(vf a) {
    __m128 x = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    x = _mm_add_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_add_ss(x, _mm_movehdup_ps(x)));
}
static inline float vf_hmax(vf a) {
    __m128 x = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    x = _mm_max_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_max_ss(x, _mm_movehdup_ps(x)));
}
static inline float simd_f16(const uint8_t *p) { return _cvtsh_ss(quant_u16(p)); }
static inline vf vf_f16(const uint8_t *p) {
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)p));
}
static inline vf vf_bf16(const uint8_t *p) {
    __m256i x = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(const void *)p));
    return _mm256_castsi256_ps(_mm256_slli_epi32(x, 16));
}
static inline void vf_store_i8(int8_t *p, vf v) {
    __m256i x = _mm256_cvttps_epi32(v);
    __m128i y = _mm_packs_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
    _mm_storel_epi64((__m128i *)(void *)p, _mm_packs_epi16(y, y));
}

/* ---- codes ---- */

static inline __m128i avx2_load16(const uint8_t *p) {
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}
static inline __m256i avx2_load32(const uint8_t *p) {
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}
static inline vb vb_load(const uint8_t *p0, const uint8_t *p1) {
    return (vb){{avx2_load32(p0), avx2_load32(p1)}};
}
static inline __m256i avx2_nibbles(const uint8_t *p) {
    __m128i x = avx2_load16(p);
    return _mm256_and_si256(_mm256_set_m128i(_mm_srli_epi16(x, 4), x), _mm256_set1_epi8(15));
}
static inline vb vb_nibbles(const uint8_t *p0, const uint8_t *p1) {
    return (vb){{avx2_nibbles(p0), avx2_nibbles(p1)}};
}
/* 0xFF where the bit is set. */
static inline __m256i avx2_mask(uint32_t bits) {
    const __m256i spread =
        _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303);
    const __m256i bit = _mm256_set1_epi64x((long long)0x8040201008040201);
    __m256i x = _mm256_shuffle_epi8(_mm256_set1_epi32((int)bits), spread);
    return _mm256_cmpeq_epi8(_mm256_and_si256(x, bit), bit);
}
static inline __m256i avx2_bits(const uint8_t *p) {
    uint32_t bits;
    memcpy(&bits, p, 4);
    return _mm256_and_si256(avx2_mask(bits), _mm256_set1_epi8(16));
}
static inline vb vb_bits(const uint8_t *p0, const uint8_t *p1) {
    return (vb){{avx2_bits(p0), avx2_bits(p1)}};
}
static inline vb vb_shr(vb v, int n0, int n1) {
    return (vb){{_mm256_srli_epi16(v.v[0], n0), _mm256_srli_epi16(v.v[1], n1)}};
}
static inline vb vb_shl(vb v, int n) {
    return (vb){{_mm256_slli_epi16(v.v[0], n), _mm256_slli_epi16(v.v[1], n)}};
}
static inline __m256i avx2_nibbles8(const uint8_t *p) {
    __m256i x = _mm256_permute4x64_epi64(_mm256_castsi128_si256(avx2_load16(p)), 0x50);
    x = _mm256_srlv_epi64(x, _mm256_setr_epi64x(0, 4, 0, 4));
    return _mm256_and_si256(x, _mm256_set1_epi8(15));
}
static inline vb vb_nibbles8(const uint8_t *p0, const uint8_t *p1) {
    return (vb){{avx2_nibbles8(p0), avx2_nibbles8(p1)}};
}
static inline vb vb_look(const int8_t t[16], vb v) {
    __m256i x = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)t));
    return (vb){{_mm256_shuffle_epi8(x, v.v[0]), _mm256_shuffle_epi8(x, v.v[1])}};
}
static inline vb vb_and(vb v, int mask) {
    __m256i m = _mm256_set1_epi8((char)mask);
    return (vb){{_mm256_and_si256(v.v[0], m), _mm256_and_si256(v.v[1], m)}};
}
static inline vb vb_or(vb a, vb b) {
    return (vb){{_mm256_or_si256(a.v[0], b.v[0]), _mm256_or_si256(a.v[1], b.v[1])}};
}
static inline vb vb_u64(const uint64_t v[8]) {
    return (vb){
        {_mm256_set_epi64x((long long)v[3], (long long)v[2], (long long)v[1], (long long)v[0]),
         _mm256_set_epi64x((long long)v[7], (long long)v[6], (long long)v[5], (long long)v[4])}};
}
static inline vm vm_bits(uint64_t x) {
    const __m256i one = _mm256_set1_epi8(1);
    return (vm){{_mm256_or_si256(avx2_mask((uint32_t)x), one),
                 _mm256_or_si256(avx2_mask((uint32_t)(x >> 32)), one)}};
}

/* ---- dot products ---- */

/* Pairs of products fit 16 bits: 2 x 128 x 127 < 32768. */
static inline __m256i avx2_dot(__m256i u, __m256i a) {
    return _mm256_madd_epi16(_mm256_maddubs_epi16(u, a), _mm256_set1_epi16(1));
}
static inline vi vi_zero(void) { return (vi){{_mm256_setzero_si256(), _mm256_setzero_si256()}}; }
static inline vi vb_dot(vb u, vb a) {
    return (vi){{avx2_dot(u.v[0], a.v[0]), avx2_dot(u.v[1], a.v[1])}};
}
/* What x adds depends on a alone: the compiler computes it once for all rows of a tile. */
static inline vi vb_dot_less(vb u, int x, vb a) {
    __m256i m = _mm256_set1_epi8((char)x);
    return (vi){{_mm256_sub_epi32(avx2_dot(u.v[0], a.v[0]), avx2_dot(m, a.v[0])),
                 _mm256_sub_epi32(avx2_dot(u.v[1], a.v[1]), avx2_dot(m, a.v[1]))}};
}
static inline __m256i avx2_dot_signed(__m256i w, __m256i a) {
    return avx2_dot(_mm256_abs_epi8(w), _mm256_sign_epi8(a, w));
}
static inline vi vb_dot_signed(vb w, vb a) {
    return (vi){{avx2_dot_signed(w.v[0], a.v[0]), avx2_dot_signed(w.v[1], a.v[1])}};
}
static inline vs avx2_scales(__m128i bytes) {
    __m256i x = _mm256_cvtepi8_epi16(bytes);
    return (vs){_mm256_permute4x64_epi64(x, 0x44), _mm256_permute4x64_epi64(x, 0xEE)};
}
static inline vs vs_load(const uint8_t *p) { return avx2_scales(avx2_load16(p)); }
static inline vs vs_set(uint64_t lo, uint64_t hi) {
    return avx2_scales(_mm_set_epi64x((long long)hi, (long long)lo));
}
static inline vs vs_set_twice(uint64_t x) {
    __m128i y = _mm_cvtsi64_si128((long long)x);
    return avx2_scales(_mm_unpacklo_epi8(y, y));
}
/* Eight copies of 16-bit element k in the low lane, of element k + 1 in the high one. */
static inline __m256i avx2_spread(__m256i s, int k) {
    short low = (short)(0x0100 + 0x0202 * k), high = (short)(low + 0x0202); /* byte numbers */
    return _mm256_shuffle_epi8(s, _mm256_set_m128i(_mm_set1_epi16(high), _mm_set1_epi16(low)));
}
static inline vi vs_dot(vi x, vb u, vb a, vs s, int g) {
    for (int h = 0; h < 2; h++) {
        __m256i scale = avx2_spread(g < 2 ? s.lo : s.hi, 4 * (g & 1) + 2 * h);
        __m256i pairs = _mm256_maddubs_epi16(u.v[h], a.v[h]);
        x.v[h] = _mm256_add_epi32(x.v[h], _mm256_madd_epi16(pairs, scale));
    }
    return x;
}
static inline vi vs_dot_negated(vi x, vb u, vm m, vb a, vs s, int g) {
    const vb b = {{_mm256_sign_epi8(a.v[0], m.v[0]), _mm256_sign_epi8(a.v[1], m.v[1])}};
    return vs_dot(x, u, b, s, g);
}
static inline vi vs_dot_signed(vi x, vb w, vb a, vs s, int g) {
    for (int h = 0; h < 2; h++) {
        a.v[h] = _mm256_sign_epi8(a.v[h], w.v[h]);
        w.v[h] = _mm256_abs_epi8(w.v[h]);
    }
    return vs_dot(x, w, a, s, g);
}
static inline v4 v4_pair(float x0, float x1) { return _mm_setr_ps(x0, x0, x1, x1); }
static inline v4 v4_mul(v4 a, v4 b) { return _mm_mul_ps(a, b); }
/* A UE4M3 number has the bits of a binary32 whose exponent begins at 2^-127, subnormals too. */
static inline v4 v4_ue4m3(const uint8_t *p) {
    int32_t four;
    memcpy(&four, p, 4);
    __m128i u = _mm_cvtepu8_epi32(_mm_cvtsi32_si128(four));
    __m128i zero = _mm_cmpeq_epi32(u, _mm_set1_epi32(127));
    u = _mm_slli_epi32(_mm_and_si128(_mm_andnot_si128(zero, u), _mm_set1_epi32(127)), 20);
    return _mm_mul_ps(_mm_castsi128_ps(u), _mm_set1_ps(0x1p119f));
}
static inline vp vp_zero(void) { return (vp){{_mm256_setzero_ps(), _mm256_setzero_ps()}}; }
static inline vp vp_set(float x0, float x1) {
    return (vp){{_mm256_set1_ps(x0), _mm256_set1_ps(x1)}};
}
static inline vp vp_f16(const uint8_t *p0, const uint8_t *p1) {
    return vp_set(simd_f16(p0), simd_f16(p1));
}
static inline vp vp_mul(vp a, vp b) {
    return (vp){{_mm256_mul_ps(a.v[0], b.v[0]), _mm256_mul_ps(a.v[1], b.v[1])}};
}
static inline vp vp_fma(vp a, vp b, vp c) {
    return (vp){{_mm256_fmadd_ps(a.v[0], b.v[0], c.v[0]), _mm256_fmadd_ps(a.v[1], b.v[1], c.v[1])}};
}
static inline vp vp_dot(vi x, vp scale, vp acc) {
    return vp_fma((vp){{_mm256_cvtepi32_ps(x.v[0]), _mm256_cvtepi32_ps(x.v[1])}}, scale, acc);
}
static inline vp vp_dot16(vb u, int x, vb a, v4 s, vp acc) {
    const __m256i low = _mm256_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1);
    __m256 twice = _mm256_set_m128(s, s);
    __m256 s0 = _mm256_permutevar8x32_ps(twice, low);
    __m256 s1 = _mm256_permutevar8x32_ps(twice, _mm256_add_epi32(low, _mm256_set1_epi32(2)));
    return vp_dot(vb_dot_less(u, x, a), (vp){{s0, s1}}, acc);
}
static inline vp vs_blocks(vs s, const int16_t *sums, const float *d, float k, vp acc) {
    __m256i all = _mm256_blend_epi32(s.lo, s.hi, 0xF0); /* in order; a pair is a block of 32 */
    __m256i x = _mm256_madd_epi16(all, _mm256_loadu_si256((const __m256i *)(const void *)sums));
    __m256 scale = _mm256_mul_ps(_mm256_loadu_ps(d), _mm256_set1_ps(k));
    acc.v[0] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(x), scale, acc.v[0]);
    return acc;
}
static inline float vp_hsum(vp v) { return vf_hsum(_mm256_add_ps(v.v[0], v.v[1])); }

#endif
