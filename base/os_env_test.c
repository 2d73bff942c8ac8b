/* os_env_test.c - the environment, processors, memory in use. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/os.h"

static int clear(void **state) {
    (void)state;
    unsetenv("CRIA_TEST");
    unsetenv("OLLAMA_TEST");
    return 0;
}

static void check_env(const char *value, const char *want) {
    setenv("OLLAMA_TEST", value, 1);
    const char *got = os_env("TEST");
    if (want == NULL)
        assert_null(got);
    else
        assert_string_equal(got, want);
}

static void test_trimmed(void **state) {
    (void)state;
    assert_null(os_env("TEST"));
    check_env("", NULL);
    check_env(" \t\n", NULL);
    check_env("plain", "plain");
    check_env("  spaced out \r\n", "spaced out");
    check_env("\"quoted\"", "quoted");
    check_env("'single'", "single");
    check_env(" \"'both'\" ", "both");
    check_env("\"\"", NULL);
    check_env("\" inner \"", " inner ");
    check_env("in\"side", "in\"side");
}

static void test_cria_wins(void **state) {
    (void)state;
    setenv("OLLAMA_TEST", "ollama", 1);
    assert_string_equal(os_env("TEST"), "ollama");
    setenv("CRIA_TEST", "cria", 1);
    assert_string_equal(os_env("TEST"), "cria");
    setenv("CRIA_TEST", " ", 1);
    assert_string_equal(os_env("TEST"), "ollama");
}

/* Earlier answers stay valid, and equal answers are stored once. */
static void test_texts_last(void **state) {
    (void)state;
    setenv("CRIA_TEST", "'one'", 1);
    const char *one = os_env("TEST");
    setenv("CRIA_TEST", "'two'", 1);
    assert_string_equal(os_env("TEST"), "two");
    assert_string_equal(one, "one");
    setenv("CRIA_TEST", "'one'", 1);
    assert_ptr_equal(os_env("TEST"), one);
}

static void *read_often(void *arg) {
    (void)arg;
    for (int i = 0; i < 1000; i++)
        if (strcmp(os_env("TEST"), "shared") != 0) return NULL;
    return (void *)1;
}

static void test_threads(void **state) {
    (void)state;
    pthread_t thread[3];
    setenv("CRIA_TEST", "\"shared\"", 1);
    for (int i = 0; i < 3; i++) pthread_create(&thread[i], NULL, read_often, NULL);
    for (int i = 0; i < 3; i++) {
        void *ok = NULL;
        pthread_join(thread[i], &ok);
        assert_non_null(ok);
    }
}

static void test_machine(void **state) {
    (void)state;
    unsigned n = os_cpu_count();
    assert_in_range(n, 1, (unsigned)sysconf(_SC_NPROCESSORS_CONF));
    size_t before = os_rss_bytes();
    assert_true(before > 100000);
    size_t size = (size_t)32 << 20;
    char *p = malloc(size);
    assert_non_null(p);
    memset(p, 1, size);
    assert_true(p[size / 2] == 1 && os_rss_bytes() >= before + size / 2);
    free(p);
    assert_true(os_rss_peak_bytes() >= size);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_trimmed, clear),
        cmocka_unit_test_setup(test_cria_wins, clear),
        cmocka_unit_test_setup(test_texts_last, clear),
        cmocka_unit_test_setup(test_threads, clear),
        cmocka_unit_test(test_machine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
