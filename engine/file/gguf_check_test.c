/* gguf_check_test.c - files with sound and unsound data. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/buf.h"
#include "engine/file/gguf.h"
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
    enum status st = gguf_check_data(g, e);
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

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_data)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
