/* relay.h - listens where the HTTP library cannot: TLS, UNIX sockets, IPv6 (docs/http.md).
 *
 * The library then listens on a port of 127.0.0.1 that only the relay may use: each connection is
 * carried there by a thread, decrypted, and registered by the port of its inner side, so that the
 * server learns who is really there and refuses whoever else finds the port. */
#ifndef CRIA_API_RELAY_H
#define CRIA_API_RELAY_H

#include <stdbool.h>

#include "base/err.h"

enum { RELAY_PEER_MAX = 64 };

struct relay;
struct relay_params {
    const char *host;               /* "unix:/path", or an address */
    int port;                       /* of addresses; 0: any free one */
    const char *tls_cert, *tls_key; /* files (PEM); NULL: no TLS */
    unsigned max_connections;
    unsigned handshake_ms;
};
/* Listens. ST_IO: the address cannot be used; ST_DENIED: others may read the key; ST_FORMAT:
 * certificate and key are none, or do not belong together. */
enum status relay_open(struct relay **out, const struct relay_params *p, struct err *e);
/* Begins to accept; the library listens on inner_port by now. */
enum status relay_start(struct relay *r, int inner_port, struct err *e);
void relay_close(struct relay *r); /* ends all connections; NULL is fine */
int relay_port(const struct relay *r);
/* Reads certificate and key again, for connections to come. On failure the old ones stay. */
enum status relay_reload(struct relay *r, struct err *e);
/* Whether this port of 127.0.0.1 is the relay's; peer gets the client's address, "unix" for a
 * UNIX socket. */
bool relay_knows(struct relay *r, int inner_port, char peer[RELAY_PEER_MAX]);

#endif
