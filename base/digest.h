/* digest.h - SHA-256 through libcrypto. */
#ifndef CRIA_BASE_DIGEST_H
#define CRIA_BASE_DIGEST_H

#include <stddef.h>

#include "base/err.h"

enum { DIGEST_BYTES = 32, DIGEST_HEX = 64 };

struct digest;                   /* a running hash */
struct digest *digest_new(void); /* NULL: no memory */
void digest_update(struct digest *d, const void *data, size_t n);
void digest_finish(struct digest *d, unsigned char out[DIGEST_BYTES]); /* frees d */
void digest_cancel(struct digest *d);                                  /* frees d; NULL is fine */

void digest_hex(const unsigned char in[DIGEST_BYTES], char out[DIGEST_HEX + 1]);
/* One call: hex SHA-256 of a memory block, or of a whole file. */
enum status digest_of(const void *data, size_t n, char out[DIGEST_HEX + 1], struct err *e);
enum status digest_of_file(const char *path, char out[DIGEST_HEX + 1], struct err *e);

#endif
