/* blob_pull.h - one blob from a registry into the store, in parts, resumable (spec/store.md 7,
 * spec/security.md S-ST-3).
 *
 *   blobs/sha256-X-partial      the content so far, full size, sparse
 *   blobs/sha256-X-partial-N    part N: {"N":0,"Offset":0,"Size":100000000,"Completed":4096}
 *
 * A part file never claims more than is on the disk: it is written after the data it counts was
 * synced. The hash over the whole content decides in the end; nothing else makes a blob.
 *
 * Everybody in this process who wants the same blob of the same store shares one download, which
 * runs in a thread of its own and ends when the last one has gone away. Between processes a lock on
 * the partial file does it: who comes second waits. */
#ifndef CRIA_STORE_REGISTRY_BLOB_PULL_H
#define CRIA_STORE_REGISTRY_BLOB_PULL_H

#include "store/registry/session.h"

/* size: what the manifest says; another one is ST_FORMAT. The progress items are
 * `pulling <12 hex>`. ST_FORMAT `digest mismatch, file must be downloaded again: want X, got Y`:
 * *mismatch is set then. */
enum status blob_pull(struct store *s, const struct session *session, const char *digest,
                      uint64_t size, store_progress *progress, void *arg, bool *mismatch,
                      struct err *e);

#endif
