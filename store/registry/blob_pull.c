/* blob_pull.c - see blob_pull.h.
 *
 * Three kinds of threads: who asked waits and reports; the download's thread runs libcurl's event
 * loop over all parts (begin with few connections, more as time goes on: a short download does not
 * gain from them, and the hash can follow closely); the keeper hashes what is there without a gap
 * and keeps the journal, so that neither costs time after the last byte. */
#include "store/registry/blob_pull.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/os.h"
#include "store/registry/parts.h"
#include "store/store_impl.h"

enum {
    MAX_TRIES = 6,
    FIRST_CONNECTIONS = 4,
    MAX_CONNECTIONS = 16,
    TICK_MS = 60,
    HASH_CHUNK = 1 << 20,
};
static const double ramp_seconds = 2, save_seconds = 5, patience_seconds = 30;
static const uint64_t save_bytes = 64 << 20;

struct transfer { /* a part on its way */
    struct fetch fetch;
    struct download *d;
    unsigned part;
    bool active, no_ranges;
    int io_error; /* errno of a write that failed; 0: none did */
    int tries;
    double not_before;
    uint64_t done_at_start;
};

struct download {
    /* Fixed: */
    struct store *store;
    struct session session;
    char digest[STORE_DIGEST_TEXT];
    uint64_t total;
    /* Under `lock`: */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned users;
    bool finished, mismatch;
    enum status st;
    struct err e;
    /* Shared by the threads of the download: */
    _Atomic bool cancel, all_there, keeper_failed;
    _Atomic uint64_t completed;
    /* The download's thread: */
    struct parts parts;
    CURLM *multi;
    struct transfer *transfer; /* [parts.n] */
    char *direct;              /* where the content is */
    bool restart, resolve_again;
    /* The keeper's: */
    pthread_mutex_t keeper_lock;
    pthread_cond_t keeper_wake;
    char real[STORE_DIGEST_TEXT];
    enum status keeper_st;
    struct err keeper_e;
    struct download *next;
};

static pthread_mutex_t downloads_lock = PTHREAD_MUTEX_INITIALIZER;
static struct download *downloads; /* those that run; under downloads_lock */

/* The end of a timed wait that begins now; the clock of the day may jump. */
static struct timespec next_tick(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_nsec += TICK_MS * 1000000L;
    if (t.tv_nsec >= 1000000000L) t.tv_sec++, t.tv_nsec -= 1000000000L;
    return t;
}

/* ---- the keeper ---- */

static enum status hash_to(struct download *d, struct digest *hash, uint64_t *at, uint64_t to,
                           char *room, struct err *e) {
    while (*at < to && !atomic_load(&d->cancel)) {
        size_t want = to - *at < HASH_CHUNK ? (size_t)(to - *at) : HASH_CHUNK;
        ssize_t got = pread(d->parts.fd, room, want, (off_t)*at);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return parts_fail(&d->parts, "read", e);
        digest_update(hash, room, (size_t)got);
        *at += (uint64_t)got;
    }
    return ST_OK;
}

/* Sleeps until the loop says that there is more, at most a tick. */
static void keeper_sleep(struct download *d) {
    const struct timespec until = next_tick();
    pthread_mutex_lock(&d->keeper_lock);
    if (!atomic_load(&d->all_there) && !atomic_load(&d->cancel))
        pthread_cond_timedwait(&d->keeper_wake, &d->keeper_lock, &until);
    pthread_mutex_unlock(&d->keeper_lock);
}

static enum status keep(struct download *d, struct digest *hash, char *room, struct err *e) {
    uint64_t hashed = 0, saved = parts_done(&d->parts);
    double saved_at = os_time_mono();
    enum status st = d->total > save_bytes ? parts_save(&d->parts, e) : ST_OK;
    while (st == ST_OK && hashed < d->total && !atomic_load(&d->cancel)) {
        uint64_t ready = parts_prefix(&d->parts), done = parts_done(&d->parts);
        if (done != saved && !atomic_load(&d->all_there) &&
            (done - saved >= save_bytes || os_time_mono() - saved_at >= save_seconds)) {
            st = parts_save(&d->parts, e);
            saved = done;
            saved_at = os_time_mono();
        } else if (ready > hashed) {
            /* Not further than to the next save. */
            uint64_t to = ready - hashed < save_bytes ? ready : hashed + save_bytes;
            st = hash_to(d, hash, &hashed, to, room, e);
        } else {
            keeper_sleep(d);
        }
    }
    return st;
}

static void *keeper(void *arg) {
    struct download *d = arg;
    struct digest *hash = digest_new();
    char *room = mem_alloc(HASH_CHUNK);
    unsigned char raw[DIGEST_BYTES];
    if (hash == NULL || room == NULL)
        d->keeper_st = err_no_memory(&d->keeper_e);
    else
        d->keeper_st = keep(d, hash, room, &d->keeper_e);
    if (d->keeper_st == ST_OK && !atomic_load(&d->cancel)) {
        digest_finish(hash, raw);
        hash = NULL;
        memcpy(d->real, "sha256:", 7);
        digest_hex(raw, d->real + 7);
    }
    digest_cancel(hash);
    mem_free(room);
    if (d->keeper_st != ST_OK) atomic_store(&d->keeper_failed, true);
    return NULL;
}

/* ---- parts: bytes in ---- */

static struct part *part_of(const struct transfer *t) { return &t->d->parts.part[t->part]; }

/* Does the answer's Content-Range begin where we asked? */
static bool range_fits(const struct transfer *t) {
    unsigned long long from;
    const char *text = t->fetch.content_range;
    return text != NULL && sscanf(text, "bytes %llu-", &from) == 1 &&
           from == part_of(t)->offset + t->done_at_start;
}

static bool on_bytes(struct fetch *f, const char *data, size_t n) {
    struct transfer *t = f->arg;
    struct part *p = part_of(t);
    uint64_t done = atomic_load(&p->done);
    if (f->code == 206 ? !range_fits(t) : p->size != t->d->total || t->done_at_start != 0) {
        t->no_ranges = true;
        return false;
    }
    if (n > p->size - done) {
        snprintf(f->text, sizeof f->text, "more than the announced bytes");
        f->over = true;
        return false;
    }
    while (n > 0) {
        ssize_t put = pwrite(t->d->parts.fd, data, n, (off_t)(p->offset + done));
        if (put < 0 && errno == EINTR) continue;
        if (put <= 0) {
            t->io_error = put < 0 ? errno : EIO;
            return false;
        }
        data += put;
        n -= (size_t)put;
        done += (uint64_t)put;
        atomic_store(&t->d->completed, atomic_load(&t->d->completed) + (uint64_t)put);
        atomic_store(&p->done, done);
    }
    return true;
}

static enum status write_failed(const struct transfer *t, struct err *e) {
    errno = t->io_error; /* libcurl has run since */
    return parts_fail(&t->d->parts, "write", e);
}

/* ---- finding the content ---- */

/* HEAD: is it there, and as long as the manifest says? */
static enum status look(struct download *d, struct err *e) {
    struct fetch f;
    enum status st = session_request(&d->session, &f, "HEAD", e, "blobs/%s", d->digest);
    if (st == ST_OK) st = session_run(&d->session, &f, NULL, e);
    if (st == ST_OK && f.code == 200 && f.content_length >= 0 &&
        (uint64_t)f.content_length != d->total)
        st = err_set(e, ST_FORMAT, "%s: the manifest says %llu bytes, the registry has %lld",
                     d->digest, (unsigned long long)d->total, (long long)f.content_length);
    fetch_free(&f);
    return st;
}

/* GET without a range: a redirect to another host tells where the content is; an answer with the
 * content is read if it is the whole of a single part that was not begun. */
static enum status resolve_at(struct download *d, char *url, char **next, struct err *e) {
    struct fetch f;
    struct transfer t = {.d = d};
    enum status st = session_request_url(&d->session, &f, "GET", url, e);
    bool fresh = d->parts.n == 1 && atomic_load(&d->parts.part[0].done) == 0;
    f.sink = on_bytes;
    f.arg = &t;
    t.done_at_start = fresh ? 0 : 1; /* else: stop at the first byte */
    struct err mine;
    if (st == ST_OK) st = session_run(&d->session, &f, NULL, &mine);
    if (st != ST_OK && f.code / 100 == 2 && t.no_ranges) st = ST_OK;
    if (st != ST_OK) {
        bool kept = f.code / 100 == 2 && t.io_error == 0 && !f.over && st == ST_UNAVAILABLE;
        st = kept              ? ST_OK /* a cut: the parts go on from there */
             : t.io_error != 0 ? write_failed(&t, e)
             : f.over ? err_set(e, ST_FORMAT, "%s: the registry sends more than %llu bytes",
                                d->digest, (unsigned long long)d->total)
                      : err_set(e, st, "%s", mine.msg);
    }
    if (st == ST_OK && f.code / 100 == 3) {
        st = fetch_redirect(&f, next, e);
    } else if (st == ST_OK) {
        mem_free(d->direct);
        d->direct = mem_strdup(f.url);
        if (d->direct == NULL) st = err_no_memory(e);
    }
    fetch_free(&f);
    return st;
}

static enum status resolve(struct download *d, struct err *e) {
    struct buf first = {0};
    buf_printf(&first, "%s/blobs/%s", d->session.base, d->digest);
    char *url = buf_take(&first);
    for (int i = 0; i <= FETCH_MAX_REDIRECTS; i++) {
        char *next = NULL;
        enum status st = resolve_at(d, url, &next, e); /* takes url */
        if (st != ST_OK || next == NULL) return st;
        if (!fetch_is_own(&d->session.policy, next)) {
            mem_free(d->direct);
            d->direct = next;
            return ST_OK;
        }
        url = next;
    }
    mem_free(url);
    return err_set(e, ST_FORMAT, "stopped after %d redirects", FETCH_MAX_REDIRECTS);
}

/* What fails for reasons that may pass is tried again for half a minute. */
static enum status patiently(struct download *d,
                             enum status (*step)(struct download *, struct err *), struct err *e) {
    double end = os_time_mono() + patience_seconds;
    for (unsigned n = 1;; n++) {
        enum status st = step(d, e);
        if (st != ST_UNAVAILABLE || os_time_mono() > end || atomic_load(&d->cancel)) return st;
        unsigned ms = n * n * 10 < 10000 ? n * n * 10 : 10000;
        for (unsigned i = 0; i < ms / 10 && !atomic_load(&d->cancel); i++) usleep(10000);
    }
}

/* ---- the event loop ---- */

static enum status begin_transfer(struct download *d, struct transfer *t, const char *url,
                                  struct err *e) {
    struct part *p = part_of(t);
    fetch_init(&t->fetch, &d->session.policy, "GET", mem_strdup(url));
    t->done_at_start = atomic_load(&p->done);
    t->no_ranges = false;
    t->io_error = 0;
    t->fetch.sink = on_bytes;
    t->fetch.arg = t;
    fetch_header(&t->fetch, "Range: bytes=%llu-%llu",
                 (unsigned long long)(p->offset + t->done_at_start),
                 (unsigned long long)(p->offset + p->size - 1));
    if (fetch_is_own(&d->session.policy, url) && d->session.token != NULL)
        fetch_header(&t->fetch, "Authorization: Bearer %s", d->session.token);
    CURL *h = t->fetch.url != NULL ? fetch_prepare(&t->fetch) : NULL;
    if (h == NULL) return err_no_memory(e);
    curl_multi_add_handle(d->multi, h);
    t->active = true;
    return ST_OK;
}

static void end_transfer(struct download *d, struct transfer *t) {
    if (t->active) curl_multi_remove_handle(d->multi, t->fetch.curl);
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
    log_debug("pull", "%s part %u: %s; try %d", t->d->digest, t->part, why, t->tries);
    return ST_OK;
}

static enum status finish_transfer(struct download *d, struct transfer *t, CURLcode code,
                                   struct err *e) {
    struct err why = {0};
    struct part *p = part_of(t);
    enum status st = fetch_result(&t->fetch, code, &why), result = ST_OK;
    long http = t->fetch.code;
    if (t->io_error != 0) {
        result = write_failed(t, e);
    } else if (t->fetch.over && http / 100 == 2) {
        result = err_set(e, ST_FORMAT, "%s: the registry sends more than %llu bytes", d->digest,
                         (unsigned long long)d->total);
    } else if (t->fetch.blocked || st == ST_NO_MEMORY) {
        result = err_set(e, why.code, "%s", why.msg);
    } else if (t->no_ranges) {
        d->restart = true;
    } else if (atomic_load(&p->done) == p->size) {
        t->tries = 0;
    } else if (st == ST_OK && http / 100 == 3) { /* the direct address moved on */
        char *next;
        result = fetch_redirect(&t->fetch, &next, e);
        if (result == ST_OK) {
            mem_free(d->direct);
            d->direct = next;
            result = try_again(t, false, "redirected", e);
            t->not_before = 0;
        }
    } else {
        if (st == ST_OK && http >= 400) session_code(&t->fetch, &why);
        if (st == ST_OK && http < 400) snprintf(why.msg, sizeof why.msg, "unexpected EOF");
        d->resolve_again = d->resolve_again || http == 401 || http == 403 || http == 404;
        result = try_again(t, t->fetch.stalled, why.msg, e);
    }
    end_transfer(d, t);
    pthread_cond_signal(&d->keeper_wake);
    return result;
}

static enum status start_some(struct download *d, unsigned most, struct err *e) {
    unsigned active = 0;
    double now = os_time_mono();
    for (unsigned i = 0; i < d->parts.n; i++) active += d->transfer[i].active;
    for (unsigned i = 0; i < d->parts.n && active < most; i++) {
        struct transfer *t = &d->transfer[i];
        if (t->active || atomic_load(&d->parts.part[i].done) == d->parts.part[i].size) continue;
        if (t->not_before > now) continue;
        enum status st = begin_transfer(d, t, d->direct, e);
        if (st != ST_OK) return st;
        active++;
    }
    return ST_OK;
}

static enum status new_transfers(struct download *d, struct err *e) {
    mem_free(d->transfer);
    d->transfer = mem_zalloc(d->parts.n + 1, sizeof *d->transfer);
    if (d->transfer == NULL) return err_no_memory(e);
    for (unsigned i = 0; i < d->parts.n; i++) d->transfer[i] = (struct transfer){.d = d, .part = i};
    return ST_OK;
}

static void end_all(struct download *d) {
    for (unsigned i = 0; d->transfer != NULL && i < d->parts.n; i++)
        end_transfer(d, &d->transfer[i]);
}

/* One turn of the loop: start, wait, take in what ended. */
static enum status turn(struct download *d, unsigned most, struct err *e) {
    int running, left;
    enum status st = start_some(d, most, e);
    if (st != ST_OK) return st;
    curl_multi_perform(d->multi, &running);
    for (CURLMsg *m; st == ST_OK && (m = curl_multi_info_read(d->multi, &left)) != NULL;) {
        struct transfer *t = NULL;
        if (m->msg != CURLMSG_DONE) continue;
        for (unsigned i = 0; i < d->parts.n; i++)
            if (d->transfer[i].active && d->transfer[i].fetch.curl == m->easy_handle)
                t = &d->transfer[i];
        if (t != NULL) st = finish_transfer(d, t, m->data.result, e);
    }
    if (st == ST_OK) curl_multi_poll(d->multi, NULL, 0, TICK_MS, NULL);
    return st;
}

static enum status load(struct download *d, struct err *e) {
    double begun = os_time_mono();
    enum status st = new_transfers(d, e);
    while (st == ST_OK && parts_done(&d->parts) < d->total) {
        if (atomic_load(&d->cancel)) return err_set(e, ST_CANCELLED, "cancelled");
        if (atomic_load(&d->keeper_failed)) return ST_OK; /* its error is told */
        unsigned most = FIRST_CONNECTIONS;
        most += (unsigned)((os_time_mono() - begun) / ramp_seconds) * FIRST_CONNECTIONS;
        st = turn(d, most < MAX_CONNECTIONS ? most : MAX_CONNECTIONS, e);
        if (st == ST_OK && d->restart) return st;
        if (st == ST_OK && d->resolve_again) {
            d->resolve_again = false;
            st = patiently(d, resolve, e);
        }
    }
    return st;
}

/* ---- a whole download ---- */

static void wake_keeper(struct download *d) {
    pthread_mutex_lock(&d->keeper_lock);
    pthread_cond_signal(&d->keeper_wake);
    pthread_mutex_unlock(&d->keeper_lock);
}

/* Loading with the keeper beside it. restart: ranges do not work here. */
static enum status load_and_hash(struct download *d, struct err *e) {
    pthread_t thread;
    atomic_store(&d->all_there, false);
    atomic_store(&d->keeper_failed, false);
    atomic_store(&d->completed, parts_done(&d->parts));
    if (pthread_create(&thread, NULL, keeper, d) != 0)
        return err_set(e, ST_IO, "cannot start a thread");
    enum status st = load(d, e);
    end_all(d);
    bool cancelled = atomic_exchange(&d->cancel, st != ST_OK || d->restart);
    atomic_store(&d->all_there, st == ST_OK && !d->restart);
    wake_keeper(d);
    pthread_join(thread, NULL);
    atomic_store(&d->cancel, cancelled);
    if (st == ST_OK && !d->restart && d->keeper_st != ST_OK)
        st = err_set(e, d->keeper_st, "%s", d->keeper_e.msg);
    return st;
}

static enum status fetch_content(struct download *d, struct err *e) {
    enum status st = parts_done(&d->parts) < d->total ? patiently(d, resolve, e) : ST_OK;
    if (st == ST_OK) st = load_and_hash(d, e);
    if (st == ST_OK && d->restart) {
        log_info("pull", "%s: the registry gives no ranges, so in one piece", d->digest);
        d->restart = false;
        st = parts_restart(&d->parts, e);
        if (st == ST_OK) st = load_and_hash(d, e);
        if (st == ST_OK && d->restart)
            st = err_set(e, ST_UNAVAILABLE, "%s: the registry answers with a wrong range",
                         d->digest);
    }
    if (st != ST_OK) return st;
    if (strcasecmp(d->real, d->digest) == 0) return parts_commit(&d->parts, e);
    parts_discard(&d->parts);
    d->mismatch = true;
    return err_set(e, ST_FORMAT, "digest mismatch, file must be downloaded again: want %s, got %s",
                   d->digest, d->real);
}

/* Another process may be loading the same blob: then it is waited for. */
static enum status open_parts(struct download *d, bool *there, struct err *e) {
    for (;;) {
        *there = store_blob_stat(d->store, d->digest, NULL, NULL) == ST_OK;
        if (*there) return ST_OK;
        enum status st = parts_open(&d->parts, d->store, d->digest, d->total, e);
        if (st != ST_BUSY) return st;
        if (atomic_load(&d->cancel)) return err_set(e, ST_CANCELLED, "cancelled");
        atomic_store(&d->completed, parts_seen(d->store, d->digest, d->total));
        usleep(TICK_MS * 1000);
    }
}

static enum status download(struct download *d, struct err *e) {
    bool there;
    enum status st = open_parts(d, &there, e);
    if (st != ST_OK || there) return st;
    atomic_store(&d->completed, parts_done(&d->parts));
    d->multi = curl_multi_init();
    st = d->multi != NULL ? patiently(d, look, e) : err_no_memory(e);
    if (st == ST_OK) st = fetch_content(d, e);
    if (st != ST_OK && !d->mismatch) { /* what has come is for the next try */
        if (parts_done(&d->parts) == 0)
            parts_discard(&d->parts);
        else
            parts_save(&d->parts, NULL);
    }
    curl_multi_cleanup(d->multi);
    parts_close(&d->parts);
    return st;
}

static void download_free(struct download *d) {
    pthread_mutex_destroy(&d->lock);
    pthread_cond_destroy(&d->changed);
    pthread_mutex_destroy(&d->keeper_lock);
    pthread_cond_destroy(&d->keeper_wake);
    session_close(&d->session);
    mem_free(d->transfer);
    mem_free(d->direct);
    mem_free(d);
}

/* Whoever leaves last frees it: the thread, or somebody who waits. */
static void leave(struct download *d, bool thread) {
    pthread_mutex_lock(&downloads_lock);
    pthread_mutex_lock(&d->lock);
    if (thread) {
        for (struct download **p = &downloads; *p != NULL; p = &(*p)->next)
            if (*p == d) {
                *p = d->next;
                break;
            }
        d->finished = true;
        pthread_cond_broadcast(&d->changed);
    } else if (--d->users == 0) {
        atomic_store(&d->cancel, true);
    }
    bool last = d->finished && d->users == 0;
    pthread_mutex_unlock(&d->lock);
    pthread_mutex_unlock(&downloads_lock);
    if (last) download_free(d);
}

static void *run(void *arg) {
    struct download *d = arg;
    struct err e = {0};
    enum status st = download(d, &e);
    pthread_mutex_lock(&d->lock);
    d->st = st;
    d->e = e;
    pthread_mutex_unlock(&d->lock);
    leave(d, true);
    return NULL;
}

/* ---- for who asks ---- */

static enum status new_download(struct download **out, struct store *s,
                                const struct session *session, const char *digest, uint64_t size,
                                struct err *e) {
    pthread_attr_t attr;
    pthread_t thread;
    struct download *d = mem_zalloc(1, sizeof *d);
    if (d == NULL) return err_no_memory(e);
    const struct registry_options o = {session->insecure, session->user, session->password,
                                       session->key_dir, session->mirror};
    d->store = s;
    d->total = size;
    d->users = 1;
    pthread_mutex_init(&d->lock, NULL);
    os_cond_init(&d->changed);
    pthread_mutex_init(&d->keeper_lock, NULL);
    os_cond_init(&d->keeper_wake);
    snprintf(d->digest, sizeof d->digest, "%s", digest);
    enum status st = session_open(&d->session, &session->name, &o, e);
    if (st == ST_OK) {
        d->session.policy.cancel = &d->cancel;
        if (session->token != NULL) d->session.token = mem_strdup(session->token);
        pthread_attr_init(&attr);
        pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
        if (pthread_create(&thread, &attr, run, d) != 0)
            st = err_set(e, ST_IO, "cannot start a thread");
        pthread_attr_destroy(&attr);
    }
    if (st == ST_OK)
        *out = d;
    else
        download_free(d);
    return st;
}

/* The one that runs for this blob, or a new one. */
static enum status join(struct download **out, struct store *s, const struct session *session,
                        const char *digest, uint64_t size, struct err *e) {
    enum status st = ST_OK;
    pthread_mutex_lock(&downloads_lock);
    struct download *d = downloads;
    while (d != NULL && (strcmp(d->digest, digest) != 0 || strcmp(d->store->dir, s->dir) != 0 ||
                         d->total != size || atomic_load(&d->cancel)))
        d = d->next;
    if (d != NULL) {
        pthread_mutex_lock(&d->lock);
        d->users++;
        pthread_mutex_unlock(&d->lock);
    } else if ((st = new_download(&d, s, session, digest, size, e)) == ST_OK) {
        d->next = downloads;
        downloads = d;
    }
    pthread_mutex_unlock(&downloads_lock);
    *out = d;
    return st;
}

static bool report(const struct download *d, store_progress *progress, void *arg) {
    char status[32];
    snprintf(status, sizeof status, "pulling %.12s", d->digest + 7);
    return progress(arg, status, d->digest, d->total, atomic_load(&d->completed));
}

enum status blob_pull(struct store *s, const struct session *session, const char *digest,
                      uint64_t size, store_progress *progress, void *arg, bool *mismatch,
                      struct err *e) {
    struct download *d;
    enum status st = join(&d, s, session, digest, size, e);
    if (st != ST_OK) return st;
    bool finished = false, wanted = true;
    while (!finished && wanted) {
        const struct timespec until = next_tick();
        pthread_mutex_lock(&d->lock);
        if (!d->finished) pthread_cond_timedwait(&d->changed, &d->lock, &until);
        finished = d->finished;
        pthread_mutex_unlock(&d->lock);
        if (!finished || d->st == ST_OK) wanted = report(d, progress, arg);
    }
    if (!finished)
        st = err_set(e, ST_CANCELLED, "cancelled");
    else if (d->st != ST_OK)
        st = err_set(e, d->st, "%s", d->e.msg);
    *mismatch = finished && d->mismatch;
    leave(d, false);
    return st;
}
