/* repl.h - the parts of the interactive prompt (private to repl*.c). */
#ifndef CRIA_CLI_REPL_H
#define CRIA_CLI_REPL_H

#include "cli/session.h"

struct repl {
    struct session *session;
    struct buf messages; /* JSON objects separated by commas: the conversation */
    size_t last_message; /* where the last one begins */
    bool last_is_system;
    struct buf system; /* set with /set system; empty: the model's */
    bool save_history, quit;
};

void repl_add_message(struct repl *r, const char *role, const struct buf *content,
                      const struct buf *thinking);
void repl_set_system(struct repl *r, const char *text);
/* A line that begins with '/'. An error ends the program; what the user got wrong is only said. */
enum status repl_command(struct repl *r, const char *line, struct err *e);
enum status repl_set(struct repl *r, char **words, size_t n, const char *line, struct err *e);
void repl_help(const struct repl *r, char **words, size_t n);
void repl_help_set(void);
void repl_help_parameters(void);
void repl_help_show(void);

/* ---- lines from the terminal (line.c) ---- */

struct line_reader;
struct line_reader *line_open(void); /* NULL: no memory or no terminal */
/* A line without its newline, or NULL: *interrupted tells Ctrl-C from the end of the input. The
 * text is valid until the next call. */
const char *line_read(struct line_reader *l, const char *prompt, bool *interrupted);
void line_remember(struct line_reader *l, const char *entry, bool save);
void line_close(struct line_reader *l);

#endif
