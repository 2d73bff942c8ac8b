/* unpack.c - see unpack.h. */
#include "api/unpack.h"

#include <stdint.h>
#include <string.h>
#include <strings.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "api/http.h"

enum { STEP = 64 << 10 };

static enum status refuse(size_t code, struct err *e) {
    switch (ZSTD_getErrorCode(code)) {
    case ZSTD_error_prefix_unknown:
        return err_set(e, ST_INVALID, "invalid input: magic number mismatch");
    case ZSTD_error_memory_allocation:
        return err_no_memory(e);
    case ZSTD_error_frameParameter_windowTooLarge:
        return err_set(e, ST_LIMIT, "request body too large");
    default:
        return err_set(e, ST_INVALID, "invalid input: %s", ZSTD_getErrorName(code));
    }
}

enum status unpack_zstd(const void *data, size_t len, size_t max, struct buf *out, struct err *e) {
    const size_t begin = out->len;
    ZSTD_inBuffer in = {data, len, 0};
    size_t left = 0; /* 0: a frame is complete */
    enum status st = ST_OK;
    ZSTD_DStream *d = ZSTD_createDStream();
    if (d == NULL) return err_no_memory(e);
    ZSTD_DCtx_setParameter(d, ZSTD_d_windowLogMax, UNPACK_WINDOW_LOG);
    while (st == ST_OK) {
        if (!buf_reserve(out, STEP)) {
            st = err_no_memory(e);
            break;
        }
        ZSTD_outBuffer to = {out->data + out->len, STEP, 0};
        left = ZSTD_decompressStream(d, &to, &in);
        if (ZSTD_isError(left)) {
            st = refuse(left, e);
            break;
        }
        out->len += to.pos;
        out->data[out->len] = '\0';
        if (out->len - begin > max) st = err_set(e, ST_LIMIT, "request body too large");
        if (in.pos == in.size && (left == 0 || to.pos < STEP)) break; /* all that there was */
    }
    if (st == ST_OK && left != 0 && len > 0) st = err_set(e, ST_INVALID, "unexpected EOF");
    ZSTD_freeDStream(d);
    return st;
}

enum status unpack_body(struct http_exchange *x, size_t max, struct buf *out, struct err *e) {
    const char *encoding = http_header(x, "Content-Encoding");
    struct buf packed = {0};
    if (encoding == NULL || strcasecmp(encoding, "zstd") != 0) return http_read_all(x, max, out, e);
    enum status st = http_read_all(x, max < UNPACK_MAX ? max : UNPACK_MAX, &packed, e);
    if (st == ST_OK) st = unpack_zstd(packed.data, packed.len, UNPACK_MAX, out, e);
    buf_free(&packed);
    return st;
}
