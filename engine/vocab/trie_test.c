/* trie_test.c - the trie against the plain way: comparing with every string. */
#include "engine/vocab/trie.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"

enum { MAX_KEYS = 600, MAX_LEN = 8 };
static char texts[MAX_KEYS][MAX_LEN + 1];
static struct trie_key keys[MAX_KEYS];
static uint32_t seed;

static uint32_t draw(uint32_t n) { return (seed = seed * 1664525u + 1013904223u) / 65536 % n; }

/* n strings over an alphabet of `letters` bytes. */
static void make_keys(uint32_t n, uint32_t letters) {
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t len = draw(MAX_LEN + 1);
        for (uint32_t k = 0; k < len; k++) texts[i][k] = (char)(draw(letters) * 255 / letters);
        keys[i] = (struct trie_key){texts[i], len, i};
    }
}

/* Values fall with the sorting, so the texts are looked up by value. */
static size_t plain_longest(const uint32_t *len, uint32_t n, const char *text, size_t max,
                            uint32_t *value) {
    size_t best = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (len[i] == 0 || len[i] > max || len[i] < best) continue;
        if (memcmp(texts[i], text, len[i]) != 0) continue;
        best = len[i];
        *value = i;
    }
    return best;
}

static void test_longest(void **state) {
    (void)state;
    for (uint32_t round = 0; round < 200; round++) {
        const uint32_t n = draw(MAX_KEYS), letters = 1 + draw(round % 2 != 0 ? 250 : 5);
        struct trie t;
        uint32_t len[MAX_KEYS];
        make_keys(n, letters);
        for (uint32_t i = 0; i < n; i++) len[i] = keys[i].len;
        assert_true(trie_build(&t, keys, n));
        for (uint32_t i = 0; i < 200; i++) {
            char text[2 * MAX_LEN];
            uint32_t got = 0, want = 0;
            for (uint32_t k = 0; k < sizeof text; k++)
                text[k] = (char)(draw(letters) * 255 / letters);
            if (n > 0 && i % 2 == 0) memcpy(text, texts[draw(n)], MAX_LEN);
            const size_t max = draw(sizeof text + 1);
            const size_t expected = plain_longest(len, n, text, max, &want);
            assert_int_equal(trie_longest(&t, text, max, &got), expected);
            if (expected > 0) assert_int_equal(got, want);
        }
        trie_free(&t);
    }
}

static void test_deep_and_empty(void **state) {
    (void)state;
    enum { DEEP = 1 << 20 };
    char *text = mem_alloc(DEEP);
    uint32_t value = 7;
    struct trie t;
    memset(text, 'a', DEEP);
    struct trie_key deep[] = {{text, DEEP, 1}, {text, DEEP / 2, 2}, {text, 0, 3}};
    assert_true(trie_build(&t, deep, 3));
    assert_int_equal(trie_longest(&t, text, DEEP, &value), DEEP);
    assert_int_equal(value, 1);
    assert_int_equal(trie_longest(&t, text, DEEP - 1, &value), DEEP / 2);
    assert_int_equal(value, 2);
    trie_free(&t);
    assert_true(trie_build(&t, NULL, 0));
    assert_int_equal(trie_longest(&t, "a", 1, &value), 0);
    trie_free(&t);
    mem_free(text);
}

static void test_no_memory(void **state) {
    (void)state;
    const long live = mem_live();
    bool ok = false;
    for (long n = 1; !ok; n++) {
        struct trie t;
        make_keys(300, 200);
        mem_fail_at(n);
        ok = trie_build(&t, keys, 300);
        mem_fail_at(0);
        if (ok) trie_free(&t);
        assert_int_equal(mem_live(), live);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_longest),
                                       cmocka_unit_test(test_deep_and_empty),
                                       cmocka_unit_test(test_no_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
