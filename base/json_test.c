/* json_test.c - parsing: messages, limits, what is kept exactly; reading; printing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"

/* Parses from a copy of exactly len bytes, so that reading behind the end is found by ASan. */
static json *parse_n(const char *text, size_t len, struct err *e) {
    char *copy = malloc(len != 0 ? len : 1);
    assert_non_null(copy);
    memcpy(copy, text, len);
    json *v = json_parse(copy, len, &json_default_limits, NULL, e);
    free(copy);
    return v;
}

static json *parse(const char *text) {
    struct err e = {0};
    json *v = parse_n(text, strlen(text), &e);
    if (v == NULL) fail_msg("%s: %s", text, e.msg);
    return v;
}

/* ---- messages ---- */

static void check_message(const char *text, enum status code, const char *msg) {
    struct err e = {0};
    assert_null(parse_n(text, strlen(text), &e));
    assert_string_equal(e.msg, msg);
    assert_int_equal(e.code, code);
}

static void test_messages(void **state) {
    (void)state;
    static const char *const row[][2] = {
        {"", "EOF"},
        {" \n\t\r", "EOF"},
        {"{", "unexpected EOF"},
        {"[1,", "unexpected EOF"},
        {"{\"a\":", "unexpected EOF"},
        {"\"abc", "unexpected EOF"},
        {"\"\\u12", "unexpected EOF"},
        {"tru", "unexpected EOF"},
        {"-", "unexpected EOF"},
        {"1.", "unexpected EOF"},
        {"1e+", "unexpected EOF"},
        {"x", "invalid character 'x' looking for beginning of value"},
        {"[1,]", "invalid character ']' looking for beginning of value"},
        {"[}", "invalid character '}' looking for beginning of value"},
        {"\xEF\xBB\xBF{}", "invalid character '\xC3\xAF' looking for beginning of value"},
        {"'", "invalid character '\\'' looking for beginning of value"},
        {"\\", "invalid character '\\\\' looking for beginning of value"},
        {"\x1f", "invalid character '\\x1f' looking for beginning of value"},
        {"\x7f", "invalid character '\\x7f' looking for beginning of value"},
        {"\a", "invalid character '\\a' looking for beginning of value"},
        {"\x80", "invalid character '\\u0080' looking for beginning of value"},
        {"\xA0", "invalid character '\\u00a0' looking for beginning of value"},
        {"\xAD", "invalid character '\\u00ad' looking for beginning of value"},
        {"\xA1", "invalid character '\xC2\xA1' looking for beginning of value"},
        {"+1", "invalid character '+' looking for beginning of value"},
        {"{a:1}", "invalid character 'a' looking for beginning of object key string"},
        {"{\"a\":1,}", "invalid character '}' looking for beginning of object key string"},
        {"{,", "invalid character ',' looking for beginning of object key string"},
        {"{\"a\" 1}", "invalid character '1' after object key"},
        {"{\"a\":1 \"b\"", "invalid character '\"' after object key:value pair"},
        {"{\"a\":1]", "invalid character ']' after object key:value pair"},
        {"[1 2]", "invalid character '2' after array element"},
        {"[01]", "invalid character '1' after array element"},
        {"nope", "invalid character 'o' in literal null (expecting 'u')"},
        {"trUe", "invalid character 'U' in literal true (expecting 'u')"},
        {"fals\"", "invalid character '\"' in literal false (expecting 'e')"},
        {"\"a\nb\"", "invalid character '\\n' in string literal"},
        {"\"a\\xb\"", "invalid character 'x' in string escape code"},
        {"\"\\u12g4\"", "invalid character 'g' in \\u hexadecimal character escape"},
        {"\"\\ud800\\u12g4\"", "invalid character 'g' in \\u hexadecimal character escape"},
        {"-x", "invalid character 'x' in numeric literal"},
        {"1.x", "invalid character 'x' after decimal point in numeric literal"},
        {"1ex", "invalid character 'x' in exponent of numeric literal"},
        {"1e-.", "invalid character '.' in exponent of numeric literal"},
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++)
        check_message(row[i][0], ST_FORMAT, row[i][1]);
    struct err e;
    assert_null(parse_n("\"a\0\"", 4, &e));
    assert_string_equal(e.msg, "invalid character '\\x00' in string literal");
    assert_null(parse_n("\"\\\0\"", 4, &e));
    assert_string_equal(e.msg, "invalid character '\\x00' in string escape code");
    assert_null(parse_n("x", 1, NULL));
}

/* The first value counts; what follows it does not, whatever it is. */
static void test_rest_is_ignored(void **state) {
    (void)state;
    static const struct {
        const char *text;
        size_t used;
    } row[] = {
        {"{} x", 2}, {" [1] ]", 4}, {"12abc", 2}, {"01", 1}, {"\"a\"\"b\"", 3}, {"nullnull", 4},
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        size_t used = 99;
        json *v = json_parse(row[i].text, strlen(row[i].text), &json_default_limits, &used, NULL);
        assert_non_null(v);
        assert_int_equal(used, row[i].used);
        json_free(v);
    }
}

/* ---- limits ---- */

static json *parse_limited(const char *text, struct json_limits limits, struct err *e) {
    return json_parse(text, strlen(text), &limits, NULL, e);
}

static void test_limits(void **state) {
    (void)state;
    struct json_limits depth = {100, 100, 3}, nodes = {100, 4, 9}, bytes = {5, 100, 9};
    struct err e;
    json_free(parse_limited("[[[1]]]", depth, &e));
    assert_null(parse_limited("[[{\"a\":[]}]]", depth, &e));
    assert_int_equal(e.code, ST_LIMIT);
    assert_string_equal(e.msg, "exceeded max depth");
    json *v = parse_limited("[1,2,{}]", nodes, &e);
    assert_int_equal(json_len(v), 3);
    json_free(v);
    assert_null(parse_limited("[1,2,{\"a\":3}]", nodes, &e));
    assert_int_equal(e.code, ST_LIMIT);
    v = parse_limited("[123]rest", bytes, &e); /* the value itself fits */
    assert_non_null(v);
    json_free(v);
    static const char *const too_large[] = {"[1234]", "123456", "\"12345\"", "      1", "[1,   2]"};
    for (size_t i = 0; i < sizeof too_large / sizeof *too_large; i++) {
        assert_null(parse_limited(too_large[i], bytes, &e));
        assert_int_equal(e.code, ST_LIMIT);
        assert_string_equal(e.msg, "JSON text larger than 5 bytes");
    }
}

/* cJSON's own limit of 1000 must never be what refuses. */
static void test_deepest(void **state) {
    (void)state;
    enum { DEEP = 1001 };
    char text[2 * DEEP];
    struct json_limits limits = {1 << 20, 1 << 20, 100000};
    for (size_t n = DEEP - 1; n <= DEEP; n++) {
        struct err e = {0};
        memset(text, '[', n);
        memset(text + n, ']', n);
        json *v = json_parse(text, 2 * n, &limits, NULL, &e);
        if (n < DEEP)
            assert_non_null(v);
        else
            assert_string_equal(e.msg, "exceeded max depth");
        struct buf b = {0};
        if (v != NULL) {
            json_print(&b, v);
            assert_int_equal(b.len, 2 * n);
        }
        buf_free(&b);
        json_free(v);
    }
}

/* ---- strings ---- */

static void check_string(const char *text, const char *want, size_t want_len) {
    size_t len = 99;
    json *v = parse(text);
    const char *s = json_string_n(v, &len);
    assert_int_equal(json_kind(v), JSON_STRING);
    assert_int_equal(len, want_len);
    assert_memory_equal(s, want, len + 1);
    assert_ptr_equal(json_string(v), s);
    json_free(v);
}

static void test_strings(void **state) {
    (void)state;
#define STRING(text, want) check_string(text, want, sizeof want - 1)
    STRING("\"\"", "");
    STRING("\"plain\"", "plain");
    STRING("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t");
    STRING("\"\\u0041\\u00e9\\u20AC\\ud83d\\uDE00\"", "A\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80");
    STRING("\"\\u0022\\u005c\\u000a\\u001f\"", "\"\\\n\x1f");
    STRING("\"a\\u0000b\\u0000\"", "a\0b\0");
    STRING("\"\\u0000\"", "\0");
    STRING("\"\\u00c0\\u0080\"", "\xC3\x80\xC2\x80"); /* the marks of the scan cannot be forged */
    STRING("\"\xC0\x80\"", "\xEF\xBF\xBD\xEF\xBF\xBD");
    STRING("\"\xFF"
           "1\"",
           "\xEF\xBF\xBD"
           "1");
    STRING("\"\xE2\x82|\xF0\x9F\x98\"",
           "\xEF\xBF\xBD\xEF\xBF\xBD|\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");
    STRING("\"\xED\xA0\x80\"", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");
    STRING("\"\xEF\xBF\xBD\x7F\"", "\xEF\xBF\xBD\x7F");
    STRING("\"\\ud800\"", "\xEF\xBF\xBD");
    STRING("\"\\udc00x\"", "\xEF\xBF\xBDx");
    STRING("\"\\ud800\\ud83d\\ude00\"", "\xEF\xBF\xBD\xF0\x9F\x98\x80");
    STRING("\"\\ud800\\u0041\"", "\xEF\xBF\xBD"
                                 "A");
    STRING("\"\\ud800\\n\"", "\xEF\xBF\xBD\n");
}

/* ---- numbers ---- */

static void test_ints(void **state) {
    (void)state;
    static const struct {
        const char *text;
        bool ok;
        int64_t want;
    } row[] = {
        {"0", true, 0},
        {"-0", true, 0},
        {"12", true, 12},
        {"9007199254740993", true, 9007199254740993},
        {"9223372036854775807", true, INT64_MAX},
        {"-9223372036854775808", true, INT64_MIN},
        {"9223372036854775808", false, 0},
        {"-9223372036854775809", false, 0},
        {"9007199254740993.75", true, 9007199254740993},
        {"1.99", true, 1},
        {"-1.99", true, -1},
        {"1e3", true, 1000},
        {"1.5E2", true, 150},
        {"-25e-1", true, -2},
        {"1e-400", true, 0},
        {"1e18", true, 1000000000000000000},
        {"1e19", false, 0},
        {"-1e400", false, 0},
        {"\"1\"", false, 0},
        {"null", false, 0},
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        int64_t n = 77;
        json *v = parse(row[i].text);
        assert_int_equal(json_int(v, &n), row[i].ok);
        assert_int_equal(n, row[i].ok ? row[i].want : 77);
        json_free(v);
    }
}

static void test_doubles(void **state) {
    (void)state;
    static const struct {
        const char *text;
        double want;
    } row[] = {
        {"0.1", 0.1},
        {"-2.5e-3", -2.5e-3},
        {"1e308", 1e308},
        {"1e-400", 0},
        /* longer than cJSON's buffer of 63 characters */
        {"1000000000000000000000000000000000000000000000000000000000000000000000000000e-75", 1},
        {"0.0000000000000000000000000000000000000000000000000000000000000000000000000001", 1e-76},
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        double d = 0.5;
        json *v = parse(row[i].text);
        assert_true(json_number(v, &d));
        assert_true(d == row[i].want);
        json_free(v);
    }
    double d = 0.5;
    json *v = parse("1e999"); /* a number, but none of ours; its text is kept */
    assert_int_equal(json_kind(v), JSON_NUMBER);
    assert_false(json_number(v, &d));
    assert_true(d == 0.5);
    json_free(v);
}

/* ---- the tree ---- */

static void test_tree(void **state) {
    (void)state;
    json *root = parse("{\"a\":[1,\"two\",null,true,{}],\"b\":false}");
    static const char *const kind[] = {"number", "string", "null", "bool", "object"};
    const json *a = json_get(root, "a"), *child = json_first(a);
    assert_string_equal(json_kind_name(root), "object");
    assert_string_equal(json_kind_name(a), "array");
    assert_int_equal(json_len(root), 2);
    assert_int_equal(json_len(a), 5);
    for (size_t i = 0; i < 5; i++, child = json_next(child))
        assert_string_equal(json_kind_name(child), kind[i]);
    assert_null(child);
    assert_string_equal(json_key(json_first(root)), "a");
    assert_string_equal(json_key(json_next(json_first(root))), "b");
    assert_null(json_key(json_first(a)));
    json_free(root);
}

static void test_get(void **state) {
    (void)state;
    json *root = parse("{\"Model\":1,\"x\":2,\"model\":3,\"MODEL\":4,\"x\":5,\"a\\u0000b\":6}");
    static const struct {
        const char *key;
        int64_t want;
    } row[] = {{"model", 3}, {"Model", 1}, {"mOdEl", 4}, {"x", 5}, {"X", 5}};
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        int64_t n = 0;
        assert_true(json_int(json_get(root, row[i].key), &n));
        assert_int_equal(n, row[i].want);
    }
    assert_null(json_get(root, "absent"));
    assert_null(json_get(root, "a"));
    assert_non_null(json_get(root, "a\xEF\xBF\xBD"
                                   "b"));
    assert_null(json_get(json_get(root, "x"), "x"));
    json_free(root);
}

/* Every reader takes NULL, which is what an absent member is. */
static void test_absent(void **state) {
    (void)state;
    bool truth = true;
    double d = 1;
    int64_t n = 1;
    size_t len = 1;
    assert_int_equal(json_kind(NULL), JSON_NULL);
    assert_false(json_bool(NULL, &truth) || json_number(NULL, &d) || json_int(NULL, &n));
    assert_null(json_string(NULL));
    assert_null(json_string_n(NULL, &len));
    assert_null(json_get(NULL, "a"));
    assert_null(json_first(NULL));
    assert_null(json_next(NULL));
    assert_null(json_key(NULL));
    assert_int_equal(json_len(NULL), 0);
    json_free(NULL);
    assert_true(truth && d == 1 && n == 1 && len == 1);
    json *v = parse("false");
    assert_true(json_bool(v, &truth));
    assert_false(truth);
    assert_false(json_number(v, &d));
    assert_null(json_string(v));
    json_free(v);
}

static void test_print(void **state) {
    (void)state;
    static const char *const row[][2] = {
        {" { \"b\" : [ 1 , 2.50 ] , \"a\" : { } } ", "{\"b\":[1,2.50],\"a\":{}}"},
        {"[12345678901234567890,1e999,-0,1E5]", "[12345678901234567890,1e999,-0,1E5]"},
        {"[null,true,false,\"\"]", "[null,true,false,\"\"]"},
        {"\"\\/<\\u0000\xFF\"", "\"/\\u003c\\u0000\xEF\xBF\xBD\""},
        {"{\"<k\\n\":0}", "{\"\\u003ck\\n\":0}"},
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        struct buf b = {0};
        json *v = parse(row[i][0]);
        json_print(&b, v);
        assert_string_equal(b.data, row[i][1]);
        buf_free(&b);
        json_free(v);
    }
    struct buf b = {0};
    json_print(&b, NULL);
    assert_string_equal(b.data, "null");
    buf_free(&b);
}

static void test_no_memory(void **state) {
    (void)state;
    static const char text[] =
        "{\"a\":[1,\"x\\u0000\",{\"b\":null}],\"c\":\"a longer text, to grow\"}";
    json_free(parse(text)); /* sets cJSON's hooks */
    long before = mem_live(), n = 1;
    for (;; n++) {
        struct err e = {0};
        mem_fail_at(n);
        json *v = parse_n(text, strlen(text), &e);
        mem_fail_at(0);
        if (v != NULL) {
            assert_int_equal(json_len(v), 2);
            json_free(v);
            break;
        }
        assert_int_equal(e.code, ST_NO_MEMORY);
        assert_int_equal(mem_live(), before);
    }
    assert_true(n > 10);
    assert_int_equal(mem_live(), before);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages), cmocka_unit_test(test_rest_is_ignored),
        cmocka_unit_test(test_limits),   cmocka_unit_test(test_deepest),
        cmocka_unit_test(test_strings),  cmocka_unit_test(test_ints),
        cmocka_unit_test(test_doubles),  cmocka_unit_test(test_tree),
        cmocka_unit_test(test_get),      cmocka_unit_test(test_absent),
        cmocka_unit_test(test_print),    cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
