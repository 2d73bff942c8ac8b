/* quota.c - room for what comes: the disk's and the quota's (spec/security.md S-ST-5, S-ST-6).
 *
 * Asked before a download, before an import, and when an upload or a new layer is complete. Nothing
 * is deleted for it unless CRIA_AUTO_PRUNE says so; else the error tells which models, unused for
 * longest, would have to go. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "base/config.h"
#include "base/log.h"
#include "store/store_impl.h"
#include "store/upkeep.h"

static const uint64_t reserve = (uint64_t)1 << 30; /* left free on the disk */
static const uint64_t small = 100000000;           /* what is not worth keeping a reserve for */

static enum status check_disk(const struct store *s, uint64_t bytes, struct err *e) {
    struct statvfs fs;
    if (bytes == 0 || statvfs(s->dir, &fs) != 0) return ST_OK;
    const uint64_t room = (uint64_t)fs.f_bavail * fs.f_frsize;
    if (room >= bytes && (bytes < small || room - bytes >= reserve)) return ST_OK;
    return err_set(e, ST_IO, "no space left on device: %llu bytes to come, %llu free",
                   (unsigned long long)bytes, (unsigned long long)room);
}

/* How many of the models have to go, the least recently used first; all of them may not suffice. */
static size_t how_many(const struct store_usage *u, uint64_t over, bool *enough) {
    size_t n = 0;
    uint64_t freed = 0;
    while (n < u->n_models && freed < over) freed += u->models[n++].own;
    *enough = freed >= over;
    return n;
}

static enum status propose(const struct store_usage *u, uint64_t bytes, size_t n, bool enough,
                           struct err *e) {
    char list[300] = "", shown[NAME_TEXT_MAX];
    size_t len = 0;
    for (size_t i = 0; i < n && len < sizeof list - 120; i++) {
        name_shortest(&u->models[i].name, shown);
        len +=
            (size_t)snprintf(list + len, sizeof list - len, "%s%.100s", i > 0 ? ", " : "", shown);
    }
    if (!enough)
        return err_set(e, ST_LIMIT, "the store's quota of %llu bytes cannot hold %llu bytes more",
                       (unsigned long long)u->quota, (unsigned long long)bytes);
    return err_set(e, ST_LIMIT,
                   "the store's quota of %llu bytes has no room for %llu bytes more; unused for "
                   "longest: %s (remove them, or set CRIA_AUTO_PRUNE=1)",
                   (unsigned long long)u->quota, (unsigned long long)bytes, list);
}

static enum status make_room(struct store *s, const struct store_usage *u, uint64_t bytes,
                             struct err *e) {
    bool enough;
    if (u->total + bytes <= u->quota) return ST_OK;
    const size_t n = how_many(u, u->total + bytes - u->quota, &enough);
    if (!enough || !config_bool(SET_auto_prune)) return propose(u, bytes, n, enough, e);
    enum status st = ST_OK;
    for (size_t i = 0; i < n && st == ST_OK; i++) {
        char shown[NAME_TEXT_MAX];
        name_shortest(&u->models[i].name, shown);
        log_info("store", "the quota is full: %s is removed, unused for longest", shown);
        st = store_delete(s, &u->models[i].name, e);
        if (st == ST_NOT_FOUND) st = ST_OK;
    }
    return st;
}

enum status store_make_room(struct store *s, uint64_t bytes, struct err *e) {
    struct store_usage u;
    enum status st = check_disk(s, bytes, e);
    if (st != ST_OK || config_bytes(SET_store_quota) == 0) return st;
    /* What nobody needs goes first: it needs no permission. */
    for (int tries = 0; tries < 2; tries++) {
        st = store_usage(s, &u, e);
        if (st != ST_OK) return st;
        if (u.quota == 0 || u.total + bytes <= u.quota || tries == 1) break;
        store_usage_free(&u);
        store_prune(s, NULL);
    }
    if (u.quota > 0) st = make_room(s, &u, bytes, e);
    store_usage_free(&u);
    return st;
}
