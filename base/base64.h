/* base64.h - base64 of RFC 4648: standard alphabet, with padding. */
#ifndef CRIA_BASE_BASE64_H
#define CRIA_BASE_BASE64_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

void base64_put(struct buf *out, const void *data, size_t n);

/* Appends what a text stands for; out NULL only checks it. Line ends (CR, LF) may stand anywhere,
 * nothing else may: no other alphabet, no missing padding, nothing behind it. Where the text is
 * wrong: false, *bad = offset of the byte at fault, as the peer counts (in an unfinished group, of
 * its beginning), and out as it was. A failed allocation is out->failed, not false. */
bool base64_get(struct buf *out, const char *text, size_t n, size_t *bad);

#endif
