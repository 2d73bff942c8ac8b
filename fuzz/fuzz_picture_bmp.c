/* fuzz_picture_bmp.c - any bytes as a file of this format; see picture.h. */
#include "fuzz/picture.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    return picture_target("BM", 2, NULL, data, size);
}
