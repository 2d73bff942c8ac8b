/* cli.c - finds the command, reads its arguments, runs it, and reports how it ended. */
#include "cli/cli.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/config.h"
#include "cli/terminal.h"

const struct command cli_commands[CMD_COUNT] = {
#define COMMAND(id, name, alias, usage, least, most, help, shows)                                  \
    {name, alias, usage, least, most, help, shows, cmd_##id},
#define FLAG(...)
#include "cli/cmds.def"
#undef COMMAND
#undef FLAG
};

static const char *program = "cria";

const char *cli_name(void) { return program; }

const struct command *cli_find(const char *name) {
    for (int i = CMD_root + 1; i < CMD_COUNT; i++) {
        const struct command *c = &cli_commands[i];
        if (strcmp(c->name, name) == 0) return c;
        if (*c->alias != '\0' && strcmp(c->alias, name) == 0) return c;
    }
    return NULL;
}

enum status cli_put(struct buf *out, struct err *e) {
    enum status st = out->failed ? err_no_memory(e) : ST_OK;
    if (st == ST_OK && out->len > 0) terminal_print(stdout, out->data, out->len);
    if (ferror(stdout)) st = err_set(e, ST_IO, "write: standard output");
    if (st == ST_OK && fflush(stdout) != 0) st = err_set(e, ST_IO, "write: standard output");
    buf_free(out);
    return st;
}

void cli_error(const char *prefix, const struct err *e) {
    struct buf text = {0}; /* it may quote a server, a registry, a file */
    terminal_visible(&text, e->msg, strlen(e->msg));
    fprintf(stderr, "%s: %s\n", prefix, text.data != NULL ? text.data : "");
    buf_free(&text);
}

/* ---- the commands that belong to no file of their own ---- */

enum status cmd_root(const struct args *a, struct err *e) {
    if (args_bool(a, "version")) {
        enum status st = config_load(NULL, e);
        return st == ST_OK ? cmd_version(a, e) : st;
    }
    struct buf out = {0};
    help_root(&out);
    return cli_put(&out, e);
}

/* ---- running ---- */

static enum status run_command(const struct command *c, int argc, char **argv, struct err *e) {
    struct args a;
    enum status st = args_parse(&a, c, argc, argv, e);
    if (st == ST_OK && a.help) {
        struct buf out = {0};
        if (c == &cli_commands[CMD_root])
            help_root(&out);
        else
            help_command(&out, c);
        st = cli_put(&out, e);
    } else {
        if (st == ST_OK) st = args_check_count(&a, e);
        if (st == ST_OK && (c->shows & NO_CONFIG) == 0) st = config_load(NULL, e);
        if (st == ST_OK) st = c->run(&a, e);
    }
    args_free(&a);
    return st;
}

/* The first argument that is not a flag names the command; the root's flags may stand before it. */
static enum status dispatch(int argc, char **argv, struct err *e) {
    int at = 1;
    while (at < argc && argv[at][0] == '-') at++;
    if (at >= argc) return run_command(&cli_commands[CMD_root], argc - 1, argv + 1, e);
    const struct command *c = cli_find(argv[at]);
    if (c == NULL)
        return err_set(e, ST_INVALID, "unknown command \"%s\" for \"%s\"", argv[at], program);
    if (at > 1) { /* flags in front: only those that the command has, too, have a meaning */
        char *name = argv[at];
        memmove(argv + 2, argv + 1, (size_t)(at - 1) * sizeof *argv);
        argv[1] = name;
    }
    return run_command(c, argc - 2, argv + 2, e);
}

int cli_main(int argc, char **argv) {
    const char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL;
    const char *base = slash != NULL ? slash + 1 : argc > 0 ? argv[0] : "";
    if (strcmp(base, "ollama") == 0) program = "ollama";
    signal(SIGPIPE, SIG_IGN); /* a reader that went away is an error of write() */
    struct err e = {0};
    enum status st = dispatch(argc, argv, &e);
    terminal_restore();
    if (st == ST_OK || st == ST_CANCELLED) return 0;
    fflush(stdout);
    cli_error("Error", &e);
    return 1;
}
