/* hold.c - see hold.h. */
#include "store/hold.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/log.h"
#include "base/os.h"
#include "store/store_impl.h"

/* False only if somebody else holds it: no locks at all are no reason to stop. */
static bool lock(int fd, int how) {
    while (flock(fd, how) != 0)
        if (errno != EINTR) return errno != EWOULDBLOCK;
    return true;
}

bool hold_alone(int fd) { return lock(fd, LOCK_EX | LOCK_NB); }

bool hold_has_name(struct store *s, int fd, const char *file) {
    struct stat here, there;
    return fstat(fd, &here) == 0 && place_stat(s, PLACE_BLOBS, file, &there, NULL) == ST_OK &&
           here.st_ino == there.st_ino && here.st_dev == there.st_dev;
}

enum status hold_blob(struct store *s, struct holds *h, const char *digest, struct err *e) {
    char file[STORE_DIGEST_TEXT];
    struct err why;
    enum status st = store_blob_stat(s, digest, NULL, e);
    if (st == ST_OK) st = place_of_digest(digest, file, e);
    for (unsigned i = 0; i < h->n; i++)
        if (strcmp(h->at[i].digest, digest) == 0) return st;
    if (st != ST_OK || h->n == HOLD_MAX) return st;
    int fd = place_open(s, PLACE_BLOBS, file, NULL, &why);
    if (fd < 0) /* else: not ours to read */
        return why.code == ST_NOT_FOUND ? err_set(e, ST_NOT_FOUND, "%s", why.msg) : ST_OK;
    lock(fd, LOCK_SH); /* who removes it has it for a moment */
    if (!hold_has_name(s, fd, file)) {
        close(fd);
        return err_set(e, ST_NOT_FOUND, "blob \"%s\" not found", digest);
    }
    struct hold *to = &h->at[h->n++];
    store_digest_parse(digest, to->digest, NULL);
    to->fd = fd;
    return ST_OK;
}

void hold_release(struct holds *h, const char *digest) {
    for (unsigned i = 0; i < h->n; i++) {
        if (strcmp(h->at[i].digest, digest) != 0) continue;
        close(h->at[i].fd);
        h->at[i] = h->at[--h->n];
        return;
    }
}

void holds_free(struct holds *h) {
    for (unsigned i = 0; i < h->n; i++) close(h->at[i].fd);
    h->n = 0;
}

/* ---- removing ---- */

/* The file whose lock counts for this one: "sha256-X-partial-3" -> "sha256-X-partial". */
static const char *key_file(const char *name, char out[96]) {
    static const char mark[] = "-partial";
    enum { BASE = 7 + DIGEST_HEX, WHOLE = BASE + sizeof mark - 1 };
    if (strlen(name) <= WHOLE || strncmp(name + BASE, mark, sizeof mark - 1) != 0) return name;
    memcpy(out, name, WHOLE);
    out[WHOLE] = '\0';
    return out;
}

bool hold_remove(int dir, const char *name) {
    char room[96];
    int fd = openat(dir, key_file(name, room), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
    if (fd >= 0 && !hold_alone(fd)) {
        log_debug("store", "%s is in use and stays", name);
        close(fd);
        return false;
    }
    bool gone = unlinkat(dir, name, 0) == 0 || errno == ENOENT;
    if (!gone) log_warn("store", "cannot remove %s: %s", name, strerror(errno));
    if (fd >= 0) close(fd);
    return gone;
}
