/* imatrix_test.c - both forms of importance matrices: what is written is read, defects are told,
 * nothing leaks. */
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
#include "base/os.h"
#include "engine/file/gguf_write.h"
#include "engine/quantize/imatrix.h"

/* ---- the older form ---- */

static void put_i32(struct buf *b, int32_t v) { buf_add(b, &v, sizeof v); }

static void put_entry(struct buf *b, const char *name, int32_t n_calls, int32_t n, const float *x) {
    put_i32(b, (int32_t)strlen(name));
    buf_str(b, name);
    put_i32(b, n_calls);
    put_i32(b, n);
    for (int32_t i = 0; i < n; i++) buf_add(b, &x[i], sizeof *x);
}

static struct buf old_form(float value) {
    struct buf b = {0};
    const float x[] = {2, value, 6};
    put_i32(&b, 2);
    put_entry(&b, "blk.0.attn_q.weight", 4, 3, x);
    put_entry(&b, "blk.1.attn_q.weight", 0, 3, x);
    return b;
}

static void put_end(struct buf *b) {
    put_i32(b, 11);
    put_i32(b, 9);
    buf_str(b, "calib.txt");
}

static struct imatrix *opened(const struct buf *b) {
    struct imatrix *m = NULL;
    struct err e = {0};
    if (imatrix_open_memory(&m, b->data, b->len, "t", &e) != ST_OK) fail_msg("%s", e.msg);
    return m;
}

static void refused(const struct buf *b, const char *text) {
    struct imatrix *m = NULL;
    struct err e = {0};
    const long live = mem_live();
    char *copy = mem_alloc(b->len); /* its exact size, for ASan */
    if (b->len != 0) memcpy(copy, b->data, b->len);
    assert_int_equal(imatrix_open_memory(&m, copy, b->len, "t", &e), ST_FORMAT);
    mem_free(copy);
    if (strstr(e.msg, text) == NULL) fail_msg("\"%s\", expected \"%s\"", e.msg, text);
    assert_int_equal(mem_live(), live);
}

static void test_old_form(void **state) {
    (void)state;
    struct buf b = old_form(4);
    struct imatrix *m = opened(&b); /* without an end */
    assert_int_equal(imatrix_count(m), 2);
    assert_int_equal(imatrix_chunks(m), 0);
    imatrix_close(m);
    put_end(&b);
    m = opened(&b);
    assert_int_equal(imatrix_chunks(m), 11);
    assert_int_equal(imatrix_dataset(m).len, 9);
    assert_memory_equal(imatrix_dataset(m).ptr, "calib.txt", 9);
    const struct imatrix_entry *q = imatrix_find(m, gguf_str_of("blk.0.attn_q.weight"));
    assert_true(q->n == 3 && q->iw[0] == 0.5f && q->iw[1] == 1 && q->iw[2] == 1.5f);
    assert_true(imatrix_at(m, 1)->iw[2] == 6); /* no calls: the value itself */
    imatrix_close(m);
    const size_t whole = b.len, entries = whole - 17;
    for (size_t n = 0; n < whole; n++) {
        struct buf cut = b;
        cut.len = n;
        if (n != entries) refused(&cut, "neither a GGUF file nor an importance matrix");
    }
    buf_free(&b);
}

static void test_old_form_values(void **state) {
    (void)state;
    static const struct {
        float value;
        const char *text;
    } rows[] = {{NAN, "imatrix contains non-finite value"},
                {INFINITY, "imatrix contains non-finite value"},
                {-1, "imatrix contains negative value"}};
    for (size_t i = 0; i < 3; i++) {
        struct buf b = old_form(rows[i].value);
        refused(&b, rows[i].text);
        buf_free(&b);
    }
    struct buf b = {0};
    const float x[] = {1};
    put_i32(&b, 2);
    put_entry(&b, "same", 1, 1, x);
    put_entry(&b, "same", 1, 1, x);
    refused(&b, "'same' appears more than once");
    buf_free(&b);
}

/* Every number of the older form in turn with hostile values. */
static void sec_imatrix_lengths(void **state) {
    (void)state;
    static const int32_t values[] = {0, -1, INT32_MIN, INT32_MAX, 1 << 30, 0x40000001, 64};
    struct buf b = old_form(4);
    put_end(&b);
    for (size_t at = 0; at + 4 <= b.len; at++) {
        for (size_t k = 0; k < sizeof values / sizeof *values; k++) {
            struct imatrix *m = NULL;
            char *copy = mem_alloc(b.len);
            memcpy(copy, b.data, b.len);
            memcpy(copy + at, &values[k], 4);
            if (imatrix_open_memory(&m, copy, b.len, "t", NULL) == ST_OK) imatrix_close(m);
            mem_free(copy);
        }
    }
    buf_free(&b);
}

/* ---- the GGUF form ---- */

enum defect { RIGHT, NO_KEYS, NO_COUNTS, NO_SUMS, SHAPE, TYPE, STRANGER, BAD_COUNT, BAD_SUM };

static struct buf gguf_form(enum defect d) {
    struct buf b = {0};
    struct gguf_writer *w;
    struct gguf_str set = gguf_str_of("set");
    float sums[] = {8, 4, d == BAD_SUM ? INFINITY : 2, 9}, counts[] = {d == BAD_COUNT ? NAN : 2, 0};
    assert_int_equal(gguf_writer_new(&w, NULL), ST_OK);
    gguf_put_text(w, "general.type", "imatrix");
    gguf_put_array(w, "imatrix.datasets", GGUF_STRING, 1, &set);
    gguf_put_u32(w, "imatrix.chunk_count", 3);
    if (d != NO_KEYS) gguf_put_u32(w, "imatrix.chunk_size", 512);
    if (d != NO_SUMS) gguf_add_tensor(w, gguf_str_of("w.in_sum2"), DT_F32, 2, (int64_t[]){2, 2});
    if (d != NO_COUNTS)
        gguf_add_tensor(w, gguf_str_of("w.counts"), d == TYPE ? DT_I32 : DT_F32, 2,
                        (int64_t[]){d == SHAPE ? 2 : 1, d == SHAPE ? 1 : 2});
    if (d == STRANGER) gguf_add_tensor(w, gguf_str_of("other"), DT_F32, 1, (int64_t[]){0});
    assert_int_equal(gguf_write_to(w, gguf_to_buf, &b, NULL), ST_OK);
    if (d != NO_SUMS) assert_int_equal(gguf_write_data(w, sums, sizeof sums, NULL), ST_OK);
    if (d != NO_COUNTS) assert_int_equal(gguf_write_data(w, counts, sizeof counts, NULL), ST_OK);
    gguf_writer_free(w);
    return b;
}

static void test_gguf_form(void **state) {
    (void)state;
    static const struct {
        enum defect defect;
        const char *text;
    } rows[] = {
        {NO_KEYS, "key imatrix.chunk_size not found"},
        {NO_COUNTS, "'w.in_sum2': has no .counts"},
        {NO_SUMS, "'w.counts': has no .in_sum2"},
        {SHAPE, "sums and counts have different shapes"},
        {TYPE, "sums and counts must be F32"},
        {STRANGER, "'other': is neither"},
        {BAD_COUNT, "'w.counts': imatrix contains non-finite value"},
        {BAD_SUM, "'w': imatrix contains non-finite value"},
    };
    struct buf b = gguf_form(RIGHT);
    struct imatrix *m = opened(&b);
    const struct imatrix_entry *entry = imatrix_at(m, 0);
    assert_int_equal(imatrix_count(m), 1);
    assert_int_equal(entry->n, 4);
    assert_true(entry->iw[0] == 4 && entry->iw[1] == 2);
    assert_true(entry->iw[2] == 1 && entry->iw[3] == 1); /* a matrix that was not used */
    imatrix_close(m);
    buf_free(&b);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        b = gguf_form(rows[i].defect);
        refused(&b, rows[i].text);
        buf_free(&b);
    }
}

static enum status round_trip(const char *path) {
    struct imatrix_sums *sums = NULL;
    struct imatrix *m = NULL;
    enum status st = imatrix_sums_new(&sums, NULL);
    for (int i = 0; i < 70 && st == ST_OK; i++) {
        char name[32];
        snprintf(name, sizeof name, "blk.%d.attn_q.weight", 69 - i);
        struct imatrix_sum *s = imatrix_sums_get(sums, name, 5, 2);
        if (s == NULL) {
            st = ST_NO_MEMORY;
        } else {
            assert_ptr_equal(imatrix_sums_get(sums, name, 5, 2), s);
            s->sum2[7] = 10 * i;
            s->count[1] = 4;
        }
    }
    if (st == ST_OK) st = imatrix_sums_write(sums, path, "set", 2, 128, NULL);
    if (st == ST_OK) st = imatrix_open(&m, path, NULL);
    if (st == ST_OK) {
        assert_int_equal(imatrix_count(m), 70);
        assert_int_equal(imatrix_chunks(m), 2);
        assert_memory_equal(imatrix_at(m, 0)->name.ptr, "blk.0.", 6); /* in order of names */
        assert_true(imatrix_at(m, 0)->iw[7] == 690.0f / 4);
        imatrix_close(m);
    }
    imatrix_sums_free(sums);
    return st;
}

static void test_round_trip_with_faults(void **state) {
    (void)state;
    char path[] = "/tmp/cria-imatrix-XXXXXX";
    assert_true(close(mkstemp(path)) == 0);
    const long live = mem_live();
    for (long n = 1;; n++) {
        mem_fail_at(n);
        enum status st = round_trip(path);
        mem_fail_at(0);
        assert_int_equal(mem_live(), live);
        if (st == ST_OK) break;
        assert_int_equal(st, ST_NO_MEMORY);
        assert_true(n < 5000);
    }
    unlink(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_old_form),
        cmocka_unit_test(test_old_form_values),
        cmocka_unit_test(sec_imatrix_lengths),
        cmocka_unit_test(test_gguf_form),
        cmocka_unit_test(test_round_trip_with_faults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
