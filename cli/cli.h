/* cli.h - the command line: one table of commands, one function for each.
 *
 * cmds.def lists commands and flags; args.c reads a command line against it, help.c prints it, and
 * cmd_NAME.c does the work. A command returns a status; main prints `Error: MESSAGE` and exits with
 * 1, or with 0 for ST_OK and ST_CANCELLED (Ctrl-C is a way to end, not a failure). Everything here
 * runs in the main thread. */
#ifndef CRIA_CLI_CLI_H
#define CRIA_CLI_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/version.h"

struct args;
typedef enum status command_fn(const struct args *a, struct err *e);

enum command_id {
#define COMMAND(id, ...) CMD_##id,
#define FLAG(...)
#include "cli/cmds.def"
#undef COMMAND
#undef FLAG
    CMD_COUNT
};

struct command {
    const char *name, *alias; /* alias "" if none */
    const char *usage;        /* what stands behind the name: "MODEL [PROMPT]" */
    int min, max;             /* positional arguments; max -1: any number */
    const char *help;
    unsigned shows; /* enum help_section bits: variables that the help lists */
    command_fn *run;
};
extern const struct command cli_commands[CMD_COUNT];

enum flag_kind {
    FLAG_BOOL,
    FLAG_TEXT,
    FLAG_INT,
    FLAG_LIST,  /* may be given several times */
    FLAG_LEVEL, /* text that may be left out: then "true" */
};
struct flag {
    enum command_id command;
    char letter; /* 0: none */
    const char *name;
    enum flag_kind kind;
    const char *shown; /* default as the help shows it, "" if none */
    const char *help;
};
extern const struct flag cli_flags[];
extern const size_t cli_n_flags;

/* ---- a command line ---- */

struct arg_value {
    const struct flag *flag;
    const char *text;
};
struct args { /* texts are borrowed from argv */
    const struct command *command;
    const char **words; /* positional arguments; owned, args_free */
    size_t n_words;
    struct arg_value *values; /* owned; in order of appearance */
    size_t n_values;
    bool help; /* -h or --help was given */
};
/* Reads what stands behind the command's name. ST_INVALID with the texts of spec/cli.md 1. */
enum status args_parse(struct args *a, const struct command *c, int argc, char *const *argv,
                       struct err *e);
enum status args_check_count(const struct args *a, struct err *e);
void args_free(struct args *a); /* a zeroed one is fine */

/* The flag must be one of the command's (assert). Text: the last one given, else fallback. */
const char *args_text(const struct args *a, const char *name, const char *fallback);
bool args_bool(const struct args *a, const char *name);
int64_t args_int(const struct args *a, const char *name, int64_t fallback);
/* The i-th value of a list flag, NULL behind the last. */
const char *args_nth(const struct args *a, const char *name, size_t i);

/* ---- help ---- */

enum help_section { /* settings that the help lists: enum setting_mark has the same bits */
                    ENV_NONE = 0,
                    ENV_HOST = 1,
                    ENV_RUN = 2,
                    ENV_SERVE = 4,
                    ENV_STORE = 8,
                    HIDDEN = 16,    /* not in the root's help */
                    NO_CONFIG = 32, /* cria.toml is not read before: it may be broken, or the
                                       command reads it */
};
void help_root(struct buf *out);
void help_command(struct buf *out, const struct command *c);

/* ---- the program ---- */

/* "cria", or "ollama" if it was called by that name. */
const char *cli_name(void);
const struct command *cli_find(const char *name); /* by name or alias; NULL */
int cli_main(int argc, char **argv);

/* "PREFIX: message" on stderr, control characters shown escaped. */
void cli_error(const char *prefix, const struct err *e);
/* Writes all of the buffer to stdout and frees it; ST_NO_MEMORY if it had failed. */
enum status cli_put(struct buf *out, struct err *e);

command_fn
#define COMMAND(id, ...) cmd_##id,
#define FLAG(...)
#include "cli/cmds.def"
#undef COMMAND
#undef FLAG
    cmd_version;

#endif
