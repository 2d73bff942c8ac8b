/* vocab_heap_test.c - heap and sorting of keys, on orders that make quicksort slow. */
#include "engine/vocab/vocab_heap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

enum { N = 3000 };

static uint64_t key_of(int order, uint64_t i, uint64_t random) {
    switch (order) {
    case 0:
        return i; /* sorted */
    case 1:
        return N - i; /* reversed */
    case 2:
        return 7; /* all equal */
    case 3:
        return i < N / 2 ? i : N - i; /* organ pipe: bad for the median of three */
    case 4:
        return i % 2 == 0 ? i : N + i; /* two interleaved */
    case 5:
        return random % 5;
    default:
        return random;
    }
}

static void test_sort(void **state) {
    (void)state;
    uint64_t a[N], x = 1;
    for (int order = 0; order < 7; order++) {
        for (size_t n = 0; n <= N; n = n < 40 ? n + 1 : n * 3 / 2) {
            uint64_t sum = 0, xored = 0;
            for (size_t i = 0; i < n; i++) {
                x = x * 6364136223846793005u + 1442695040888963407u;
                a[i] = key_of(order, i, x);
                sum += a[i];
                xored ^= a[i];
            }
            heap_sort(a, n);
            for (size_t i = 0; i < n; i++) {
                if (i > 0) assert_true(a[i - 1] <= a[i]);
                sum -= a[i];
                xored ^= a[i];
            }
            assert_true(sum == 0 && xored == 0);
        }
    }
}

static void test_heap(void **state) {
    (void)state;
    uint64_t a[N], x = 99, last = 0;
    size_t n = 0;
    for (size_t i = 0; i < N / 2; i++) a[n++] = x = x * 6364136223846793005u + 1;
    heap_make(a, n);
    while (n < N) heap_push(a, &n, x = x * 6364136223846793005u + 1);
    while (n > 0) {
        uint64_t key = heap_pop(a, &n);
        assert_true(key >= last);
        last = key;
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_sort), cmocka_unit_test(test_heap)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
