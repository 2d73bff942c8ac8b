/* verified.c - see verified.h. */
#include "store/verified.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/digest.h"
#include "base/mem.h"
#include "base/os.h"
#include "store/store_impl.h"

enum { LIST_MAX_BYTES = 16 << 20 };

struct verified_blob {
    char hex[DIGEST_HEX + 1];
    unsigned long long size, inode;
    long long mtime_ns;
};

static bool stat_blob(const struct store *s, const char *digest, struct verified_blob *out) {
    char file[STORE_DIGEST_TEXT];
    struct stat info;
    if (place_of_digest(digest, file, NULL) != ST_OK ||
        place_stat(s, PLACE_BLOBS, file, &info, NULL) != ST_OK)
        return false;
    snprintf(out->hex, sizeof out->hex, "%s", digest + 7);
    out->size = (unsigned long long)info.st_size;
    out->inode = (unsigned long long)info.st_ino;
    out->mtime_ns = (long long)info.st_mtim.tv_sec * 1000000000 + info.st_mtim.tv_nsec;
    return true;
}

static struct verified_blob *find(const struct verified_list *l, const char *hex) {
    for (size_t i = 0; i < l->n; i++)
        if (strcmp(l->blobs[i].hex, hex) == 0) return &l->blobs[i];
    return NULL;
}

static bool put(struct verified_list *l, const struct verified_blob *b) {
    struct verified_blob *at = find(l, b->hex);
    if (at == NULL) {
        struct verified_blob *more = mem_grow(l->blobs, l->n + 1, sizeof *more);
        if (more == NULL) return false;
        l->blobs = more;
        at = &more[l->n++];
    }
    *at = *b;
    return true;
}

/* The caller holds the lock of the list. */
static void load(struct store *s) {
    char path[PATH_ROOM], *text;
    size_t len;
    struct verified_blob b;
    if (s->verified.loaded) return;
    s->verified.loaded = true;
    if (place_path(s, PLACE_ROOT, "verified", path, NULL) != ST_OK) return;
    if (os_file_read(path, LIST_MAX_BYTES, &text, &len, NULL) != ST_OK) return;
    for (char *save, *line = strtok_r(text, "\n", &save); line != NULL;
         line = strtok_r(NULL, "\n", &save)) {
        if (sscanf(line, "%64s %llu %lld %llu", b.hex, &b.size, &b.mtime_ns, &b.inode) == 4)
            put(&s->verified, &b);
    }
    mem_free(text);
}

/* Blobs that are gone are left out. */
static void save(struct store *s) {
    char digest[STORE_DIGEST_TEXT];
    struct buf text = {0};
    for (size_t i = 0; i < s->verified.n; i++) {
        const struct verified_blob *b = &s->verified.blobs[i];
        snprintf(digest, sizeof digest, "sha256:%s", b->hex);
        if (store_blob_stat(s, digest, NULL, NULL) != ST_OK) continue;
        buf_printf(&text, "%s %llu %lld %llu\n", b->hex, b->size, b->mtime_ns, b->inode);
    }
    if (!text.failed && text.len > 0)
        place_write(s, PLACE_ROOT, "verified", text.data, text.len, NULL);
    buf_free(&text);
}

bool verified_has(struct store *s, const char *digest) {
    struct verified_blob now;
    if (!stat_blob(s, digest, &now)) return false;
    pthread_mutex_lock(&s->verified.lock);
    load(s);
    const struct verified_blob *b = find(&s->verified, now.hex);
    bool has =
        b != NULL && b->size == now.size && b->inode == now.inode && b->mtime_ns == now.mtime_ns;
    pthread_mutex_unlock(&s->verified.lock);
    return has;
}

void verified_add(struct store *s, const char *digest) {
    struct verified_blob now;
    if (!stat_blob(s, digest, &now)) return;
    pthread_mutex_lock(&s->verified.lock);
    load(s);
    if (put(&s->verified, &now)) save(s);
    pthread_mutex_unlock(&s->verified.lock);
}

void verified_free(struct store *s) {
    mem_free(s->verified.blobs);
    pthread_mutex_destroy(&s->verified.lock);
}
