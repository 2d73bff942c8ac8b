/* limits_test.c - each limit at one less, at itself, and at one more. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "api/limits.h"
#include "base/buf.h"

static json *repeated(const char *item, size_t n) {
    struct buf b = {0};
    buf_chr(&b, '[');
    for (size_t i = 0; i < n; i++) buf_printf(&b, i == 0 ? "%s" : ",%s", item);
    buf_chr(&b, ']');
    json *v = json_parse(b.data, b.len, &json_default_limits, NULL, NULL);
    buf_free(&b);
    assert_non_null(v);
    return v;
}

static json *text_of(const char *before, size_t n, const char *after) {
    struct buf b = {0};
    buf_str(&b, before);
    for (size_t i = 0; i < n; i++) buf_chr(&b, 'a');
    buf_str(&b, after);
    json *v = json_parse(b.data, b.len, &json_default_limits, NULL, NULL);
    buf_free(&b);
    assert_non_null(v);
    return v;
}

static bool fits(const struct gen_request *r) {
    struct err e = {.msg = ""};
    enum status st = limits_check(r, &e);
    assert_true(st == ST_OK || (st == ST_LIMIT && strncmp(e.msg, "more than ", 10) == 0));
    return st == ST_OK;
}

static void test_sec_S_NET_7_counts(void **state) {
    (void)state;
    for (int d = -1; d <= 1; d++) {
        json *messages = repeated("{}", (size_t)(LIMIT_MESSAGES + d));
        json *tools = repeated("{}", (size_t)(LIMIT_TOOLS + d));
        json *images = repeated("\"\"", (size_t)(LIMIT_IMAGES + d));
        json *stops = repeated("\"x\"", (size_t)(LIMIT_STOPS + d));
        struct buf b = {0};
        buf_str(&b, "{\"stop\":");
        json_print(&b, stops);
        buf_chr(&b, '}');
        json *options = json_parse(b.data, b.len, &json_default_limits, NULL, NULL);
        assert_int_equal(fits(&(struct gen_request){.messages = messages}), d <= 0);
        assert_int_equal(fits(&(struct gen_request){.tools = tools}), d <= 0);
        assert_int_equal(fits(&(struct gen_request){.images = images}), d <= 0);
        assert_int_equal(fits(&(struct gen_request){.options = options}), d <= 0);
        json *const all[] = {messages, tools, images, stops, options};
        for (size_t i = 0; i < sizeof all / sizeof *all; i++) json_free(all[i]);
        buf_free(&b);
    }
}

static void test_sec_S_NET_7_images_of_all_messages(void **state) {
    (void)state;
    json *two = repeated("{\"images\":[\"\",\"\"]}", LIMIT_IMAGES / 2);
    json *one = repeated("\"\"", 1);
    assert_true(fits(&(struct gen_request){.messages = two}));
    assert_false(fits(&(struct gen_request){.messages = two, .images = one}));
    json_free(two);
    json_free(one);
}

static void test_sec_S_NET_7_texts(void **state) {
    (void)state;
    for (int d = -1; d <= 1; d++) {
        json *grammar = text_of("\"", (size_t)(LIMIT_GRAMMAR_BYTES + d), "\"");
        json *one = text_of("{\"stop\":\"", (size_t)(LIMIT_STOP_BYTES + d), "\"}");
        json *list = text_of("{\"stop\":[\"b\",\"", (size_t)(LIMIT_STOP_BYTES + d), "\"]}");
        assert_int_equal(fits(&(struct gen_request){.grammar = grammar}), d <= 0);
        assert_int_equal(fits(&(struct gen_request){.regex = grammar}), d <= 0);
        assert_int_equal(fits(&(struct gen_request){.options = one}), d <= 0);
        assert_int_equal(fits(&(struct gen_request){.options = list}), d <= 0);
        json_free(grammar);
        json_free(one);
        json_free(list);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sec_S_NET_7_counts),
        cmocka_unit_test(test_sec_S_NET_7_images_of_all_messages),
        cmocka_unit_test(test_sec_S_NET_7_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
