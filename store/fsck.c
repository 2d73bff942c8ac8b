/* fsck.c - is every model whole, and every file what its name says? (store/upkeep.h)
 *
 * Repair never destroys: what is damaged is moved to DIR/damaged/ under its name, out of the way of
 * a new pull or create; only stray part files of downloads, which are worth nothing, are removed. A
 * model whose blob is missing or damaged stays listed in fsck's result with the words that help. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/mem.h"
#include "base/os.h"
#include "store/inventory.h"
#include "store/upkeep.h"

struct check {
    struct store *s;
    struct store_fsck *f;
    struct inventory v;
    struct map bad; /* digests of blobs that are not what they say; keys: the inventory's */
};

enum { PIECE = 1 << 20 };
enum fix { FIX_NONE, FIX_MOVE, FIX_REMOVE };

/* ---- telling and repairing ---- */

/* A finding's file, "blobs/x" or "manifests/h/n/m/t": its open folder (-1: e is set) and the name
 * in it. */
static int folder_of_finding(struct check *c, const char *path, const char **name, struct err *e) {
    const char *slash = strchr(path, '/'), *last = strrchr(path, '/');
    const enum place p = strncmp(path, "blobs/", 6) == 0 ? PLACE_BLOBS : PLACE_MANIFESTS;
    char folder[NAME_TEXT_MAX];
    *name = last + 1;
    if (slash == last) return place_dir(c->s, p, e);
    snprintf(folder, sizeof folder, "%.*s", (int)(last - slash - 1), slash + 1);
    return place_folder(c->s, p, folder, false, e);
}

/* To DIR/damaged/NAME, what is behind the first "/" with "_" for the others; a number behind it if
 * that is taken. */
static enum status move_away(struct check *c, int from, const char *name, const char *path,
                             struct err *e) {
    char to[NAME_TEXT_MAX];
    struct stat info;
    enum status st = ST_OK;
    int dir = place_folder(c->s, PLACE_ROOT, "damaged", true, e);
    if (dir < 0) return e->code;
    for (unsigned i = 0; i < 1000; i++) {
        snprintf(to, sizeof to, i == 0 ? "%.600s" : "%.600s.%u", strchr(path, '/') + 1, i);
        for (char *p = to; *p != '\0'; p++)
            if (*p == '/') *p = '_';
        if (fstatat(dir, to, &info, AT_SYMLINK_NOFOLLOW) == 0) continue;
        st = renameat(from, name, dir, to) == 0 ? ST_OK : os_fail(e, "rename", path);
        close(dir);
        return st;
    }
    close(dir);
    return err_set(e, ST_EXISTS, "damaged/%s: too many of that name", to);
}

/* `path` is below the store. */
static bool repair(struct check *c, enum fix fix, const char *path, struct err *e) {
    const char *name;
    int token;
    if (fix == FIX_NONE || !c->f->repair || store_lock(c->s, &token, e) != ST_OK) return false;
    int dir = folder_of_finding(c, path, &name, e);
    bool done = false;
    if (dir >= 0 && fix == FIX_REMOVE)
        done = unlinkat(dir, name, 0) == 0 || errno == ENOENT;
    else if (dir >= 0)
        done = move_away(c, dir, name, path, e) == ST_OK;
    if (dir >= 0) close(dir);
    store_unlock(c->s, token);
    return done;
}

static void tell(struct check *c, const char *code, const char *subject, bool damage, bool repaired,
                 const char *text) {
    const struct store_finding found = {
        .code = code, .subject = subject, .text = text, .damage = damage, .repaired = repaired};
    if (damage) c->f->n_damaged++;
    if (damage && repaired) c->f->n_repaired++;
    if (!damage) c->f->n_left_over++;
    if (c->f->found != NULL) c->f->found(c->f->arg, &found);
}

/* Something is wrong with a file; `path` below the store. */
static void tell_file(struct check *c, const char *code, const char *path, bool damage,
                      enum fix fix, const char *text) {
    struct err why = {.msg = ""};
    char whole[ERR_MSG_SIZE + 256];
    bool done = repair(c, fix, path, &why);
    const char *deed = !done ? "" : fix == FIX_MOVE ? ": moved to damaged/" : ": removed";
    snprintf(whole, sizeof whole, "%s%s%s%s%s", text, deed, why.msg[0] != '\0' ? " (" : "", why.msg,
             why.msg[0] != '\0' ? ")" : "");
    tell(c, code, path, damage, done, whole);
}

/* ---- blobs ---- */

/* Not mapped: somebody may truncate it while we read. */
static enum status hash_fd(struct check *c, const struct inventory_file *file, int fd,
                           struct digest *d, char *room, struct err *e) {
    for (uint64_t at = 0;;) {
        ssize_t n = read(fd, room, PIECE);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return os_fail(e, "read", file->name);
        if (n == 0) return ST_OK;
        digest_update(d, room, (size_t)n);
        at += (uint64_t)n;
        c->f->bytes_hashed += (uint64_t)n;
        if (c->f->progress != NULL && !c->f->progress(c->f->arg, file->digest, at, file->size))
            return err_set(e, ST_CANCELLED, "cancelled");
    }
}

static enum status hash_blob(struct check *c, const struct inventory_file *file,
                             char hex[DIGEST_HEX + 1], struct err *e) {
    unsigned char raw[DIGEST_BYTES];
    struct digest *d = digest_new();
    char *room = mem_alloc(PIECE);
    int fd = -1;
    enum status st = ST_OK;
    if (d == NULL || room == NULL)
        st = err_no_memory(e);
    else if ((fd = place_open(c->s, PLACE_BLOBS, file->name, NULL, e)) < 0)
        st = e->code;
    else
        st = hash_fd(c, file, fd, d, room, e);
    if (st == ST_OK) {
        digest_finish(d, raw);
        digest_hex(raw, hex);
        d = NULL;
    }
    digest_cancel(d);
    mem_free(room);
    if (fd >= 0) close(fd);
    return st;
}

static void set_bad(struct check *c, const struct inventory_file *f) {
    map_put(&c->bad, f->digest, strlen(f->digest), 0, NULL);
}

static enum status check_content(struct check *c, const struct inventory_file *f, struct err *e) {
    char hex[DIGEST_HEX + 1], below[128], text[256];
    struct err why;
    if (!c->f->hash && verified_has(c->s, f->digest)) return ST_OK;
    snprintf(below, sizeof below, "blobs/%s", f->name);
    enum status st = hash_blob(c, f, hex, &why);
    if (st == ST_CANCELLED || st == ST_NO_MEMORY) return err_set(e, st, "%s", why.msg);
    if (st == ST_NOT_FOUND) return ST_OK; /* removed meanwhile */
    if (st == ST_DENIED && place_is_link(c->s, PLACE_BLOBS, f->name)) {
        set_bad(c, f);
        tell_file(c, "link-outside", below, true, FIX_MOVE, why.msg);
    } else if (st != ST_OK) {
        set_bad(c, f);
        tell(c, "blob-unreadable", below, true, false, why.msg);
    } else if (strcasecmp(hex, f->digest + 7) != 0) {
        set_bad(c, f);
        snprintf(text, sizeof text, "its content has the hash sha256:%s", hex);
        tell_file(c, "blob-damaged", below, true, FIX_MOVE, text);
    } else {
        verified_add(c->s, f->digest);
    }
    return ST_OK;
}

static int compare_name(const void *name, const void *file) {
    return strcmp(name, ((const struct inventory_file *)file)->name);
}

/* A crash between the end of a download and the end of its journal leaves part files. */
static void check_journal(struct check *c, const struct inventory_file *f) {
    char partial[96], below[320];
    snprintf(partial, sizeof partial, "sha256-%.64s-partial", f->digest + 7);
    if (bsearch(partial, c->v.files, c->v.n_files, sizeof *c->v.files, compare_name) != NULL)
        return;
    snprintf(below, sizeof below, "blobs/%.300s", f->name);
    tell_file(c, "journal-stray", below, false, FIX_REMOVE, "of a download that is not there");
}

static enum status check_file(struct check *c, const struct inventory_file *f, struct err *e) {
    char below[320];
    snprintf(below, sizeof below, "blobs/%.300s", f->name);
    if (!f->regular) {
        set_bad(c, f); /* and in the way of the right one */
        tell_file(c, "not-a-file", below, true, f->kind != FILE_OTHER ? FIX_MOVE : FIX_NONE,
                  "it is not a regular file");
        return ST_OK;
    }
    switch (f->kind) {
    case FILE_BLOB:
        c->f->n_blobs++;
        if (f->users == 0) tell(c, "unnamed", below, false, false, "no model names it");
        return check_content(c, f, e);
    case FILE_JOURNAL:
        check_journal(c, f);
        break;
    case FILE_PARTIAL:
        tell(c, "partial", below, false, false, "a download that was begun");
        break;
    case FILE_OTHER:
        tell(c, "other", below, false, false, "an upload without a name yet, or a stray file");
        break;
    }
    return ST_OK;
}

/* ---- models ---- */

static bool is_bad(const struct check *c, const char *digest) {
    uint32_t ignored;
    return map_get(&c->bad, digest, strlen(digest), &ignored);
}

/* The picture is older than the manifest may be: before we cry we look again. */
static bool is_gone(struct check *c, const struct model_name *name, const char *digest) {
    char *text;
    size_t len;
    int64_t modified;
    if (store_blob_stat(c->s, digest, NULL, NULL) == ST_OK) return false;
    if (manifest_read_text(c->s, name, &text, &len, &modified, NULL) != ST_OK) return false;
    bool named = strcasestr(text, digest + 7) != NULL;
    mem_free(text);
    return named;
}

static void check_layer(struct check *c, const struct model_name *name,
                        const struct store_layer *l) {
    char shown[NAME_TEXT_MAX], text[256];
    const struct inventory_file *f = inventory_blob(&c->v, l->digest);
    if (l->digest[0] == '\0') return;
    if (f == NULL && !is_gone(c, name, l->digest)) return;
    if (f == NULL)
        snprintf(text, sizeof text, "%s is missing: pull or create the model again", l->digest);
    else if (is_bad(c, l->digest))
        snprintf(text, sizeof text, "%s is damaged: pull or create the model again", l->digest);
    else if (f->size != l->size)
        snprintf(text, sizeof text, "%s has %llu bytes, the manifest says %llu", l->digest,
                 (unsigned long long)f->size, (unsigned long long)l->size);
    else
        return;
    name_shortest(name, shown);
    tell(c, f == NULL ? "blob-missing" : "model-damaged", shown, true, false, text);
}

static void check_model(struct check *c, const struct inventory_model *m) {
    char path[NAME_TEXT_MAX + 16], rel[NAME_TEXT_MAX];
    c->f->n_models++;
    if (m->st != ST_OK) {
        name_path(&m->name, rel);
        snprintf(path, sizeof path, "manifests/%s", rel);
        tell_file(c, "manifest-unreadable", path, true, FIX_MOVE, m->why);
        return;
    }
    for (size_t i = 0; i < m->manifest.n_layers; i++)
        check_layer(c, &m->name, &m->manifest.layers[i]);
    check_layer(c, &m->name, &m->manifest.config);
}

static void check_strange(struct check *c, const char *path) {
    char below[PATH_ROOM];
    snprintf(below, sizeof below, "manifests/%s", path);
    tell_file(c, "manifest-name", below, true, FIX_MOVE, "its path is not a model's name");
}

enum status store_fsck(struct store *s, struct store_fsck *f, struct err *e) {
    struct check c = {.s = s, .f = f};
    enum status st = inventory_take(s, &c.v, e);
    for (size_t i = 0; i < c.v.n_files && st == ST_OK; i++) st = check_file(&c, &c.v.files[i], e);
    for (size_t i = 0; i < c.v.n_models && st == ST_OK; i++) check_model(&c, &c.v.models[i]);
    for (size_t i = 0; i < c.v.n_strange && st == ST_OK; i++) check_strange(&c, c.v.strange[i]);
    map_free(&c.bad);
    inventory_free(&c.v);
    return st;
}
