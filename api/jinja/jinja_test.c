/* jinja_test.c - what golden/templates leaves out: limits, errors with their lines, memory that
 * runs out, and that a template reaches nothing but its variables. */
#include "api/jinja/jinja.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"

static const char variables[] =
    "{\"x\":5,\"l\":[3,1,2],\"d\":{\"b\":1,\"a\":\"two\"},\"s\":\"Hello World\","
    "\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"},{\"role\":\"assistant\",\"content\":"
    "\"Yo\"}]}";

static enum status render(const char *text, const struct jinja_limits *limits, char *out,
                          size_t size, struct err *e) {
    struct jinja *t = NULL;
    struct jinja_var var[8];
    struct jinja_input in = {.var = var, .now = 1768480496};
    struct buf b = {0};
    enum status st = jinja_parse(&t, text, strlen(text), false, e);
    *out = '\0';
    if (st != ST_OK) return st;
    json *root = json_parse(variables, strlen(variables), &json_default_limits, NULL, NULL);
    for (const json *m = json_first(root); m != NULL; m = json_next(m))
        var[in.n_vars++] = (struct jinja_var){json_key(m), m};
    if (root == NULL)
        st = ST_NO_MEMORY;
    else
        st = jinja_render(t, &in, limits, &b, e);
    if (b.len > 0) {
        strncpy(out, b.data, size - 1);
        out[size - 1] = '\0';
    }
    buf_free(&b);
    json_free(root);
    jinja_free(t);
    return st;
}

static void gives(const char *text, const char *want) {
    char out[4096];
    struct err e = {0};
    enum status st = render(text, &jinja_default_limits, out, sizeof out, &e);
    if (st != ST_OK) fail_msg("%s: %s", text, e.msg);
    assert_string_equal(out, want);
}

static void fails(const char *text, enum status code, const char *want) {
    char out[4096];
    struct err e = {0};
    assert_int_equal(render(text, &jinja_default_limits, out, sizeof out, &e), code);
    assert_string_equal(e.msg, want);
    assert_string_equal(out, ""); /* nothing of a failed rendering */
}

static void errors_tell_the_line(void **state) {
    (void)state;
    fails("a\nb\n{{ 1/0 }}", ST_INVALID, "line 3: division by zero");
    fails("a\n{% if x %}\n", ST_FORMAT, "line 2: unexpected end of template, looking for 'elif'");
    fails("{{ x }}\n{{ x|nope }}", ST_FORMAT, "line 2: No filter named 'nope'.");
    fails("\n\n{% foo %}", ST_FORMAT, "line 3: Encountered unknown tag 'foo'.");
    fails("{{ nobody.name }}", ST_INVALID, "line 1: 'nobody' is undefined");
    fails("{{ d.zz.yy }}", ST_INVALID, "line 1: 'dict object' has no attribute 'zz'");
    fails("{% for m in messages %}\n{{ m.content + 1 }}{% endfor %}", ST_INVALID,
          "line 2: can only concatenate str (not \"int\") to str");
    fails("x {{ raise_exception('own words') }}", ST_INVALID, "own words");
}

static void more_than_the_goldens(void **state) {
    (void)state;
    gives("{% for i in l recursive %}{{ i }}{{ loop([9]) if loop.first and i != 9 }}{% endfor %}",
          "3912");
    gives("{% macro m(n) %}-{% endmacro %}{% call(u) m(2) %}<{{ u }}>{% endcall %}", "-");
    gives("{% macro m(n) %}[{{ caller(n) }}]{% endmacro %}{% call(u) m(2) %}<{{ u }}>{% endcall %}",
          "[<2>]");
    gives("{% with a=1, b=x %}{{ a + b }}{% endwith %}{{ a is defined }}", "6False");
    gives("{% raw %}{{ x }}{% endraw %}", "{{ x }}");
    gives("{{ 'a,b,,c'.split(',') }}{{ 'x y  z'.rsplit(None, 1) }}",
          "['a', 'b', '', 'c']['x y', 'z']");
    gives("{{ '%05.1f|%-3s|%x' % (2.25, 'a', 255) }}", "002.2|a  |ff");
    gives("{{ 'a{}b{n}'.format(1, n=2) }}", "a1b2");
    gives("{{ d|dictsort|join(';') }}", "('a', 'two');('b', 1)");
    gives("{{ l|tojson(indent=1) }}", "[\n 3,\n 1,\n 2\n]");
    gives("{{ 'é\\n'|tojson(ensure_ascii=true) }}", "\"\\u00e9\\n\"");
    gives("{% set q = [] %}{% for i in l %}{% set _ = q.append(i) %}{% endfor %}{{ q }}",
          "[3, 1, 2]");
    gives(
        "{% set a = [1, 2, 3] %}{% set b = a[1:] %}{% set _ = a.pop(1) %}{% set _ = b.append(4) %}"
        "{% set _ = b.insert(0, 9) %}{% set _ = a.append(7) %}{{ a }}{{ b }}",
        "[1, 3, 7][9, 2, 3, 4]");
    gives("{{ range(3) }}{{ range(2, 5) }}{{ range(3, -1, -1) }}{{ range(5, 1, -2) }}{{ range(-2, "
          "1) }}",
          "[0, 1, 2][2, 3, 4][3, 2, 1, 0][5, 3][-2, -1, 0]");
    gives("{{ [1, 2, 3][-2:] }}{{ 'héllo'[1:3] }}{{ 'abc'[::-1] }}", "[2, 3]élcba");
    gives("{{ (1, 2) == [1, 2] }}{{ 1 == true }}{{ 'a' ~ none ~ 1.0 }}", "FalseTrueaNone1.0");
    gives("{{ 2 ** -1 }}{{ 7 // -2 }}{{ -7 % 3 }}{{ 7.5 // 2 }}", "0.5-423.0");
    gives("{%- for k, v in d.items() -%} {{ k }} {%- endfor -%}", "ba");
    gives("{{ messages|map(attribute='role')|unique|list|length }}", "2");
    gives("{{ strftime_now('%Y-%m-%d %H:%M') }}", "2026-01-15 12:34");
}

/* S-TPL: a template is a program of somebody else. */
static void sec_limits_of_templates(void **state) {
    static const struct jinja_limits small = {200000, 1 << 16, 8 << 20, 300};
    static const struct {
        const char *text;
        enum status code;
    } bad[] = {
        {"{% for a in range(1000000) %}{% for b in range(1000000) %}{% endfor %}{% endfor %}",
         ST_LIMIT},
        {"{% for i in range(100000) %}xxxxxxxxxxxxxxxx{% endfor %}", ST_LIMIT},
        {"{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", ST_INVALID},
        {"{% set ns = namespace(s='x') %}{% for i in range(64) %}{% set ns.s = ns.s + ns.s %}{% "
         "endfor %}",
         ST_INVALID},
        {"{{ 'x' * 1000000000 }}", ST_INVALID},
        {"{{ [0] * 1000000000 }}", ST_INVALID},
        {"{{ 9223372036854775807 + 1 }}", ST_INVALID},
        {"{{ 10 ** 400 }}", ST_INVALID},
        {"{{ range(10000000000) }}", ST_LIMIT},
        {"{% set l = [] %}{% set _ = l.append(l) %}{{ l }}", ST_INVALID},
        {"{% set l = [] %}{% set _ = l.append(l) %}{{ l|tojson }}", ST_INVALID},
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char out[64];
        struct err e = {0};
        enum status st = render(bad[i].text, &small, out, sizeof out, &e);
        if (st != bad[i].code) fail_msg("%s: %s %s", bad[i].text, status_name(st), e.msg);
    }
}

static void sec_nested_templates(void **state) {
    static const char *const part[] = {"(",   "[",  "{% if x %}", "{{ not ", "-", "x if x else ",
                                       "x.a", "x|e"};
    (void)state;
    for (size_t i = 0; i < sizeof part / sizeof *part; i++) {
        struct buf b = {0};
        struct jinja *t = NULL;
        struct err e = {0};
        if (*part[i] != '{') buf_str(&b, "{{ x");
        for (int k = 0; k < 100000; k++)
            buf_str(&b, part[i] + (*part[i] == 'x' && part[i][1] != ' '));
        enum status st = jinja_parse(&t, b.data, b.len, false, &e);
        if (st == ST_OK) jinja_free(t);
        assert_int_not_equal(st, ST_OK);
        assert_int_not_equal(e.msg[0], '\0');
        buf_free(&b);
    }
}

/* No files, no other templates, no attributes of anything but data. */
static void sec_CVE_2024_34359_templates_see_only_their_variables(void **state) {
    (void)state;
    fails("{% include '/etc/passwd' %}", ST_FORMAT, "line 1: Encountered unknown tag 'include'.");
    fails("{% import 'os' as os %}", ST_FORMAT, "line 1: Encountered unknown tag 'import'.");
    gives("{{ ''.__class__ }}{{ d.__init__ is defined }}{{ raise_exception.__globals__ }}",
          "False");
    fails("{{ ''.__class__.__mro__ }}", ST_INVALID,
          "line 1: 'str object' has no attribute '__class__'");
    fails("{{ self.x }}", ST_INVALID, "line 1: 'self' is undefined");
}

static void memory_runs_out(void **state) {
    (void)state;
    static const char text[] = "{% macro f(a) %}{{ a|upper }}{% endmacro %}{% for m in messages "
                               "%}{{ f(m.content) ~ d|tojson }}"
                               "{{ l|sort|map('string')|join(',') }}{% endfor %}";
    for (long n = 1; n < 10000; n++) {
        char out[256];
        struct err e = {0};
        const long live = mem_live();
        mem_fail_at(n);
        enum status st = render(text, &jinja_default_limits, out, sizeof out, &e);
        mem_fail_at(0);
        assert_int_equal(mem_live(), live);
        if (st == ST_OK) {
            assert_string_equal(
                out, "HI{\"b\": 1, \"a\": \"two\"}1,2,3YO{\"b\": 1, \"a\": \"two\"}1,2,3");
            return;
        }
        assert_int_equal(st, ST_NO_MEMORY);
    }
    fail_msg("never succeeds");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_tell_the_line),
        cmocka_unit_test(more_than_the_goldens),
        cmocka_unit_test(sec_limits_of_templates),
        cmocka_unit_test(sec_nested_templates),
        cmocka_unit_test(sec_CVE_2024_34359_templates_see_only_their_variables),
        cmocka_unit_test(memory_runs_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
