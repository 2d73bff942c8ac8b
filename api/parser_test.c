/* parser_test.c - thinking and tool calls: the result is the same however the text is cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "api/think.h"
#include "api/toolcall.h"

/* ---- thinking ---- */

static void think(const char *text, size_t cut1, size_t cut2, const char *content,
                  const char *thinking) {
    struct think_parser p;
    struct buf c = {0}, t = {0};
    think_begin(&p, "<think>", "</think>");
    think_feed(&p, text, cut1, &c, &t);
    think_feed(&p, text + cut1, cut2 - cut1, &c, &t);
    think_feed(&p, text + cut2, strlen(text) - cut2, &c, &t);
    think_flush(&p, &c, &t);
    think_end(&p);
    assert_string_equal(c.len > 0 ? c.data : "", content);
    assert_string_equal(t.len > 0 ? t.data : "", thinking);
    buf_free(&c);
    buf_free(&t);
}

static void test_think(void **state) {
    (void)state;
    const struct {
        const char *text, *content, *thinking;
    } row[] = {{"<think>a b</think>c d", "c d", "a b"},
               {" \n<think>\n a </think>\n\n c", "c", "a "},
               {"plain <think>x</think>", "plain <think>x</think>", ""},
               {"<think>never closed", "", "never closed"},
               {"<think>a</thin</think>b", "b", "a</thin"},
               {"<thank>", "<thank>", ""},
               {"<think>a</thi", "", "a</thi"}, /* what is held at the end is text after all */
               {"<think><", "", "<"},
               {"<think> \n", "", ""},
               {"<think>a</think> \n", "", "a"},
               {"<think>a</think>b</think", "b</think", "a"},
               {"<thin", "<thin", ""},
               {" \n <", " \n <", ""},
               {" \n ", " \n ", ""},
               {"", "", ""},
               {"<think>\xC2\xA0"
                "a</think>",
                "", "a"}};
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        size_t n = strlen(row[i].text);
        for (size_t a = 0; a <= n; a++)
            for (size_t b = a; b <= n; b++)
                think(row[i].text, a, b, row[i].content, row[i].thinking);
    }
}

/* ---- tool calls ---- */

#define TOOLS "[{\"function\":{\"name\":\"get\"}},{\"function\":{\"name\":\"get_more\"}}]"

/* The calls without their random ids. */
static void calls_text(const struct buf *calls, struct buf *out) {
    struct buf list = {0};
    buf_printf(&list, "[%s]", calls->len > 0 ? calls->data : "");
    json *v = json_parse(list.data, list.len, &json_default_limits, NULL, NULL);
    for (const json *c = json_first(v); c != NULL; c = json_next(c))
        json_print(out, json_get(c, "function"));
    json_free(v);
    buf_free(&list);
}

static void tool(const char *tag, const char *text, size_t cut, const char *content,
                 const char *calls) {
    struct tool_parser p;
    struct buf c = {0}, list = {0}, shown = {0};
    json *tools = json_parse(TOOLS, strlen(TOOLS), &json_default_limits, NULL, NULL);
    tool_begin(&p, tag, tools);
    tool_feed(&p, text, cut, &c, &list);
    tool_feed(&p, text + cut, strlen(text) - cut, &c, &list);
    tool_end(&p, &c);
    calls_text(&list, &shown);
    assert_string_equal(c.len > 0 ? c.data : "", content);
    assert_string_equal(shown.len > 0 ? shown.data : "", calls);
    buf_free(&c);
    buf_free(&list);
    buf_free(&shown);
    json_free(tools);
}

static void test_tools(void **state) {
    (void)state;
    const struct {
        const char *tag, *text, *content, *calls;
    } row[] = {
        {"<tool_call>", "Hi <tool_call>{\"name\": \"get\", \"arguments\": {\"a\": 1}}</tool_call>",
         "Hi ", "{\"index\":0,\"name\":\"get\",\"arguments\":{\"a\":1}}"},
        {"<tool_call>",
         "<tool_call>{\"name\":\"get\",\"parameters\":{}}</tool_call>\n<tool_call>{\"name\":"
         "\"get_more\",\"arguments\":\"{\\\"b\\\":\\\"}\\\"}\"}</tool_call>",
         "",
         "{\"index\":0,\"name\":\"get\",\"arguments\":{}}{\"index\":1,\"name\":\"get_more\","
         "\"arguments\":"
         "{\"b\":\"}\"}}"},
        {"{", "{\"name\":\"get\",\"arguments\":{\"a\":{}}}", "",
         "{\"index\":0,\"name\":\"get\",\"arguments\":{\"a\":{}}}"},
        {"{", "Here: {\"a\":1}", "Here: {\"a\":1}", ""},
        {"{", "{\"unrelated\": 1}", "{\"unrelated\": 1}", ""},
        {"<tool_call>", "no call <tool", "no call ", ""},
        {"<tool_call>", "<tool_call>oops| not json", "", ""},
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++)
        for (size_t cut = 0; cut <= strlen(row[i].text); cut++)
            tool(row[i].tag, row[i].text, cut, row[i].content, row[i].calls);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_think), cmocka_unit_test(test_tools)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
