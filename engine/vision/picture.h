/* picture.h - a picture as its pixels: what decoders of image files make and encoders of vision
 * models take.
 *
 * Eight bits each of red, green and blue, row by row from the top, without gaps. Transparency is
 * composited and colour profiles are ignored by the decoder; pictures are not turned by what EXIF
 * says (spec/models/vision.md 2). */
#ifndef CRIA_ENGINE_VISION_PICTURE_H
#define CRIA_ENGINE_VISION_PICTURE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct picture {
    int w, h;     /* pixels, 1 at least */
    uint8_t *rgb; /* [h][w][3], owned: mem_alloc */
};

/* Frees the pixels and zeroes the struct; an empty one is fine. */
void picture_free(struct picture *p);

/* What a file may claim before memory is spent on it. 0: the default of that limit. */
struct picture_limits {
    size_t max_bytes;    /* of the encoded file */
    uint32_t max_side;   /* pixels */
    uint64_t max_pixels; /* width times height */
};

/* Decodes a file of a known format (PNG, JPEG, WebP, GIF's first picture, BMP), told by its first
 * bytes. p is written on success only. ST_FORMAT: broken, ST_UNSUPPORTED: another format, ST_LIMIT,
 * ST_NO_MEMORY. limits NULL: all defaults. */
enum status picture_decode(const void *bytes, size_t n, const struct picture_limits *limits,
                           struct picture *p, struct err *e);

#endif
