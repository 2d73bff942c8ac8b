/* picture.h - what the targets of image decoders share: one for each format, because no fuzzer
 * finds its way from one library into another.
 *
 * Accepted: a picture within the limits, all of whose pixels can be read, and the same once more.
 * Refused: a message, and no memory left behind. */
#ifndef CRIA_FUZZ_PICTURE_H
#define CRIA_FUZZ_PICTURE_H

#include <string.h>

#include "base/mem.h"
#include "engine/vision/picture.h"
#include "fuzz/fuzz.h"

/* The input with the format's magic put over its first bytes, and repaired by what knows checksums
 * (NULL: nothing to repair). */
static int picture_target(const char *magic, size_t n_magic, void (*repair)(uint8_t *, size_t),
                          const uint8_t *data, size_t size) {
    const struct picture_limits limits = {.max_side = 2000, .max_pixels = 100000};
    const long live = mem_live();
    struct picture p = {0}, again = {0};
    struct err e = {.code = ST_OK};
    if (size < n_magic) return 0;
    uint8_t *file = mem_alloc(size);
    memcpy(file, data, size);
    memcpy(file, magic, n_magic);
    if (repair != NULL) repair(file, size);
    enum status st = picture_decode(file, size, &limits, &p, &e);
    if (st == ST_OK) {
        must(p.w > 0 && p.h > 0 && p.w <= 2000 && p.h <= 2000 && p.w * p.h <= 100000);
        must(picture_decode(file, size, &limits, &again, NULL) == ST_OK);
        must(again.w == p.w && again.h == p.h);
        must(memcmp(p.rgb, again.rgb, (size_t)p.w * (size_t)p.h * 3) == 0);
        picture_free(&p);
        picture_free(&again);
    } else {
        must(e.code == st && e.msg[0] != '\0' && p.rgb == NULL);
    }
    mem_free(file);
    must(mem_live() == live);
    return 0;
}

#endif
