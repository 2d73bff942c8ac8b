/* dtype_test.c - the type table, the 16-bit floats against arithmetic, every encoder against its
 * own decoder. (The bytes themselves are compared with golden data: golden/check_quants.c.) */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/dtype.h"
#include "kernels/encode.h"
#include "kernels/tensor.h"

static void test_names(void **state) {
    (void)state;
    assert_int_equal(dtype_by_name("q4_k"), DT_Q4_K);
    assert_int_equal(dtype_by_name("Q4_K"), DT_Q4_K);
    assert_int_equal(dtype_by_name("q4_k_m"), DT_COUNT);
    assert_null(dtype_info(4)); /* removed from the file format */
    assert_null(dtype_info(DT_COUNT));
    assert_null(dtype_info(UINT32_MAX));
    for (uint32_t t = 0; t < DT_COUNT; t++) {
        const struct dtype_info *info = dtype_info(t);
        if (info == NULL) continue;
        assert_int_equal(dtype_by_name(info->name), t);
        assert_int_equal(dtype_row_bytes((enum dtype)t, 3 * info->elems), 3 * info->bytes);
        assert_true(info->encode == NULL || info->decode != NULL);
    }
}

static bool same_bits(float a, float b) { return memcmp(&a, &b, sizeof a) == 0; }

/* Every half value against its definition; back again; and between neighbours the nearer one, the
 * even one in the middle. */
static void test_f16(void **state) {
    (void)state;
    for (uint32_t h = 0; h < 0x7C00; h++) {
        float mantissa = (float)(h & 1023), x = ldexpf(mantissa, -24);
        if (h >= 1024) x = ldexpf(1024 + mantissa, (int)(h >> 10) - 25);
        assert_true(same_bits(f16_to_f32((uint16_t)h), x));
        assert_true(same_bits(f16_to_f32((uint16_t)(h | 0x8000)), -x));
        assert_int_equal(f32_to_f16(x), h);
        assert_int_equal(f32_to_f16(-x), h | 0x8000);
        float next = h == 0x7BFF ? 65536.0f : f16_to_f32((uint16_t)(h + 1)), half = (x + next) / 2;
        assert_int_equal(f32_to_f16(half), h + (h & 1));
        assert_int_equal(f32_to_f16(nextafterf(half, 0)), h);
        assert_int_equal(f32_to_f16(nextafterf(half, 1e9f)), h + 1);
    }
    assert_true(isinf(f16_to_f32(0x7C00)) && isnan(f16_to_f32(0x7C01)));
    assert_int_equal(f32_to_f16(INFINITY), 0x7C00);
    assert_int_equal(f32_to_f16(-1e30f), 0xFC00);
    assert_int_equal(f32_to_f16(NAN) & 0x7FFF, 0x7E00);
}

static void test_bf16(void **state) {
    (void)state;
    for (uint32_t h = 0; h < 0x7F80; h++) {
        float x = bf16_to_f32((uint16_t)h), next = bf16_to_f32((uint16_t)(h + 1));
        assert_int_equal(f32_to_bf16(x), h);
        assert_int_equal(f32_to_bf16(-x), h | 0x8000);
        if (isinf(next)) continue;
        assert_int_equal(f32_to_bf16(x + (next - x) / 2), h + (h & 1));
    }
    assert_true(isnan(bf16_to_f32(f32_to_bf16(NAN))));
}

static float gauss(void) {
    float sum = 0;
    for (int i = 0; i < 12; i++) sum += (float)rand() / (float)RAND_MAX;
    return sum - 6;
}

static double relative_error(const float *x, const float *y, size_t n) {
    double error = 0, sum = 0;
    for (size_t i = 0; i < n; i++) {
        error += ((double)x[i] - (double)y[i]) * ((double)x[i] - (double)y[i]);
        sum += (double)x[i] * (double)x[i];
    }
    return sqrt(error / sum);
}

/* The error of normal noise is near what so many bits can do, and encoding what was decoded adds
 * little: the values of a block are nearly its own best codes. */
static void test_round_trip(void **state) {
    (void)state;
    enum { N = 4096 };
    static float x[N], y[N], z[N], iw[N];
    static uint8_t block[N * 4];
    for (uint32_t k = 0; k < 2 * DT_COUNT; k++) {
        const struct dtype_info *info = dtype_info(k / 2);
        if (info == NULL || info->encode == NULL) continue;
        for (int i = 0; i < N; i++) x[i] = gauss();
        for (int i = 0; i < N; i++) iw[i] = 0.5f + (float)rand() / (float)RAND_MAX;
        double bits = fmin(9.2, 8.0 * info->bytes / info->elems),
               limit = fmin(0.95, 4.5 * exp2(-bits));
        info->encode(x, block, N, k % 2 != 0 ? iw : NULL);
        info->decode(block, y, N);
        info->encode(y, block, N, k % 2 != 0 ? iw : NULL);
        info->decode(block, z, N);
        double first = relative_error(x, y, N), again = relative_error(y, z, N);
        if (first > limit || again > limit / 2)
            fail_msg("%s: error %g, again %g, limit %g", info->name, first, again, limit);
    }
}

/* Any bits: encoders give some block, decoders some values, nothing is read beyond the block. */
static void test_any_bits(void **state) {
    (void)state;
    for (uint32_t t = 0; t < DT_COUNT; t++) {
        const struct dtype_info *info = dtype_info(t);
        if (info == NULL || info->decode == NULL) continue;
        uint8_t *block = malloc(info->bytes); /* exact: the sanitizer watches the ends */
        float *x = malloc(info->elems * sizeof *x);
        for (int k = 0; k < 200; k++) {
            for (uint32_t i = 0; i < info->bytes; i++) block[i] = (uint8_t)rand();
            info->decode(block, x, info->elems);
            for (uint32_t i = 0; i < info->elems; i++) {
                uint32_t bits = (uint32_t)rand() ^ (uint32_t)rand() << 16;
                if (k % 4 == 0) bits |= 0x7F800000u;
                memcpy(&x[i], &bits, sizeof bits);
            }
            if (info->encode != NULL) info->encode(x, block, info->elems, k % 2 != 0 ? x : NULL);
        }
        free(x);
        free(block);
    }
}

/* Noise of several sizes, zeros, ties, extremes, and anything at all. */
static void make_row(float *x, size_t n, int kind) {
    const float sizes[] = {1, 0.02f, 3e4f, 1e-8f, 1e-40f, 1e30f};
    for (size_t i = 0; i < n; i++) {
        uint32_t bits = (uint32_t)rand() ^ (uint32_t)rand() << 16;
        x[i] = gauss() * sizes[kind % 6];
        if (kind == 6) x[i] = (float)(rand() % 5 - 2);         /* equal magnitudes */
        if (kind == 7) x[i] = i / 32 % 2 == 0 ? 0 : x[i];      /* sub-blocks of zeros */
        if (kind == 8) x[i] = i % 37 == 0 ? 100 * x[i] : x[i]; /* outliers */
        if (kind == 9) x[i] = fabsf(x[i]);
        if (kind == 10) memcpy(&x[i], &bits, sizeof bits);
        if (kind == 11) x[i] = i % 50 == 7 ? INFINITY : i % 50 == 9 ? NAN : x[i];
    }
}

/* Every instruction set gives the same bytes, weighted or not, whatever comes in. */
static void test_encoders_agree(void **state) {
    (void)state;
    enum { N = 1024, KINDS = 12 };
    static float x[N], iw[N];
    static uint8_t base[4 * N], best[4 * N];
    print_message("encoders: %s\n", encoders()->name);
    for (uint32_t t = 0; t < DT_COUNT; t++) {
        if (encode_base.row[t] == NULL) continue;
        for (int k = 0; k < 2 * KINDS; k++) {
            make_row(x, N, k / 2);
            for (int i = 0; i < N; i++) iw[i] = fabsf(gauss());
            if (k / 2 >= 10) make_row(iw, N, k / 2); /* weights, too, may be anything */
            encode_base.row[t](x, base, N, k % 2 != 0 ? iw : NULL);
            encoders()->row[t](x, best, N, k % 2 != 0 ? iw : NULL);
            size_t sound = dtype_info(t)->check(base, N), block = dtype_info(t)->bytes;
            assert_int_equal(dtype_info(t)->check(best, N), sound);
            if (memcmp(base, best, sound * block) != 0) /* which NaN it is, is not defined */
                fail_msg("%s: row of kind %d, weights %d", dtype_info(t)->name, k / 2, k % 2);
        }
    }
}

/* IQ4_NL without its search: worse, but not by much; other types are written as ever. */
static void test_encode_fast(void **state) {
    (void)state;
    enum { N = 4096 };
    static float x[N], y[N], z[N];
    static uint8_t block[N * 4], other[N * 4];
    for (int i = 0; i < N; i++) x[i] = gauss();
    dtype_info(DT_IQ4_NL)->encode(x, block, N, NULL);
    dtype_info(DT_IQ4_NL)->decode(block, y, N);
    dtype_encode_fast(DT_IQ4_NL, x, block, N);
    dtype_info(DT_IQ4_NL)->decode(block, z, N);
    assert_true(relative_error(x, z, N) > relative_error(x, y, N));
    assert_true(relative_error(x, z, N) < 1.3 * relative_error(x, y, N));
    dtype_encode_fast(DT_Q5_1, x, block, N);
    dtype_info(DT_Q5_1)->encode(x, other, N, NULL);
    assert_memory_equal(block, other, dtype_row_bytes(DT_Q5_1, N));
}

/* spec/quants.md 7.2: whatever decodes to something that is not finite because of its scale is
 * found; what an encoder makes of ordinary numbers is sound. */
static void test_check(void **state) {
    (void)state;
    enum { N = 1024 };
    static float x[N];
    static uint8_t row[N * 4];
    for (uint32_t t = 0; t < DT_COUNT; t++) {
        const struct dtype_info *info = dtype_info(t);
        if (info == NULL || info->decode == NULL) continue;
        for (int k = 0; k < 100; k++) {
            make_row(x, N, k % 4 == 0 ? 3 : 0);
            info->encode(x, row, N, NULL);
            assert_int_equal(info->check(row, N), N / info->elems);
            size_t b = (size_t)rand() % (N / info->elems), bad = N / info->elems;
            uint8_t *block = row + b * info->bytes;
            for (uint32_t i = 0; i < info->bytes; i++) block[i] = (uint8_t)(rand() >> 4);
            if (t == DT_Q8_K) block[3] &= 0xBF; /* a huge scale, though finite, overflows later */
            if (k % 3 == 0) memset(block, 0xFF, info->bytes);
            info->decode(block, x, info->elems);
            for (uint32_t i = 0; i < info->elems; i++) bad = isfinite(x[i]) ? bad : b;
            if (t == DT_MXFP4) bad = block[0] == 255 ? b : N / info->elems; /* as it is specified */
            assert_int_equal(info->check(row, N), bad);
        }
    }
}

static struct tensor tensor_of(enum dtype type, void *data, int64_t n) {
    struct tensor t = {.name = "w", .data = data};
    tensor_shape(&t, type, (int64_t[4]){n, 2, 2, 1});
    return t;
}

static void test_tensor_check(void **state) {
    (void)state;
    struct err e = {0};
    float f32[4 * 8] = {0};
    double f64[4 * 2] = {0};
    uint8_t q8[4 * 2 * 34] = {0};
    struct tensor t = tensor_of(DT_F32, f32, 8), d = tensor_of(DT_F64, f64, 2),
                  q = tensor_of(DT_Q8_0, q8, 64);
    assert_int_equal(tensor_check(&t, &e), ST_OK);
    assert_int_equal(tensor_check(&d, &e), ST_OK);
    assert_int_equal(tensor_check(&q, &e), ST_OK);
    f32[3 * 8 + 5] = NAN;
    f64[3] = (double)INFINITY;
    q8[34 * 5 + 1] = 0x7C;
    assert_int_equal(tensor_check(&t, &e), ST_FORMAT);
    assert_string_equal(e.msg, "tensor 'w': row 3, value 5: it is not finite");
    assert_int_equal(tensor_check(&d, &e), ST_FORMAT);
    assert_string_equal(e.msg, "tensor 'w': row 1, value 1: it is not finite");
    assert_int_equal(tensor_check(&q, &e), ST_FORMAT);
    assert_string_equal(e.msg, "tensor 'w': row 2, block 1: its scale is not finite");
    t = tensor_of(DT_I32, f32, 8);
    assert_int_equal(tensor_check(&t, &e), ST_OK); /* integers: nothing to find */
    t = tensor_of(DT_Q8_1, q8, 32);
    assert_int_equal(tensor_check(&t, &e), ST_UNSUPPORTED);
}

static void test_tensor(void **state) {
    (void)state;
    static char data[4 * 18 * 3 * 5 * 7];
    struct tensor t = {.data = data};
    assert_int_equal(tensor_shape(&t, DT_Q4_0, (int64_t[4]){128, 3, 5, 7}), sizeof data);
    assert_int_equal(t.stride[1], 4 * 18);
    for (int i = 0; i < 3 * 5 * 7; i++) {
        assert_ptr_equal(tensor_row(&t, i), data + 72 * i);
    }
    t.stride[2] = 1000; /* planes need not be dense */
    assert_ptr_equal(tensor_row(&t, 4), data + 1000 + 72);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),          cmocka_unit_test(test_f16),
        cmocka_unit_test(test_bf16),           cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_any_bits),       cmocka_unit_test(test_tensor),
        cmocka_unit_test(test_encoders_agree), cmocka_unit_test(test_encode_fast),
        cmocka_unit_test(test_check),          cmocka_unit_test(test_tensor_check),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
