/* gguf_test.c - every check of spec/gguf.md 3 with a file built for it, the getters, every prefix
 * of a valid file, and an allocation that fails at each place. */
#include <math.h>
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
#include "engine/file/gguf.h"

/* -- a small writer ---------------------------------------------------------------------------- */

static void put(struct buf *b, uint64_t v, unsigned n) {
    for (unsigned i = 0; i < n; i++) buf_chr(b, (char)(v >> (8 * i)));
}
static void put_text(struct buf *b, const char *s, size_t n) {
    put(b, n, 8);
    buf_add(b, s, n);
}
static void header(struct buf *b, uint64_t n_tensors, uint64_t n_kv) {
    buf_str(b, "GGUF");
    put(b, 3, 4);
    put(b, n_tensors, 8);
    put(b, n_kv, 8);
}
static void key(struct buf *b, const char *name, uint32_t type) {
    put_text(b, name, strlen(name));
    put(b, type, 4);
}
static void pair(struct buf *b, const char *name, enum gguf_type type, uint64_t bits, unsigned n) {
    key(b, name, type);
    put(b, bits, n);
}
static void pair_u32(struct buf *b, const char *name, uint32_t v) { pair(b, name, GGUF_U32, v, 4); }
static void pair_str(struct buf *b, const char *name, const char *v) {
    key(b, name, GGUF_STRING);
    put_text(b, v, strlen(v));
}
static void pair_f64(struct buf *b, const char *name, double v) {
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    pair(b, name, GGUF_F64, bits, 8);
}
static void array(struct buf *b, const char *name, uint32_t elem, uint64_t n) {
    key(b, name, GGUF_ARRAY);
    put(b, elem, 4);
    put(b, n, 8);
}
static void tensor(struct buf *b, const char *name, uint32_t n_dims, const uint64_t *dim,
                   uint32_t type, uint64_t offset) {
    put_text(b, name, strlen(name));
    put(b, n_dims, 4);
    for (uint32_t i = 0; i < n_dims; i++) put(b, dim[i], 8);
    put(b, type, 4);
    put(b, offset, 8);
}
static void row(struct buf *b, const char *name, uint64_t n, uint32_t type, uint64_t offset) {
    tensor(b, name, 1, &n, type, offset);
}
static void pad(struct buf *b, size_t align) {
    while (b->len % align != 0) buf_chr(b, '\0');
}
static void zeros(struct buf *b, size_t n) {
    while (n-- > 0) buf_chr(b, '\0');
}

/* -- opening ----------------------------------------------------------------------------------- */

/* Opens the buffer's exact bytes from the heap, so that ASan sees every read past the end. */
static enum status open_copy(struct gguf **g, const char *data, size_t n, char **copy,
                             struct err *e) {
    *copy = mem_alloc(n);
    if (n != 0) memcpy(*copy, data, n);
    return gguf_open_memory(g, *copy, n, "t.gguf", e);
}

/* The file must be refused with this class, status and a message that has the text. Frees it. */
static void refuse_as(struct buf *b, const char *class, enum status code, const char *text) {
    struct gguf *g = NULL;
    struct err e = {0};
    char *copy;
    assert_false(b->failed);
    long live = mem_live();
    enum status st = open_copy(&g, b->data, b->len, &copy, &e);
    mem_free(copy);
    assert_null(g);
    assert_string_equal(gguf_error_class(), class);
    assert_int_equal(st, code);
    assert_int_equal(e.code, code);
    if (strncmp(e.msg, "t.gguf: ", 8) != 0 || strstr(e.msg, text) == NULL)
        fail_msg("message is \"%s\", expected \"%s\" in it", e.msg, text);
    assert_int_equal(mem_live(), live);
    buf_free(b);
}
static void refuse(struct buf *b, const char *class, const char *text) {
    refuse_as(b, class, ST_FORMAT, text);
}

static struct gguf *accept(const struct buf *b) {
    struct gguf *g = NULL;
    struct err e = {0};
    assert_false(b->failed);
    if (gguf_open_memory(&g, b->data, b->len, "t.gguf", &e) != ST_OK) fail_msg("%s", e.msg);
    assert_string_equal(gguf_error_class(), "");
    return g;
}

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
        cmocka_unit_test(test_magic),
        cmocka_unit_test(test_version),
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_arrays),
        cmocka_unit_test(test_alignment),
        cmocka_unit_test(test_tensor_names),
        cmocka_unit_test(test_dims),
        cmocka_unit_test(test_odd_shapes),
        cmocka_unit_test(test_tensor_types),
        cmocka_unit_test(test_offsets),
        cmocka_unit_test(test_bounds),
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
