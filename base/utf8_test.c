/* utf8_test.c - both decoders against plain definitions, and the encoder. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/utf8.h"

static void test_every_character_comes_back(void **state) {
    (void)state;
    for (uint32_t cp = 0; cp <= 0x10FFFF; cp++) {
        char s[4];
        uint32_t strict, lenient;
        unsigned n = utf8_encode(cp, s);
        bool surrogate = cp >= 0xD800 && cp <= 0xDFFF;
        unsigned got = utf8_decode(s, n, &strict);
        assert_true(surrogate ? strict == UTF8_BAD && got == 1 : strict == cp && got == n);
        assert_true(utf8_valid(s, n) == !surrogate);
        assert_true(utf8_was_bad(s, got, strict) == surrogate);
        assert_int_equal(utf8_decode_lenient(s, n, &lenient), n);
        assert_int_equal(lenient, cp);
    }
}

static void test_encode_lengths(void **state) {
    (void)state;
    static const struct {
        uint32_t cp;
        const char *bytes;
    } row[] = {
        {0x7F, "\x7F"},
        {0x80, "\xC2\x80"},
        {0x7FF, "\xDF\xBF"},
        {0x800, "\xE0\xA0\x80"},
        {0xFFFF, "\xEF\xBF\xBF"},
        {0x10000, "\xF0\x90\x80\x80"},
        {0x10FFFF, "\xF4\x8F\xBF\xBF"},
        {0x1FFFFF, "\xF7\xBF\xBF\xBF"},
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        char s[4];
        unsigned n = utf8_encode(row[i].cp, s);
        assert_int_equal(n, strlen(row[i].bytes));
        assert_memory_equal(s, row[i].bytes, n);
    }
}

/* Lengths of the pieces a text falls apart into; bad ones as negative numbers. */
static void check_pieces(const char *s, const int *want) {
    size_t n = strlen(s);
    for (size_t i = 0; i < n; want++) {
        uint32_t cp;
        unsigned len = utf8_decode(s + i, n - i, &cp);
        assert_int_equal(utf8_was_bad(s + i, len, cp) ? -(int)len : (int)len, *want);
        i += len;
    }
    assert_int_equal(*want, 0);
}

static void test_maximal_bad_subsequences(void **state) {
    (void)state;
    /* The example of the Unicode standard, section 3.9, "U+FFFD for Truncated Sequences". */
    check_pieces("\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41", (int[]){-2, -1, -3, -2, 1, 0});
    check_pieces("\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41", /* overlong */
                 (int[]){-1, -1, -1, -1, -1, -1, -1, -1, 1, 0});
    check_pieces("\xED\xA0\x80\xED\xBF\xBF\xED\xAF\x41", /* surrogates */
                 (int[]){-1, -1, -1, -1, -1, -1, -1, -1, 1, 0});
    check_pieces("\xF4\x91\x92\x93\xFF\x41\x80\xBF\x42", /* too large; lone bytes */
                 (int[]){-1, -1, -1, -1, -1, 1, -1, -1, 1, 0});
    check_pieces("\xEF\xBF\xBD\xEF\xBF", (int[]){3, -2, 0}); /* a real U+FFFD is good */
    check_pieces("\xC3", (int[]){-1, 0});
    check_pieces("\xF0\x9F\x98", (int[]){-3, 0});
}

static void test_lenient(void **state) {
    (void)state;
    static const struct {
        const char *s;
        uint32_t cp;
        unsigned len;
    } row[] = {
        {"\xC0\x80", 0, 2},          /* overlong */
        {"\xE0\x80\xAF", 0x2F, 3},   /* overlong */
        {"\xED\xA0\x80", 0xD800, 3}, /* surrogate */
        {"\xF4\x8F\xBF\xBF", 0x10FFFF, 4},
        {"\xF4\x90\x80\x80", UTF8_BAD, 1}, /* above 10FFFF */
        {"\xF7\xBF\xBF\xBF", UTF8_BAD, 1},
        {"\xF8\x80\x80\x80", UTF8_BAD, 1},
        {"\x80", UTF8_BAD, 1},
        {"\xE2\x82", UTF8_BAD, 1},
        {"\xE2\x82\x41", UTF8_BAD, 1},
        {"a\x80", 'a', 1},
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        uint32_t cp;
        assert_int_equal(utf8_decode_lenient(row[i].s, strlen(row[i].s), &cp), row[i].len);
        assert_int_equal(cp, row[i].cp);
    }
}

static void test_valid(void **state) {
    (void)state;
    assert_true(utf8_valid(NULL, 0));
    assert_true(utf8_valid("a\0b\xEF\xBF\xBD", 6));
    assert_false(utf8_valid("abc\xE2\x82", 5));
    assert_false(utf8_valid("\xC1\xBF", 2));
}

static void test_complete_prefix(void **state) {
    (void)state;
    static const struct {
        const char *s;
        size_t len;
    } row[] = {
        {"", 0},
        {"abc", 3},
        {"a\xC3", 1},
        {"a\xC3\xA9", 3},
        {"a\xE2", 1},
        {"a\xE2\x82", 1},
        {"a\xE2\x82\xAC", 4},
        {"a\xF0", 1},
        {"a\xF0\x9F\x98", 1},
        {"a\xF0\x9F\x98\x80", 5},
        {"\xC0", 0},              /* lead bytes by range, not by validity */
        {"a\x80\x80\x80\x80", 5}, /* no lead byte near: nothing to wait for */
        {"\x80", 1},
        {"a\xFF", 2},
        {"a\xE2\x82\xAC\x80", 5},
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++)
        assert_int_equal(utf8_complete_prefix(row[i].s, strlen(row[i].s)), row[i].len);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_character_comes_back),
        cmocka_unit_test(test_encode_lengths),
        cmocka_unit_test(test_maximal_bad_subsequences),
        cmocka_unit_test(test_lenient),
        cmocka_unit_test(test_valid),
        cmocka_unit_test(test_complete_prefix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
