/* digest_test.c - known answers, streaming, files, missing memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/mem.h"

/* Known answers: the examples that come with FIPS 180-4. */
static const char empty_hex[] = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
static const char abc_hex[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
static const char million_hex[] =
    "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"; /* "a" * 1000000 */

static void test_known_answers(void **state) {
    (void)state;
    char hex[DIGEST_HEX + 1];
    assert_int_equal(digest_of("", 0, hex, NULL), ST_OK);
    assert_string_equal(hex, empty_hex);
    assert_int_equal(digest_of(NULL, 0, hex, NULL), ST_OK);
    assert_string_equal(hex, empty_hex);
    assert_int_equal(digest_of("abc", 3, hex, NULL), ST_OK);
    assert_string_equal(hex, abc_hex);
}

static void test_pieces(void **state) {
    (void)state;
    char piece[1000], hex[DIGEST_HEX + 1];
    unsigned char raw[DIGEST_BYTES];
    memset(piece, 'a', sizeof piece);
    struct digest *d = digest_new();
    assert_non_null(d);
    for (int i = 0; i < 1000; i++) {
        digest_update(d, piece, 999);
        digest_update(d, piece, 1);
        digest_update(d, NULL, 0);
    }
    digest_finish(d, raw);
    digest_hex(raw, hex);
    assert_string_equal(hex, million_hex);
    digest_cancel(NULL);
    digest_cancel(digest_new());
}

static void test_file(void **state) {
    (void)state;
    char path[] = "/tmp/cria-digest-XXXXXX", hex[DIGEST_HEX + 1];
    struct err e;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(digest_of_file(path, hex, &e), ST_OK);
    assert_string_equal(hex, empty_hex);
    FILE *f = fdopen(fd, "w");
    assert_non_null(f);
    for (int i = 0; i < 1000000; i++) putc('a', f); /* several chunks */
    fclose(f);
    assert_int_equal(digest_of_file(path, hex, &e), ST_OK);
    assert_string_equal(hex, million_hex);
    unlink(path);
    assert_int_equal(digest_of_file(path, hex, &e), ST_NOT_FOUND);
    assert_non_null(strstr(e.msg, path));
    assert_int_equal(digest_of_file("/tmp", hex, &e), ST_INVALID);
}

static void test_no_memory(void **state) {
    (void)state;
    char path[] = "/tmp/cria-digest-XXXXXX", hex[DIGEST_HEX + 1];
    close(mkstemp(path));
    long before = mem_live(), n = 1;
    for (;; n++) {
        struct err e = {0};
        mem_fail_at(n);
        enum status st = digest_of_file(path, hex, &e);
        mem_fail_at(0);
        assert_int_equal(mem_live(), before);
        if (st == ST_OK) break;
        assert_int_equal(st, ST_NO_MEMORY);
        assert_int_equal(e.code, ST_NO_MEMORY);
    }
    assert_true(n > 1);
    unlink(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_answers),
        cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_file),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
