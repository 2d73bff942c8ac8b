/* tar.h - reading and writing tar archives, one member after the other (POSIX.1-2001 pax; also the
 * long names and sizes that GNU tar writes).
 *
 * Only what an archive of models needs: plain files and folders. Links, devices and sparse files
 * are an error, not a surprise. Nothing here opens a path: what a member's name means is the
 * caller's business. Nothing is allocated by what an archive claims. */
#ifndef CRIA_STORE_TAR_H
#define CRIA_STORE_TAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum { TAR_BLOCK = 512, TAR_PATH_MAX = 1024, TAR_EXTRA_MAX = 64 << 10 };

struct tar_entry {
    char path[TAR_PATH_MAX]; /* as written, without a "./" in front and a "/" behind */
    bool folder;
    uint64_t size;
};

/* Gives at most n bytes; *got 0: the end. */
typedef enum status tar_source(void *arg, void *out, size_t n, size_t *got, struct err *e);

struct tar_reader { /* zeroed but for read and arg */
    tar_source *read;
    void *arg;
    uint64_t left, pad; /* of the member that is being read */
    uint64_t offset;    /* bytes of the archive read so far, for messages */
};

/* Goes to the next member, over what is left of this one. *end: there is none. ST_FORMAT: it is
 * broken or cut off, with the offset; ST_UNSUPPORTED: a link, a device, a sparse file. */
enum status tar_next(struct tar_reader *r, struct tar_entry *out, bool *end, struct err *e);
/* The next bytes of the member; 0 at its end. ST_FORMAT: the archive ends before. */
enum status tar_read(struct tar_reader *r, void *out, size_t n, size_t *got, struct err *e);

/* ---- writing ---- */

typedef enum status tar_sink(void *arg, const void *data, size_t n, struct err *e);

/* The head of a plain file of so many bytes, which the caller then writes, and tar_pad behind. */
enum status tar_put_file(tar_sink *sink, void *arg, const char *path, uint64_t size, struct err *e);
enum status tar_put_pad(tar_sink *sink, void *arg, uint64_t size, struct err *e);
enum status tar_put_end(tar_sink *sink, void *arg, struct err *e);

#endif
