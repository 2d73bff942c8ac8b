/* hold.h - who needs a file that no manifest names yet (spec/security.md S-ST-4).
 *
 * A lock on the file itself (flock), so that every process sees it and a crash releases it: who
 * makes a model holds its blobs, shared, from the first look to the manifest; who writes a file
 * (upload, partial download) holds it alone. Nobody removes a file that is held. Programs that know
 * nothing of these locks are not disturbed by them. A file system without locks leaves us with the
 * age of files and the look at the end, under the store's lock, whether all blobs are still there.
 */
#ifndef CRIA_STORE_HOLD_H
#define CRIA_STORE_HOLD_H

#include <stdbool.h>

#include "store/store.h"

enum { HOLD_MAX = 64 }; /* descriptors are few; a model has a handful of blobs */

struct hold {
    char digest[STORE_DIGEST_TEXT];
    int fd;
};
struct holds { /* a zeroed struct holds nothing; holds_free */
    struct hold at[HOLD_MAX];
    unsigned n;
};

/* Holds a blob, so that it is not pruned; more than HOLD_MAX are not held. ST_NOT_FOUND: it is not
 * there. */
enum status hold_blob(struct store *s, struct holds *h, const char *digest, struct err *e);
void hold_release(struct holds *h, const char *digest);
void holds_free(struct holds *h);

/* Takes an open file for oneself; false: somebody else holds it. */
bool hold_alone(int fd);
/* Whether the open file is the one of that name in blobs/. */
bool hold_has_name(struct store *s, int fd, const char *file);
/* Removes a file of the open folder unless somebody holds it. For part files of a download it is
 * the partial file that counts. False: it is held, or cannot be removed (a warning is logged). */
bool hold_remove(int dir, const char *name);

#endif
