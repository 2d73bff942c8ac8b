/* map_test.c - look-ups against a plain array, growth, failures. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"

enum { N_KEYS = 5000 };
static char key[N_KEYS][16];

static size_t make_key(size_t i) {
    return (size_t)snprintf(key[i], sizeof key[i], "key%zu", i * 7919);
}

static void test_many_keys(void **state) {
    (void)state;
    struct map m = {0};
    uint32_t v;
    assert_false(map_get(&m, "x", 1, &v));
    for (size_t i = 0; i < N_KEYS; i++) {
        bool fresh = false;
        assert_true(map_put(&m, key[i], make_key(i), (uint32_t)i, &fresh));
        assert_true(fresh);
    }
    assert_int_equal(m.count, N_KEYS);
    assert_true(m.count * 2 <= m.cap);
    for (size_t i = 0; i < N_KEYS; i++) {
        assert_true(map_get(&m, key[i], strlen(key[i]), &v));
        assert_int_equal(v, i);
        assert_false(map_get(&m, key[i], strlen(key[i]) - 1, &v) && v == i);
    }
    assert_false(map_get(&m, "absent", 6, &v));
    map_free(&m);
    assert_null(m.slot);
}

static void test_first_value_stays(void **state) {
    (void)state;
    struct map m = {0};
    bool fresh = false;
    uint32_t v = 0;
    assert_true(map_put(&m, "a", 1, 10, NULL));
    assert_true(map_put(&m, "a", 1, 20, &fresh));
    assert_false(fresh);
    assert_true(map_get(&m, "a", 1, &v));
    assert_int_equal(v, 10);
    assert_int_equal(m.count, 1);
    map_free(&m);
}

/* Keys are bytes with a length: NULs count, the empty key is a key. */
static void test_keys_are_bytes(void **state) {
    (void)state;
    static const char bytes[] = "ab\0cd\0efghijklmnopq";
    struct map m = {0};
    uint32_t v = 99;
    for (size_t n = 0; n < sizeof bytes; n++) map_put(&m, bytes, n, (uint32_t)n, NULL);
    assert_int_equal(m.count, sizeof bytes);
    for (size_t n = 0; n < sizeof bytes; n++) {
        char copy[sizeof bytes];
        memcpy(copy, bytes, sizeof copy);
        assert_true(map_get(&m, copy, n, &v));
        assert_int_equal(v, n);
        assert_true(map_hash(copy, n) == map_hash(bytes, n));
    }
    map_free(&m);
}

static void test_reserve(void **state) {
    (void)state;
    struct map m = {0};
    assert_true(map_reserve(&m, 100));
    size_t cap = m.cap;
    for (size_t i = 0; i < 100; i++) map_put(&m, key[i], make_key(i), (uint32_t)i, NULL);
    assert_int_equal(m.cap, cap);
    assert_false(map_reserve(&m, SIZE_MAX));
    map_free(&m);
}

static void test_failure_keeps_what_is_there(void **state) {
    (void)state;
    long before = mem_live();
    struct map m = {0};
    size_t put = 0;
    for (size_t i = 0; i < 200; i++) { /* every attempt first without memory */
        size_t len = make_key(i);
        mem_fail_at(1);
        if (!map_put(&m, key[i], len, (uint32_t)i, NULL)) {
            mem_fail_at(0);
            assert_int_equal(m.count, put);
            assert_true(map_put(&m, key[i], len, (uint32_t)i, NULL));
        }
        mem_fail_at(0);
        put++;
    }
    for (uint32_t i = 0, v; i < 200; i++) {
        assert_true(map_get(&m, key[i], strlen(key[i]), &v));
        assert_int_equal(v, i);
    }
    map_free(&m);
    assert_int_equal(mem_live(), before);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_many_keys),
        cmocka_unit_test(test_first_value_stays),
        cmocka_unit_test(test_keys_are_bytes),
        cmocka_unit_test(test_reserve),
        cmocka_unit_test(test_failure_keeps_what_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
