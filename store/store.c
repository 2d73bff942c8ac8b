/* store.c - opening a store, finding names in it, and the operations on whole models: list, copy,
 * delete. Reading one model is model.c, making one create.c, the models in the binary builtin.c. */
#include "store/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/config.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/os.h"
#include "store/store_impl.h"

/* ---- opening ---- */

/* The user's home folder, or NULL. */
static const char *home_dir(void) {
    const char *home = getenv("HOME");
    if (home != NULL && *home != '\0') return home;
    const struct passwd *user = getpwuid(getuid());
    return user != NULL ? user->pw_dir : NULL;
}

static char *join(const char *a, const char *b) {
    struct buf path = {0};
    buf_printf(&path, "%s/%s", a, b);
    return buf_take(&path);
}

/* The folder of the store as new text; NULL: e is set. */
static char *choose_dir(const char *dir, struct err *e) {
    const char *home = home_dir();
    char *chosen;
    if (dir == NULL) dir = config_text(SET_models);
    if (dir != NULL) {
        chosen = mem_strdup(dir);
    } else if (home == NULL) {
        err_set(e, ST_NOT_FOUND, "$HOME is not defined");
        return NULL;
    } else {
        chosen = join(home, ".ollama/models");
        if (chosen != NULL && !os_file_exists(chosen)) {
            mem_free(chosen);
            chosen = join(home, ".cria/models");
        }
    }
    if (chosen == NULL) err_no_memory(e);
    return chosen;
}

/* Old stores have "sha256:X", which not every file system takes. */
static void rename_old_blobs(const struct store *s) {
    int blobs = place_dir(s, PLACE_BLOBS, NULL);
    DIR *dir = blobs >= 0 ? fdopendir(blobs) : NULL;
    if (dir == NULL && blobs >= 0) close(blobs);
    if (dir == NULL) return;
    for (struct dirent *d; (d = readdir(dir)) != NULL;) {
        char digest[STORE_DIGEST_TEXT], file[STORE_DIGEST_TEXT];
        if (strncmp(d->d_name, "sha256:", 7) != 0) continue;
        if (store_digest_parse(d->d_name, digest, NULL) != ST_OK) continue;
        memcpy(file, digest, sizeof file);
        file[6] = '-';
        int fd = dirfd(dir);
        if (faccessat(fd, file, F_OK, 0) != 0 && renameat(fd, d->d_name, fd, file) != 0)
            log_warn("store", "cannot rename %s: %s", d->d_name, strerror(errno));
    }
    closedir(dir);
}

/* What cannot be made now is made when something is written, which then gives the real error. */
static void make_dirs(const struct store *s) {
    struct err why;
    if (place_make(s, PLACE_BLOBS, &why) != ST_OK || place_make(s, PLACE_MANIFESTS, &why) != ST_OK)
        log_warn("store", "%s", why.msg);
}

enum status store_open_plain(struct store **out, char *dir, struct err *e) {
    struct store *s = mem_zalloc(1, sizeof *s);
    if (s == NULL) {
        mem_free(dir);
        return err_no_memory(e);
    }
    pthread_mutex_init(&s->lock, NULL);
    pthread_mutex_init(&s->builtin_lock, NULL);
    pthread_mutex_init(&s->verified.lock, NULL);
    s->dir = dir;
    s->blobs = join(s->dir, "blobs");
    s->manifests = join(s->dir, "manifests");
    enum status st =
        s->blobs != NULL && s->manifests != NULL ? place_guard(s, e) : err_no_memory(e);
    if (st != ST_OK)
        store_close(s);
    else
        *out = s;
    return st;
}

enum status store_open(struct store **out, const char *dir, struct err *e) {
    struct err mine = {0};
    struct store *s;
    char *chosen = choose_dir(dir, &mine);
    if (chosen == NULL) return err_set(e, mine.code, "%s", mine.msg);
    enum status st = store_open_plain(&s, chosen, e);
    if (st != ST_OK) return st;
    s->show_builtins = config_bool(SET_builtin);
    make_dirs(s);
    rename_old_blobs(s);
    if (dir == NULL) more_open(s);
    *out = s;
    return ST_OK;
}

void store_close(struct store *s) {
    if (s == NULL) return;
    place_unguard(s);
    more_close(s);
    for (size_t i = 0; i < s->n_builtins; i++) builtin_free(&s->builtins[i]);
    mem_free(s->builtins);
    mem_free(s->dir);
    mem_free(s->blobs);
    mem_free(s->manifests);
    pthread_mutex_destroy(&s->lock);
    pthread_mutex_destroy(&s->builtin_lock);
    verified_free(s);
    mem_free(s);
}

const char *store_dir(const struct store *s) { return s->dir; }

/* The mutex keeps out our threads, the flock other processes. A file system without locks (some
 * network ones) leaves us with the mutex. */
enum status store_lock(struct store *s, int *token, struct err *e) {
    enum status st = place_make(s, PLACE_ROOT, e);
    if (st != ST_OK) return st;
    pthread_mutex_lock(&s->lock);
    struct err why;
    *token = place_dir(s, PLACE_ROOT, &why);
    if (*token < 0) {
        st = err_set(e, why.code, "%s", why.msg);
        pthread_mutex_unlock(&s->lock);
        return st;
    }
    while (flock(*token, LOCK_EX) != 0 && errno == EINTR) {
    }
    return ST_OK;
}

void store_unlock(struct store *s, int token) {
    close(token);
    pthread_mutex_unlock(&s->lock);
}

/* ---- names ---- */

static enum status add_builtin_names(const struct store *s, struct name_list *out, struct err *e) {
    struct model_name *grown = mem_grow(out->names, out->n + s->n_builtins + 1, sizeof *grown);
    if (grown == NULL) return err_no_memory(e);
    out->names = grown;
    out->cap = out->n + s->n_builtins + 1;
    for (size_t i = 0; i < s->n_builtins; i++) {
        if (names_find(out, &s->builtins[i].name) == out->n)
            out->names[out->n++] = s->builtins[i].name;
    }
    return ST_OK;
}

/* All names that a user can see: the stored ones, then the built-in ones and those of further
 * stores that are not hidden by them. */
static enum status visible_names(struct store *s, struct name_list *out, struct err *e) {
    enum status st = names_scan(s, out, e);
    if (st != ST_OK) return st;
    if (s->show_builtins && s->n_builtins > 0) st = add_builtin_names(s, out, e);
    if (st == ST_OK) st = more_names(s, out, e);
    if (st != ST_OK) names_free(out);
    return st;
}

/* Takes over the spelling of the first stored part that is equal but for case, unless the very
 * spelling is there, too. `field` is the part's place in struct model_name. */
static void spell_part(struct model_name *name, const struct name_list *l, size_t field) {
    char *part = (char *)name + field;
    const char *found = NULL;
    for (size_t i = 0; i < l->n; i++) {
        const char *other = (const char *)&l->names[i] + field;
        if (strcmp(part, other) == 0) return;
        if (found == NULL && strcasecmp(part, other) == 0) found = other;
    }
    if (found != NULL) memcpy(part, found, strlen(found)); /* of the same length */
}

enum status store_spell(struct store *s, struct model_name *name, struct err *e) {
    struct name_list list;
    enum status st = visible_names(s, &list, e);
    if (st != ST_OK) return st;
    size_t i = names_find(&list, name);
    if (i < list.n) {
        char scheme[sizeof name->scheme];
        memcpy(scheme, name->scheme, sizeof scheme);
        *name = list.names[i];
        memcpy(name->scheme, scheme, sizeof scheme);
    } else {
        spell_part(name, &list, offsetof(struct model_name, host));
        spell_part(name, &list, offsetof(struct model_name, namespace));
        spell_part(name, &list, offsetof(struct model_name, model));
        spell_part(name, &list, offsetof(struct model_name, tag));
    }
    names_free(&list);
    return ST_OK;
}

static enum status not_found(const struct model_name *name, struct err *e) {
    char shown[NAME_TEXT_MAX];
    name_shortest(name, shown);
    return err_set(e, ST_NOT_FOUND, "model '%s' not found", shown);
}

/* First under the very spelling, which needs no walk through the store. */
enum status store_find(struct store *s, struct model_name *name, struct manifest *m,
                       const struct builtin **builtin, struct arena *a, struct err *e) {
    struct err mine;
    *builtin = NULL;
    if (!name_is_valid(name)) return err_set(e, ST_INVALID, "invalid model name");
    enum status st = manifest_read(s, name, m, a, &mine);
    if (st == ST_NOT_FOUND) {
        st = store_spell(s, name, &mine);
        if (st == ST_OK) st = manifest_read(s, name, m, a, &mine);
    }
    if (st == ST_OK) return st;
    if (st != ST_NOT_FOUND) return err_set(e, st, "%s", mine.msg);
    st = builtin_find(s, name, builtin, e);
    if (st != ST_OK) return st;
    if (*builtin == NULL) return not_found(name, e);
    *m = (*builtin)->manifest;
    return ST_OK;
}

bool store_has(struct store *s, const struct model_name *name) {
    struct name_list list;
    if (visible_names(s, &list, NULL) != ST_OK) return false;
    bool found = names_find(&list, name) < list.n;
    names_free(&list);
    return found;
}

/* ---- list ---- */

static enum status read_config(struct store *s, const struct manifest *m, struct store_config *c,
                               struct arena *a, struct err *e) {
    struct store_text text;
    *c = config_empty;
    if (m->config.digest[0] == '\0') return ST_OK;
    enum status st = blob_read(s, m->config.digest, a, &text, e);
    return st == ST_OK ? config_parse(c, text.ptr, text.len, a, e) : st;
}

enum status store_fill_entry(struct store *s, const struct model_name *name,
                             const struct manifest *m, const struct builtin *builtin,
                             struct store_entry *out, struct arena *a, struct err *e) {
    *out = (struct store_entry){.name = *name,
                                .builtin = builtin != NULL,
                                .size = m->size,
                                .modified_ns = m->modified_ns,
                                .parent_model = manifest_parent(m)};
    memcpy(out->digest, m->digest, sizeof out->digest);
    if (builtin == NULL) return read_config(s, m, &out->config, a, e);
    out->config = builtin->config;
    return ST_OK;
}

static int newest_first(const void *a, const void *b) {
    const struct store_entry *x = a, *y = b;
    if (x->modified_ns != y->modified_ns) return x->modified_ns < y->modified_ns ? 1 : -1;
    char left[NAME_TEXT_MAX], right[NAME_TEXT_MAX];
    name_full(&x->name, left);
    name_full(&y->name, right);
    return strcmp(left, right);
}

/* Adds one model, or nothing if it cannot be read: only want of memory is an error here. */
static enum status list_one(struct store *s, const struct model_name *listed,
                            struct store_list *out, struct err *e) {
    struct err why;
    struct manifest m;
    const struct builtin *builtin = NULL;
    enum status st = manifest_read(s, listed, &m, &out->arena, &why);
    if (st == ST_NOT_FOUND) {
        st = builtin_find(s, listed, &builtin, &why);
        struct store *other = st == ST_OK && builtin == NULL ? more_find(s, listed) : NULL;
        if (other != NULL) return list_one(other, listed, out, e);
        if (st == ST_OK && builtin == NULL) return ST_OK; /* removed meanwhile */
        if (st == ST_OK) m = builtin->manifest;
    }
    if (st == ST_OK)
        st = store_fill_entry(s, listed, &m, builtin, &out->entries[out->n_entries], &out->arena,
                              &why);
    if (st == ST_NO_MEMORY) return err_no_memory(e);
    if (st == ST_OK)
        out->n_entries++;
    else
        log_debug("store", "not listed: %s", why.msg);
    return ST_OK;
}

static enum status list_all(struct store *s, struct store_list *out, struct err *e) {
    struct name_list names;
    enum status st = visible_names(s, &names, e);
    if (st != ST_OK) return st;
    out->entries = arena_zalloc(&out->arena, names.n, sizeof *out->entries);
    if (out->entries == NULL) st = err_no_memory(e);
    for (size_t i = 0; i < names.n && st == ST_OK; i++) st = list_one(s, &names.names[i], out, e);
    names_free(&names);
    if (st != ST_OK)
        store_list_free(out);
    else if (out->n_entries > 1)
        qsort(out->entries, out->n_entries, sizeof *out->entries, newest_first);
    return st;
}

enum status store_list(struct store *s, struct store_list *out, struct err *e) {
    *out = (struct store_list){0};
    place_pin(s);
    enum status st = list_all(s, out, e);
    place_unpin();
    return st;
}

void store_list_free(struct store_list *l) {
    arena_free(&l->arena);
    *l = (struct store_list){0};
}

/* ---- copy and delete ---- */

/* The bytes of the manifest under that stored or built-in name; freed with mem_free. */
static enum status source_text(struct store *s, const struct model_name *name,
                               const struct builtin *builtin, char **text, size_t *len,
                               struct err *e) {
    int64_t modified;
    if (builtin == NULL) return manifest_read_text(s, name, text, len, &modified, e);
    enum status st = builtin_write(s, builtin, e);
    if (st != ST_OK) return st;
    *len = strlen(builtin->manifest_text);
    *text = mem_strndup(builtin->manifest_text, *len);
    return *text != NULL ? ST_OK : err_no_memory(e);
}

static enum status copy_locked(struct store *s, struct model_name *from, struct model_name *to,
                               struct arena *a, struct err *e) {
    struct manifest m, old;
    const struct builtin *builtin;
    char *text;
    size_t len;
    enum status st = store_find(s, from, &m, &builtin, a, e);
    if (st == ST_OK) st = store_spell(s, to, e);
    if (st != ST_OK) return st;
    if (builtin == NULL && name_equal(from, to)) return ST_OK;
    bool replaces = manifest_read(s, to, &old, a, NULL) == ST_OK;
    st = source_text(s, from, builtin, &text, &len, e);
    if (st != ST_OK) return st;
    st = manifest_write(s, to, text, len, e);
    mem_free(text);
    if (st == ST_OK && replaces && prune_allowed()) prune_manifest(s, &old);
    return st;
}

static bool is_here(struct store *s, const struct model_name *name) {
    struct manifest m;
    struct model_name found = *name;
    const struct builtin *builtin;
    struct arena a = {0};
    const bool here = store_find(s, &found, &m, &builtin, &a, NULL) != ST_NOT_FOUND;
    arena_free(&a);
    return here;
}

/* The further store to take a model from; NULL: it is here, or nowhere. */
static struct store *is_elsewhere(struct store *s, const struct model_name *name) {
    return is_here(s, name) ? NULL : more_find(s, name);
}

static enum status copy_from(struct store *s, struct store *other, const struct model_name *from,
                             struct model_name *to, struct err *e) {
    struct holds h = {.n = 0};
    struct arena a = {0};
    struct manifest old;
    char *text = NULL;
    size_t len = 0;
    int token;
    enum status st = more_bring(s, other, from, &h, &text, &len, e);
    if (st == ST_OK) st = store_lock(s, &token, e);
    if (st == ST_OK) {
        st = store_spell(s, to, e);
        const bool replaces = manifest_read(s, to, &old, &a, NULL) == ST_OK;
        if (st == ST_OK) st = manifest_write(s, to, text, len, e);
        holds_free(&h);
        if (st == ST_OK && replaces && prune_allowed()) prune_manifest(s, &old);
        store_unlock(s, token);
    }
    holds_free(&h);
    mem_free(text);
    arena_free(&a);
    return st;
}

enum status store_copy(struct store *s, const struct model_name *from, const struct model_name *to,
                       struct err *e) {
    int token;
    struct arena a = {0};
    struct model_name source = *from, target = *to;
    if (!name_is_valid(from) || !name_is_valid(to))
        return err_set(e, ST_INVALID, "invalid model name");
    if (is_elsewhere(s, from) == NULL && !is_here(s, from)) store_alias(s, &source);
    struct store *other = is_elsewhere(s, &source);
    if (other != NULL) return copy_from(s, other, &source, &target, e);
    enum status st = store_lock(s, &token, e);
    if (st != ST_OK) return st;
    st = copy_locked(s, &source, &target, &a, e);
    store_unlock(s, token);
    arena_free(&a);
    return st;
}

static enum status refuse_builtin(const struct model_name *name, struct err *e) {
    char shown[NAME_TEXT_MAX];
    name_shortest(name, shown);
    return err_set(e, ST_INVALID, "model '%s' is built in and cannot be deleted", shown);
}

/* A damaged manifest can be deleted, too; its blobs are then left to store_prune(). */
static enum status delete_locked(struct store *s, struct model_name *name, struct arena *a,
                                 struct err *e) {
    struct manifest m;
    const struct builtin *builtin;
    struct err mine;
    enum status st = store_find(s, name, &m, &builtin, a, &mine);
    if (st == ST_OK && builtin != NULL) return refuse_builtin(name, e);
    const struct store *other = st == ST_NOT_FOUND ? more_find(s, name) : NULL;
    if (other != NULL)
        return err_set(e, ST_DENIED, "the model is in %s, which is only read", other->dir);
    bool damaged = st == ST_FORMAT || st == ST_LIMIT;
    if (st != ST_OK && !damaged) return err_set(e, st, "%s", mine.msg);
    st = manifest_remove(s, name, e);
    if (st == ST_OK && !damaged) prune_manifest(s, &m);
    return st;
}

enum status store_delete(struct store *s, const struct model_name *name, struct err *e) {
    int token;
    struct arena a = {0};
    struct model_name found = *name;
    enum status st = store_lock(s, &token, e);
    if (st != ST_OK) return st;
    st = delete_locked(s, &found, &a, e);
    store_unlock(s, token);
    arena_free(&a);
    return st;
}
