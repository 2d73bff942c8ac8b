/* shelf.h - the store as a registry shows it to others: repositories, tags, manifests, blobs, to be
 * read only (OCI distribution; api/route_registry.c speaks it).
 *
 * A repository is "namespace/model". Several hosts may have one of that name here; that of the
 * default host comes first, then the others in order of their paths. */
#ifndef CRIA_STORE_SHELF_H
#define CRIA_STORE_SHELF_H

#include "store/store.h"

/* The manifest, byte for byte (mem_free), by its tag or its digest. ST_NOT_FOUND. */
enum status shelf_manifest(struct store *s, const char *repository, const char *reference,
                           char **text, size_t *len, char digest[STORE_DIGEST_TEXT], struct err *e);
/* A blob, opened for reading, if a manifest of that repository names it: what was merely uploaded
 * is nobody's business. ST_NOT_FOUND; ST_INVALID: not a digest. */
enum status shelf_blob(struct store *s, const char *repository, const char *digest, int *fd,
                       uint64_t *size, struct err *e);
/* The tags of a repository as JSON strings between commas, sorted. ST_NOT_FOUND: it has none. */
enum status shelf_tags(struct store *s, const char *repository, struct buf *out, struct err *e);

#endif
