/* fuzz_picture_gif.c - any bytes as a file of this format; see picture.h. */
#include "fuzz/picture.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    return picture_target("GIF89a", 6, NULL, data, size);
}
