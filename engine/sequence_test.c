/* Tests of sequences: an image is never cut, positions go on behind it, keys decide what is common.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "engine/sequence.h"

static struct cria_image image(uint32_t n, uint32_t nx, unsigned char key) {
    struct cria_image x = {.n_rows = n, .n_positions = n, .nx = nx};
    if (nx != 0) x.n_positions = nx > n / nx ? nx : n / nx;
    memset(x.key, key, sizeof x.key);
    return x;
}

/* 7, [image of n rows], 8, 9 */
static struct sequence example(uint32_t n, uint32_t nx, unsigned char key) {
    struct sequence s = {0};
    const struct cria_image x = image(n, nx, key);
    assert_true(seq_add(&s, 7) && seq_add_image(&s, &x) && seq_add(&s, 8) && seq_add(&s, 9));
    return s;
}

static void test_cuts(void **state) {
    (void)state;
    struct sequence s = example(6, 0, 1);
    assert_int_equal(s.tokens.len, 9);
    const uint32_t floors[] = {0, 1, 1, 1, 1, 1, 1, 7, 8, 9};
    const uint32_t ceils[] = {0, 1, 7, 7, 7, 7, 7, 7, 8, 9};
    for (uint32_t i = 0; i <= 9; i++) {
        assert_int_equal(seq_floor(&s, i), floors[i]);
        assert_int_equal(seq_ceil(&s, i), ceils[i]);
    }
    assert_null(seq_span(&s, 0));
    assert_int_equal(seq_span(&s, 6)->first, 1);
    seq_truncate(&s, 1);
    assert_int_equal(s.n_spans, 0);
    seq_free(&s);
}

static void test_remove(void **state) {
    (void)state;
    struct sequence s = example(6, 0, 1);
    const struct cria_image x = image(2, 0, 2);
    assert_true(seq_add_image(&s, &x) && seq_add(&s, 5));
    seq_remove(&s, 1, 8); /* the first image and a token behind it */
    assert_int_equal(s.tokens.len, 5);
    assert_int_equal(s.n_spans, 1);
    assert_int_equal(s.spans[0].first, 2);
    assert_int_equal(s.tokens.ids[1], 9);
    seq_free(&s);
}

static void test_common(void **state) {
    (void)state;
    struct sequence a = example(6, 0, 1), same = example(6, 0, 1), other = example(6, 0, 2);
    struct sequence longer = example(7, 0, 1), part = {0};
    assert_int_equal(seq_common(&a, &same, 9), 9);
    assert_int_equal(seq_common(&a, &same, 8), 8);
    assert_int_equal(seq_common(&a, &same, 6), 1); /* the limit is within the image */
    assert_int_equal(seq_common(&a, &other, 9), 1);
    assert_int_equal(seq_common(&a, &longer, 9), 1);
    assert_true(seq_append(&part, &a, 0, 4)); /* an image that is still coming */
    assert_int_equal(seq_common(&a, &part, 9), 1);
    assert_true(seq_append(&part, &a, 4, 5));
    assert_int_equal(part.n_spans, 1);
    assert_int_equal(seq_common(&a, &part, 9), 9);
    struct sequence *const all[] = {&a, &same, &other, &longer, &part};
    for (int i = 0; i < 5; i++) seq_free(all[i]);
}

static void check_position(const struct sequence *s, uint32_t i, uint32_t t, uint32_t y, uint32_t x,
                           uint32_t fourth) {
    const struct position p = seq_position(s, i);
    assert_int_equal(p.at[0], t);
    assert_int_equal(p.at[1], y);
    assert_int_equal(p.at[2], x);
    assert_int_equal(p.at[3], fourth);
}

static void test_positions(void **state) {
    (void)state;
    struct sequence s = example(6, 3, 1); /* two rows of three: three positions */
    check_position(&s, 0, 0, 0, 0, 0);
    check_position(&s, 1, 1, 1, 1, 0);
    check_position(&s, 3, 1, 1, 3, 0);
    check_position(&s, 4, 1, 2, 1, 0);
    check_position(&s, 7, 4, 4, 4, 4);
    check_position(&s, 9, 6, 6, 6, 6); /* what would come next */
    struct sequence plain = example(6, 0, 1);
    check_position(&plain, 4, 4, 4, 4, 4);
    seq_free(&plain);
    seq_free(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cuts),
        cmocka_unit_test(test_remove),
        cmocka_unit_test(test_common),
        cmocka_unit_test(test_positions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
