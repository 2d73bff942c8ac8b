/* gguf_split_test.c - a model cut into parts is the same model; every way in which a set can be
 * wrong is told; nothing leaks when an allocation fails. */
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
#include "engine/cria.h"
#include "engine/file/gguf_write.h"

static const char model[] = "golden/models/llama-base/model.gguf";
static char dir[] = "/tmp/cria-split-XXXXXX";
static char path_text[256];
enum { N_LOGITS = 1 << 18 };

static const char *part_path(unsigned part, unsigned count) {
    snprintf(path_text, sizeof path_text, "%s/m-%05u-of-%05u.gguf", dir, part, count);
    return path_text;
}

struct plan { /* how the parts are written; zeroed: right */
    unsigned skip, wrong_no, extra, count_type, no_count, from_key;
};

static void put_split(struct gguf_writer *w, const struct plan *p, unsigned no, unsigned count,
                      int32_t n_tensors) {
    uint16_t u16 = (uint16_t)(no + (no == 1 ? p->wrong_no : 0)), n = (uint16_t)count;
    uint32_t n32 = count;
    gguf_put_scalar(w, "split.no", GGUF_U16, &u16);
    if (p->count_type != 0)
        gguf_put_scalar(w, "split.count", GGUF_U32, &n32);
    else
        gguf_put_scalar(w, "split.count", GGUF_U16, &n);
    if (!p->no_count) gguf_put_scalar(w, "split.tensors.count", GGUF_I32, &n_tensors);
}

/* Writes tensor i of g into part i mod count. */
static void write_part(const struct gguf *g, const struct plan *p, unsigned no, unsigned count) {
    struct gguf_writer *w;
    struct err e = {0};
    const size_t n = gguf_n_tensors(g);
    assert_int_equal(gguf_writer_new(&w, NULL), ST_OK);
    if (no == 0) gguf_put_all(w, g);
    put_split(w, p, no, count, (int32_t)(n + p->extra));
    for (int data = 0; data < 2; data++) {
        for (size_t i = 0; i < n; i++) {
            const struct gguf_tensor *t = gguf_tensor_at(g, i);
            if (i % count != no && !(i == 0 && no == 1 && p->from_key != 0)) continue;
            if (data != 0)
                assert_int_equal(gguf_write_data(w, t->data, t->size, NULL), ST_OK);
            else
                gguf_add_tensor(w, t->name, t->type, t->n_dims, t->dim);
        }
        if (data == 0 && gguf_write_file(w, part_path(no + 1, count), &e) != ST_OK)
            fail_msg("%s", e.msg);
    }
    assert_int_equal(gguf_write_finish(w, NULL), ST_OK);
    gguf_writer_free(w);
}

static void write_set(const struct plan *p, unsigned count) {
    struct gguf *g = NULL;
    assert_int_equal(gguf_open(&g, model, NULL), ST_OK);
    for (unsigned no = 0; no < count; no++)
        if (no == 0 || no != p->skip) write_part(g, p, no, count);
    gguf_close(g);
}

static void remove_set(unsigned count) {
    for (unsigned i = 1; i <= count; i++) unlink(part_path(i, count));
}

static void test_same_tensors(void **state) {
    (void)state;
    struct gguf *g = NULL, *whole = NULL;
    struct err e = {0};
    write_set(&(struct plan){0}, 3);
    if (gguf_open_set(&g, part_path(1, 3), &e) != ST_OK) fail_msg("%s", e.msg);
    assert_int_equal(gguf_open_set(&whole, model, &e), ST_OK); /* not split: as gguf_open */
    assert_int_equal(gguf_n_tensors(g), gguf_n_tensors(whole));
    assert_int_equal(gguf_parameter_count(g), gguf_parameter_count(whole));
    for (size_t i = 0; i < gguf_n_tensors(whole); i++) {
        const struct gguf_tensor *a = gguf_tensor_at(whole, i);
        char name[64] = "";
        memcpy(name, a->name.ptr, a->name.len);
        const struct gguf_tensor *b = gguf_find_tensor(g, name);
        assert_non_null(b);
        assert_int_equal(a->size, b->size);
        assert_memory_equal(a->data, b->data, a->size);
    }
    gguf_close(whole);
    gguf_close(g);
    remove_set(3);
}

static void eval(const char *path, float *logits) {
    struct cria_engine_params p = cria_engine_default_params();
    struct cria_engine *eng = NULL;
    struct cria_timeline *tl = NULL;
    struct err e = {0};
    const token_id ids[] = {1, 5, 9};
    p.backend = "ref";
    p.n_threads = 1;
    if (cria_engine_open(&eng, path, &p, &e) != ST_OK) fail_msg("%s", e.msg);
    assert_int_equal(cria_timeline_open(&tl, eng, NULL), ST_OK);
    assert_true(cria_engine_info(eng)->n_output <= N_LOGITS);
    assert_int_equal(cria_timeline_eval(tl, ids, 3, 1, logits, NULL), ST_OK);
    cria_timeline_close(tl);
    cria_engine_close(eng);
}

static void test_same_logits(void **state) {
    (void)state;
    static float a[N_LOGITS], b[N_LOGITS];
    write_set(&(struct plan){0}, 2);
    eval(model, a);
    eval(part_path(1, 2), b);
    assert_memory_equal(a, b, sizeof a);
    remove_set(2);
}

static void refused(struct plan p, const char *path, const char *text) {
    struct gguf *g = NULL;
    struct err e = {0};
    long live = mem_live();
    write_set(&p, 2);
    enum status st = gguf_open_set(&g, path != NULL ? path : part_path(1, 2), &e);
    assert_int_not_equal(st, ST_OK);
    assert_null(g);
    assert_string_equal(gguf_error_class(), "split");
    if (strstr(e.msg, text) == NULL) fail_msg("\"%s\", expected \"%s\"", e.msg, text);
    assert_int_equal(mem_live(), live);
    remove_set(2);
}

static void test_defects(void **state) {
    (void)state;
    char second[256], renamed[256];
    snprintf(second, sizeof second, "%s", part_path(2, 2));
    refused((struct plan){0}, second, "model must be loaded with the first split");
    refused((struct plan){.skip = 1}, NULL, "failed to load GGUF split from");
    refused((struct plan){.wrong_no = 4}, NULL, "invalid split file idx: 5 (file: ");
    refused((struct plan){.extra = 3}, NULL, "tensors expected but");
    refused((struct plan){.count_type = 1}, NULL, "wrong type u32 but expected type u16");
    refused((struct plan){.from_key = 1}, NULL, "is duplicated");
    struct gguf *g = NULL;
    write_set(&(struct plan){.no_count = 1}, 2); /* split.tensors.count may be missing */
    assert_int_equal(gguf_open_set(&g, part_path(1, 2), NULL), ST_OK);
    gguf_close(g);
    snprintf(renamed, sizeof renamed, "%s/other.gguf", dir);
    char first[256];
    snprintf(first, sizeof first, "%s", part_path(1, 2));
    assert_int_equal(rename(first, renamed), 0);
    struct err e = {0};
    assert_int_equal(gguf_open_set(&g, renamed, &e), ST_FORMAT);
    assert_non_null(strstr(e.msg, "invalid split file name: "));
    unlink(renamed);
    remove_set(2);
}

static void test_faults(void **state) {
    (void)state;
    write_set(&(struct plan){0}, 3);
    const long live = mem_live();
    for (long n = 1;; n++) {
        struct gguf *g = NULL;
        mem_fail_at(n);
        enum status st = gguf_open_set(&g, part_path(1, 3), NULL);
        mem_fail_at(0);
        gguf_close(g);
        assert_int_equal(mem_live(), live);
        if (st == ST_OK) break;
        assert_int_equal(st, ST_NO_MEMORY);
        assert_true(n < 1000);
    }
    remove_set(3);
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
        cmocka_unit_test(test_same_tensors),
        cmocka_unit_test(test_same_logits),
        cmocka_unit_test(test_defects),
        cmocka_unit_test(test_faults),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
