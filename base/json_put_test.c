/* json_put_test.c - the emitter: escapes, shortest numbers, members. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"

static void check_string(const char *s, size_t len, const char *want) {
    struct buf b = {0};
    json_put_string(&b, s, len);
    assert_string_equal(b.data, want);
    buf_free(&b);
}

static void test_strings(void **state) {
    (void)state;
#define STRING(s, want) check_string(s, sizeof s - 1, want)
    STRING("", "\"\"");
    STRING("plain \x7F", "\"plain \x7F\"");
    STRING("\"\\/", "\"\\\"\\\\/\"");
    STRING("\b\f\n\r\t\v\x01\x1F", "\"\\b\\f\\n\\r\\t\\u000b\\u0001\\u001f\"");
    STRING("a\0b", "\"a\\u0000b\"");
    STRING("<a&b>", "\"\\u003ca\\u0026b\\u003e\"");
    STRING("\xE2\x80\xA7\xE2\x80\xA8\xE2\x80\xA9\xE2\x80\xAA",
           "\"\xE2\x80\xA7\\u2028\\u2029\xE2\x80\xAA\"");
    STRING("\xC3\xA9\xF0\x9F\x98\x80\xEF\xBF\xBD", "\"\xC3\xA9\xF0\x9F\x98\x80\xEF\xBF\xBD\"");
    /* One U+FFFD per maximal bad subsequence. */
    STRING("\xE2\x82|\xF0\x9F\x98|\xFF\xC0\x80", "\"\\ufffd|\\ufffd|\\ufffd\\ufffd\\ufffd\"");
    check_string(NULL, 0, "\"\"");
}

static void check_double(double v, const char *want) {
    struct buf b = {0};
    json_put_double(&b, v);
    assert_string_equal(b.data, want);
    buf_free(&b);
}

static void test_doubles(void **state) {
    (void)state;
    check_double(0, "0");
    check_double(-0.0, "-0");
    check_double(1, "1");
    check_double(-1.5, "-1.5");
    check_double(0.1, "0.1");
    check_double(0.1 + 0.2, "0.30000000000000004");
    check_double(100, "100");
    check_double(123456.789, "123456.789");
    check_double(1e-6, "0.000001");
    check_double(1.25e-6, "0.00000125");
    check_double(9.99e-7, "9.99e-7");
    check_double(1e-7, "1e-7");
    check_double(1e20, "100000000000000000000");
    check_double(123456789012345678901.0, "123456789012345680000");
    check_double(1e21, "1e+21");
    check_double(1.5e21, "1.5e+21");
    check_double(DBL_MAX, "1.7976931348623157e+308");
    check_double(5e-324, "5e-324");
    check_double(DBL_MIN, "2.2250738585072014e-308");
    check_double((double)NAN, "null");
    check_double((double)INFINITY, "null");
    check_double((double)-INFINITY, "null");
}

static void check_float(float v, const char *want) {
    struct buf b = {0};
    json_put_float(&b, v);
    assert_string_equal(b.data, want);
    buf_free(&b);
}

static void test_floats(void **state) {
    (void)state;
    check_float(0, "0");
    check_float(-0.0f, "-0");
    check_float(0.1f, "0.1");
    check_float(-0.033333335f, "-0.033333335");
    check_float(16777216, "16777216");
    check_float(999999.94f, "999999.94");
    check_float(0.0099999998f, "0.01");
    check_float(1e-6f, "0.000001");
    check_float(1e-7f, "1e-7");
    check_float(FLT_MAX, "3.4028235e+38");
    check_float(1e-45f, "1e-45");
    check_float(NAN, "null");
    check_float(-INFINITY, "null");
}

static uint32_t next_random(uint64_t *s) {
    *s = *s * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*s >> 32);
}

/* The number of digits that count in a JSON number. */
static size_t count_digits(const char *s) {
    size_t n = 0, zeros = 0;
    for (s += *s == '-'; *s != '\0' && *s != 'e'; s++) {
        if (*s == '.' || (*s == '0' && n == 0)) continue;
        zeros = *s == '0' ? zeros + 1 : 0;
        n++;
    }
    return n - zeros;
}

static void check_shortest(float v) {
    struct buf b = {0};
    char fewer[40];
    json_put_float(&b, v);
    assert_true(strtof(b.data, NULL) == v);
    size_t n = count_digits(b.data);
    assert_in_range(n, v != 0, 9);
    if (n > 1) { /* one digit less does not read back */
        snprintf(fewer, sizeof fewer, "%.*e", (int)n - 2, (double)v);
        assert_true(strtof(fewer, NULL) != v);
    }
    buf_free(&b);
}

/* Both ways of json_put_float: any bits, and sizes as in embeddings. */
static void test_random_floats(void **state) {
    (void)state;
    uint64_t seed = 1;
    for (int i = 0; i < 100000; i++) {
        uint32_t bits = next_random(&seed);
        float v;
        memcpy(&v, &bits, sizeof v);
        if (isfinite(v)) check_shortest(v);
        check_shortest(((float)bits / 2147483648.0f - 1) * (i % 2 != 0 ? 1.0f : 3000.0f));
        check_shortest((float)(bits % 100000) / 1000);
    }
}

static void test_random_doubles(void **state) {
    (void)state;
    uint64_t seed = 2;
    for (int i = 0; i < 50000; i++) {
        uint64_t bits = (uint64_t)next_random(&seed) << 32 | next_random(&seed);
        double v;
        memcpy(&v, &bits, sizeof v);
        if (!isfinite(v)) continue;
        struct buf b = {0};
        json_put_double(&b, v);
        assert_true(strtod(b.data, NULL) == v);
        buf_free(&b);
    }
}

static void test_members(void **state) {
    (void)state;
    struct buf b = {0};
    buf_chr(&b, '{');
    json_put_field(&b, "a", "x\"");
    json_put_field(&b, "none", NULL);
    json_put_field_int(&b, "n", INT64_MIN);
    json_put_field_bool(&b, "t", true);
    json_put_key(&b, "o<");
    buf_chr(&b, '{');
    json_put_field_bool(&b, "f", false);
    buf_str(&b, "}}");
    assert_string_equal(b.data, "{\"a\":\"x\\\"\",\"none\":\"\",\"n\":-9223372036854775808,"
                                "\"t\":true,\"o\\u003c\":{\"f\":false}}");
    json *v = json_parse(b.data, b.len, &json_default_limits, NULL, NULL);
    assert_int_equal(json_len(v), 5);
    json_free(v);
    buf_free(&b);
}

static void test_no_memory(void **state) {
    (void)state;
    long before = mem_live();
    for (long n = 1;; n++) {
        struct buf b = {0};
        mem_fail_at(n);
        json_put_key(&b, "key");
        json_put_string(&b, "a text that is long enough to make the buffer grow \n again", 57);
        json_put_double(&b, 1.5);
        mem_fail_at(0);
        bool ok = !b.failed;
        buf_free(&b);
        assert_int_equal(mem_live(), before);
        if (ok) break;
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_strings),        cmocka_unit_test(test_doubles),
        cmocka_unit_test(test_floats),         cmocka_unit_test(test_random_floats),
        cmocka_unit_test(test_random_doubles), cmocka_unit_test(test_members),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
