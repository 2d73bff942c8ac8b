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
    if (kv_open(&f->kv, &f->m, N_CTX, n_active, N_SEQS, 0, DT_F32, &e) != ST_OK)
        fail_msg("%s", e.msg);
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

static uint32_t used(const struct fixture *f) { return f->kv->cache.n_pages - f->kv->all.n_free; }

static void test_pages_come_and_go(void **state) {
    (void)state;
    struct fixture f;
    open_kv(&f, 1);
    assert_true(kv_seq_extend(f.kv, 0, 1));
    assert_int_equal(used(&f), 1);
    assert_true(kv_seq_extend(f.kv, 0, KV_PAGE));
    assert_int_equal(used(&f), 2);
    assert_true(kv_seq_extend(f.kv, 0, N_CTX - KV_PAGE - 1));
    assert_int_equal(f.kv->all.n_free, 0);
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
    assert_int_equal(f.kv->all.n_free, 0);
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
    assert_int_equal(kv_open(&kv, &f.m, N_CTX, 1, N_SEQS, 0, DT_Q8_0, &e), ST_OK);
    assert_int_equal(kv->cache.k[0].stride[1], 2 * 34);
    kv_close(kv);
    assert_int_equal(kv_open(&kv, &f.m, N_CTX, 1, N_SEQS, 0, DT_Q4_K, &e), ST_INVALID);
    assert_non_null(strstr(e.msg, "multiple of 256"));
    assert_int_equal(kv_open(&kv, &f.m, N_CTX, 1, N_SEQS, 0, DT_I32, &e), ST_INVALID);
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
    assert_int_equal(kv_open(&kv, &f.m, N_CTX, 1, N_SEQS, 0, DT_F32, &e), ST_OK);
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
    assert_int_equal(kv->all.n_free, kv->cache.n_pages);
    kv_close(kv);
    close_kv(&f);
}

static bool is_zero(const struct tensor *t, uint32_t page) {
    const unsigned char *p = (const unsigned char *)t->data + page * t->stride[3];
    for (size_t i = 0; i < t->stride[3]; i++)
        if (p[i] != 0) return false;
    return true;
}

/* Pages go round within a domain as they are, and are zeroed on their way to another one; a
 * sequence that takes tokens back keeps the page that it shares with its own domain. */
static void sec_S_LC_8_pages_of_another_domain(void **state) {
    (void)state;
    struct fixture f;
    open_kv(&f, 1);
    assert_true(kv_seq_assign(f.kv, 0, 7) && kv_seq_extend(f.kv, 0, N_CTX));
    for (int il = 0; il < N_LAYER; il++) {
        const struct tensor *k = &f.kv->cache.k[il], *v = &f.kv->cache.v[il];
        memset(k->data, 0xee, k->stride[3] * f.kv->cache.n_pages);
        memset(v->data, 0xee, v->stride[3] * f.kv->cache.n_pages);
    }
    kv_seq_truncate(f.kv, 0, 0);
    assert_true(kv_seq_assign(f.kv, 1, 7) && kv_seq_extend(f.kv, 1, 1));
    assert_false(is_zero(&f.kv->cache.k[1], f.kv->cache.seq[1].page[0])); /* its own */
    assert_true(kv_seq_assign(f.kv, 2, 8) && kv_seq_extend(f.kv, 2, KV_PAGE + 1));
    for (uint32_t i = 0; i < 2; i++)
        for (int il = 0; il < N_LAYER; il++)
            assert_true(is_zero(&f.kv->cache.k[il], f.kv->cache.seq[2].page[i]) &&
                        is_zero(&f.kv->cache.v[il], f.kv->cache.seq[2].page[i]));
    kv_seq_truncate(f.kv, 1, 0);
    assert_true(kv_seq_assign(f.kv, 1, 0) && kv_seq_extend(f.kv, 1, 1)); /* nobody's is one, too */
    assert_true(is_zero(&f.kv->cache.v[0], f.kv->cache.seq[1].page[0]));
    close_kv(&f);
}

static void sec_S_LC_8_states_of_another_domain(void **state) {
    (void)state;
    struct fixture f;
    struct kv *kv;
    open_kv(&f, 1);
    f.layers[1] = (struct layer){.kv_layer = 1, .n_state = 3, .recurrent = 1};
    assert_int_equal(kv_open(&kv, &f.m, N_CTX, 1, N_SEQS, 0, DT_F32, NULL), ST_OK);
    float *slots = kv->cache.state[1].data;
    for (uint32_t i = 0; i < 3 * N_SEQS; i++) slots[i] = (float)i + 1;
    assert_true(kv_seq_assign(kv, 1, 0) && slots[3] == 4); /* its own already */
    assert_true(kv_seq_assign(kv, 1, 5));
    assert_memory_equal(slots + 3, ((const float[]){0, 0, 0}), 3 * sizeof *slots);
    assert_true(slots[2] == 3 && slots[6] == 7);
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
        enum status st = kv_open(&kv, &f.m, N_CTX, 1, N_SEQS, 0, DT_F16, &e);
        mem_fail_at(0);
        if (st == ST_OK) kv_close(kv);
        assert_int_equal(mem_live(), live);
        if (st == ST_OK) break;
        assert_int_equal(st, ST_NO_MEMORY);
    }
    close_kv(&f);
}

/* Taking back tokens of a page that is shared: what is written next does not show elsewhere. */
static void test_a_shared_page_is_not_written(void **state) {
    (void)state;
    struct fixture f;
    open_kv(&f, 1);
    assert_true(kv_seq_extend(f.kv, 0, 2 * KV_PAGE));
    fill(&f, 0, 0, 2 * KV_PAGE, 100);
    assert_true(kv_seq_fork(f.kv, 0, 1, 2 * KV_PAGE));
    assert_int_equal(kv_seq_truncate(f.kv, 1, KV_PAGE + 1), KV_PAGE + 1);
    assert_true(*cell(&f, 0, 1, KV_PAGE, 0) == 100 + (float)KV_PAGE);
    assert_true(kv_seq_extend(f.kv, 1, 1 % KV_PAGE));
    if (KV_PAGE > 2) fill(&f, 1, KV_PAGE + 1, 1, 900);
    assert_true(*cell(&f, 1, 0, KV_PAGE + 1, 1) == 100 + (float)(KV_PAGE + 1));
    /* No page for a copy: fewer tokens are kept. */
    assert_int_equal(kv_seq_truncate(f.kv, 1, 0), 0);
    assert_true(kv_seq_fork(f.kv, 0, 1, 2 * KV_PAGE));
    assert_true(kv_seq_extend(f.kv, 2, 2 * KV_PAGE));
    assert_int_equal(f.kv->all.n_free, 0);
    assert_int_equal(kv_seq_truncate(f.kv, 1, 2 * KV_PAGE - 1), KV_PAGE);
    for (uint32_t i = 0; i < 3; i++) kv_seq_truncate(f.kv, i, 0);
    assert_int_equal(used(&f), 0);
    close_kv(&f);
}

/* ---- windows ---- */

enum { WINDOW = KV_PAGE + KV_PAGE / 2, BATCH = KV_PAGE, LONG = 64 * KV_PAGE, HALF = KV_PAGE / 2 };

/* Layer 0 sees everything, layer 1 a window. */
static struct kv *open_windows(struct fixture *f, uint32_t n_active) {
    struct kv *kv;
    struct err e = {0};
    open_kv(f, 1);
    f->m.hp.n_swa = WINDOW;
    f->m.hp.causal = true;
    f->layers[1].window = true;
    if (kv_open(&kv, &f->m, LONG, n_active, N_SEQS, BATCH, DT_F32, &e) != ST_OK)
        fail_msg("%s", e.msg);
    assert_int_equal(kv->n_window, WINDOW);
    return kv;
}

static float *window_cell(const struct kv *kv, uint32_t seq, uint32_t index) {
    const struct tensor *k = &kv->cache.k[1];
    return (float *)(void *)((unsigned char *)k->data +
                             kv_offset(k, kv_seq_of(&kv->cache, 1, seq), index, 0));
}

static void begin_step(struct kv *kv, uint32_t seq, uint32_t n) {
    const uint32_t begin = kv->cache.seq[seq].n_tokens;
    assert_true(kv_seq_extend(kv, seq, n));
    for (uint32_t i = begin; i < begin + n; i++) *window_cell(kv, seq, i) = (float)i;
}

/* The last n rows find all cells of their windows. */
static void end_step(const struct kv *kv, uint32_t seq, uint32_t n) {
    const uint32_t end = kv->cache.seq[seq].n_tokens;
    for (uint32_t i = end - n; i < end; i++)
        for (uint32_t c = i + 1 >= WINDOW ? i + 1 - WINDOW : 0; c <= i; c++)
            assert_true(*window_cell(kv, seq, c) == (float)c);
}

static void step(struct kv *kv, uint32_t seq, uint32_t n) {
    begin_step(kv, seq, n);
    end_step(kv, seq, n);
}

static void assert_all_free(struct kv *kv) {
    for (uint32_t i = 0; i < N_SEQS; i++) assert_int_equal(kv_seq_truncate(kv, i, 0), 0);
    assert_int_equal(kv->all.n_free, kv->all.n_pages);
    assert_int_equal(kv->window.n_free, kv->window.n_pages);
}

/* Two long ones in the same steps. */
static void test_windows_keep_what_is_seen(void **state) {
    (void)state;
    struct fixture f;
    struct kv *kv = open_windows(&f, 2);
    assert_true(kv->window.n_pages < kv->all.n_pages / 2);
    for (uint32_t i = 0; i < LONG; i += HALF) {
        begin_step(kv, 0, HALF);
        begin_step(kv, 1, HALF);
        end_step(kv, 0, HALF);
        end_step(kv, 1, HALF);
    }
    assert_int_equal(kv->all.n_free, 0);
    assert_all_free(kv);
    kv_close(kv);
    close_kv(&f);
}

static void test_windows_fork_and_truncate(void **state) {
    (void)state;
    struct fixture f;
    struct kv *kv = open_windows(&f, 2);
    const uint32_t n = LONG - HALF;
    assert_int_equal(kv_seq_can_keep(kv, 0, 0), 0);
    for (uint32_t i = 0; i < n; i += HALF) step(kv, 0, HALF);
    assert_int_equal(kv_seq_can_keep(kv, 0, n), n);
    assert_int_equal(kv_seq_can_keep(kv, 0, n - 1), n - 1); /* pages that nobody needed yet */
    assert_int_equal(kv_seq_can_keep(kv, 0, 1), 0);         /* gone */
    assert_true(kv_seq_fork(kv, 0, 1, n - 1));
    step(kv, 1, 1);
    *window_cell(kv, 1, n - 1) = -1;
    assert_true(*window_cell(kv, 0, n - 1) == (float)(n - 1));
    assert_int_equal(kv_seq_truncate(kv, 1, n - 1), n - 1);
    step(kv, 1, HALF);
    step(kv, 0, HALF);
    assert_int_equal(kv_seq_truncate(kv, 0, 1), 0); /* all of it has to be evaluated again */
    step(kv, 0, KV_PAGE);
    assert_all_free(kv);
    kv_close(kv);
    close_kv(&f);
}

static uint32_t pages_needed(const struct kv *kv, uint32_t seq, uint32_t n) {
    const struct kv_seq *s = &kv->cache.seq[seq];
    return (s->n_tokens + n + KV_PAGE - 1) / KV_PAGE - s->n_pages;
}

/* Two sequences that grow, are taken back, kept aside and taken from there, in any order. */
static void test_windows_at_random(void **state) {
    (void)state;
    struct fixture f;
    struct kv *kv = open_windows(&f, 2);
    uint32_t seed = 5, kept = 0, forked = 0;
    for (int round = 0; round < 3000; round++) {
        seed = seed * 1664525u + 1013904223u;
        const uint32_t seq = seed >> 8 & 1, other = 2 + (seed >> 9 & 1), r = seed >> 12;
        const uint32_t len = kv->cache.seq[seq].n_tokens, kind = seed >> 27;
        uint32_t n = 1 + r % BATCH;
        if (kind == 0) {
            kept += kv_seq_truncate(kv, seq, len - r % (len / 8 + 1)) != 0;
            continue;
        }
        if (kind <= 2) {
            const uint32_t src = kind == 1 ? seq : other, dst = kind == 1 ? other : seq;
            const uint32_t part = kv->cache.seq[src].n_tokens * 9 / 10;
            kv_seq_truncate(kv, dst, 0);
            if (kv_seq_can_keep(kv, src, part) != 0) forked += kv_seq_fork(kv, src, dst, part);
            continue;
        }
        if (len == LONG) kv_seq_truncate(kv, seq, 0);
        if (n > LONG - kv->cache.seq[seq].n_tokens) n = LONG - kv->cache.seq[seq].n_tokens;
        while (pages_needed(kv, seq, n) > kv->all.n_free) /* idle ones go */
            for (uint32_t i = 2; i < N_SEQS; i++) kv_seq_truncate(kv, i, 0);
        if (!kv_seq_extend(kv, seq, n)) {
            for (uint32_t i = 2; i < N_SEQS; i++) kv_seq_truncate(kv, i, 0);
            assert_true(kv_seq_extend(kv, seq, n)); /* without them it always fits */
        }
        const uint32_t end = kv->cache.seq[seq].n_tokens;
        for (uint32_t i = end - n; i < end; i++) *window_cell(kv, seq, i) = (float)i;
        end_step(kv, seq, n);
    }
    assert_true(kept > 10 && forked > 10); /* it was not all refused */
    assert_all_free(kv);
    kv_close(kv);
    close_kv(&f);
}

/* A Gemma 3 4B of 32768 tokens: bytes with windows kept and without. */
static void test_windows_save_memory(void **state) {
    (void)state;
    enum { N_GEMMA = 34, N_GEMMA_CTX = 32768 };
    struct fixture f;
    struct layer layers[N_GEMMA];
    struct kv *whole, *windows;
    open_kv(&f, 1);
    struct model m = {.dev = &f.dev, .layers = layers};
    m.hp = (struct hparams){.n_layer = N_GEMMA, .n_swa = 1024, .causal = true};
    for (uint32_t il = 0; il < N_GEMMA; il++)
        layers[il] = (struct layer){.n_head_kv = 4,
                                    .kv_layer = il,
                                    .kv_dim_k = 256,
                                    .kv_dim_v = 256,
                                    .window = il % 6 != 5};
    assert_int_equal(kv_open(&whole, &m, N_GEMMA_CTX, 1, 20, 0, DT_F16, NULL), ST_OK);
    assert_int_equal(kv_open(&windows, &m, N_GEMMA_CTX, 1, 20, 512, DT_F16, NULL), ST_OK);
    print_message("%zu bytes, %zu if windows keep what they see\n", whole->bytes, windows->bytes);
    assert_int_equal(whole->bytes, (size_t)N_GEMMA * N_GEMMA_CTX * 4 * 256 * 2 * 2);
    assert_true(windows->bytes < whole->bytes * 3 / 8);
    kv_close(whole);
    kv_close(windows);
    close_kv(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pages_come_and_go),
        cmocka_unit_test(test_a_fork_shares_full_pages_and_copies_the_rest),
        cmocka_unit_test(test_a_fork_at_a_page_border_needs_no_page),
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_states),
        cmocka_unit_test(test_a_shared_page_is_not_written),
        cmocka_unit_test(test_windows_keep_what_is_seen),
        cmocka_unit_test(test_windows_fork_and_truncate),
        cmocka_unit_test(test_windows_at_random),
        cmocka_unit_test(test_windows_save_memory),
        cmocka_unit_test(sec_S_LC_8_pages_of_another_domain),
        cmocka_unit_test(sec_S_LC_8_states_of_another_domain),
        cmocka_unit_test(test_open_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
