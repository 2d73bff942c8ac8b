/* name_test.c - names against golden/store/names.jsonl, and what the goldens leave out. */
#include "store/name.h"

#include "store/testing.h"

static void check_reference(const json *row, const char *input) {
    struct buf base = {0}, pull = {0};
    struct err e = {0};
    enum name_source source = NAME_SOURCE_NONE;
    static const char *const texts[] = {"", "local", "cloud"};
    enum status st = name_split_source(input, &base, &source, &e);
    const char *error = json_string(json_get(row, "ref_error"));
    if (error != NULL) {
        assert_int_equal(st, ST_INVALID);
        assert_string_equal(e.msg, error);
    } else {
        assert_int_equal(st, ST_OK);
        assert_string_equal(base.data, member(row, "ref_base"));
        assert_string_equal(texts[source], member(row, "ref_source"));
    }
    const char *pull_name = json_string(json_get(row, "pull_name"));
    if (pull_name != NULL) {
        assert_int_equal(name_pull_text(input, &pull, &e), ST_OK);
        assert_string_equal(pull.data, pull_name);
    }
    buf_free(&base);
    buf_free(&pull);
}

static void check_row(const json *row) {
    struct model_name n, again;
    char text[NAME_TEXT_MAX];
    bool valid = false, ref_only = false;
    size_t len;
    const char *input = json_string_n(json_get(row, "input"), &len);
    json_bool(json_get(row, "ref_only"), &ref_only);
    if (strlen(input) == len) check_reference(row, input);
    if (ref_only) return;
    json_bool(json_get(row, "valid"), &valid);
    assert_int_equal(name_parse_n(&n, input, len), valid);
    if (strlen(input) != len) return; /* a NUL: our texts cannot show it */
    assert_string_equal(n.host, member(row, "host"));
    assert_string_equal(n.namespace, member(row, "namespace"));
    assert_string_equal(n.model, member(row, "model"));
    assert_string_equal(n.tag, member(row, "tag"));
    assert_string_equal(n.scheme, member(row, "scheme"));
    name_full(&n, text);
    assert_string_equal(text, member(row, "string"));
    name_shortest(&n, text);
    assert_string_equal(text, member(row, "display_shortest"));
    if (!valid) return;
    name_path(&n, text);
    assert_string_equal(text, member(row, "filepath"));
    assert_true(name_from_path(&again, text));
    assert_true(name_equal(&n, &again));
}

static void goldens(void **state UNUSED) {
    assert_int_equal(golden_rows("golden/store/names.jsonl", check_row), 62);
}

static void from_path(void **state UNUSED) {
    struct model_name n;
    assert_true(name_from_path(&n, "h:1/n/m/t"));
    assert_string_equal(n.host, "h:1");
    assert_false(name_from_path(&n, "h/n/m"));
    assert_false(name_from_path(&n, "h/n/m/t/x"));
    assert_false(name_from_path(&n, "h/../m/t"));
    assert_false(name_from_path(&n, "h/n/m/"));
    assert_false(name_from_path(&n, "h/n/m/.tmp-1"));
}

static void references(void **state UNUSED) {
    struct model_name n;
    struct err e;
    enum name_source source;
    assert_int_equal(name_parse_ref(&n, "\xC2\xA0 Child:8b:LOCAL\n", &source, &e), ST_OK);
    assert_string_equal(n.tag, "8b");
    assert_int_equal(source, NAME_SOURCE_LOCAL);
    assert_int_equal(name_parse_ref(&n, "-x", NULL, &e), ST_INVALID);
    assert_string_equal(e.msg, "invalid model name");
    assert_int_equal(name_parse_ref(&n, " \t", NULL, &e), ST_INVALID);
    assert_string_equal(e.msg, "model is required");
    struct buf b = {0};
    assert_int_equal(name_pull_text("x:20b:cloud", &b, &e), ST_OK);
    assert_string_equal(b.data, "x:20b-cloud");
    buf_free(&b);
}

static void equal_ignores_case(void **state UNUSED) {
    struct model_name a, b;
    name_parse(&a, "NS/Model:Tag");
    name_parse(&b, "registry.OLLAMA.ai/ns/mODEL:tAG");
    assert_true(name_equal(&a, &b));
    name_parse(&b, "ns/model2:tag");
    assert_false(name_equal(&a, &b));
}

/* Whatever the bytes are: no crash, and a valid name can leave its folder in no way. */
static void random_texts(void **state UNUSED) {
    static const char alphabet[] = "aZ0_-./:@ \\\xC3\xA4%";
    unsigned seed = 1;
    for (int i = 0; i < 200000; i++) {
        char text[24], path[NAME_TEXT_MAX];
        size_t len = 0;
        for (; len < sizeof text - 1; len++) {
            seed = seed * 1664525u + 1013904223u;
            if ((seed >> 16) % 12 == 0) break;
            text[len] = alphabet[(seed >> 20) % (sizeof alphabet - 1)];
        }
        text[len] = '\0';
        struct model_name n;
        if (!name_parse_n(&n, text, len)) continue;
        name_path(&n, path);
        assert_null(strstr(path, "//"));
        assert_null(strstr(path, "/."));
        assert_true(path[0] != '/' && path[0] != '.');
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(goldens),      cmocka_unit_test(from_path),
        cmocka_unit_test(references),   cmocka_unit_test(equal_ignores_case),
        cmocka_unit_test(random_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
