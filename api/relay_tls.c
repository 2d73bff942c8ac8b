/* relay_tls.c - TLS for the relay: OpenSSL, version 1.2 and later (spec/security.md S-NET-6). The
 * certificate can be replaced while connections are open: they keep the context they began with. */
#include <openssl/err.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>

#include "api/relay_impl.h"
#include "base/mem.h"
#include "base/os.h"

struct relay_tls {
    char *cert, *key; /* paths; owned */
    pthread_mutex_t mutex;
    SSL_CTX *ctx; /* guarded by the mutex */
};

static enum status ssl_failed(struct err *e, const char *what, const char *path) {
    char text[160] = "";
    ERR_error_string_n(ERR_peek_last_error(), text, sizeof text);
    ERR_clear_error();
    return err_set(e, ST_FORMAT, "tls: %s %s: %s", what, path, text);
}

static enum status check_key_file(const char *path, struct err *e) {
    struct stat info;
    if (stat(path, &info) != 0) return os_fail(e, "tls: open", path);
    if ((info.st_mode & (S_IRWXG | S_IRWXO)) != 0)
        return err_set(e, ST_DENIED, "tls: others may read the key %s: chmod 600 it", path);
    return ST_OK;
}

static enum status make_context(const struct relay_tls *t, SSL_CTX **out, struct err *e) {
    enum status st = check_key_file(t->key, e);
    if (st != ST_OK) return st;
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    if (ctx == NULL) return err_no_memory(e);
    SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_mode(ctx, SSL_MODE_AUTO_RETRY | SSL_MODE_RELEASE_BUFFERS);
    if (SSL_CTX_use_certificate_chain_file(ctx, t->cert) != 1)
        st = ssl_failed(e, "certificate", t->cert);
    else if (SSL_CTX_use_PrivateKey_file(ctx, t->key, SSL_FILETYPE_PEM) != 1 ||
             SSL_CTX_check_private_key(ctx) != 1)
        st = ssl_failed(e, "key", t->key);
    if (st != ST_OK)
        SSL_CTX_free(ctx);
    else
        *out = ctx;
    return st;
}

enum status relay_tls_open(struct relay_tls **out, const char *cert, const char *key,
                           struct err *e) {
    if (key == NULL || *key == '\0')
        return err_set(e, ST_INVALID, "tls: a certificate needs its key: tls_key");
    struct relay_tls *t = mem_zalloc(1, sizeof *t);
    if (t == NULL) return err_no_memory(e);
    pthread_mutex_init(&t->mutex, NULL);
    t->cert = mem_strdup(cert);
    t->key = mem_strdup(key);
    enum status st = t->cert == NULL || t->key == NULL ? err_no_memory(e) : ST_OK;
    if (st == ST_OK) st = make_context(t, &t->ctx, e);
    if (st != ST_OK) {
        relay_tls_close(t);
        return st;
    }
    *out = t;
    return ST_OK;
}

void relay_tls_close(struct relay_tls *t) {
    if (t == NULL) return;
    SSL_CTX_free(t->ctx);
    pthread_mutex_destroy(&t->mutex);
    mem_free(t->cert);
    mem_free(t->key);
    mem_free(t);
}

enum status relay_tls_reload(struct relay_tls *t, struct err *e) {
    SSL_CTX *fresh;
    enum status st = make_context(t, &fresh, e);
    if (st != ST_OK) return st;
    pthread_mutex_lock(&t->mutex);
    SSL_CTX *old = t->ctx;
    t->ctx = fresh;
    pthread_mutex_unlock(&t->mutex);
    SSL_CTX_free(old); /* connections hold it as long as they need it */
    return ST_OK;
}

/* ---- a connection ---- */

/* 0: none. */
static void set_read_limit(int fd, unsigned ms) {
    const struct timeval t = {.tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
}

/* The socket gives up on each wait; the clock on all of them together. */
static bool handshake(SSL *ssl, int fd, unsigned limit_ms) {
    const int64_t end = os_time_mono_ns() + (int64_t)limit_ms * 1000000;
    for (;;) {
        const int64_t left = (end - os_time_mono_ns()) / 1000000;
        if (left <= 0) return false;
        set_read_limit(fd, (unsigned)left);
        const int r = SSL_accept(ssl);
        if (r == 1) return true;
        const int why = SSL_get_error(ssl, r);
        if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE) return false;
    }
}

bool relay_tls_begin(struct relay_tls *t, int fd, unsigned limit_ms, SSL **out) {
    pthread_mutex_lock(&t->mutex);
    SSL *ssl = SSL_new(t->ctx);
    pthread_mutex_unlock(&t->mutex);
    if (ssl == NULL) return false;
    const bool ok = SSL_set_fd(ssl, fd) == 1 && handshake(ssl, fd, limit_ms);
    ERR_clear_error();
    if (!ok) {
        SSL_free(ssl);
        return false;
    }
    set_read_limit(fd, 0);
    *out = ssl;
    return true;
}

void relay_tls_end(SSL *ssl) {
    if (SSL_get_shutdown(ssl) == 0) SSL_shutdown(ssl);
    ERR_clear_error();
    SSL_free(ssl);
}

ssize_t relay_tls_read(SSL *ssl, char *out, size_t n) {
    const int k = SSL_read(ssl, out, (int)n);
    if (k <= 0) ERR_clear_error();
    return k > 0 ? k : 0;
}

bool relay_tls_write(SSL *ssl, const char *data, size_t n) {
    if (SSL_write(ssl, data, (int)n) == (int)n) return true;
    ERR_clear_error();
    return false;
}
