/* fuzz_picture_png.c - any bytes as a file of this format; see picture.h. */
#include "fuzz/picture.h"

/* Nobody guesses a checksum: each chunk gets the right one, so that what is behind it is reached.
 */
static uint32_t crc32_of(const uint8_t *p, size_t n) {
    uint32_t crc = 0xFFFFFFFF;
    for (size_t i = 0; i < n; i++) {
        crc ^= p[i];
        for (int k = 0; k < 8; k++) crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320 : 0);
    }
    return ~crc;
}

static void repair(uint8_t *file, size_t n) {
    for (size_t at = 8; n - at >= 12;) {
        const uint8_t *p = file + at;
        const size_t len =
            (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | (size_t)p[3];
        if (len > n - at - 12) return;
        const uint32_t crc = crc32_of(p + 4, len + 4);
        for (size_t i = 0; i < 4; i++) file[at + 8 + len + i] = (uint8_t)(crc >> (24 - 8 * i));
        at += len + 12;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    return picture_target("\x89PNG\r\n\x1a\n", 8, repair, data, size);
}
