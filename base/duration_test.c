/* duration_test.c - durations and keep_alive values, with the recorded errors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/duration.h"

static const int64_t second = 1000000000;

static void test_durations(void **state) {
    (void)state;
    const struct {
        const char *text;
        int64_t ns;
    } row[] = {{"0", 0},
               {"5m", 300 * second},
               {"1h30m", 5400 * second},
               {"-1s", -second},
               {"+5m", 300 * second},
               {"1.5h", 5400 * second},
               {"500ms", second / 2},
               {"1h0m0.5s", 3600 * second + second / 2},
               {".5s", second / 2},
               {"10us", 10000},
               {"10\xC2\xB5s", 10000},
               {"7ns", 7}};
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        int64_t ns = 1;
        assert_int_equal(duration_parse(row[i].text, &ns, NULL), ST_OK);
        assert_int_equal(ns, row[i].ns);
    }
}

static void test_duration_errors(void **state) {
    (void)state;
    const struct {
        const char *text, *message;
    } row[] = {{"abc", "time: invalid duration \"abc\""},
               {"", "time: invalid duration \"\""},
               {"-", "time: invalid duration \"-\""},
               {".s", "time: invalid duration \".s\""},
               {"5", "time: missing unit in duration \"5\""},
               {"-1", "time: missing unit in duration \"-1\""},
               {"5mm", "time: unknown unit \"mm\" in duration \"5mm\""},
               {"5 m", "time: unknown unit \" m\" in duration \"5 m\""},
               {"0x10s", "time: unknown unit \"x\" in duration \"0x10s\""},
               {"999999999h", "time: invalid duration \"999999999h\""}};
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        struct err e;
        int64_t ns;
        assert_int_equal(duration_parse(row[i].text, &ns, &e), ST_INVALID);
        assert_string_equal(e.msg, row[i].message);
    }
}

/* The rows of golden/cli/keepalive_json.jsonl. */
static void test_keep_alive(void **state) {
    (void)state;
    const struct {
        const char *text;
        int64_t ns;
        const char *message;
    } row[] = {{"0", 0, NULL},
               {"-1", DURATION_FOREVER, NULL},
               {"1.5", 3 * second / 2, NULL},
               {"\"5m\"", 300 * second, NULL},
               {"\"0\"", 0, NULL},
               {"\"-1s\"", DURATION_FOREVER, NULL},
               {"1e9", 1000000000 * second, NULL},
               {"\"-1\"", 0, "time: missing unit in duration \"-1\""},
               {"true", 0, "Unsupported type: 'bool'"},
               {"null", 0, "Unsupported type: '%!s(<nil>)'"},
               {"[]", 0, "Unsupported type: '[]interface {}'"},
               {"{}", 0, "Unsupported type: 'map[string]interface {}'"}};
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        struct err e = {.msg = ""};
        int64_t ns = 0;
        json *v = json_parse(row[i].text, strlen(row[i].text), &json_default_limits, NULL, NULL);
        enum status st = keep_alive_parse(v, &ns, &e);
        assert_int_equal(st, row[i].message == NULL ? ST_OK : ST_INVALID);
        if (row[i].message == NULL)
            assert_int_equal(ns, row[i].ns);
        else
            assert_string_equal(e.msg, row[i].message);
        json_free(v);
    }
}

static void test_keep_alive_text(void **state) {
    (void)state;
    int64_t ns = 0;
    assert_int_equal(keep_alive_text("30", &ns, NULL), ST_OK);
    assert_int_equal(ns, 30 * second);
    assert_int_equal(keep_alive_text("-1", &ns, NULL), ST_OK);
    assert_int_equal(ns, DURATION_FOREVER);
    assert_int_equal(keep_alive_text("2h", &ns, NULL), ST_OK);
    assert_int_equal(ns, 7200 * second);
    assert_int_equal(keep_alive_text("soon", &ns, NULL), ST_INVALID);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_durations), cmocka_unit_test(test_duration_errors),
        cmocka_unit_test(test_keep_alive), cmocka_unit_test(test_keep_alive_text)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
