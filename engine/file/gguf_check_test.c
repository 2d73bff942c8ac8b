/* gguf_check_test.c - files with sound and unsound data. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/buf.h"
#include "engine/file/gguf.h"
#include "engine/file/gguf_edit.h"
#include "kernels/dtype.h"

static void put(struct buf *b, uint64_t v, unsigned n) {
    for (unsigned i = 0; i < n; i++) buf_chr(b, (char)(v >> (8 * i)));
}

/* One tensor "w" of 2 rows of 64 values; byte `at` of its data is changed by xor. */
static enum status check_file(enum dtype type, size_t at, uint8_t change, struct err *e) {
    struct buf b = {0};
    struct gguf *g = NULL;
    size_t bytes = 2 * dtype_row_bytes(type, 64);
    buf_str(&b, "GGUF");
    put(&b, 3, 4);
    put(&b, 1, 8);
    put(&b, 0, 8);
    put(&b, 1, 8);
    buf_str(&b, "w");
    put(&b, 2, 4);
    put(&b, 64, 8);
    put(&b, 2, 8);
    put(&b, type, 4);
    put(&b, 0, 8);
    while (b.len % 32 != 0) buf_chr(&b, '\0');
    size_t data = b.len;
    for (size_t i = 0; i < bytes; i++) buf_chr(&b, '\0');
    while (b.len % 32 != 0) buf_chr(&b, '\0');
    b.data[data + at] = (char)(b.data[data + at] ^ change);
    assert_int_equal(gguf_open_memory(&g, b.data, b.len, "t.gguf", e), ST_OK);
    enum status st = gguf_check_data(g, NULL, NULL, e);
    gguf_close(g);
    buf_free(&b);
    return st;
}

static void test_data(void **state) {
    (void)state;
    struct err e = {0};
    assert_int_equal(check_file(DT_Q8_0, 9, 0x7F, &e), ST_OK);
    assert_int_equal(check_file(DT_Q8_0, 34 * 3 + 1, 0x7C, &e), ST_FORMAT);
    assert_string_equal(e.msg, "t.gguf: tensor 'w': row 1, block 1: its scale is not finite");
    assert_int_equal(check_file(DT_F16, 2 * 5 + 1, 0x7C, &e), ST_FORMAT);
    assert_string_equal(e.msg, "t.gguf: tensor 'w': row 0, value 5: it is not finite");
    assert_int_equal(check_file(DT_MXFP4, 17, 0xFF, &e), ST_FORMAT);
    assert_int_equal(check_file(DT_I16, 3, 0xFF, &e), ST_OK);
    assert_int_equal(check_file(DT_Q8_1, 5, 1, &e), ST_UNSUPPORTED);
}

static bool at_the_third(void *arg) { return ++*(int *)arg == 3; }

/* It is asked within a tensor, too: the reading of a large one can be stopped. */
static void test_cancelled(void **state) {
    (void)state;
    enum { ROWS = 2560, COLUMNS = 4096 }; /* 40 MiB: three slices */
    struct gguf *g;
    struct err e = {0};
    float *x;
    int asked = 0;
    const int64_t dim[4] = {COLUMNS, ROWS, 1, 1};
    struct buf b = {0};
    buf_str(&b, "GGUF");
    put(&b, 3, 4);
    put(&b, 0, 8);
    put(&b, 0, 8);
    assert_int_equal(gguf_open_memory(&g, b.data, b.len, "t.gguf", &e), ST_OK);
    assert_int_equal(gguf_edit_floats(g, "w", 2, dim, &x, &e), ST_OK);
    memset(x, 0, sizeof *x * ROWS * COLUMNS);
    assert_int_equal(gguf_check_data(g, at_the_third, &asked, &e), ST_CANCELLED);
    asked = 3;
    assert_int_equal(gguf_check_data(g, at_the_third, &asked, &e), ST_OK);
    assert_int_equal(asked, 3 + 3);
    gguf_close(g);
    buf_free(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_data),
                                       cmocka_unit_test(test_cancelled)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
