/* unicode_test.c - the tables against the files they were made from. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/unicode.h"

/* A table of golden/tokenizers/unicode, found from where this source lies; NULL if it is not there
 * (an installed test without the tree). */
static FILE *open_table(const char *name) {
    char path[4096];
    const char *slash = strrchr(__FILE__, '/');
    int dir = slash != NULL ? (int)(slash - __FILE__) + 1 : 0;
    snprintf(path, sizeof path, "%.*s../golden/tokenizers/unicode/%s", dir, __FILE__, name);
    return fopen(path, "r");
}

static bool is_one_of(uint32_t c, const char *set) { return c != 0 && strchr(set, (int)c) != NULL; }

static void test_ascii(void **state) {
    (void)state;
    for (uint32_t c = 0; c < 0x80; c++) {
        bool digit = c >= '0' && c <= '9', upper = c >= 'A' && c <= 'Z';
        bool letter = upper || (c >= 'a' && c <= 'z');
        unsigned kind = unicode_class(c);
        assert_true((kind == UNI_N) == digit);
        assert_true((kind == UNI_L) == letter);
        assert_true((kind == UNI_P) == is_one_of(c, "!\"#%&'()*,-./:;?@[\\]_{}"));
        assert_true((kind == UNI_S) == is_one_of(c, "$+<=>^`|~"));
        assert_true((kind == UNI_C) == (c < 0x20 || c == 0x7F));
        assert_true((kind == UNI_Z) == (c == ' '));
        assert_int_equal(unicode_nfd_first(c), c);
        assert_int_equal(unicode_lower(c), upper ? c + 32 : c);
    }
}

static void test_space(void **state) {
    (void)state;
    unsigned n = 0;
    for (uint32_t cp = 0; cp <= 0x110000; cp++) n += unicode_is_space(cp);
    assert_int_equal(n, 25);
    static const uint32_t space[] = {9, 13, 0x20, 0x85, 0xA0, 0x1680, 0x2000, 0x200A, 0x3000};
    for (size_t i = 0; i < sizeof space / sizeof *space; i++)
        assert_true(unicode_is_space(space[i]));
    assert_false(unicode_is_space(0x200B) || unicode_is_space(0xFEFF) || unicode_is_space(0x180E));
}

static void test_out_of_range(void **state) {
    (void)state;
    static const uint32_t cp[] = {0x110000, 0x1FFFFF, 0x80000000, UINT32_MAX};
    for (size_t i = 0; i < sizeof cp / sizeof *cp; i++) {
        assert_int_equal(unicode_class(cp[i]), UNI_UNASSIGNED);
        assert_int_equal(unicode_lower(cp[i]), cp[i]);
        assert_int_equal(unicode_nfd_first(cp[i]), cp[i]);
        assert_false(unicode_is_space(cp[i]) || unicode_is_han(cp[i]));
    }
}

static void check_flags(uint32_t first, uint32_t end, unsigned bits) {
    for (uint32_t cp = first; cp < end; cp++) {
        assert_int_equal(1u << unicode_class(cp), bits & 0xFF);
        assert_int_equal(unicode_is_space(cp), bits >> 8);
    }
}

static void test_flags(void **state) {
    (void)state;
    FILE *f = open_table("flags.tsv");
    if (f == NULL) skip();
    unsigned first = 0, bits = 0, next, next_bits;
    while (fscanf(f, "%x %x", &next, &next_bits) == 2) {
        check_flags(first, next, bits);
        first = next;
        bits = next_bits;
    }
    check_flags(first, 0x110000, bits);
    assert_true(first > 0x10000);
    fclose(f);
}

/* Code points between the rows of the following files map to themselves. */
static void test_lower(void **state) {
    (void)state;
    FILE *f = open_table("lower.tsv");
    if (f == NULL) skip();
    unsigned at = 0, cp, lower;
    while (fscanf(f, "%x %x", &cp, &lower) == 2) {
        for (; at < cp; at++) assert_int_equal(unicode_lower(at), at);
        assert_int_equal(unicode_lower(at++), lower);
    }
    for (; at <= 0x110000; at++) assert_int_equal(unicode_lower(at), at);
    fclose(f);
}

static void test_nfd(void **state) {
    (void)state;
    FILE *f = open_table("nfd_first.tsv");
    if (f == NULL) skip();
    unsigned at = 0, first, last, value;
    while (fscanf(f, "%x %x %x", &first, &last, &value) == 3) {
        for (; at < first; at++) assert_int_equal(unicode_nfd_first(at), at);
        for (; at <= last; at++) assert_int_equal(unicode_nfd_first(at), value);
    }
    for (; at <= 0x110000; at++) assert_int_equal(unicode_nfd_first(at), at);
    fclose(f);
}

static void test_han(void **state) {
    (void)state;
    FILE *f = open_table("han.tsv");
    if (f == NULL) skip();
    unsigned at = 0, first, last;
    while (fscanf(f, "%x %x", &first, &last) == 2) {
        for (; at < first; at++) assert_false(unicode_is_han(at));
        for (; at <= last; at++) assert_true(unicode_is_han(at));
    }
    for (; at <= 0x110000; at++) assert_false(unicode_is_han(at));
    fclose(f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ascii),        cmocka_unit_test(test_space),
        cmocka_unit_test(test_out_of_range), cmocka_unit_test(test_flags),
        cmocka_unit_test(test_lower),        cmocka_unit_test(test_nfd),
        cmocka_unit_test(test_han),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
