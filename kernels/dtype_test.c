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
            if (info->encode != NULL) info->encode(x, block, info->elems, NULL);
        }
        free(x);
        free(block);
    }
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
        cmocka_unit_test(test_names),    cmocka_unit_test(test_f16),
        cmocka_unit_test(test_bf16),     cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_any_bits), cmocka_unit_test(test_tensor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
