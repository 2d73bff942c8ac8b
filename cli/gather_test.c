/* gather_test.c - the files that a Modelfile names. */
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
#include "cli/gather.h"

static char dir[64];

static const char *in_dir(const char *name) {
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

static void put(const char *name, const char *text) {
    assert_int_equal(os_file_write_atomic(in_dir(name), text, strlen(text), NULL), ST_OK);
}

static int make_dir(void **state) {
    (void)state;
    strcpy(dir, "/tmp/cria-gather-XXXXXX");
    if (mkdtemp(dir) == NULL) return -1;
    put("a.gguf", "GGUF");
    put("draft.gguf", "GGUF2");
    mkdir(in_dir("st"), 0755);
    put("st/model-1.safetensors", "1");
    put("st/model-2.safetensors", "22");
    put("st/config.json", "{}");
    put("st/notes.txt", "not a part");
    mkdir(in_dir("empty"), 0755);
    mkdir(in_dir("bad"), 0755);
    return symlink("/etc/hostname", in_dir("bad/model.safetensors"));
}

static int remove_dir(void **state) {
    char command[128];
    (void)state;
    snprintf(command, sizeof command, "rm -r '%s'", dir);
    return system(command);
}

static enum status gather(struct gather *g, const char *text, struct err *e) {
    struct modelfile m;
    assert_int_equal(modelfile_parse(&m, text, strlen(text), e), ST_OK);
    enum status st = gather_modelfile(g, &m, dir, e);
    modelfile_free(&m);
    return st;
}

static void test_name(void **state) {
    struct gather g;
    (void)state;
    assert_int_equal(gather(&g, "FROM llama3:8b\n", NULL), ST_OK);
    assert_string_equal(g.from, "llama3:8b");
    assert_int_equal(g.n_files, 0);
    gather_free(&g);
}

static void test_file(void **state) {
    struct gather g;
    (void)state;
    assert_int_equal(gather(&g, "FROM ./a.gguf\nDRAFT draft.gguf\n", NULL), ST_OK);
    assert_null(g.from);
    assert_int_equal(g.n_files, 2);
    assert_string_equal(g.files[0].name, "a.gguf");
    assert_int_equal(g.files[1].kind, GATHER_DRAFTS);
    assert_int_equal(g.files[1].size, 5);
    gather_free(&g);
}

static void test_directory(void **state) {
    struct gather g;
    (void)state;
    assert_int_equal(gather(&g, "FROM st\n", NULL), ST_OK);
    assert_int_equal(g.n_files, 3);
    assert_string_equal(g.files[0].name, "model-1.safetensors");
    assert_string_equal(g.files[2].name, "config.json");
    gather_free(&g);
}

static void test_errors(void **state) {
    struct gather g;
    struct err e = {0};
    char want[256];
    (void)state;
    assert_int_not_equal(gather(&g, "FROM empty\n", &e), ST_OK);
    assert_string_equal(e.msg, "no Modelfile or safetensors files found");
    assert_int_not_equal(gather(&g, "FROM bad\n", &e), ST_OK);
    snprintf(want, sizeof want, "insecure path: %s", in_dir("bad/model.safetensors"));
    assert_string_equal(e.msg, want);
    assert_int_equal(gather(&g, "FROM x\nADAPTER nothing\n", &e), ST_NOT_FOUND);
    snprintf(want, sizeof want, "stat %s: no such file or directory", in_dir("nothing"));
    assert_string_equal(e.msg, want);
    assert_int_not_equal(gather(&g, "FROM ~nobody-by-that-name/x\n", &e), ST_OK);
    assert_non_null(strstr(e.msg, "failed to find user 'nobody-by-that-name'"));
    assert_int_not_equal(gather(&g, "FROM a.gguf\nDRAFT ./a.gguf\n", &e), ST_OK);
    assert_string_equal(e.msg, "DRAFT must not reference the same local path as FROM: ./a.gguf");
    assert_int_equal(mem_live(), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_name), cmocka_unit_test(test_file),
                                       cmocka_unit_test(test_directory),
                                       cmocka_unit_test(test_errors)};
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
