/* keys_test.c - API keys: the file, whose key it is, scopes, limits, expiry. */
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

#include "api/keys.h"
#include "base/mem.h"
#include "base/os.h"

static char folder[] = "/tmp/cria-keys-test-XXXXXX", path[64];

static int setup(void **state) {
    (void)state;
    if (mkdtemp(folder) == NULL) return -1;
    snprintf(path, sizeof path, "%s/a/keys.json", folder);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

static struct keyring *ring(void) {
    struct keyring *r;
    struct err e;
    assert_int_equal(keyring_read(&r, path, &e), ST_OK);
    return r;
}

/* n keys that may infer. */
static struct keyring *ring_of(size_t n) {
    struct buf b = {0};
    struct keyring *r;
    struct err e;
    buf_str(&b, "{\"keys\":[");
    for (size_t i = 0; i < n; i++)
        buf_printf(&b,
                   "%s{\"id\":\"%zu\",\"name\":\"n\",\"scopes\":[\"infer\"],\"sha256\":\"%064d\"}",
                   i > 0 ? "," : "", i, 0);
    buf_str(&b, "]}");
    assert_int_equal(keyring_parse(&r, b.data, b.len, &e), ST_OK);
    buf_free(&b);
    return r;
}

static bool passes(struct keyring *r, const char *text, enum key_scope scope) {
    struct api_key *k;
    if (keyring_enter(r, text, scope, &k) != KEY_OK) return false;
    keyring_leave(r, k);
    return true;
}

static void test_sec_CVE_2025_63389_scopes(void **state) {
    (void)state;
    static const unsigned scope[] = {SCOPE_INFER, SCOPE_MANAGE, SCOPE_METRICS};
    struct err e;
    struct keyring *r = ring();
    assert_int_equal(r->n, 0);
    keyring_free(r);
    for (size_t i = 0; i < 3; i++) {
        struct api_key k = {.scopes = scope[i]}, all = {.scopes = SCOPE_ADMIN};
        char text[KEY_TEXT + 1], admin[KEY_TEXT + 1], wrong[KEY_TEXT + 1];
        assert_int_equal(keys_add(path, &k, text, &e), ST_OK);
        assert_int_equal(keys_add(path, &all, admin, &e), ST_OK);
        assert_int_equal(strlen(text), KEY_TEXT);
        assert_memory_equal(text, "cria_", 5);
        strcpy(wrong, text);
        wrong[KEY_TEXT - 1] = wrong[KEY_TEXT - 1] == '0' ? '1' : '0';
        r = ring();
        for (size_t s = 0; s < 3; s++) {
            assert_int_equal(passes(r, text, (enum key_scope)scope[s]), s == i);
            assert_true(passes(r, admin, (enum key_scope)scope[s]));
            assert_false(passes(r, wrong, (enum key_scope)scope[s]));
        }
        assert_false(passes(r, "", SCOPE_INFER));
        assert_false(passes(r, "cria_", SCOPE_INFER));
        keyring_free(r);
    }
}

/* Nothing in the file tells a key, and nobody else may read it. */
/* A key counts as itself only if every byte of its hash does, wherever it stands in the ring. How
 * long that takes tells nothing: bench/keys.c. */
static void test_sec_CVE_2025_59425_every_byte_counts(void **state) {
    (void)state;
    enum { N = DIGEST_BYTES * 8 };
    struct keyring *r = ring_of(N + 1);
    unsigned char hash[DIGEST_BYTES];
    struct digest *d = digest_new();
    digest_update(d, "secret", 6);
    digest_finish(d, hash);
    for (size_t i = 0; i <= N; i++) memcpy(r->keys[i].sha256, hash, DIGEST_BYTES);
    for (size_t i = 0; i < N; i++) r->keys[i].sha256[i / 8] ^= (unsigned char)(1 << i % 8);
    for (size_t at = 0; at <= N; at++) { /* the right one moves through the ring */
        struct api_key *k;
        assert_int_equal(keyring_enter(r, "secret", SCOPE_INFER, &k), KEY_OK);
        assert_ptr_equal(k, &r->keys[N - at]);
        keyring_leave(r, k);
        if (at == N) break;
        const struct api_key other = r->keys[N - at - 1];
        r->keys[N - at - 1] = r->keys[N - at];
        r->keys[N - at] = other;
    }
    memcpy(r->keys[0].sha256, r->keys[1].sha256, DIGEST_BYTES);
    assert_false(passes(r, "secret", SCOPE_INFER)); /* none of the near ones does */
    keyring_free(r);
}

static void test_sec_S_NET_5_stored_as_hash(void **state) {
    (void)state;
    struct api_key k = {.name = "laptop", .scopes = SCOPE_INFER};
    struct stat info;
    struct err e;
    char text[KEY_TEXT + 1], *file;
    size_t size;
    assert_int_equal(keys_add(path, &k, text, &e), ST_OK);
    assert_int_equal(os_file_read(path, 1 << 20, &file, &size, &e), ST_OK);
    assert_null(strstr(file, text + 5));
    assert_non_null(strstr(file, "\"laptop\""));
    mem_free(file);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    assert_int_equal(keys_remove(path, "nobody", &e), ST_NOT_FOUND);
    assert_int_equal(keys_remove(path, "laptop", &e), ST_OK);
    struct keyring *r = ring();
    assert_false(passes(r, text, SCOPE_INFER));
    keyring_free(r);
    chmod(path, 0666);
    assert_int_equal(keyring_read(&r, path, &e), ST_DENIED);
    chmod(path, 0600);
}

static void test_expiry_and_models(void **state) {
    (void)state;
    char a[] = "a:latest", b[] = "b:7b", *models[] = {a, b};
    struct api_key old = {.scopes = SCOPE_INFER, .expires = os_time_unix_ns() / 1000000000};
    struct api_key young = {.scopes = SCOPE_INFER,
                            .expires = os_time_unix_ns() / 1000000000 + 1000,
                            .models = models,
                            .n_models = 2},
                   *k;
    struct err e;
    char gone[KEY_TEXT + 1], there[KEY_TEXT + 1];
    assert_int_equal(keys_add(path, &old, gone, &e), ST_OK);
    assert_int_equal(keys_add(path, &young, there, &e), ST_OK);
    struct keyring *r = ring();
    assert_int_equal(keyring_enter(r, gone, SCOPE_INFER, &k), KEY_UNKNOWN);
    assert_int_equal(keyring_enter(r, there, SCOPE_INFER, &k), KEY_OK);
    assert_true(key_allows(k, "a:latest"));
    assert_true(key_allows(k, "b:7b"));
    assert_false(key_allows(k, "b:latest"));
    keyring_leave(r, k);
    keyring_free(r);
}

static void test_limits(void **state) {
    (void)state;
    struct api_key a = {.scopes = SCOPE_INFER, .limits = {.requests_per_minute = 3}},
                   b = {.scopes = SCOPE_INFER, .limits = {.concurrent = 1}},
                   c = {.scopes = SCOPE_INFER, .limits = {.tokens_per_minute = 10}}, *k, *again;
    struct err e;
    char text[3][KEY_TEXT + 1];
    assert_int_equal(keys_add(path, &a, text[0], &e), ST_OK);
    assert_int_equal(keys_add(path, &b, text[1], &e), ST_OK);
    assert_int_equal(keys_add(path, &c, text[2], &e), ST_OK);
    struct keyring *r = ring();
    for (int i = 0; i < 3; i++) assert_true(passes(r, text[0], SCOPE_INFER));
    assert_int_equal(keyring_enter(r, text[0], SCOPE_INFER, &k), KEY_TOO_MANY);
    struct keyring *next = ring(); /* reading the file again is no way around it */
    keyring_inherit(next, r);
    assert_int_equal(keyring_enter(next, text[0], SCOPE_INFER, &k), KEY_TOO_MANY);
    keyring_free(next);
    assert_int_equal(keyring_enter(r, text[1], SCOPE_INFER, &k), KEY_OK);
    assert_int_equal(keyring_enter(r, text[1], SCOPE_INFER, &again), KEY_TOO_MANY);
    keyring_leave(r, k);
    assert_true(passes(r, text[1], SCOPE_INFER));
    assert_int_equal(keyring_enter(r, text[2], SCOPE_INFER, &k), KEY_OK);
    keyring_charge(r, k, 10);
    keyring_leave(r, k);
    assert_int_equal(keyring_enter(r, text[2], SCOPE_INFER, &k), KEY_TOO_MANY);
    k = NULL;
    keyring_free(r);
}

#define HASH "\"0000000000000000000000000000000000000000000000000000000000000000\""
static void test_bad_files(void **state) {
    (void)state;
    static const struct {
        const char *text, *part;
    } row[] = {
        {"", "keys: "},
        {"{}", "no list"},
        {"{\"keys\":[1]}", "entry 1: no object"},
        {"{\"keys\":[{}]}", "entry 1: id"},
        {"{\"keys\":[{\"id\":\"1234567890123456\"}]}", "entry 1: id"},
        {"{\"keys\":[{\"id\":\"a\"}]}", "entry 1: name"},
        {"{\"keys\":[{\"id\":\"a\",\"name\":\"\",\"sha256\":\"00\"}]}", "entry 1: sha256"},
        {"{\"keys\":[{\"id\":\"a\",\"name\":\"\",\"sha256\":" HASH "}]}", "entry 1: scopes"},
        {"{\"keys\":[{\"id\":\"a\",\"name\":\"\",\"sha256\":" HASH ",\"scopes\":[\"all\"]}]}",
         "entry 1: scopes"},
        {"{\"keys\":[{\"id\":\"a\",\"name\":\"\",\"sha256\":" HASH
         ",\"scopes\":[\"infer\"],\"expires\":-1}]}",
         "entry 1: expires"},
        {"{\"keys\":[{\"id\":\"a\",\"name\":\"\",\"sha256\":" HASH
         ",\"scopes\":[\"infer\"],\"models\":[\"\"]}]}",
         "entry 1: models"},
        {"{\"keys\":[{\"id\":\"a\",\"name\":\"\",\"sha256\":" HASH
         ",\"scopes\":[\"infer\"]},{\"id\":\"a\",\"name\":\"\",\"sha256\":" HASH
         ",\"scopes\":[\"infer\"]}]}",
         "entry 2: id"},
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        struct keyring *r;
        struct err e = {.msg = ""};
        assert_int_not_equal(keyring_parse(&r, row[i].text, strlen(row[i].text), &e), ST_OK);
        if (strstr(e.msg, row[i].part) == NULL) print_error("%s: %s\n", row[i].text, e.msg);
        assert_non_null(strstr(e.msg, row[i].part));
    }
}

static void test_failing_allocations(void **state) {
    (void)state;
    static const char text[] = "{\"keys\":[{\"id\":\"a\",\"name\":\"b\",\"sha256\":" HASH
                               ",\"scopes\":[\"infer\"],\"models\":[\"m\",\"n\"]}]}";
    for (long n = 1; n < 1000; n++) {
        struct keyring *r;
        mem_fail_at(n);
        enum status st = keyring_parse(&r, text, sizeof text - 1, NULL);
        mem_fail_at(0);
        if (st != ST_OK) continue;
        assert_int_equal(r->n, 1);
        assert_int_equal(r->keys[0].n_models, 2);
        keyring_free(r);
        return;
    }
    fail();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sec_CVE_2025_63389_scopes),
        cmocka_unit_test(test_sec_CVE_2025_59425_every_byte_counts),
        cmocka_unit_test(test_sec_S_NET_5_stored_as_hash),
        cmocka_unit_test(test_expiry_and_models),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_bad_files),
        cmocka_unit_test(test_failing_allocations),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
