/* template_test.c - what the recorded prompts of golden/templates do not show: exact messages,
 * limits, failing memory, threads, and cria's named templates. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/template/named.h"
#include "api/template/template.h"
#include "api/template/template_impl.h"
#include "base/mem.h"

/* ---- helpers ---- */

static const char chat[] =
    "{\"messages\":[{\"role\":\"system\",\"content\":\"Be terse.\"},"
    "{\"role\":\"user\",\"content\":\"Hi\",\"images\":[\"aGk=\"]},"
    "{\"role\":\"assistant\",\"content\":\"\",\"thinking\":\"hm\",\"tool_calls\":[{\"id\":\"c1\","
    "\"function\":{\"name\":\"f\",\"arguments\":{\"b\":[1,null,\"x\"],\"a\":1.5,\"b2\":{}}}}]},"
    "{\"role\":\"tool\",\"content\":\"ok\",\"tool_name\":\"f\",\"tool_call_id\":\"c1\"},"
    "{\"role\":\"user\",\"content\":\"More\"},{\"role\":\"user\",\"content\":\"please\"}],"
    "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"description\":\"d\","
    "\"parameters\":{\"type\":\"object\",\"$defs\":{\"q\":1},\"required\":[\"a\"],\"properties\":{"
    "\"z\":{\"type\":[\"string\",\"null\"],\"enum\":[\"u\",2]},"
    "\"a\":{\"type\":\"object\",\"properties\":{\"y\":{\"type\":\"integer\"},\"x\":{}}},"
    "\"m\":{\"anyOf\":[{\"type\":\"array\"},{\"type\":\"boolean\"}]}}}}}]}";

static json *parse_chat(void) {
    struct err e = {0};
    json *root = json_parse(chat, strlen(chat), &json_default_limits, NULL, &e);
    if (root == NULL) fail_msg("%s", e.msg);
    return root;
}

/* Parses from a copy of exactly that size, so that ASan sees reading behind the end. */
static enum status parse_exact(struct template **t, const char *text, struct err *e) {
    size_t n = strlen(text);
    char *copy = malloc(n != 0 ? n : 1);
    assert_non_null(copy);
    memcpy(copy, text, n);
    enum status st = template_parse(t, copy, n, e);
    free(copy);
    return st;
}

static enum status render_chat(const char *text, const struct template_limits *limits,
                               struct buf *out, struct err *e) {
    struct template *t = NULL;
    json *root = parse_chat();
    struct template_data d = {.messages = json_get(root, "messages"),
                              .tools = json_get(root, "tools"),
                              .think_level = "high",
                              .think = true,
                              .think_set = true};
    enum status st = parse_exact(&t, text, e);
    if (st == ST_OK) st = template_render_limited(t, &d, limits, out, e);
    template_free(t);
    json_free(root);
    return st;
}

/* `text` stands in a template of the messages form. */
static void check_output(const char *text, const char *want) {
    struct buf out = {0}, whole = {0};
    struct err e = {0};
    buf_printf(&whole, "{{ $_ := .Messages }}%s", text);
    if (render_chat(whole.data, &template_default_limits, &out, &e) != ST_OK)
        fail_msg("%s: %s", text, e.msg);
    if (strcmp(out.data != NULL ? out.data : "", want) != 0)
        fail_msg("%s: got %s, want %s", text, out.data != NULL ? out.data : "", want);
    buf_free(&out);
    buf_free(&whole);
}

static void check_failure(const char *text, enum status code, const char *part) {
    struct buf out = {0}, whole = {0};
    struct err e = {0};
    buf_str(&out, "kept");
    buf_printf(&whole, "{{ $_ := .Messages }}partial%s", text);
    assert_int_equal(render_chat(whole.data, &template_default_limits, &out, &e), code);
    if (strstr(e.msg, part) == NULL) fail_msg("%s: got %s, want %s", text, e.msg, part);
    assert_string_equal(out.data, "kept");
    buf_free(&out);
    buf_free(&whole);
}

static void check_parse_error(const char *text, enum status code, const char *want) {
    struct template *t = NULL;
    struct err e = {0};
    assert_int_equal(parse_exact(&t, text, &e), code);
    assert_null(t);
    if (strcmp(e.msg, want) != 0) fail_msg("%s: got %s, want %s", text, e.msg, want);
}

/* ---- language ---- */

static void test_parse_errors(void **state) {
    static const char *const cases[][2] = {
        {"{{", ":1: unclosed action"},
        {"a\n{{ 1\n}}{{ 2", ":3: unclosed action"},
        {"{{ .A\n\n", ":3: unclosed action started at :1"},
        {"{{ .A\n\"x", ":2: unterminated quoted string in action started at :1"},
        {"{{/* a */ }}", ":1: comment ends before closing delimiter"},
        {"{{ 'ab' }}", ":1: malformed character constant: 'ab'"},
        {"{{ 'a }}", ":1: unterminated character constant"},
        {"{{ \"\\q\" }}", ":1: invalid syntax"},
        {"{{ \"\\ud800\" }}", ":1: invalid syntax"},
        {"{{ 1a }}", ":1: bad number syntax: \"1a\""},
        {"{{ 1+2 }}", ":1: bad number syntax: \"1+2\""},
        {"{{ 99999999999999999999 }}", ":1: integer overflow: \"99999999999999999999\""},
        {"{{ 1e999 }}", ":1: illegal number syntax: \"1e999\""},
        {"{{ .A/ }}", ":1: bad character U+002F '/'"},
        {"{{ \x01 }}", ":1: unrecognized character in action: U+0001"},
        {"{{ : }}", ":1: expected :="},
        {"{{ $x 1 }}", ":1: undefined variable \"$x\""},
        {"{{ if $x := 1 }}{{ end }}{{ $x }}", ":1: undefined variable \"$x\""},
        {"{{ define \"d\" }}{{ $x }}{{ end }}", ":1: undefined variable \"$x\""},
        {"{{ nope }}", ":1: function \"nope\" not defined"},
        {"\n\n{{ if nope }}", ":3: function \"nope\" not defined"},
        {"{{ () }}", ":1: missing value for parenthesized pipeline"},
        {"{{ range }}{{ end }}", ":1: missing value for range"},
        {"{{ with }}{{ end }}", ":1: missing value for with"},
        {"{{ 1 | print | \"x\" }}", ":1: non executable command in pipeline stage 3"},
        {"{{ 1 2 | .X.Y 3 4 ) }}", ":1: unexpected right paren"},
        {"{{ \"a\"\"b\" }}", ":1: unexpected \"\\\"b\\\"\" in operand"},
        {"{{ 1 \"abcdefghijklm\"1 }}", ":1: unexpected \"1\" in operand"},
        {"{{ if 1 }}{{ else if }}{{ end }}", ":1: missing value for if"},
        {"{{ range 1 }}{{ else if 1 }}{{ end }}", ":1: unexpected <if> in input"},
        {"{{ with 1 }}{{ else with 2 }}{{ else }}{{ else }}{{ end }}",
         ":1: expected end; found {{else}}"},
        {"{{ end }}", ":1: unexpected {{end}}"},
        {"{{ else }}", ":1: unexpected {{else}}"},
        {"{{ range 1 }}", ":1: unexpected EOF"},
        {"{{ range 1 }}{{ else }}{{ break }}{{ end }}", ":1: {{break}} outside {{range}}"},
        {"{{ range 1 }}{{ break 1 }}{{ end }}", ":1: unexpected \"1\" in {{break}}"},
        {"{{ range $i, 5 := 1 }}", ":1: range can only initialize variables"},
        {"{{ $a, $b := 1 }}", ":1: too many declarations in command"},
        {"{{ define x }}{{ end }}", ":1: unexpected \"x\" in define clause"},
        {"{{ define \"x\" }}{{ else }}{{ end }}", ":1: unexpected {{else}} in define clause"},
        {"{{ define \"x\" }}a{{ end }}{{ define \"x\" }}b{{ end }}",
         ":1: template: multiple definition of template \"x\""},
        {"{{ true.X }}", ":1: unexpected . after term \"true\""},
        {"{{ nil.X }}", ":1: unexpected . after term \"nil\""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char want[256];
        snprintf(want, sizeof want, "template: %s", cases[i][1]);
        check_parse_error(cases[i][0], ST_FORMAT, want);
    }
    check_parse_error("{{ template \"x\" }}", ST_FORMAT, "undefined template specified");
}

static void test_language(void **state) {
    static const char *const cases[][2] = {
        {"a {{- /* b */ -}} c", "ac"},
        {"{{ 0x10 }} {{ -0b11 }} {{ 1e-7 }} {{ 123456789.0 }} {{ 1e20 }} {{ 0x1p-2 }}",
         "16 -3 1e-07 1.23456789e+08 1e+20 0.25"},
        {"{{ 100000.0 }} {{ 0.0001 }} {{ 1234.5 }} {{ 1+2i }}", "100000 0.0001 1234.5 (1+2i)"},
        {"{{ $x := 1 }}{{ if true }}{{ $x = 2 }}{{ $y := 3 }}{{ end }}{{ $x }}", "2"},
        {"{{ range $i, $m := .Messages }}{{ if eq $i 1 }}{{ continue }}{{ end }}{{ $i }}"
         "{{ if eq $i 3 }}{{ break }}{{ end }}{{ end }}",
         "023"},
        {"{{ $i := 0 }}{{ $v := 0 }}{{ range $i, $v = .Messages }}{{ end }}{{ $i }}{{ $v.Role }}",
         "4user"},
        {"{{ with $x := .System }}{{ . }}{{ else }}no{{ end }}", "Be terse."},
        {"{{ with .None }}a{{ else with .System }}{{ len . }}{{ else }}b{{ end }}", "9"},
        {"{{ if .None }}a{{ else if 0 }}b{{ else if 1 }}c{{ else }}d{{ end }}", "c"},
        {"{{ define \"x\" }}<{{ . }}{{ $ }}>{{ end }}{{ template \"x\" 1 }}", "<11>"},
        {"{{ block \"b\" .System }}[{{ . }}]{{ end }}{{ template \"b\" 2 }}", "[Be terse.][2]"},
        {"{{ (index .Messages 0).Role }}{{ (index .Messages 1).Content | print \"a\" }}",
         "systemaHi"},
        {"{{ print (and 1 2) (or 0 nil) (not nil) }}", "2 <nil> true"},
        {"{{ range 0 }}a{{ else }}b{{ end }}{{ range -1 }}a{{ end }}", "b"},
        {"{{ slice \"abcdef\" 2 }}{{ slice \"abcdef\" 1 3 }}{{ len (slice .Messages 1 2 3) }}",
         "cdefbc1"},
        {"{{ index \"abc\" 1 }}{{ eq nil .None }}{{ ne 1.5 1.5 }}{{ eq 1 2 1 }}",
         "98truefalsetrue"},
        {"{{ range (index .Messages 1).Images }}{{ . }}{{ len . }}{{ printf \"%s\" . }}{{ end }}",
         "[104 105]2hi"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_output(cases[i][0], cases[i][1]);
}

static void test_data(void **state) {
    (void)state;
    check_output("{{ range .Messages }}{{ .Role }}={{ .Content }};{{ end }}",
                 "system=Be terse.;user=Hi;assistant=;tool=ok;user=More\n\nplease;");
    check_output("{{ range .Messages }}{{ range .ToolCalls }}{{ . }}{{ .Function.Arguments.a }}"
                 "{{ .Function.Arguments.String }}{{ end }}{{ end }}",
                 "{c1 {0 f {\"a\":1.5,\"b\":[1,null,\"x\"],\"b2\":{}}}}1.5"
                 "{\"a\":1.5,\"b\":[1,null,\"x\"],\"b2\":{}}");
    check_output("{{ json (index .Messages 1) }}",
                 "{\"Role\":\"user\",\"Content\":\"Hi\",\"Thinking\":\"\",\"Images\":[\"aGk=\"],"
                 "\"ToolCalls\":null,\"ToolName\":\"\",\"ToolCallID\":\"\"}");
    check_output("{{ (index .Tools 0).Function.Parameters }}",
                 "{\"type\":\"object\",\"$defs\":{\"q\":1},\"required\":[\"a\"],\"properties\":{"
                 "\"a\":{\"type\":\"object\",\"properties\":{"
                 "\"y\":{\"type\":\"integer\"},\"x\":{}}},"
                 "\"m\":{\"anyOf\":[{\"type\":\"array\"},{\"type\":\"boolean\"}]},"
                 "\"z\":{\"type\":[\"string\",\"null\"],\"enum\":[\"u\",2]}}}");
    check_output("{{ range $k, $p := (index .Tools 0).Function.Parameters.Properties }}"
                 "{{ $k }}:{{ $p.Type }}:{{ toTypeScriptType $p }};{{ end }}",
                 "a:object:Record<string, any>;m::any[] | boolean;z:[string null]:string | null;");
    check_output("{{ .Think }}{{ .ThinkLevel }}{{ .IsThinkSet }}{{ .Prompt }}",
                 "truehightrue<no value>");
}

static void test_printf(void **state) {
    static const char *const cases[][2] = {
        {"{{ printf \"%5s|%-5s|%.1s|%05d|%+d|% d\" \"é\" \"é\" \"éa\" -42 7 7 }}",
         "    é|é    |é|-0042|+7| 7"},
        {"{{ printf \"%x %X %#x %o %O %b %#U %c\" \"hi\" \"hi\" 255 8 8 5 233 233 }}",
         "6869 6869 0xff 10 0o10 101 U+00E9 'é' é"},
        {"{{ printf \"%q %+q %#q %q\" \"a\\n\\x00é\" \"é\" \"b\" 39 }}",
         "\"a\\n\\x00é\" \"\\u00e9\" `b` '\\''"},
        {"{{ printf \"%*d|%-*d|%.*f\" 4 1 3 2 1 2.55 }}", "   1|2  |2.5"},
        {"{{ printf \"%6.2f|%g|%e|%G|%v\" 3.14159 1e6 1.5 1e-7 true }}",
         "  3.14|1e+06|1.500000e+00|1E-07|true"},
        {"{{ printf \"%d %v %s\" 1 }}", "1 %!v(MISSING) %!s(MISSING)"},
        {"{{ printf \"%\" }}{{ printf \"%!\" 1 }}{{ printf \"%%%T\" 1.5 }}",
         "%!(NOVERB)%!!(int=1)%float64"},
        {"{{ printf \"a\" 1 nil \"x\" }}", "a%!(EXTRA int=1, <nil>, string=x)"},
        {"{{ printf \"%d %s %t\" nil true 1 }}", "%!d(<nil>) %!s(bool=true) %!t(int=1)"},
        {"{{ printf \"%q\" (index .Tools 0).Function.Parameters.Required }}", "[\"a\"]"},
        {"{{ println 1 \"a\" nil }}{{ print }}{{ html \"<a>\" 1 }}{{ html nil }}",
         "1 a <nil>\n&lt;a&gt;1&lt;nil&gt;"},
        {"{{ urlquery \"a b\" }}{{ js \"a='\\u2028'\" }}", "a+ba\\u003D\\'\\u2028\\'"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_output(cases[i][0], cases[i][1]);
}

static void test_run_time_errors(void **state) {
    static const char *const cases[][2] = {
        {"{{ .A.B.C }}", "template: :1:33: executing \"\" at <.A.B.C>: nil pointer evaluating "
                         "interface {}.B"},
        {"\n {{ len 3 }}", "template: :2:4: executing \"\" at <len 3>: error calling len: len of "
                           "type int"},
        {"{{ define \"x\" }}{{ .Y.Z }}{{ end }}{{ template \"x\" . }}",
         "executing \"x\" at <.Y.Z>"},
        {"{{ template \"y\" 1 }}", "template \"y\" not defined"},
        {"{{ $z = 1 }}", "undefined variable: $z"},
        {"{{ (index .Messages 0).Nope }}", "can't evaluate field Nope in type *template."},
        {"{{ range .System }}{{ end }}", "range can't iterate over Be terse."},
        {"{{ index .Messages 6 }}", "index out of range: 6"},
        {"{{ index .Messages \"a\" }}", "cannot index slice/array with type string"},
        {"{{ slice .Messages 2 1 }}", "invalid slice index: 2 > 1"},
        {"{{ slice \"abc\" 1 2 3 }}", "cannot 3-index slice a string"},
        {"{{ eq 1 \"1\" }}", "incompatible types for comparison"},
        {"{{ eq .Messages 1 }}", "non-comparable type"},
        {"{{ lt true false }}", "invalid type for comparison"},
        {"{{ .System 1 }}", "System is not a method but has arguments"},
        {"{{ 1 2 }}", "can't give argument to non-function 1"},
        {"{{ call 1 }}", "non-function"},
        {"{{ printf 1 }}", "wrong type for value; expected string; got int"},
        {"{{ print len }}", "wrong number of args for len: want 1 got 0"},
        {"{{ index }}", "wrong number of args for index: want at least 1 got 0"},
        {"{{ 9223372036854775808 }}", "9223372036854775808 overflows int"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_failure(cases[i][0], ST_INVALID, cases[i][1]);
}

/* ---- legacy ---- */

static void check_legacy(const char *text, const char *want) {
    struct buf out = {0};
    struct err e = {0};
    assert_int_equal(render_chat(text, &template_default_limits, &out, &e), ST_OK);
    assert_string_equal(out.data, want);
    buf_free(&out);
}

static void test_legacy(void **state) {
    struct buf out = {0};
    struct err e = {0};
    (void)state;
    /* An empty assistant message ends no turn: the second prompt replaces the first. */
    check_legacy("[{{ .System }}|{{ .Prompt }}|{{ .Response }}]", "[Be terse.|More\n\nplease|");
    check_legacy("{{ if .System }}{{ .Prompt }}{{ .Response }}x{{ else }}y{{ end }}z",
                 "More\n\nplease");
    check_legacy("{{ printf \"%s%s\" .Prompt .Response \"x\" | print }}-", "More\n\nplease");
    assert_int_equal(render_chat("{{ define \"d\" }}{{ end }}{{ template \"d\" 1 }}{{ .Prompt }}",
                                 &template_default_limits, &out, &e),
                     ST_INVALID);
    assert_non_null(strstr(e.msg, "template \"d\" not defined"));
    buf_free(&out);
}

static void test_suffix(void **state) {
    struct template *t = NULL;
    struct buf out = {0};
    struct template_data d = {.prompt = "a", .suffix = "b"};
    const char *text = "{{ .Prompt }}-{{ .Suffix }}-{{ .Think }}";
    (void)state;
    assert_int_equal(template_parse(&t, text, strlen(text), NULL), ST_OK);
    assert_true(template_uses(t, "suffix"));
    assert_true(template_uses(t, "response"));
    assert_false(template_uses(t, "messages"));
    assert_null(template_thinking_open(t));
    assert_int_equal(template_render(t, &d, &out, NULL), ST_OK);
    assert_string_equal(out.data, "a-b-false");
    template_free(t);
    buf_free(&out);
}

/* ---- limits ---- */

static void check_limited(const char *text, struct template_limits limits, const char *part) {
    struct buf out = {0};
    struct err e = {0};
    assert_int_equal(render_chat(text, &limits, &out, &e), ST_LIMIT);
    if (strstr(e.msg, part) == NULL) fail_msg("%s: %s", text, e.msg);
    assert_int_equal(out.len, 0);
    buf_free(&out);
}

static void test_limits(void **state) {
    struct template_limits small = {.fuel = 10000, .output = 1000, .memory = 1 << 20, .depth = 50};
    struct template_limits no_fuel_limit = small;
    no_fuel_limit.fuel = 1u << 30;
    (void)state;
    check_limited("{{ .Messages }}{{ range 1000000000000 }}{{ end }}", small,
                  "more than 10000 steps");
    check_limited("{{ range .Messages }}{{ range 100 }}{{ range 100 }}{{ range 100 }}{{ end }}"
                  "{{ end }}{{ end }}{{ end }}",
                  small, "steps");
    check_limited("{{ $m := .Messages }}{{ range 1000 }}0123456789{{ end }}", small,
                  "more than 1000 bytes");
    check_limited("{{ $m := .Messages }}{{ printf \"%1001d\" 1 }}", small, "more than 1000 bytes");
    check_limited("{{ $m := .Messages }}{{ $s := \"x\" }}{{ range 99 }}{{ $s = print $s $s }}"
                  "{{ end }}",
                  small, "bytes");
    check_limited("{{ $m := .Messages }}{{ range 9999999 }}{{ $s := print \"01234567890123\" }}"
                  "{{ end }}",
                  no_fuel_limit, "of memory");
    check_limited("{{ define \"r\" }}{{ template \"r\" . }}{{ end }}{{ template \"r\" .Messages }}",
                  small, "exceeded maximum template depth (50)");
}

/* A legacy template runs once per turn: the limits hold for all of them together. */
static void test_legacy_limits(void **state) {
    struct template_limits small = template_default_limits;
    struct template_data d = {0};
    struct template *t = NULL;
    struct buf text = {0}, out = {0};
    struct err e = {0};
    const char *source = "{{ range 100 }}{{ end }}{{ .Prompt }}{{ .Response }}";
    (void)state;
    buf_chr(&text, '[');
    for (int i = 0; i < 100; i++)
        buf_printf(&text, "%s{\"role\":\"%s\",\"content\":\"x\"}", i > 0 ? "," : "",
                   i % 2 == 0 ? "user" : "assistant");
    buf_chr(&text, ']');
    json *messages = json_parse(text.data, text.len, &json_default_limits, NULL, &e);
    d.messages = messages;
    small.fuel = 1000;
    assert_int_equal(template_parse(&t, source, strlen(source), &e), ST_OK);
    assert_int_equal(template_render_limited(t, &d, &small, &out, &e), ST_LIMIT);
    assert_int_equal(out.len, 0);
    small.fuel = 100 * 1000;
    assert_int_equal(template_render_limited(t, &d, &small, &out, &e), ST_OK);
    assert_int_equal(out.len, 100);
    template_free(t);
    json_free(messages);
    buf_free(&text);
    buf_free(&out);
}

static void test_parse_limits(void **state) {
    struct buf b = {0};
    struct template *t = NULL;
    struct err e = {0};
    (void)state;
    for (int i = 0; i < 100000; i++) buf_str(&b, "{{ if (1) }}");
    assert_int_equal(template_parse(&t, b.data, b.len, &e), ST_LIMIT);
    buf_clear(&b);
    buf_str(&b, "{{ ");
    for (int i = 0; i < 100000; i++) buf_chr(&b, '(');
    assert_int_equal(template_parse(&t, b.data, b.len, &e), ST_LIMIT);
    buf_clear(&b);
    buf_str(&b, "{{ if 1 }}");
    for (int i = 0; i < 1000; i++) buf_str(&b, "{{ else if 1 }}");
    assert_int_equal(template_parse(&t, b.data, b.len, &e), ST_LIMIT);
    buf_clear(&b);
    for (int i = 0; i <= TEMPLATE_MAX_BYTES; i++) buf_chr(&b, 'a');
    assert_int_equal(template_parse(&t, b.data, b.len, &e), ST_LIMIT);
    assert_null(t);
    buf_free(&b);
}

/* ---- memory, threads ---- */

static const char everything[] =
    "{{- define \"d\" }}{{ range . }}{{ .Role }}{{ range .ToolCalls }}{{ .Function.Arguments }}"
    "{{ end }}{{ range .Images }}{{ . }}{{ end }}{{ end }}{{ end }}"
    "{{- $n := 0 }}{{ range $i, $m := .Messages }}{{ $n = $i }}{{ printf \"%q %d\" $m.Content $i }}"
    "{{ print 1 2 3 4 5 6 7 8 | html | js | urlquery }}{{ end }}{{ template \"d\" .Messages }}"
    "{{ .Tools }}{{ json . }}{{ currentDate }}{{ \"\\u00e9\" }}{{ if .Thinking }}t{{ end }}";

/* Every allocation fails once; nothing leaks, nothing half done stays. */
static void test_memory_failures(void **state) {
    json *root = parse_chat();
    struct template_data d = {.messages = json_get(root, "messages"),
                              .tools = json_get(root, "tools")};
    long before = mem_live();
    enum status st = ST_NO_MEMORY;
    (void)state;
    for (long n = 1; st == ST_NO_MEMORY; n++) {
        struct template *t = NULL;
        struct buf out = {0};
        struct err e = {0};
        mem_fail_at(n);
        st = template_parse(&t, everything, strlen(everything), &e);
        if (st == ST_OK) st = template_render(t, &d, &out, &e);
        mem_fail_at(0);
        if (st != ST_OK) assert_int_equal(out.len, 0);
        if (st != ST_OK && st != ST_NO_MEMORY) fail_msg("allocation %ld: %s", n, e.msg);
        assert_true(n < 10000);
        template_free(t);
        buf_free(&out);
        assert_int_equal(mem_live(), before);
    }
    json_free(root);
}

static void test_legacy_memory_failures(void **state) {
    json *root = parse_chat();
    struct template_data d = {.messages = json_get(root, "messages")};
    const char *text = "{{ .System }}{{ if (print .Prompt) }}{{ .Prompt }}{{ end }}";
    long before = mem_live();
    enum status st = ST_NO_MEMORY;
    (void)state;
    for (long n = 1; st == ST_NO_MEMORY; n++) {
        struct template *t = NULL;
        struct buf out = {0};
        mem_fail_at(n);
        st = template_parse(&t, text, strlen(text), NULL);
        if (st == ST_OK) st = template_render(t, &d, &out, NULL);
        mem_fail_at(0);
        assert_true(n < 10000);
        template_free(t);
        buf_free(&out);
        assert_int_equal(mem_live(), before);
    }
    assert_int_equal(st, ST_OK);
    json_free(root);
}

struct shared {
    const struct template *t;
    const struct template_data *d;
    const char *want;
    bool ok;
};

static void *render_many(void *arg) {
    struct shared *s = arg;
    s->ok = true;
    for (int i = 0; i < 200; i++) {
        struct buf out = {0};
        if (template_render(s->t, s->d, &out, NULL) != ST_OK)
            s->ok = false;
        else if (strcmp(out.data, s->want) != 0)
            s->ok = false;
        buf_free(&out);
    }
    return NULL;
}

static void test_threads(void **state) {
    enum { N = 4 };
    json *root = parse_chat();
    struct template_data d = {.messages = json_get(root, "messages"),
                              .tools = json_get(root, "tools")};
    struct template *t = NULL;
    struct buf want = {0};
    pthread_t thread[N];
    struct shared s[N];
    (void)state;
    assert_int_equal(template_parse(&t, everything, strlen(everything), NULL), ST_OK);
    assert_int_equal(template_render(t, &d, &want, NULL), ST_OK);
    for (int i = 0; i < N; i++) {
        s[i] = (struct shared){t, &d, want.data, false};
        assert_int_equal(pthread_create(&thread[i], NULL, render_many, &s[i]), 0);
    }
    for (int i = 0; i < N; i++) {
        pthread_join(thread[i], NULL);
        assert_true(s[i].ok);
    }
    template_free(t);
    buf_free(&want);
    json_free(root);
}

/* ---- named ---- */

static void check_detect(const char *jinja, const char *want) {
    const struct named_template *t = named_template_detect(jinja, strlen(jinja));
    if (want == NULL)
        assert_null(t);
    else
        assert_string_equal(t->name, want);
}

static void test_named(void **state) {
    static const char *const texts[][2] = {
        {"chatml", "{{ '<|im_start|>' + role }}"},
        {"llama3-instruct", "<|start_header_id|>"},
        {"gemma-instruct", "{{ '<start_of_turn>' }}"},
        {"gemma3-instruct", "{% set first_user_prefix = '' %}<start_of_turn>"},
        {"alfred", "<start_user>{{ m }}<end_message>"},
        {"command-r", "{{ '<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>' }}"},
        {"llama2-chat", "[INST] <<SYS>>"},
        {"mistral-instruct", "[INST] "},
        {"codellama-70b-instruct", "Source: {{ m }} <step> "},
        {"openchat", "GPT4 Correct User: "},
        {"phi-3", "<|user|>\n{{ m }}<|end|>\n<|assistant|>"},
        {"zephyr", "<|user|>\n{{ m + eos_token }}<|assistant|>"},
        {"magicoder", "@@ Instruction\n"},
        {"solar-instruct", "### System:\n{{ s }}### User:\n"},
        {"alpaca", "### Instruction:\n{{ m }}### Response:\n"},
        {"starcoder2-instruct", "### Instruction\n{{ m }}### Response\n"},
        {"vicuna", "USER: {{ m }}ASSISTANT:"},
        {"granite-instruct", "Question:\n{{ m }}Answer:\n"},
        {"falcon-instruct", "User: {{ m }}Falcon:"},
        {"chatqa", "User: {{ m }}Assistant:"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        check_detect(texts[i][1], texts[i][0]);
        assert_non_null(named_template_find(texts[i][0]));
    }
    check_detect("{{ messages[0].content }}", NULL);
    check_detect("", NULL);
    assert_null(named_template_detect(NULL, 0));
    assert_null(named_template_find("nope"));
    for (size_t i = 0; named_template_at(i) != NULL; i++) {
        const struct named_template *n = named_template_at(i);
        struct template *t = NULL;
        json *params = json_parse(n->params, strlen(n->params), &json_default_limits, NULL, NULL);
        assert_ptr_equal(named_template_find(n->name), n);
        assert_true(json_len(json_get(params, "stop")) > 0);
        assert_int_equal(template_parse(&t, n->text, strlen(n->text), NULL), ST_OK);
        assert_true(template_uses(t, "messages"));
        json_free(params);
        template_free(t);
    }
}

static void test_named_prompt(void **state) {
    const struct named_template *n = named_template_find("gemma-instruct");
    struct buf out = {0};
    (void)state;
    assert_int_equal(render_chat(n->text, &template_default_limits, &out, NULL), ST_OK);
    assert_string_equal(out.data, "<start_of_turn>user\nBe terse.\nHi<end_of_turn>\n"
                                  "<start_of_turn>model\n<end_of_turn>\n\nok<end_of_turn>\n"
                                  "<start_of_turn>user\nMore\n\nplease<end_of_turn>\n"
                                  "<start_of_turn>model\n");
    buf_free(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse_errors),
        cmocka_unit_test(test_language),
        cmocka_unit_test(test_data),
        cmocka_unit_test(test_printf),
        cmocka_unit_test(test_run_time_errors),
        cmocka_unit_test(test_legacy),
        cmocka_unit_test(test_suffix),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_legacy_limits),
        cmocka_unit_test(test_parse_limits),
        cmocka_unit_test(test_memory_failures),
        cmocka_unit_test(test_legacy_memory_failures),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_named),
        cmocka_unit_test(test_named_prompt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
