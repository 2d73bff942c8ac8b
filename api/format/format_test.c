/* format_test.c - parsers at every possible cut of a text, what is held back at the end, choices by
 * the text of a Jinja template, and memory that runs out. The formats themselves: golden/chat. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "api/format/parse.h"
#include "api/format/render.h"
#include "api/learn_jinja.h"
#include "base/mem.h"

static const char tools_text[] = "[{\"type\":\"function\",\"function\":{\"name\":\"get_weather\","
                                 "\"description\":\"d\",\"parameters\":"
                                 "{\"type\":\"object\",\"required\":[\"city\"],\"properties\":{"
                                 "\"city\":{\"type\":\"string\"}}}}}]";

struct said {
    char content[512], thinking[512], calls[1024];
    enum status st;
};

static void append(char *to, size_t size, const struct buf *b) {
    size_t n = strlen(to);
    if (b->len > 0 && n + b->len < size) memcpy(to + n, b->data, b->len + 1);
}

/* Feeds text in three pieces, cut at a and b. */
static struct said run(const char *name, const struct parser_input *in, const char *text, size_t a,
                       size_t b) {
    const size_t n = strlen(text), cut[] = {0, a, b, n};
    struct parser *p = NULL;
    struct said s = {.content = ""};
    struct err e = {0};
    s.st = parser_open(&p, name, in, &e);
    for (int i = 0; i < 4 && s.st == ST_OK; i++) {
        struct parser_out o = {0};
        if (i < 3)
            s.st = parser_feed(p, text + cut[i], cut[i + 1] - cut[i], false, &o, &e);
        else
            s.st = parser_feed(p, "", 0, true, &o, &e);
        if (i == 3 && s.st == ST_OK) parser_end(p, &o);
        append(s.content, sizeof s.content, &o.content);
        append(s.thinking, sizeof s.thinking, &o.thinking);
        append(s.calls, sizeof s.calls, &o.calls);
        parser_out_free(&o);
    }
    parser_free(p);
    return s;
}

static const struct {
    const char *parser, *text, *content, *thinking;
    bool think, tools;
} row[] = {
    {"qwen3-thinking",
     "<think>hm</think>a<tool_call>{\"name\":\"get_weather\",\"arguments\":{\"city\":\"Oslo\"}}</"
     "tool_call>",
     "a", "hm", true, true},
    {"qwen3.5",
     "hm</think>a<tool_call><function=get_weather><parameter=city>Oslo</parameter></function></"
     "tool_call>",
     "a", "hm", true, true},
    {"deepseek3",
     "hm</"
     "think>a<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>get_weather<｜tool▁sep｜>{\"city\":"
     "\"Oslo\"}<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
     "a", "hm", true, true},
    {"glm-4.7",
     "hm</think>a<tool_call>get_weather<arg_key>city</arg_key><arg_value>Oslo</arg_value></"
     "tool_call>",
     "a", "hm", true, true},
    {"gemma4",
     "<|channel>thought\nhm<channel|>a<|tool_call>call:get_weather{city:<|\"|>Oslo<|\"|>}<tool_"
     "call|>",
     "a", "hm", true, true},
    {"functiongemma",
     "a<start_function_call>call:get_weather{city:<escape>Oslo<escape>}<end_function_call>", "a",
     "", false, true},
    {"ministral", "[THINK]hm[/THINK]a[TOOL_CALLS]get_weather[ARGS]{\"city\":\"Oslo\"}", "a", "hm",
     false, true},
    {"lfm2", "a<|tool_call_start|>[get_weather(city='Oslo')]<|tool_call_end|>", "a", "", false,
     true},
    {"olmo3", "a<function_calls>get_weather(city=\"Oslo\")</function_calls>", "a", "", false, true},
    {"cohere",
     "hm<|END_THINKING|><|START_TEXT|>a<|END_TEXT|><|START_ACTION|>[{\"tool_name\":\"get_weather\","
     "\"parameters\":"
     "{\"city\":\"Oslo\"}}]<|END_ACTION|>",
     "a", "hm", true, true},
    {"harmony",
     "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>a<|end|><"
     "|start|>assistant"
     "<|channel|>commentary to=functions.get_weather<|message|>{\"city\":\"Oslo\"}",
     "a", "hm", true, true},
    {"glimmer",
     " to=self<|message|>hm<|eom|><|start|>assistant to=user<|message|>a<|eom|><|start|>assistant "
     "to=get_weather"
     "<|message|><atem:function_calls>\n<atem:invoke name=\"get_weather\">\n<atem:parameter "
     "name=\"city\">Oslo"
     "</atem:parameter>\n</atem:invoke>\n</atem:function_calls><|eot|>",
     "a", "hm", true, true},
    {"laguna",
     "hm</think>a<tool_call>get_weather<arg_key>city</arg_key><arg_value>Oslo</arg_value></"
     "tool_call>",
     "a", "hm", true, true},
    {"passthrough", "<think>all of it</think>", "<think>all of it</think>", "", false, false},
};

static json *tools;

static struct parser_input input_of(size_t i) {
    return (struct parser_input){
        .tools = row[i].tools ? tools : NULL, .think_set = true, .think = row[i].think};
}

static void every_cut_says_the_same(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        const struct parser_input in = input_of(i);
        const size_t n = strlen(row[i].text);
        for (size_t a = 0; a <= n; a++) {
            for (size_t b = a; b <= n; b++) {
                struct said s = run(row[i].parser, &in, row[i].text, a, b);
                if (s.st != ST_OK || strcmp(s.content, row[i].content) != 0 ||
                    strcmp(s.thinking, row[i].thinking) != 0 ||
                    (row[i].tools &&
                     strstr(s.calls,
                            "\"name\":\"get_weather\",\"arguments\":{\"city\":\"Oslo\"}") == NULL))
                    fail_msg("%s cut at %zu and %zu: '%s' '%s' %s", row[i].parser, a, b, s.content,
                             s.thinking, s.calls);
            }
        }
    }
}

/* The reference loses what may be a tag when the text ends; here it is handed out. */
static void partial_tags_are_flushed(void **state) {
    static const struct {
        const char *parser, *text, *content, *thinking;
        bool think;
    } end[] = {
        {"qwen3", "a <", "a <", "", false},
        {"qwen3", "a <tool_cal", "a <tool_cal", "", false},
        {"qwen3", "a  \n", "a", "", false}, /* white space alone is not missed */
        {"qwen3-thinking", "hm </thi", "", "hm </thi", true},
        {"qwen3-coder", "x<tool_", "x<tool_", "", false},
        {"deepseek3", "a<｜tool▁calls▁beg", "a<｜tool▁calls▁beg", "", false},
        {"ministral", "a [TOOL_", "a [TOOL_", "", false},
        {"harmony", "<|channel|>final<|message|>a<|en", "a<|en", "", true},
        {"glm-4.7", "hm <", "", "hm <", true},
        {"glm-ocr", "<thi", "<thi", "", false},
        {"lfm2", "a<|tool", "a<|tool", "", false},
        {"cohere", "<|START_TEXT|>a<|END", "a<|END", "", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof end / sizeof *end; i++) {
        const struct parser_input in = {.tools = tools, .think_set = true, .think = end[i].think};
        struct said s = run(end[i].parser, &in, end[i].text, 0, 1);
        if (strcmp(s.content, end[i].content) != 0 || strcmp(s.thinking, end[i].thinking) != 0)
            fail_msg("%s '%s': '%s' '%s'", end[i].parser, end[i].text, s.content, s.thinking);
    }
}

static void a_model_may_open_its_thinking_itself(void **state) {
    const struct parser_input in = {.think_set = true, .look = true};
    (void)state;
    struct said s = run("qwen3-thinking", &in, "<think>\nhm\n</think>\n\na", 3, 9);
    assert_string_equal(s.thinking, "hm");
    assert_string_equal(s.content, "a");
    s = run("qwen3-thinking", &in, "just this", 3, 5);
    assert_string_equal(s.content, "just this");
}

static void parsers_by_jinja_text(void **state) {
    (void)state;
#define PARSER(text) jinja_parser(text, strlen(text), false)
    assert_string_equal(PARSER("<|channel|> <|message|>"), "harmony");
    assert_string_equal(PARSER("<tool_call> <function= <think>"), "qwen3.5");
    assert_string_equal(PARSER("<tool_call> <function="), "qwen3-coder");
    assert_string_equal(PARSER("<tool_call>{\"name\""), "qwen3");
    assert_string_equal(PARSER("<think> <tool_call>{\"name\""), "qwen3-thinking");
    assert_string_equal(PARSER("[TOOL_CALLS] [ARGS]"), "ministral");
    assert_string_equal(PARSER("<tool_call>{{ name }}<arg_key>"), "glm-ocr");
    assert_string_equal(jinja_parser("<arg_key>", 9, true), "glm-4.7");
    assert_null(PARSER("plain"));
}

static void all_renderers_have_templates(void **state) {
    static const char text[] =
        "[{\"role\":\"system\",\"content\":\"s\"},{\"role\":\"user\",\"content\":\"u\"}]";
    (void)state;
    json *messages = json_parse(text, strlen(text), &json_default_limits, NULL, NULL);
    for (size_t i = 0; render_name(i) != NULL; i++) {
        struct render_input in = {.messages = messages, .tools = tools, .level = ""};
        struct buf out = {0};
        struct err e = {0};
        enum status st = render_prompt(render_name(i), &in, &out, &e);
        if (st != ST_OK) fail_msg("%s: %s", render_name(i), e.msg);
        assert_non_null(strstr(out.data, "get_weather") != NULL ||
                                strstr(render_name(i), "think") != NULL
                            ? out.data
                            : NULL);
        buf_free(&out);
    }
    struct err e = {0};
    struct buf out = {0};
    struct render_input in = {.messages = messages, .level = ""};
    assert_int_equal(render_prompt("nobody", &in, &out, &e), ST_INVALID);
    assert_string_equal(e.msg, "unknown renderer \"nobody\"");
    json_free(messages);
}

static void memory_runs_out(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        const struct parser_input in = input_of(i);
        for (long n = 1;; n++) {
            const long live = mem_live();
            mem_fail_at(n);
            struct said s = run(row[i].parser, &in, row[i].text, 5, 9);
            mem_fail_at(0);
            assert_int_equal(mem_live(), live);
            if (s.st == ST_OK && strcmp(s.content, row[i].content) == 0 &&
                strcmp(s.thinking, row[i].thinking) == 0)
                break;
            assert_true(n < 10000);
        }
    }
}

static int setup(void **state) {
    (void)state;
    tools = json_parse(tools_text, strlen(tools_text), &json_default_limits, NULL, NULL);
    return tools == NULL;
}

static int teardown(void **state) {
    (void)state;
    json_free(tools);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cut_says_the_same),
        cmocka_unit_test(partial_tags_are_flushed),
        cmocka_unit_test(a_model_may_open_its_thinking_itself),
        cmocka_unit_test(parsers_by_jinja_text),
        cmocka_unit_test(all_renderers_have_templates),
        cmocka_unit_test(memory_runs_out),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
