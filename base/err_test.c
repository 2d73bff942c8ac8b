/* err_test.c - messages, contexts and the table of codes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/err.h"

static void test_set(void **state) {
    (void)state;
    struct err e;
    assert_int_equal(err_set(&e, ST_FORMAT, "tensor %s: %d dims", "blk.3", 17), ST_FORMAT);
    assert_int_equal(e.code, ST_FORMAT);
    assert_string_equal(e.msg, "tensor blk.3: 17 dims");
    assert_int_equal(err_set(NULL, ST_IO, "nobody listens"), ST_IO);
    assert_int_equal(err_no_memory(&e), ST_NO_MEMORY);
    assert_string_equal(e.msg, "out of memory");
}

static void test_wrap_reads_from_outside_in(void **state) {
    (void)state;
    struct err e;
    err_set(&e, ST_LIMIT, "17 dims");
    assert_int_equal(err_wrap(&e, "tensor %s", "x"), ST_LIMIT);
    assert_int_equal(err_wrap(&e, "file.gguf"), ST_LIMIT);
    assert_string_equal(e.msg, "file.gguf: tensor x: 17 dims");
    assert_int_equal(err_wrap(NULL, "x"), ST_INTERNAL);
}

static void test_argument_may_be_the_message(void **state) {
    (void)state;
    struct err e;
    err_set(&e, ST_IO, "inner");
    err_set(&e, ST_IO, "<%s>", e.msg);
    assert_string_equal(e.msg, "<inner>");
    err_wrap(&e, "[%s]", e.msg);
    assert_string_equal(e.msg, "[<inner>]: <inner>");
}

/* However long a message is, it ends with a NUL and not inside a character. */
static void test_cut_at_character(void **state) {
    (void)state;
    char text[2 * ERR_MSG_SIZE];
    for (size_t shift = 0; shift < 4; shift++) {
        memset(text, 'a', shift);
        for (size_t i = shift; i + 3 < sizeof text; i += 3) memcpy(text + i, "\xE2\x82\xAC", 4);
        struct err e;
        err_set(&e, ST_IO, "%s", text);
        size_t n = strlen(e.msg);
        assert_in_range(n, ERR_MSG_SIZE - 5, ERR_MSG_SIZE - 1);
        assert_int_equal((n - shift) % 3, 0);
        err_wrap(&e, "context");
        n = strlen(e.msg) - strlen("context: ") - shift;
        assert_int_equal(n % 3, 0);
    }
}

static void test_every_code_has_a_name_and_a_text(void **state) {
    (void)state;
    for (enum status s = ST_OK; s < ST_COUNT; s++) {
        assert_true(strlen(status_name(s)) > 0);
        assert_true(strlen(status_text(s)) > 0);
    }
    assert_string_equal(status_name(ST_NOT_FOUND), "NOT_FOUND");
    assert_string_equal(status_text(ST_OK), "ok");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_set),
        cmocka_unit_test(test_wrap_reads_from_outside_in),
        cmocka_unit_test(test_argument_may_be_the_message),
        cmocka_unit_test(test_cut_at_character),
        cmocka_unit_test(test_every_code_has_a_name_and_a_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
