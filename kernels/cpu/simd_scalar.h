/* simd_scalar.h - the vector language (simd.h) in plain C: any processor, and the text to read
 * first. Floats go in fours, which compilers map to whatever the base instruction set has.
 *
 * The dot products take both operands as int8_t: gcc 12 makes wrong code of u8 x i8 loops on
 * processors with VNNI (spec/quants.md 10.1). All unsigned codes here are below 64. */
#ifndef CRIA_KERNELS_CPU_SIMD_SCALAR_H
#define CRIA_KERNELS_CPU_SIMD_SCALAR_H

#define UNROLL /* loops within loops: unrolled they would be 300 KB */

enum { VF_N = 4, VP_LANES = 1 };

typedef float vf __attribute__((vector_size(16)));
typedef struct {
    uint8_t b[64];
} vb;
typedef uint64_t vm;
typedef struct {
    int32_t v[2];
} vi;
typedef struct {
    int8_t s[16];
} vs;
typedef struct {
    float v[4];
} v4;
typedef struct {
    float v[2];
} vp;

/* ---- floats ---- */

static inline vf vf_load(const float *p) {
    vf v;
    memcpy(&v, p, sizeof v);
    return v;
}
static inline void vf_store(float *p, vf v) { memcpy(p, &v, sizeof v); }
static inline vf vf_set1(float x) { return (vf){x, x, x, x}; }
static inline vf vf_add(vf a, vf b) { return a + b; }
static inline vf vf_sub(vf a, vf b) { return a - b; }
static inline vf vf_mul(vf a, vf b) { return a * b; }
static inline vf vf_div(vf a, vf b) { return a / b; }
static inline vf vf_fma(vf a, vf b, vf c) { return a * b + c; }
static inline vf vf_less(vf a, vf b, vf x, vf y) {
    for (int i = 0; i < VF_N; i++) y[i] = a[i] < b[i] ? x[i] : y[i];
    return y;
}
static inline vf vf_max(vf a, vf b) { return vf_less(b, a, a, b); }
static inline vf vf_min(vf a, vf b) { return vf_less(a, b, a, b); }
static inline vf vf_abs(vf a) {
    for (int i = 0; i < VF_N; i++) a[i] = fabsf(a[i]);
    return a;
}
static inline vf vf_round(vf a) { return (a + 12582912.0f) - 12582912.0f; } /* 1.5 x 2^23 */
static inline vf vf_trunc(vf a) {
    for (int i = 0; i < VF_N; i++) a[i] = fabsf(a[i]) < 0x1p23f ? (float)(int32_t)a[i] : a[i];
    return a;
}
static inline vf vf_copysign(vf a, vf sign) {
    for (int i = 0; i < VF_N; i++) a[i] = copysignf(a[i], sign[i]);
    return a;
}
static inline vf vf_pow2(vf n) {
    for (int i = 0; i < VF_N; i++) {
        n[i] = quant_float(n[i] >= -126 && n[i] <= 127 ? (uint32_t)((int)n[i] + 127) << 23 : 0);
    }
    return n;
}
static inline float vf_hsum(vf a) { return (a[0] + a[2]) + (a[1] + a[3]); }
static inline float vf_hmax(vf a) { return fmaxf(fmaxf(a[0], a[1]), fmaxf(a[2], a[3])); }
static inline float simd_f16(const uint8_t *p) { return quant_f16(quant_u16(p)); }
static inline vf vf_f16(const uint8_t *p) {
    return (vf){simd_f16(p), simd_f16(p + 2), simd_f16(p + 4), simd_f16(p + 6)};
}
static inline vf vf_bf16(const uint8_t *p) {
    return (vf){QUANT_BF16(p, 0), QUANT_BF16(p, 2), QUANT_BF16(p, 4), QUANT_BF16(p, 6)};
}
static inline void vf_store_i8(int8_t *p, vf v) {
    for (int i = 0; i < VF_N; i++) p[i] = (int8_t)(fabsf(v[i]) < 128 ? (int)v[i] : 0);
}

/* ---- codes ---- */

static inline vb vb_load(const uint8_t *p0, const uint8_t *p1) {
    vb v;
    memcpy(v.b, p0, 32);
    memcpy(v.b + 32, p1, 32);
    return v;
}
static inline vb vb_nibbles(const uint8_t *p0, const uint8_t *p1) {
    vb v;
    for (int i = 0; i < 16; i++) {
        v.b[i] = p0[i] & 15;
        v.b[16 + i] = p0[i] >> 4;
        v.b[32 + i] = p1[i] & 15;
        v.b[48 + i] = p1[i] >> 4;
    }
    return v;
}
static inline vb vb_bits(const uint8_t *p0, const uint8_t *p1) {
    vb v;
    for (int i = 0; i < 32; i++) {
        v.b[i] = (uint8_t)((p0[i / 8] >> i % 8 & 1) << 4);
        v.b[32 + i] = (uint8_t)((p1[i / 8] >> i % 8 & 1) << 4);
    }
    return v;
}
static inline vb vb_shr(vb v, int n0, int n1) {
    for (int i = 0; i < 64; i++) v.b[i] = (uint8_t)(v.b[i] >> (i < 32 ? n0 : n1));
    return v;
}
static inline vb vb_shl(vb v, int n) {
    for (int i = 0; i < 64; i++) v.b[i] = (uint8_t)(v.b[i] << n);
    return v;
}
static inline vb vb_nibbles8(const uint8_t *p0, const uint8_t *p1) {
    vb v;
    for (int i = 0; i < 8; i++) {
        const uint8_t from[4] = {p0[i], p0[8 + i], p1[i], p1[8 + i]};
        for (int k = 0; k < 4; k++) {
            v.b[16 * k + i] = from[k] & 15;
            v.b[16 * k + 8 + i] = from[k] >> 4;
        }
    }
    return v;
}
static inline vb vb_look(const int8_t t[16], vb v) {
    for (int i = 0; i < 64; i++) v.b[i] = (uint8_t)t[v.b[i]];
    return v;
}
static inline vb vb_and(vb v, int mask) {
    for (int i = 0; i < 64; i++) v.b[i] = (uint8_t)(v.b[i] & mask);
    return v;
}
static inline vb vb_or(vb a, vb b) {
    for (int i = 0; i < 64; i++) a.b[i] |= b.b[i];
    return a;
}
static inline vb vb_u64(const uint64_t v[8]) {
    vb y;
    for (int i = 0; i < 64; i++) y.b[i] = (uint8_t)(v[i / 8] >> 8 * (i % 8));
    return y;
}
static inline vm vm_bits(uint64_t x) { return x; }

/* ---- dot products ---- */

static inline int32_t scalar_dot(const uint8_t *a, const uint8_t *b, int n) {
    int32_t sum = 0;
    for (int i = 0; i < n; i++) sum += (int8_t)a[i] * (int8_t)b[i];
    return sum;
}
static inline vi vi_zero(void) { return (vi){{0, 0}}; }
static inline vi vb_dot(vb u, vb a) {
    return (vi){{scalar_dot(u.b, a.b, 32), scalar_dot(u.b + 32, a.b + 32, 32)}};
}
static inline vi vb_dot_less(vb u, int x, vb a) {
    for (int i = 0; i < 64; i++) u.b[i] = (uint8_t)(u.b[i] - x);
    return vb_dot(u, a);
}
static inline vi vb_dot_signed(vb w, vb a) { return vb_dot(w, a); }
static inline vs vs_load(const uint8_t *p) {
    vs s;
    memcpy(s.s, p, 16);
    return s;
}
static inline vs vs_set(uint64_t lo, uint64_t hi) {
    vs s;
    memcpy(s.s, &lo, 8);
    memcpy(s.s + 8, &hi, 8);
    return s;
}
static inline vs vs_set_twice(uint64_t x) {
    vs s;
    for (int i = 0; i < 16; i++) s.s[i] = (int8_t)(x >> 8 * (i / 2));
    return s;
}
static inline vi vs_dot(vi x, vb u, vb a, vs s, int g) {
    for (int k = 0; k < 4; k++) {
        x.v[k / 2] += s.s[4 * g + k] * scalar_dot(u.b + 16 * k, a.b + 16 * k, 16);
    }
    return x;
}
static inline vi vs_dot_negated(vi x, vb u, vm m, vb a, vs s, int g) {
    for (int i = 0; i < 64; i++) u.b[i] = (uint8_t)((m >> i & 1) != 0 ? -u.b[i] : u.b[i]);
    return vs_dot(x, u, a, s, g);
}
static inline vi vs_dot_signed(vi x, vb w, vb a, vs s, int g) { return vs_dot(x, w, a, s, g); }
static inline v4 v4_pair(float x0, float x1) { return (v4){{x0, x0, x1, x1}}; }
static inline v4 v4_mul(v4 a, v4 b) {
    for (int k = 0; k < 4; k++) a.v[k] *= b.v[k];
    return a;
}
static inline v4 v4_ue4m3(const uint8_t *p) {
    v4 x;
    for (int k = 0; k < 4; k++) x.v[k] = nvfp4_scale(p[k]);
    return x;
}
static inline vp vp_zero(void) { return (vp){{0, 0}}; }
static inline vp vp_set(float x0, float x1) { return (vp){{x0, x1}}; }
static inline vp vp_f16(const uint8_t *p0, const uint8_t *p1) {
    return vp_set(simd_f16(p0), simd_f16(p1));
}
static inline vp vp_mul(vp a, vp b) { return (vp){{a.v[0] * b.v[0], a.v[1] * b.v[1]}}; }
static inline vp vp_fma(vp a, vp b, vp c) {
    return (vp){{a.v[0] * b.v[0] + c.v[0], a.v[1] * b.v[1] + c.v[1]}};
}
static inline vp vp_dot(vi x, vp scale, vp acc) {
    return vp_fma((vp){{(float)x.v[0], (float)x.v[1]}}, scale, acc);
}
static inline vp vp_dot16(vb u, int x, vb a, v4 s, vp acc) {
    for (int i = 0; i < 64; i++) u.b[i] = (uint8_t)(u.b[i] - x);
    for (int k = 0; k < 4; k++) {
        acc.v[k / 2] += s.v[k] * (float)scalar_dot(u.b + 16 * k, a.b + 16 * k, 16);
    }
    return acc;
}
static inline vp vs_blocks(vs s, const int16_t *sums, const float *d, float k, vp acc) {
    for (int j = 0; j < 8; j++) {
        int x = s.s[2 * j] * sums[2 * j] + s.s[2 * j + 1] * sums[2 * j + 1];
        acc.v[j & 1] += k * d[j] * (float)x;
    }
    return acc;
}
static inline float vp_hsum(vp v) { return v.v[0] + v.v[1]; }

#endif
