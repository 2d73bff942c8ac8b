/* Tests of recording and sealing: live ranges, scratch memory, slices, the print. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"
#include "engine/program.h"

static float data[64];
static struct tensor matrix(const char *name, int64_t in, int64_t out) {
    struct tensor t = {.name = name, .data = data};
    tensor_shape(&t, DT_F32, (const int64_t[4]){in, out, 1, 1});
    return t;
}

static bool lives_together(const struct value *a, const struct value *b) {
    return a->first <= b->last && b->first <= a->last;
}

/* A chain of n products of one width. */
static val record_chain(struct recorder *r, struct tensor *w, int n) {
    val x = p_embed(r, "h", w, EMBED_TOKENS, 1);
    for (int i = 0; i < n; i++) x = p_linear1(r, "x", x, (struct weight){w, NULL});
    return x;
}

static void test_values_that_live_together_do_not_overlap(void **state) {
    (void)state;
    struct program g = {0};
    struct recorder r = {.prog = &g, .layer = LAYER_NONE};
    struct tensor w = matrix("blk.0.w.weight", 8, 8);
    val h = p_embed(&r, "h", &w, EMBED_TOKENS, 1), q[3];
    p_linear(&r, h, 3, (const struct weight[]){{&w, NULL}, {&w, NULL}, {&w, NULL}},
             (const char *const[]){"a", "b", "c"}, q);
    val sum = p_add(&r, "sum", p_add(&r, "ab", q[0], q[1]), q[2]);
    val out = p_rows(&r, "out", p_add(&r, "h", h, sum));
    assert_int_equal(program_seal(&r, out, (const uint32_t[]){5, 2}, NULL), ST_OK);
    for (uint32_t i = 0; i < g.n_vals; i++) {
        const struct value *a = &g.vals[i];
        size_t a_end = a->off + (size_t)a->pitch * 4 * g.max_rows[a->rows];
        assert_true(a_end <= g.scratch && a->off % 64 == 0);
        for (uint32_t j = 0; j < i; j++) {
            const struct value *b = &g.vals[j];
            size_t b_end = b->off + (size_t)b->pitch * 4 * g.max_rows[b->rows];
            if (lives_together(a, b)) assert_true(a_end <= b->off || b_end <= a->off);
        }
    }
    program_free(&g);
}

static void test_a_chain_needs_two_places(void **state) {
    (void)state;
    struct program g = {0};
    struct recorder r = {.prog = &g, .layer = LAYER_NONE};
    struct tensor w = matrix("w", 16, 16);
    val out = p_rows(&r, "out", record_chain(&r, &w, 20));
    assert_int_equal(program_seal(&r, out, (const uint32_t[]){1, 1}, NULL), ST_OK);
    assert_int_equal(g.scratch, 2 * 16 * sizeof(float));
    program_free(&g);
}

static void test_a_slice_keeps_its_parent_alive(void **state) {
    (void)state;
    struct program g = {0};
    struct recorder r = {.prog = &g, .layer = LAYER_NONE};
    struct tensor w = matrix("w", 16, 16), wide = matrix("wide", 16, 48);
    val x =
        p_linear1(&r, "qkv", p_embed(&r, "h", &w, EMBED_TOKENS, 1), (struct weight){&wide, NULL});
    val k = p_slice(&r, "k", x, 16, 16);
    val y = record_chain(&r, &w, 3);
    val out = p_rows(&r, "out", p_add(&r, "s", y, k));
    assert_int_equal(program_seal(&r, out, (const uint32_t[]){3, 1}, NULL), ST_OK);
    assert_int_equal(g.vals[k].off, g.vals[x].off + 16 * sizeof(float));
    assert_int_equal(g.vals[k].pitch, g.vals[x].pitch);
    assert_true(g.vals[x].last >= g.vals[y].first);
    program_free(&g);
}

static void test_no_memory_is_reported_by_seal(void **state) {
    (void)state;
    struct tensor w = matrix("w", 16, 16);
    for (long n = 1;; n++) {
        struct program g = {0};
        struct recorder r = {.prog = &g, .layer = LAYER_NONE};
        struct err e = {0};
        long live = mem_live();
        mem_fail_at(n);
        val out = p_rows(&r, "out", record_chain(&r, &w, 200));
        enum status st = program_seal(&r, out, (const uint32_t[]){1, 1}, &e);
        mem_fail_at(0);
        program_free(&g);
        assert_int_equal(mem_live(), live);
        if (st == ST_OK) break;
        assert_int_equal(st, ST_NO_MEMORY);
    }
}

static void test_print_names_values_weights_and_layers(void **state) {
    (void)state;
    struct program g = {0};
    struct recorder r = {.prog = &g, .layer = LAYER_NONE};
    struct tensor w = matrix("blk.3.attn_q.weight", 16, 16);
    struct buf b = {0};
    val h = p_embed(&r, "h", &w, EMBED_TOKENS, 1);
    r.layer = 3;
    val q = p_linear1(&r, "q", h, (struct weight){&w, NULL});
    r.layer = LAYER_NONE;
    val out = p_rows(&r, "out", q);
    assert_int_equal(program_seal(&r, out, (const uint32_t[]){1, 1}, NULL), ST_OK);
    program_print(&g, &b);
    assert_non_null(strstr(b.data, "layer 3\n    1  q@1:16 = linear(h@0)  attn_q {16,16} F32\n"));
    assert_non_null(strstr(b.data, "end\n    2  out@2:16 = rows(q@1)\nresult out@2:16\n"));
    buf_free(&b);
    program_free(&g);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_that_live_together_do_not_overlap),
        cmocka_unit_test(test_a_chain_needs_two_places),
        cmocka_unit_test(test_a_slice_keeps_its_parent_alive),
        cmocka_unit_test(test_no_memory_is_reported_by_seal),
        cmocka_unit_test(test_print_names_values_weights_and_layers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
