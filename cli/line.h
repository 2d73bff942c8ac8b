/* line.h - lines from the terminal, through libedit (spec/cli.md 4.1, 4.3).
 *
 * Enter ends a line; Ctrl-J and pasted newlines are part of it. One reader per process, in the main
 * thread. What is typed between two calls waits, unseen; line_close leaves the terminal as
 * line_open found it. */
#ifndef CRIA_CLI_LINE_H
#define CRIA_CLI_LINE_H

#include <stdbool.h>

struct line_reader;
struct line_reader *line_open(void); /* NULL: no memory or no terminal */
void line_close(struct line_reader *l);

enum line_end {
    LINE_DONE,
    LINE_END,     /* Ctrl-D on an empty line, or the terminal is gone */
    LINE_DROPPED, /* Ctrl-C on a line with something in it */
    LINE_EMPTIED, /* Ctrl-C on an empty line */
};
struct line_request {
    const char *prompt;
    const char *placeholder; /* shown in grey while the line is empty; where colours are */
    const char *text;        /* what the line begins with, to be edited; NULL: nothing */
};
/* *line: without its newline; valid until the next call. */
enum line_end line_read(struct line_reader *l, const struct line_request *r, const char **line);
void line_remember(struct line_reader *l, const char *entry, bool save);

#endif
