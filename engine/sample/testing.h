/* testing.h - for tests of samplers: lists of candidates, and logits that are hard to sort. */
#ifndef CRIA_ENGINE_SAMPLE_TESTING_H
#define CRIA_ENGINE_SAMPLE_TESTING_H

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "engine/sample/sampler_impl.h"

enum { MAX_N = 5000 };

static float logits[MAX_N];

/* p = 0.1 0.2 0.3 0.4 */
static const float LOG4[] = {-2.30258509f, -1.60943791f, -1.2039728f, -0.916290732f};

static inline struct candidates list_of(const float *x, size_t n) {
    struct candidates cs;
    assert_true(candidates_open(&cs, n));
    candidates_load(&cs, x);
    return cs;
}

static inline void assert_near(float got, double want, double tolerance) {
    if (fabs((double)got - want) > tolerance) fail_msg("%g is not %g", (double)got, want);
}

static inline void assert_ids(const struct candidates *cs, size_t n, const token_id *ids) {
    assert_true(cs->listed);
    assert_int_equal(cs->n, n);
    for (size_t i = 0; i < n; i++) assert_int_equal(cs->c[i].id, ids[i]);
}
#define ASSERT_IDS(cs, ...)                                                                        \
    assert_ids(cs, sizeof(token_id[]){__VA_ARGS__} / sizeof(token_id), (token_id[]){__VA_ARGS__})

static inline uint32_t random_bits(void) {
    static uint64_t x = 88172645463325252u;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return (uint32_t)(x >> 32);
}

/* Logit patterns that treat a selection badly in different ways. */
static inline float pattern(int kind, size_t i, size_t n) {
    switch (kind) {
    case 0:
        return (float)(random_bits() % 100000) / 5000.0f - 10.0f;
    case 1:
        return (float)i; /* rising */
    case 2:
        return -(float)i; /* falling */
    case 3:
        return 1.5f; /* all alike */
    case 4:
        return random_bits() % 50 != 0 ? -INFINITY : (float)(random_bits() % 9); /* a mask */
    case 5:
        return (float)(random_bits() % 4); /* many ties */
    case 6:
        return random_bits() % 3 == 0 ? NAN : (float)(random_bits() % 100);
    case 7:
        return random_bits() % 2 == 0 ? 0.0f : -0.0f;
    case 8:
        return (float)(i < n / 2 ? i : n - i); /* organ pipe */
    default:
        return -INFINITY;
    }
}
enum { N_PATTERNS = 10 };

static inline void fill(int kind, size_t n) {
    for (size_t i = 0; i < n; i++) logits[i] = pattern(kind, i, n);
}

static inline int falling(const void *x, const void *y) {
    const struct candidate *a = x, *b = y;
    if (a->logit != b->logit) return a->logit < b->logit ? 1 : -1;
    return a->id < b->id ? -1 : a->id > b->id;
}

/* The plain way to sort. */
static inline struct candidate *sorted_copy(size_t n) {
    struct candidate *c = mem_array(n, sizeof *c);
    assert_non_null(c);
    for (size_t i = 0; i < n; i++) {
        c[i] = (struct candidate){(token_id)i, isnan(logits[i]) ? -INFINITY : logits[i], 0};
    }
    qsort(c, n, sizeof *c, falling);
    return c;
}

static inline void assert_same_order(const struct candidates *cs, const struct candidate *want,
                                     size_t n) {
    assert_int_equal(cs->n, n);
    assert_true(cs->sorted);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(cs->c[i].id, want[i].id);
        assert_true(cs->c[i].logit == want[i].logit);
    }
}

#endif
