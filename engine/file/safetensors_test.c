/* safetensors_test.c - what the golden files do not show: limits, offsets at the ends of their
 * range, look-ups, files on disk, and every allocation failing once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/os.h"
#include "engine/file/safetensors.h"

static struct buf file_of(const char *header, size_t n_data) {
    struct buf b = {0};
    const size_t n = strlen(header);
    for (int i = 0; i < 8; i++) buf_chr(&b, (char)(n >> (8 * i)));
    buf_str(&b, header);
    for (size_t i = 0; i < n_data; i++) buf_chr(&b, (char)i);
    return b;
}

static void assert_class(const char *header, size_t n_data, const char *class) {
    struct buf b = file_of(header, n_data);
    struct sft_file *f;
    struct err e = {0};
    const enum status st = sft_open_memory(&f, b.data, b.len, "x", &e);
    if (strcmp(st == ST_OK ? "ok" : sft_error_class(), class) != 0)
        fail_msg("%s: class %s (%s), want %s", header, sft_error_class(), e.msg, class);
    sft_close(f);
    buf_free(&b);
}

static void entries(void **state) {
    (void)state;
#define T(shape, offsets)                                                                          \
    "{\"a\":{\"dtype\":\"F32\",\"shape\":" shape ",\"data_offsets\":" offsets "}}"
    assert_class(T("[2]", "[0,8]"), 8, "ok");
    assert_class(T("[]", "[0,4]"), 4, "ok");
    assert_class(T("[0,5]", "[0,0]"), 0, "ok");
    assert_class(T("[2.0]", "[0,8]"), 8, "entry");
    assert_class(T("[2e0]", "[0,8]"), 8, "entry");
    assert_class(T("[-0]", "[0,0]"), 0, "entry");
    assert_class(T("[\"2\"]", "[0,8]"), 8, "entry");
    assert_class(T("[9223372036854775808]", "[0,8]"), 8, "entry");
    assert_class(T("[9223372036854775807]", "[0,8]"), 8, "size");
    assert_class(T("[4294967296,4294967296]", "[0,8]"), 8, "size");
    assert_class(T("[0,4294967296,4294967296]", "[0,0]"), 0, "size"); /* zeros hide nothing */
    assert_class(T("[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]", "[0,4]"), 4, "ok");
    assert_class(T("[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]", "[0,4]"), 4, "entry");
    assert_class(T("[2]", "[8,0]"), 8, "offset");
    assert_class(T("[2]", "[0,9223372036854775807]"), 8, "size");
    assert_class(T("[2]", "[8,16]"), 8, "offset");
    assert_class(T("[2]", "{}"), 8, "entry");
    assert_class("{\"\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1, "name");
    assert_class("{\"a\":[]}", 0, "entry");
    assert_class("{\"a\":{\"DTYPE\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1, "entry");
    assert_class("{\"a\":{\"dtype\":\"F4\",\"shape\":[3],\"data_offsets\":[0,2]}}", 2, "size");
    assert_class("{\"a\":{\"dtype\":\"F4\",\"shape\":[4],\"data_offsets\":[0,2]}}", 2, "ok");
    assert_class("{}\n", 0, "json");
    assert_class("{}  ", 0, "ok");
    assert_class("{\"__metadata__\":null}", 0, "json");
}

static void long_names(void **state) {
    (void)state;
    for (int n = SFT_MAX_NAME; n <= SFT_MAX_NAME + 1; n++) {
        struct buf h = {0};
        buf_str(&h, "{\"");
        for (int i = 0; i < n; i++) buf_chr(&h, 'n');
        buf_str(&h, "\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}");
        assert_class(h.data, 0, n == SFT_MAX_NAME ? "ok" : "entry");
        buf_free(&h);
    }
}

static const char two[] =
    "{\"b\":{\"dtype\":\"F32\",\"shape\":[1,2],\"data_offsets\":[4,12]},"
    "\"a\":{\"dtype\":\"BF16\",\"shape\":[2],\"data_offsets\":[0,4],\"x\":1}}";

static void content(void **state) {
    struct buf b = file_of(two, 12);
    struct sft_file *f;
    (void)state;
    assert_int_equal(sft_open_memory(&f, b.data, b.len, "x", NULL), ST_OK);
    assert_int_equal(sft_n_tensors(f), 2);
    assert_string_equal(sft_tensor_at(f, 0)->name, "b");
    const struct sft_tensor *a = sft_find(f, "a");
    assert_non_null(a);
    assert_string_equal(sft_dtype_name(a->dtype), "BF16");
    assert_int_equal(a->n_elems, 2);
    assert_int_equal(a->data[3], 3);
    assert_null(sft_find(f, "c"));
    sft_close(f);
    buf_free(&b);
}

static void on_disk(void **state) {
    char path[] = "/tmp/cria-safetensors-XXXXXX";
    struct buf b = file_of(two, 12);
    struct sft_file *f;
    struct err e = {0};
    (void)state;
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, b.data, b.len), b.len);
    close(fd);
    assert_int_equal(sft_open(&f, path, "m.safetensors", &e), ST_OK);
    sft_close(f);
    assert_int_equal(truncate(path, 20), 0);
    assert_int_equal(sft_open(&f, path, "m.safetensors", &e), ST_FORMAT);
    assert_int_equal(strncmp(e.msg, "m.safetensors: ", 15), 0);
    assert_string_equal(sft_error_class(), "truncated");
    unlink(path);
    assert_int_equal(sft_open(&f, path, "m.safetensors", &e), ST_NOT_FOUND);
    assert_int_not_equal(sft_open(&f, "/dev/zero", "m.safetensors", &e), ST_OK);
    buf_free(&b);
}

static void no_memory(void **state) {
    struct buf b = file_of(two, 12);
    const long live = mem_live();
    enum status st = ST_NO_MEMORY;
    (void)state;
    for (long n = 1; st != ST_OK && n < 1000; n++) {
        struct sft_file *f;
        struct err e = {0};
        mem_fail_at(n);
        st = sft_open_memory(&f, b.data, b.len, "x", &e);
        mem_fail_at(0);
        if (st == ST_OK)
            sft_close(f);
        else
            assert_int_equal(st, ST_NO_MEMORY);
        assert_int_equal(mem_live(), live);
    }
    assert_int_equal(st, ST_OK);
    buf_free(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries), cmocka_unit_test(long_names), cmocka_unit_test(content),
        cmocka_unit_test(on_disk), cmocka_unit_test(no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
