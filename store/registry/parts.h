/* parts.h - the pieces of a download and their journal (the files blobs/sha256-X-partial*). */
#ifndef CRIA_STORE_REGISTRY_PARTS_H
#define CRIA_STORE_REGISTRY_PARTS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "store/store.h"

enum { MAX_PARTS = 4096 };

struct part {
    uint64_t offset, size;
    _Atomic uint64_t done; /* bytes from offset on that were written */
    uint64_t saved;        /* what the journal says */
};

struct parts {
    struct store *store; /* borrowed */
    char name[96];       /* "sha256-X-partial", in blobs/ */
    int dir;             /* owned: blobs/ */
    int fd;              /* open for reading and writing, locked against other processes */
    uint64_t total;
    struct part *part; /* [n], ordered by offset, without gaps; owned */
    unsigned n;
    bool journal; /* there are part files */
};

/* Opens and locks the partial file of the blob. Parts of an earlier try are taken up if they fit
 * the size; else it begins anew. ST_BUSY: another process is at it. */
enum status parts_open(struct parts *p, struct store *s, const char *digest, uint64_t total,
                       struct err *e);
/* Syncs the data and writes the part files that changed. */
enum status parts_save(struct parts *p, struct err *e);
/* Begins anew with one part, for a server that cannot give ranges. */
enum status parts_restart(struct parts *p, struct err *e);
/* How large the parts of a blob are, in both directions: a 16th, 100 MB to 1 GB. */
uint64_t parts_size(uint64_t total);
uint64_t parts_done(const struct parts *p);
/* About how much of the blob's partial file another process has written by now. */
uint64_t parts_seen(const struct store *s, const char *digest, uint64_t total);
/* Bytes from the beginning without a gap. */
uint64_t parts_prefix(const struct parts *p);
/* Renames the partial file to the blob and removes the journal; or removes all of it. */
enum status parts_commit(struct parts *p, struct err *e);
/* os_fail() with the path of the partial file. */
enum status parts_fail(const struct parts *p, const char *verb, struct err *e);
void parts_discard(struct parts *p);
void parts_close(struct parts *p); /* the files stay; a zeroed struct is fine */

#endif
