/* relay_impl.h - what the files of the relay share. Not for others. */
#ifndef CRIA_API_RELAY_IMPL_H
#define CRIA_API_RELAY_IMPL_H

#include <openssl/ssl.h>
#include <sys/types.h>

#include "api/relay.h"

struct relay_tls; /* the context for connections to come */
enum status relay_tls_open(struct relay_tls **out, const char *cert, const char *key,
                           struct err *e);
void relay_tls_close(struct relay_tls *t); /* NULL is fine */
enum status relay_tls_reload(struct relay_tls *t, struct err *e);
/* The handshake; false: it failed, or took longer. */
bool relay_tls_begin(struct relay_tls *t, int fd, unsigned limit_ms, SSL **out);
void relay_tls_end(SSL *ssl); /* says goodbye, and frees */
/* Bytes, or 0 at the end and on errors. One thread does both. */
ssize_t relay_tls_read(SSL *ssl, char *out, size_t n);
bool relay_tls_write(SSL *ssl, const char *data, size_t n);

#endif
