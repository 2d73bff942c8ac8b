/* toml_test.c - what is read, what is refused and where, limits, failing allocations. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/toml.h"

static struct toml_value only(struct toml *t, const char *text) {
    struct err e = {0};
    if (toml_parse(t, text, strlen(text), &e) != ST_OK) fail_msg("%s: %s", text, e.msg);
    assert_int_equal(t->n, 1);
    return t->entries[0].value;
}

static void test_numbers(void **state) {
    static const struct {
        const char *text;
        int64_t want;
    } row[] = {{"a = 0", 0},
               {"a=+7", 7},
               {"a = -1_000_000 # a comment", -1000000},
               {"a\t=\t0xDEAD_beef", 0xDEADBEEF},
               {"a = 0o755", 0755},
               {"a = 0b1101", 13},
               {"a = 9223372036854775807", INT64_MAX},
               {"a = -9223372036854775808\r\n", INT64_MIN}};
    struct toml t;
    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        const struct toml_value v = only(&t, row[i].text);
        assert_int_equal(v.kind, TOML_INTEGER);
        assert_true(v.integer == row[i].want);
        toml_free(&t);
    }
    struct toml_value v = only(&t, "a = -6_2.5e-1");
    assert_int_equal(v.kind, TOML_FLOAT);
    assert_true(fabs(v.number + 6.25) < 1e-12);
    toml_free(&t);
    v = only(&t, "a = 1e3");
    assert_true(v.kind == TOML_FLOAT && fabs(v.number - 1000) < 1e-9);
    toml_free(&t);
}

static void test_strings(void **state) {
    static const char *const row[][2] = {
        {"a = ''", ""},
        {"a = \"\"", ""},
        {"a = 'C:\\x \"y\" #'", "C:\\x \"y\" #"},
        {"a = \"\\b\\t\\n\\f\\r\\\"\\\\\"", "\b\t\n\f\r\"\\"},
        {"a = \"\\u00e9\\U0001F600 \xC3\xA9\"", "\xC3\xA9\xF0\x9F\x98\x80 \xC3\xA9"},
        {"\xEF\xBB\xBF"
         "a = \"with a mark\"",
         "with a mark"},
    };
    struct toml t;
    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        const struct toml_value v = only(&t, row[i][0]);
        assert_int_equal(v.kind, TOML_STRING);
        assert_string_equal(v.text, row[i][1]);
        toml_free(&t);
    }
}

static void test_structure(void **state) {
    static const char text[] = "# settings\n"
                               "top = true\n"
                               "\n"
                               "[a.b]  # a table\n"
                               "list = [ 1, 'two', # three\n"
                               "  false,\n"
                               "]\n"
                               "x.y = 2\n"
                               "x.z = 3\n"
                               "[a]\n"
                               "empty = []\n";
    static const char *const keys[] = {"top",     "a.b", "a.b.list", "a.b.x.y",
                                       "a.b.x.z", "a",   "a.empty"};
    static const unsigned lines[] = {2, 4, 5, 8, 9, 10, 11};
    struct toml t;
    struct err e = {0};
    (void)state;
    assert_int_equal(toml_parse(&t, text, sizeof text - 1, &e), ST_OK);
    assert_int_equal(t.n, 7);
    for (size_t i = 0; i < t.n; i++) {
        assert_string_equal(t.entries[i].key, keys[i]);
        assert_int_equal(t.entries[i].line, lines[i]);
    }
    const struct toml_value *list = &t.entries[2].value;
    assert_int_equal(list->kind, TOML_ARRAY);
    assert_int_equal(list->n, 3);
    assert_string_equal(list->items[1].text, "two");
    assert_int_equal(list->items[2].line, 6);
    assert_int_equal(list->items[2].column, 3);
    assert_int_equal(t.entries[1].value.kind, TOML_TABLE);
    assert_int_equal(t.entries[6].value.n, 0);
    toml_free(&t);
}

static void test_errors(void **state) {
    static const char *const row[][2] = {
        {"a", "line 1, column 2: expected '=' behind the key"},
        {"a = ", "line 1, column 5: expected a value"},
        {"a = # b", "line 1, column 5: expected a value"},
        {"= 1", "line 1, column 1: expected a key"},
        {"a. = 1", "line 1, column 4: expected a key"},
        {"\n\n  'a' = 1", "line 3, column 3: quoted keys are not supported"},
        {"a = 1 b = 2", "line 1, column 7: expected the end of the line"},
        {"a = yes", "line 1, column 5: not a value: 'yes' (texts stand in quotes)"},
        {"a = 01", "line 1, column 5: numbers do not begin with 0: '01'"},
        {"a = 1__0", "line 1, column 5: not a value: '1__0'"},
        {"a = 1.", "line 1, column 5: not a value: '1.'"},
        {"a = +0x1", "line 1, column 5: not a value: '+0x1'"},
        {"a = 9223372036854775808",
         "line 1, column 5: the number is too large: '9223372036854775808'"},
        {"a = 1e999", "line 1, column 5: the number is too large: '1e999'"},
        {"a = inf", "line 1, column 5: not a value: 'inf' (texts stand in quotes)"},
        {"a = 1979-05-27", "line 1, column 5: dates and times are not supported"},
        {"a = 07:32:00", "line 1, column 5: dates and times are not supported"},
        {"a = \"x", "line 1, column 5: the string has no end on its line"},
        {"a = 'x\n'", "line 1, column 5: the string has no end on its line"},
        {"a = \"\\q\"", "line 1, column 6: unknown escape in a string"},
        {"a = \"\\u12\"", "line 1, column 6: expected 4 hexadecimal digits"},
        {"a = \"\\ud800\"", "line 1, column 6: no character has this number"},
        {"a = \"\\u0000\"", "line 1, column 6: no character has this number"},
        {"a = \"\"\"x\"\"\"", "line 1, column 5: strings of several lines are not supported"},
        {"a = {b = 1}", "line 1, column 5: inline tables are not supported"},
        {"a = [[1]]", "line 1, column 6: arrays in arrays are not supported"},
        {"a = [1\n\n", "line 3, column 1: the array of line 1 has no end"},
        {"a = [1 2]", "line 1, column 8: expected ',' or ']'"},
        {"a = [,]", "line 1, column 6: expected a value"},
        {"[[a]]", "line 1, column 1: arrays of tables are not supported"},
        {"[a", "line 1, column 3: expected ']' behind the name of the table"},
        {"[]", "line 1, column 2: expected a key"},
        {"a = 1\nb = 2\na = 3", "line 3, column 1: 'a' is there already (line 1)"},
        {"[t]\n[u]\n[t]", "line 3, column 2: 't' is there already (line 1)"},
        {"a = 1\n[a]", "line 2, column 2: 'a' is there already (line 1)"},
        {"a = 1\n[a.b]", "line 2, column 2: 'a' is a value, not a table (line 1)"},
        {"a = 1\na.b = 2", "line 2, column 1: 'a' is a value, not a table (line 1)"},
        {"[a.b]\nx = 1\n[a]\nb.y = 2", "line 4, column 1: 'a.b' is there already (line 1)"},
        {"\xC3\xA9 = 1", "line 1, column 1: expected a key"},
        {"a = '\xC3\xA9' b", "line 1, column 9: expected the end of the line"},
        {"a = '\xFF'", "line 1, column 6: not UTF-8"},
        {"a = 'x\x01'", "line 1, column 7: control character U+0001"},
        {"a = 1\rb = 2", "line 1, column 6: control character U+000D"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        struct toml t;
        struct err e = {0};
        assert_int_equal(toml_parse(&t, row[i][0], strlen(row[i][0]), &e), ST_FORMAT);
        assert_string_equal(e.msg, row[i][1]);
        assert_null(t.entries);
    }
}

static void test_limits(void **state) {
    struct buf b = {0};
    struct toml t;
    struct err e = {0};
    (void)state;
    for (int i = 0; i <= TOML_MAX_ENTRIES; i++) buf_printf(&b, "k%d=1\n", i);
    assert_int_equal(toml_parse(&t, b.data, b.len, &e), ST_LIMIT);
    buf_clear(&b);
    buf_str(&b, "a = [");
    for (int i = 0; i <= TOML_MAX_ITEMS; i++) buf_str(&b, "1,");
    buf_chr(&b, ']');
    assert_int_equal(toml_parse(&t, b.data, b.len, &e), ST_LIMIT);
    buf_clear(&b);
    for (int i = 0; i <= TOML_MAX_KEY; i++) buf_chr(&b, 'k');
    buf_str(&b, " = 1");
    assert_int_equal(toml_parse(&t, b.data, b.len, &e), ST_FORMAT);
    assert_string_equal(e.msg, "line 1, column 1: the key is too long");
    buf_clear(&b);
    while (b.len <= TOML_MAX_BYTES) buf_str(&b, "# comment\n");
    assert_int_equal(toml_parse(&t, b.data, b.len, &e), ST_LIMIT);
    buf_free(&b);
}

static void test_no_memory(void **state) {
    static const char text[] = "[a.b]\nc = [1, 'x']\nd = \"text\"\ne.f = 1\n";
    const long before = mem_live();
    (void)state;
    for (long n = 1;; n++) {
        struct toml t;
        struct err e = {0};
        mem_fail_at(n);
        const enum status st = toml_parse(&t, text, sizeof text - 1, &e);
        mem_fail_at(0);
        toml_free(&t);
        assert_int_equal(mem_live(), before);
        if (st == ST_OK) break;
        assert_int_equal(st, ST_NO_MEMORY);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers),   cmocka_unit_test(test_strings),
        cmocka_unit_test(test_structure), cmocka_unit_test(test_errors),
        cmocka_unit_test(test_limits),    cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
