/* listing.h - the tables of `list` and /list. */
#ifndef CRIA_CLI_LISTING_H
#define CRIA_CLI_LISTING_H

#include "cli/client.h"

/* Models whose name begins with the prefix, without regard to case. */
enum status listing_models(struct client *c, const char *prefix, struct buf *out, struct err *e);
/* First 12 digits of a model's digest. */
void listing_id(struct buf *out, const json *model);

#endif
