/* images_test.c - which words of a prompt are files, and what becomes of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/os.h"
#include "cli/images.h"

static char folder[] = "/tmp/cria-images-XXXXXX";
static const char png[] = "\x89PNG\r\n\x1a\n";

static void write_file(const char *name, const char *data, size_t n) {
    char path[300];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(os_file_write_atomic(path, data, n, NULL), ST_OK);
}

static int setup(void **state) {
    (void)state;
    if (mkdtemp(folder) == NULL || chdir(folder) != 0 || mkdir("dir", 0700) != 0) return 1;
    write_file("a.png", png, 8);
    write_file("b c(1).JPG", "\xFF\xD8\xFF\xE0", 4);
    write_file("dir/d.webp", "RIFF....WEBP", 12);
    write_file("s.wav", "RIFF....WAVE", 12);
    write_file("text.png", "no picture", 10);
    write_file("g.png", "GIF89a", 6);
    write_file("z.png", "\0\1\2", 3);
    return 0;
}

static int teardown(void **state) {
    static const char *const names[] = {"a.png",    "b c(1).JPG", "dir/d.webp", "s.wav",
                                        "text.png", "g.png",      "z.png"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) unlink(names[i]);
    rmdir("dir");
    return rmdir(folder);
}

static struct session with(const char *capability) {
    char text[200];
    struct session s = {0};
    snprintf(text, sizeof text, "{\"capabilities\":[\"completion\",\"%s\"]}", capability);
    s.shown = json_parse(text, strlen(text), &json_default_limits, NULL, NULL);
    return s;
}

static enum status take(const char *capability, const char *text, struct buf *prompt,
                        struct buf *list, struct err *e) {
    struct session s = with(capability);
    buf_str(prompt, text);
    enum status st = images_take(&s, prompt, list, e);
    json_free(s.shown);
    return st;
}

static void test_paths(void **state) {
    (void)state;
    static const char P[] = "\"iVBORw0KGgo=\"", J[] = "\"/9j/4A==\"";
    static const char W[] = "\"UklGRi4uLi5XRUJQ\"";
    char absolute[2][400];
    snprintf(absolute[0], sizeof absolute[0], "what is in %s/a.png ?", folder);
    snprintf(absolute[1], sizeof absolute[1], "'%s/a.png' what is it", folder);
    const struct {
        const char *text, *rest, *list[3];
    } row[] = {
        {"what is ./a.png", "what is", {P}},
        {absolute[0], "what is in  ?", {P}},
        {absolute[1], "what is it", {P}},
        {"./a.png", "", {P}},
        {"./b\\ c\\(1\\).JPG and \"./a.png\" differ", "and  differ", {J, P}},
        {"./b c(1).JPG", "", {J}},
        {"this and/or ./a.png", "this and/or", {P}},
        {"dir/d.webp twice: dir/d.webp", "twice:", {W, W}},
        {"see dir/../a.png.", "see .", {P}},
        {"./none.png stays", "./none.png stays", {NULL}},
        {"a.png is no path", "a.png is no path", {NULL}},
        {"./a.pngs", "./a.pngs", {NULL}},
        {"./a\n.png", "./a\n.png", {NULL}},
        {"/", "/", {NULL}},
        {"./", "./", {NULL}},
        {"/.png", "/.png", {NULL}},
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        struct buf prompt = {0}, list = {0}, want = {0};
        const long live = mem_live();
        assert_int_equal(take("vision", row[i].text, &prompt, &list, NULL), ST_OK);
        for (size_t k = 0; k < 3 && row[i].list[k] != NULL; k++)
            buf_printf(&want, "%s%s", k > 0 ? "," : "", row[i].list[k]);
        assert_string_equal(prompt.data == NULL ? "" : prompt.data, row[i].rest);
        assert_string_equal(list.data == NULL ? "" : list.data, want.data == NULL ? "" : want.data);
        buf_free(&prompt);
        buf_free(&list);
        buf_free(&want);
        assert_int_equal(mem_live(), live);
    }
}

static void test_models_without(void **state) {
    (void)state;
    struct buf prompt = {0}, list = {0};
    assert_int_equal(take("tools", "see ./a.png", &prompt, &list, NULL), ST_OK);
    assert_string_equal(prompt.data, "see ./a.png");
    assert_int_equal(list.len, 0);
    buf_free(&prompt);
}

static void test_types(void **state) {
    (void)state;
    static const struct {
        const char *text, *error;
    } row[] = {{"./text.png", "invalid file type: text/plain; charset=utf-8"},
               {"./g.png", "invalid file type: image/gif"},
               {"./z.png", "invalid file type: application/octet-stream"}};
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        struct buf prompt = {0}, list = {0};
        struct err e = {0};
        assert_int_equal(take("vision", row[i].text, &prompt, &list, &e), ST_INVALID);
        assert_string_equal(e.msg, row[i].error);
        buf_free(&prompt);
        buf_free(&list);
    }
    struct buf prompt = {0}, list = {0};
    assert_int_equal(take("audio", "./s.wav", &prompt, &list, NULL), ST_OK);
    assert_true(list.len > 0);
    buf_free(&prompt);
    buf_free(&list);
}

static void test_size(void **state) {
    (void)state;
    struct buf prompt = {0}, list = {0};
    struct err e = {0};
    write_file("z.png", png, 8);
    assert_int_equal(truncate("z.png", (100 << 20) + 1), 0);
    assert_int_equal(take("vision", "./z.png", &prompt, &list, &e), ST_LIMIT);
    assert_string_equal(e.msg, "file size exceeds maximum limit (100MB)");
    buf_free(&prompt);
    buf_free(&list);
}

static void test_begin(void **state) {
    (void)state;
    assert_true(images_begin("/tmp/a.png what is it"));
    assert_true(images_begin("./x.jpeg"));
    assert_true(images_begin("C:\\x.WEBP"));
    assert_false(images_begin("/show info"));
    assert_false(images_begin("/bye"));
    assert_false(images_begin(""));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths), cmocka_unit_test(test_models_without),
        cmocka_unit_test(test_types), cmocka_unit_test(test_size), cmocka_unit_test(test_begin)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
