/* mem_test.c - sizes, counting and the failing allocation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/mem.h"

static void test_sizes_do_not_overflow(void **state) {
    (void)state;
    size_t out = 7;
    assert_true(mem_mul(3, 5, &out));
    assert_int_equal(out, 15);
    assert_false(mem_mul(SIZE_MAX / 2, 3, &out));
    assert_false(mem_add(SIZE_MAX, 1, &out));
    assert_true(mem_add(SIZE_MAX - 1, 1, &out));
    assert_true(out == SIZE_MAX);
    assert_null(mem_array(SIZE_MAX / 2, 4));
    assert_null(mem_zalloc(SIZE_MAX / 2, 4));
    assert_null(mem_grow(NULL, SIZE_MAX / 2, 4));
    assert_null(mem_aligned(64, SIZE_MAX - 3));
    assert_null(mem_strndup("x", SIZE_MAX));
}

static void test_live_counts_blocks(void **state) {
    (void)state;
    long before = mem_live();
    void *p[] = {mem_alloc(0),         mem_array(3, 8),      mem_zalloc(0, 4),
                 mem_aligned(64, 100), mem_grow(NULL, 4, 4), mem_strdup("abc")};
    size_t n = sizeof p / sizeof *p;
    for (size_t i = 0; i < n; i++) assert_non_null(p[i]);
    assert_int_equal(mem_live(), before + (long)n);
    p[4] = mem_grow(p[4], 4000, 4);
    assert_non_null(p[4]);
    assert_int_equal(mem_live(), before + (long)n);
    for (size_t i = 0; i < n; i++) mem_free(p[i]);
    mem_free(NULL);
    assert_int_equal(mem_live(), before);
}

static void test_contents(void **state) {
    (void)state;
    unsigned char *z = mem_zalloc(100, 3);
    assert_non_null(z);
    for (size_t i = 0; i < 300; i++) assert_int_equal(z[i], 0);
    memset(z, 5, 300);
    unsigned char *more = mem_grow(z, 1000, 3);
    assert_non_null(more);
    for (size_t i = 0; i < 300; i++) assert_int_equal(more[i], 5);
    mem_free(more);
    char *s = mem_strndup("a\0b", 3);
    assert_memory_equal(s, "a\0b", 4);
    mem_free(s);
    assert_null(mem_strdup(NULL));
    for (size_t align = 1; align <= 4096; align *= 2) {
        void *p = mem_aligned(align < sizeof(void *) ? sizeof(void *) : align, 3);
        assert_int_equal((uintptr_t)p % align, 0);
        mem_free(p);
    }
}

static void test_the_nth_allocation_fails(void **state) {
    (void)state;
    char *keep = mem_strdup("keep");
    mem_fail_at(3);
    void *a = mem_alloc(1), *b = mem_zalloc(1, 1);
    assert_non_null(a);
    assert_non_null(b);
    assert_null(mem_grow(keep, 100, 1));
    assert_string_equal(keep, "keep");
    void *c = mem_alloc(1); /* one failure only */
    assert_non_null(c);
    mem_fail_at(1);
    assert_null(mem_aligned(16, 16));
    mem_fail_at(1);
    mem_fail_at(0);
    void *d = mem_alloc(1);
    assert_non_null(d);
    mem_free(a);
    mem_free(b);
    mem_free(c);
    mem_free(d);
    mem_free(keep);
}

static void test_pages_are_zero_aligned_and_counted(void **state) {
    (void)state;
    const long live = mem_live();
    unsigned char *p = mem_pages(100000), *q = mem_pages(0);
    assert_non_null(p);
    assert_non_null(q);
    assert_int_equal((uintptr_t)p % 4096, 0);
    for (size_t i = 0; i < 100000; i++) assert_int_equal(p[i], 0);
    memset(p, 0xA5, 100000);
    assert_int_equal(mem_live(), live + 2);
    mem_pages_free(p);
    mem_pages_free(q);
    mem_pages_free(NULL);
    assert_int_equal(mem_live(), live);
    mem_fail_at(1);
    assert_null(mem_pages(1));
    mem_fail_at(0);
    assert_null(mem_pages(SIZE_MAX - 100));
    assert_int_equal(mem_live(), live);
}

/* The allocator hands out a block of a size that has just been given back. Last: it stays on. */
static void sec_S_LC_8_freed_memory_is_zeroed(void **state) {
    (void)state;
    enum { N = 400, HEAD = 16 }; /* the allocator writes into the beginning of what is free */
    mem_wipe_freed();
    unsigned seen = 0;
    for (int grow = 0; grow < 2; grow++) {
        unsigned char *p = mem_alloc(N), *moved = NULL;
        memset(p, 0xee, N);
        const uintptr_t was = (uintptr_t)p;
        if (grow != 0)
            moved = mem_grow(p, 10, N);
        else
            mem_free(p);
        for (size_t i = 0; moved != NULL && i < N; i++) assert_int_equal(moved[i], 0xee);
        unsigned char *q = mem_alloc(N);
        for (size_t i = HEAD; (uintptr_t)q == was && i < N; i++) assert_int_equal(q[i], 0);
        seen += (uintptr_t)q == was;
        mem_free(q);
        mem_free(moved);
    }
    if (seen == 0) skip(); /* sanitizers keep what is free for a while */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pages_are_zero_aligned_and_counted),
        cmocka_unit_test(test_sizes_do_not_overflow),
        cmocka_unit_test(test_live_counts_blocks),
        cmocka_unit_test(test_contents),
        cmocka_unit_test(test_the_nth_allocation_fails),
        cmocka_unit_test(sec_S_LC_8_freed_memory_is_zeroed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
