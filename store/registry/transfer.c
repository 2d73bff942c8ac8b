/* transfer.c - one part of a blob over one connection: its bytes into the file, and what to do
 * about each way in which it can end (content.h). */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/os.h"
#include "store/registry/content.h"

enum { MAX_TRIES = 6 };

/* ---- bytes in ---- */

static struct part *part_of(const struct transfer *t) { return &t->of->parts->part[t->part]; }

/* Does the answer's Content-Range begin where we asked? */
static bool range_fits(const struct transfer *t) {
    unsigned long long from;
    const char *text = t->fetch.content_range;
    return text != NULL && sscanf(text, "bytes %llu-", &from) == 1 &&
           from == part_of(t)->offset + t->done_at_start;
}

bool transfer_bytes(struct fetch *f, const char *data, size_t n) {
    struct transfer *t = f->arg;
    struct part *p = part_of(t);
    uint64_t done = atomic_load(&p->done);
    if (f->code == 206 ? !range_fits(t) : p->size != t->of->parts->total || t->done_at_start != 0) {
        t->no_ranges = true;
        return false;
    }
    if (n > p->size - done) {
        snprintf(f->text, sizeof f->text, "more than the announced bytes");
        f->over = true;
        return false;
    }
    while (n > 0) {
        ssize_t put = pwrite(t->of->parts->fd, data, n, (off_t)(p->offset + done));
        if (put < 0 && errno == EINTR) continue;
        if (put <= 0) {
            t->io_error = put < 0 ? errno : EIO;
            return false;
        }
        data += put;
        n -= (size_t)put;
        done += (uint64_t)put;
        atomic_store(t->of->completed, atomic_load(t->of->completed) + (uint64_t)put);
        atomic_store(&p->done, done);
    }
    return true;
}

enum status transfer_write_failed(const struct transfer *t, struct err *e) {
    errno = t->io_error; /* libcurl has run since */
    return parts_fail(t->of->parts, "write", e);
}

/* ---- beginning and end ---- */

enum status transfer_begin(struct transfer *t, const char *url, struct err *e) {
    const struct content *c = t->of;
    const struct part *p = part_of(t);
    fetch_init(&t->fetch, &c->session->policy, "GET", mem_strdup(url));
    t->done_at_start = atomic_load(&p->done);
    t->no_ranges = false;
    t->io_error = 0;
    t->fetch.sink = transfer_bytes;
    t->fetch.arg = t;
    fetch_header(&t->fetch, "Range: bytes=%llu-%llu",
                 (unsigned long long)(p->offset + t->done_at_start),
                 (unsigned long long)(p->offset + p->size - 1));
    if (fetch_is_own(&c->session->policy, url) && c->session->token != NULL)
        fetch_header(&t->fetch, "Authorization: Bearer %s", c->session->token);
    CURL *h = t->fetch.url != NULL ? fetch_prepare(&t->fetch) : NULL;
    if (h == NULL) return err_no_memory(e);
    curl_multi_add_handle(c->multi, h);
    t->active = true;
    return ST_OK;
}

void transfer_end(struct transfer *t) {
    if (t->active) curl_multi_remove_handle(t->of->multi, t->fetch.curl);
    t->active = false;
    fetch_free(&t->fetch);
}

/* After a failure: again later. Bytes that came count as a good try. */
static enum status try_again(struct transfer *t, bool stalled, const char *why, struct err *e) {
    bool moved = atomic_load(&part_of(t)->done) > t->done_at_start;
    t->tries = moved ? 1 : t->tries + (stalled ? 0 : 1);
    if (t->tries >= MAX_TRIES) return err_set(e, ST_UNAVAILABLE, "max retries exceeded: %s", why);
    double wait = stalled || t->tries == 0 ? 0 : (double)(1 << (t->tries - 1));
    t->not_before = os_time_mono() + (moved ? 0.1 : wait);
    log_debug("pull", "%s part %u: %s; try %d", t->of->digest, t->part, why, t->tries);
    return ST_OK;
}

enum status transfer_finish(struct transfer *t, CURLcode code, struct err *e) {
    struct content *c = t->of;
    struct err why = {0};
    struct part *p = part_of(t);
    enum status st = fetch_result(&t->fetch, code, &why), result = ST_OK;
    long http = t->fetch.code;
    if (t->io_error != 0) {
        result = transfer_write_failed(t, e);
    } else if (t->fetch.over && http / 100 == 2) {
        result = err_set(e, ST_FORMAT, "%s: the registry sends more than %llu bytes", c->digest,
                         (unsigned long long)c->parts->total);
    } else if (t->fetch.blocked || st == ST_NO_MEMORY) {
        result = err_set(e, why.code, "%s", why.msg);
    } else if (t->no_ranges) {
        c->restart = true;
    } else if (atomic_load(&p->done) == p->size) {
        t->tries = 0;
    } else if (st == ST_OK && http / 100 == 3) { /* the direct address moved on */
        char *next;
        result = fetch_redirect(&t->fetch, &next, e);
        if (result == ST_OK) {
            mem_free(c->direct);
            c->direct = next;
            result = try_again(t, false, "redirected", e);
            t->not_before = 0;
        }
    } else {
        if (st == ST_OK && http >= 400) session_code(&t->fetch, &why);
        if (st == ST_OK && http < 400) snprintf(why.msg, sizeof why.msg, "unexpected EOF");
        c->resolve_again = c->resolve_again || http == 401 || http == 403 || http == 404;
        result = try_again(t, t->fetch.stalled, why.msg, e);
    }
    transfer_end(t);
    keeper_more(c->keeper);
    return result;
}
