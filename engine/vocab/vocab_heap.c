/* vocab_heap.c - see vocab_heap.h: sorting keys. */
#include "engine/vocab/vocab_heap.h"

#include <stdbool.h>

enum { SMALL = 24 };

static bool is_sorted(const uint64_t *a, size_t n) {
    for (size_t i = 1; i < n; i++) {
        if (a[i - 1] > a[i]) return false;
    }
    return true;
}

static void insertion_sort(uint64_t *a, size_t n) {
    for (size_t i = 1; i < n; i++) {
        uint64_t key = a[i];
        size_t k = i;
        for (; k > 0 && a[k - 1] > key; k--) a[k] = a[k - 1];
        a[k] = key;
    }
}

/* Pops the heap from a reversed order: the largest keys end up at the back. */
static void sort_by_heap(uint64_t *a, size_t n) {
    for (size_t i = 0; i < n; i++) a[i] = ~a[i]; /* the smallest comes out first: turn the order */
    heap_make(a, n);
    for (size_t left = n; left > 1;) {
        uint64_t top = heap_pop(a, &left);
        a[left] = top;
    }
    for (size_t i = 0; i < n; i++) a[i] = ~a[i];
}

static uint64_t median(uint64_t a, uint64_t b, uint64_t c) {
    if (a > b) {
        uint64_t t = a;
        a = b;
        b = t;
    }
    return c <= a ? a : c >= b ? b : c;
}

/* Hoare's partition: a[0..result) <= pivot <= a[result..n), both parts not empty. */
static size_t partition(uint64_t *a, size_t n) {
    uint64_t pivot = median(a[0], a[n / 2], a[n - 1]);
    size_t i = 0, k = n - 1;
    for (;; i++, k--) {
        while (a[i] < pivot) i++;
        while (a[k] > pivot) k--;
        if (i >= k) break;
        uint64_t t = a[i];
        a[i] = a[k];
        a[k] = t;
    }
    return k + 1 < n ? k + 1 : n - 1;
}

/* Recursion goes into the smaller part only: at most log2(n) deep. */
static void quicksort(uint64_t *a, size_t n, unsigned depth) {
    while (n > SMALL) {
        if (depth-- == 0) {
            sort_by_heap(a, n);
            return;
        }
        size_t cut = partition(a, n);
        if (cut < n - cut) {
            quicksort(a, cut, depth);
            a += cut;
            n -= cut;
        } else {
            quicksort(a + cut, n - cut, depth);
            n = cut;
        }
    }
    insertion_sort(a, n);
}

void heap_sort(uint64_t *keys, size_t n) {
    unsigned depth = 2;
    if (is_sorted(keys, n)) return;
    for (size_t k = n; k > 1; k /= 2) depth += 2;
    quicksort(keys, n, depth);
}
