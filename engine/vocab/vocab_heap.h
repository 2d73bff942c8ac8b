/* vocab_heap.h - a binary min-heap of 64-bit keys in an array that the caller owns, and sorting.
 *
 * Merging and special tokens need "best first, then leftmost": both fit one key, the order in the
 * upper half and the position in the lower, so that a plain comparison is the rule. */
#ifndef CRIA_ENGINE_VOCAB_HEAP_H
#define CRIA_ENGINE_VOCAB_HEAP_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

static inline void heap_sift_down(uint64_t *h, size_t n, size_t i) {
    uint64_t key = h[i];
    for (size_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && h[child + 1] < h[child]) child++;
        if (h[child] >= key) break;
        h[i] = h[child];
    }
    h[i] = key;
}

static inline void heap_make(uint64_t *h, size_t n) {
    for (size_t i = n / 2; i-- > 0;) heap_sift_down(h, n, i);
}

/* The caller has room for one more. */
static inline void heap_push(uint64_t *h, size_t *n, uint64_t key) {
    size_t i = (*n)++;
    for (; i > 0 && h[(i - 1) / 2] > key; i = (i - 1) / 2) h[i] = h[(i - 1) / 2];
    h[i] = key;
}

static inline uint64_t heap_pop(uint64_t *h, size_t *n) {
    assert(*n > 0);
    uint64_t top = h[0];
    h[0] = h[--*n];
    if (*n > 0) heap_sift_down(h, *n, 0);
    return top;
}

/* Rising order. Quicksort with the median of three; a heap takes over where that goes wrong, so no
 * input makes it slow. Arrays that are sorted already cost one pass. */
void heap_sort(uint64_t *keys, size_t n);

#endif
