/* config_test.c - layers and origins, checks, suggestions, the file: where it is found, what it may
 * say, that a bad one changes nothing, that it can be read again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/config.h"
#include "base/duration.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/os.h"

static char folder[] = "/tmp/cria-config-test-XXXXXX";
static char file[64];

static int setup(void **state) {
    (void)state;
    log_set_level(LOG_ERROR);
    if (mkdtemp(folder) == NULL) return -1;
    snprintf(file, sizeof file, "%s/cria.toml", folder);
    return 0;
}

static int teardown(void **state) {
    char command[64];
    (void)state;
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

static void write_file(const char *text) {
    assert_int_equal(os_file_write_atomic(file, text, strlen(text), NULL), ST_OK);
}

static enum status load(const char *text, struct err *e) {
    write_file(text);
    return config_load(file, e);
}

static void check_origin(enum setting id, const char *text, const char *origin) {
    struct setting_value v;
    struct buf b = {0};
    config_get(id, &v);
    config_put_origin(&b, id, &v);
    assert_string_equal(v.text, text);
    assert_string_equal(b.data, origin);
    buf_free(&b);
}

static void test_layers(void **state) {
    char origin[80];
    struct err e = {0};
    (void)state;
    check_origin(SET_keep_alive, "5m", "default");
    assert_false(config_is_set(SET_keep_alive));
    assert_int_equal(load("# mine\nkeep_alive = 30 # seconds\n", &e), ST_OK);
    snprintf(origin, sizeof origin, "%s:2", file);
    check_origin(SET_keep_alive, "30", origin);
    assert_true(config_ns(SET_keep_alive) == 30000000000);
    setenv("OLLAMA_KEEP_ALIVE", "40s", 1);
    check_origin(SET_keep_alive, "40s", "OLLAMA_KEEP_ALIVE");
    setenv("CRIA_KEEP_ALIVE", " '50s' ", 1);
    check_origin(SET_keep_alive, "50s", "CRIA_KEEP_ALIVE");
    assert_int_equal(config_set_pair("keep_alive=60s", &e), ST_OK);
    check_origin(SET_keep_alive, "60s", "--set");
    assert_true(config_is_set(SET_keep_alive));
    unsetenv("OLLAMA_KEEP_ALIVE");
    unsetenv("CRIA_KEEP_ALIVE");
}

/* What cannot be read in the environment is as if nobody had said anything. */
static void test_bad_environment(void **state) {
    struct setting_value v;
    struct err e = {0};
    (void)state;
    assert_int_equal(load("max_queue = 7\n", &e), ST_OK);
    assert_int_equal(config_uint(SET_max_queue), 7);
    setenv("OLLAMA_MAX_QUEUE", "many", 1);
    assert_int_equal(config_uint(SET_max_queue), 512);
    config_get(SET_max_queue, &v);
    assert_int_equal(v.problem.code, ST_INVALID);
    assert_string_equal(v.problem.msg, "max_queue: 'many' is no number from 0 up");
    unsetenv("OLLAMA_MAX_QUEUE");
    assert_int_equal(config_uint(SET_max_queue), 7);
}

static void test_kinds(void **state) {
    static const struct {
        enum setting id;
        const char *text;
        bool good;
    } row[] = {
        {SET_noprune, "true", true},
        {SET_noprune, "0", true},
        {SET_noprune, "yes", false},
        {SET_max_queue, "18446744073709551615", true},
        {SET_max_queue, "18446744073709551616", false},
        {SET_max_queue, "-1", false},
        {SET_max_queue, "+1", false},
        {SET_max_queue, "", false},
        {SET_keep_alive, "1h30m", true},
        {SET_keep_alive, "-1", true},
        {SET_keep_alive, "5 minutes", false},
        {SET_kv_cache_type, "q8_0", true},
        {SET_kv_cache_type, "Q8_0", true},
        {SET_kv_cache_type, "q8", false},
        {SET_kv_cache_type, "f16|f32", false},
        {SET_kv_cache_type, "", false},
        {SET_debug, "2", true},
        {SET_debug, "TRUE", true},
        {SET_debug, "much", false},
        {SET_host, "anything at all", true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        struct err e = {0};
        const enum status st = config_check(row[i].id, row[i].text, &e);
        assert_int_equal(st, row[i].good ? ST_OK : ST_INVALID);
    }
}

static void test_timeouts(void **state) {
    (void)state;
    setenv("CRIA_STALL_TIMEOUT", "0", 1);
    assert_true(config_ns(SET_stall_timeout) == DURATION_FOREVER);
    setenv("CRIA_STALL_TIMEOUT", "1m", 1);
    assert_true(config_ns(SET_stall_timeout) == 60000000000);
    unsetenv("CRIA_STALL_TIMEOUT");
    assert_true(config_ns(SET_stall_timeout) == 30000000000);
}

/* The defaults of the table are values of their kinds, and names are spelled as the file wants. */
static void test_table(void **state) {
    (void)state;
    for (int i = 0; i < SETTING_COUNT; i++) {
        const struct setting_info *s = &config_settings[i];
        enum setting found;
        struct err e = {0};
        if (*s->fallback != '\0')
            assert_int_equal(config_check((enum setting)i, s->fallback, &e), ST_OK);
        assert_true(config_find(s->name, &found) && (int)found == i);
        assert_int_equal(strspn(s->name, "abcdefghijklmnopqrstuvwxyz0123456789_"), strlen(s->name));
        assert_true((s->kind == SET_CHOICE) == (*s->choices != '\0'));
    }
}

static void test_suggestions(void **state) {
    static const char *const row[][2] = {
        {"hots", "host"},
        {"keepalive", "keep_alive"},
        {"OLLAMA_HOST", "host"},
        {"CRIA_Log", "log"},
        {"keep-alive", "keep_alive"},
        {"orgins", "origins"},
        {"max_quue", "max_queue"},
        {"zzz", NULL},
        {"", NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        const char *near = config_nearest(row[i][0]);
        if (row[i][1] == NULL)
            assert_null(near);
        else
            assert_string_equal(near, row[i][1]);
    }
    char text[200]; /* longer than any name */
    memset(text, 'k', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    assert_null(config_nearest(text));
}

static void test_file(void **state) {
    static const char *const bad[][2] = {
        {"hots = 'x'", "line 1, column 1: unknown setting 'hots'; did you mean 'host'?"},
        {"[server]\nhost = 'x'", "line 1, column 1: unknown table 'server'"},
        {"log.host = 'x'", "line 1, column 1: unknown setting 'log.host'; did you mean 'host'?"},
        {"\n  max_queue = 'x'", "line 2, column 15: max_queue is a number, and not a string"},
        {"max_queue = -1", "line 1, column 13: max_queue: '-1' is no number from 0 up"},
        {"host = 1", "line 1, column 8: host is a text, and not an integer"},
        {"noprune = 'true'", "line 1, column 11: noprune is a bool, and not a string"},
        {"origins = ['http://a', 3]",
         "line 1, column 24: origins is a list of texts without commas"},
        {"origins = ['a,b']", "line 1, column 12: origins is a list of texts without commas"},
        {"log = 'loud'", "line 1, column 7: log: 'loud' is none of debug|info|warn|error"},
        {"keep_alive = '5x'",
         "line 1, column 14: keep_alive: time: unknown unit \"x\" in duration \"5x\""},
        {"keep_alive = '5m", "line 1, column 14: the string has no end on its line"},
    };
    struct err e = {0};
    char want[256];
    (void)state;
    assert_int_equal(load("origins = ['http://a', 'http://b']\nnoprune = true\ndebug = 1\n", &e),
                     ST_OK);
    assert_string_equal(config_text(SET_origins), "http://a,http://b");
    assert_true(config_bool(SET_noprune));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_not_equal(load(bad[i][0], &e), ST_OK);
        snprintf(want, sizeof want, "%s: %s", file, bad[i][1]);
        assert_string_equal(e.msg, want);
        assert_string_equal(config_text(SET_origins), "http://a,http://b");
    }
    assert_int_equal(load("", &e), ST_OK);
    assert_null(config_text(SET_origins));
    assert_string_equal(config_loaded(), file);
}

static void test_search(void **state) {
    char text[128];
    bool named;
    struct err e = {0};
    char *home = strdup(getenv("HOME") != NULL ? getenv("HOME") : "/");
    (void)state;
    setenv("HOME", folder, 1);
    unsetenv("XDG_CONFIG_HOME");
    unsetenv("CRIA_CONFIG");
    snprintf(text, sizeof text, "%s/.config/cria", folder);
    assert_int_equal(os_mkdirs(text, NULL), ST_OK);
    strcat(text, "/cria.toml");
    assert_int_equal(os_file_write_atomic(text, "max_queue = 1\n", 14, NULL), ST_OK);
    assert_string_equal(config_path(&named), text);
    assert_false(named);
    snprintf(text, sizeof text, "%s/xdg/cria", folder);
    setenv("XDG_CONFIG_HOME", "relative/is/ignored", 1);
    assert_non_null(strstr(config_path(&named), "/.config/cria/cria.toml"));
    assert_int_equal(os_mkdirs(text, NULL), ST_OK);
    strcat(text, "/cria.toml");
    assert_int_equal(os_file_write_atomic(text, "max_queue = 2\n", 14, NULL), ST_OK);
    snprintf(text, sizeof text, "%s/xdg", folder);
    setenv("XDG_CONFIG_HOME", text, 1);
    assert_int_equal(config_load(NULL, &e), ST_OK);
    assert_int_equal(config_uint(SET_max_queue), 2);
    setenv("CRIA_CONFIG", "/nowhere/cria.toml", 1); /* what the user names must be there */
    assert_int_equal(config_load(NULL, &e), ST_NOT_FOUND);
    assert_int_equal(config_uint(SET_max_queue), 2);
    unsetenv("CRIA_CONFIG");
    unsetenv("XDG_CONFIG_HOME");
    setenv("HOME", home, 1);
    free(home);
}

static void test_no_memory(void **state) {
    const long before = mem_live();
    (void)state;
    write_file("origins = ['http://a']\nhost = 'h'\n");
    for (long n = 1;; n++) {
        struct err e = {0};
        mem_fail_at(n);
        const enum status st = config_load(file, &e);
        mem_fail_at(0);
        assert_int_equal(mem_live(), before);
        if (st == ST_OK) break;
        assert_int_equal(st, ST_NO_MEMORY);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad_environment),
        cmocka_unit_test(test_timeouts),
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_suggestions),
        cmocka_unit_test(test_search),
        cmocka_unit_test(test_file),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_layers), /* last: the layer of flags stays */
    };
    /* The user's own. */
    unsetenv("CRIA_CONFIG");
    for (int i = 0; i < SETTING_COUNT; i++)
        for (int ollama = 0; ollama < 2; ollama++) {
            struct buf name = {0};
            config_put_variable(&name, (enum setting)i, ollama == 1);
            unsetenv(name.data);
            buf_free(&name);
        }
    return cmocka_run_group_tests(tests, setup, teardown);
}
