/* terminal.h - what the command line wants to know of the terminal, and Ctrl-C.
 *
 * After terminal_catch_interrupt() Ctrl-C only raises a flag; whoever waits (client.c) looks at it.
 * Widths are columns: wide characters (East Asian, emoji) count two, combining marks none. */
#ifndef CRIA_CLI_TERMINAL_H
#define CRIA_CLI_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

bool terminal_is(int fd);
int terminal_width(int fd);  /* columns; 80 if it is no terminal */
int terminal_height(int fd); /* lines; 24 if it is no terminal */

void terminal_catch_interrupt(void);
bool terminal_interrupted(void);
void terminal_clear_interrupt(void);
/* Before the end of the program: the cursor is shown again if a progress display hid it. */
void terminal_restore(void);
void terminal_cursor_hidden(bool hidden);

int char_width(uint32_t cp);
int text_width(const char *s, size_t n);

#endif
