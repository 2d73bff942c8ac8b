/* call_parts_test.c - calls that go out while they are written: the compact text at every cut,
 * where the arguments begin, and per format that the parts are the call, whatever the pieces. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "api/call_parts.h"
#include "api/format/parse.h"
#include "api/toolcall.h"
#include "base/mem.h"
#include "base/utf8.h"

static json *tools;

/* ---- the text ---- */

static const struct {
    const char *raw, *compact; /* compact NULL: it does not end */
} texts[] = {
    {"{}", "{}"},
    {"{ \n}  {\"next\":1}", "{}"},
    {"{\"a\" : [1 , 2.50,\tnull] , \"b\":\r\n{\"c\":\" x \"}}}",
     "{\"a\":[1,2.50,null],\"b\":{\"c\":\" x \"}}"},
    {"{\"q\":\"\\\"}\\\\\"}\"", "{\"q\":\"\\\"}\\\\\"}"},
    {"{\"u\":\"\\u00e9\\ud83d\\ude00 \xC3\xA9\xF0\x9F\x98\x80\\n\"} ",
     "{\"u\":\"\\u00e9\\ud83d\\ude00 \xC3\xA9\xF0\x9F\x98\x80\\n\"}"},
    {"{\"open\": \"and so", NULL},
};

/* What may go out ends neither in an escape nor in a character, and only grows. */
static void feed_checked(struct args_text *a, const char *s, size_t n) {
    const size_t before = a->ready;
    args_text_feed(a, s, n);
    assert_true(a->ready >= before && a->ready <= a->text.len);
    if (a->ready == 0) return;
    assert_true(utf8_valid(a->text.data, a->ready));
    size_t escape = 0; /* bytes of the escape that the text ends in */
    for (size_t i = 0; i < a->ready; i++)
        escape = escape == 1   ? a->text.data[i] == 'u' ? 2 : 0
                 : escape == 5 ? 0
                 : escape > 1  ? escape + 1
                               : a->text.data[i] == '\\';
    assert_int_equal(escape, 0);
}

static void text_at_every_cut(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        const char *s = texts[i].raw;
        const size_t n = strlen(s);
        for (size_t a = 0; a <= n; a++) {
            for (size_t b = a; b <= n; b++) {
                struct args_text t = {.ready = 0};
                feed_checked(&t, s, a);
                feed_checked(&t, s + a, b - a);
                feed_checked(&t, s + b, n - b);
                assert_int_equal(t.ended, texts[i].compact != NULL);
                if (t.ended) assert_string_equal(t.text.data, texts[i].compact);
                if (t.ended) assert_int_equal(t.ready, t.text.len);
                args_text_free(&t);
            }
        }
    }
}

/* ---- where it begins ---- */

static void heads(void **state) {
    static const struct {
        const char *text, *name, *raw; /* name NULL: nothing is known */
    } row[] = {
        {"{\"name\": \"f\", \"arguments\": {\"a", "f", "{\"a"},
        {" {\"id\": [1, {\"}\": \"]\"}], \"x\": \"y\", \"n\":1.5,\"name\":\"f\",\"parameters\":{",
         "f", "{"},
        {"{\"name\": \"f\", \"arguments\": ", NULL, NULL},
        {"{\"name\": \"f\", \"arguments\": \"{", NULL, NULL},
        {"{\"name\": \"f\", \"arguments\": [", NULL, NULL},
        {"{\"name\": \"f", NULL, NULL},
        {"{\"name\": \"\\u0066\", \"arguments\": {", NULL, NULL},
        {"{\"arguments\": {\"a\": 1}, \"name\": \"f\"}", NULL, NULL},
        {"{\"x\": {\"name\": \"f\", \"arguments\": {", NULL, NULL},
        {"{\"x\": 1", NULL, NULL},
        {"f {", NULL, NULL},
        {"", NULL, NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        struct call_head h = {.name = NULL};
        const size_t n = strlen(row[i].text);
        const bool known = args_in_object(row[i].text, n, true, &h);
        assert_int_equal(known, row[i].name != NULL);
        if (!known) continue;
        assert_int_equal(h.name_len, strlen(row[i].name));
        assert_memory_equal(h.name, row[i].name, h.name_len);
        assert_int_equal(h.raw_len, strlen(row[i].raw));
        assert_memory_equal(h.raw, row[i].raw, h.raw_len);
    }
    struct call_head h = {.name = NULL};
    assert_false(args_in_object("{\"name\":\"f\",\"parameters\":{", 26, false, &h));
}

/* ---- formats ---- */

#define ARGS "{\"city\": \"S\xC3\xA3o \\\"P\\\"\", \"days\": [1, 2.50], \"x\": {\"<\": true}}"
#define SAME "{\"city\":\"S\xC3\xA3o \\\"P\\\"\",\"days\":[1,2.50],\"x\":{\"<\":true}}"

static const struct {
    const char *parser, *text; /* parser NULL: the generic one */
} calls[] = {
    {NULL, "a<tool_call>{\"name\": \"get_weather\", \"arguments\": " ARGS "}</tool_call>"},
    {NULL, "<tool_call>\n{\"name\":\"get_weather\",\"parameters\": " ARGS "}"},
    {"qwen3", "a<tool_call>{\"name\": \"get_weather\", \"arguments\": " ARGS "}</tool_call>b"},
    {"qwen3-vl-instruct",
     "<tool_call>{\"name\": \"get_weather\", \"arguments\": " ARGS "}</tool_call>"},
    {"deepseek3",
     "</think>a<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>get_weather<｜tool▁sep｜>" ARGS
     "<｜tool▁call▁end｜><｜tool▁calls▁end｜>"},
    {"cogito",
     "a<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>get_weather\n```json\n" ARGS
     "\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>"},
    {"ministral", "a[TOOL_CALLS]get_weather[ARGS]" ARGS},
    {"harmony", "<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>" ARGS},
};
enum { N_CALLS = sizeof calls / sizeof *calls };

struct run {
    struct parser *parser;
    struct tool_parser generic;
    struct call_parts parts;
    struct buf sent;
    size_t n_parts, n_whole;
    bool own, ended; /* own: a parser of parser_types.c */
    enum status st;
};

static void take_parts(struct run *r) {
    struct gen_part part;
    while (!parts_failed(&r->parts) && parts_next(&r->parts, false, &part)) {
        assert_string_equal(part.name, "get_weather");
        assert_memory_equal(part.id, "call_", 5);
        assert_int_equal(part.from, r->sent.len);
        buf_add(&r->sent, part.args + part.from, part.to - part.from);
        r->n_parts++;
        r->ended = part.end == PART_LAST;
    }
}

static void feed(struct run *r, const char *s, size_t n, bool done) {
    struct parser_out o = {0};
    struct call_head head;
    struct err e;
    if (r->st != ST_OK) return;
    parts_feed(&r->parts, s, n);
    if (r->own)
        r->st = parser_feed(r->parser, s, n, done, &o, &e);
    else
        o.n_calls = tool_feed(&r->generic, s, n, &o.content, &o.calls);
    if (r->st == ST_OK && o.n_calls > 0) r->st = parts_settle(&r->parts, &o.calls, &e);
    take_parts(r);
    r->n_whole += o.calls.len > 0;
    if (r->st == ST_OK && !done && !r->parts.open) {
        bool held = r->own ? parser_peek(r->parser, &head) : tool_peek(&r->generic, &head);
        parts_look(&r->parts, held ? &head : NULL);
        take_parts(r);
    }
    parser_out_free(&o);
}

static struct run begin(const char *parser) {
    const struct parser_input in = {.tools = tools, .think_set = true};
    struct run r = {.own = parser != NULL};
    if (r.own)
        r.st = parser_open(&r.parser, parser, &in, NULL);
    else
        tool_begin(&r.generic, "<tool_call>", tools);
    return r;
}

static void end(struct run *r) {
    struct buf rest = {0};
    feed(r, "", 0, true);
    parser_free(r->parser);
    if (!r->own) tool_end(&r->generic, &rest);
    parts_free(&r->parts);
    buf_free(&r->sent);
    buf_free(&rest);
}

/* Either the whole call, or parts that make it. */
static void check(struct run *r, size_t i) {
    feed(r, "", 0, true);
    if (r->st != ST_OK || r->n_whole + r->ended != 1 || (r->n_parts > 0) != r->ended)
        fail_msg("call %zu: status %d, %zu parts, %zu whole", i, (int)r->st, r->n_parts,
                 r->n_whole);
    if (r->ended) assert_string_equal(r->sent.data, SAME);
}

static void parts_are_the_call(void **state) {
    (void)state;
    srand(7);
    for (size_t i = 0; i < N_CALLS; i++) {
        const char *s = calls[i].text;
        const size_t n = strlen(s);
        for (size_t a = 0; a <= n; a++) {
            for (size_t b = a; b <= n; b++) {
                struct run r = begin(calls[i].parser);
                feed(&r, s, a, false);
                feed(&r, s + a, b - a, false);
                feed(&r, s + b, n - b, false);
                check(&r, i);
                end(&r);
            }
        }
        for (int round = 0; round < 200; round++) {
            struct run r = begin(calls[i].parser);
            size_t max = (size_t)rand() % 9 + 1;
            for (size_t at = 0, k; at < n; at += k) {
                k = (size_t)rand() % max + 1;
                if (k > n - at) k = n - at;
                feed(&r, s + at, k, false);
            }
            check(&r, i);
            assert_true(r.ended && r.n_parts > 2);
            end(&r);
        }
    }
}

/* Byte by byte. */
static struct run run(const char *parser, const char *s) {
    struct run r = begin(parser);
    for (; *s != '\0'; s++) feed(&r, s, 1, false);
    return r;
}

static void only_tools_of_the_request(void **state) {
    (void)state;
    struct run r =
        run("qwen3", "<tool_call>{\"name\":\"other\",\"arguments\":{\"a\":1}}</tool_call>");
    assert_int_equal(r.n_parts, 0);
    assert_int_equal(r.n_whole, 1);
    end(&r);
    r = run(
        "qwen3-coder",
        "<tool_call><function=get_weather><parameter=city>Oslo</parameter></function></tool_call>");
    assert_int_equal(r.n_parts, 0);
    assert_int_equal(r.n_whole, 1);
    end(&r);
}

static void several_calls(void **state) {
    (void)state;
    for (int generic = 0; generic < 2; generic++) {
        const char one[] =
            "<tool_call>{\"name\":\"get_weather\",\"arguments\":{\"city\":\"Oslo\"}}</tool_call>\n";
        struct run r = run(generic ? NULL : "qwen3", one);
        assert_string_equal(r.sent.data, "{\"city\":\"Oslo\"}");
        buf_cut(&r.sent, 0);
        for (const char *s = one; *s != '\0'; s++) feed(&r, s, 1, false);
        assert_string_equal(r.sent.data, "{\"city\":\"Oslo\"}");
        assert_int_equal(r.parts.index, 1);
        assert_int_equal(r.n_whole, 0);
        end(&r);
    }
}

/* What the parser makes of it is not what was sent: of duplicate members the last counts. */
static void malformed_calls(void **state) {
    static const struct {
        const char *parser, *text;
        bool invalid;
    } row[] = {
        {"qwen3", "<tool_call>{\"name\":\"get_weather\",\"arguments\":{\"a\":1 oops}}</tool_call>",
         true},
        {"qwen3", "<tool_call>{\"name\":\"get_weather\",\"arguments\":{\"a\":1}</tool_call>", true},
        {"qwen3",
         "<tool_call>{\"name\":\"get_weather\",\"arguments\":{\"a\":1},\"arguments\":{}}</"
         "tool_call>",
         true},
        {"deepseek3",
         "</think><｜tool▁calls▁begin｜><｜tool▁call▁begin｜>get_weather<｜tool▁sep｜>{\"a\":tru}"
         "<｜tool▁call▁end｜>",
         false},
        {NULL, "<tool_call>{\"name\":\"get_weather\",\"arguments\":{\"a\":1 2}}</tool_call>",
         false},
        {"harmony", "<|channel|>commentary to=functions.get_weather<|message|>{\"a\":", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        struct run r = run(row[i].parser, row[i].text);
        assert_int_equal(r.st, row[i].invalid ? ST_INVALID : ST_OK);
        assert_true(r.n_parts > 0 && !(r.ended && r.st == ST_OK));
        assert_true(row[i].invalid || r.parts.open); /* open at the end: gen_output() tells it */
        end(&r);
    }
}

static void an_answer_is_cut(void **state) {
    (void)state;
    struct gen_part part;
    struct run r =
        run("qwen3", "<tool_call>{\"name\":\"get_weather\",\"arguments\":{\"a\":\"b\\u00");
    assert_true(parts_next(&r.parts, true, &part));
    assert_int_equal(part.end, PART_CUT);
    assert_int_equal(part.to, strlen("{\"a\":\"b"));
    assert_false(parts_next(&r.parts, true, &part));
    end(&r);
}

static void memory_runs_out(void **state) {
    (void)state;
    for (size_t i = 0; i < N_CALLS; i++) {
        for (long n = 1;; n++) {
            const long live = mem_live();
            mem_fail_at(n);
            struct run r = begin(calls[i].parser);
            for (const char *s = calls[i].text; *s != '\0' && r.st == ST_OK; s++)
                feed(&r, s, 1, false);
            feed(&r, "", 0, true);
            const bool all = r.st == ST_OK && r.ended && strcmp(r.sent.data, SAME) == 0;
            end(&r);
            mem_fail_at(0);
            assert_int_equal(mem_live(), live);
            if (all) break;
            assert_true(n < 10000);
        }
    }
}

static int setup(void **state) {
    static const char text[] = "[{\"type\":\"function\",\"function\":{\"name\":\"get_weather\"}}]";
    (void)state;
    tools = json_parse(text, strlen(text), &json_default_limits, NULL, NULL);
    return tools == NULL;
}

static int teardown(void **state) {
    (void)state;
    json_free(tools);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_at_every_cut),  cmocka_unit_test(heads),
        cmocka_unit_test(parts_are_the_call), cmocka_unit_test(only_tools_of_the_request),
        cmocka_unit_test(several_calls),      cmocka_unit_test(malformed_calls),
        cmocka_unit_test(an_answer_is_cut),   cmocka_unit_test(memory_runs_out)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
