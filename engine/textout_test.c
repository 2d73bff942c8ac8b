/* textout_test.c - text with stop strings. The cases checked against a live peer are in
 * golden/sampling/stream.json; here are the interface, the rules at the end, and a comparison with
 * a plain implementation of the rules over random pieces. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "engine/textout.h"

static struct textout *open_with(const char *const *stop, size_t n) {
    struct textout *t = NULL;
    assert_int_equal(textout_open(&t, stop, n, NULL), ST_OK);
    return t;
}

static void push(struct textout *t, const char *piece) {
    textout_push(t, piece, strlen(piece), false);
}

static void assert_ready(struct textout *t, const char *want) {
    size_t len;
    const char *text = textout_ready(t, &len);
    assert_non_null(text);
    if (len != strlen(want) || memcmp(text, want, len) != 0) {
        fail_msg("\"%.*s\" is not \"%s\"", (int)len, text, want);
    }
}

static void text_without_stops_passes(void **state) {
    (void)state;
    struct textout *t = open_with(NULL, 0);
    assert_ready(t, "");
    push(t, "Hello");
    assert_ready(t, "Hello");
    assert_ready(t, ""); /* given once */
    push(t, "");
    assert_ready(t, "");
    push(t, " world");
    push(t, "!"); /* who does not ask collects */
    assert_ready(t, " world!");
    assert_false(textout_ended(t));
    textout_push(t, "", 0, true);
    assert_true(textout_ended(t));
    assert_int_equal(textout_stop(t), TEXTOUT_NO_STOP);
    textout_close(t);
}

static void a_stop_string_ends_the_text(void **state) {
    (void)state;
    const char *const stop[] = {"", "nothing", "User:", ""};
    struct textout *t = open_with(stop, 4);
    push(t, "Hi");
    assert_ready(t, "Hi");
    push(t, " Us");
    assert_ready(t, ""); /* all of it is held back */
    push(t, "er");
    assert_ready(t, "");
    push(t, ": more");
    assert_ready(t, " ");
    assert_true(textout_ended(t));
    assert_int_equal(textout_stop(t), 2); /* as the caller counts, the empty one included */
    push(t, "late");
    textout_finish(t);
    assert_ready(t, "");
    textout_close(t);
}

static void a_false_start_is_released(void **state) {
    (void)state;
    const char *const stop[] = {"STOP"};
    struct textout *t = open_with(stop, 1);
    push(t, "aST");
    assert_ready(t, "");
    push(t, "x");
    assert_ready(t, "aSTx");
    push(t, "ST");
    push(t, "STOP");
    assert_ready(t, "ST");
    assert_int_equal(textout_stop(t), 0);
    textout_close(t);
}

static void uncollected_text_survives_a_hit(void **state) {
    (void)state;
    const char *const stop[] = {"STOP"};
    struct textout *t = open_with(stop, 1);
    push(t, "one ");
    push(t, "two S");
    push(t, "TOP");
    assert_ready(t, "one two ");
    textout_close(t);
}

static void the_earliest_hit_wins(void **state) {
    (void)state;
    const char *const stop[] = {"three", "two", "two th"};
    struct textout *t = open_with(stop, 3);
    push(t, "one two three");
    assert_ready(t, "one ");
    assert_int_equal(textout_stop(t), 1); /* the first listed of those at the same place */
    textout_close(t);
}

/* The peer would look only when the character is whole, and then too far back to see the hit. */
static void a_hit_before_an_unfinished_character_counts(void **state) {
    (void)state;
    const char *const stop[] = {"STOP"};
    struct textout *t = open_with(stop, 1);
    push(t, "aSTOP\xe2\x82");
    assert_ready(t, "a");
    assert_true(textout_ended(t));
    assert_int_equal(textout_stop(t), 0);
    textout_close(t);
}

static void characters_come_whole(void **state) {
    (void)state;
    struct textout *t = open_with(NULL, 0);
    push(t, "x\xe2");
    assert_ready(t, "");
    push(t, "\x82");
    assert_ready(t, "");
    push(t, "\xac!");
    assert_ready(t, "x\xe2\x82\xac!");
    push(t, "\x80"); /* not UTF-8: passes */
    assert_ready(t, "\x80");
    textout_close(t);
}

static void finish_sends_what_was_held_for_a_stop_string(void **state) {
    (void)state;
    const char *const stop[] = {"STOP"};
    struct textout *t = open_with(stop, 1);
    push(t, "abcST");
    assert_ready(t, "");
    textout_finish(t);
    assert_ready(t, "abcST");
    assert_true(textout_ended(t));
    assert_int_equal(textout_stop(t), TEXTOUT_NO_STOP);
    textout_close(t);
}

static void finish_drops_an_unfinished_character(void **state) {
    (void)state;
    for (int eog = 0; eog < 2; eog++) {
        struct textout *t = open_with(NULL, 0);
        push(t, "ab");
        assert_ready(t, "ab");
        push(t, "c\xf0\x9f");
        assert_ready(t, "");
        if (eog)
            textout_push(t, "", 0, true);
        else
            textout_finish(t);
        assert_ready(t, "c");
        textout_close(t);
    }
}

static void finish_of_nothing(void **state) {
    (void)state;
    struct textout *t = open_with(NULL, 0);
    textout_finish(t);
    textout_finish(t);
    assert_ready(t, "");
    textout_close(t);
    textout_close(NULL);
}

static void a_nul_byte_is_a_byte(void **state) {
    (void)state;
    struct textout *t = open_with(NULL, 0);
    size_t len;
    textout_push(t, "a\0b", 3, false);
    const char *text = textout_ready(t, &len);
    assert_int_equal(len, 3);
    assert_memory_equal(text, "a\0b", 3);
    textout_close(t);
}

/* Every step holds back, and each byte is looked at a bounded number of times: quadratic work
 * would be 10^10 steps and the test would not come back. */
static void long_holds_are_linear(void **state) {
    (void)state;
    const char *const stop[] = {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab"};
    struct textout *t = open_with(stop, 1);
    for (int i = 0; i < 100000; i++) {
        push(t, "a");
        assert_ready(t, "");
    }
    push(t, "c");
    size_t len;
    (void)textout_ready(t, &len);
    assert_int_equal(len, 100001);
    textout_close(t);
}

/* ---- against the plain rules ---- */

static uint32_t random_below(uint32_t n) {
    static uint64_t x = 88172645463325252u;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return (uint32_t)(x >> 33) % n;
}

static bool ends_with_start_of(const struct buf *b, const char *stop) {
    for (size_t k = strlen(stop); k > 0; k--) {
        if (k <= b->len && memcmp(b->data + b->len - k, stop, k) == 0) return true;
    }
    return false;
}

struct plain { /* spec/sampling.md 7, word for word; searches everything each time */
    const char *const *stop;
    size_t n_stop;
    struct buf test;
    int hit;
};

/* How many bytes of test may be sent; a hit cuts test. */
static size_t plain_step(struct plain *p, const char *piece) {
    size_t best = SIZE_MAX;
    buf_str(&p->test, piece);
    for (size_t i = 0; i < p->n_stop; i++) {
        size_t len = strlen(p->stop[i]);
        const char *at = len > 0 ? memmem(p->test.data, p->test.len, p->stop[i], len) : NULL;
        if (at == NULL || (size_t)(at - p->test.data) >= best) continue;
        best = (size_t)(at - p->test.data);
        p->hit = (int)i;
    }
    if (best != SIZE_MAX) {
        buf_cut(&p->test, best);
        return best;
    }
    if (utf8_complete_prefix(p->test.data, p->test.len) != p->test.len) return 0;
    for (size_t i = 0; i < p->n_stop; i++) {
        if (ends_with_start_of(&p->test, p->stop[i])) return 0;
    }
    return p->test.len;
}

static void compare_run(const char *const *stop, size_t n_stop, const char *const *alphabet,
                        uint32_t letters) {
    struct plain p = {.stop = stop, .n_stop = n_stop, .hit = TEXTOUT_NO_STOP};
    struct textout *t = open_with(stop, n_stop);
    for (int step = 0; step < 60 && p.hit == TEXTOUT_NO_STOP; step++) {
        char piece[64] = "";
        for (uint32_t k = random_below(4); k > 0; k--) {
            strcat(piece, alphabet[random_below(letters)]);
        }
        size_t want = plain_step(&p, piece), len;
        push(t, piece);
        const char *text = textout_ready(t, &len);
        assert_int_equal(len, want);
        assert_memory_equal(text, p.test.data, len);
        assert_int_equal(textout_stop(t), p.hit);
        buf_drop(&p.test, want);
    }
    textout_finish(t);
    size_t len;
    (void)textout_ready(t, &len);
    size_t rest = p.hit == TEXTOUT_NO_STOP ? utf8_complete_prefix(p.test.data, p.test.len) : 0;
    assert_int_equal(len, rest);
    textout_close(t);
    buf_free(&p.test);
}

static void random_streams_follow_the_plain_rules(void **state) {
    (void)state;
    static const char *const alphabet[] = {"a", "b", "a", "b", "\xc3", "\xa9", "\xc3\xa9"};
    for (int run = 0; run < 3000; run++) {
        char store[4][64] = {"", "", "", ""};
        const char *stop[4];
        size_t n = random_below(5);
        for (size_t i = 0; i < n; i++) {
            for (uint32_t k = random_below(6); k > 0; k--) {
                strcat(store[i], alphabet[random_below(4)]);
            }
            if (random_below(3) == 0) strcat(store[i], "\xc3\xa9");
            stop[i] = store[i];
        }
        compare_run(stop, n, alphabet, run % 2 == 0 ? 7 : 4);
    }
}

/* ---- memory ---- */

static void failed_allocations_are_remembered(void **state) {
    (void)state;
    const char *const stop[] = {"STOP", "b"};
    long before = mem_live();
    int opened = 0;
    for (long n = 1;; n++) {
        struct textout *t;
        struct err e = {0};
        mem_fail_at(n);
        enum status st = textout_open(&t, stop, 2, &e);
        if (st != ST_OK) {
            mem_fail_at(0);
            assert_int_equal(st, ST_NO_MEMORY);
            assert_null(t);
            assert_int_equal(mem_live(), before);
            continue;
        }
        opened++;
        for (int i = 0; i < 300; i++) push(t, "aaS");
        textout_finish(t);
        mem_fail_at(0);
        size_t len;
        (void)textout_ready(t, &len);
        bool failed = textout_failed(t);
        assert_int_equal(len, failed ? 0 : 900);
        textout_close(t);
        assert_int_equal(mem_live(), before);
        if (!failed) break;
    }
    assert_true(opened > 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_without_stops_passes),
        cmocka_unit_test(a_stop_string_ends_the_text),
        cmocka_unit_test(a_false_start_is_released),
        cmocka_unit_test(uncollected_text_survives_a_hit),
        cmocka_unit_test(the_earliest_hit_wins),
        cmocka_unit_test(a_hit_before_an_unfinished_character_counts),
        cmocka_unit_test(characters_come_whole),
        cmocka_unit_test(finish_sends_what_was_held_for_a_stop_string),
        cmocka_unit_test(finish_drops_an_unfinished_character),
        cmocka_unit_test(finish_of_nothing),
        cmocka_unit_test(a_nul_byte_is_a_byte),
        cmocka_unit_test(long_holds_are_linear),
        cmocka_unit_test(random_streams_follow_the_plain_rules),
        cmocka_unit_test(failed_allocations_are_remembered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
