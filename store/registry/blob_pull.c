/* blob_pull.c - see blob_pull.h.
 *
 * Three kinds of threads: who asked waits and reports; the download's thread runs libcurl's event
 * loop over all parts (content.h); the keeper (keeper.h) hashes what is there and keeps the
 * journal. */
#include "store/registry/blob_pull.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/os.h"
#include "store/registry/content.h"
#include "store/store_impl.h"

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
    _Atomic bool cancel;
    _Atomic uint64_t completed;
    struct keeper keeper;
    /* The download's thread: */
    struct parts parts;
    struct content content;
    struct download *next;
};

static pthread_mutex_t downloads_lock = PTHREAD_MUTEX_INITIALIZER;
static struct download *downloads; /* those that run; under downloads_lock */

/* ---- a whole download ---- */

/* Loading with the keeper beside it. content.restart: ranges do not work here. */
static enum status load_and_hash(struct download *d, struct err *e) {
    struct keeper *k = &d->keeper;
    struct content *c = &d->content;
    atomic_store(&d->completed, parts_done(&d->parts));
    enum status st = keeper_start(k, e);
    if (st != ST_OK) return st;
    st = content_load(c, e);
    keeper_end(k, st == ST_OK && !c->restart);
    if (st != ST_OK || c->restart) return st;
    if (k->st != ST_OK) return err_set(e, k->st, "%s", k->e.msg);
    /* Stopped just before the last byte came: the parts are for the next try. */
    return k->digest[0] != '\0' ? ST_OK : err_set(e, ST_CANCELLED, "cancelled");
}

static enum status fetch_content(struct download *d, struct err *e) {
    struct content *c = &d->content;
    enum status st =
        parts_done(&d->parts) < d->total ? content_patiently(c, content_resolve, e) : ST_OK;
    if (st == ST_OK) st = load_and_hash(d, e);
    if (st == ST_OK && c->restart) {
        log_info("pull", "%s: the registry gives no ranges, so in one piece", d->digest);
        c->restart = false;
        st = parts_restart(&d->parts, e);
        if (st == ST_OK) st = load_and_hash(d, e);
        if (st == ST_OK && c->restart)
            st = err_set(e, ST_UNAVAILABLE, "%s: the registry answers with a wrong range",
                         d->digest);
    }
    if (st != ST_OK) return st;
    if (strcasecmp(d->keeper.digest, d->digest) == 0) return parts_commit(&d->parts, e);
    parts_discard(&d->parts);
    d->mismatch = true;
    return err_set(e, ST_FORMAT, "digest mismatch, file must be downloaded again: want %s, got %s",
                   d->digest, d->keeper.digest);
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
        usleep(PULL_TICK_MS * 1000);
    }
}

static enum status download(struct download *d, struct err *e) {
    bool there;
    enum status st = open_parts(d, &there, e);
    if (st != ST_OK || there) return st;
    atomic_store(&d->completed, parts_done(&d->parts));
    st = content_open(&d->content, e);
    if (st == ST_OK) st = content_patiently(&d->content, content_look, e);
    if (st == ST_OK) st = fetch_content(d, e);
    if (st != ST_OK && !d->mismatch) { /* what has come is for the next try */
        if (parts_done(&d->parts) == 0)
            parts_discard(&d->parts);
        else
            parts_save(&d->parts, NULL);
    }
    content_close(&d->content);
    parts_close(&d->parts);
    return st;
}

static void download_free(struct download *d) {
    pthread_mutex_destroy(&d->lock);
    pthread_cond_destroy(&d->changed);
    keeper_destroy(&d->keeper);
    session_close(&d->session);
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
    keeper_init(&d->keeper, &d->parts, &d->cancel);
    snprintf(d->digest, sizeof d->digest, "%s", digest);
    d->content = (struct content){.session = &d->session,
                                  .digest = d->digest,
                                  .parts = &d->parts,
                                  .keeper = &d->keeper,
                                  .cancel = &d->cancel,
                                  .completed = &d->completed};
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
        const int64_t until = os_time_mono_ns() + PULL_TICK_MS * 1000000;
        pthread_mutex_lock(&d->lock);
        if (!d->finished) os_cond_wait(&d->changed, &d->lock, until);
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
