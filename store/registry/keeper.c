/* keeper.c - see keeper.h. */
#include "store/registry/keeper.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/mem.h"
#include "base/os.h"

enum { HASH_CHUNK = 1 << 20 };
static const double save_seconds = 5;
static const uint64_t save_bytes = 64 << 20;

/* Once all has come, somebody who cancels is too late. */
static bool is_over(const struct keeper *k) {
    return atomic_load(&k->stop) || (atomic_load(k->cancel) && !atomic_load(&k->all_there));
}

static enum status hash_to(struct keeper *k, struct digest *hash, uint64_t *at, uint64_t to,
                           char *room, struct err *e) {
    while (*at < to && !is_over(k)) {
        size_t want = to - *at < HASH_CHUNK ? (size_t)(to - *at) : HASH_CHUNK;
        ssize_t got = pread(k->parts->fd, room, want, (off_t)*at);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return parts_fail(k->parts, "read", e);
        digest_update(hash, room, (size_t)got);
        *at += (uint64_t)got;
    }
    return ST_OK;
}

/* Sleeps until the loop says that there is more, at most a tick. */
static void keeper_sleep(struct keeper *k) {
    const int64_t until = os_time_mono_ns() + PULL_TICK_MS * 1000000;
    pthread_mutex_lock(&k->lock);
    if (!atomic_load(&k->all_there) && !is_over(k)) os_cond_wait(&k->wake, &k->lock, until);
    pthread_mutex_unlock(&k->lock);
}

/* *whole: everything was hashed; else it was stopped. */
static enum status keep(struct keeper *k, struct digest *hash, char *room, bool *whole,
                        struct err *e) {
    uint64_t hashed = 0, saved = parts_done(k->parts);
    double saved_at = os_time_mono();
    enum status st = k->parts->total > save_bytes ? parts_save(k->parts, e) : ST_OK;
    while (st == ST_OK && hashed < k->parts->total && !is_over(k)) {
        uint64_t ready = parts_prefix(k->parts), done = parts_done(k->parts);
        if (done != saved && !atomic_load(&k->all_there) &&
            (done - saved >= save_bytes || os_time_mono() - saved_at >= save_seconds)) {
            st = parts_save(k->parts, e);
            saved = done;
            saved_at = os_time_mono();
        } else if (ready > hashed) {
            /* Not further than to the next save. */
            uint64_t to = ready - hashed < save_bytes ? ready : hashed + save_bytes;
            st = hash_to(k, hash, &hashed, to, room, e);
        } else {
            keeper_sleep(k);
        }
    }
    *whole = st == ST_OK && hashed == k->parts->total;
    return st;
}

static void *run(void *arg) {
    struct keeper *k = arg;
    struct digest *hash = digest_new();
    char *room = mem_alloc(HASH_CHUNK);
    unsigned char raw[DIGEST_BYTES];
    bool whole = false;
    if (hash == NULL || room == NULL)
        k->st = err_no_memory(&k->e);
    else
        k->st = keep(k, hash, room, &whole, &k->e);
    if (whole) {
        digest_finish(hash, raw);
        hash = NULL;
        memcpy(k->digest, "sha256:", 7);
        digest_hex(raw, k->digest + 7);
    }
    digest_cancel(hash);
    mem_free(room);
    if (k->st != ST_OK) atomic_store(&k->failed, true);
    return NULL;
}

/* ---- for the download ---- */

void keeper_init(struct keeper *k, struct parts *parts, const _Atomic bool *cancel) {
    *k = (struct keeper){.parts = parts, .cancel = cancel};
    pthread_mutex_init(&k->lock, NULL);
    os_cond_init(&k->wake);
}

void keeper_destroy(struct keeper *k) {
    pthread_mutex_destroy(&k->lock);
    pthread_cond_destroy(&k->wake);
}

enum status keeper_start(struct keeper *k, struct err *e) {
    atomic_store(&k->all_there, false);
    atomic_store(&k->stop, false);
    atomic_store(&k->failed, false);
    k->digest[0] = '\0';
    if (pthread_create(&k->thread, NULL, run, k) != 0)
        return err_set(e, ST_IO, "cannot start a thread");
    return ST_OK;
}

void keeper_more(struct keeper *k) { pthread_cond_signal(&k->wake); }

void keeper_end(struct keeper *k, bool all_there) {
    atomic_store(all_there ? &k->all_there : &k->stop, true);
    pthread_mutex_lock(&k->lock);
    pthread_cond_signal(&k->wake);
    pthread_mutex_unlock(&k->lock);
    pthread_join(k->thread, NULL);
}
