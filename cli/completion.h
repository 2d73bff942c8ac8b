/* completion.h - completion scripts for shells, made from the tables of commands and flags.
 *
 * What a command takes follows from its usage text: MODEL, SOURCE and PREFIX are names of models,
 * which the script asks the server for (`cria list`, silently nothing if there is none); COMMAND is
 * a command, CLIENT a row of clients.def, a|b|c one of these words; anything else is a file. */
#ifndef CRIA_CLI_COMPLETION_H
#define CRIA_CLI_COMPLETION_H

#include "base/buf.h"

void completion_bash(struct buf *out);
void completion_zsh(struct buf *out);
void completion_fish(struct buf *out);

#endif
