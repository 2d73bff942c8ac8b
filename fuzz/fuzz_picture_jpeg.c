/* fuzz_picture_jpeg.c - any bytes as a file of this format; see picture.h. */
#include "fuzz/picture.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    return picture_target("\xFF\xD8\xFF", 3, NULL, data, size);
}
