/* listing.h - tables of models: what `list`, `ps` and the prompt's /list have in common. */
#ifndef CRIA_CLI_LISTING_H
#define CRIA_CLI_LISTING_H

#include "cli/cli.h"
#include "cli/client.h"
#include "cli/table.h"

struct listing {
    const char *path;          /* route that answers {"models": [...]} */
    const char *const *header; /* column titles, ends with NULL */
    void (*put_row)(struct table *t, const json *model, const char *name);
};
extern const struct listing listing_stored, listing_loaded;

/* The table of the models whose name begins with the prefix, without regard to case. */
enum status listing_put(const struct listing *l, struct client *c, const char *prefix,
                        struct buf *out, struct err *e);
/* The whole command: the prefix is its argument. */
enum status listing_command(const struct listing *l, const struct args *a, struct err *e);
/* First 12 digits of a model's digest. */
void listing_id(struct buf *out, const json *model);

#endif
