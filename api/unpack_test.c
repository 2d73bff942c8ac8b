/* unpack_test.c - packed bodies: whole, in several frames, cut off, and much larger than they look.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "api/unpack.h"
#include "base/mem.h"

static size_t pack(char **out, const char *data, size_t n) {
    const size_t room = ZSTD_compressBound(n);
    *out = malloc(room);
    const size_t len = ZSTD_compress(*out, room, data, n, 1);
    assert_false(ZSTD_isError(len));
    return len;
}

static void must_unpack(const char *data, size_t n, size_t max, enum status want) {
    struct buf out = {0};
    struct err e = {.msg = ""};
    char *packed;
    const size_t len = pack(&packed, data, n);
    assert_int_equal(unpack_zstd(packed, len, max, &out, &e), want);
    if (want == ST_OK) {
        assert_int_equal(out.len, n);
        if (n > 0) assert_memory_equal(out.data, data, n);
    }
    buf_free(&out);
    free(packed);
}

/* Sizes around the step in which the result is fetched, and the limit. */
static void test_sizes(void **state) {
    (void)state;
    static const size_t size[] = {0, 1, 100, 65535, 65536, 65537, 131072, 300000};
    char *data = malloc(300000);
    for (size_t i = 0; i < 300000; i++) data[i] = (char)(i * i >> 7);
    for (size_t i = 0; i < sizeof size / sizeof *size; i++) {
        must_unpack(data, size[i], size[i], ST_OK);
        if (size[i] > 0) must_unpack(data, size[i], size[i] - 1, ST_LIMIT);
    }
    free(data);
}

static void test_frames(void **state) {
    (void)state;
    char *a, *b, both[256];
    const size_t n = pack(&a, "{\"a\":", 5), k = pack(&b, "1}", 2);
    struct buf out = {0};
    memcpy(both, a, n);
    memcpy(both + n, b, k);
    assert_int_equal(unpack_zstd(both, n + k, 100, &out, NULL), ST_OK);
    assert_string_equal(out.data, "{\"a\":1}");
    buf_free(&out);
    free(a);
    free(b);
}

/* sec_CVE_2024_12886 for what clients send: 64 MiB of zeros in some kilobytes. */
static void sec_CVE_2024_12886_body(void **state) {
    (void)state;
    const size_t n = (size_t)64 << 20;
    char *zeros = calloc(1, n), *packed;
    struct buf out = {0};
    struct err e = {.msg = ""};
    const size_t len = pack(&packed, zeros, n);
    free(zeros);
    assert_true(len < 65536);
    assert_int_equal(unpack_zstd(packed, len, UNPACK_MAX, &out, &e), ST_LIMIT);
    assert_string_equal(e.msg, "request body too large");
    assert_true(out.cap < (size_t)3 * UNPACK_MAX);
    buf_free(&out);
    free(packed);
}

static void test_broken(void **state) {
    (void)state;
    static const char text[] = "not zstd";
    struct buf out = {0};
    struct err e = {.msg = ""};
    char *packed;
    assert_int_equal(unpack_zstd(text, sizeof text - 1, 100, &out, &e), ST_INVALID);
    assert_string_equal(e.msg, "invalid input: magic number mismatch");
    const size_t len = pack(&packed, text, sizeof text);
    for (size_t n = 1; n < len; n++) {
        char *part = malloc(n);
        memcpy(part, packed, n);
        buf_clear(&out);
        assert_int_equal(unpack_zstd(part, n, 100, &out, &e), ST_INVALID);
        assert_string_equal(e.msg, "unexpected EOF");
        free(part);
    }
    packed[len - 1] = (char)~packed[len - 1];
    assert_int_not_equal(unpack_zstd(packed, len, 4, &out, &e), ST_OK);
    buf_free(&out);
    free(packed);
}

/* A frame that claims a window of 2 GiB is refused before memory for it is taken. */
static void test_window(void **state) {
    (void)state;
    static const unsigned char frame[] = {0x28, 0xB5, 0x2F, 0xFD, 0x00, 0xA8,
                                          0x01, 0x00, 0x00, 0x00, 0x00};
    struct buf out = {0};
    struct err e = {.msg = ""};
    assert_int_equal(unpack_zstd(frame, sizeof frame, 100, &out, &e), ST_LIMIT);
    buf_free(&out);
}

static void test_no_memory(void **state) {
    (void)state;
    char *packed;
    const size_t len = pack(&packed, "{}", 2);
    struct buf out = {0};
    mem_fail_at(1);
    enum status st = unpack_zstd(packed, len, 100, &out, NULL);
    mem_fail_at(0);
    assert_int_equal(st, ST_NO_MEMORY);
    buf_free(&out);
    free(packed);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_sizes),
                                       cmocka_unit_test(test_frames),
                                       cmocka_unit_test(sec_CVE_2024_12886_body),
                                       cmocka_unit_test(test_broken),
                                       cmocka_unit_test(test_window),
                                       cmocka_unit_test(test_no_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
