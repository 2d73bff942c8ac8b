/* create_split.c - split GGUF files of a create request become one blob (spec/gguf.md 4): the pairs
 * of the first part without the split.* keys, the tensors of all. The parts are found among the
 * request's files by their names; wording: the reference's. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "engine/file/gguf_write.h"
#include "store/create_impl.h"

struct shard {
    const struct store_file *file;
    struct gguf *g; /* owned until it is part of the set */
};

struct set {
    struct creation *c;
    const char *name;    /* of the file that was met first */
    size_t prefix;       /* bytes of it in front of -00001-of-... */
    uint32_t count;      /* at most 65535, at most the number of files */
    struct shard *shard; /* [count]; in the arena */
};

/* ---- names ---- */

enum { SUFFIX = 20 }; /* -00001-of-00003.gguf */

static bool digits(const char *s, size_t n, uint32_t *out) {
    *out = 0;
    for (size_t i = 0; i < n; i++) {
        if (!isdigit((unsigned char)s[i])) return false;
        *out = *out * 10 + (uint32_t)(s[i] - '0');
    }
    return true;
}

static bool cut_name(const char *path, size_t *prefix, uint32_t *index, uint32_t *count) {
    const size_t n = strlen(path);
    if (n < SUFFIX) return false;
    const char *s = path + n - SUFFIX;
    *prefix = n - SUFFIX;
    return s[0] == '-' && digits(s + 1, 5, index) && memcmp(s + 6, "-of-", 4) == 0 &&
           digits(s + 10, 5, count) && strcmp(s + 15, ".gguf") == 0;
}

/* ---- collecting ---- */

static enum status open_shard(struct set *s, const struct store_file *f, struct gguf **g) {
    char path[PATH_ROOM];
    enum status st = blob_path(s->c->store, f->digest, path, s->c->e);
    if (st != ST_OK) return st;
    return create_missing_blob(s->c->e, gguf_open(g, path, s->c->e));
}

static enum status check_shard(struct set *s, const struct store_file *f, const struct gguf *g,
                               uint32_t index, uint32_t count) {
    struct err *e = s->c->e;
    int64_t no = -1, of = 1;
    gguf_get_i64(g, "split.count", &of, NULL);
    if (of != count)
        return err_set(e, ST_INVALID,
                       "split GGUF \"%s\" filename count %u does not match metadata count %lld",
                       f->path, count, (long long)of);
    if (gguf_get_i64(g, "split.no", &no, NULL) != ST_OK)
        return err_set(e, ST_INVALID, "split GGUF \"%s\" is missing split.no metadata", f->path);
    if (no + 1 != index)
        return err_set(e, ST_INVALID,
                       "split GGUF \"%s\" filename index %u does not match metadata index %lld",
                       f->path, index, (long long)no + 1);
    if (s->shard[index - 1].g == NULL) return ST_OK;
    return err_set(e, ST_INVALID, "split GGUF has duplicate shard index %u", index);
}

/* Takes the file into the set if its name says that it belongs to it. */
static enum status take_file(struct set *s, const struct store_file *f, bool *used) {
    size_t prefix;
    uint32_t index, count;
    struct gguf *g;
    if (!cut_name(f->path, &prefix, &index, &count) || prefix != s->prefix ||
        memcmp(f->path, s->name, prefix) != 0)
        return ST_OK;
    *used = true;
    if (count != s->count || index == 0 || index > count)
        return err_set(s->c->e, ST_INVALID, "split GGUF \"%s\" has %u shards, expected %u", f->path,
                       count, s->count);
    enum status st = open_shard(s, f, &g);
    if (st != ST_OK) return st;
    st = check_shard(s, f, g, index, count);
    if (st == ST_OK)
        s->shard[index - 1] = (struct shard){f, g};
    else
        gguf_close(g);
    return st;
}

static enum status collect(struct set *s, const struct store_file *f, size_t n, bool *used) {
    uint32_t index, have = 0;
    enum status st = ST_OK;
    if (!cut_name(s->name, &s->prefix, &index, &s->count))
        return err_set(s->c->e, ST_INVALID,
                       "split GGUF \"%s\" must use llama.cpp split filename pattern", s->name);
    if (s->count > n)
        return err_set(s->c->e, ST_INVALID, "split GGUF \"%s\" has %zu shards, expected %u",
                       s->name, n, s->count);
    s->shard = arena_zalloc(&s->c->arena, s->count + 1u, sizeof *s->shard);
    if (s->shard == NULL) return err_no_memory(s->c->e);
    for (size_t i = 0; i < n && st == ST_OK; i++) st = take_file(s, &f[i], &used[i]);
    if (st != ST_OK) return st;
    for (uint32_t i = 0; i < s->count; i++) have += s->shard[i].g != NULL;
    if (s->count == 0 || s->shard[0].g == NULL)
        return err_set(s->c->e, ST_INVALID, "split GGUF is missing first shard");
    if (have == s->count) return ST_OK;
    return err_set(s->c->e, ST_INVALID, "split GGUF \"%s\" has %u shards, expected %u", s->name,
                   have, s->count);
}

/* ---- merging ---- */

static void put_pairs(struct gguf_writer *w, const struct gguf *g) {
    struct gguf_str arch = {"", 0};
    char key[160];
    gguf_put_all(w, g);
    static const char *const keys[] = {"split.no", "split.count", "split.tensors.count"};
    gguf_get_str(g, "general.architecture", &arch, NULL);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        gguf_drop(w, keys[i]);
        snprintf(key, sizeof key, "%.*s.%s", (int)(arch.len < 100 ? arch.len : 100), arch.ptr,
                 keys[i]);
        gguf_drop(w, key);
    }
}

static enum status write_tensors(struct set *s, struct gguf_writer *w) {
    enum { PIECE = 8 << 20 };
    enum status st = ST_OK;
    for (uint32_t k = 0; k < s->count; k++) {
        const struct gguf *g = s->shard[k].g;
        for (size_t i = 0; i < gguf_n_tensors(g); i++) {
            const struct gguf_tensor *t = gguf_tensor_at(g, i);
            for (size_t at = 0; at < t->size && st == ST_OK; at += PIECE) {
                const size_t n = t->size - at < PIECE ? t->size - at : PIECE;
                st = gguf_write_data(w, t->data + at, n, s->c->e);
                gguf_forget(g, t->data + at, n);
            }
        }
    }
    return st == ST_OK ? gguf_write_finish(w, s->c->e) : st;
}

static enum status merge(struct set *s, struct gguf_writer *w, char digest[STORE_DIGEST_TEXT]) {
    struct store_upload *u;
    put_pairs(w, s->shard[0].g);
    for (uint32_t k = 0; k < s->count; k++) gguf_add_tensors(w, s->shard[k].g);
    enum status st = store_blob_begin(s->c->store, &u, s->c->e);
    if (st != ST_OK) return st;
    st = gguf_write_to(w, blob_sink, u, s->c->e);
    if (st == ST_OK) st = write_tensors(s, w);
    if (st == ST_OK) return store_blob_commit(u, NULL, digest, s->c->e);
    store_blob_abort(u);
    return st;
}

enum status create_merge(struct creation *c, const struct store_file *f, size_t n, size_t first,
                         bool *used, char digest[STORE_DIGEST_TEXT]) {
    struct set s = {.c = c, .name = f[first].path};
    struct gguf_writer *w = NULL;
    enum status st = collect(&s, f, n, used);
    if (st == ST_OK) st = gguf_writer_new(&w, c->e);
    if (st == ST_OK) st = merge(&s, w, digest);
    gguf_writer_free(w);
    for (uint32_t i = 0; s.shard != NULL && i < s.count; i++) gguf_close(s.shard[i].g);
    return st;
}
