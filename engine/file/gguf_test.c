/* gguf_test.c - the getters, every prefix and every changed byte of a file with everything, failing
 * allocations, names of types. */
#include <math.h>
#include <unistd.h>

#include "engine/file/gguf_testing.h"

/* -- a file with everything -------------------------------------------------------------------- */

/* Returns where the tensor infos end. */
static size_t everything(struct buf *b) {
    static const uint64_t dims[] = {32, 2};
    header(b, 3, 27);
    pair_str(b, "general.architecture", "llama");
    pair(b, "u8", GGUF_U8, 255, 1);
    pair(b, "i8", GGUF_I8, 0x80, 1);
    pair(b, "u16", GGUF_U16, 65535, 2);
    pair(b, "i16", GGUF_I16, 0x8000, 2);
    pair_u32(b, "u32", UINT32_MAX);
    pair(b, "i32", GGUF_I32, 0x80000000, 4);
    pair(b, "i32.5", GGUF_I32, 5, 4);
    pair(b, "u64", GGUF_U64, UINT64_MAX, 8);
    pair(b, "u64.max", GGUF_U64, INT64_MAX, 8);
    pair(b, "u64.7", GGUF_U64, 7, 8);
    pair(b, "i64", GGUF_I64, UINT64_C(1) << 63, 8);
    pair(b, "f32", GGUF_F32, 0x3FC00000, 4); /* 1.5 */
    pair(b, "f32.inf", GGUF_F32, 0x7F800000, 4);
    pair_f64(b, "f64", -0.25);
    pair_f64(b, "f64.big", 1e300);
    pair_f64(b, "f64.nan", (double)NAN);
    pair(b, "no", GGUF_BOOL, 0, 1);
    pair(b, "yes", GGUF_BOOL, 200, 1);
    key(b, "str", GGUF_STRING);
    put_text(b, "a\0b", 3);
    pair_str(b, "str.empty", "");
    array(b, "a.str", GGUF_STRING, 3);
    put_text(b, "eins", 4);
    put_text(b, "", 0);
    put_text(b, "dr\0i", 4);
    array(b, "a.none", GGUF_STRING, 0);
    array(b, "a.i16", GGUF_I16, 2);
    put(b, 0xFFFF, 2);
    put(b, 300, 2);
    array(b, "a.bool", GGUF_BOOL, 2);
    put(b, 0x0200, 2);
    array(b, "a.f32", GGUF_F32, 1);
    put(b, 0xBF800000, 4);
    array(b, "a.str2", GGUF_STRING, 1);
    put_text(b, "vier", 4);
    tensor(b, "blk.0.w", 2, dims, DT_Q4_0, 0);
    row(b, "b", 3, DT_F32, 64);
    row(b, "c", 0, DT_F32, 96);
    size_t infos_end = b->len;
    pad(b, 32);
    zeros(b, 64);
    put(b, 0x3F800000, 4);
    zeros(b, 8); /* every byte counts: no padding behind the last tensor */
    return infos_end;
}

static void test_everything(void **state) {
    (void)state;
    struct buf b = {0};
    everything(&b);
    buf_str(&b, "trailing bytes");
    struct gguf *g = accept(&b);
    assert_string_equal(gguf_label(g), "t.gguf");
    assert_int_equal(gguf_version(g), 3);
    assert_int_equal(gguf_alignment(g), 32);
    assert_int_equal(gguf_file_size(g), b.len);
    assert_int_equal(gguf_n_kv(g), 27);
    assert_int_equal(gguf_n_tensors(g), 3);
    assert_int_equal(gguf_parameter_count(g), 64 + 3);
    for (size_t i = 0; i < gguf_n_kv(g); i++) {
        char *name = mem_strndup(gguf_kv_at(g, i)->key.ptr, gguf_kv_at(g, i)->key.len);
        assert_ptr_equal(gguf_find(g, name), gguf_kv_at(g, i));
        mem_free(name);
    }
    assert_null(gguf_find(g, "u"));
    assert_null(gguf_find(g, ""));
    assert_null(gguf_find_tensor(g, "u8"));
    const struct gguf_tensor *t = gguf_find_tensor(g, "b");
    assert_ptr_equal(t, gguf_tensor_at(g, 1));
    assert_ptr_equal(t->data, b.data + gguf_data_offset(g) + 64);
    assert_int_equal(t->size, 12);
    gguf_close(g);
    buf_free(&b);
}

static void test_elements(void **state) {
    (void)state;
    static const struct {
        const char *key;
        int64_t value;
    } ints[] = {{"u8", 255},     {"i8", -128},        {"u16", 65535},
                {"i16", -32768}, {"u32", UINT32_MAX}, {"i32", INT32_MIN},
                {"i32.5", 5},    {"u64", INT64_MAX},  {"u64.max", INT64_MAX},
                {"u64.7", 7},    {"i64", INT64_MIN},  {"no", 0},
                {"yes", 1}};
    static const struct {
        uint64_t i;
        struct gguf_str want;
    } strings[] = {{0, {"eins", 4}}, {1, {"", 0}}, {2, {"dr\0i", 4}}};
    struct buf b = {0};
    everything(&b);
    struct gguf *g = accept(&b);
    for (size_t i = 0; i < sizeof ints / sizeof ints[0]; i++) {
        const struct gguf_kv *kv = gguf_find(g, ints[i].key);
        assert_true(gguf_elem_int(kv, 0) == ints[i].value);
        assert_int_equal(gguf_is_int(kv->type), kv->type != GGUF_BOOL);
        if (kv->type != GGUF_BOOL && kv->type != GGUF_U64)
            assert_true(gguf_elem_float(kv, 0) == (double)ints[i].value);
    }
    const struct gguf_kv *kv = gguf_find(g, "a.str");
    for (size_t i = 0; i < 3; i++) {
        struct gguf_str s = gguf_elem_str(g, kv, strings[i].i);
        assert_int_equal(s.len, strings[i].want.len);
        assert_memory_equal(s.ptr, strings[i].want.ptr, s.len);
    }
    assert_memory_equal(gguf_elem_str(g, gguf_find(g, "a.str2"), 0).ptr, "vier", 4);
    assert_memory_equal(gguf_elem_str(g, gguf_find(g, "general.architecture"), 0).ptr, "llama", 5);
    kv = gguf_find(g, "a.i16");
    assert_int_equal(kv->type, GGUF_ARRAY);
    assert_int_equal(gguf_elem_int(kv, 0), -1);
    assert_int_equal(gguf_elem_int(kv, 1), 300);
    kv = gguf_find(g, "a.bool");
    assert_int_equal(gguf_elem_int(kv, 0), 0);
    assert_int_equal(gguf_elem_int(kv, 1), 1);
    assert_true(gguf_elem_float(gguf_find(g, "a.f32"), 0) == -1.0);
    assert_true(gguf_elem_float(gguf_find(g, "u64"), 0) > 1.8e19);
    assert_true(gguf_elem_float(gguf_find(g, "f64.big"), 0) == 1e300);
    assert_int_equal(gguf_find(g, "a.none")->count, 0);
    gguf_close(g);
    buf_free(&b);
}

/* Which getter accepts which key. A refusal leaves the target alone. */
static void test_getters(void **state) {
    (void)state;
    static const struct {
        const char *key;
        bool u32, i64, f32, boolean, str;
    } rows[] = {
        {"u8", true, true, true, false, false},
        {"i8", false, true, true, false, false},
        {"u16", true, true, true, false, false},
        {"i16", false, true, true, false, false},
        {"u32", true, true, true, false, false},
        {"i32", false, true, true, false, false},
        {"i32.5", true, true, true, false, false},
        {"u64", false, false, true, false, false},
        {"u64.max", false, true, true, false, false},
        {"u64.7", true, true, true, false, false},
        {"i64", false, true, true, false, false},
        {"f32", false, false, true, false, false},
        {"f32.inf", false, false, true, false, false},
        {"f64", false, false, true, false, false},
        {"f64.big", false, false, false, false, false},
        {"f64.nan", false, false, true, false, false},
        {"no", false, false, false, true, false},
        {"yes", false, false, false, true, false},
        {"str", false, false, false, false, true},
        {"str.empty", false, false, false, false, true},
        {"a.str", false, false, false, false, false},
        {"a.i16", false, false, false, false, false},
        {"a.f32", false, false, false, false, false},
        {"a.bool", false, false, false, false, false},
    };
    struct buf b = {0};
    everything(&b);
    struct gguf *g = accept(&b);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *k = rows[i].key;
        uint32_t u = 4711;
        int64_t n = 4711;
        float f = 4711;
        bool t = false;
        struct gguf_str s = {"untouched", 9};
        assert_int_equal(gguf_get_u32(g, k, &u, NULL), rows[i].u32 ? ST_OK : ST_FORMAT);
        assert_int_equal(gguf_get_i64(g, k, &n, NULL), rows[i].i64 ? ST_OK : ST_FORMAT);
        assert_int_equal(gguf_get_f32(g, k, &f, NULL), rows[i].f32 ? ST_OK : ST_FORMAT);
        assert_int_equal(gguf_get_bool(g, k, &t, NULL), rows[i].boolean ? ST_OK : ST_FORMAT);
        assert_int_equal(gguf_get_str(g, k, &s, NULL), rows[i].str ? ST_OK : ST_FORMAT);
        const struct gguf_kv *kv = gguf_find(g, k);
        assert_true(u == (rows[i].u32 ? gguf_elem_int(kv, 0) : 4711));
        assert_true(n == (rows[i].i64 ? gguf_elem_int(kv, 0) : 4711));
        if (!rows[i].f32)
            assert_true(f == 4711.0F);
        else if (!isnan(f))
            assert_true(f == (float)gguf_elem_float(kv, 0));
        assert_true(rows[i].str == (s.len != 9));
    }
    bool yes = false;
    assert_int_equal(gguf_get_bool(g, "yes", &yes, NULL), ST_OK);
    assert_true(yes);
    gguf_close(g);
    buf_free(&b);
}

static void test_getter_messages(void **state) {
    (void)state;
    struct buf b = {0};
    struct err e = {0};
    uint32_t u;
    float f;
    struct gguf_str s;
    everything(&b);
    struct gguf *g = accept(&b);
    assert_int_equal(gguf_get_u32(g, "missing", &u, &e), ST_NOT_FOUND);
    assert_string_equal(e.msg, "t.gguf: key missing not found");
    assert_int_equal(gguf_get_u32(g, "str", &u, &e), ST_FORMAT);
    assert_string_equal(e.msg, "t.gguf: key str has wrong type string but expected type u32");
    assert_int_equal(gguf_get_str(g, "a.i16", &s, &e), ST_FORMAT);
    assert_string_equal(e.msg,
                        "t.gguf: key a.i16 has wrong type array of i16 but expected type string");
    assert_int_equal(gguf_get_u32(g, "i8", &u, &e), ST_FORMAT);
    assert_string_equal(e.msg, "t.gguf: key i8 has value -128, which is no u32");
    assert_int_equal(gguf_get_u32(g, "u64", &u, &e), ST_FORMAT);
    assert_string_equal(e.msg, "t.gguf: key u64 has value 18446744073709551615, which is no u32");
    assert_int_equal(gguf_get_f32(g, "f64.big", &f, &e), ST_FORMAT);
    assert_string_equal(e.msg, "t.gguf: key f64.big has value 1e+300, which is no f32");
    gguf_close(g);
    buf_free(&b);
}

/* -- robustness -------------------------------------------------------------------------------- */

static void test_every_prefix(void **state) {
    (void)state;
    struct buf b = {0};
    size_t infos_end = everything(&b);
    for (size_t n = 0; n < b.len; n++) {
        struct gguf *g = NULL;
        struct err e = {0};
        char *copy;
        assert_int_equal(open_copy(&g, b.data, n, &copy, &e), ST_FORMAT);
        mem_free(copy);
        const char *class = gguf_error_class();
        bool cut = strcmp(class, "truncated") == 0 || strcmp(class, "string") == 0 ||
                   strcmp(class, "array") == 0;
        if (n < infos_end ? !cut : strcmp(class, "bounds") != 0)
            fail_msg("%zu bytes of %zu: class %s, %s", n, b.len, class, e.msg);
        if (strstr(e.msg, "ends in") == NULL && strstr(e.msg, "left") == NULL &&
            strstr(e.msg, "past the end") == NULL)
            fail_msg("%zu bytes: the message does not name the defect: %s", n, e.msg);
    }
    buf_free(&b);
}

/* Each byte replaced by some values: whatever comes out, no crash (ASan, UBSan) and no leak. */
static void test_every_byte_changed(void **state) {
    (void)state;
    static const unsigned char values[] = {0, 1, 9, 0x20, 0x7F, 0x80, 0xFF};
    struct buf b = {0};
    everything(&b);
    long live = mem_live();
    for (size_t i = 0; i < b.len; i++) {
        char old = b.data[i];
        for (size_t k = 0; k < sizeof values; k++) {
            struct gguf *g = NULL;
            b.data[i] = (char)values[k];
            if (gguf_open_memory(&g, b.data, b.len, "t.gguf", NULL) != ST_OK) assert_null(g);
            gguf_close(g);
            assert_int_equal(mem_live(), live);
        }
        b.data[i] = old;
    }
    buf_free(&b);
}

static void test_failing_allocations(void **state) {
    (void)state;
    struct buf b = {0};
    everything(&b);
    for (long n = 1;; n++) {
        struct gguf *g = NULL;
        struct err e = {0};
        long live = mem_live();
        mem_fail_at(n);
        enum status st = gguf_open_memory(&g, b.data, b.len, "t.gguf", &e);
        mem_fail_at(0);
        if (st == ST_OK) {
            assert_true(n > 6); /* struct, label, pairs, strings, two maps, tensors */
            gguf_close(g);
            assert_int_equal(mem_live(), live);
            break;
        }
        assert_int_equal(st, ST_NO_MEMORY);
        assert_int_equal(e.code, ST_NO_MEMORY);
        assert_string_equal(gguf_error_class(), "");
        assert_null(g);
        assert_int_equal(mem_live(), live);
    }
    buf_free(&b);
}

static void test_many_strings(void **state) {
    (void)state;
    enum { N = (1 << 20) + 3 };
    struct buf b = {0};
    char text[16];
    header(&b, 0, 2);
    for (int k = 0; k < 2; k++) { /* the second array is behind the first in the string table */
        array(&b, k == 0 ? "tokens" : "merges", GGUF_STRING, N);
        for (int i = 0; i < N; i++) {
            int n = snprintf(text, sizeof text, "%d", i + k);
            put_text(&b, text, (size_t)n);
        }
    }
    struct gguf *g = accept(&b);
    for (int i = N - 1; i >= 0; i--) {
        int n = snprintf(text, sizeof text, "%d", i + 1);
        struct gguf_str s = gguf_elem_str(g, gguf_kv_at(g, 1), (uint64_t)i);
        if (s.len != (size_t)n || memcmp(s.ptr, text, s.len) != 0) fail_msg("string %d", i);
    }
    assert_memory_equal(gguf_elem_str(g, gguf_find(g, "tokens"), 12345).ptr, "12345", 5);
    gguf_close(g);
    buf_free(&b);
}

static void test_label_is_cut(void **state) {
    (void)state;
    char label[401];
    struct gguf *g = NULL;
    struct err e = {0};
    for (size_t i = 0; i < 400; i += 2) memcpy(label + i, "\xC3\xA4", 2);
    label[400] = '\0';
    assert_int_equal(gguf_open_memory(&g, "GGUFxxxx", 6, label + 1, &e), ST_FORMAT);
    assert_memory_equal(e.msg, "...\xC3\xA4", 5);
    assert_non_null(strstr(e.msg, ": file ends in the version: 4 bytes needed, 2 left"));
}

static void test_files(void **state) {
    (void)state;
    char path[] = "/tmp/gguf_test_XXXXXX";
    struct gguf *g = NULL;
    struct err e = {0};
    struct buf b = {0};
    everything(&b);
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(gguf_open(&g, path, &e), ST_FORMAT); /* empty */
    assert_string_equal(gguf_error_class(), "truncated");
    assert_int_equal(write(fd, b.data, b.len), b.len);
    close(fd);
    assert_int_equal(gguf_open(&g, path, &e), ST_OK);
    assert_string_equal(gguf_label(g), path);
    assert_int_equal(gguf_n_kv(g), 27);
    gguf_close(g);
    unlink(path);
    assert_int_equal(gguf_open(&g, path, &e), ST_NOT_FOUND);
    assert_non_null(strstr(e.msg, path));
    assert_string_equal(gguf_error_class(), "");
    assert_true(gguf_open(&g, "/tmp", NULL) != ST_OK);
    gguf_close(NULL);
    buf_free(&b);
}

/* -- names ------------------------------------------------------------------------------------- */

static void test_type_names(void **state) {
    (void)state;
    assert_string_equal(gguf_type_name(GGUF_U8), "u8");
    assert_string_equal(gguf_type_name(GGUF_STRING), "string");
    assert_string_equal(gguf_type_name(GGUF_F64), "f64");
    for (int t = 0; t < GGUF_TYPE_COUNT; t++) assert_non_null(gguf_type_name((enum gguf_type)t));
}

static void expect_file_type(struct buf *b, const char *name) {
    struct gguf *g = accept(b);
    assert_string_equal(gguf_file_type_name(g), name);
    gguf_close(g);
    buf_free(b);
}

static void test_file_type(void **state) {
    (void)state;
    static const struct {
        uint32_t value;
        const char *name;
    } rows[] = {{0, "F32"},    {1, "F16"},      {2, "Q4_0"},       {4, "unknown"},
                {7, "Q8_0"},   {12, "Q3_K_M"},  {15, "Q4_K_M"},    {18, "Q6_K"},
                {28, "IQ2_S"}, {32, "BF16"},    {33, "unknown"},   {38, "MXFP4_MOE"},
                {40, "Q1_0"},  {42, "unknown"}, {1024, "unknown"}, {UINT32_MAX, "unknown"}};
    struct buf b = {0};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        header(&b, 0, 1);
        pair_u32(&b, "general.file_type", rows[i].value);
        expect_file_type(&b, rows[i].name);
    }
    header(&b, 0, 1);
    pair_str(&b, "general.file_type", "Q4_0");
    expect_file_type(&b, "unknown");
}

/* A file of 256-byte rows of I8-sized data is enough: only names and types count here. */
static void guess(const char *expected, size_t n, const char *const *names, const uint32_t *types) {
    struct buf b = {0};
    uint64_t offset = 0;
    header(&b, n, 0);
    for (size_t i = 0; i < n; i++) {
        row(&b, names[i], 256, types[i], offset);
        const struct dtype_info *info = dtype_info(types[i]);
        offset = (offset + 256 / info->elems * info->bytes + 31) / 32 * 32;
    }
    pad(&b, 32);
    zeros(&b, offset);
    expect_file_type(&b, expected);
}

static void test_file_type_guessed(void **state) {
    (void)state;
    static const char *const names[] = {"blk.10.a", "blk.2.a", "output", "blk.2.b"};
    guess("unknown", 0, names, NULL);
    guess("Q4_K_M", 3, names, (const uint32_t[]){DT_Q4_K, DT_Q4_K, DT_F32});
    guess("Q3_K_M", 1, names, (const uint32_t[]){DT_Q3_K});
    guess("IQ2_S", 1, names, (const uint32_t[]){DT_IQ2_S});
    guess("MXFP4_MOE", 1, names, (const uint32_t[]){DT_MXFP4});
    guess("F32", 1, names, (const uint32_t[]){DT_I8});
    /* A draw: in layer order the types are Q5_K (output), Q5_K, Q6_K, Q6_K. */
    guess("Q5_K_M", 4, names, (const uint32_t[]){DT_Q6_K, DT_Q5_K, DT_Q5_K, DT_Q6_K});
    guess("F16", 4, names, (const uint32_t[]){DT_F32, DT_F16, DT_F32, DT_F16});
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_everything),
        cmocka_unit_test(test_elements),
        cmocka_unit_test(test_getters),
        cmocka_unit_test(test_getter_messages),
        cmocka_unit_test(test_every_prefix),
        cmocka_unit_test(test_every_byte_changed),
        cmocka_unit_test(test_failing_allocations),
        cmocka_unit_test(test_many_strings),
        cmocka_unit_test(test_label_is_cut),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_type_names),
        cmocka_unit_test(test_file_type),
        cmocka_unit_test(test_file_type_guessed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
