/* keeper_test.c - the thread beside a download: its hash, and when there is none. */
#include "store/registry/keeper.h"

#include "base/digest.h"
#include "store/testing.h"

enum { TOTAL = 5 << 20 };
static const char wanted[] =
    "sha256:0000000000000000000000000000000000000000000000000000000000000000";

/* A download of one part, of which `done` bytes are there. */
struct fixture {
    char dir[64], content[STORE_DIGEST_TEXT];
    struct store *store;
    struct parts parts;
    _Atomic bool cancel;
    struct keeper keeper;
};

static void open_fixture(struct fixture *f, uint64_t done) {
    static unsigned char bytes[TOTAL];
    struct err e = {0};
    char hex[DIGEST_HEX + 1];
    *f = (struct fixture){.store = NULL};
    for (size_t i = 0; i < TOTAL; i++) bytes[i] = (unsigned char)(i * 7 + i / 251);
    assert_int_equal(digest_of(bytes, TOTAL, hex, &e), ST_OK);
    snprintf(f->content, sizeof f->content, "sha256:%s", hex);
    assert_int_equal(store_open(&f->store, make_dir_name(f->dir), &e), ST_OK);
    if (parts_open(&f->parts, f->store, wanted, TOTAL, &e) != ST_OK) fail_msg("%s", e.msg);
    assert_int_equal(f->parts.n, 1);
    assert_int_equal(pwrite(f->parts.fd, bytes, done, 0), done);
    atomic_store(&f->parts.part[0].done, done);
    keeper_init(&f->keeper, &f->parts, &f->cancel);
}

static void start(struct fixture *f) {
    struct err e = {0};
    assert_int_equal(keeper_start(&f->keeper, &e), ST_OK);
}

static void close_fixture(struct fixture *f) {
    keeper_destroy(&f->keeper);
    parts_discard(&f->parts);
    parts_close(&f->parts);
    store_close(f->store);
    remove_tree(f->dir);
}

static void test_digest(void **state) {
    (void)state;
    struct fixture f;
    open_fixture(&f, TOTAL);
    start(&f);
    keeper_more(&f.keeper);
    keeper_end(&f.keeper, true);
    assert_int_equal(f.keeper.st, ST_OK);
    assert_string_equal(f.keeper.digest, f.content);
    close_fixture(&f);
}

static void test_stopped(void **state) {
    (void)state;
    struct fixture f;
    open_fixture(&f, TOTAL / 2);
    start(&f);
    keeper_end(&f.keeper, false);
    assert_int_equal(f.keeper.st, ST_OK);
    assert_string_equal(f.keeper.digest, "");
    close_fixture(&f);
}

/* Somebody cancels just before the last byte: the digest is the content's, or there is none. */
static void test_cancelled_at_the_end(void **state) {
    (void)state;
    for (int i = 0; i < 20; i++) {
        struct fixture f;
        open_fixture(&f, TOTAL);
        start(&f);
        usleep((unsigned)i * 60);
        atomic_store(&f.cancel, true);
        usleep((unsigned)i * 15);
        keeper_end(&f.keeper, true);
        assert_int_equal(f.keeper.st, ST_OK);
        if (f.keeper.digest[0] != '\0') assert_string_equal(f.keeper.digest, f.content);
        close_fixture(&f);
    }
}

static void test_content_that_is_gone(void **state) {
    (void)state;
    struct fixture f;
    open_fixture(&f, TOTAL);
    assert_int_equal(ftruncate(f.parts.fd, 10), 0);
    start(&f);
    keeper_end(&f.keeper, true);
    assert_true(f.keeper.st != ST_OK && atomic_load(&f.keeper.failed));
    assert_non_null(strstr(f.keeper.e.msg, "-partial"));
    assert_string_equal(f.keeper.digest, "");
    close_fixture(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_digest),
        cmocka_unit_test(test_stopped),
        cmocka_unit_test(test_cancelled_at_the_end),
        cmocka_unit_test(test_content_that_is_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
