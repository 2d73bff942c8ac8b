/* blob_push.c - see blob_push.h. Parts go one after the other: each answer names the address of the
 * next one. Where the registry redirects a part, its bytes go to that address without credentials.
 */
#include "store/registry/blob_push.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/os.h"
#include "store/registry/parts.h"
#include "store/store_impl.h"

enum { MAX_TRIES = 6 };
static const int64_t tick_ns = 60 * 1000000;

struct push {
    struct session *session;
    const struct store_layer *layer;
    store_progress *progress;
    void *arg;
    int fd;
    uint64_t offset, size, sent; /* the part on its way */
    char *next;                  /* owned: where the next request goes */
    EVP_MD_CTX *part;            /* MD5 of the part, and of the parts' MD5s */
    EVP_MD_CTX *whole;
    unsigned n_parts;
    int64_t reported;
    _Atomic bool cancel;
};

static bool report(struct push *p, uint64_t completed) {
    char status[32];
    snprintf(status, sizeof status, "pushing %.12s", p->layer->digest + 7);
    p->reported = os_time_mono_ns();
    return p->progress(p->arg, status, p->layer->digest, p->layer->size, completed);
}

/* ---- a part ---- */

static size_t read_part(void *arg, char *out, size_t n) {
    struct push *p = arg;
    ssize_t got;
    if (n > p->size - p->sent) n = (size_t)(p->size - p->sent);
    do {
        got = pread(p->fd, out, n, (off_t)(p->offset + p->sent));
    } while (got < 0 && errno == EINTR);
    if (got <= 0) return 0;
    EVP_DigestUpdate(p->part, out, (size_t)got);
    p->sent += (uint64_t)got;
    if (os_time_mono_ns() - p->reported > tick_ns && !report(p, p->offset + p->sent))
        atomic_store(&p->cancel, true);
    return (size_t)got;
}

static void rewind_part(void *arg) {
    struct push *p = arg;
    p->sent = 0;
    EVP_DigestInit_ex(p->part, EVP_md5(), NULL);
}

/* Where the answer says to go on. */
static enum status next_address(const struct fetch *f, char **to, struct err *e) {
    struct fetch at = {.url = f->url,
                       .policy = f->policy,
                       .location = f->upload_location != NULL ? f->upload_location : f->location};
    return fetch_redirect(&at, to, e);
}

static enum status send_to(struct push *p, const char *method, char *url, struct fetch *f,
                           struct err *e) {
    enum status st = session_request_url(p->session, f, method, url, e);
    f->read = read_part;
    f->read_size = p->size;
    f->arg = p;
    rewind_part(p);
    fetch_header(f, "Content-Type: application/octet-stream");
    if (strcmp(method, "PATCH") == 0) {
        fetch_header(f, "Content-Range: %llu-%llu", (unsigned long long)p->offset,
                     (unsigned long long)(p->offset + p->size - 1));
        fetch_header(f, "X-Redirect-Uploads: 1");
    }
    return st == ST_OK ? session_run(p->session, f, rewind_part, e) : st;
}

static enum status try_part(struct push *p, struct err *e) {
    struct fetch f = {0};
    enum status st = send_to(p, "PATCH", mem_strdup(p->next), &f, e);
    if (st == ST_OK && f.code != 202 && f.code != 307)
        st = err_set(e, ST_UNAVAILABLE, "unexpected status %ld for a part", f.code);
    char *next = NULL, *to;
    if (st == ST_OK) st = next_address(&f, &next, e);
    if (st == ST_OK && f.code == 307) {
        struct fetch direct = {0};
        st = fetch_redirect(&f, &to, e);
        if (st == ST_OK) st = send_to(p, "PUT", to, &direct, e);
        fetch_free(&direct);
    }
    if (st == ST_OK) {
        mem_free(p->next);
        p->next = next;
    } else {
        mem_free(next);
    }
    fetch_free(&f);
    return st;
}

static void sleep_seconds(const struct push *p, int seconds) {
    for (int i = 0; i < seconds * 10 && !atomic_load(&p->cancel); i++) usleep(100000);
}

static enum status send_part(struct push *p, struct err *e) {
    struct err why = {0};
    unsigned char md5[EVP_MAX_MD_SIZE];
    unsigned n;
    enum status st = ST_OK;
    for (int i = 0; i < MAX_TRIES; i++) {
        st = try_part(p, &why);
        if (st != ST_UNAVAILABLE) break; /* only what may pass */
        sleep_seconds(p, 1 << i);
    }
    if (st == ST_UNAVAILABLE) return err_set(e, st, "max retries exceeded: %s", why.msg);
    if (st != ST_OK) return err_set(e, st, "%s", why.msg);
    EVP_DigestFinal_ex(p->part, md5, &n);
    EVP_DigestUpdate(p->whole, md5, n);
    p->n_parts++;
    return ST_OK;
}

/* ---- a blob ---- */

static enum status is_there(struct push *p, bool *there, struct err *e) {
    struct fetch f;
    struct err why;
    enum status st = session_request(p->session, &f, "HEAD", e, "blobs/%s", p->layer->digest);
    if (st == ST_OK) st = session_run(p->session, &f, NULL, &why);
    *there = st == ST_OK && f.code / 100 == 2;
    /* Some registries redirect the HEAD of a blob that they have. */
    if (st == ST_OK && f.code / 100 == 3) *there = true;
    fetch_free(&f);
    return st == ST_OK || st == ST_NOT_FOUND ? ST_OK : err_set(e, st, "%s", why.msg);
}

/* Starts an upload; *mounted: the registry has taken the blob from another repository. */
static enum status start(struct push *p, bool *mounted, struct err *e) {
    struct fetch f;
    struct model_name from;
    enum status st;
    if (p->layer->from[0] != '\0' && name_parse(&from, p->layer->from))
        st = session_request(p->session, &f, "POST", e, "blobs/uploads/?from=%s/%s&mount=%s",
                             from.namespace, from.model, p->layer->digest);
    else
        st = session_request(p->session, &f, "POST", e, "blobs/uploads/");
    f.body = "";
    if (st == ST_OK) st = session_run(p->session, &f, NULL, e);
    *mounted = st == ST_OK && f.code == 201;
    if (st == ST_OK && !*mounted) st = next_address(&f, &p->next, e);
    fetch_free(&f);
    return st;
}

static enum status finish(struct push *p, struct err *e) {
    unsigned char md5[EVP_MAX_MD_SIZE];
    unsigned n;
    struct buf url = {0};
    struct fetch f;
    EVP_DigestFinal_ex(p->whole, md5, &n);
    buf_printf(&url, "%s%cdigest=sha256%%3A%s&etag=", p->next, strchr(p->next, '?') ? '&' : '?',
               p->layer->digest + 7);
    for (unsigned i = 0; i < n; i++) buf_printf(&url, "%02x", md5[i]);
    buf_printf(&url, "-%u", p->n_parts);
    enum status st = session_request_url(p->session, &f, "PUT", buf_take(&url), e);
    f.body = "";
    fetch_header(&f, "Content-Type: application/octet-stream");
    if (st == ST_OK) st = session_run(p->session, &f, NULL, e);
    fetch_free(&f);
    return st;
}

static enum status send_parts(struct push *p, struct err *e) {
    const uint64_t total = p->layer->size, size = parts_size(total);
    enum status st = ST_OK;
    for (p->offset = 0; p->offset < total && st == ST_OK; p->offset += p->size) {
        p->size = total - p->offset < size ? total - p->offset : size;
        st = send_part(p, e);
    }
    return st;
}

static enum status open_blob(struct push *p, struct store *s, struct err *e) {
    struct stat info;
    struct err why;
    p->fd = blob_open(s, p->layer->digest, &info, &why);
    if (p->fd < 0) return err_set(e, why.code, "%s", why.msg);
    if ((uint64_t)info.st_size != p->layer->size)
        return err_set(e, ST_FORMAT, "%s has %lld bytes, its manifest says %llu", p->layer->digest,
                       (long long)info.st_size, (unsigned long long)p->layer->size);
    p->part = EVP_MD_CTX_new();
    p->whole = EVP_MD_CTX_new();
    if (p->part == NULL || p->whole == NULL) return err_no_memory(e);
    EVP_DigestInit_ex(p->whole, EVP_md5(), NULL);
    return ST_OK;
}

enum status blob_push(struct store *s, struct session *session, const struct store_layer *layer,
                      store_progress *progress, void *arg, struct err *e) {
    struct push p = {
        .session = session, .layer = layer, .progress = progress, .arg = arg, .fd = -1};
    bool done = false;
    session->policy.cancel = &p.cancel;
    enum status st = is_there(&p, &done, e);
    if (st == ST_OK && !done) st = start(&p, &done, e);
    if (st == ST_OK && !done) {
        st = open_blob(&p, s, e);
        if (st == ST_OK) st = send_parts(&p, e);
        if (st == ST_OK) st = finish(&p, e);
    }
    if (st == ST_OK && !report(&p, layer->size)) st = err_set(e, ST_CANCELLED, "cancelled");
    session->policy.cancel = NULL;
    if (p.fd >= 0) close(p.fd);
    EVP_MD_CTX_free(p.part);
    EVP_MD_CTX_free(p.whole);
    mem_free(p.next);
    return st;
}
