/* simd_neon.h - the vector language (simd.h) for 64-bit ARM; with the dot product instructions
 * where the compiler's flags have them. */
#ifndef CRIA_KERNELS_CPU_SIMD_NEON_H
#define CRIA_KERNELS_CPU_SIMD_NEON_H

#include <arm_neon.h>

enum { VF_N = 4, VP_LANES = 4 };

typedef float32x4_t vf;
typedef struct {
    uint8x16_t v[4];
} vb;
typedef struct {
    int32x4_t v[2];
} vi;
typedef vb vm; /* 0xFF where the bit is set */
typedef struct {
    int16x8_t v[2];
} vs;
typedef float32x4_t v4;
typedef struct {
    float32x4_t v[2];
} vp;

/* ---- floats ---- */

static inline vf vf_load(const float *p) { return vld1q_f32(p); }
static inline void vf_store(float *p, vf v) { vst1q_f32(p, v); }
static inline vf vf_set1(float x) { return vdupq_n_f32(x); }
static inline vf vf_add(vf a, vf b) { return vaddq_f32(a, b); }
static inline vf vf_sub(vf a, vf b) { return vsubq_f32(a, b); }
static inline vf vf_mul(vf a, vf b) { return vmulq_f32(a, b); }
static inline vf vf_div(vf a, vf b) { return vdivq_f32(a, b); }
static inline vf vf_fma(vf a, vf b, vf c) { return vfmaq_f32(c, a, b); }
static inline vf vf_max(vf a, vf b) { return vmaxq_f32(a, b); }
static inline vf vf_min(vf a, vf b) { return vminq_f32(a, b); }
static inline vf vf_abs(vf a) { return vabsq_f32(a); }
static inline vf vf_round(vf a) { return vrndnq_f32(a); }
static inline vf vf_trunc(vf a) { return vrndq_f32(a); }
static inline vf vf_copysign(vf a, vf sign) { return vbslq_f32(vdupq_n_u32(0x80000000u), sign, a); }
static inline vf vf_less(vf a, vf b, vf x, vf y) { return vbslq_f32(vcltq_f32(a, b), x, y); }
static inline vf vf_pow2(vf n) {
    int32x4_t e = vaddq_s32(vcvtq_s32_f32(n), vdupq_n_s32(127));
    return vreinterpretq_f32_s32(vshlq_n_s32(e, 23));
}
static inline float vf_hsum(vf a) { return vaddvq_f32(a); }
static inline float vf_hmax(vf a) { return vmaxvq_f32(a); }
static inline vf vf_f16(const uint8_t *p) { return vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(p))); }
static inline float simd_f16(const uint8_t *p) {
    uint16x4_t x = vdup_n_u16(quant_u16(p));
    return vgetq_lane_f32(vcvt_f32_f16(vreinterpret_f16_u16(x)), 0);
}
static inline vf vf_bf16(const uint8_t *p) {
    return vreinterpretq_f32_u32(vshll_n_u16(vreinterpret_u16_u8(vld1_u8(p)), 16));
}
static inline void vf_store_i8(int8_t *p, vf v) {
    int16x4_t x = vqmovn_s32(vcvtq_s32_f32(v));
    int8x8_t y = vqmovn_s16(vcombine_s16(x, x));
    vst1_lane_s32((int32_t *)(void *)p, vreinterpret_s32_s8(y), 0);
}

/* ---- codes ---- */

static inline vb vb_load(const uint8_t *p0, const uint8_t *p1) {
    return (vb){{vld1q_u8(p0), vld1q_u8(p0 + 16), vld1q_u8(p1), vld1q_u8(p1 + 16)}};
}
static inline vb vb_nibbles(const uint8_t *p0, const uint8_t *p1) {
    uint8x16_t x0 = vld1q_u8(p0), x1 = vld1q_u8(p1), low = vdupq_n_u8(15);
    return (vb){{vandq_u8(x0, low), vshrq_n_u8(x0, 4), vandq_u8(x1, low), vshrq_n_u8(x1, 4)}};
}
/* 0xFF where bit i of the bytes b0, b1 is set. */
static inline uint8x16_t neon_mask(unsigned b0, unsigned b1) {
    uint8x16_t bit = vreinterpretq_u8_u64(vdupq_n_u64(0x8040201008040201u));
    return vtstq_u8(vcombine_u8(vdup_n_u8((uint8_t)b0), vdup_n_u8((uint8_t)b1)), bit);
}
static inline uint8x16_t neon_bits(const uint8_t *p) {
    return vandq_u8(neon_mask(p[0], p[1]), vdupq_n_u8(16));
}
static inline vb vb_bits(const uint8_t *p0, const uint8_t *p1) {
    return (vb){{neon_bits(p0), neon_bits(p0 + 2), neon_bits(p1), neon_bits(p1 + 2)}};
}
static inline vb vb_shr(vb v, int n0, int n1) {
    int8x16_t s0 = vdupq_n_s8((int8_t)-n0), s1 = vdupq_n_s8((int8_t)-n1);
    return (vb){
        {vshlq_u8(v.v[0], s0), vshlq_u8(v.v[1], s0), vshlq_u8(v.v[2], s1), vshlq_u8(v.v[3], s1)}};
}
static inline vb vb_shl(vb v, int n) {
    for (int k = 0; k < 4; k++) v.v[k] = vshlq_u8(v.v[k], vdupq_n_s8((int8_t)n));
    return v;
}
static inline uint8x16_t neon_nibbles8(const uint8_t *p) {
    uint8x8_t x = vld1_u8(p);
    return vcombine_u8(vand_u8(x, vdup_n_u8(15)), vshr_n_u8(x, 4));
}
static inline vb vb_nibbles8(const uint8_t *p0, const uint8_t *p1) {
    return (vb){
        {neon_nibbles8(p0), neon_nibbles8(p0 + 8), neon_nibbles8(p1), neon_nibbles8(p1 + 8)}};
}
static inline vb vb_look(const int8_t t[16], vb v) {
    uint8x16_t x = vreinterpretq_u8_s8(vld1q_s8(t));
    for (int k = 0; k < 4; k++) v.v[k] = vqtbl1q_u8(x, v.v[k]);
    return v;
}
static inline vb vb_and(vb v, int mask) {
    for (int k = 0; k < 4; k++) v.v[k] = vandq_u8(v.v[k], vdupq_n_u8((uint8_t)mask));
    return v;
}
static inline vb vb_or(vb a, vb b) {
    for (int k = 0; k < 4; k++) a.v[k] = vorrq_u8(a.v[k], b.v[k]);
    return a;
}
static inline vb vb_u64(const uint64_t v[8]) {
    vb y;
    for (int k = 0; k < 4; k++) {
        y.v[k] =
            vreinterpretq_u8_u64(vcombine_u64(vcreate_u64(v[2 * k]), vcreate_u64(v[2 * k + 1])));
    }
    return y;
}
static inline vm vm_bits(uint64_t x) {
    vm y;
    for (int k = 0; k < 4; k++) {
        y.v[k] = neon_mask((unsigned)(x >> 16 * k) & 255, (unsigned)(x >> (16 * k + 8)) & 255);
    }
    return y;
}

/* ---- dot products ---- */

static inline int32x4_t neon_dot(int32x4_t x, uint8x16_t u, uint8x16_t v) {
    int8x16_t a = vreinterpretq_s8_u8(u), b = vreinterpretq_s8_u8(v);
#ifdef __ARM_FEATURE_DOTPROD
    return vdotq_s32(x, a, b);
#else /* two products fit 16 bits: 2 x 128 x 127 < 32768 */
    int16x8_t p = vmull_s8(vget_low_s8(a), vget_low_s8(b));
    return vpadalq_s16(x, vmlal_s8(p, vget_high_s8(a), vget_high_s8(b)));
#endif
}
static inline vi vi_zero(void) { return (vi){{vdupq_n_s32(0), vdupq_n_s32(0)}}; }
static inline vi vb_dot(vb u, vb a) {
    vi x = vi_zero();
    for (int k = 0; k < 4; k++) x.v[k / 2] = neon_dot(x.v[k / 2], u.v[k], a.v[k]);
    return x;
}
static inline vi vb_dot_less(vb u, int x, vb a) {
    for (int k = 0; k < 4; k++) u.v[k] = vsubq_u8(u.v[k], vdupq_n_u8((uint8_t)x));
    return vb_dot(u, a);
}
static inline vi vb_dot_signed(vb w, vb a) { return vb_dot(w, a); }

static inline vs neon_scales(uint8x8_t lo, uint8x8_t hi) {
    return (vs){{vmovl_s8(vreinterpret_s8_u8(lo)), vmovl_s8(vreinterpret_s8_u8(hi))}};
}
static inline vs vs_load(const uint8_t *p) { return neon_scales(vld1_u8(p), vld1_u8(p + 8)); }
static inline vs vs_set(uint64_t lo, uint64_t hi) {
    return neon_scales(vcreate_u8(lo), vcreate_u8(hi));
}
static inline vs vs_set_twice(uint64_t x) {
    uint8x8x2_t y = vzip_u8(vcreate_u8(x), vcreate_u8(x));
    return neon_scales(y.val[0], y.val[1]);
}
static inline vi vs_dot(vi x, vb u, vb a, vs s, int g) {
    int16x4_t four = (g & 1) == 0 ? vget_low_s16(s.v[g / 2]) : vget_high_s16(s.v[g / 2]);
    int32x4_t scale = vmovl_s16(four), zero = vdupq_n_s32(0);
    x.v[0] = vmlaq_laneq_s32(x.v[0], neon_dot(zero, u.v[0], a.v[0]), scale, 0);
    x.v[0] = vmlaq_laneq_s32(x.v[0], neon_dot(zero, u.v[1], a.v[1]), scale, 1);
    x.v[1] = vmlaq_laneq_s32(x.v[1], neon_dot(zero, u.v[2], a.v[2]), scale, 2);
    x.v[1] = vmlaq_laneq_s32(x.v[1], neon_dot(zero, u.v[3], a.v[3]), scale, 3);
    return x;
}
static inline vi vs_dot_negated(vi x, vb u, vm m, vb a, vs s, int g) {
    for (int k = 0; k < 4; k++) u.v[k] = vsubq_u8(veorq_u8(u.v[k], m.v[k]), m.v[k]);
    return vs_dot(x, u, a, s, g); /* its operands are signed */
}
static inline vi vs_dot_signed(vi x, vb w, vb a, vs s, int g) { return vs_dot(x, w, a, s, g); }
static inline v4 v4_pair(float x0, float x1) {
    return vcombine_f32(vdup_n_f32(x0), vdup_n_f32(x1));
}
static inline v4 v4_mul(v4 a, v4 b) { return vmulq_f32(a, b); }
/* A UE4M3 number has the bits of a binary32 whose exponent begins at 2^-127, subnormals too. */
static inline v4 v4_ue4m3(const uint8_t *p) {
    uint32x4_t u = {p[0], p[1], p[2], p[3]};
    u = vbicq_u32(u, vceqq_u32(u, vdupq_n_u32(127)));
    u = vshlq_n_u32(vandq_u32(u, vdupq_n_u32(127)), 20);
    return vmulq_n_f32(vreinterpretq_f32_u32(u), 0x1p119f);
}
static inline vp vp_zero(void) { return (vp){{vdupq_n_f32(0), vdupq_n_f32(0)}}; }
static inline vp vp_set(float x0, float x1) { return (vp){{vdupq_n_f32(x0), vdupq_n_f32(x1)}}; }
static inline vp vp_f16(const uint8_t *p0, const uint8_t *p1) {
    return vp_set(simd_f16(p0), simd_f16(p1));
}
static inline vp vp_mul(vp a, vp b) {
    return (vp){{vmulq_f32(a.v[0], b.v[0]), vmulq_f32(a.v[1], b.v[1])}};
}
static inline vp vp_fma(vp a, vp b, vp c) {
    return (vp){{vfmaq_f32(c.v[0], a.v[0], b.v[0]), vfmaq_f32(c.v[1], a.v[1], b.v[1])}};
}
static inline vp vp_dot(vi x, vp scale, vp acc) {
    return vp_fma((vp){{vcvtq_f32_s32(x.v[0]), vcvtq_f32_s32(x.v[1])}}, scale, acc);
}
static inline vp vp_dot16(vb u, int x, vb a, v4 s, vp acc) {
    for (int k = 0; k < 4; k++) {
        uint8x16_t w = vsubq_u8(u.v[k], vdupq_n_u8((uint8_t)x));
        float32x4_t y = vcvtq_f32_s32(neon_dot(vdupq_n_s32(0), w, a.v[k]));
        acc.v[k / 2] = vfmaq_n_f32(acc.v[k / 2], y, s[k]);
    }
    return acc;
}
static inline vp vs_blocks(vs s, const int16_t *sums, const float *d, float k, vp acc) {
    for (int h = 0; h < 2; h++) {
        int16x8_t y = vld1q_s16(sums + 8 * h);
        int32x4_t low = vmull_s16(vget_low_s16(s.v[h]), vget_low_s16(y));
        int32x4_t high = vmull_s16(vget_high_s16(s.v[h]), vget_high_s16(y));
        float32x4_t scale = vmulq_n_f32(vld1q_f32(d + 4 * h), k);
        acc.v[h] = vfmaq_f32(acc.v[h], vcvtq_f32_s32(vpaddq_s32(low, high)), scale);
    }
    return acc;
}
static inline float vp_hsum(vp v) { return vaddvq_f32(vaddq_f32(v.v[0], v.v[1])); }

#endif
