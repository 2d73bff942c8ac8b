/* Tests of the paged cache: pages are counted, shared by forks, copied where both would write. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "engine/kv.h"

enum { N_CTX = 4 * KV_PAGE, N_SEQS = 4, N_LAYER = 2 };

struct fixture {
    struct device dev;
    struct layer layers[N_LAYER];
    struct model m;
    struct kv *kv;
};

static void open_kv(struct fixture *f, uint32_t n_active) {
    struct err e = {0};
    memset(f, 0, sizeof *f);
    assert_int_equal(device_open(&f->dev, "ref", &(struct device_params){0}, &e), ST_OK);
    f->m.dev = &f->dev;
    f->m.layers = f->layers;
    f->m.hp = (struct hparams){.n_layer = N_LAYER};
    for (uint32_t il = 0; il < N_LAYER; il++)
        f->layers[il] =
            (struct layer){.n_head_kv = 2, .kv_layer = il, .kv_dim_k = 4, .kv_dim_v = 4};
    if (kv_open(&f->kv, &f->m, N_CTX, n_active, N_SEQS, DT_F32, &e) != ST_OK) fail_msg("%s", e.msg);
}

static void close_kv(struct fixture *f) {
    kv_close(f->kv);
    device_close(&f->dev);
}

static float *cell(const struct fixture *f, int layer, uint32_t seq, uint32_t index,
                   uint32_t head) {
    const struct tensor *k = &f->kv->cache.k[layer];
    return (float *)(void *)((unsigned char *)k->data +
                             kv_offset(k, &f->kv->cache.seq[seq], index, head));
}

static void fill(const struct fixture *f, uint32_t seq, uint32_t first, uint32_t n, float value) {
    for (int il = 0; il < N_LAYER; il++)
        for (uint32_t i = first; i < first + n; i++)
            for (uint32_t h = 0; h < 2; h++) *cell(f, il, seq, i, h) = value + (float)i;
}

static uint32_t used(const struct fixture *f) { return f->kv->cache.n_pages - f->kv->n_free; }

static void test_pages_come_and_go(void **state) {
    (void)state;
    struct fixture f;
    open_kv(&f, 1);
    assert_true(kv_seq_extend(f.kv, 0, 1));
    assert_int_equal(used(&f), 1);
    assert_true(kv_seq_extend(f.kv, 0, KV_PAGE));
    assert_int_equal(used(&f), 2);
    assert_true(kv_seq_extend(f.kv, 0, N_CTX - KV_PAGE - 1));
    assert_int_equal(f.kv->n_free, 0);
    assert_false(kv_seq_extend(f.kv, 1, 1)); /* nothing left, nothing changed */
    assert_int_equal(f.kv->cache.seq[1].n_tokens, 0);
    kv_seq_truncate(f.kv, 0, KV_PAGE);
    assert_int_equal(used(&f), 1);
    kv_seq_truncate(f.kv, 0, 0);
    assert_int_equal(used(&f), 0);
    close_kv(&f);
}

static void test_a_fork_shares_full_pages_and_copies_the_rest(void **state) {
    (void)state;
    struct fixture f;
    const uint32_t n = 2 * KV_PAGE + 1;
    open_kv(&f, 2);
    assert_true(kv_seq_extend(f.kv, 0, n));
    fill(&f, 0, 0, n, 100);
    assert_true(kv_seq_fork(f.kv, 0, 1, n));
    assert_int_equal(used(&f), 4); /* two shared, two partly filled */
    assert_ptr_equal(cell(&f, 0, 0, 0, 1), cell(&f, 0, 1, 0, 1));
    assert_ptr_not_equal(cell(&f, 0, 0, n - 1, 1), cell(&f, 0, 1, n - 1, 1));
    for (int il = 0; il < N_LAYER; il++)
        assert_true(*cell(&f, il, 1, n - 1, 1) == 100 + (float)(n - 1));
    assert_true(kv_seq_extend(f.kv, 0, 1) && kv_seq_extend(f.kv, 1, 1));
    fill(&f, 0, n, 1, 200);
    fill(&f, 1, n, 1, 300);
    assert_true(*cell(&f, 1, 0, n, 0) == 200 + (float)n && *cell(&f, 1, 1, n, 0) == 300 + (float)n);
    kv_seq_truncate(f.kv, 0, 0);
    assert_true(*cell(&f, 0, 1, 3 % n, 0) == 100 + (float)(3 % n)); /* still the fork's */
    kv_seq_truncate(f.kv, 1, 0);
    assert_int_equal(used(&f), 0);
    close_kv(&f);
}

static void test_a_fork_at_a_page_border_needs_no_page(void **state) {
    (void)state;
    struct fixture f;
    open_kv(&f, 1);
    assert_true(kv_seq_extend(f.kv, 0, N_CTX));
    assert_int_equal(f.kv->n_free, 0);
    assert_true(kv_seq_fork(f.kv, 0, 1, 2 * KV_PAGE));
    assert_false(kv_seq_fork(f.kv, 0, 2, KV_PAGE + 1));
    assert_int_equal(f.kv->cache.seq[2].n_pages, 0);
    kv_seq_truncate(f.kv, 0, 0);
    assert_int_equal(used(&f), 2);
    close_kv(&f);
}

/* Whole blocks in each head, or a message that says so. */
static void test_types(void **state) {
    (void)state;
    struct fixture f;
    struct kv *kv;
    struct err e = {0};
    open_kv(&f, 1);
    for (int il = 0; il < N_LAYER; il++) f.layers[il].kv_dim_k = f.layers[il].kv_dim_v = 64;
    assert_int_equal(kv_open(&kv, &f.m, N_CTX, 1, N_SEQS, DT_Q8_0, &e), ST_OK);
    assert_int_equal(kv->cache.k[0].stride[1], 2 * 34);
    kv_close(kv);
    assert_int_equal(kv_open(&kv, &f.m, N_CTX, 1, N_SEQS, DT_Q4_K, &e), ST_INVALID);
    assert_non_null(strstr(e.msg, "multiple of 256"));
    assert_int_equal(kv_open(&kv, &f.m, N_CTX, 1, N_SEQS, DT_I32, &e), ST_INVALID);
    close_kv(&f);
}

/* A state stands for all tokens of a sequence: copied by a fork, gone when one token is taken back.
 */
static void test_states(void **state) {
    (void)state;
    struct fixture f;
    struct kv *kv;
    struct err e = {0};
    open_kv(&f, 1);
    assert_false(f.kv->recurrent);
    f.layers[1] = (struct layer){.kv_layer = 1, .n_state = 3, .recurrent = 1};
    assert_int_equal(kv_open(&kv, &f.m, N_CTX, 1, N_SEQS, DT_F32, &e), ST_OK);
    assert_true(kv->recurrent && kv->cache.state[0].data == NULL && kv->cache.k[1].data == NULL);
    float *slots = kv->cache.state[1].data;
    for (uint32_t i = 0; i < 3 * N_SEQS; i++) slots[i] = (float)i;
    assert_true(kv_seq_extend(kv, 1, KV_PAGE + 1));
    assert_int_equal(kv_seq_truncate(kv, 1, KV_PAGE + 1), KV_PAGE + 1);
    assert_true(kv_seq_fork(kv, 1, 3, KV_PAGE + 1));
    assert_memory_equal(slots + 9, ((const float[]){3, 4, 5}), 3 * sizeof *slots);
    assert_true(slots[6] == 6 && slots[0] == 0);
    assert_int_equal(kv_seq_truncate(kv, 1, KV_PAGE), 0);
    assert_int_equal(kv->cache.seq[1].n_tokens, 0);
    assert_int_equal(kv->cache.seq[3].n_tokens, KV_PAGE + 1);
    assert_int_equal(kv_seq_truncate(kv, 3, 0), 0);
    assert_int_equal(kv->n_free, kv->cache.n_pages);
    kv_close(kv);
    close_kv(&f);
}

static void test_open_without_memory(void **state) {
    (void)state;
    struct fixture f;
    open_kv(&f, 1);
    f.layers[1].n_state = 5;
    for (long n = 1;; n++) {
        struct kv *kv;
        struct err e = {0};
        const long live = mem_live();
        mem_fail_at(n);
        enum status st = kv_open(&kv, &f.m, N_CTX, 1, N_SEQS, DT_F16, &e);
        mem_fail_at(0);
        if (st == ST_OK) kv_close(kv);
        assert_int_equal(mem_live(), live);
        if (st == ST_OK) break;
        assert_int_equal(st, ST_NO_MEMORY);
    }
    close_kv(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pages_come_and_go),
        cmocka_unit_test(test_a_fork_shares_full_pages_and_copies_the_rest),
        cmocka_unit_test(test_a_fork_at_a_page_border_needs_no_page),
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_states),
        cmocka_unit_test(test_open_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
