/* Tests of loading: a sound model, patched in memory into each kind of broken one, is refused with
 * a message that names the defect. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/os.h"
#include "engine/model.h"

static char *file;
static size_t file_size;

static int load_file(void **state) {
    (void)state;
    struct err e = {0};
    return os_file_read("golden/models/llama-base/model.gguf", 1 << 24, &file, &file_size, &e) ==
                   ST_OK
               ? 0
               : -1;
}

static int free_file(void **state) {
    (void)state;
    mem_free(file);
    return 0;
}

/* First place of `text` in the copy. */
static char *find(char *copy, const char *text) {
    size_t n = strlen(text);
    for (size_t i = 0; i + n <= file_size; i++)
        if (memcmp(copy + i, text, n) == 0) return copy + i;
    fail_msg("'%s' is not in the file", text);
    return NULL;
}

/* Loads the patched copy; the message must contain `want` (NULL: must load). */
static void expect(char *copy, const char *want) {
    struct device dev;
    struct gguf *g;
    struct model *m = NULL;
    struct err e = {0};
    const long live = mem_live();
    assert_int_equal(device_open(&dev, "ref", &(struct device_params){0}, &e), ST_OK);
    if (gguf_open_memory(&g, copy, file_size, "test.gguf", &e) != ST_OK) fail_msg("%s", e.msg);
    enum status st = model_load(&m, g, &dev, &e);
    if (want == NULL) {
        assert_int_equal(st, ST_OK);
        model_free(m);
    } else {
        assert_int_not_equal(st, ST_OK);
        if (strstr(e.msg, want) == NULL) fail_msg("'%s' does not contain '%s'", e.msg, want);
        assert_non_null(strstr(e.msg, "test.gguf: "));
    }
    device_close(&dev);
    assert_int_equal(mem_live(), live);
}

static char *copy_of_file(void) {
    char *copy = mem_alloc(file_size);
    assert_non_null(copy);
    return memcpy(copy, file, file_size);
}

static void patch_text(const char *from, const char *to, const char *want) {
    char *copy = copy_of_file();
    assert_int_equal(strlen(from), strlen(to));
    memcpy(find(copy, from), to, strlen(to));
    expect(copy, want);
    mem_free(copy);
}

/* Replaces the 4-byte value behind a key and its type. */
static void patch_u32(const char *key, uint32_t value, const char *want) {
    char *copy = copy_of_file();
    memcpy(find(copy, key) + strlen(key) + 4, &value, 4);
    expect(copy, want);
    mem_free(copy);
}

static void test_sound(void **state) {
    (void)state;
    char *copy = copy_of_file();
    expect(copy, NULL);
    mem_free(copy);
}

static void test_unknown_architecture(void **state) {
    (void)state;
    char *copy = copy_of_file(), *key = find(copy, "general.architecture");
    memcpy(key + strlen("general.architecture") + 12, "lamma", 5);
    expect(copy, "unknown model architecture: 'lamma'");
    mem_free(copy);
}

static void test_missing_and_misshapen_tensors(void **state) {
    (void)state;
    patch_text("blk.1.attn_k.weight", "blk.1.attn_X.weight",
               "missing tensor 'blk.1.attn_k.weight'");
    patch_text("output_norm.weight", "output_morn.weight", "missing tensor 'output_norm.weight'");
}

static void test_missing_and_senseless_keys(void **state) {
    (void)state;
    patch_text("llama.embedding_length", "llama.embedding_lenghh",
               "key not found in model: llama.embedding_length");
    patch_text("llama.context_length", "llama.context_lenghh",
               "key not found in model: llama.context_length");
    patch_u32("llama.block_count", 0, "block_count is 0");
    patch_u32("llama.block_count", 100000, "block_count is 100000");
    patch_u32("llama.block_count", 3 + 60, "missing tensor");
    patch_u32("llama.attention.head_count", 0, "llama.attention.head_count is 0");
    patch_u32("llama.attention.head_count", 0xFFFFFFFFu,
              "llama.attention.head_count is 4294967295");
    patch_u32("llama.embedding_length", 0x7FFFFFFF, "embedding_length");
    patch_u32("llama.feed_forward_length", 96 * 1024, "wrong shape");
    patch_u32("llama.feed_forward_length", 0, "feed_forward_length");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sound),
        cmocka_unit_test(test_unknown_architecture),
        cmocka_unit_test(test_missing_and_misshapen_tensors),
        cmocka_unit_test(test_missing_and_senseless_keys),
    };
    return cmocka_run_group_tests(tests, load_file, free_file);
}
