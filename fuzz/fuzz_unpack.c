/* fuzz_unpack.c - any bytes as a packed body.
 *
 * Never more than the limit and a step; what is refused says why; unpacking twice gives the same.
 */
#include <string.h>

#include "api/unpack.h"
#include "base/mem.h"
#include "fuzz/fuzz.h"

enum { MAX = 1 << 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct buf out = {0}, again = {0};
    struct err e = {.msg = ""};
    enum status st = unpack_zstd(data, size, MAX, &out, &e);
    must(st == ST_OK || ((st == ST_INVALID || st == ST_LIMIT) && e.msg[0] != '\0'));
    must(out.len <= 2 * MAX && (st != ST_OK || out.len <= MAX));
    must(unpack_zstd(data, size, MAX, &again, &e) == st && again.len == out.len);
    must(out.len == 0 || memcmp(out.data, again.data, out.len) == 0);
    buf_free(&out);
    buf_free(&again);
    return 0;
}
