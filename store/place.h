/* place.h - where the files of a store are, and the only ways to them (spec/security.md S-ST-1,
 * S-ST-7). Names and digests become paths here and nowhere else, and only after their grammars.
 *
 * Files are opened relative to the open folder and never outside of it: openat2(RESOLVE_BENEATH),
 * or, on kernels that have it not, one component after the other without following links. A link is
 * followed where it leads to a file of this store or of one of the further ones (more_models): the
 * target is then opened from that store's folder, without any links, so that nobody can exchange it
 * between the look and the opening. What is opened for reading belongs to root, to this process's
 * user, or to the owner of the store.
 *
 * The three folders themselves may be links: a store that is reached through one, blobs/ on another
 * disk. That is the layout that whoever set up the store has chosen.
 *
 * Other code that opens a blob by its path (the engine, hashing) comes through the same door: the
 * folders are guarded (os_guard in base/os.h). */
#ifndef CRIA_STORE_PLACE_H
#define CRIA_STORE_PLACE_H

#include <sys/stat.h>

#include "store/store.h"

enum { PATH_ROOM = 4096 }; /* paths are built in buffers of this size */

enum place { PLACE_ROOT, PLACE_BLOBS, PLACE_MANIFESTS, PLACES };

/* "sha256-<64 hex>", the file of a blob below PLACE_BLOBS. */
enum status place_of_digest(const char *digest, char out[STORE_DIGEST_TEXT], struct err *e);
/* "<host>/<namespace>/<model>/<tag>", the file of a manifest below PLACE_MANIFESTS. */
enum status place_of_name(const struct model_name *name, char out[NAME_TEXT_MAX], struct err *e);
/* The whole path, for messages and for code that takes paths. ST_INVALID: it is too long. */
enum status place_path(const struct store *s, enum place p, const char *below, char out[PATH_ROOM],
                       struct err *e);

/* Makes the folder, and those above it. */
enum status place_make(const struct store *s, enum place p, struct err *e);
/* The open folder, for calls such as unlinkat with a name that has no '/'. -1: e is set. */
int place_dir(const struct store *s, enum place p, struct err *e);
/* The same for a folder below it; `make`: it is made, and those above it. */
int place_folder(const struct store *s, enum place p, const char *below, bool make, struct err *e);
/* Opens a regular file for reading; info may be NULL. -1: e is set; ST_DENIED: not ours to read. */
int place_open(const struct store *s, enum place p, const char *below, struct stat *info,
               struct err *e);
/* What place_open would find, of whatever kind; reading it need not be allowed. */
enum status place_stat(const struct store *s, enum place p, const char *below, struct stat *info,
                       struct err *e);
/* Makes what was done in one of those open folders last. */
enum status place_sync(const struct store *s, enum place p, int dir, struct err *e);
/* Whether there is a link, wherever it leads. */
bool place_is_link(const struct store *s, enum place p, const char *below);
/* Replaces a small file of the folder (os_file_write_atomic). */
enum status place_write(const struct store *s, enum place p, const char *name, const void *data,
                        size_t size, struct err *e);

/* Until place_unpin this thread opens the files of this store from folders that it opens once: for
 * walks through all of it. Not nested. */
void place_pin(const struct store *s);
void place_unpin(void);

/* Guards the three folders until place_close. */
enum status place_guard(struct store *s, struct err *e);
void place_unguard(const struct store *s);

/* For tests: as on a kernel without openat2. */
void place_without_openat2(bool without);

#endif
