/* resize.h - changing the size of pictures exactly as Pillow does (spec/models/vision.md 2): the
 * encoders were trained on what it gives, and its rounding shows in their results. */
#ifndef CRIA_ENGINE_VISION_RESIZE_H
#define CRIA_ENGINE_VISION_RESIZE_H

#include "engine/vision/picture.h"

enum resize_filter { RESIZE_BILINEAR, RESIZE_BICUBIC, RESIZE_LANCZOS };

/* out is a new picture of w x h (1 at least), written on success only. ST_NO_MEMORY. */
enum status picture_resize(const struct picture *in, int w, int h, enum resize_filter filter,
                           struct picture *out, struct err *e);
/* The same keeping the shape: as large as fits, in the middle, with a border of `colour`. */
enum status picture_fit(const struct picture *in, int w, int h, enum resize_filter filter,
                        const uint8_t colour[3], struct picture *out, struct err *e);
/* The part of w x h pixels from (x, y) on, which lies inside. */
enum status picture_crop(const struct picture *in, int x, int y, int w, int h, struct picture *out,
                         struct err *e);

#endif
