/* cli_args_test.c - command lines against the table of commands, and the help texts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/mem.h"
#include "cli/cli.h"

/* Parses the words (NULL-terminated) for a command. */
static enum status parse(struct args *a, enum command_id id, const char *const *words,
                         struct err *e) {
    int n = 0;
    while (words[n] != NULL) n++;
    return args_parse(a, &cli_commands[id], n, (char *const *)(uintptr_t)words, e);
}

static void check_error(enum command_id id, const char *const *words, const char *want) {
    struct args a;
    struct err e = {0};
    enum status st = parse(&a, id, words, &e);
    if (st == ST_OK) st = args_check_count(&a, &e);
    assert_int_equal(st, ST_INVALID);
    assert_string_equal(e.msg, want);
    args_free(&a);
}
#define ERROR(id, want, ...) check_error(CMD_##id, (const char *const[]){__VA_ARGS__, NULL}, want)

static void test_flags_anywhere(void **state) {
    struct args a;
    const char *words[] = {"m",      "--format=json", "why",       "-o",
                           "seed=1", "--verbose",     "-otop_k=2", "--",
                           "--not",  "-a-flag",       NULL};
    (void)state;
    assert_int_equal(parse(&a, CMD_run, words, NULL), ST_OK);
    assert_int_equal(a.n_words, 4);
    assert_string_equal(a.words[1], "why");
    assert_string_equal(a.words[2], "--not");
    assert_string_equal(args_text(&a, "format", ""), "json");
    assert_true(args_bool(&a, "verbose"));
    assert_false(args_bool(&a, "raw"));
    assert_string_equal(args_nth(&a, "option", 0), "seed=1");
    assert_string_equal(args_nth(&a, "option", 1), "top_k=2");
    assert_null(args_nth(&a, "option", 2));
    assert_null(args_text(&a, "think", NULL));
    args_free(&a);
}

static void test_values(void **state) {
    struct args a;
    const char *words[] = {"m", "--verbose=false", "--think", "--dimensions", "12", "-", NULL};
    (void)state;
    assert_int_equal(parse(&a, CMD_run, words, NULL), ST_OK);
    assert_false(args_bool(&a, "verbose"));
    assert_string_equal(args_text(&a, "think", ""), "true");
    assert_int_equal(args_int(&a, "dimensions", 0), 12);
    assert_int_equal(a.n_words, 2); /* "-" is a word */
    args_free(&a);
}

static void test_help_flag(void **state) {
    struct args a;
    const char *words[] = {"-h", NULL};
    (void)state;
    assert_int_equal(parse(&a, CMD_run, words, NULL), ST_OK);
    assert_true(a.help);
    args_free(&a);
}

static void test_errors(void **state) {
    (void)state;
    ERROR(run, "unknown flag: --x", "--x");
    ERROR(run, "unknown flag: --x", "--x=1");
    ERROR(run, "unknown shorthand flag: 'x' in -x", "-x");
    ERROR(run, "flag needs an argument: --format", "m", "--format");
    ERROR(create, "flag needs an argument: 'f' in -f", "m", "-f");
    ERROR(run,
          "invalid argument \"q\" for \"--dimensions\" flag: strconv.ParseInt: parsing \"q\": "
          "invalid syntax",
          "--dimensions", "q");
    ERROR(bench,
          "invalid argument \"99999999999999999999\" for \"-p, --prompt\" flag: strconv.ParseInt: "
          "parsing \"99999999999999999999\": value out of range",
          "-p", "99999999999999999999");
    ERROR(
        run,
        "invalid argument \"maybe\" for \"--verbose\" flag: strconv.ParseBool: parsing \"maybe\": "
        "invalid syntax",
        "--verbose=maybe");
    ERROR(cp, "accepts 2 arg(s), received 1", "a");
    ERROR(show, "accepts 1 arg(s), received 2", "a", "b");
    ERROR(rm, "requires at least 1 arg(s), only received 0", "--");
}

static void test_commands(void **state) {
    (void)state;
    assert_ptr_equal(cli_find("ls"), cli_find("list"));
    assert_ptr_equal(cli_find("start"), cli_find("serve"));
    assert_null(cli_find(""));
    assert_ptr_equal(cli_find("login"), cli_find("signin"));
}

static void test_help(void **state) {
    struct buf out = {0};
    (void)state;
    help_command(&out, cli_find("stop"));
    assert_string_equal(out.data,
                        "Stop a running model\n\nUsage:\n  cria stop MODEL [flags]\n\nFlags:\n"
                        "  -h, --help   help for stop\n\nEnvironment Variables:\n"
                        "      OLLAMA_HOST                   Address of the server (default "
                        "127.0.0.1:11434)\n"
                        "      OLLAMA_API_KEY                Key for a server that asks for one\n");
    buf_clear(&out);
    help_command(&out, cli_find("list"));
    assert_non_null(strstr(out.data, "\n\nAliases:\n  list, ls\n\n"));
    buf_clear(&out);
    help_root(&out);
    assert_non_null(strstr(out.data, "\nAvailable Commands:\n  serve        Start the server\n"));
    assert_non_null(strstr(out.data, "Use \"cria [command] --help\" for more information about a "
                                     "command.\n"));
    buf_free(&out);
}

static void test_no_memory(void **state) {
    const char *words[] = {"m", "--verbose", "-o", "a=1", NULL};
    const long before = mem_live();
    (void)state;
    for (long n = 1;; n++) {
        struct args a;
        struct err e = {0};
        mem_fail_at(n);
        const enum status st = parse(&a, CMD_run, words, &e);
        mem_fail_at(0);
        args_free(&a);
        assert_int_equal(mem_live(), before);
        if (st == ST_OK) break;
        assert_int_equal(st, ST_NO_MEMORY);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_flags_anywhere), cmocka_unit_test(test_values),
        cmocka_unit_test(test_help_flag),      cmocka_unit_test(test_errors),
        cmocka_unit_test(test_commands),       cmocka_unit_test(test_help),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
