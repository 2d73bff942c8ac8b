/* cli_text_test.c - tables, word wrap, widths, times, addresses, options given as texts. What
 * golden/cli covers (formats, OLLAMA_HOST) is checked by golden-check. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/mem.h"
#include "cli/format.h"
#include "cli/host.h"
#include "cli/info.h"
#include "cli/setting.h"
#include "cli/table.h"
#include "cli/terminal.h"
#include "cli/wrap.h"

static void test_table(void **state) {
    struct table t = {0};
    struct buf out = {0};
    (void)state;
    table_row(&t);
    table_cell(&t, "NAME");
    table_cell(&t, "ID");
    table_print(&out, &t, "", true);
    assert_string_equal(out.data, "NAME    ID \n");
    buf_clear(&out);
    table_row(&t);
    table_cell(&t, "größer");
    table_cell(&t, "1");
    table_print(&out, &t, "", true);
    assert_string_equal(out.data, "NAME      ID \ngrößer    1     \n");
    buf_clear(&out);
    table_print(&out, &t, "  ", false);
    assert_string_equal(out.data, "  NAME      ID    \n  größer    1     \n");
    table_free(&t);
    buf_free(&out);
}

/* Feeds the text in pieces of n bytes: how it is cut must not matter. */
static void check_wrap(int columns, const char *text, const char *want) {
    for (size_t n = 1; n <= strlen(text); n++) {
        struct wrap w = {.columns = columns};
        struct buf out = {0};
        for (size_t i = 0; i < strlen(text); i += n) {
            const size_t left = strlen(text) - i;
            wrap_put(&w, &out, text + i, left < n ? left : n);
        }
        assert_string_equal(out.data, want);
        wrap_free(&w);
        buf_free(&out);
    }
}

static void test_wrap(void **state) {
    (void)state;
    check_wrap(0, "any length at all goes through as it is",
               "any length at all goes through as it is");
    check_wrap(20, "short", "short");
    check_wrap(20, "one two three four", "one two three f\x1b[1D\x1b[K\nfour");
    check_wrap(20, "0123456789 12345", "0123456789 1234\x1b[4D\x1b[K\n12345");
    check_wrap(20, "0123456789abcdefgh", "0123456789abcde\nfgh");    /* too long to move */
    check_wrap(20, "0123456789abcde next", "0123456789abcde\nnext"); /* the blank is the break */
    check_wrap(20, "a\nb", "a\nb");
    check_wrap(20, "漢字漢字漢字漢字", "漢字漢字漢字漢\n字"); /* two columns each */
}

static void test_width(void **state) {
    (void)state;
    assert_int_equal(text_width("abc", 3), 3);
    assert_int_equal(text_width("é漢", strlen("é漢")), 3);
    assert_int_equal(text_width("e\xCC\x81", 3), 1); /* a combining accent */
    assert_int_equal(char_width(0x1F600), 2);
    assert_int_equal(char_width('\n'), 0);
}

static void test_time(void **state) {
    int64_t ns;
    (void)state;
    assert_true(parse_time("1970-01-01T00:00:01.5Z", &ns));
    assert_int_equal(ns, 1500000000);
    assert_true(parse_time("2026-11-21T12:00:00.123456789+02:00", &ns));
    assert_int_equal(ns, 1795255200123456789);
    assert_true(parse_time("1969-12-31T23:00:00-01:00", &ns));
    assert_int_equal(ns, 0);
    assert_true(parse_time("0001-01-01T00:00:00Z", &ns));
    assert_true(ns == INT64_MIN);
    assert_true(parse_time("2318-01-01T00:00:00Z", &ns));
    assert_true(ns == INT64_MAX);
    assert_false(parse_time("yesterday", &ns));
}

static void test_host(void **state) {
    struct host h;
    struct buf out = {0};
    (void)state;
    host_parse(&h, NULL);
    host_put_url(&out, &h);
    assert_string_equal(out.data, "http://127.0.0.1:11434");
    host_parse(&h, "a:b:c"); /* no address at all, but no crash either */
    assert_string_equal(h.name, "a:b:c");
    host_parse(&h, ":");
    assert_true(h.bad_port);
    host_parse(&h, "]");
    host_parse(&h, "[]:1");
    assert_int_equal(h.port, 1);
    buf_free(&out);
}

static void test_settings(void **state) {
    struct setting_list o = {0};
    struct buf out = {0};
    struct err e = {0};
    const char *stops[] = {"A", "B"}, *seven[] = {"7"};
    (void)state;
    assert_int_equal(setting_put(&out, &o, NULL), ST_OK);
    assert_int_equal(out.len, 0);
    assert_int_equal(setting_add(&o, "temperature=0", NULL), ST_OK);
    assert_int_equal(setting_add(&o, "stop=x=y", NULL), ST_OK);
    assert_int_equal(setting_set(&o, "stop", stops, 2, NULL), ST_OK);
    assert_int_equal(setting_set(&o, "seed", seven, 1, NULL), ST_OK);
    assert_int_equal(setting_put(&out, &o, NULL), ST_OK);
    assert_string_equal(out.data, "{\"seed\":7,\"temperature\":0,\"stop\":[\"A\",\"B\"]}");
    assert_int_equal(setting_add(&o, "x=1", &e), ST_INVALID);
    assert_string_equal(e.msg, "unknown parameter 'x'");
    assert_int_equal(setting_add(&o, "seed=q", &e), ST_INVALID);
    assert_int_equal(setting_add(&o, "seed", &e), ST_INVALID);
    assert_int_equal(o.n, 4); /* nothing of that stayed */
    setting_free(&o);
    buf_free(&out);
}

static void test_info(void **state) {
    static const char text[] =
        "{\"details\":{\"quantization_level\":\"Q8_0\"},\"capabilities\":[\"completion\"],"
        "\"model_info\":{\"general.architecture\":\"llama\",\"general.parameter_count\":32000,"
        "\"llama.context_length\":128},\"parameters\":\"stop    \\\"a\\\"\\nseed    1\","
        "\"license\":\"one\\n\\n two \\nthree\"}";
    json *v = json_parse(text, sizeof text - 1, &json_default_limits, NULL, NULL);
    struct buf out = {0};
    (void)state;
    info_put(&out, v, false);
    assert_string_equal(out.data, "  Model\n"
                                  "    architecture      llama    \n"
                                  "    parameters        32K      \n"
                                  "    context length    128      \n"
                                  "    quantization      Q8_0     \n\n"
                                  "  Capabilities\n    completion    \n\n"
                                  "  Parameters\n    stop    \"a\"    \n    seed    1      \n\n"
                                  "  License\n    one    \n    two    \n    ...    \n\n");
    json_free(v);
    buf_free(&out);
}

static int leaks(void **state) {
    (void)state;
    return mem_live() == 0 ? 0 : -1;
}

static void test_visible(void **state) {
    static const struct {
        const char *text, *want;
    } row[] = {
        {"", ""},
        {"plain \xC3\xA9\n\ttext", "plain \xC3\xA9\n\ttext"},
        {"\x1b]52;c;aGk=\x07", "\\x1b]52;c;aGk=\\x07"},
        {"a\r\x7f", "a\\x0d\\x7f"},
        {"\xC2\x9B"
         "31m\xC2\xA0",
         "\\x9b31m\xC2\xA0"}, /* C1 in UTF-8; a blank of its own */
        {"\x9B"
         "31m\xE2\x82",
         "\\x9b31m\\xe2\\x82"}, /* C1 as a byte; half a character */
    };
    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        struct buf out = {0};
        terminal_visible(&out, row[i].text, strlen(row[i].text));
        assert_string_equal(out.data != NULL ? out.data : "", row[i].want);
        buf_free(&out);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),    cmocka_unit_test(test_wrap), cmocka_unit_test(test_width),
        cmocka_unit_test(test_visible),  cmocka_unit_test(test_time), cmocka_unit_test(test_host),
        cmocka_unit_test(test_settings), cmocka_unit_test(test_info),
    };
    return cmocka_run_group_tests(tests, NULL, leaks);
}
