/* connect.h - how other programs are set up to talk to this server: a table of texts
 * (clients.def), in which {url}, {v1} and {model} are filled in. */
#ifndef CRIA_CLI_CONNECT_H
#define CRIA_CLI_CONNECT_H

#include <stddef.h>

#include "base/buf.h"

struct connect_client {
    const char *name, *title; /* "open-webui", "Open WebUI" */
    const char *text;
};
extern const struct connect_client connect_clients[];
extern const size_t connect_n_clients;

/* url: of the server, without a slash at its end. */
void connect_put(struct buf *out, const struct connect_client *c, const char *url,
                 const char *model);

#endif
