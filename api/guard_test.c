/* guard_test.c - hosts and origins, from the recorded tables. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <unistd.h>

#include "api/guard.h"

static enum status open_guard(struct guard *g, const char *origins, const char *listen,
                              struct err *e) {
    return guard_open(g, &(struct guard_params){.origins = origins, .listen_host = listen}, e);
}

/* The loopback set; the rule for other addresses follows. Also CVE-2024-28224: names that were
 * rebound. */
static void test_sec_S_NET_2_loopback_hosts(void **state) {
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
    assert_int_equal(open_guard(&g, NULL, "127.0.0.1", NULL), ST_OK);
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) assert_true(guard_host_ok(&g, good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) assert_false(guard_host_ok(&g, bad[i]));
    assert_true(guard_host_is_name("localhost:1"));
    assert_false(guard_host_is_name("127.0.0.1:1"));
    guard_close(&g);
}

static void test_sec_S_NET_3_origins(void **state) {
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
        open_guard(&g, "http://mine.example,https://*.wild.example", "127.0.0.1", NULL), ST_OK);
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(guard_origin_ok(&g, good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) assert_false(guard_origin_ok(&g, bad[i]));
    assert_false(g.all_origins);
    guard_close(&g);
    assert_true(guard_same_origin("http://localhost:11434", "localhost:11434"));
    assert_false(guard_same_origin("http://localhost:1", "localhost:11434"));
}

static void test_sec_S_NET_2_public_hosts(void **state) {
    (void)state;
    char name[256] = "";
    assert_int_equal(gethostname(name, sizeof name - 1), 0);
    const char *const good[] = {
        "127.0.0.1", "127.0.0.1:11434", "localhost:1",       "LOCALHOST",
        name,        "box.example",     "BOX.example:11434", "192.0.2.7:80"};
    const char *const bad[] = {"",
                               "evil.example",
                               "8.8.8.8",
                               "192.0.2.8",
                               "x.localhost",
                               "printer.local",
                               "box.example.evil.example",
                               "0.0.0.0",
                               "box"};
    const struct guard_params p = {.allowed_hosts = "box.example,192.0.2.7",
                                   .listen_host = "0.0.0.0"};
    const struct guard_params all = {.allowed_hosts = "*", .listen_host = "::"};
    struct guard g;
    assert_int_equal(guard_open(&g, &p, NULL), ST_OK);
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) assert_true(guard_host_ok(&g, good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) assert_false(guard_host_ok(&g, bad[i]));
    guard_close(&g);
    assert_int_equal(guard_open(&g, &all, NULL), ST_OK);
    assert_true(guard_host_ok(&g, "evil.example"));
    guard_close(&g);
}

static void test_sec_S_NET_4_forged_requests(void **state) {
    (void)state;
    static const char page[] = "http://localhost:3000",
                      form[] = "application/x-www-form-urlencoded";
    static const struct {
        struct guard_request r;
        bool forged;
    } row[] = {
        {{"POST", NULL, "localhost:11434", NULL, form, true}, false}, /* curl -d */
        {{"POST", NULL, "localhost:11434", NULL, "text/plain", true}, false},
        {{"POST", NULL, "localhost:11434", NULL, NULL, true}, false},
        {{"POST", page, "localhost:11434", NULL, "application/json", true}, false},
        {{"POST", page, "localhost:11434", NULL, "application/octet-stream", true}, false},
        {{"POST", page, "localhost:11434", NULL, form, true}, true},
        {{"POST", page, "localhost:11434", NULL, "Text/Plain;charset=UTF-8", true}, true},
        {{"POST", page, "localhost:11434", NULL, "multipart/form-data; boundary=x", true}, true},
        {{"DELETE", page, "localhost:11434", NULL, "text/plain", true}, true},
        {{"POST", page, "localhost:11434", NULL, NULL, true}, true}, /* fetch no-cors of a Blob */
        {{"POST", page, "localhost:11434", NULL, "", true}, true},
        {{"POST", page, "localhost:11434", NULL, NULL, false}, false},
        {{"POST", NULL, "localhost:11434", "cross-site", "text/plain", true}, true},
        {{"POST", NULL, "localhost:11434", "same-origin", "text/plain", true}, false},
        {{"POST", "http://localhost:11434", "localhost:11434", NULL, form, true}, false},
        {{"GET", page, "localhost:11434", "cross-site", NULL, true}, false},
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++)
        assert_int_equal(guard_is_forged(&row[i].r), row[i].forged);
}

static void test_bad_entries(void **state) {
    (void)state;
    struct guard g;
    struct err e;
    assert_int_equal(open_guard(&g, "http://a, http://b", "127.0.0.1", &e), ST_INVALID);
    assert_int_equal(open_guard(&g, "a*b*c", "127.0.0.1", &e), ST_INVALID);
    assert_int_equal(open_guard(&g, "*", "127.0.0.1", &e), ST_OK);
    assert_true(g.all_origins);
    guard_close(&g);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_sec_S_NET_2_loopback_hosts),
                                       cmocka_unit_test(test_sec_S_NET_2_public_hosts),
                                       cmocka_unit_test(test_sec_S_NET_4_forged_requests),
                                       cmocka_unit_test(test_sec_S_NET_3_origins),
                                       cmocka_unit_test(test_bad_entries)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
