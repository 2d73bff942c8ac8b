/* digest.c - see digest.h. */
#include "base/digest.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/os.h"

/* Large enough that the system call does not matter, small enough for the L2 cache. */
enum { FILE_CHUNK = 128 * 1024 };

struct digest {
    EVP_MD_CTX *ctx; /* owned */
    bool failed;     /* libcrypto refused a call: the result is all zeros and matches nothing */
};

struct digest *digest_new(void) {
    struct digest *d = mem_zalloc(1, sizeof *d);
    if (d == NULL) return NULL;
    d->ctx = EVP_MD_CTX_new();
    if (d->ctx != NULL && EVP_DigestInit_ex(d->ctx, EVP_sha256(), NULL) == 1) return d;
    digest_cancel(d);
    return NULL;
}

void digest_update(struct digest *d, const void *data, size_t n) {
    assert(d != NULL && (data != NULL || n == 0));
    if (n != 0 && EVP_DigestUpdate(d->ctx, data, n) != 1) d->failed = true;
}

void digest_finish(struct digest *d, unsigned char out[DIGEST_BYTES]) {
    assert(d != NULL);
    unsigned len = 0;
    bool done = EVP_DigestFinal_ex(d->ctx, out, &len) == 1 && len == DIGEST_BYTES;
    if (d->failed || !done) memset(out, 0, DIGEST_BYTES);
    digest_cancel(d);
}

void digest_cancel(struct digest *d) {
    if (d == NULL) return;
    EVP_MD_CTX_free(d->ctx);
    mem_free(d);
}

void digest_hex(const unsigned char in[DIGEST_BYTES], char out[DIGEST_HEX + 1]) {
    static const char digit[] = "0123456789abcdef";
    for (size_t i = 0; i < DIGEST_BYTES; i++) {
        out[2 * i] = digit[in[i] >> 4];
        out[2 * i + 1] = digit[in[i] & 15];
    }
    out[DIGEST_HEX] = '\0';
}

/* Finishes d into hex text. */
static void finish_hex(struct digest *d, char out[DIGEST_HEX + 1]) {
    unsigned char raw[DIGEST_BYTES];
    digest_finish(d, raw);
    digest_hex(raw, out);
}

enum status digest_of(const void *data, size_t n, char out[DIGEST_HEX + 1], struct err *e) {
    struct digest *d = digest_new();
    if (d == NULL) return err_no_memory(e);
    digest_update(d, data, n);
    finish_hex(d, out);
    return ST_OK;
}

/* Feeds what is left of fd. Read and not mapped: a file that is cut while we hash it must give an
 * error and not SIGBUS. */
static bool feed_fd(struct digest *d, int fd, unsigned char *chunk) {
    for (;;) {
        ssize_t got = read(fd, chunk, FILE_CHUNK);
        if (got == 0) return true;
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return false;
        digest_update(d, chunk, (size_t)got);
    }
}

enum status digest_of_file(const char *path, char out[DIGEST_HEX + 1], struct err *e) {
    enum status st = ST_OK;
    struct digest *d = digest_new();
    unsigned char *chunk = mem_alloc(FILE_CHUNK);
    struct err why;
    int fd = os_open_read(path, &why);
    if (fd < 0) {
        st = err_set(e, why.code, "%s", why.msg);
    } else if (d == NULL || chunk == NULL) {
        st = err_no_memory(e);
    } else if (!feed_fd(d, fd, chunk)) {
        st = os_fail(e, "read", path);
    } else {
        finish_hex(d, out);
        d = NULL;
    }
    if (fd >= 0) close(fd);
    mem_free(chunk);
    digest_cancel(d);
    return st;
}
