/* template_check.h - what a model will see: a sample conversation, rendered by the server. */
#ifndef CRIA_CLI_TEMPLATE_CHECK_H
#define CRIA_CLI_TEMPLATE_CHECK_H

#include "base/json.h"
#include "cli/client.h"

/* shown: the answer of /api/show. Prints to stdout; a prompt that cannot be rendered is told and
 * makes the result ST_INVALID after the others have been tried. */
enum status template_check(struct client *c, const char *model, const json *shown, struct err *e);

#endif
