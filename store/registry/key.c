/* key.c - see key.h. The private file is "openssh-key-v1" (PROTOCOL.key of OpenSSH): base64 between
 * PEM lines, of strings with a big-endian length in front. */
#include "store/registry/key.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/mem.h"
#include "base/os.h"

enum { KEY_FILE_MAX = 16384, PEM_LINE = 70 };
static const char kind[] = "ssh-ed25519";
static const char magic[] = "openssh-key-v1"; /* with its NUL */
static const char pem_begin[] = "-----BEGIN OPENSSH PRIVATE KEY-----\n";
static const char pem_end[] = "-----END OPENSSH PRIVATE KEY-----\n";

/* ---- strings with lengths ---- */

static void put_u32(struct buf *b, uint32_t v) {
    for (int shift = 24; shift >= 0; shift -= 8) buf_chr(b, (char)(v >> shift & 255));
}

static void put_string(struct buf *b, const void *data, size_t n) {
    put_u32(b, (uint32_t)n);
    buf_add(b, data, n);
}

static void put_public(struct buf *b, const struct key *k) {
    put_string(b, kind, sizeof kind - 1);
    put_string(b, k->public, KEY_PUBLIC);
}

struct reader {
    const unsigned char *p, *end;
};

static bool get_u32(struct reader *r, uint32_t *v) {
    if (r->end - r->p < 4) return false;
    *v = (uint32_t)r->p[0] << 24 | (uint32_t)r->p[1] << 16 | (uint32_t)r->p[2] << 8 | r->p[3];
    r->p += 4;
    return true;
}

static bool get_string(struct reader *r, const unsigned char **data, size_t *n) {
    uint32_t len;
    if (!get_u32(r, &len) || len > (size_t)(r->end - r->p)) return false;
    *data = r->p;
    *n = len;
    r->p += len;
    return true;
}

static bool get_text(struct reader *r, const char *want) {
    const unsigned char *data;
    size_t n;
    return get_string(r, &data, &n) && n == strlen(want) && memcmp(data, want, n) == 0;
}

/* ---- keys ---- */

enum status key_from_seed(struct key *k, const unsigned char seed[KEY_SEED], struct err *e) {
    size_t n = KEY_PUBLIC;
    EVP_PKEY *pkey = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, KEY_SEED);
    bool ok = pkey != NULL && EVP_PKEY_get_raw_public_key(pkey, k->public, &n) == 1;
    EVP_PKEY_free(pkey);
    if (!ok) return err_set(e, ST_INTERNAL, "libcrypto refuses an Ed25519 key");
    memcpy(k->seed, seed, KEY_SEED);
    return ST_OK;
}

void key_public_line(const struct key *k, struct buf *out) {
    struct buf blob = {0};
    put_public(&blob, k);
    buf_printf(out, "%s ", kind);
    base64_put(out, blob.data, blob.len);
    buf_free(&blob);
}

enum status key_sign(const struct key *k, const char *text, struct buf *out, struct err *e) {
    unsigned char signature[64];
    size_t n = sizeof signature;
    EVP_PKEY *pkey = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, k->seed, KEY_SEED);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = pkey != NULL && ctx != NULL && EVP_DigestSignInit(ctx, NULL, NULL, NULL, pkey) == 1 &&
              EVP_DigestSign(ctx, signature, &n, (const unsigned char *)text, strlen(text)) == 1;
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(pkey);
    if (!ok) return err_set(e, ST_INTERNAL, "libcrypto cannot sign");
    struct buf blob = {0};
    put_public(&blob, k);
    base64_put(out, blob.data, blob.len);
    buf_chr(out, ':');
    base64_put(out, signature, n);
    bool failed = blob.failed || out->failed;
    buf_free(&blob);
    return failed ? err_no_memory(e) : ST_OK;
}

/* ---- the private file ---- */

static void put_private_file(struct buf *out, const struct key *k, uint32_t check) {
    struct buf blob = {0}, text = {0}, inner = {0};
    buf_add(&blob, magic, sizeof magic);
    put_string(&blob, "none", 4); /* cipher */
    put_string(&blob, "none", 4); /* key derivation */
    put_string(&blob, "", 0);     /* its options */
    put_u32(&blob, 1);
    put_public(&inner, k);
    put_string(&blob, inner.data, inner.len);
    buf_clear(&inner);
    put_u32(&inner, check); /* twice the same: tells a right passphrase */
    put_u32(&inner, check);
    put_public(&inner, k);
    put_u32(&inner, KEY_SEED + KEY_PUBLIC);
    buf_add(&inner, k->seed, KEY_SEED);
    buf_add(&inner, k->public, KEY_PUBLIC);
    put_string(&inner, "", 0); /* comment */
    for (char pad = 1; inner.len % 8 != 0; pad++) buf_chr(&inner, pad);
    put_string(&blob, inner.data, inner.len);
    base64_put(&text, blob.data, blob.len);
    buf_str(out, pem_begin);
    for (size_t at = 0; at < text.len; at += PEM_LINE) {
        buf_add(out, text.data + at, text.len - at < PEM_LINE ? text.len - at : PEM_LINE);
        buf_chr(out, '\n');
    }
    buf_str(out, pem_end);
    out->failed = out->failed || blob.failed || text.failed || inner.failed;
    buf_free(&blob);
    buf_free(&text);
    buf_free(&inner);
}

static bool read_private(struct key *k, const unsigned char *data, size_t size) {
    struct reader r = {data, data + size};
    const unsigned char *options, *public, *inner, *pair;
    size_t n, n_inner;
    uint32_t count, check[2];
    if (size < sizeof magic || memcmp(data, magic, sizeof magic) != 0) return false;
    r.p += sizeof magic;
    if (!get_text(&r, "none") || !get_text(&r, "none") || !get_string(&r, &options, &n) ||
        !get_u32(&r, &count) || count != 1 || !get_string(&r, &public, &n) ||
        !get_string(&r, &inner, &n_inner))
        return false;
    r = (struct reader){inner, inner + n_inner};
    if (!get_u32(&r, &check[0]) || !get_u32(&r, &check[1]) || check[0] != check[1] ||
        !get_text(&r, kind) || !get_string(&r, &public, &n) || n != KEY_PUBLIC ||
        !get_string(&r, &pair, &n) || n != KEY_SEED + KEY_PUBLIC)
        return false;
    return key_from_seed(k, pair, NULL) == ST_OK && memcmp(k->public, public, KEY_PUBLIC) == 0;
}

static bool read_pem(struct key *k, const char *text) {
    const char *from = strstr(text, pem_begin), *end = from ? strstr(from, "-----END") : NULL;
    unsigned char *data = end != NULL ? mem_alloc((size_t)(end - from)) : NULL;
    EVP_ENCODE_CTX *ctx = data != NULL ? EVP_ENCODE_CTX_new() : NULL;
    int n = 0, tail = 0;
    bool ok = false;
    if (ctx != NULL) {
        from += sizeof pem_begin - 1;
        EVP_DecodeInit(ctx);
        ok = EVP_DecodeUpdate(ctx, data, &n, (const unsigned char *)from, (int)(end - from)) >= 0 &&
             EVP_DecodeFinal(ctx, data + n, &tail) == 1 &&
             read_private(k, data, (size_t)(n + tail));
    }
    EVP_ENCODE_CTX_free(ctx);
    mem_free(data);
    return ok;
}

static enum status read_key(struct key *k, const char *path, struct err *e) {
    struct stat info;
    char *text;
    size_t size;
    if (stat(path, &info) != 0) return os_fail(e, "open", path);
    if ((info.st_mode & 077) != 0)
        return err_set(e, ST_DENIED, "%s can be read by others: run chmod 600 on it", path);
    enum status st = os_file_read(path, KEY_FILE_MAX, &text, &size, e);
    if (st != ST_OK) return st;
    if (!read_pem(k, text))
        st = err_set(e, ST_FORMAT, "%s is not an OpenSSH Ed25519 key without passphrase", path);
    mem_free(text);
    return st;
}

/* A new file of its own mode; exists already: ST_EXISTS, somebody else was faster. */
static enum status write_new(const char *path, const struct buf *b, mode_t mode, struct err *e) {
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (fd < 0) return os_fail(e, "create", path);
    bool ok = write(fd, b->data, b->len) == (ssize_t)b->len && fsync(fd) == 0;
    enum status st = ok ? ST_OK : os_fail(e, "write", path);
    close(fd);
    return st;
}

static enum status make_key(struct key *k, const char *dir, const char *path, struct err *e) {
    unsigned char seed[KEY_SEED];
    uint32_t check;
    struct buf text = {0}, public_path = {0}, temporary = {0};
    enum status st = os_random(seed, sizeof seed, e);
    if (st == ST_OK) st = os_random(&check, sizeof check, e);
    if (st == ST_OK) st = key_from_seed(k, seed, e);
    if (st == ST_OK && mkdir(dir, 0700) != 0 && !os_file_exists(dir)) st = os_fail(e, "mkdir", dir);
    if (st != ST_OK) return st;
    put_private_file(&text, k, check);
    buf_printf(&public_path, "%s.pub", path);
    buf_printf(&temporary, "%s.%08x", path, check);
    if (text.failed || public_path.failed || temporary.failed) st = err_no_memory(e);
    /* The private file last and by a link, which never replaces a key that is there. */
    if (st == ST_OK) st = write_new(temporary.data, &text, 0600, e);
    if (st == ST_OK && link(temporary.data, path) != 0) st = os_fail(e, "create", path);
    if (temporary.data != NULL) unlink(temporary.data);
    if (st == ST_OK) {
        buf_clear(&text);
        key_public_line(k, &text);
        buf_chr(&text, '\n');
        st = os_file_write_atomic(public_path.data, text.data, text.len, e);
    }
    buf_free(&text);
    buf_free(&public_path);
    buf_free(&temporary);
    return st;
}

enum status key_load(struct key *k, const char *dir, bool *made, struct err *e) {
    char folder[4096], path[4096 + 16];
    const char *home = getenv("HOME");
    if (dir == NULL && home == NULL) return err_set(e, ST_NOT_FOUND, "no home folder for the key");
    snprintf(folder, sizeof folder, dir != NULL ? "%s" : "%s/.ollama", dir != NULL ? dir : home);
    snprintf(path, sizeof path, "%s/id_ed25519", folder);
    if (made != NULL) *made = false;
    if (!os_file_exists(path)) {
        struct err mine;
        enum status st = make_key(k, folder, path, &mine);
        if (made != NULL) *made = st == ST_OK;
        if (st == ST_OK || st != ST_EXISTS)
            return st == ST_OK ? st : err_set(e, st, "%s", mine.msg);
    }
    return read_key(k, path, e);
}
