/* unpack.h - request bodies with `Content-Encoding: zstd` (RFC 8878), which the routes below /v1
 * take (spec/api.md 1.1). Only because the client says so, and never more than UNPACK_MAX bytes. */
#ifndef CRIA_API_UNPACK_H
#define CRIA_API_UNPACK_H

#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

struct http_exchange;

enum {
    UNPACK_MAX = 20 << 20,  /* bytes of an unpacked body */
    UNPACK_WINDOW_LOG = 25, /* most memory of a decoder: 32 MiB, enough for a body of UNPACK_MAX */
};

/* Appends what the frames of data hold. ST_INVALID: not zstd, damaged or cut off; ST_LIMIT: more
 * than max bytes. */
enum status unpack_zstd(const void *data, size_t len, size_t max, struct buf *out, struct err *e);

/* http_read_all(), unpacked if the request says that it is packed. */
enum status unpack_body(struct http_exchange *x, size_t max, struct buf *out, struct err *e);

#endif
