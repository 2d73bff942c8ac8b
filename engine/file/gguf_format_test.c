/* gguf_format_test.c - every check of spec/gguf.md 3 with a file built for it. */
#include "engine/file/gguf_testing.h"

/* -- the checks, by row of the table ----------------------------------------------------------- */

static void test_magic(void **state) {
    (void)state;
    static const char *const old[][2] = {
        {"lmgg", "ggml"}, {"fmgg", "ggmf"}, {"tjgg", "ggjt"}, {"algg", "ggla"}};
    struct buf b = {0};
    buf_str(&b, "");
    refuse(&b, "truncated", "file ends in the magic: 4 bytes needed, 0 left");
    buf_str(&b, "GGU");
    refuse(&b, "truncated", "magic");
    buf_str(&b, "FUGG\3\1\1\1");
    refuse(&b, "magic", "begins with 'FUGG'");
    buf_add(&b, "\0\xFF\n!....", 8);
    refuse(&b, "magic", "begins with '\\x00\\xff\\x0a!'");
    for (size_t i = 0; i < 4; i++) {
        buf_str(&b, old[i][0]);
        zeros(&b, 40);
        refuse_as(&b, "magic", ST_UNSUPPORTED, old[i][1]);
    }
}

static void test_version(void **state) {
    (void)state;
    static const struct {
        uint32_t version;
        const char *class, *text;
    } rows[] = {
        {0, "version", "bad GGUF version: 0"},
        {1, "version", "GGUFv1 is no longer supported"},
        {4, "version", "is version 4 but"},
        {0xFFFFFFFF, "version", "is version 4294967295 but"},
        {0x03000000, "endian", "big-endian byte order"},
        {0x00010000, "endian", "byte order"},
    };
    struct buf b = {0};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        header(&b, 0, 0);
        for (unsigned k = 0; k < 4; k++) b.data[4 + k] = (char)(rows[i].version >> (8 * k));
        refuse_as(&b, rows[i].class, ST_UNSUPPORTED, rows[i].text);
    }
    header(&b, 0, 0);
    b.data[4] = 2;
    struct gguf *g = accept(&b);
    assert_int_equal(gguf_version(g), 2);
    gguf_close(g);
    buf_free(&b);
}

static void test_counts(void **state) {
    (void)state;
    struct buf b = {0};
    header(&b, UINT64_MAX, 0);
    refuse(&b, "count", "number of tensors is -1");
    header(&b, 0, UINT64_C(1) << 63);
    refuse(&b, "count", "number of keys is -9223372036854775808");
    header(&b, 0, UINT64_C(1) << 40);
    zeros(&b, 100);
    refuse(&b, "truncated", "number of keys is 1099511627776");
    header(&b, UINT64_C(1) << 40, 1);
    pair_u32(&b, "k", 1);
    zeros(&b, 100);
    refuse(&b, "truncated", "number of tensors is 1099511627776");
    header(&b, 0, 2); /* one pair less than it says, too little for the minimum of another */
    pair_u32(&b, "k", 1);
    refuse(&b, "truncated", "number of keys is 2");
}

static void test_strings(void **state) {
    (void)state;
    static const uint64_t lengths[] = {UINT64_MAX, UINT64_C(1) << 63, (1 << 30) + 1};
    struct buf b = {0};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        header(&b, 0, 1);
        put(&b, lengths[i], 8);
        zeros(&b, 20);
        refuse_as(&b, "string", ST_LIMIT, "key #0: key of ");
        header(&b, 0, 1);
        key(&b, "name", GGUF_STRING);
        put(&b, lengths[i], 8);
        refuse_as(&b, "string", ST_LIMIT, "key 'name': string of ");
    }
    header(&b, 0, 1);
    key(&b, "name", GGUF_STRING);
    put(&b, 3, 8);
    buf_str(&b, "ab");
    refuse(&b, "string", "key 'name': string of 3 bytes, but the file has 2 left");
}

static void test_keys(void **state) {
    (void)state;
    struct buf b = {0}, long_key = {0};
    header(&b, 0, 2);
    pair_u32(&b, "k", 1);
    pair_u32(&b, "", 1);
    refuse(&b, "key", "key #1: key is empty"); /* not '' */
    header(&b, 0, 1);
    put_text(&b, "general.name\0x", 14);
    put(&b, GGUF_U8, 4);
    put(&b, 1, 1);
    refuse(&b, "key", "key 'general.name\\x00x': NUL");
    header(&b, 0, 3);
    pair_u32(&b, "same", 1);
    pair_u32(&b, "other", 1);
    pair_u32(&b, "same", 1);
    refuse(&b, "key", "key 'same': key appears more than once");

    for (int i = 0; i < 65535; i++) buf_chr(&long_key, 'k');
    header(&b, 0, 1);
    pair_u32(&b, long_key.data, 7);
    struct gguf *g = accept(&b);
    uint32_t v;
    assert_int_equal(gguf_get_u32(g, long_key.data, &v, NULL), ST_OK);
    assert_int_equal(v, 7);
    gguf_close(g);
    buf_free(&b);
    buf_chr(&long_key, 'k');
    header(&b, 0, 1);
    pair_u32(&b, long_key.data, 7);
    refuse(&b, "key", "...': key of 65536 bytes is longer than 65535");
    buf_free(&long_key);
}

static void test_types(void **state) {
    (void)state;
    struct buf b = {0};
    header(&b, 0, 1);
    key(&b, "k", 13);
    zeros(&b, 8);
    refuse(&b, "type", "key 'k': value type 13");
    header(&b, 0, 1);
    key(&b, "k", UINT32_MAX);
    zeros(&b, 8);
    refuse(&b, "type", "key 'k': value type 4294967295");
    header(&b, 0, 1);
    array(&b, "k", GGUF_ARRAY, 1);
    zeros(&b, 12);
    refuse(&b, "type", "arrays of arrays");
    header(&b, 0, 1);
    array(&b, "k", 13, 1);
    zeros(&b, 12);
    refuse(&b, "type", "array element type 13");
}

static void test_arrays(void **state) {
    (void)state;
    struct buf b = {0};
    header(&b, 0, 1);
    array(&b, "k", GGUF_U64, UINT64_C(1) << 61); /* times 8 is 0 */
    refuse_as(&b, "array", ST_LIMIT, "key 'k': array of 2305843009213693952");
    header(&b, 0, 1);
    array(&b, "k", GGUF_U8, UINT64_MAX);
    refuse_as(&b, "array", ST_LIMIT, "array of 18446744073709551615");
    header(&b, 0, 1);
    array(&b, "k", GGUF_U16, 3);
    zeros(&b, 5);
    refuse(&b, "array", "array of 3 x 2 bytes, but 5 are left");
    header(&b, 0, 1);
    array(&b, "k", GGUF_STRING, 3);
    zeros(&b, 23);
    refuse(&b, "array", "array of 3 x 8 bytes, but 23 are left");
    header(&b, 0, 1);
    array(&b, "k", GGUF_STRING, 3);
    put_text(&b, "abc", 3);
    put_text(&b, "", 0);
    put(&b, 9, 8);
    refuse(&b, "string", "key 'k': element 2: string of 9 bytes");
}

static void test_alignment(void **state) {
    (void)state;
    static const uint32_t bad[] = {0, 3, 33, 4095, UINT32_MAX};
    struct buf b = {0};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        header(&b, 0, 1);
        pair_u32(&b, "general.alignment", bad[i]);
        refuse(&b, "alignment", "not a power of two");
    }
    header(&b, 0, 1);
    pair(&b, "general.alignment", GGUF_U64, 32, 8);
    refuse(&b, "alignment", "general.alignment has type u64, not u32");
    for (uint32_t a = 1; a <= 128; a *= 2) { /* two tensors of one byte each */
        header(&b, 2, 1);
        pair_u32(&b, "general.alignment", a);
        row(&b, "a", 1, DT_I8, 0);
        row(&b, "b", 1, DT_I8, a);
        pad(&b, a);
        size_t start = b.len;
        zeros(&b, a);
        buf_chr(&b, 'B');
        struct gguf *g = accept(&b);
        assert_int_equal(gguf_alignment(g), a);
        assert_int_equal(gguf_data_offset(g), start);
        assert_int_equal(*gguf_find_tensor(g, "b")->data, 'B');
        gguf_close(g);
        buf_free(&b);
    }
    header(&b, 1, 1);
    pair_u32(&b, "general.alignment", UINT32_C(1) << 31);
    row(&b, "a", 1, DT_I8, 0);
    zeros(&b, 100);
    refuse(&b, "bounds", "tensor 'a': data of 1 bytes");
}

/* A file with one tensor info; the file goes on for 4096 bytes. */
static void one_tensor(struct buf *b, const char *name, uint32_t n_dims, const uint64_t *dim,
                       uint32_t type, uint64_t offset) {
    header(b, 1, 0);
    tensor(b, name, n_dims, dim, type, offset);
    pad(b, 32);
    zeros(b, 4096);
}

static void test_tensor_names(void **state) {
    (void)state;
    uint64_t one = 1;
    char name[65];
    struct buf b = {0};
    one_tensor(&b, "", 1, &one, DT_F32, 0);
    refuse(&b, "tensor_name", "tensor #0: name is empty");
    memset(name, 'n', sizeof name);
    name[64] = '\0';
    one_tensor(&b, name, 1, &one, DT_F32, 0);
    refuse(&b, "tensor_name", "name of 64 bytes is longer than 63");
    name[63] = '\0';
    one_tensor(&b, name, 1, &one, DT_F32, 0);
    gguf_close(accept(&b));
    buf_free(&b);
    header(&b, 1, 0);
    put_text(&b, "a\0b", 3);
    zeros(&b, 100);
    refuse(&b, "tensor_name", "tensor 'a\\x00b': NUL");
    header(&b, 1, 0);
    put(&b, UINT64_MAX, 8);
    zeros(&b, 100);
    refuse_as(&b, "string", ST_LIMIT, "tensor #0: tensor name of 18446744073709551615 bytes");
    header(&b, 2, 0);
    row(&b, "same", 1, DT_F32, 0);
    row(&b, "same", 1, DT_F32, 32);
    zeros(&b, 100);
    refuse(&b, "tensor_name", "tensor 'same': name appears more than once");
}

static void test_dims(void **state) {
    (void)state;
    static const struct {
        uint32_t n;
        uint64_t dim[5];
        const char *text;
    } rows[] = {
        {5, {1, 1, 1, 1, 1}, "tensor 't': 5 dimensions"},
        {2, {1, UINT64_MAX}, "tensor 't': dimension 1 is -1"},
        {1, {UINT64_C(1) << 63}, "dimension 0 is -9223372036854775808"},
        {2, {UINT64_C(1) << 32, UINT64_C(1) << 32}, "product"},
        {4, {1 << 16, 1 << 16, 1 << 16, 1 << 16}, "product"},
        {3, {UINT64_C(1) << 62, 4, 0}, "product"}, /* the 0 comes too late to hide it */
        {1, {UINT64_C(1) << 62}, "size in bytes"},
    };
    struct buf b = {0};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        one_tensor(&b, "t", rows[i].n, rows[i].dim, DT_F32, 0);
        refuse(&b, "dims", rows[i].text);
    }
    header(&b, 1, 0);
    put_text(&b, "t", 1);
    put(&b, UINT32_MAX, 4);
    zeros(&b, 100);
    refuse(&b, "dims", "4294967295 dimensions");
}

static void test_odd_shapes(void **state) {
    (void)state;
    static const struct {
        uint32_t n;
        uint64_t dim[4];
        size_t size;
    } rows[] = {
        {0, {0}, 4}, /* one element */
        {2, {3, 5}, 60}, {4, {2, 1, 3, 1}, 24}, {3, {7, 0, 9}, 0}, {2, {0, UINT64_C(1) << 62}, 0},
    };
    struct buf b = {0};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        one_tensor(&b, "t", rows[i].n, rows[i].dim, DT_F32, 0);
        struct gguf *g = accept(&b);
        const struct gguf_tensor *t = gguf_tensor_at(g, 0);
        assert_int_equal(t->n_dims, rows[i].n);
        assert_int_equal(t->size, rows[i].size);
        for (uint32_t d = 0; d < 4; d++)
            assert_int_equal(t->dim[d], d < rows[i].n ? rows[i].dim[d] : 1);
        assert_int_equal(gguf_parameter_count(g), rows[i].size / 4);
        gguf_close(g);
        buf_free(&b);
    }
}

static void test_tensor_types(void **state) {
    (void)state;
    static const uint32_t bad[] = {4, 5, 31, 32, 33, 36, 37, 38, 43, 99, 0x80000000, UINT32_MAX};
    uint64_t dim = 256;
    struct buf b = {0};
    char text[64];
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        snprintf(text, sizeof text, "tensor 't': type %u %s", bad[i], bad[i] < 43 ? "(" : "is not");
        one_tensor(&b, "t", 1, &dim, bad[i], 0);
        refuse_as(&b, "tensor_type", ST_UNSUPPORTED, text);
    }
    for (uint32_t id = 0; id < DT_COUNT; id++) {
        const struct dtype_info *info = dtype_info(id);
        if (info == NULL) continue;
        one_tensor(&b, "t", 1, &dim, id, 0);
        struct gguf *g = accept(&b);
        assert_int_equal(gguf_tensor_at(g, 0)->size, 256 / info->elems * info->bytes);
        gguf_close(g);
        buf_free(&b);
        if (info->elems == 1) continue;
        uint64_t dims[2] = {info->elems / 2, 2}; /* the total is a whole block, the row is not */
        one_tensor(&b, "t", 2, dims, id, 0);
        refuse(&b, "block", info->name);
        one_tensor(&b, "t", 0, NULL, id, 0);
        refuse(&b, "block", "tensor 't': rows of 1 elements");
    }
}

static void test_offsets(void **state) {
    (void)state;
    static const uint64_t first[] = {1, 32, UINT64_MAX, UINT64_MAX - 31};
    static const uint64_t second[] = {0, 31, 33, 64, UINT64_C(1) << 63};
    struct buf b = {0};
    uint64_t dim = 4;
    for (size_t i = 0; i < sizeof first / sizeof first[0]; i++) {
        one_tensor(&b, "t", 1, &dim, DT_F32, first[i]);
        refuse(&b, "offset", "tensor 't': offset is ");
    }
    for (size_t i = 0; i < sizeof second / sizeof second[0]; i++) {
        header(&b, 2, 0);
        row(&b, "a", 4, DT_F32, 0);
        row(&b, "b", 4, DT_F32, second[i]);
        zeros(&b, 200);
        refuse(&b, "offset", "tensor 'b': offset is ");
    }
}

static void test_bounds(void **state) {
    (void)state;
    struct buf b = {0};
    header(&b, 2, 0);
    row(&b, "a", 8, DT_F32, 0);
    row(&b, "b", 3, DT_I8, 32);
    size_t infos_end = b.len;
    pad(&b, 32);
    size_t start = b.len;
    zeros(&b, 32 + 3); /* no padding behind the last tensor */
    for (size_t n = infos_end; n < start + 35; n++) {
        struct buf part = {0};
        buf_add(&part, b.data, n);
        refuse(&part, "bounds",
               n < start + 32 ? "tensor 'a': data of 32" : "tensor 'b': data of 3");
    }
    gguf_close(accept(&b));
    buf_free(&b);

    uint64_t huge = (UINT64_C(1) << 61) - 1;
    one_tensor(&b, "t", 1, &huge, DT_F32, 0);
    refuse(&b, "bounds", "past the end");
    huge = INT64_MAX; /* fits, but not when rounded up */
    one_tensor(&b, "t", 1, &huge, DT_I8, 0);
    refuse(&b, "bounds", "past the end");

    header(&b, 1, 0); /* no data: the file may end right behind the infos, start included */
    row(&b, "empty", 0, DT_F32, 0);
    struct gguf *g = accept(&b);
    assert_true(gguf_data_offset(g) > b.len);
    assert_int_equal(gguf_tensor_at(g, 0)->size, 0);
    gguf_close(g);
    buf_free(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_magic),        cmocka_unit_test(test_version),
        cmocka_unit_test(test_counts),       cmocka_unit_test(test_strings),
        cmocka_unit_test(test_keys),         cmocka_unit_test(test_types),
        cmocka_unit_test(test_arrays),       cmocka_unit_test(test_alignment),
        cmocka_unit_test(test_tensor_names), cmocka_unit_test(test_dims),
        cmocka_unit_test(test_odd_shapes),   cmocka_unit_test(test_tensor_types),
        cmocka_unit_test(test_offsets),      cmocka_unit_test(test_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
