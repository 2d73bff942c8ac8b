/* buf_test.c - appending, cutting, taking; failures are sticky. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/buf.h"
#include "base/mem.h"

static void test_append(void **state) {
    (void)state;
    struct buf b = {0};
    buf_str(&b, "ab");
    buf_chr(&b, 'c');
    buf_add(&b, "\0d", 2);
    buf_add(&b, NULL, 0);
    buf_printf(&b, "%05d", 42);
    assert_int_equal(b.len, 10);
    assert_memory_equal(b.data, "abc\0d00042", 11);
    buf_free(&b);
    assert_null(b.data);
}

static void test_grows(void **state) {
    (void)state;
    struct buf b = {0};
    for (int i = 0; i < 100000; i++) {
        buf_chr(&b, (char)('a' + i % 26));
        assert_int_equal(b.data[b.len], 0);
    }
    assert_int_equal(b.len, 100000);
    assert_int_equal(b.data[99999], 'a' + 99999 % 26);
    char big[3000];
    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    buf_printf(&b, "%s", big);
    assert_string_equal(b.data + 100000, big);
    buf_free(&b);
}

static void test_cut_drop_clear(void **state) {
    (void)state;
    struct buf b = {0};
    buf_cut(&b, 0);
    buf_drop(&b, 0);
    buf_str(&b, "hello world");
    buf_drop(&b, 6);
    assert_string_equal(b.data, "world");
    buf_cut(&b, 3);
    assert_string_equal(b.data, "wor");
    buf_drop(&b, 3);
    assert_string_equal(b.data, "");
    buf_str(&b, "again");
    buf_clear(&b);
    assert_int_equal(b.len, 0);
    assert_true(b.cap > 0);
    buf_free(&b);
}

static void test_take(void **state) {
    (void)state;
    struct buf b = {0};
    char *s = buf_take(&b);
    assert_string_equal(s, "");
    mem_free(s);
    buf_str(&b, "text");
    s = buf_take(&b);
    assert_string_equal(s, "text");
    assert_null(b.data);
    mem_free(s);
}

static void test_failure_is_sticky(void **state) {
    (void)state;
    long before = mem_live();
    struct buf b = {0};
    assert_false(buf_reserve(&b, SIZE_MAX));
    buf_clear(&b);
    buf_str(&b, "kept");
    mem_fail_at(1);
    assert_false(buf_reserve(&b, 1000));
    mem_fail_at(0);
    buf_str(&b, "lost");
    buf_printf(&b, "%d", 1);
    assert_true(b.failed);
    assert_string_equal(b.data, "kept");
    assert_null(buf_take(&b));
    assert_int_equal(mem_live(), before);
    mem_fail_at(1);
    assert_null(buf_take(&b));
    mem_fail_at(0);
    assert_int_equal(mem_live(), before);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_append),
        cmocka_unit_test(test_grows),
        cmocka_unit_test(test_cut_drop_clear),
        cmocka_unit_test(test_take),
        cmocka_unit_test(test_failure_is_sticky),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
