/* upkeep.h - keeping a store in order: fsck, df, prune, the quota (spec/security.md S-ST-5,
 * S-ST-6).
 *
 * Everything here may run while servers, ours or others, use the store. Nothing is removed that a
 * readable manifest names or that somebody is writing (store_impl.h: holds). */
#ifndef CRIA_STORE_UPKEEP_H
#define CRIA_STORE_UPKEEP_H

#include "store/store.h"

/* ---- fsck ---- */

struct store_finding {
    const char *code;    /* "blob-damaged", ...: see fsck.c */
    const char *subject; /* a model, a digest or a path below the store */
    const char *text;    /* what is wrong, and what would help */
    bool damage;         /* false: something that is left over and does no harm */
    bool repaired;
};
typedef void store_found(void *arg, const struct store_finding *f);

struct store_fsck {
    bool repair; /* damaged files go to DIR/damaged/, stray journals go */
    bool hash;   /* read every blob; else only those that are not in DIR/verified */
    store_found *found;
    bool (*progress)(void *arg, const char *digest, uint64_t done,
                     uint64_t total); /* false: stop */
    void *arg;
    /* The result: */
    uint64_t n_models, n_blobs, n_damaged, n_repaired, n_left_over;
    uint64_t bytes_hashed;
};
/* ST_OK whatever was found. */
enum status store_fsck(struct store *s, struct store_fsck *f, struct err *e);

/* ---- how full it is ---- */

struct store_usage_model {
    struct model_name name;
    uint64_t own, shared; /* bytes of its blobs that nobody else names; that others name, too */
    int64_t used_ns;      /* unix time of the last use; that of its manifest if never used */
};
struct store_usage {
    struct store_usage_model *models; /* least recently used first */
    size_t n_models;
    uint64_t total;          /* all files of blobs/, by content */
    uint64_t named, unnamed; /* blobs */
    uint64_t partial, other; /* downloads that were begun; uploads and the like */
    uint64_t n_named, n_unnamed, n_partial, n_other;
    uint64_t disk_size, disk_free; /* of the file system; free: for us */
    uint64_t quota;                /* 0: none */
    struct arena arena;
};
enum status store_usage(struct store *s, struct store_usage *out, struct err *e);
void store_usage_free(struct store_usage *u);

/* Is there room for so many more bytes? ST_LIMIT: the quota would be exceeded; the message proposes
 * the least recently used models that would have to go. With the setting auto_prune they do go. */
enum status store_make_room(struct store *s, uint64_t bytes, struct err *e);

/* ---- prune ---- */

struct store_prune {
    bool dry_run;
    bool all; /* also what is young: uploads that no create has named yet, paused downloads */
    void (*removed)(void *arg, const char *file, uint64_t size); /* may be NULL */
    void *arg;
    uint64_t n_removed, bytes; /* the result */
};
/* ST_FORMAT: a manifest cannot be read, so nobody knows which blobs it needs. */
enum status store_prune_now(struct store *s, struct store_prune *p, struct err *e);

#endif
