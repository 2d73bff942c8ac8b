/* imatrix.c - reading importance matrices; see imatrix.h. Writing is in imatrix_write.c. */
#include "engine/quantize/imatrix.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/os.h"

struct imatrix {
    struct arena arena; /* names, values, dataset */
    struct imatrix_entry *entry;
    size_t n, cap;
    struct map names; /* -> index in entry */
    struct gguf_str dataset;
    uint32_t chunks;
    const char *label; /* borrowed while opening */
};

void imatrix_close(struct imatrix *m) {
    if (m == NULL) return;
    arena_free(&m->arena);
    map_free(&m->names);
    mem_free(m->entry);
    mem_free(m);
}

size_t imatrix_count(const struct imatrix *m) { return m->n; }
const struct imatrix_entry *imatrix_at(const struct imatrix *m, size_t i) { return &m->entry[i]; }
struct gguf_str imatrix_dataset(const struct imatrix *m) { return m->dataset; }
uint32_t imatrix_chunks(const struct imatrix *m) { return m->chunks; }

const struct imatrix_entry *imatrix_find(const struct imatrix *m, struct gguf_str name) {
    uint32_t i;
    return map_get(&m->names, name.ptr, name.len, &i) ? &m->entry[i] : NULL;
}

/* ---- common ---- */

/* Appends an entry for n values; *iw is for the caller to fill in. */
static enum status add(struct imatrix *m, struct gguf_str name, size_t n, float **iw,
                       struct err *e) {
    bool fresh;
    if (m->n == m->cap) {
        size_t cap = m->cap != 0 ? 2 * m->cap : 64;
        struct imatrix_entry *grown = mem_grow(m->entry, cap, sizeof *grown);
        if (grown == NULL) return err_no_memory(e);
        m->entry = grown;
        m->cap = cap;
    }
    char *copy = arena_strndup(&m->arena, name.ptr, name.len);
    *iw = arena_zalloc(&m->arena, n, sizeof **iw);
    if (copy == NULL || *iw == NULL || !map_put(&m->names, copy, name.len, (uint32_t)m->n, &fresh))
        return err_no_memory(e);
    if (!fresh)
        return err_set(e, ST_FORMAT, "%s: '%.*s' appears more than once", m->label, (int)name.len,
                       name.ptr);
    m->entry[m->n++] = (struct imatrix_entry){{copy, name.len}, n, *iw};
    return ST_OK;
}

static enum status check_values(const struct imatrix *m, struct gguf_str name, const float *x,
                                size_t n, struct err *e) {
    for (size_t i = 0; i < n; i++) {
        if (isfinite(x[i]) && x[i] >= 0) continue;
        return err_set(e, ST_FORMAT, "%s: '%.*s': imatrix contains %s value", m->label,
                       (int)name.len, name.ptr, isfinite(x[i]) ? "negative" : "non-finite");
    }
    return ST_OK;
}

static float float_at(const unsigned char *p, size_t i) {
    float f;
    memcpy(&f, p + i * sizeof f, sizeof f);
    return f;
}

static enum status take_dataset(struct imatrix *m, struct gguf_str s, struct err *e) {
    m->dataset = (struct gguf_str){arena_strndup(&m->arena, s.ptr, s.len), s.len};
    return m->dataset.ptr != NULL ? ST_OK : err_no_memory(e);
}

/* ---- the GGUF form ---- */

static const char sums_end[] = ".in_sum2", counts_end[] = ".counts";

static bool cut_end(struct gguf_str name, const char *end, struct gguf_str *stem) {
    const size_t n = strlen(end);
    if (name.len <= n || memcmp(name.ptr + name.len - n, end, n) != 0) return false;
    *stem = (struct gguf_str){name.ptr, name.len - n};
    return true;
}

static enum status bad_pair(const struct imatrix *m, struct gguf_str name, const char *what,
                            struct err *e) {
    return err_set(e, ST_FORMAT, "%s: tensor '%.*s': %s", m->label, (int)name.len, name.ptr, what);
}

static enum status read_pair(struct imatrix *m, const struct gguf *g,
                             const struct gguf_tensor *sums, struct gguf_str stem, struct err *e) {
    char name[80];
    snprintf(name, sizeof name, "%.*s%s", (int)stem.len, stem.ptr, counts_end);
    const struct gguf_tensor *counts = gguf_find_tensor(g, name);
    if (counts == NULL) return bad_pair(m, sums->name, "has no .counts", e);
    if (sums->type != DT_F32 || counts->type != DT_F32)
        return bad_pair(m, sums->name, "sums and counts must be F32", e);
    const size_t n_cols = (size_t)sums->dim[0], n = sums->size / sizeof(float);
    const size_t n_mat = counts->size / sizeof(float);
    if (n == 0 || n / n_cols != n_mat || counts->dim[0] != 1)
        return bad_pair(m, sums->name, "sums and counts have different shapes", e);
    float *iw = NULL;
    enum status st = add(m, stem, n, &iw, e);
    for (size_t k = 0; k < n_mat && st == ST_OK; k++) {
        float count = float_at(counts->data, k);
        st = check_values(m, counts->name, &count, 1, e);
        count = roundf(count);
        for (size_t i = 0; i < n_cols; i++) {
            const float sum = float_at(sums->data, k * n_cols + i);
            iw[k * n_cols + i] = count > 0 ? sum / count : isfinite(sum) ? 1.0f : sum;
        }
    }
    return st == ST_OK ? check_values(m, stem, iw, n, e) : st;
}

static enum status read_keys(struct imatrix *m, const struct gguf *g, struct err *e) {
    const struct gguf_kv *sets = gguf_find(g, "imatrix.datasets");
    uint32_t chunk_size;
    if (sets == NULL || sets->type != GGUF_ARRAY || sets->elem != GGUF_STRING)
        return err_set(e, ST_FORMAT, "%s: key imatrix.datasets is not there as array of string",
                       m->label);
    enum status st = gguf_get_u32(g, "imatrix.chunk_count", &m->chunks, e);
    if (st == ST_OK) st = gguf_get_u32(g, "imatrix.chunk_size", &chunk_size, e);
    if (st == ST_NOT_FOUND) return err_set(e, ST_FORMAT, "%s", e != NULL ? e->msg : "");
    if (st == ST_OK && sets->count != 0) st = take_dataset(m, gguf_elem_str(g, sets, 0), e);
    return st;
}

static enum status read_gguf(struct imatrix *m, const struct gguf *g, struct err *e) {
    struct gguf_str stem;
    enum status st = read_keys(m, g, e);
    for (size_t i = 0; i < gguf_n_tensors(g) && st == ST_OK; i++) {
        const struct gguf_tensor *t = gguf_tensor_at(g, i);
        char name[80];
        if (cut_end(t->name, sums_end, &stem)) {
            st = read_pair(m, g, t, stem, e);
        } else if (cut_end(t->name, counts_end, &stem)) {
            snprintf(name, sizeof name, "%.*s%s", (int)stem.len, stem.ptr, sums_end);
            if (gguf_find_tensor(g, name) == NULL) st = bad_pair(m, t->name, "has no .in_sum2", e);
        } else {
            st = bad_pair(m, t->name, "is neither .in_sum2 nor .counts", e);
        }
    }
    return st;
}

/* ---- the older form: no magic, little-endian ---- */

struct cursor {
    const unsigned char *p;
    size_t left;
};

static bool take_i32(struct cursor *c, int32_t *v) {
    if (c->left < 4) return false;
    uint32_t u = (uint32_t)c->p[0] | (uint32_t)c->p[1] << 8 | (uint32_t)c->p[2] << 16 |
                 (uint32_t)c->p[3] << 24;
    *v = (int32_t)u;
    c->p += 4;
    c->left -= 4;
    return true;
}

/* n bytes, n being a length as read. */
static bool take_bytes(struct cursor *c, int64_t n, const unsigned char **p) {
    if (n < 0 || (uint64_t)n > c->left) return false;
    *p = c->p;
    c->p += n;
    c->left -= (size_t)n;
    return true;
}

static enum status broken(const struct imatrix *m, const char *what, struct err *e) {
    return err_set(e, ST_FORMAT, "%s: neither a GGUF file nor an importance matrix: %s", m->label,
                   what);
}

static enum status read_old_entry(struct imatrix *m, struct cursor *c, struct err *e) {
    int32_t len, n_calls, n;
    const unsigned char *text, *values;
    float *iw;
    if (!take_i32(c, &len) || len < 1 || !take_bytes(c, len, &text))
        return broken(m, "bad length of a name", e);
    struct gguf_str name = {(const char *)text, (size_t)len};
    if (name.len > 63 || memchr(name.ptr, '\0', name.len) != NULL)
        return broken(m, "a name that no tensor can have", e);
    if (!take_i32(c, &n_calls) || !take_i32(c, &n) || n < 1 ||
        !take_bytes(c, 4 * (int64_t)n, &values))
        return broken(m, "bad number of values", e);
    enum status st = add(m, name, (size_t)n, &iw, e);
    if (st != ST_OK) return st;
    for (int32_t i = 0; i < n; i++) {
        const float v = float_at(values, (size_t)i);
        iw[i] = n_calls > 0 ? v / (float)n_calls : v;
    }
    return check_values(m, name, iw, (size_t)n, e);
}

static enum status read_old(struct imatrix *m, const unsigned char *data, size_t size,
                            struct err *e) {
    struct cursor c = {data, size};
    int32_t n, chunks, len;
    const unsigned char *text;
    if (!take_i32(&c, &n) || n < 1 || (size_t)n > c.left / 16)
        return broken(m, "bad number of entries", e);
    enum status st = ST_OK;
    for (int32_t i = 0; i < n && st == ST_OK; i++) st = read_old_entry(m, &c, e);
    if (st != ST_OK || c.left == 0) return st;
    if (!take_i32(&c, &chunks) || !take_i32(&c, &len) || !take_bytes(&c, len, &text))
        return broken(m, "bad end", e);
    m->chunks = chunks > 0 ? (uint32_t)chunks : 0;
    return take_dataset(m, (struct gguf_str){(const char *)text, (size_t)len}, e);
}

/* ---- opening ---- */

static enum status read_any(struct imatrix *m, const unsigned char *data, size_t size,
                            struct err *e) {
    struct gguf *g;
    if (size < 4 || memcmp(data, "GGUF", 4) != 0) return read_old(m, data, size, e);
    enum status st = gguf_open_memory(&g, data, size, m->label, e);
    if (st != ST_OK) return st;
    struct err mine = {0};
    st = read_gguf(m, g, &mine);
    if (st != ST_OK && e != NULL) *e = mine;
    gguf_close(g);
    return st;
}

enum status imatrix_open_memory(struct imatrix **out, const void *data, size_t size,
                                const char *label, struct err *e) {
    struct imatrix *m = mem_zalloc(1, sizeof *m);
    if (m == NULL) return err_no_memory(e);
    m->label = label;
    m->dataset.ptr = "";
    enum status st = read_any(m, data, size, e);
    m->label = NULL;
    if (st == ST_OK)
        *out = m;
    else
        imatrix_close(m);
    return st;
}

enum status imatrix_open(struct imatrix **out, const char *path, struct err *e) {
    struct os_map map = {0};
    enum status st = os_map_open(&map, path, e);
    if (st != ST_OK) return st;
    st = imatrix_open_memory(out, map.data, map.size, path, e);
    os_map_close(&map);
    return st;
}
