/* host.h - the address of the server from CRIA_HOST or OLLAMA_HOST (golden/cli/host.jsonl).
 *
 * [scheme://]host[:port][/path]; a part that is missing or no port has a default. cria's own:
 * unix:/path/of/a/socket. */
#ifndef CRIA_CLI_HOST_H
#define CRIA_CLI_HOST_H

#include <stdbool.h>

#include "base/buf.h"

enum { HOST_TEXT_MAX = 512 };

struct host {
    char scheme[16];
    char name[HOST_TEXT_MAX]; /* without brackets; "": all addresses */
    char path[HOST_TEXT_MAX]; /* without slashes at its ends */
    unsigned port;            /* 0 to 65535 */
    bool is_unix;             /* name is "unix:/path", port 0 */
    bool bad_port;            /* the text had one that cannot be: the default stands */
};

void host_parse(struct host *h, const char *text);            /* NULL or "": all defaults */
void host_from_env(struct host *h);                           /* warns about a bad port */
void host_put_address(struct buf *out, const struct host *h); /* "127.0.0.1:11434", "[::1]:80" */
void host_put_url(struct buf *out, const struct host *h);
/* The URL a client connects to: 0.0.0.0 and :: are replaced by the loopback address. */
void host_put_connectable(struct buf *out, const struct host *h);

#endif
