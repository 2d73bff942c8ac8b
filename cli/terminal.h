/* terminal.h - what the command line wants to know of the terminal, and Ctrl-C.
 *
 * After terminal_catch_interrupt() Ctrl-C only raises a flag; whoever waits (client.c) looks at it.
 * Widths are columns: wide characters (East Asian, emoji) count two, combining marks none. */
#ifndef CRIA_CLI_TERMINAL_H
#define CRIA_CLI_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/buf.h"

bool terminal_is(int fd);
int terminal_width(int fd);  /* columns; 80 if it is no terminal */
int terminal_height(int fd); /* lines; 24 if it is no terminal */

void terminal_catch_interrupt(void);
bool terminal_interrupted(void);
void terminal_clear_interrupt(void);
/* Before the end of the program: the cursor is shown again if a progress display hid it. */
void terminal_restore(void);
void terminal_cursor_hidden(bool hidden);

/* Whether escape sequences make sense there: a terminal, and TERM does not say that it is dumb. */
bool terminal_dumb(void);
bool terminal_colors(int fd); /* and the user has not set NO_COLOR */

/* Text from models and servers, which must not drive the terminal (S-PA-11): control characters
 * but newline and tab, and what is not UTF-8, as \x1b; the rest as it is. */
void terminal_visible(struct buf *out, const char *s, size_t n);
/* Writes it that way if the stream is a terminal; a file or pipe gets the bytes themselves. */
void terminal_print(FILE *f, const char *s, size_t n);

int char_width(uint32_t cp);
int text_width(const char *s, size_t n);

#endif
