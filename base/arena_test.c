/* arena_test.c - pieces do not overlap, all go together, failures leave a valid arena. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/arena.h"
#include "base/mem.h"

static void test_pieces_are_aligned_and_apart(void **state) {
    (void)state;
    struct arena a = {0};
    unsigned char *piece[300];
    for (size_t i = 0; i < 300; i++) {
        piece[i] = arena_alloc(&a, i);
        assert_non_null(piece[i]);
        assert_int_equal((uintptr_t)piece[i] % 16, 0);
        memset(piece[i], (int)(i & 0xFF), i);
    }
    for (size_t i = 0; i < 300; i++)
        for (size_t k = 0; k < i; k++) assert_int_equal(piece[i][k], i & 0xFF);
    arena_free(&a);
    assert_null(a.head);
    arena_free(&a);
}

static void test_larger_than_a_chunk(void **state) {
    (void)state;
    struct arena a = {0};
    char *small = arena_strndup(&a, "small", 5);
    char *large = arena_zalloc(&a, 1 << 10, 1 << 10);
    assert_non_null(small);
    assert_non_null(large);
    assert_int_equal(large[0] + large[(1 << 20) - 1], 0);
    large[(1 << 20) - 1] = 1;
    assert_string_equal(small, "small");
    assert_true(a.total >= 1 << 20);
    arena_free(&a);
}

static void test_texts(void **state) {
    (void)state;
    struct arena a = {0};
    assert_memory_equal(arena_strndup(&a, "a\0b", 3), "a\0b", 4);
    assert_string_equal(arena_strndup(&a, NULL, 0), "");
    assert_string_equal(arena_printf(&a, "%s-%d", "x", 42), "x-42");
    assert_string_equal(arena_printf(&a, "%*d", 500, 1) + 499, "1");
    arena_free(&a);
}

static void test_sizes_do_not_overflow(void **state) {
    (void)state;
    struct arena a = {0};
    assert_null(arena_alloc(&a, SIZE_MAX));
    assert_null(arena_alloc(&a, SIZE_MAX - 40));
    assert_null(arena_zalloc(&a, SIZE_MAX / 2, 4));
    assert_null(arena_strndup(&a, "", SIZE_MAX));
    arena_free(&a);
}

static void test_reset_keeps_one_chunk(void **state) {
    (void)state;
    long before = mem_live();
    struct arena a = {0};
    arena_reset(&a);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 100; i++) assert_non_null(arena_alloc(&a, 5000));
        arena_reset(&a);
        assert_int_equal(mem_live(), before + 1);
        assert_true(a.total < 100 * 5000);
    }
    arena_free(&a);
    assert_int_equal(mem_live(), before);
    assert_int_equal(a.total, 0);
}

static void test_failed_chunk(void **state) {
    (void)state;
    struct arena a = {0};
    mem_fail_at(1);
    assert_null(arena_alloc(&a, 10));
    char *p = arena_alloc(&a, 10);
    assert_non_null(p);
    strcpy(p, "still");
    mem_fail_at(1);
    assert_null(arena_alloc(&a, 1 << 20));
    mem_fail_at(0);
    assert_string_equal(p, "still");
    assert_non_null(arena_alloc(&a, 1 << 20));
    arena_free(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pieces_are_aligned_and_apart),
        cmocka_unit_test(test_larger_than_a_chunk),
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_sizes_do_not_overflow),
        cmocka_unit_test(test_reset_keeps_one_chunk),
        cmocka_unit_test(test_failed_chunk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
