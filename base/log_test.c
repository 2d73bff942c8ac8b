/* log_test.c - the form of a line, levels, hostile messages. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"

static int saved_stderr = -1, pipe_end = -1;

static void capture(void) {
    int end[2];
    assert_int_equal(pipe(end), 0);
    saved_stderr = dup(STDERR_FILENO);
    dup2(end[1], STDERR_FILENO);
    close(end[1]);
    pipe_end = end[0];
    fcntl(pipe_end, F_SETFL, O_NONBLOCK);
}

/* What was written since capture(). */
static size_t captured(char *out, size_t room) {
    dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
    size_t n = 0;
    ssize_t got;
    while (n + 1 < room && (got = read(pipe_end, out + n, room - 1 - n)) > 0) n += (size_t)got;
    close(pipe_end);
    out[n] = '\0';
    return n;
}

static void test_form(void **state) {
    (void)state;
    char out[4096];
    log_set_level(LOG_INFO);
    capture();
    log_debug("test", "not shown");
    log_info("engine", "loaded %d tensors", 7);
    captured(out, sizeof out);
    assert_memory_equal(out, "time=20", 7);
    assert_string_equal(strstr(out, " level="),
                        " level=INFO source=engine msg=\"loaded 7 tensors\"\n");
}

static void test_levels(void **state) {
    (void)state;
    char out[4096];
    for (enum log_level set = LOG_DEBUG; set <= LOG_ERROR; set++) {
        log_set_level(set);
        assert_int_equal(log_get_level(), set);
        capture();
        log_debug("t", "m");
        log_info("t", "m");
        log_warn("t", "m");
        log_error("t", "m");
        captured(out, sizeof out);
        int lines = 0;
        for (const char *p = out; (p = strchr(p, '\n')) != NULL; p++) lines++;
        assert_int_equal(lines, LOG_ERROR - set + 1);
    }
}

/* One call, one line, whatever the message holds. */
static void test_hostile_message(void **state) {
    (void)state;
    char out[32 * 1024], longer[10000];
    capture();
    log_error("t", "a\nlevel=\"x\"\t\\ \x1b[31m \x7f %s", "\xC3\xA9");
    captured(out, sizeof out);
    assert_string_equal(strstr(out, "msg="),
                        "msg=\"a\\nlevel=\\\"x\\\"\\t\\\\ \\x1b[31m \\x7f \xC3\xA9\"\n");
    memset(longer, 1, sizeof longer - 1); /* every byte takes four */
    longer[sizeof longer - 1] = '\0';
    capture();
    log_error(longer, "%s", longer);
    size_t n = captured(out, sizeof out);
    assert_true(n > 4000 && n < sizeof out - 1);
    assert_string_equal(out + n - 2, "\"\n");
}

static void *write_lines(void *arg) {
    for (int i = 0; i < 100; i++) log_error("t", "thread %s", (const char *)arg);
    return NULL;
}

static void test_threads_do_not_mix_lines(void **state) {
    (void)state;
    static char out[64 * 1024], name_a[] = "aaaaaaaa", name_b[] = "bbbbbbbb";
    pthread_t a, b;
    capture();
    pthread_create(&a, NULL, write_lines, name_a);
    pthread_create(&b, NULL, write_lines, name_b);
    pthread_join(a, NULL);
    pthread_join(b, NULL);
    captured(out, sizeof out);
    int lines = 0;
    for (char *line = out, *end; (end = strchr(line, '\n')) != NULL; line = end + 1, lines++) {
        *end = '\0';
        const char *msg = strstr(line, " msg=");
        assert_non_null(msg);
        assert_true(strcmp(msg, " msg=\"thread aaaaaaaa\"") == 0 ||
                    strcmp(msg, " msg=\"thread bbbbbbbb\"") == 0);
    }
    assert_int_equal(lines, 200);
}

/* The level of a fresh process with NAME=VALUE and log_set_level(LOG_INFO). */
static int level_with(const char *name, const char *value) {
    pid_t pid = fork();
    if (pid == 0) {
        setenv(name, value, 1);
        log_set_level(LOG_INFO);
        _exit((int)log_get_level());
    }
    int status = -1;
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void test_environment(void **state) {
    (void)state;
    static const struct {
        const char *name, *value;
        int level;
    } row[] = {
        {"CRIA_LOG", "error", LOG_ERROR},   {"CRIA_LOG", "debug", LOG_DEBUG},
        {"CRIA_LOG", "nonsense", LOG_INFO}, {"OLLAMA_DEBUG", "1", LOG_DEBUG},
        {"OLLAMA_DEBUG", "2", LOG_DEBUG},   {"OLLAMA_DEBUG", " True ", LOG_DEBUG},
        {"OLLAMA_DEBUG", "0", LOG_INFO},    {"OLLAMA_DEBUG", "", LOG_INFO},
        {"OLLAMA_DEBUG", "yes", LOG_INFO},  {"OLLAMA_DEBUG", "\"0\"", LOG_INFO},
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++)
        assert_int_equal(level_with(row[i].name, row[i].value), row[i].level);
}

int main(void) {
    unsetenv("CRIA_LOG");
    unsetenv("OLLAMA_LOG");
    unsetenv("CRIA_DEBUG");
    unsetenv("OLLAMA_DEBUG");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_environment), /* first: the level is looked up once per process */
        cmocka_unit_test(test_form),
        cmocka_unit_test(test_levels),
        cmocka_unit_test(test_hostile_message),
        cmocka_unit_test(test_threads_do_not_mix_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
