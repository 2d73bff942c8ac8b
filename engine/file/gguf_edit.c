/* gguf_edit.c - see gguf_edit.h. */
#include "engine/file/gguf_edit.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "engine/file/gguf_bytes.h"
#include "engine/file/gguf_impl.h"

static struct gguf_kv *find_kv(struct gguf *g, const char *key) {
    uint32_t i;
    return map_get(&g->keys, key, strlen(key), &i) ? &g->kv[i] : NULL;
}

static struct gguf_str text(const char *s) { return (struct gguf_str){s, strlen(s)}; }

static bool begins(struct gguf_str s, const char *with) {
    size_t n = strlen(with);
    return s.len >= n && memcmp(s.ptr, with, n) == 0;
}

/* ---- pairs ------------------------------------------------------------------------------------
 */

/* Names changed: the map is made again. */
static enum status index_keys(struct gguf *g, struct err *e) {
    struct map keys = {0};
    enum status st = ST_OK;
    for (size_t i = 0; st == ST_OK && i < g->n_kv; i++) {
        const struct gguf_str k = g->kv[i].key;
        bool fresh;
        if (!map_put(&keys, k.ptr, k.len, (uint32_t)i, &fresh))
            st = err_no_memory(e);
        else if (!fresh)
            st = err_set(e, ST_FORMAT, "key '%.*s' appears twice after translation", (int)k.len,
                         k.ptr);
    }
    if (st != ST_OK) {
        map_free(&keys);
        return st;
    }
    map_free(&g->keys);
    g->keys = keys;
    return ST_OK;
}

/* The pair of this key, made if it is not there; its value is still to be set. */
static enum status take_kv(struct gguf *g, const char *key, struct gguf_kv **out, struct err *e) {
    *out = find_kv(g, key);
    if (*out != NULL) return ST_OK;
    struct gguf_kv *more = mem_grow(g->kv, g->n_kv + 1, sizeof *more);
    char *name = arena_strndup(&g->edits, key, strlen(key));
    if (more != NULL) g->kv = more;
    if (more == NULL || name == NULL ||
        !map_put(&g->keys, name, strlen(name), (uint32_t)g->n_kv, NULL))
        return err_no_memory(e);
    *out = &g->kv[g->n_kv++];
    **out = (struct gguf_kv){.key = text(name)};
    return ST_OK;
}

/* Sets a pair to n elements of a type, stored as in a file. */
static enum status set_kv(struct gguf *g, const char *key, enum gguf_type type, enum gguf_type elem,
                          const void *data, size_t size, uint64_t count, struct err *e) {
    struct gguf_kv *kv;
    unsigned char *copy = arena_alloc(&g->edits, size);
    if (copy == NULL) return err_no_memory(e);
    memcpy(copy, data, size);
    enum status st = take_kv(g, key, &kv, e);
    if (st != ST_OK) return st;
    kv->type = type;
    kv->elem = elem;
    kv->count = count;
    kv->data = copy;
    return ST_OK;
}

static void put_le(unsigned char *p, uint64_t x, unsigned n) {
    for (unsigned i = 0; i < n; i++) p[i] = (unsigned char)(x >> (8 * i));
}

enum status gguf_edit_u32(struct gguf *g, const char *key, uint32_t x, struct err *e) {
    unsigned char b[4];
    put_le(b, x, 4);
    return set_kv(g, key, GGUF_U32, GGUF_U32, b, 4, 1, e);
}

enum status gguf_edit_f32(struct gguf *g, const char *key, float x, struct err *e) {
    unsigned char b[4];
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    put_le(b, bits, 4);
    return set_kv(g, key, GGUF_F32, GGUF_F32, b, 4, 1, e);
}

enum status gguf_edit_str(struct gguf *g, const char *key, const char *x, struct err *e) {
    unsigned char b[8 + 64];
    const size_t n = strlen(x);
    assert(n <= 64);
    put_le(b, n, 8);
    memcpy(b + 8, x, n);
    return set_kv(g, key, GGUF_STRING, GGUF_STRING, b, 8 + n, 1, e);
}

enum status gguf_edit_bool(struct gguf *g, const char *key, bool x, struct err *e) {
    const unsigned char b = x;
    return set_kv(g, key, GGUF_BOOL, GGUF_BOOL, &b, 1, 1, e);
}

enum status gguf_edit_f32s(struct gguf *g, const char *key, const float *x, size_t n,
                           struct err *e) {
    unsigned char b[4 * 16];
    assert(n >= 1 && n <= 16);
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &x[i], sizeof bits);
        put_le(b + 4 * i, bits, 4);
    }
    return set_kv(g, key, GGUF_ARRAY, GGUF_F32, b, 4 * n, n, e);
}

enum status gguf_edit_i32s(struct gguf *g, const char *key, const int32_t *x, size_t n,
                           struct err *e) {
    unsigned char b[4 * 16];
    assert(n >= 1 && n <= 16);
    for (size_t i = 0; i < n; i++) put_le(b + 4 * i, (uint32_t)x[i], 4);
    return set_kv(g, key, GGUF_ARRAY, GGUF_I32, b, 4 * n, n, e);
}

enum status gguf_edit_bytes(struct gguf *g, const char *key, const void *x, size_t n,
                            struct err *e) {
    assert(n >= 1);
    return set_kv(g, key, GGUF_ARRAY, GGUF_U8, x, n, n, e);
}

enum status gguf_edit_copy(struct gguf *g, const char *to, const char *from, struct err *e) {
    struct gguf_kv *kv;
    if (find_kv(g, from) == NULL) return ST_OK;
    enum status st = take_kv(g, to, &kv, e);
    if (st != ST_OK) return st;
    const struct gguf_str name = kv->key;
    *kv = *find_kv(g, from); /* not taken before: the table may have moved */
    kv->key = name;
    return ST_OK;
}

enum status gguf_edit_drop(struct gguf *g, const char *key, struct err *e) {
    struct gguf_kv *kv = find_kv(g, key);
    if (kv == NULL) return ST_OK;
    const size_t i = (size_t)(kv - g->kv);
    memmove(kv, kv + 1, (g->n_kv - i - 1) * sizeof *kv);
    g->n_kv--;
    return index_keys(g, e);
}

enum status gguf_edit_each(struct gguf *g, const char *key, gguf_edit_fn *fn, struct err *e) {
    struct gguf_kv *kv = find_kv(g, key);
    if (kv == NULL || kv->type != GGUF_ARRAY || !gguf_is_int(kv->elem)) return ST_OK;
    unsigned char *data = arena_alloc(&g->edits, (size_t)kv->count * 4); /* the file has as many */
    if (data == NULL) return err_no_memory(e);
    for (uint64_t i = 0; i < kv->count; i++)
        put_le(data + 4 * i, (uint32_t)fn(g, i, gguf_elem_int(kv, i)), 4);
    kv->elem = GGUF_I32;
    kv->data = data;
    return ST_OK;
}

void gguf_edit_shorten(struct gguf *g, const char *key, uint64_t count) {
    struct gguf_kv *kv = find_kv(g, key);
    if (kv != NULL && kv->type == GGUF_ARRAY && kv->count > count) kv->count = count;
}

enum status gguf_edit_arch(struct gguf *g, const char *from, const char *to, struct err *e) {
    char prefix[80];
    const size_t n = strlen(from);
    assert(n < sizeof prefix - 1);
    memcpy(prefix, from, n);
    memcpy(prefix + n, ".", 2);
    for (size_t i = 0; i < g->n_kv; i++) {
        struct gguf_kv *kv = &g->kv[i];
        if (!begins(kv->key, prefix)) continue;
        char *name = arena_printf(&g->edits, "%s%.*s", to, (int)(kv->key.len - n), kv->key.ptr + n);
        if (name == NULL) return err_no_memory(e);
        kv->key = text(name);
    }
    enum status st = index_keys(g, e);
    return st == ST_OK ? gguf_edit_str(g, "general.architecture", to, e) : st;
}

/* ---- tensors ----------------------------------------------------------------------------------
 */

static enum status index_tensors(struct gguf *g, struct err *e) {
    struct map names = {0};
    enum status st = ST_OK;
    for (size_t i = 0; st == ST_OK && i < g->n_tensors; i++) {
        const struct gguf_str k = g->tensor[i].name;
        bool fresh;
        if (!map_put(&names, k.ptr, k.len, (uint32_t)i, &fresh))
            st = err_no_memory(e);
        else if (!fresh)
            st = err_set(e, ST_FORMAT, "tensor '%.*s' appears twice after translation", (int)k.len,
                         k.ptr);
    }
    if (st != ST_OK) {
        map_free(&names);
        return st;
    }
    map_free(&g->names);
    g->names = names;
    return ST_OK;
}

/* Place of `what` in s, or s.len. */
static size_t place_of(struct gguf_str s, const char *what) {
    const size_t n = strlen(what);
    for (size_t i = 0; i + n <= s.len; i++)
        if (memcmp(s.ptr + i, what, n) == 0) return i;
    return s.len;
}

enum status gguf_edit_tensor_names(struct gguf *g, const char *from, const char *to,
                                   struct err *e) {
    for (size_t i = 0; i < g->n_tensors; i++) {
        const struct gguf_str s = g->tensor[i].name;
        const size_t at = place_of(s, from), behind = at + strlen(from);
        if (at == s.len) continue;
        char *name = arena_printf(&g->edits, "%.*s%s%.*s", (int)at, s.ptr, to,
                                  (int)(s.len - behind), s.ptr + behind);
        if (name == NULL) return err_no_memory(e);
        g->tensor[i].name = text(name);
    }
    return index_tensors(g, e);
}

enum status gguf_edit_tensor_name(struct gguf *g, const char *from, const char *to, struct err *e) {
    uint32_t i;
    if (!map_get(&g->names, from, strlen(from), &i)) return ST_OK;
    char *name = arena_strndup(&g->edits, to, strlen(to));
    if (name == NULL) return err_no_memory(e);
    g->tensor[i].name = text(name);
    return index_tensors(g, e);
}

void gguf_edit_rows(struct gguf *g, const char *tensor, int64_t n) {
    uint32_t i;
    if (!map_get(&g->names, tensor, strlen(tensor), &i)) return;
    struct gguf_tensor *t = &g->tensor[i];
    if (n < 0 || n >= t->dim[1] || t->dim[2] != 1 || t->dim[3] != 1) return;
    t->size = t->size / (size_t)t->dim[1] * (size_t)n;
    t->dim[1] = n;
}

enum status gguf_edit_keep_tensors(struct gguf *g, const char *const *prefixes, struct err *e) {
    size_t n = 0;
    for (size_t i = 0; i < g->n_tensors; i++) {
        bool kept = false;
        for (const char *const *p = prefixes; *p != NULL; p++)
            kept = kept || begins(g->tensor[i].name, *p);
        if (kept) g->tensor[n++] = g->tensor[i];
    }
    g->n_tensors = n;
    return index_tensors(g, e);
}

/* ---- tensors with data of their own ------------------------------------------------------------
 */

static struct gguf_tensor *find_tensor(struct gguf *g, const char *name) {
    uint32_t i;
    return map_get(&g->names, name, strlen(name), &i) ? &g->tensor[i] : NULL;
}

/* The tensor of this name, made if it is not there; its shape and data are still to be set. */
static enum status take_tensor(struct gguf *g, const char *name, struct gguf_tensor **out,
                               struct err *e) {
    *out = find_tensor(g, name);
    if (*out != NULL) return ST_OK;
    struct gguf_tensor *more = mem_grow(g->tensor, g->n_tensors + 1, sizeof *more);
    char *copy = arena_strndup(&g->edits, name, strlen(name));
    if (more != NULL) g->tensor = more;
    if (more == NULL || copy == NULL ||
        !map_put(&g->names, copy, strlen(copy), (uint32_t)g->n_tensors, NULL))
        return err_no_memory(e);
    *out = &g->tensor[g->n_tensors++];
    **out = (struct gguf_tensor){.name = text(copy)};
    return ST_OK;
}

static size_t n_elements(const int64_t dim[4]) {
    return (size_t)dim[0] * (size_t)dim[1] * (size_t)dim[2] * (size_t)dim[3];
}

enum status gguf_edit_floats(struct gguf *g, const char *name, uint32_t n_dims,
                             const int64_t dim[4], float **data, struct err *e) {
    struct gguf_tensor *t;
    const size_t n = n_elements(dim);
    float *x = arena_zalloc(&g->edits, n, sizeof *x);
    if (x == NULL) return err_no_memory(e);
    enum status st = take_tensor(g, name, &t, e);
    if (st != ST_OK) return st;
    t->n_dims = n_dims;
    memcpy(t->dim, dim, sizeof t->dim);
    t->type = DT_F32;
    t->offset = 0;
    t->size = n * sizeof *x;
    t->data = (const unsigned char *)x;
    *data = x;
    return ST_OK;
}

enum status gguf_edit_decode(struct gguf *g, const char *name, struct err *e) {
    const struct gguf_tensor *found = find_tensor(g, name);
    if (found == NULL || found->type == DT_F32) return ST_OK;
    const struct gguf_tensor t = *found; /* the list may move */
    const struct dtype_info *info = dtype_info(t.type);
    const size_t row = (size_t)t.dim[0], bytes = row / info->elems * info->bytes;
    float *x;
    if (info->decode == NULL)
        return err_set(e, ST_UNSUPPORTED, "tensor '%s': type %s cannot be computed with", name,
                       info->name);
    enum status st = gguf_edit_floats(g, name, t.n_dims, t.dim, &x, e);
    const size_t n_rows = row != 0 ? n_elements(t.dim) / row : 0;
    for (size_t i = 0; st == ST_OK && i < n_rows; i++)
        info->decode(t.data + i * bytes, x + i * row, row);
    return st;
}

enum status gguf_edit_stack(struct gguf *g, const char *first, const char *second, struct err *e) {
    const struct gguf_tensor *a = find_tensor(g, first);
    struct gguf_tensor *b = find_tensor(g, second);
    if (a == NULL || b == NULL) return ST_OK;
    if (a->type != b->type || a->dim[0] != b->dim[0] || a->n_dims > 2 || b->n_dims > 2)
        return err_set(e, ST_FORMAT, "tensors '%s' and '%s' do not go together", first, second);
    unsigned char *data = arena_alloc(&g->edits, a->size + b->size); /* both are in the file */
    if (data == NULL) return err_no_memory(e);
    memcpy(data, a->data, a->size);
    memcpy(data + a->size, b->data, b->size);
    b->dim[1] += a->dim[1];
    b->size += a->size;
    b->data = data;
    return ST_OK;
}

enum status gguf_edit_add(struct gguf *g, const char *name, float x, struct err *e) {
    enum status st = gguf_edit_decode(g, name, e);
    const struct gguf_tensor *found = find_tensor(g, name);
    float *sum;
    if (st != ST_OK || found == NULL) return st;
    const struct gguf_tensor t = *found;
    st = gguf_edit_floats(g, name, t.n_dims, t.dim, &sum, e);
    if (st != ST_OK) return st;
    memcpy(sum, t.data, t.size);
    for (size_t i = 0; i < t.size / sizeof *sum; i++) sum[i] += x;
    return ST_OK;
}

/* The i-th part of a tensor to be joined, or NULL. */
static const struct gguf_tensor *find_part(struct gguf *g, const char *before, size_t i,
                                           const char *behind) {
    char name[160];
    snprintf(name, sizeof name, "%s%zu%s", before, i, behind);
    return find_tensor(g, name);
}

enum status gguf_edit_join(struct gguf *g, const char *before, const char *behind, const char *name,
                           struct err *e) {
    const struct gguf_tensor *part = find_part(g, before, 0, behind);
    if (part == NULL || part->n_dims > 2) return ST_OK;
    struct gguf_tensor joined = *part, *t;
    size_t n = 1;
    for (; (part = find_part(g, before, n, behind)) != NULL; n++)
        if (part->type != joined.type || memcmp(part->dim, joined.dim, sizeof joined.dim) != 0)
            return err_set(e, ST_FORMAT, "tensors '%s0%s' and '%.*s' do not go together", before,
                           behind, (int)part->name.len, part->name.ptr);
    unsigned char *data = arena_alloc(&g->edits, n * joined.size); /* all of them are in the file */
    if (data == NULL) return err_no_memory(e);
    for (size_t i = 0; i < n; i++)
        memcpy(data + i * joined.size, find_part(g, before, i, behind)->data, joined.size);
    enum status st = take_tensor(g, name, &t, e);
    if (st != ST_OK) return st;
    joined.name = t->name;
    joined.n_dims = 3;
    joined.dim[2] = (int64_t)n;
    joined.size *= n;
    joined.data = data;
    *t = joined;
    return ST_OK;
}

enum status gguf_edit_permute(struct gguf *g, const char *name, gguf_row_fn *from, const void *arg,
                              struct err *e) {
    struct gguf_tensor *t = find_tensor(g, name);
    if (t == NULL || t->size == 0) return ST_OK;
    const size_t n = n_elements(t->dim) / (size_t)t->dim[0], bytes = t->size / n;
    unsigned char *data = arena_alloc(&g->edits, t->size);
    if (data == NULL) return err_no_memory(e);
    for (size_t i = 0; i < n; i++) {
        const uint64_t old = from(i, arg);
        assert(old < n);
        memcpy(data + i * bytes, t->data + old * bytes, bytes);
    }
    t->data = data;
    return ST_OK;
}
