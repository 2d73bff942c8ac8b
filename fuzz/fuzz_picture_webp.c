/* fuzz_picture_webp.c - any bytes as a file of this format; see picture.h. */
#include "fuzz/picture.h"

static void repair(uint8_t *file, size_t n) { /* the length of the whole, and the name */
    if (n < 12) return;
    for (size_t i = 0; i < 4; i++) file[4 + i] = (uint8_t)((n - 8) >> (8 * i));
    memcpy(file + 8, "WEBP", 4);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    return picture_target("RIFF", 4, repair, data, size);
}
