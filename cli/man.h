/* man.h - manual pages in roff (man(7)), made from the tables of commands, flags and settings.
 * Every text of a table is escaped: a leading dot or a backslash in it is only text. */
#ifndef CRIA_CLI_MAN_H
#define CRIA_CLI_MAN_H

#include "cli/cli.h"

void man_command(struct buf *out, const struct command *c); /* cria(1) for the root */
void man_config(struct buf *out);                           /* cria.toml(5) */

#endif
