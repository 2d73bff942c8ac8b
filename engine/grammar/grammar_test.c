/* Tests of grammars: verdicts on texts, masks against brute force, limits, allocation failures. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/os.h"
#include "engine/grammar/testing.h"

/* ---- helpers ---- */

static struct grammar *compile(enum grammar_kind kind, const char *text, struct token_index *ti) {
    struct grammar_source source = {kind, text, strlen(text)};
    struct grammar *g = NULL;
    struct err e = {0};
    if (grammar_compile(&g, &source, ti, &e) != ST_OK) {
        print_error("%s\n%s\n", text, e.msg);
        fail();
    }
    return g;
}

static void refused(enum grammar_kind kind, const char *text, const char *why) {
    struct grammar_source source = {kind, text, strlen(text)};
    struct grammar *g = NULL;
    struct err e = {0};
    assert_int_not_equal(grammar_compile(&g, &source, NULL, &e), ST_OK);
    if (strstr(e.msg, why) == NULL) {
        print_error("%.200s\n%s\n", text, e.msg);
        fail();
    }
}

/* 1 complete, 0 a beginning, -1 neither. */
static int verdict(struct grammar *g, const char *text) {
    struct grammar_run *r = NULL;
    assert_int_equal(grammar_run_open(&r, g, NULL), ST_OK);
    size_t len = strlen(text);
    int v = grammar_run_text(r, text, len) < len ? -1 : grammar_run_accepts(r);
    assert_int_equal(grammar_run_status(r, NULL), ST_OK);
    grammar_run_close(r);
    return v;
}

struct verdict_row {
    const char *text;
    int verdict;
};

static void check_rows(enum grammar_kind kind, const char *source, const struct verdict_row *row) {
    struct grammar *g = compile(kind, source, NULL);
    for (; row->text != NULL; row++)
        if (verdict(g, row->text) != row->verdict) {
            print_error("%s\n%s: %d\n", source, row->text, verdict(g, row->text));
            fail();
        }
    grammar_unref(g);
}

#define ROWS(...)                                                                                  \
    (const struct verdict_row[]) {                                                                 \
        __VA_ARGS__, { NULL, 0 }                                                                   \
    }

/* ---- GBNF ---- */

static void gbnf_nullable_repetition(void **state) {
    (void)state;
    check_rows(GRAMMAR_GBNF, "root ::= (\"a\"? \"b\"?)* \"c\"",
               ROWS({"c", 1}, {"aabbabc", 1}, {"ab", 0}, {"d", -1}));
    check_rows(GRAMMAR_GBNF, "root ::= a* \"x\"\na ::= \"y\" | \"\"",
               ROWS({"x", 1}, {"yyx", 1}, {"z", -1}));
    check_rows(GRAMMAR_GBNF, "root ::= (a){3,5}\na ::= \"y\"?",
               ROWS({"", 1}, {"yyyyy", 1}, {"yyyyyy", -1}));
}

static void gbnf_ambiguous(void **state) {
    (void)state;
    /* Every text of n letters has exponentially many derivations. */
    struct grammar *g = compile(
        GRAMMAR_GBNF, "root ::= s\ns ::= \"a\" s s | \"a\" s | \"a\" \"b\"? | \"a\" s \"b\"", NULL);
    char text[201];
    memset(text, 'a', 200);
    text[200] = '\0';
    assert_int_equal(verdict(g, text), 1);
    grammar_unref(g);
}

static void gbnf_right_recursion(void **state) {
    (void)state;
    struct grammar *g = compile(GRAMMAR_GBNF, "root ::= \"a\" root | \"b\"", NULL);
    struct grammar_run *r = NULL;
    assert_int_equal(grammar_run_open(&r, g, NULL), ST_OK);
    size_t before = 0;
    for (int i = 0; i < 100000; i++) {
        assert_int_equal(grammar_run_text(r, "a", 1), 1);
        if (i == 100) before = grammar_bytes(g);
    }
    assert_int_equal(grammar_bytes(g), before); /* the same state again and again */
    grammar_run_close(r);
    grammar_unref(g);
}

static void sec_CVE_2026_2069(void **state) {
    (void)state;
    struct buf b = {0};
    refused(GRAMMAR_GBNF, "root ::= root \"a\" | \"b\"", "left recursion in rule root");
    refused(GRAMMAR_GBNF, "root ::= x \"b\"\nx ::= y?  z\ny ::= \"q\"\nz ::= x \"c\" | \"d\"",
            "left recursion in rule x");
    refused(GRAMMAR_GBNF, "a ::= \"b\"", "no rule named root");
    refused(GRAMMAR_GBNF, "root ::= foo", "rule foo is not defined");
    refused(GRAMMAR_GBNF, "root ::= \"a\"\n  )", "line 2, column 3");
    buf_str(&b, "root ::= ");
    for (int i = 0; i < 60000; i++) buf_chr(&b, '(');
    buf_str(&b, "\"a\"");
    for (int i = 0; i < 60000; i++) buf_chr(&b, ')');
    refused(GRAMMAR_GBNF, b.data, "nested deeper than 256");
    buf_clear(&b);
    buf_str(&b, "root ::= \"a\"");
    for (int i = 0; i < 60000; i++) buf_chr(&b, '?');
    refused(GRAMMAR_GBNF, b.data, "nested deeper than 256");
    buf_clear(&b);
    buf_str(&b, "root ::= x0\n");
    for (int i = 0; i < 66000; i++) buf_printf(&b, "x%d ::= \"a\" x%d\n", i, i + 1);
    refused(GRAMMAR_GBNF, b.data, "more than 65536 rules");
    buf_clear(&b);
    buf_str(&b, "root ::= \"");
    for (int i = 0; i < 600000; i++) buf_chr(&b, 'a');
    buf_str(&b, "\"");
    refused(GRAMMAR_GBNF, b.data, "more than 1000000 elements");
    buf_free(&b);
}

/* ---- JSON ---- */

static void json_mode(void **state) {
    (void)state;
    check_rows(GRAMMAR_JSON, "",
               ROWS({"{}", 1}, {"{ \"a\": [1, -2.5e3, true, null, \"\\u00e9\\/\"] }", 1},
                    {"[]", -1}, {"{} ", -1}, {"{\"a\":01}", -1}, {"{\"a\":", 0}, {"{\"a\" :1}", -1},
                    {"{\"a\":\"\n\"}", -1}));
}

#define SCHEMA(text, ...) check_rows(GRAMMAR_SCHEMA, text, ROWS(__VA_ARGS__))

static void schema_numbers(void **state) {
    (void)state;
    SCHEMA("{\"type\":\"integer\",\"minimum\":-12,\"maximum\":134}", {"-12", 1}, {"-13", -1},
           {"134", 1}, {"135", -1}, {"0", 1}, {"-1", 1}, {"99", 1}, {"100", 1}, {"1.0", -1});
    SCHEMA("{\"type\":\"integer\",\"multipleOf\":7,\"minimum\":10}", {"14", 1}, {"10", 0},
           {"21", 1}, {"7", 0}, {"70", 1}, {"77", 1}, {"76", 0});
    SCHEMA("{\"type\":\"number\",\"minimum\":-0.25,\"exclusiveMaximum\":3.5}", {"-0.25", 1},
           {"-0.26", -1}, {"-0.2500", 1}, {"3.5", -1}, {"3.49", 1}, {"3", 1}, {"0", 1}, {"-1", -1},
           {"3.4999", 1}, {"4", -1}, {"-0.2", 1});
    SCHEMA("{\"type\":\"number\",\"exclusiveMinimum\":0}", {"0", 0}, {"0.0", 0}, {"0.01", 1},
           {"5e-3", 1}, {"-1", -1}, {"1e5", 1}, {"12.5", 1});
    SCHEMA("{\"type\":\"number\",\"multipleOf\":0.05}", {"1.05", 1}, {"1.06", -1}, {"1.060", -1},
           {"1.1", 1}, {"1", 1}, {"0.00", 1}, {"1.0500", 1}, {"1.0501", -1}, {"-2.35", 1});
    SCHEMA("{\"type\":\"number\",\"minimum\":0.001,\"maximum\":0.00100001}", {"0.001", 1},
           {"0.00100001", 1}, {"0.00100002", -1}, {"0.0011", -1}, {"1", -1});
    SCHEMA("{\"type\":\"integer\",\"minimum\":1e2,\"maximum\":1.05E+2}", {"100", 1}, {"105", 1},
           {"106", -1}, {"99", -1});
}

static void schema_strings(void **state) {
    (void)state;
    SCHEMA("{\"type\":\"string\",\"pattern\":\"b+\",\"minLength\":3,\"maxLength\":4}",
           {"\"abc\"", 1}, {"\"ab\"", -1}, {"\"ab", 0}, {"\"xxxx\"", -1}, {"\"xxxb\"", 1},
           {"\"bbbbb\"", -1});
    SCHEMA("{\"type\":\"string\",\"pattern\":\"^(?=.*[0-9])(?!.*x)[a-z0-9]{2,4}$\"}", {"\"a1\"", 1},
           {"\"ab\"", -1}, {"\"x1\"", -1}, {"\"1234\"", 1});
    SCHEMA("{\"type\":\"string\",\"pattern\":\"^[\\\"\\\\\\\\\\\\n]+$\"}", {"\"\\\"\\\\\\n\"", 1},
           {"\"a\"", -1}, {"\"\n\"", -1});
    SCHEMA("{\"type\":\"string\",\"maxLength\":5000,\"minLength\":1300}", {"\"a\"", -1},
           {"\"a", 0});
    SCHEMA("{\"type\":\"string\",\"format\":\"date\"}", {"\"2024-02-29\"", 1},
           {"\"2023-02-29\"", -1}, {"\"2000-02-29\"", 1}, {"\"1900-02-29\"", -1},
           {"\"2023-04-31\"", -1}, {"\"0000-01-01\"", -1});
    SCHEMA("{\"type\":\"string\",\"minLength\":2}", {"\"\\ud83d\\ude00\"", -1},
           {"\"\\ud83d\\ude00a\"", 1}, {"\"\\u0041b\"", 1}, {"\"\\ud83d\"", -1});
}

static void schema_arrays(void **state) {
    (void)state;
    SCHEMA("{\"type\":\"array\",\"contains\":{\"const\":5},\"items\":{\"type\":\"integer\"},"
           "\"maxItems\":3}",
           {"[5]", 1}, {"[]", -1}, {"[1,5]", 1}, {"[1,2,3]", -1}, {"[1,2,5]", 1}, {"[5,5,5]", 1},
           {"[5,1,2,3]", -1}, {"[50]", -1});
    SCHEMA("{\"type\":\"array\",\"contains\":{\"type\":\"null\"}}", {"[1,2,null,3]", 1},
           {"[1]", -1}, {"[null]", 1});
    SCHEMA("{\"prefixItems\":[{\"type\":\"integer\"}],\"items\":{\"type\":\"null\"}}", {"[]", 1},
           {"[1]", 1}, {"[1,null,null]", 1}, {"[null]", -1}, {"[1,2]", -1});
    SCHEMA("{\"type\":\"array\",\"items\":{\"type\":\"null\"},\"minItems\":2,\"maxItems\":3}",
           {"[null]", -1}, {"[null,null]", 1}, {"[null, null,\n null]", 1},
           {"[null,null,null,null]", -1});
}

static void schema_objects(void **state) {
    (void)state;
    SCHEMA("{\"type\":\"object\",\"patternProperties\":{\"^n_\":{\"type\":\"integer\"}},"
           "\"additionalProperties\":{\"type\":\"string\"}}",
           {"{\"n_a\":1}", 1}, {"{\"n_a\":\"x\"}", -1}, {"{\"b\":\"x\",\"n_\":2}", 1},
           {"{\"b\":1}", -1}, {"{\"\\u006e_a\":1}", -1});
    SCHEMA("{\"type\":\"object\",\"patternProperties\":{\"^n\":{\"type\":\"integer\"}},"
           "\"additionalProperties\":false}",
           {"{\"n\":1}", 1}, {"{\"m\":1}", -1}, {"{}", 1});
    SCHEMA("{\"type\":\"object\",\"properties\":{\"a\":{},\"b\":{},\"c\":{}},\"maxProperties\":2,"
           "\"minProperties\":1}",
           {"{}", -1}, {"{\"a\":1}", 1}, {"{\"a\":1,\"c\":2}", 1},
           {"{\"a\":1,\"b\":2,\"c\":3}", -1});
    SCHEMA("{\"type\":\"object\",\"propertyNames\":{\"pattern\":\"^[a-c]+$\",\"maxLength\":2}}",
           {"{\"ab\":1}", 1}, {"{\"abc\":1}", -1}, {"{\"d\":1}", -1});
    SCHEMA("{\"type\":\"object\",\"required\":[\"a\",\"b\"]}", {"{\"b\":1,\"x\":2,\"a\":3}", 1},
           {"{\"a\":1}", -1}, {"{\"a\":1,\"b\":2}", 1});
    SCHEMA("{\"type\":\"object\",\"properties\":{\"k\":{\"type\":\"integer\"}},"
           "\"additionalProperties\":{\"type\":\"null\"}}",
           {"{\"k\":1,\"kk\":null,\"\":null}", 1}, {"{\"k\":null}", -1},
           {"{\"\\u006b\":null}", -1});
}

static void schema_combined(void **state) {
    (void)state;
    SCHEMA("{\"anyOf\":[{\"required\":[\"a\"]},{\"required\":[\"b\"]}],\"type\":\"object\","
           "\"properties\":{\"a\":{\"type\":\"integer\"},\"b\":{\"type\":\"integer\"}}}",
           {"{\"a\":1}", 1}, {"{\"b\":1}", 1}, {"{}", -1}, {"{\"a\":1,\"b\":2}", 1});
    SCHEMA("{\"allOf\":[{\"type\":\"integer\",\"minimum\":3},{\"maximum\":5}]}", {"2", -1},
           {"3", 1}, {"5", 1}, {"6", -1});
    SCHEMA("{\"$ref\":\"#/$defs/a~1b\",\"$defs\":{\"a/b\":{\"type\":\"null\"}}}", {"null", 1});
    SCHEMA("{\"$ref\":\"#/$defs/n\",\"$defs\":{\"n\":{\"type\":\"object\",\"properties\":{\"next\":"
           "{\"anyOf\":[{\"type\":\"null\"},{\"$ref\":\"#/$defs/n\"}]}},\"required\":[\"next\"]}}}",
           {"{\"next\":{\"next\":{\"next\":null}}}", 1}, {"{\"next\":{}}", -1});
    SCHEMA("{\"type\":\"object\",\"properties\":{\"next\":{\"anyOf\":[{\"$ref\":\"#\"},{\"type\":"
           "\"null\"}]}},"
           "\"required\":[\"next\"],\"additionalProperties\":false}",
           {"{\"next\":{\"next\":null}}", 1}, {"{\"next\":{}}", -1});
    SCHEMA("{\"enum\":[1,\"a\",null,[2]],\"type\":[\"integer\",\"array\"]}", {"1", 1}, {"[2]", 1},
           {"\"a\"", -1}, {"null", -1});
    SCHEMA("true", {"1", 1}, {"[true]", 1});
    SCHEMA("{\"properties\":{\"a\":true},\"required\":[\"a\"]}", {"{\"a\":[]}", 1}, {"{}", -1});
    refused(GRAMMAR_SCHEMA, "false", "no value satisfies");
    refused(GRAMMAR_SCHEMA, "{\"type\":\"string\",\"const\":1}", "no value satisfies");
    refused(GRAMMAR_SCHEMA, "{\"properties\":{\"a\":{\"type\":\"nonsense\"}}}",
            "JSON schema error at #/properties/a: unrecognized type nonsense");
    refused(GRAMMAR_SCHEMA, "{\"$ref\":\"#\"}", "in a circle");
    refused(GRAMMAR_SCHEMA, "{\"type\":", "unexpected EOF");
}

static void schema_notes(void **state) {
    (void)state;
    struct grammar *g = compile(
        GRAMMAR_SCHEMA, "{\"type\":\"string\",\"pattern\":\"^(a)\\\\1$\",\"not\":{}}", NULL);
    assert_non_null(strstr(grammar_notes(g), "back references"));
    assert_non_null(strstr(grammar_notes(g), "#: not is not enforced"));
    assert_int_equal(verdict(g, "\"anything\""), 1);
    grammar_unref(g);
    g = compile(GRAMMAR_SCHEMA, "{\"type\":\"integer\"}", NULL);
    assert_string_equal(grammar_notes(g), "");
    grammar_unref(g);
}

/* A schema made to explode must be refused or compiled within the budget. */
static void sec_vllm_CVE_2025_48944(void **state) {
    (void)state;
    static const char *const evil[] = {
        "{\"type\":\"string\",\"pattern\":\"^((((a{1,99}){1,99}){1,99}){1,99}){1,99}$\"}",
        "{\"type\":\"string\",\"pattern\":\"(a|aa|aaa)*b.{5000}c\"}",
        "{\"type\":\"string\",\"pattern\":\"[ab]*a[ab]{20}\"}",
        "{\"type\":\"string\",\"minLength\":4000000000}",
        "{\"type\":\"array\",\"items\":{},\"minItems\":4000000000}",
        "{\"type\":\"object\",\"minProperties\":4000000000}",
        "{\"type\":\"string\",\"pattern\":\"(((((((((((a+)+)+)+)+)+)+)+)+)+)+)+$\"}"};
    for (size_t i = 0; i < sizeof evil / sizeof *evil; i++) {
        struct grammar_source source = {GRAMMAR_SCHEMA, evil[i], strlen(evil[i])};
        struct grammar *g = NULL;
        struct err e = {0};
        enum status st = grammar_compile(&g, &source, NULL, &e);
        assert_true(st == ST_OK || st == ST_INVALID || st == ST_LIMIT);
        assert_true(st == ST_OK || e.msg[0] != '\0');
        grammar_unref(g);
    }
    struct buf b = {0}; /* 2^20 combinations of alternatives */
    buf_str(&b, "{\"allOf\":[");
    for (int i = 0; i < 20; i++)
        buf_printf(&b, "%s{\"anyOf\":[{\"minimum\":%d},{\"maximum\":%d}]}", i > 0 ? "," : "", i,
                   -i);
    buf_str(&b, "]}");
    struct grammar_source source = {GRAMMAR_SCHEMA, b.data, b.len};
    struct grammar *g = NULL;
    struct err e = {0};
    assert_int_equal(grammar_compile(&g, &source, NULL, &e), ST_LIMIT);
    buf_free(&b);
}

static void regexes(void **state) {
    (void)state;
    check_rows(GRAMMAR_REGEX, "^[A-Z]{2}\\d+(-[a-f]+)?$",
               ROWS({"AB1", 1}, {"AB", 0}, {"AB12-af", 1}, {"AB12-", 0}, {"ab", -1}));
    check_rows(GRAMMAR_REGEX, "(?:yes|no)\\s*!{0,2}?",
               ROWS({"yes", 1}, {"no !!", 1}, {"no!!!", -1}));
    check_rows(GRAMMAR_REGEX, "\\u00e9[^\\W\\d]+",
               ROWS({"\xC3\xA9_a", 1}, {"\xC3\xA9"
                                        "1",
                                        -1}));
    check_rows(GRAMMAR_REGEX, "(?:a+)*b(?:c*)+(?:d?)?(?:e+)+(?:f+)?",
               ROWS({"be", 1}, {"aaabccdeeff", 1}, {"b", 0}, {"addb", -1}, {"bdde", -1}));
    refused(GRAMMAR_REGEX, "(a", "unbalanced");
    refused(GRAMMAR_REGEX, "a\\bb", "word boundaries");
    refused(GRAMMAR_REGEX, "[z-a]", "wrong way round");
    refused(GRAMMAR_REGEX, "*a", "nothing to repeat");
    check_rows(GRAMMAR_CHOICE, "[\"yes\",\"no\",\"yes!\"]",
               ROWS({"yes", 1}, {"yes!", 1}, {"n", 0}));
    refused(GRAMMAR_CHOICE, "[1]", "list of strings");
}

static void tools(void **state) {
    (void)state;
    check_rows(
        GRAMMAR_TOOLS,
        "{\"open\":\"<tool_call>\\n\",\"close\":\"\\n</tool_call>\",\"tools\":[{\"name\":\"add\","
        "\"parameters\":{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\"}},"
        "\"required\":[\"a\"]}},{\"name\":\"now\"}]}",
        ROWS({"<tool_call>\n{\"name\":\"add\",\"arguments\":{\"a\":1}}\n</tool_call>", 1},
             {"<tool_call>\n{\"name\": \"now\", \"parameters\": {}}\n</tool_call>\n<tool_call>", 0},
             {"<tool_call>\n{\"name\":\"add\",\"arguments\":{}}", -1}, {"{", -1},
             {"<tool_call>\n{\"name\":\"sub", -1}));
    check_rows(GRAMMAR_TOOLS,
               "{\"open\":\"[\",\"close\":\"]\",\"list\":true,\"tools\":[{\"name\":\"f\"}]}",
               ROWS({"[{\"name\":\"f\",\"arguments\":{}}]", 1}, {"[]", -1},
                    {"[{\"name\":\"f\",\"arguments\":{}}, {\"name\":\"f\",\"arguments\":{}}]", 1}));
    refused(GRAMMAR_TOOLS, "{\"tools\":[]}", "no tools");
}

/* The parameters of a tool are a document of their own: "#" is their root. */
static void tools_refs(void **state) {
    (void)state;
    const char *source =
        "{\"open\":\"\",\"close\":\"\",\"tools\":["
        "{\"name\":\"f\",\"parameters\":{\"type\":\"object\",\"properties\":{\"a\":"
        "{\"$ref\":\"#/$defs/x\"}},\"required\":[\"a\"],\"$defs\":{\"x\":{\"type\":\"integer\"}}}},"
        "{\"name\":\"g\",\"parameters\":{\"type\":\"object\",\"properties\":{\"a\":"
        "{\"$ref\":\"#/$defs/x\"}},\"required\":[\"a\"],\"$defs\":{\"x\":{\"type\":\"boolean\"}}}},"
        "{\"name\":\"tree\",\"parameters\":{\"type\":\"object\",\"properties\":{\"kids\":"
        "{\"type\":\"array\",\"items\":{\"$ref\":\"#\"}}},\"required\":[\"kids\"]}}]}";
    check_rows(GRAMMAR_TOOLS, source,
               ROWS({"{\"name\":\"f\",\"arguments\":{\"a\":1}}", 1},
                    {"{\"name\":\"f\",\"arguments\":{\"a\":true}}", -1},
                    {"{\"name\":\"g\",\"arguments\":{\"a\":true}}", 1},
                    {"{\"name\":\"g\",\"arguments\":{\"a\":1}}", -1},
                    {"{\"name\":\"tree\",\"arguments\":{\"kids\":[{\"kids\":[]}]}}", 1},
                    {"{\"name\":\"tree\",\"arguments\":{\"kids\":[1", -1}));
    refused(GRAMMAR_TOOLS,
            "{\"tools\":[{\"name\":\"f\"},{\"name\":\"g\",\"parameters\":{\"type\":\"object\","
            "\"properties\":{\"a\":{\"$ref\":\"#/$defs/y\"}}}}]}",
            "at #/tools/1/properties/a: cannot resolve $ref #/$defs/y, $defs not found");
}

/* Patterns that make backtracking engines run for ages: here each is one pass over the text. */
static void sec_S_PA_6(void **state) {
    (void)state;
    static const char *const body[] = {"(a+)+",     "(a*)*",     "(a|a)*",        "(a|aa)+",
                                       "(.*a){12}", "([a-z]+)*", "(a?){30}a{30}", "(x+x+)+",
                                       "(a|b|ab)*", "(.|a)+"};
    static const char *const end[] = {"$", "b", "!$", "(?:c|d)$", ""};
    char text[5003];
    memset(text, 'a', sizeof text);
    text[0] = '"';
    text[5001] = '!';
    text[5002] = '\0';
    for (size_t i = 0; i < sizeof body / sizeof *body; i++)
        for (size_t k = 0; k < sizeof end / sizeof *end; k++) {
            char schema[200];
            snprintf(schema, sizeof schema, "{\"type\":\"string\",\"pattern\":\"^%s%s\"}", body[i],
                     end[k]);
            struct grammar_source source = {GRAMMAR_SCHEMA, schema, strlen(schema)};
            struct grammar *g = NULL;
            enum status st = grammar_compile(&g, &source, NULL, NULL);
            assert_true(st == ST_OK || st == ST_LIMIT);
            if (st != ST_OK) continue;
            verdict(g, text);
            assert_true(grammar_bytes(g) < (size_t)32 << 20);
            grammar_unref(g);
        }
}

/* ---- masks against brute force ---- */

static const char *const PIECES[] = {
    "a",     "b",     "c",      "ab",   "abc",      "{",          "}",   "\"", "\":",  "\",",
    "\",\"", "\"}",   "[",      "]",    ",",        ", ",         ":",   ": ", " ",    "\n",
    "1",     "12",    "0",      "-",    ".",        "1.",         "e",   "e1", "true", "tr",
    "ue",    "nul",   "null",   "l",    "false",    "\\",         "\\u", "u",  "00",   "x",
    "n",     "\\n\"", "\xC3",   "\xA9", "\xC3\xA9", "\xC3\xA9\"", "],",  "}]", "1]",   "1}",
    "1,2",   "{\"",   "{\"a\"", "a\":", "bb",       "",           "}}",  "y",  "yes"};
enum { N_PIECES = sizeof PIECES / sizeof *PIECES, EOG = N_PIECES, N_TOKENS = N_PIECES + 1 };

static const struct pieces vocabulary = {PIECES, N_PIECES};

static struct token_index *open_index(void) {
    struct token_index *ti = NULL;
    assert_int_equal(pieces_index(&ti, &vocabulary, NULL), ST_OK);
    return ti;
}

/* Random walks: at each place every token's bit must be right; chooses an allowed token. */
static void walk_and_compare(struct grammar *g, unsigned seed, int steps) {
    struct grammar_run *r = NULL;
    struct buf text = {0};
    uint64_t x = seed * 2654435761u + 1;
    assert_int_equal(grammar_run_open(&r, g, NULL), ST_OK);
    for (int i = 0; i < steps; i++) {
        uint32_t n = 0, seen = 0, only = 0;
        const uint32_t *mask = grammar_run_mask(r, &n);
        uint32_t bits[(N_TOKENS + 31) / 32];
        assert_non_null(mask);
        memcpy(bits, mask, sizeof bits);
        for (token_id t = 0; t < N_TOKENS; t++) {
            bool bit = bits[t / 32] >> (t % 32) & 1;
            if (bit != piece_fits(&vocabulary, g, text.data, text.len, t)) {
                print_error("after '%s': token %d '%s' is %d\n", text.data, t,
                            t < N_PIECES ? PIECES[t] : "end", bit);
                fail();
            }
            assert_int_equal(grammar_run_allows(r, t), bit);
            seen += bit;
            if (bit) only = (uint32_t)t;
        }
        assert_int_equal(seen, n);
        if (n == 0) break; /* this small vocabulary cannot write what is needed */
        token_id forced = grammar_run_forced(r);
        if (forced != TOKEN_NONE) assert_true(n == 1 && forced == (token_id)only);
        x = x * 6364136223846793005u + 1442695040888963407u;
        uint32_t pick = (uint32_t)(x >> 33) % n;
        token_id t = 0;
        for (;; t++)
            if ((bits[t / 32] >> (t % 32) & 1) != 0 && pick-- == 0) break;
        if (t == EOG) break;
        assert_true(grammar_run_accept(r, t));
        buf_str(&text, PIECES[t]);
    }
    grammar_run_close(r);
    buf_free(&text);
}

static void masks_are_right(void **state) {
    (void)state;
    static const struct {
        enum grammar_kind kind;
        const char *text;
    } SOURCES[] = {
        {GRAMMAR_JSON, ""},
        {GRAMMAR_GBNF, "root ::= (\"a\" | \"ab\") (\"c\" | \"bc\") root | \"x\""},
        {GRAMMAR_GBNF, "root ::= \"(\"? s \"b\"\ns ::= \"a\" s \"b\" | \"a\" s | \"c\""},
        {GRAMMAR_GBNF, "root ::= [^a]+ \"a\" .*"},
        {GRAMMAR_SCHEMA, "{}"},
        {GRAMMAR_SCHEMA, "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\"},\"bb\":"
                         "{\"type\":\"array\",\"items\":{\"type\":\"number\"}}}}"},
        {GRAMMAR_SCHEMA, "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\"}},"
                         "\"additionalProperties\":{\"type\":\"string\",\"maxLength\":3}}"},
        {GRAMMAR_SCHEMA,
         "{\"type\":\"array\",\"items\":{\"type\":\"string\",\"pattern\":\"^a.{1,3}$\"}}"},
        {GRAMMAR_SCHEMA, "{\"anyOf\":[{\"type\":\"string\"},{\"type\":\"string\",\"maxLength\":2},"
                         "{\"const\":\"abc\"}]}"},
        {GRAMMAR_REGEX, "(a|ab|abc)+x?(yes|y)"},
        {GRAMMAR_CHOICE, "[\"abc\",\"ab1\",\"yes\"]"},
    };
    struct token_index *ti = open_index();
    for (size_t i = 0; i < sizeof SOURCES / sizeof *SOURCES; i++) {
        struct grammar *g = compile(SOURCES[i].kind, SOURCES[i].text, ti);
        for (unsigned seed = 0; seed < 12; seed++) walk_and_compare(g, seed, 25);
        grammar_unref(g);
    }
    token_index_close(ti);
}

/* Tokens by name. */
static void named_tokens(void **state) {
    (void)state;
    struct token_index *ti = open_index();
    struct grammar *g = compile(GRAMMAR_GBNF, "root ::= <[3]> !<[0]> \"c\"", ti);
    struct grammar_run *r = NULL;
    uint32_t n;
    assert_int_equal(grammar_run_open(&r, g, NULL), ST_OK);
    assert_true(grammar_run_allows(r, 3) && !grammar_run_allows(r, 0));
    assert_non_null(grammar_run_mask(r, &n));
    assert_int_equal(n, 1);
    assert_int_equal(grammar_run_forced(r), 3);
    assert_true(grammar_run_accept(r, 3));
    assert_true(!grammar_run_allows(r, 0) && grammar_run_allows(r, 1));
    assert_true(!grammar_run_allows(r, EOG));
    assert_true(grammar_run_accept(r, 5));
    assert_true(grammar_run_accept(r, 2));
    assert_true(grammar_run_allows(r, EOG) && grammar_run_ended(r));
    grammar_run_close(r);
    grammar_unref(g);
    token_index_close(ti);
}

static void cached(void **state) {
    (void)state;
    struct token_index *ti = open_index();
    struct grammar *a = NULL, *b = NULL;
    struct grammar_source source = {GRAMMAR_REGEX, "a+", 2};
    assert_int_equal(grammar_get(&a, &source, ti, NULL), ST_OK);
    assert_int_equal(grammar_get(&b, &source, ti, NULL), ST_OK);
    assert_ptr_equal(a, b);
    grammar_unref(b);
    for (int i = 0; i < 3 * GRAMMAR_CACHE; i++) {
        char text[32];
        snprintf(text, sizeof text, "a{%d}", i + 1);
        struct grammar_source other = {GRAMMAR_REGEX, text, strlen(text)};
        assert_int_equal(grammar_get(&b, &other, ti, NULL), ST_OK);
        grammar_unref(b);
    }
    assert_int_equal(grammar_get(&b, &source, ti, NULL), ST_OK);
    assert_ptr_not_equal(a, b); /* it had been forgotten, and a lived on */
    assert_int_equal(verdict(a, "aa"), 1);
    grammar_unref(a);
    grammar_unref(b);
    token_index_close(ti);
}

/* Deep nesting makes ever new states: the tables must start afresh and the run go on. */
static void tables_are_bounded(void **state) {
    (void)state;
    struct token_index *ti = open_index();
    struct grammar *g = compile(GRAMMAR_SCHEMA, "{}", ti);
    struct grammar_run *r = NULL;
#ifdef CRIA_HARD
    const int depth = 2000;
#else
    const int depth = 20000;
#endif
    assert_int_equal(grammar_run_open(&r, g, NULL), ST_OK);
    for (int i = 0; i < depth; i++) {
        assert_true(grammar_run_accept(r, 12)); /* [ */
        if (i % 16 == 0) assert_non_null(grammar_run_mask(r, NULL));
    }
    for (int i = 0; i < depth; i++) assert_true(grammar_run_accept(r, 13)); /* ] */
    assert_true(grammar_run_accepts(r));
    assert_true(grammar_bytes(g) < (size_t)48 << 20);
    grammar_run_close(r);
    grammar_unref(g);
    token_index_close(ti);
}

static enum status use_everything(void) {
    static const char schema[] =
        "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\",\"pattern\":\"^[a-c]+$\"},"
        "\"b\":{\"anyOf\":[{\"type\":\"integer\",\"minimum\":3,\"maximum\":77},{\"$ref\":\"#\"}]}},"
        "\"patternProperties\":{\"^x\":{\"type\":\"array\",\"items\":{\"type\":\"null\"}}},"
        "\"not\":{}}";
    static const token_id tokens[] = {5, 7, 0, 8, 7, 4, 9, 7, 1, 8, 21};
    struct grammar_source source = {GRAMMAR_SCHEMA, schema, sizeof schema - 1};
    struct token_index *ti = NULL;
    struct grammar *g = NULL;
    struct grammar_run *r = NULL;
    struct err e = {0};
    enum status st = pieces_index(&ti, &vocabulary, &e);
    if (st == ST_OK) st = grammar_get(&g, &source, ti, &e);
    if (st == ST_OK) st = grammar_run_open(&r, g, &e);
    for (size_t i = 0; st == ST_OK && i < sizeof tokens / sizeof *tokens; i++) {
        bool fine = grammar_run_mask(r, NULL) != NULL && grammar_run_accept(r, tokens[i]);
        st = grammar_run_status(r, &e);
        if (!fine && st == ST_OK) st = ST_INTERNAL; /* a refusal without a reason */
    }
    assert_true(st == ST_OK || e.msg[0] != '\0');
    grammar_run_close(r);
    grammar_unref(g);
    token_index_close(ti);
    return st;
}

static void allocations_fail(void **state) {
    (void)state;
    const long live = mem_live();
    enum status st = ST_NO_MEMORY;
    for (long n = 1; st != ST_OK; n++) {
        mem_fail_at(n);
        st = use_everything();
        mem_fail_at(0);
        assert_int_equal(mem_live(), live);
        if (st != ST_OK) assert_int_equal(st, ST_NO_MEMORY);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gbnf_nullable_repetition),
        cmocka_unit_test(gbnf_ambiguous),
        cmocka_unit_test(gbnf_right_recursion),
        cmocka_unit_test(sec_CVE_2026_2069),
        cmocka_unit_test(json_mode),
        cmocka_unit_test(schema_numbers),
        cmocka_unit_test(schema_strings),
        cmocka_unit_test(schema_arrays),
        cmocka_unit_test(schema_objects),
        cmocka_unit_test(schema_combined),
        cmocka_unit_test(schema_notes),
        cmocka_unit_test(sec_vllm_CVE_2025_48944),
        cmocka_unit_test(regexes),
        cmocka_unit_test(sec_S_PA_6),
        cmocka_unit_test(tools),
        cmocka_unit_test(tools_refs),
        cmocka_unit_test(masks_are_right),
        cmocka_unit_test(named_tokens),
        cmocka_unit_test(cached),
        cmocka_unit_test(tables_are_bounded),
        cmocka_unit_test(allocations_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
