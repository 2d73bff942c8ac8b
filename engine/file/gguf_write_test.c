/* gguf_write_test.c - what the writer writes is what the reader reads: every value type, copies of
 * pairs, replacing, dropping, sorting, data in pieces, the mistakes, and failing allocations. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/os.h"
#include "engine/file/gguf_write.h"

static struct gguf_writer *fresh(void) {
    struct gguf_writer *w = NULL;
    assert_int_equal(gguf_writer_new(&w, NULL), ST_OK);
    return w;
}

/* Finishes a file without tensor data and opens it; b holds its bytes. */
static struct gguf *written(struct gguf_writer *w, struct buf *b) {
    struct gguf *g = NULL;
    struct err e = {0};
    enum status st = gguf_write_to(w, gguf_to_buf, b, &e);
    if (st == ST_OK) st = gguf_write_finish(w, &e);
    if (st == ST_OK) st = gguf_open_memory(&g, b->data, b->len, "t", &e);
    if (st != ST_OK) fail_msg("%s", e.msg);
    assert_int_equal(gguf_writer_size(w), b->len);
    gguf_writer_free(w);
    return g;
}

static void put_everything(struct gguf_writer *w) {
    static const int8_t i8[] = {-128, 0, 127};
    static const uint16_t u16[] = {0, 65535};
    static const float f32[] = {-1.5f, 3.25f};
    static const double f64[] = {1e300};
    static const bool flags[] = {true, false, true};
    struct gguf_str texts[] = {{"a\0b", 3}, {"", 0}, gguf_str_of("\xc3\xa9")};
    int64_t i64 = INT64_MIN;
    int16_t i16 = -2;
    uint64_t u64 = UINT64_MAX;
    gguf_put_text(w, "general.architecture", "llama");
    gguf_put_u32(w, "u32", UINT32_MAX);
    gguf_put_f32(w, "f32", 0.1f);
    gguf_put_bool(w, "yes", true);
    gguf_put_str(w, "nul", texts[0]);
    gguf_put_scalar(w, "i64", GGUF_I64, &i64);
    gguf_put_scalar(w, "i16", GGUF_I16, &i16);
    gguf_put_scalar(w, "u64", GGUF_U64, &u64);
    gguf_put_array(w, "i8s", GGUF_I8, 3, i8);
    gguf_put_array(w, "u16s", GGUF_U16, 2, u16);
    gguf_put_array(w, "f32s", GGUF_F32, 2, f32);
    gguf_put_array(w, "f64s", GGUF_F64, 1, f64);
    gguf_put_array(w, "flags", GGUF_BOOL, 3, flags);
    gguf_put_array(w, "texts", GGUF_STRING, 3, texts);
    gguf_put_array(w, "none", GGUF_STRING, 0, NULL);
    gguf_put_array(w, "no ints", GGUF_I32, 0, NULL);
}

static void check_everything(const struct gguf *g) {
    uint32_t u32 = 0;
    float f32 = 0;
    bool yes = false;
    struct gguf_str s;
    assert_int_equal(gguf_n_kv(g), 16);
    assert_int_equal(gguf_get_u32(g, "u32", &u32, NULL), ST_OK);
    assert_int_equal(u32, UINT32_MAX);
    assert_int_equal(gguf_get_f32(g, "f32", &f32, NULL), ST_OK);
    assert_true(f32 == 0.1f);
    assert_int_equal(gguf_get_bool(g, "yes", &yes, NULL), ST_OK);
    assert_true(yes);
    assert_int_equal(gguf_get_str(g, "nul", &s, NULL), ST_OK);
    assert_int_equal(s.len, 3);
    assert_memory_equal(s.ptr, "a\0b", 3);
    assert_true(gguf_elem_int(gguf_find(g, "i64"), 0) == INT64_MIN);
    assert_int_equal(gguf_elem_int(gguf_find(g, "i16"), 0), -2);
    assert_memory_equal(gguf_find(g, "u64")->data, "\xff\xff\xff\xff\xff\xff\xff\xff", 8);
    assert_int_equal(gguf_elem_int(gguf_find(g, "i8s"), 0), -128);
    assert_int_equal(gguf_elem_int(gguf_find(g, "u16s"), 1), 65535);
    assert_true(gguf_elem_float(gguf_find(g, "f32s"), 1) == 3.25);
    assert_true(gguf_elem_float(gguf_find(g, "f64s"), 0) == 1e300);
    assert_int_equal(gguf_elem_int(gguf_find(g, "flags"), 1), 0);
    assert_int_equal(gguf_elem_int(gguf_find(g, "flags"), 2), 1);
    assert_int_equal(gguf_elem_str(g, gguf_find(g, "texts"), 0).len, 3);
    assert_int_equal(gguf_elem_str(g, gguf_find(g, "texts"), 1).len, 0);
    assert_memory_equal(gguf_elem_str(g, gguf_find(g, "texts"), 2).ptr, "\xc3\xa9", 2);
    assert_int_equal(gguf_find(g, "none")->count, 0);
    assert_int_equal(gguf_find(g, "no ints")->elem, GGUF_I32);
}

static void test_every_type_comes_back(void **state) {
    (void)state;
    struct buf one = {0}, two = {0};
    struct gguf_writer *w = fresh();
    put_everything(w);
    struct gguf *g = written(w, &one);
    check_everything(g);
    w = fresh();
    gguf_put_all(w, g);
    struct gguf *copy = written(w, &two);
    check_everything(copy);
    assert_int_equal(one.len, two.len);
    assert_memory_equal(one.data, two.data, one.len);
    gguf_close(copy);
    gguf_close(g);
    buf_free(&one);
    buf_free(&two);
}

static void test_replace_drop_sort(void **state) {
    (void)state;
    struct buf b = {0};
    struct gguf_writer *w = fresh();
    gguf_put_u32(w, "b", 1);
    gguf_put_u32(w, "a", 2);
    gguf_put_u32(w, "ab", 3);
    gguf_put_u32(w, "gone", 4);
    gguf_put_text(w, "b", "new"); /* in its old place */
    gguf_drop(w, "gone");
    gguf_drop(w, "never there");
    struct gguf *g = written(w, &b);
    assert_int_equal(gguf_n_kv(g), 3);
    assert_memory_equal(gguf_kv_at(g, 0)->key.ptr, "b", 1);
    assert_int_equal(gguf_kv_at(g, 0)->type, GGUF_STRING);
    w = fresh();
    gguf_put_all(w, g);
    gguf_put_u32(w, "gone", 1);
    gguf_drop(w, "gone");
    gguf_put_u32(w, "gone", 5); /* and back */
    gguf_writer_sort(w);
    struct buf c = {0};
    struct gguf *sorted = written(w, &c);
    static const char *const order[] = {"a", "ab", "b", "gone"};
    assert_int_equal(gguf_n_kv(sorted), 4);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(gguf_kv_at(sorted, i)->key.len, strlen(order[i]));
        assert_memory_equal(gguf_kv_at(sorted, i)->key.ptr, order[i], strlen(order[i]));
    }
    gguf_close(sorted);
    gguf_close(g);
    buf_free(&b);
    buf_free(&c);
}

/* Three tensors, one of them without data; the pieces of a call end anywhere. */
static void put_tensors(struct gguf_writer *w, size_t piece) {
    static const float x[3][5] = {{1, 2, 3, 4, 5}, {6, 7, 8, 9, 10}, {11, 12, 13, 14, 15}};
    static const uint8_t half[] = {1, 2, 3, 4, 5, 6};
    const char *p = (const char *)x;
    for (size_t at = 0; at < sizeof x; at += piece) {
        size_t n = sizeof x - at < piece ? sizeof x - at : piece;
        assert_int_equal(gguf_write_data(w, p + at, n, NULL), ST_OK);
    }
    assert_int_equal(gguf_write_data(w, half, 0, NULL), ST_OK);
    assert_int_equal(gguf_write_data(w, half, sizeof half, NULL), ST_OK);
    assert_int_equal(gguf_write_finish(w, NULL), ST_OK);
}

static void add_tensors(struct gguf_writer *w) {
    gguf_add_tensor(w, gguf_str_of("empty.weight"), DT_F32, 2, (int64_t[]){4, 0});
    gguf_add_tensor(w, gguf_str_of("a.weight"), DT_F32, 2, (int64_t[]){5, 3});
    gguf_add_tensor(w, gguf_str_of("b.weight"), DT_F16, 1, (int64_t[]){3});
}

static void test_tensors(void **state) {
    (void)state;
    static const uint32_t alignments[] = {0, 1, 32, 64, 4096};
    for (size_t i = 0; i < sizeof alignments / sizeof *alignments; i++) {
        struct buf b = {0};
        struct gguf *g = NULL;
        struct gguf_writer *w = fresh();
        if (alignments[i] != 0) gguf_put_u32(w, "general.alignment", alignments[i]);
        add_tensors(w);
        assert_int_equal(gguf_write_to(w, gguf_to_buf, &b, NULL), ST_OK);
        put_tensors(w, 1 + i * 13);
        assert_int_equal(gguf_writer_size(w), b.len);
        gguf_writer_free(w);
        assert_int_equal(gguf_open_memory(&g, b.data, b.len, "t", NULL), ST_OK);
        const struct gguf_tensor *t = gguf_find_tensor(g, "a.weight");
        assert_int_equal(t->n_dims, 2);
        assert_int_equal(t->dim[0], 5);
        assert_int_equal(t->dim[1], 3);
        assert_memory_equal(t->data + 14 * 4, &(float){15}, 4);
        assert_memory_equal(gguf_find_tensor(g, "b.weight")->data, "\1\2\3\4\5\6", 6);
        assert_int_equal(gguf_find_tensor(g, "empty.weight")->size, 0);
        assert_int_equal(b.len % gguf_alignment(g), 0);
        gguf_close(g);
        buf_free(&b);
    }
}

/* Any power of two is legal; without data there is nothing to align, and nothing is padded. */
static void test_huge_alignment(void **state) {
    (void)state;
    struct buf b = {0};
    struct gguf_writer *w = fresh();
    gguf_put_u32(w, "general.alignment", UINT32_C(1) << 31);
    gguf_add_tensor(w, gguf_str_of("empty"), DT_F32, 1, (int64_t[]){0});
    struct gguf *g = written(w, &b);
    assert_true(b.len < 200);
    assert_int_equal(gguf_n_tensors(g), 1);
    gguf_close(g);
    buf_free(&b);
}

/* ---- mistakes ---- */

static void refused(struct gguf_writer *w, const char *text) {
    struct buf b = {0};
    struct err e = {0};
    gguf_put_u32(w, "later", 1); /* the first mistake is the one that is told */
    gguf_put_u32(w, "", 1);
    assert_int_equal(gguf_write_to(w, gguf_to_buf, &b, &e), ST_INVALID);
    if (strstr(e.msg, text) == NULL) fail_msg("\"%s\", expected \"%s\"", e.msg, text);
    assert_int_equal(b.len, 0);
    gguf_writer_free(w);
    buf_free(&b);
}

static struct gguf_writer *with_tensor(const char *name, enum dtype type, int64_t a, int64_t b) {
    struct gguf_writer *w = fresh();
    gguf_add_tensor(w, gguf_str_of(name), type, 2, (int64_t[]){a, b});
    return w;
}

static void test_mistakes(void **state) {
    (void)state;
    static char long_key[65537];
    struct gguf_writer *w = fresh();
    memset(long_key, 'k', sizeof long_key - 1);
    gguf_put_u32(w, "", 1);
    refused(w, "key is empty");
    w = fresh();
    gguf_put_u32(w, long_key, 1);
    refused(w, "longer than 65535");
    refused(with_tensor("", DT_F32, 1, 1), "the name is empty");
    long_key[64] = '\0';
    refused(with_tensor(long_key, DT_F32, 1, 1), "longer than 63");
    refused(with_tensor("t", DT_Q8_0, 33, 1), "no whole number of blocks");
    refused(with_tensor("t", DT_F32, -1, 1), "negative dimension");
    refused(with_tensor("t", DT_F32, INT64_MAX, 2), "product is too large");
    refused(with_tensor("t", DT_F32, INT64_MAX, 1), "size in bytes is too large");
    refused(with_tensor("t", (enum dtype)4, 1, 1), "unknown type");
    w = with_tensor("t", DT_F32, 1, 1);
    gguf_add_tensor(w, gguf_str_of("t"), DT_F32, 0, NULL);
    refused(w, "'t': the name appears more than once");
    static const uint32_t bad[] = {0, 3, 33};
    struct buf b = {0};
    for (size_t i = 0; i < 3; i++) {
        w = fresh();
        gguf_put_u32(w, "general.alignment", bad[i]);
        assert_int_equal(gguf_write_to(w, gguf_to_buf, &b, NULL), ST_INVALID);
        gguf_writer_free(w);
    }
    w = fresh();
    gguf_put_text(w, "general.alignment", "32");
    assert_int_equal(gguf_write_to(w, gguf_to_buf, &b, NULL), ST_INVALID);
    gguf_writer_free(w);
    gguf_writer_free(NULL);
}

/* ---- files and faults ---- */

static void test_file(void **state) {
    (void)state;
    char path[] = "/tmp/cria-gguf-write-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    struct gguf_writer *w = fresh();
    struct gguf *g = NULL;
    struct err e;
    add_tensors(w);
    assert_int_equal(gguf_write_file(w, path, NULL), ST_OK);
    gguf_writer_free(w); /* given up: the old, empty file is still there */
    assert_int_not_equal(gguf_open(&g, path, NULL), ST_OK);
    w = fresh();
    add_tensors(w);
    assert_int_equal(gguf_write_file(w, path, NULL), ST_OK);
    put_tensors(w, 60);
    gguf_writer_free(w);
    assert_int_equal(gguf_open(&g, path, NULL), ST_OK);
    assert_int_equal(gguf_n_tensors(g), 3);
    gguf_close(g);
    w = fresh();
    assert_int_equal(gguf_write_file(w, "/nowhere/at/all.gguf", &e), ST_NOT_FOUND);
    gguf_writer_free(w);
    unlink(path);
}

static enum status whole(struct buf *b) {
    struct gguf_writer *w;
    enum status st = gguf_writer_new(&w, NULL);
    if (st != ST_OK) return st;
    put_everything(w);
    for (int i = 0; i < 40; i++) {
        char name[16];
        snprintf(name, sizeof name, "t%d", i);
        gguf_add_tensor(w, gguf_str_of(name), DT_F32, 1, (int64_t[]){0});
    }
    st = gguf_write_to(w, gguf_to_buf, b, NULL);
    if (st == ST_OK) st = gguf_write_finish(w, NULL);
    gguf_writer_free(w);
    return st;
}

static void test_faults(void **state) {
    (void)state;
    long live = mem_live();
    for (long n = 1;; n++) {
        struct buf b = {0};
        mem_fail_at(n);
        enum status st = whole(&b);
        mem_fail_at(0);
        buf_free(&b);
        assert_int_equal(mem_live(), live);
        if (st == ST_OK) break;
        assert_int_equal(st, ST_NO_MEMORY);
        assert_true(n < 1000);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_type_comes_back),
        cmocka_unit_test(test_replace_drop_sort),
        cmocka_unit_test(test_tensors),
        cmocka_unit_test(test_huge_alignment),
        cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_file),
        cmocka_unit_test(test_faults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
