/* gguf_split.c - split sets (see gguf.h; spec/gguf.md 4).
 *
 * A part is a complete GGUF file and is checked as such; a set is the first part that takes over
 * the tensor infos of the others, which stay open beneath it. Paths of other parts come from the
 * first one's own name and its checked 16-bit count: nothing else in the file has a say, so there
 * are no path tricks and no large counts. Wording: the peer's. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "engine/file/gguf_impl.h"

/* "path: defect" with the class "split". */
__attribute__((format(printf, 4, 5))) static enum status
fail(const struct gguf *g, struct err *e, enum status code, const char *fmt, ...) {
    char text[ERR_MSG_SIZE];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    gguf_set_error_class("split");
    return err_set(e, code, "%s: %s", g->label, text);
}

/* A u16 key, as the peer wants it; absent: *out is untouched. */
static enum status get_u16(const struct gguf *g, const char *key, uint32_t *out, struct err *e) {
    const struct gguf_kv *kv = gguf_find(g, key);
    if (kv == NULL) return ST_OK;
    if (kv->type != GGUF_U16)
        return fail(g, e, ST_FORMAT, "key %s has wrong type %s but expected type u16", key,
                    gguf_type_name(kv->type));
    *out = (uint32_t)gguf_elem_int(kv, 0);
    return ST_OK;
}

enum status gguf_split_count(const struct gguf *g, uint32_t *count, struct err *e) {
    *count = 1;
    enum status st = get_u16(g, "split.count", count, e);
    if (*count == 0) *count = 1;
    return st;
}

/* ---- putting a set together ---- */

static enum status check_number(const struct gguf *g, const struct gguf *part, const char *name,
                                struct err *e) {
    uint32_t no = UINT32_MAX;
    enum status st = get_u16(part, "split.no", &no, e);
    if (st != ST_OK || no == g->n_parts + 1) return st;
    if (no == UINT32_MAX) return fail(part, e, ST_FORMAT, "key split.no not found");
    return fail(g, e, ST_FORMAT, "invalid split file idx: %u (file: %s), expected %zu", no, name,
                g->n_parts + 1);
}

/* Room first, so that what follows cannot fail half-way. */
static bool reserve(struct gguf *g, const struct gguf *part) {
    struct gguf **parts = mem_grow(g->part, g->n_parts + 1, sizeof(struct gguf *));
    if (parts != NULL) g->part = parts;
    struct gguf_tensor *t = mem_grow(g->tensor, g->n_tensors + part->n_tensors, sizeof *t);
    if (t != NULL) g->tensor = t;
    return parts != NULL && t != NULL && map_reserve(&g->names, g->n_tensors + part->n_tensors);
}

static enum status adopt(struct gguf *g, const struct gguf *part, struct err *e) {
    for (size_t i = 0; i < part->n_tensors; i++) {
        const struct gguf_str name = part->tensor[i].name;
        bool fresh;
        if (!map_put(&g->names, name.ptr, name.len, (uint32_t)g->n_tensors, &fresh))
            return err_no_memory(e);
        if (!fresh)
            return fail(g, e, ST_FORMAT, "invalid model: tensor '%.*s' is duplicated",
                        (int)name.len, name.ptr);
        g->tensor[g->n_tensors++] = part->tensor[i];
    }
    return ST_OK;
}

/* Takes part, also on failure. */
static enum status add_part(struct gguf *g, struct gguf *part, const char *name, struct err *e) {
    enum status st = check_number(g, part, name, e);
    if (st == ST_OK && g->n_tensors + part->n_tensors > UINT32_MAX)
        st = fail(g, e, ST_LIMIT, "more tensors than can be handled");
    if (st == ST_OK && !reserve(g, part)) st = err_no_memory(e);
    if (st != ST_OK) {
        gguf_close(part);
        return st;
    }
    g->part[g->n_parts++] = part; /* also on failure: names of it may be in the map */
    return adopt(g, part, e);
}

enum status gguf_check_set(const struct gguf *g, struct err *e) {
    const struct gguf_kv *kv = gguf_find(g, "split.tensors.count");
    uint32_t count;
    enum status st = gguf_split_count(g, &count, e);
    if (st != ST_OK) return st;
    if (count != g->n_parts + 1)
        return fail(g, e, ST_FORMAT, "split set has %zu parts, expected %u", g->n_parts + 1, count);
    if (kv == NULL) return ST_OK;
    if (!gguf_is_int(kv->type))
        return fail(g, e, ST_FORMAT, "key split.tensors.count has wrong type %s but expected i32",
                    gguf_type_name(kv->type));
    if (gguf_elem_int(kv, 0) != (int64_t)g->n_tensors)
        return fail(g, e, ST_FORMAT, "corrupted model: %" PRId64 " tensors expected but %zu found",
                    gguf_elem_int(kv, 0), g->n_tensors);
    return ST_OK;
}

/* ---- by path ---- */

enum { SUFFIX_LEN = 20 }; /* -00001-of-00003.gguf */

static void suffix(char out[SUFFIX_LEN + 8], uint32_t part, uint32_t count) {
    snprintf(out, SUFFIX_LEN + 8, "-%05u-of-%05u.gguf", part, count);
}

static enum status check_first(const struct gguf *g, const char *path, uint32_t count,
                               struct err *e) {
    char want[SUFFIX_LEN + 8];
    uint32_t no = UINT32_MAX;
    enum status st = get_u16(g, "split.no", &no, e);
    if (st != ST_OK) return st;
    if (no != 0 && no != UINT32_MAX)
        return fail(g, e, ST_FORMAT,
                    "illegal split file idx: %u (file: %s), model must be loaded with the first "
                    "split",
                    no, path);
    suffix(want, 1, count);
    if (no == UINT32_MAX) return fail(g, e, ST_FORMAT, "key split.no not found");
    size_t n = strlen(path), m = strlen(want);
    if (n <= m || strcmp(path + n - m, want) != 0)
        return fail(g, e, ST_FORMAT, "invalid split file name: %s", path);
    return ST_OK;
}

static enum status add_file(struct gguf *g, const char *path, struct err *e) {
    struct gguf *part;
    struct err mine = {0};
    if (gguf_open(&part, path, &mine) == ST_OK) return add_part(g, part, path, e);
    if (mine.code == ST_NO_MEMORY) return err_no_memory(e);
    return fail(g, e, mine.code == ST_NOT_FOUND ? ST_FORMAT : mine.code,
                "failed to load GGUF split from %s: %s", path, mine.msg);
}

static enum status add_files(struct gguf *g, const char *path, uint32_t count, struct err *e) {
    size_t keep = strlen(path) - SUFFIX_LEN, room = keep + SUFFIX_LEN + 8;
    char *other = mem_alloc(room);
    if (other == NULL) return err_no_memory(e);
    enum status st = ST_OK;
    memcpy(other, path, keep);
    for (uint32_t i = 2; i <= count && st == ST_OK; i++) {
        suffix(other + keep, i, count);
        st = add_file(g, other, e);
    }
    mem_free(other);
    return st == ST_OK ? gguf_check_set(g, e) : st;
}

enum status gguf_open_set(struct gguf **out, const char *path, struct err *e) {
    struct gguf *g;
    uint32_t count = 1;
    enum status st = gguf_open(&g, path, e);
    if (st != ST_OK) return st;
    st = gguf_split_count(g, &count, e);
    if (st == ST_OK && count > 1) {
        st = check_first(g, path, count, e);
        if (st == ST_OK) st = add_files(g, path, count, e);
    }
    if (st == ST_OK)
        *out = g;
    else
        gguf_close(g);
    return st;
}
