/* verified.h - which blobs have been hashed and found right, so that nobody hashes gigabytes twice.
 *
 * A blob counts as verified while its size, modification time and inode are those of the moment it
 * was hashed. The list is DIR/verified, a line each: hex digits, size, mtime in ns, inode. It is a
 * memory, not a truth: without it blobs are hashed again. Thread-safe. */
#ifndef CRIA_STORE_VERIFIED_H
#define CRIA_STORE_VERIFIED_H

#include <stdbool.h>

struct store;

bool verified_has(struct store *s, const char *digest);
void verified_add(struct store *s, const char *digest);
void verified_free(struct store *s);

#endif
