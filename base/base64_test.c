/* base64_test.c - there and back, and every kind of wrong text with its place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/base64.h"
#include "base/mem.h"

static void test_known(void **state) {
    (void)state;
    static const char *const row[][2] = {/* RFC 4648, section 10 */
                                         {"", ""},
                                         {"f", "Zg=="},
                                         {"fo", "Zm8="},
                                         {"foo", "Zm9v"},
                                         {"foob", "Zm9vYg=="},
                                         {"fooba", "Zm9vYmE="},
                                         {"foobar", "Zm9vYmFy"}};
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        struct buf text = {0}, data = {0};
        size_t bad = 99;
        buf_str(&text, "<");
        base64_put(&text, row[i][0], strlen(row[i][0]));
        assert_string_equal(text.data + 1, row[i][1]);
        buf_str(&data, ">");
        assert_true(base64_get(&data, row[i][1], strlen(row[i][1]), &bad));
        assert_string_equal(data.data + 1, row[i][0]);
        assert_int_equal(data.len, 1 + strlen(row[i][0]));
        buf_free(&text);
        buf_free(&data);
    }
}

static void test_all_bytes(void **state) {
    (void)state;
    unsigned char bytes[256];
    for (int i = 0; i < 256; i++) bytes[i] = (unsigned char)(i * 167 + 13);
    for (size_t n = 0; n <= sizeof bytes; n++) {
        struct buf text = {0}, data = {0};
        size_t bad = 0;
        base64_put(&text, bytes, n);
        assert_true(base64_get(&data, text.data, text.len, &bad));
        assert_int_equal(data.len, n);
        assert_memory_equal(data.data, bytes, n);
        assert_true(base64_get(NULL, text.data, text.len, &bad));
        buf_free(&text);
        buf_free(&data);
    }
}

static void test_lines(void **state) {
    (void)state;
    static const char *const row[] = {"Zm9v\nYg==\n", "Z\r\nm9vYg=\n=", "\nZm9vYg==\r\n\r\n"};
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        struct buf data = {0};
        size_t bad = 0;
        assert_true(base64_get(&data, row[i], strlen(row[i]), &bad));
        assert_string_equal(data.data, "foob");
        buf_free(&data);
    }
}

static void test_wrong(void **state) {
    (void)state;
    static const struct {
        const char *text;
        size_t bad;
    } row[] = {{"%%", 0},       {"Zm9v!", 4}, {"Zm9v Zm9v", 4}, {"Zg", 0},     {"Zm9vZg", 4},
               {"Zg=", 3},      {"=", 0},     {"Z===", 1},      {"Zg===", 4},  {"Zg==Zg==", 4},
               {"Zm8=x", 4},    {"Zg=x", 2},  {"Zm-_", 2},      {"Zm9v\t", 4}, {"Z", 0},
               {"Zm9v\xC3", 4}, {"Zm9vZ", 4}};
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        struct buf data = {0};
        size_t bad = 99;
        buf_str(&data, "kept");
        assert_false(base64_get(&data, row[i].text, strlen(row[i].text), &bad));
        assert_int_equal(bad, row[i].bad);
        assert_string_equal(data.data, "kept");
        bad = 99;
        assert_false(base64_get(NULL, row[i].text, strlen(row[i].text), &bad));
        assert_int_equal(bad, row[i].bad);
        buf_free(&data);
    }
}

static void test_no_memory(void **state) {
    (void)state;
    struct buf data = {0};
    size_t bad = 0;
    mem_fail_at(1);
    assert_true(base64_get(&data, "Zm9v", 4, &bad));
    assert_true(data.failed);
    buf_free(&data);
    mem_fail_at(1);
    base64_put(&data, "foo", 3);
    assert_true(data.failed);
    buf_free(&data);
    mem_fail_at(0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_known),
                                       cmocka_unit_test(test_all_bytes),
                                       cmocka_unit_test(test_lines), cmocka_unit_test(test_wrong),
                                       cmocka_unit_test(test_no_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
