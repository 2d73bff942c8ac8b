/* picture_impl.h - what the decoders of picture_decode.c share.
 *
 * A decoder reads the header, asks picture_begin() for a picture of the size it found there, and
 * fills it. It never spends memory on a size that picture_begin() has not allowed. Transparent
 * pixels are laid over white. */
#ifndef CRIA_ENGINE_VISION_PICTURE_IMPL_H
#define CRIA_ENGINE_VISION_PICTURE_IMPL_H

#include <stdbool.h>

#include "engine/vision/picture.h"

struct decode {
    const uint8_t *data; /* the file; borrowed */
    size_t n;
    struct picture_limits limits; /* all of them set */
    struct picture out;           /* freed by picture_decode() if the decoder fails */
};

/* Checks the size against the limits and allocates out, its pixels not set. min_bytes: the least
 * that a file of this size and kind can have; a shorter one is refused as cut off. */
enum status picture_begin(struct decode *d, uint64_t w, uint64_t h, uint64_t min_bytes,
                          struct err *e);

/* n pixels of red, green, blue and alpha over white. */
void picture_over_white(uint8_t *rgb, const uint8_t *rgba, size_t n);

typedef enum status picture_decoder(struct decode *d, struct err *e);
picture_decoder picture_png, picture_jpeg, picture_webp, picture_gif, picture_bmp;

#endif
