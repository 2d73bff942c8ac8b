/* pull.c - a model from a registry: manifest, blobs, then the manifest into the store
 * (spec/store.md 7). */
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/config.h"
#include "base/digest.h"
#include "base/log.h"
#include "base/mem.h"
#include "store/registry/blob_pull.h"
#include "store/store_impl.h"
#include "store/upkeep.h"

enum { MANIFEST_ANSWER_MAX = 8 << 20, MAX_TRIES = 5 };

struct pull {
    struct store *store;
    struct session session;
    store_progress *progress;
    void *arg;
    struct arena arena;
    struct manifest manifest;
    struct holds holds; /* the blobs, until the manifest names them */
    char *text;         /* of the manifest, byte for byte; owned */
    size_t len;
    unsigned tries; /* that found a blob missing in the end */
};

static enum status say(const struct pull *p, const char *status, struct err *e) {
    if (p->progress(p->arg, status, "", 0, 0)) return ST_OK;
    return err_set(e, ST_CANCELLED, "cancelled");
}

static enum status get_manifest(struct pull *p, struct err *e) {
    struct fetch f;
    enum status st =
        session_request(&p->session, &f, "GET", e, "manifests/%s", p->session.name.tag);
    f.cap = MANIFEST_ANSWER_MAX;
    fetch_header(&f, "Accept: " MANIFEST_MEDIA_TYPE);
    if (st == ST_OK) st = session_run(&p->session, &f, NULL, e);
    if (st == ST_OK && f.code != 200)
        st = err_set(e, ST_UNAVAILABLE, "unexpected status %ld for the manifest", f.code);
    if (st == ST_OK) {
        p->len = f.answer.len;
        p->text = buf_take(&f.answer);
        st = p->text == NULL ? err_no_memory(e)
                             : manifest_parse(&p->manifest, p->text, p->len, &p->arena, e);
    }
    if (st == ST_OK && p->manifest.n_layers == 0 && p->manifest.config.digest[0] == '\0')
        st = err_set(e, ST_FORMAT, "it names nothing");
    fetch_free(&f);
    return st == ST_OK ? st : err_wrap(e, "pull model manifest");
}

/* A blob that is there is used if it is what its name says. */
static enum status check_stored(const struct pull *p, const struct store_layer *l, uint64_t size,
                                struct err *e) {
    char path[PATH_ROOM], hex[DIGEST_HEX + 1];
    enum status st = blob_path(p->store, l->digest, path, e);
    if (st == ST_OK && size != l->size)
        return err_set(e, ST_FORMAT, "%s: the manifest says %llu bytes, the stored blob has %llu",
                       l->digest, (unsigned long long)l->size, (unsigned long long)size);
    if (st == ST_OK) st = blob_touch(p->store, l->digest, e);
    if (st != ST_OK || verified_has(p->store, l->digest)) return st;
    st = digest_of_file(path, hex, e);
    if (st == ST_OK && strcasecmp(hex, l->digest + 7) != 0)
        return err_set(e, ST_FORMAT,
                       "the stored blob %s is damaged (its hash is sha256:%s): remove %s",
                       l->digest, hex, path);
    if (st == ST_OK) verified_add(p->store, l->digest);
    return st;
}

/* A blob that is there is held before it is looked at, so that nobody removes it in between. */
static enum status use_stored(struct pull *p, const struct store_layer *l, struct err *e) {
    char status[32];
    uint64_t size = 0;
    enum status st = hold_blob(p->store, &p->holds, l->digest, e);
    if (st == ST_OK) st = store_blob_stat(p->store, l->digest, &size, e);
    if (st == ST_OK) st = check_stored(p, l, size, e);
    snprintf(status, sizeof status, "pulling %.12s", l->digest + 7);
    if (st == ST_OK && !p->progress(p->arg, status, l->digest, l->size, l->size))
        st = err_set(e, ST_CANCELLED, "cancelled");
    return st;
}

static enum status fetch_missing(struct pull *p, const struct store_layer *l, bool *mismatch,
                                 struct err *e) {
    enum status st =
        blob_pull(p->store, &p->session, l->digest, l->size, p->progress, p->arg, mismatch, e);
    if (st == ST_OK) verified_add(p->store, l->digest);
    return st;
}

static enum status get_layer(struct pull *p, const struct store_layer *l, bool *mismatch,
                             struct err *e) {
    for (unsigned i = 0;; i++) {
        enum status st = store_blob_stat(p->store, l->digest, NULL, e);
        if (st == ST_NOT_FOUND) {
            st = fetch_missing(p, l, mismatch, e);
            if (st != ST_OK) return st; /* also where the registry has it not */
            st = hold_blob(p->store, &p->holds, l->digest, e);
        } else if (st == ST_OK) {
            st = use_stored(p, l, e);
        }
        /* Between its arrival and our hold somebody may remove it: then once more. */
        if (st != ST_NOT_FOUND || i == MAX_TRIES) return st;
    }
}

static bool seen_before(const struct manifest *m, size_t i) {
    for (size_t k = 0; k < i; k++)
        if (strcmp(m->layers[k].digest, m->layers[i].digest) == 0) return true;
    return false;
}

/* What is still to come, all blobs together; what a partial download has is on the disk. */
static enum status check_room(const struct pull *p, struct err *e) {
    const struct manifest *m = &p->manifest;
    uint64_t need = 0;
    for (size_t i = 0; i <= m->n_layers; i++) {
        const struct store_layer *l = i < m->n_layers ? &m->layers[i] : &m->config;
        char partial[STORE_DIGEST_TEXT + 16];
        struct stat info;
        if (l->digest[0] == '\0' || (i < m->n_layers && seen_before(m, i))) continue;
        if (store_blob_stat(p->store, l->digest, NULL, NULL) == ST_OK) continue;
        if (place_of_digest(l->digest, partial, NULL) != ST_OK) continue;
        strcat(partial, "-partial");
        const bool begun = place_stat(p->store, PLACE_BLOBS, partial, &info, NULL) == ST_OK;
        const uint64_t have = begun ? (uint64_t)info.st_blocks * 512 : 0;
        need += l->size > have ? l->size - have : 0;
    }
    return need > 0 ? store_make_room(p->store, need, e) : ST_OK;
}

static enum status get_blobs(struct pull *p, struct err *e) {
    const struct manifest *m = &p->manifest;
    bool mismatch = false;
    enum status st = check_room(p, e);
    for (size_t i = 0; i < m->n_layers && st == ST_OK; i++)
        if (!seen_before(m, i)) st = get_layer(p, &m->layers[i], &mismatch, e);
    if (st == ST_OK && m->config.digest[0] != '\0') st = get_layer(p, &m->config, &mismatch, e);
    if (mismatch ||
        (st == ST_OK && p->tries == 0)) { /* clients expect a wrong hash to be told in this phase */
        struct err said;
        enum status told = say(p, "verifying sha256 digest", &said);
        if (st == ST_OK && told != ST_OK) st = err_set(e, told, "%s", said.msg);
    }
    return st;
}

static bool names(const struct manifest *m, const char *digest) {
    if (strcmp(m->config.digest, digest) == 0) return true;
    for (size_t i = 0; i < m->n_layers; i++)
        if (strcmp(m->layers[i].digest, digest) == 0) return true;
    return false;
}

/* Does the manifest that is replaced name blobs that the new one does not? */
static bool has_unused(const struct manifest *old, const struct manifest *new) {
    if (old->config.digest[0] != '\0' && !names(new, old->config.digest)) return true;
    for (size_t i = 0; i < old->n_layers; i++)
        if (!names(new, old->layers[i].digest)) return true;
    return false;
}

/* All blobs are there, now that nobody can remove one: else ST_NOT_FOUND. */
static enum status all_there(const struct pull *p, struct err *e) {
    const struct manifest *m = &p->manifest;
    enum status st = ST_OK;
    for (size_t i = 0; i < m->n_layers && st == ST_OK; i++)
        st = store_blob_stat(p->store, m->layers[i].digest, NULL, e);
    if (st == ST_OK && m->config.digest[0] != '\0')
        st = store_blob_stat(p->store, m->config.digest, NULL, e);
    return st;
}

/* ST_NOT_FOUND: a blob has gone since. */
static enum status put_manifest(struct pull *p, struct err *e) {
    int token;
    struct manifest old = {0};
    struct model_name name = p->session.name;
    enum status st = p->tries == 0 ? say(p, "writing manifest", e) : ST_OK;
    if (st == ST_OK) st = store_spell(p->store, &name, e);
    if (st == ST_OK) st = store_lock(p->store, &token, e);
    if (st != ST_OK) return st;
    bool replaces = manifest_read(p->store, &name, &old, &p->arena, NULL) == ST_OK;
    st = all_there(p, e);
    if (st == ST_OK) st = manifest_write(p->store, &name, p->text, p->len, e);
    bool prune = st == ST_OK && replaces && prune_allowed() && has_unused(&old, &p->manifest);
    if (prune) prune_manifest(p->store, &old);
    store_unlock(p->store, token);
    if (st == ST_OK && prune) p->progress(p->arg, "removing unused layers", "", 0, 0);
    if (st == ST_OK) p->progress(p->arg, "success", "", 0, 0); /* done, whoever still listens */
    return st;
}

/* Blobs beyond HOLD_MAX, or on a disk without locks, may be removed under us: again then. */
static enum status get_and_put(struct pull *p, struct err *e) {
    for (;; p->tries++) {
        enum status st = get_blobs(p, e);
        if (st != ST_OK) return st;
        st = put_manifest(p, e);
        if (st != ST_NOT_FOUND || p->tries == MAX_TRIES) return st;
        log_info("pull", "%s: removed by somebody else, pulled again",
                 e != NULL ? e->msg : "a blob");
    }
}

static enum status pull_from(struct store *s, const struct model_name *name,
                             const struct registry_options *o, store_progress *progress, void *arg,
                             struct err *e) {
    struct pull p = {.store = s, .progress = progress, .arg = arg};
    enum status st = session_open(&p.session, name, o, e);
    if (st != ST_OK) return err_wrap(e, "pull model manifest");
    st = get_manifest(&p, e);
    if (st == ST_OK) st = get_and_put(&p, e);
    holds_free(&p.holds);
    session_close(&p.session);
    mem_free(p.text);
    arena_free(&p.arena);
    return st;
}

/* The i-th mirror of a registry by the setting: "http://host:port" into url; false: there are not
 * so many. */
static bool mirror_of(const char *host, unsigned i, char *url, size_t size) {
    const char *list = config_text(SET_mirrors), *item;
    const size_t len = strlen(host);
    size_t n;
    while ((item = session_list_next(&list, &n)) != NULL) {
        if (n <= len + 1 || strncasecmp(item, host, len) != 0 || item[len] != '=') continue;
        if (i-- > 0) continue;
        size_t url_len = n - len - 1;
        while (url_len > 0 && item[len + url_len] == '/') url_len--;
        if (url_len >= size) return false;
        memcpy(url, item + len + 1, url_len);
        url[url_len] = '\0';
        return true;
    }
    return false;
}

/* Whether what went wrong can be the mirror's fault, not this machine's or the user's. */
static bool can_blame_mirror(enum status st) {
    return st == ST_UNAVAILABLE || st == ST_NOT_FOUND || st == ST_DENIED || st == ST_FORMAT ||
           st == ST_INVALID;
}

enum status registry_pull(struct store *s, const struct model_name *name,
                          const struct registry_options *o, store_progress *progress, void *arg,
                          struct err *e) {
    char url[512];
    struct err why;
    if (!name_is_valid(name)) return err_set(e, ST_INVALID, "invalid model name");
    if (!progress(arg, "pulling manifest", "", 0, 0)) return err_set(e, ST_CANCELLED, "cancelled");
    for (unsigned i = 0; mirror_of(name->host, i, url, sizeof url); i++) {
        /* No password of the registry for somebody else. */
        const struct registry_options at = {
            .insecure = o->insecure, .key_dir = o->key_dir, .mirror = url};
        enum status st = pull_from(s, name, &at, progress, arg, &why);
        if (st == ST_OK) return ST_OK;
        if (!can_blame_mirror(st)) return err_set(e, st, "%s", why.msg);
        log_info("pull", "mirror %s: %s", url, why.msg);
    }
    return pull_from(s, name, o, progress, arg, e);
}
