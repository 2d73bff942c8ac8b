/* repl.h - the parts of the interactive prompt (private to repl*.c). */
#ifndef CRIA_CLI_REPL_H
#define CRIA_CLI_REPL_H

#include "cli/conversation.h"
#include "cli/session.h"

struct repl {
    struct session *session;
    struct conversation talk;
    struct buf system;          /* set with /set system; empty: the model's */
    struct buf draft;           /* what the next line begins with (/edit) */
    int64_t n_prompt, n_answer; /* tokens of the last answer; 0: none yet */
    bool save_history, quit;
};

void repl_set_system(struct repl *r, const char *text);
/* A question and its answer. An error that ends the program, or ST_OK. */
enum status repl_ask(struct repl *r, struct buf *message, struct err *e);
/* Takes back the last question and what followed; its text goes to *text (may be NULL). False:
 * there is none. */
bool repl_take_back(struct repl *r, struct buf *text);

/* A line that begins with '/'. An error ends the program; what the user got wrong is only said. */
enum status repl_command(struct repl *r, const char *line, struct err *e);
enum status repl_set(struct repl *r, char *const *words, size_t n, const char *line, struct err *e);
void repl_show(struct repl *r, char *const *words, size_t n);
void repl_help(const struct repl *r, char *const *words, size_t n);
void repl_help_set(void);
void repl_help_parameters(void);
void repl_help_show(void);

#endif
