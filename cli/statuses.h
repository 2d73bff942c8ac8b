/* statuses.h - calls whose answer is a stream of {"status", "digest", "total", "completed"}:
 * create, pull, push. Shown as spinners and bars. */
#ifndef CRIA_CLI_STATUSES_H
#define CRIA_CLI_STATUSES_H

#include "base/buf.h"
#include "base/err.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/progress.h"

/* POSTs the body; p may be NULL. */
enum status statuses_post(struct client *c, const char *path, const struct buf *body,
                          struct progress *p, struct err *e);

/* The same for {"model": model}, with a display of its own. */
enum status statuses_model(struct client *c, const char *path, const char *model, bool insecure,
                           struct err *e);

#endif
