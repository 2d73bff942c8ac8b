/* inventory.h - what lies in the store, seen once: every manifest and every file of blobs/, and
 * which names which. The question behind prune, fsck, df and the quota. Nothing outside this folder
 * includes it.
 *
 * It is a picture of a moment; who removes something by it holds the store's lock from the look to
 * the deed. */
#ifndef CRIA_STORE_INVENTORY_H
#define CRIA_STORE_INVENTORY_H

#include "base/map.h"
#include "store/store_impl.h"

enum file_kind {
    FILE_BLOB,    /* sha256-<64 hex> */
    FILE_PARTIAL, /* sha256-<64 hex>-partial */
    FILE_JOURNAL, /* sha256-<64 hex>-partial-N, or a temporary file of one */
    FILE_OTHER,   /* an upload that has no name yet, or what somebody put there */
};

struct inventory_file {
    const char *name; /* in blobs/ */
    enum file_kind kind;
    char digest[STORE_DIGEST_TEXT]; /* not for FILE_OTHER */
    bool regular;                   /* a link, a folder, a device is not */
    uint64_t size, disk;            /* bytes of content, and bytes that it takes */
    int64_t mtime_ns;
    uint32_t users; /* manifests that name it (FILE_BLOB) */
};

struct inventory_model {
    struct model_name name;
    enum status st; /* ST_OK: the manifest could be read */
    const char *why;
    struct manifest manifest;
    uint64_t shared, own; /* bytes of its blobs that others name, too, and of the rest */
};

struct inventory {
    struct inventory_file *files;   /* by name */
    struct inventory_model *models; /* by path */
    size_t n_files, n_models;
    const char *const *strange; /* below manifests/: files that are no model's; by path */
    size_t n_strange;
    bool complete;        /* every manifest could be read: what is unnamed here is not needed */
    struct map by_digest; /* of blobs: index into files */
    struct arena arena;
};

/* Fails for want of memory, and if blobs/ is there and cannot be read. */
enum status inventory_take(const struct store *s, struct inventory *out, struct err *e);
void inventory_free(struct inventory *v); /* a zeroed one is fine */
/* The blob of a digest; NULL: it is not there. */
struct inventory_file *inventory_blob(const struct inventory *v, const char *digest);

#endif
