/* options_test.c - layers, types and errors of options. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "api/options.h"

static struct arena arena;

static enum status apply(struct options *o, const char *text, struct err *e) {
    json *v = json_parse(text, strlen(text), &json_default_limits, NULL, NULL);
    enum status st = options_apply(o, v, &arena, e);
    json_free(v);
    return st;
}

static void test_layers(void **state) {
    (void)state;
    struct options o = options_default();
    assert_int_equal(o.top_k, 40);
    assert_int_equal(apply(&o, "{\"temperature\":0,\"top_k\":3,\"stop\":[\"a\",\"\",\"b\"]}", NULL),
                     ST_OK);
    assert_int_equal(
        apply(&o, "{\"top_k\":7.9,\"seed\":null,\"use_mmap\":false,\"bogus\":[]}", NULL), ST_OK);
    assert_true(o.temperature == 0.0F);
    assert_int_equal(o.top_k, 7);
    assert_int_equal(o.seed, -1);
    assert_int_equal(o.use_mmap, OPTION_FALSE);
    assert_int_equal(o.n_stop, 2); /* an empty one would end every answer at once */
    assert_string_equal(o.stop[1], "b");
    assert_int_equal(options_apply(&o, NULL, &arena, NULL), ST_OK);
}

static void test_errors(void **state) {
    (void)state;
    const struct {
        const char *text, *message;
    } row[] = {{"{\"temperature\":\"hot\"}", "option \"temperature\" must be of type float32"},
               {"{\"num_predict\":\"5\"}", "option \"num_predict\" must be of type integer"},
               {"{\"use_mmap\":1}", "option \"use_mmap\" must be of type boolean"},
               {"{\"stop\":\"x\"}", "option \"stop\" must be of type array"},
               {"{\"stop\":[1]}", "option \"stop\" must be of an array of strings"}};
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        struct options o = options_default();
        struct err e;
        assert_int_equal(apply(&o, row[i].text, &e), ST_INVALID);
        assert_string_equal(e.msg, row[i].message);
    }
}

static void test_extremes(void **state) {
    (void)state;
    struct options o = options_default();
    assert_int_equal(apply(&o, "{\"num_predict\":1e300,\"num_keep\":-1e300}", NULL), ST_OK);
    assert_true(o.num_predict > 1000000 && o.num_keep < 0);
}

static int teardown(void **state) {
    (void)state;
    arena_free(&arena);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_layers), cmocka_unit_test(test_errors),
                                       cmocka_unit_test(test_extremes)};
    return cmocka_run_group_tests(tests, NULL, teardown);
}
