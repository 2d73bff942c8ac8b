/* archive.h - models as one file: a tar archive with the store's own layout inside.
 *
 *   manifests/<host>/<namespace>/<model>/<tag>   first, so that who reads knows what comes
 *   blobs/sha256-<64 hex>                        each once, though several models name it
 *
 * The same models give the same bytes. `tar -C DIR -cf FILE manifests blobs` of a store makes such
 * an archive, too. */
#ifndef CRIA_STORE_ARCHIVE_H
#define CRIA_STORE_ARCHIVE_H

#include "store/store.h"
#include "store/tar.h"

/* Each blob is hashed on its way: ST_FORMAT if it is not what its name says. progress (may be NULL)
 * gets `exporting <12 hex>` items; false: ST_CANCELLED. */
enum status store_export(struct store *s, const struct model_name *names, size_t n, tar_sink *sink,
                         void *sink_arg, store_progress *progress, void *arg, struct err *e);

struct store_import {
    tar_source *read;
    void *read_arg;
    bool overwrite;           /* models of the same name are replaced; else ST_EXISTS */
    store_progress *progress; /* `importing <12 hex>`; may be NULL */
    void *arg;
    void (*imported)(void *arg, const struct model_name *name); /* at the end; may be NULL */
};
/* All or nothing: no model is visible before every blob of every model is on the disk and has the
 * right hash. ST_FORMAT: a broken archive, a wrong hash, a missing blob; ST_INVALID: a member that
 * is neither manifest nor blob; ST_UNSUPPORTED: links, devices. */
enum status store_import(struct store *s, const struct store_import *i, struct err *e);

#endif
