/* cmd_quantize_test.c - `cria quantize` and `cria imatrix` from the command line's words to the
 * files: what is written, and what is refused with which text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/os.h"
#include "cli/cli.h"
#include "engine/file/gguf.h"
#include "engine/quantize/imatrix.h"

static const char model[] = "golden/models/llama-f16/model.gguf";
static char dir[] = "/tmp/cria-cmd-quantize-XXXXXX";

static const char *in_dir(const char *name) {
    static char text[4][256];
    static unsigned next;
    char *out = text[next++ % 4];
    snprintf(out, sizeof text[0], "%s/%s", dir, name);
    return out;
}

/* Runs a command with words up to NULL. What it prints goes to /dev/null. */
static enum status run(enum command_id id, const char *const *words, struct err *e) {
    struct args a;
    int n = 0;
    while (words[n] != NULL) n++;
    fflush(stdout);
    const int out = dup(1), err = dup(2);
    FILE *null = fopen("/dev/null", "w");
    dup2(fileno(null), 1);
    dup2(fileno(null), 2);
    enum status st = args_parse(&a, &cli_commands[id], n, (char *const *)(uintptr_t)words, e);
    if (st == ST_OK) st = args_check_count(&a, e);
    if (st == ST_OK) st = cli_commands[id].run(&a, e);
    args_free(&a);
    fflush(stdout);
    dup2(out, 1);
    dup2(err, 2);
    close(out);
    close(err);
    fclose(null);
    return st;
}
#define RUN(id, e, ...) run(CMD_##id, (const char *const[]){__VA_ARGS__, NULL}, e)

static void written(const char *path, const char *name, enum dtype type, uint32_t file_type) {
    struct gguf *g = NULL;
    uint32_t v = 0;
    assert_int_equal(gguf_open(&g, path, NULL), ST_OK);
    assert_int_equal(gguf_find_tensor(g, name)->type, type);
    assert_int_equal(gguf_get_u32(g, "general.file_type", &v, NULL), ST_OK);
    assert_int_equal(v, file_type);
    gguf_close(g);
}

static void test_quantize(void **state) {
    (void)state;
    static const char q[] = "blk.0.attn_q.weight", o[] = "output.weight";
    struct err e = {0};
    const char *out = in_dir("q.gguf");
    if (RUN(quantize, &e, model, out, "q8_0") != ST_OK) fail_msg("%s", e.msg);
    written(out, q, DT_Q8_0, 7);
    assert_int_equal(RUN(quantize, &e, model, out, "7", "1", "--tensor-type", "attn_q=f32",
                         "--leave-output-tensor", "--override-kv", "x.y=int:-3"),
                     ST_OK);
    written(out, q, DT_F32, 7);
    written(out, o, DT_F16, 7);
    struct gguf *g = NULL;
    assert_int_equal(gguf_open(&g, out, NULL), ST_OK);
    assert_int_equal(gguf_elem_int(gguf_find(g, "x.y"), 0), 3);
    gguf_close(g);
    /* A dry run writes nothing. */
    assert_int_equal(RUN(quantize, &e, model, in_dir("none"), "bf16", "--dry-run"), ST_OK);
    assert_false(os_file_exists(in_dir("none")));
    unlink(out);
}

static void test_refusals(void **state) {
    (void)state;
    static const struct {
        const char *words[8], *text;
    } rows[] = {
        {{model, "x", "q9"}, "invalid quantization type 'q9'"},
        {{model, "x"}, "requires at least 3 arg(s), only received 2"},
        {{model, model, "q8_0"}, "input and output files are the same"},
        {{model, "x", "q8_0", "many"}, "'many' is no number of threads"},
        {{model, "x", "q8_0", "--tensor-type", "q8_0"}, "'q8_0' is not PATTERN=TYPE"},
        {{model, "x", "q8_0", "--tensor-type", "a=q9"}, "'q9' is no type that tensors can be"},
        {{model, "x", "q8_0", "--tensor-type", "(=f16"}, "tensor type pattern '(': "},
        {{model, "x", "q8_0", "--output-tensor-type", "i8"}, "output-tensor-type: 'i8' is no type"},
        {{model, "x", "q8_0", "--override-kv", "a=int:b"}, "'a=int:b' is not KEY=TYPE:VALUE"},
        {{model, "x", "q8_0", "--imatrix", model}, "imatrix.datasets"},
        {{"/nowhere.gguf", "x", "q8_0"}, "open /nowhere.gguf: no such file or directory"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct err e = {0};
        assert_int_not_equal(run(CMD_quantize, rows[i].words, &e), ST_OK);
        if (strstr(e.msg, rows[i].text) == NULL)
            fail_msg("\"%s\", expected \"%s\"", e.msg, rows[i].text);
    }
    assert_false(os_file_exists("x"));
}

static void test_imatrix(void **state) {
    (void)state;
    struct err e = {0};
    struct imatrix *m = NULL;
    const char *text = in_dir("text"), *im = in_dir("im.gguf"), *out = in_dir("q.gguf");
    char words[4096] = "";
    for (int i = 0; i < 60; i++) snprintf(words + strlen(words), 32, "a line with number %d\n", i);
    assert_int_equal(os_file_write_atomic(text, words, strlen(words), NULL), ST_OK);
    if (RUN(imatrix, &e, "-m", model, "-f", text, "-o", im, "-c", "16", "--chunks", "3",
            "--output-frequency", "1", "-t", "2") != ST_OK)
        fail_msg("%s", e.msg);
    assert_int_equal(imatrix_open(&m, im, NULL), ST_OK);
    assert_int_equal(imatrix_chunks(m), 3);
    assert_non_null(imatrix_find(m, (struct gguf_str){"blk.0.ffn_down.weight", 21}));
    assert_null(imatrix_find(m, (struct gguf_str){"output.weight", 13}));
    imatrix_close(m);
    assert_int_equal(RUN(imatrix, &e, "-m", model, "-f", text, "-o", im, "-c", "16", "--chunks",
                         "1", "--process-output"),
                     ST_OK);
    assert_int_equal(imatrix_open(&m, im, NULL), ST_OK);
    assert_non_null(imatrix_find(m, (struct gguf_str){"output.weight", 13}));
    imatrix_close(m);
    assert_int_equal(RUN(quantize, &e, model, out, "q8_0", "--imatrix", im), ST_OK);
    struct gguf *g = NULL;
    assert_int_equal(gguf_open(&g, out, NULL), ST_OK);
    assert_non_null(gguf_find(g, "quantize.imatrix.entries_count"));
    gguf_close(g);
    assert_int_equal(RUN(imatrix, &e, "-f", text, "-o", im), ST_INVALID);
    assert_int_equal(RUN(imatrix, &e, "-m", model, "-f", text), ST_INVALID);
    assert_int_equal(RUN(imatrix, &e, "-m", model, "-f", "/dev/null", "-o", im), ST_INVALID);
    unlink(text);
    unlink(im);
    unlink(out);
}

static int make_dir(void **state) {
    (void)state;
    return mkdtemp(dir) == NULL;
}

static int remove_dir(void **state) {
    (void)state;
    return rmdir(dir);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quantize),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_imatrix),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
