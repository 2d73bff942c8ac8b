/* history.h - the file of earlier prompts: `history` in ~/.ollama if that exists, else in ~/.cria;
 * mode 0600, one line per entry, the last 100, written to history.tmp and renamed
 * (spec/cli.md 4.3).
 */
#ifndef CRIA_CLI_HISTORY_H
#define CRIA_CLI_HISTORY_H

#include <histedit.h>

enum { HISTORY_LEN = 100 };

/* The file's entries become entries of h. */
void history_load(History *h);
/* Newlines inside an entry become blanks. What fails here is not worth a word. */
void history_save(History *h);

#endif
