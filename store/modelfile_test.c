/* modelfile_test.c - Modelfiles against golden/modelfile/cases.jsonl, and what these leave out. */
#include "store/modelfile.h"

#include "store/testing.h"

/* ---- goldens ---- */

static size_t decode_base64(const char *s, char *out) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t n = 0;
    uint32_t bits = 0, have = 0;
    for (; *s != '\0' && *s != '='; s++) {
        bits = bits << 6 | (uint32_t)(strchr(digits, *s) - digits);
        have += 6;
        if (have < 8) continue;
        have -= 8;
        out[n++] = (char)(bits >> have);
    }
    return n;
}

/* name and args of the goldens, from one of our commands. */
static void golden_form(const struct modelfile_command *c, char *name, struct buf *args) {
    const char *kind = c->kind == MODELFILE_FROM ? "MODEL" : modelfile_kind_name(c->kind);
    if (c->kind == MODELFILE_PARAMETER) {
        strcpy(name, c->name);
    } else {
        for (; *kind != '\0'; kind++) *name++ = (char)(*kind + 32);
        *name = '\0';
    }
    if (c->kind == MODELFILE_MESSAGE) buf_printf(args, "%s: ", c->name);
    buf_add(args, c->value, c->len);
}

static void check_commands(const json *list, const struct modelfile *m) {
    size_t i = 0;
    assert_int_equal(m->n_commands, json_len(list));
    for (const json *v = json_first(list); v != NULL; v = json_next(v), i++) {
        char name[64];
        struct buf args = {0};
        golden_form(&m->commands[i], name, &args);
        assert_string_equal(name, member(v, "name"));
        assert_string_equal(args.data, member(v, "args"));
        buf_free(&args);
    }
}

static bool same_json(const json *a, const json *b) {
    double x, y;
    if (json_kind(a) != json_kind(b) || json_len(a) != json_len(b)) return false;
    if (json_kind(a) == JSON_NUMBER)
        return json_number(a, &x) && json_number(b, &y) && (float)x == (float)y;
    if (json_kind(a) == JSON_STRING) return strcmp(json_string(a), json_string(b)) == 0;
    const json *v = json_first(a), *w = json_first(b);
    for (; v != NULL; v = json_next(v), w = json_next(w)) {
        const json *other = json_kind(a) == JSON_OBJECT ? json_get(b, json_key(v)) : w;
        if (other == NULL || !same_json(v, other)) return false;
    }
    return true;
}

/* Our members are all of the golden request's but model, from and name. */
static void check_request(const json *row, const struct modelfile *m) {
    struct buf text = {0};
    struct err e = {0};
    const char *error = json_string(json_get(row, "request_error"));
    buf_chr(&text, '{');
    enum status st = modelfile_put_request(&text, m, NULL, NULL, &e);
    buf_chr(&text, '}');
    if (error != NULL) { /* errors of stat() are the CLI's */
        if (strncmp(error, "stat ", 5) == 0)
            assert_int_equal(st, ST_OK);
        else
            assert_string_equal(e.msg, error);
        buf_free(&text);
        return;
    }
    assert_int_equal(st, ST_OK);
    json *mine = json_parse(text.data, text.len, &json_default_limits, NULL, &e);
    const json *want = json_get(row, "request");
    size_t others = 0;
    for (const json *v = json_first(want); v != NULL; v = json_next(v)) {
        const char *key = json_key(v);
        bool other =
            strcmp(key, "model") == 0 || strcmp(key, "name") == 0 || strcmp(key, "from") == 0;
        others += other;
        if (!other) assert_true(same_json(v, json_get(mine, key)));
    }
    assert_int_equal(json_len(mine), json_len(want) - others);
    json_free(mine);
    buf_free(&text);
}

static void check_printed(const json *row, const struct modelfile *m) {
    struct buf text = {0};
    struct modelfile again;
    bool round_trips = true;
    struct err e;
    modelfile_print(&text, m);
    assert_string_equal(text.data, member(row, "printed"));
    json_bool(json_get(row, "round_trips"), &round_trips);
    enum status st = modelfile_parse(&again, text.data, text.len, &e);
    if (round_trips) {
        assert_int_equal(st, ST_OK);
        check_commands(json_get(row, "commands"), &again);
    }
    modelfile_free(&again);
    buf_free(&text);
}

static unsigned quirks;

static void check_row(const json *row) {
    const char *base64 = member(row, "file_base64");
    char *bytes = malloc(strlen(base64) + 1);
    size_t len = decode_base64(base64, bytes);
    struct modelfile m;
    struct err e = {0};
    enum status st = modelfile_parse(&m, bytes, len, &e);
    const char *error = json_string(json_get(row, "error"));
    bool quirk = *member(row, "quirk") != '\0' && strcmp(member(row, "id"), "nul") != 0;
    quirks += quirk;
    if (error != NULL) {
        assert_int_equal(st, ST_FORMAT);
        assert_string_equal(e.msg, error);
    } else {
        assert_int_equal(st, ST_OK);
        if (!quirk) check_commands(json_get(row, "commands"), &m);
        if (!quirk) check_printed(row, &m);
        if (!quirk) check_request(row, &m);
    }
    modelfile_free(&m);
    free(bytes);
}

static void goldens(void **state UNUSED) {
    assert_int_equal(golden_rows("golden/modelfile/cases.jsonl", check_row), 154);
    assert_int_equal(quirks, 3); /* rows where the reference drops characters: see below */
}

/* ---- our own rows ---- */

static const char *value_of(const char *text, enum modelfile_kind kind, char out[256]) {
    struct modelfile m;
    struct err e;
    assert_int_equal(modelfile_parse(&m, text, strlen(text), &e), ST_OK);
    snprintf(out, 256, "%s", modelfile_last(&m, kind)->value);
    modelfile_free(&m);
    return out;
}

static void keeps_characters(void **state UNUSED) {
    char v[256];
    const char *text = "FROM a\nSYSTEM a\x01\x1B[0m\xC2\xA0\xE2\x80\x8B\xE2\x80\x8D\xE2\x80\xA8z\n";
    assert_string_equal(value_of(text, MODELFILE_SYSTEM, v),
                        "a\x01\x1B[0m\xC2\xA0\xE2\x80\x8B\xE2\x80\x8D\xE2\x80\xA8z");
}

/* Blank lines in an open quote: one question per line, each in constant time. */
static void many_lines(void **state UNUSED) {
    struct buf b = {0};
    buf_str(&b, "FROM a\nSYSTEM \"\"\"");
    for (int i = 0; i < 2000000; i++) buf_chr(&b, '\n');
    struct modelfile m;
    struct err e;
    assert_int_equal(modelfile_parse(&m, b.data, b.len, &e), ST_FORMAT);
    assert_string_equal(e.msg, "unexpected EOF");
    buf_str(&b, "x\"\"\"\n");
    assert_int_equal(modelfile_parse(&m, b.data, b.len, &e), ST_OK);
    assert_int_equal(m.commands[1].len, 2000001);
    modelfile_free(&m);
    buf_free(&b);
}

static void limits(void **state UNUSED) {
    struct buf b = {0};
    struct modelfile m;
    struct err e;
    for (int i = 0; i <= MODELFILE_MAX_COMMANDS; i++) buf_str(&b, "FROM a\n");
    assert_int_equal(modelfile_parse(&m, b.data, b.len, &e), ST_LIMIT);
    buf_free(&b);
}

static void utf16_oddities(void **state UNUSED) {
    static const char text[] = "\xFF\xFE"
                               "F\0R\0O\0M\0 \0\x3D\xD8x\0\x00\xDE\n";
    struct modelfile m;
    struct err e;
    assert_int_equal(modelfile_parse(&m, text, sizeof text - 1, &e), ST_OK);
    assert_string_equal(m.commands[0].value, "\xEF\xBF\xBDx\xEF\xBF\xBD\xEF\xBF\xBD");
    modelfile_free(&m);
}

static void prints_numbers(void **state UNUSED) {
    static const struct {
        double v;
        const char *text;
    } rows[] = {{0, "0"},
                {4096, "4096"},
                {131072, "131072"},
                {1000000, "1e+06"},
                {2097152, "2.097152e+06"},
                {0.5, "0.5"},
                {1e-05, "1e-05"},
                {0.0001, "0.0001"},
                {-1.25, "-1.25"},
                {1e100, "1e+100"},
                {0.1, "0.1"},
                {999999.5, "999999.5"},
                {1.0 / 3, "0.3333333333333333"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buf b = {0};
        modelfile_put_number(&b, rows[i].v);
        assert_string_equal(b.data, rows[i].text);
        buf_free(&b);
    }
}

static void prints_params(void **state UNUSED) {
    static const char text[] =
        "{\"stop\":[\" a\",\"b\"],\"temperature\":1000000,\"num_ctx\":1000000,"
        "\"use_mmap\":true,\"own\":2000000,\"x\":null,\"top_p\":0.9}";
    struct buf b = {0};
    struct err e;
    json *v = json_parse(text, strlen(text), &json_default_limits, NULL, &e);
    modelfile_put_params(&b, v);
    assert_string_equal(b.data, "PARAMETER num_ctx 1000000\nPARAMETER own 2000000\n"
                                "PARAMETER stop \" a\"\nPARAMETER stop b\n"
                                "PARAMETER temperature 1e+06\nPARAMETER top_p 0.9\n"
                                "PARAMETER use_mmap true\nPARAMETER x <nil>\n");
    json_free(v);
    buf_free(&b);
}

static void parameter_error(const char *line, const char *message) {
    struct buf text = {0}, out = {0};
    struct modelfile m;
    struct err e = {0};
    buf_printf(&text, "FROM a\nPARAMETER %s\n", line);
    assert_int_equal(modelfile_parse(&m, text.data, text.len, &e), ST_OK);
    enum status st = modelfile_put_parameters(&out, &m, NULL, NULL, &e);
    if (message == NULL)
        assert_int_equal(st, ST_OK);
    else
        assert_string_equal(e.msg, message);
    modelfile_free(&m);
    buf_free(&text);
    buf_free(&out);
}

static void parameter_types(void **state UNUSED) {
    parameter_error("top_p 0x1_0p-4", NULL);
    parameter_error("top_p 0x_1p0", NULL);
    parameter_error("top_p 1e5", NULL);
    parameter_error("top_p .5", NULL);
    parameter_error("top_p 5.", NULL);
    parameter_error("top_p 1e-60", NULL);
    parameter_error("top_p 0x1", "invalid float value [0x1]");
    parameter_error("top_p _1", "invalid float value [_1]");
    parameter_error("top_p 1_", "invalid float value [1_]");
    parameter_error("top_p 1__0", "invalid float value [1__0]");
    parameter_error("top_p 1._5", "invalid float value [1._5]");
    parameter_error("top_p 1e", "invalid float value [1e]");
    parameter_error("top_p .", "invalid float value [.]");
    parameter_error("top_p 1e40", "invalid float value [1e40]");
    parameter_error("top_p +nan", "invalid float value [+nan]");
    parameter_error("top_p nan", "json: unsupported value: NaN");
    parameter_error("top_p -Infinity", "json: unsupported value: -Inf");
    parameter_error("num_ctx --1", "invalid int value [--1]");
    parameter_error("num_ctx 1_0", "invalid int value [1_0]");
    parameter_error("num_ctx -9223372036854775808", NULL);
    parameter_error("num_ctx 9223372036854775808", "invalid int value [9223372036854775808]");
    parameter_error("use_mmap yes", "invalid bool value [yes]");
    parameter_error("Seed 1", "unknown parameter 'Seed'");
}

static void count_warning(void *arg, const char *text) {
    assert_string_equal(text, "parameter mirostat is deprecated");
    ++*(int *)arg;
}

static void warnings(void **state UNUSED) {
    static const char text[] = "FROM a\nPARAMETER mirostat 2\n";
    struct modelfile m;
    struct err e;
    struct buf b = {0};
    int n = 0;
    assert_int_equal(modelfile_parse(&m, text, strlen(text), &e), ST_OK);
    assert_int_equal(modelfile_put_parameters(&b, &m, count_warning, &n, &e), ST_OK);
    assert_int_equal(n, 1);
    assert_int_equal(b.len, 0);
    modelfile_free(&m);
}

static void semver(void **state UNUSED) {
    static const char *const good[] = {"1", "v1", "0.14", "1.2.3", "1.2.3-rc.1+b.01", "1.0.0+5"};
    static const char *const bad[] = {"",         "v",      "1.",     "1-rc", "1.2-rc",  "01.0.0",
                                      "1.2.3-01", "1.2.3-", "1.2.3+", "V1",   "1.2.3.4", "a"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(modelfile_is_semver(good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) assert_false(modelfile_is_semver(bad[i]));
}

/* Every allocation is made to fail once; nothing may leak or crash. */
static void out_of_memory(void **state UNUSED) {
    static const char text[] = "FROM a\nSYSTEM \"x\ny\"\nPARAMETER stop z\nPARAMETER top_p 0.5\n"
                               "LICENSE l\nMESSAGE user hi\nREQUIRES v1.2.3\n";
    long live = mem_live();
    for (long n = 1;; n++) {
        struct modelfile m;
        struct buf b = {0};
        struct err e;
        mem_fail_at(n);
        enum status st = modelfile_parse(&m, text, strlen(text), &e);
        if (st == ST_OK) {
            buf_chr(&b, '{');
            st = modelfile_put_request(&b, &m, NULL, NULL, &e);
        }
        mem_fail_at(0);
        modelfile_free(&m);
        buf_free(&b);
        assert_int_equal(mem_live(), live);
        if (st == ST_OK) break;
        assert_int_equal(st, ST_NO_MEMORY);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(goldens),        cmocka_unit_test(keeps_characters),
        cmocka_unit_test(many_lines),     cmocka_unit_test(limits),
        cmocka_unit_test(utf16_oddities), cmocka_unit_test(prints_numbers),
        cmocka_unit_test(prints_params),  cmocka_unit_test(parameter_types),
        cmocka_unit_test(warnings),       cmocka_unit_test(semver),
        cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
