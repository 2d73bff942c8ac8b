/* guard_test.c - hosts and origins, from the recorded tables. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "api/guard.h"

static void test_hosts(void **state) {
    (void)state;
    const char *const good[] = {"",
                                "localhost",
                                "LOCALHOST:80",
                                "127.0.0.1",
                                "127.8.9.1:1",
                                "[::1]:11434",
                                "0.0.0.0:1",
                                "10.1.2.3",
                                "192.168.7.7:99",
                                "172.16.0.1",
                                "x.localhost",
                                "printer.local:11434",
                                "svc.internal",
                                "a.b.c.internal:1",
                                "[fd00::1]:80"};
    const char *const bad[] = {
        "evil.example",    "evil.example:11434",     "8.8.8.8",  "172.32.0.1", "local",
        "notlocal",        "localhost.evil.example", "internal", "2130706433", ".local",
        "[2001:db8::1]:80"};
    struct guard g;
    assert_int_equal(guard_open(&g, NULL, "127.0.0.1", NULL), ST_OK);
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) assert_true(guard_host_ok(&g, good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) assert_false(guard_host_ok(&g, bad[i]));
    assert_true(guard_host_is_name("localhost:1"));
    assert_false(guard_host_is_name("127.0.0.1:1"));
    guard_close(&g);
    assert_int_equal(guard_open(&g, NULL, "0.0.0.0", NULL), ST_OK);
    assert_true(guard_host_ok(&g, "evil.example"));
    guard_close(&g);
}

static void test_origins(void **state) {
    (void)state;
    const char *const good[] = {
        "http://localhost",  "https://127.0.0.1:99", "app://obsidian.md",     "file://",
        "tauri://localhost", "http://mine.example",  "https://a.wild.example"};
    const char *const bad[] = {"http://evil.example",    "null",
                               "chrome-extension://abc", "http://localhost.evil.example",
                               "http://[::1]:11434",     "http://a.wild.example",
                               "http://mine.example:1"};
    struct guard g;
    assert_int_equal(
        guard_open(&g, "http://mine.example,https://*.wild.example", "127.0.0.1", NULL), ST_OK);
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(guard_origin_ok(&g, good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) assert_false(guard_origin_ok(&g, bad[i]));
    assert_false(g.all_origins);
    guard_close(&g);
    assert_true(guard_same_origin("http://localhost:11434", "localhost:11434"));
    assert_false(guard_same_origin("http://localhost:1", "localhost:11434"));
}

static void test_bad_entries(void **state) {
    (void)state;
    struct guard g;
    struct err e;
    assert_int_equal(guard_open(&g, "http://a, http://b", "127.0.0.1", &e), ST_INVALID);
    assert_int_equal(guard_open(&g, "a*b*c", "127.0.0.1", &e), ST_INVALID);
    assert_int_equal(guard_open(&g, "*", "127.0.0.1", &e), ST_OK);
    assert_true(g.all_origins);
    guard_close(&g);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_hosts), cmocka_unit_test(test_origins),
                                       cmocka_unit_test(test_bad_entries)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
