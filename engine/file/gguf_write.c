/* gguf_write.c - the writer behind gguf_write.h.
 *
 * Pairs are kept as the bytes they will be in the file (value type, value) in one buffer, with a
 * small entry each; so copying, replacing and sorting know nothing of types. A replaced value's old
 * bytes stay unused in the buffer. The limits are those of the reader (spec/gguf.md 3): what this
 * file writes, gguf.c reads. */
#include "engine/file/gguf_write.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/os.h"
#include "engine/file/gguf_bytes.h"

enum { VERSION = 3, DEFAULT_ALIGNMENT = 32, MAX_KEY = 65535, MAX_NAME = 63, MAX_LENGTH = 1 << 30 };

struct entry { /* a pair */
    struct gguf_str key;
    size_t at, len; /* its value in w->values, type included; len 0: dropped */
};

struct info { /* a tensor */
    struct gguf_str name;
    enum dtype type;
    uint32_t n_dims;
    int64_t dim[4];
    uint64_t size;
};

struct gguf_writer {
    struct arena names; /* keys and tensor names */
    struct buf values;
    struct entry *entry;
    size_t n_entries, cap_entries;
    struct info *info;
    size_t n_infos, cap_infos;
    struct map keys, tensors;
    bool sort;
    struct err first; /* the first mistake; code ST_OK: none */

    /* Output. */
    gguf_sink *sink;
    void *sink_arg;
    struct os_out out;
    uint32_t alignment;
    uint64_t file_size;
    size_t at;     /* tensor whose data comes next */
    uint64_t done; /* bytes of it that are written */
    bool to_file;
};

/* ---- life ---- */

enum status gguf_writer_new(struct gguf_writer **out, struct err *e) {
    struct gguf_writer *w = mem_zalloc(1, sizeof *w);
    if (w == NULL) return err_no_memory(e);
    *out = w;
    return ST_OK;
}

void gguf_writer_free(struct gguf_writer *w) {
    if (w == NULL) return;
    os_out_abort(&w->out);
    map_free(&w->keys);
    map_free(&w->tensors);
    mem_free(w->entry);
    mem_free(w->info);
    buf_free(&w->values);
    arena_free(&w->names);
    mem_free(w);
}

static bool failed(const struct gguf_writer *w) { return w->first.code != ST_OK; }

static void *no_memory(struct gguf_writer *w) {
    if (!failed(w)) err_no_memory(&w->first);
    return NULL;
}

/* `list` with room for one more; NULL: the mistake is kept. */
static void *room(struct gguf_writer *w, void *list, size_t n, size_t *cap, size_t size) {
    if (n < *cap) return list;
    size_t more = *cap != 0 ? *cap * 2 : 32;
    void *grown = mem_grow(list, more, size);
    if (grown == NULL) return no_memory(w);
    *cap = more;
    return grown;
}

/* ---- pairs ---- */

static void add_u32(struct buf *b, uint32_t v) {
    unsigned char bytes[4];
    for (unsigned i = 0; i < 4; i++) bytes[i] = (unsigned char)(v >> (8 * i));
    buf_add(b, bytes, sizeof bytes);
}

static void add_u64(struct buf *b, uint64_t v) {
    add_u32(b, (uint32_t)v);
    add_u32(b, (uint32_t)(v >> 32));
}

static void add_str(struct buf *b, struct gguf_str s) {
    add_u64(b, s.len);
    buf_add(b, s.ptr, s.len);
}

static bool good_key(struct gguf_writer *w, struct gguf_str key) {
    const char *why = NULL;
    if (key.len == 0) why = "key is empty";
    if (key.len > MAX_KEY) why = "key is longer than 65535 bytes";
    if (key.len != 0 && memchr(key.ptr, '\0', key.len) != NULL) why = "NUL in the key";
    if (why != NULL) err_set(&w->first, ST_INVALID, "GGUF key: %s", why);
    return why == NULL;
}

/* The entry of a key, new or old; NULL: the mistake is kept. */
static struct entry *entry_of(struct gguf_writer *w, struct gguf_str key) {
    uint32_t i;
    if (failed(w) || !good_key(w, key)) return NULL;
    if (map_get(&w->keys, key.ptr, key.len, &i)) return &w->entry[i];
    struct entry *list = room(w, w->entry, w->n_entries, &w->cap_entries, sizeof *list);
    if (list == NULL) return NULL;
    w->entry = list;
    char *copy = arena_strndup(&w->names, key.ptr, key.len);
    if (copy == NULL || !map_put(&w->keys, copy, key.len, (uint32_t)w->n_entries, NULL))
        return no_memory(w);
    list[w->n_entries] = (struct entry){.key = {copy, key.len}};
    return &list[w->n_entries++];
}

/* Between begin and end the caller appends type and value to w->values. */
static struct entry *begin(struct gguf_writer *w, struct gguf_str key, enum gguf_type type) {
    struct entry *n = entry_of(w, key);
    if (n == NULL) return NULL;
    n->at = w->values.len;
    add_u32(&w->values, type);
    return n;
}

static void end(struct gguf_writer *w, struct entry *n) {
    if (w->values.failed) no_memory(w);
    n->len = w->values.len - n->at;
}

/* n values of a fixed size, from the host's form to the file's. */
static void add_elems(struct gguf_writer *w, enum gguf_type type, size_t n, const void *elems) {
    unsigned size = gguf_type_size(type);
    const unsigned char *p = elems;
    for (size_t i = 0; i < n; i++, p += size) {
        uint64_t v8;
        uint32_t v4;
        uint16_t v2;
        unsigned char bytes[8];
        uint64_t v = *p;
        if (size == 2) v = (memcpy(&v2, p, 2), v2);
        if (size == 4) v = (memcpy(&v4, p, 4), v4);
        if (size == 8) v = (memcpy(&v8, p, 8), v8);
        if (type == GGUF_BOOL) v = v != 0;
        for (unsigned b = 0; b < size; b++) bytes[b] = (unsigned char)(v >> (8 * b));
        buf_add(&w->values, bytes, size);
    }
}

void gguf_put_scalar(struct gguf_writer *w, const char *key, enum gguf_type type,
                     const void *value) {
    assert(gguf_type_size(type) != 0);
    struct entry *n = begin(w, gguf_str_of(key), type);
    if (n == NULL) return;
    add_elems(w, type, 1, value);
    end(w, n);
}

void gguf_put_u32(struct gguf_writer *w, const char *key, uint32_t v) {
    gguf_put_scalar(w, key, GGUF_U32, &v);
}

void gguf_put_f32(struct gguf_writer *w, const char *key, float v) {
    gguf_put_scalar(w, key, GGUF_F32, &v);
}

void gguf_put_bool(struct gguf_writer *w, const char *key, bool v) {
    unsigned char byte = v;
    gguf_put_scalar(w, key, GGUF_BOOL, &byte);
}

void gguf_put_str(struct gguf_writer *w, const char *key, struct gguf_str text) {
    if (!failed(w) && text.len > MAX_LENGTH)
        err_set(&w->first, ST_LIMIT, "GGUF key %s: text of %zu bytes", key, text.len);
    struct entry *n = begin(w, gguf_str_of(key), GGUF_STRING);
    if (n == NULL) return;
    add_str(&w->values, text);
    end(w, n);
}

void gguf_put_text(struct gguf_writer *w, const char *key, const char *text) {
    gguf_put_str(w, key, gguf_str_of(text));
}

void gguf_put_array(struct gguf_writer *w, const char *key, enum gguf_type elem, size_t count,
                    const void *elems) {
    assert(elem == GGUF_STRING || gguf_type_size(elem) != 0);
    if (!failed(w) && count > MAX_LENGTH)
        err_set(&w->first, ST_LIMIT, "GGUF key %s: array of %zu elements", key, count);
    struct entry *n = begin(w, gguf_str_of(key), GGUF_ARRAY);
    if (n == NULL) return;
    add_u32(&w->values, elem);
    add_u64(&w->values, count);
    const struct gguf_str *text = elems;
    for (size_t i = 0; elem == GGUF_STRING && i < count; i++) add_str(&w->values, text[i]);
    if (elem != GGUF_STRING) add_elems(w, elem, count, elems);
    end(w, n);
}

/* The stored bytes of a checked pair, from its first element on. */
static size_t stored_size(const struct gguf *g, const struct gguf_kv *kv) {
    if (kv->elem != GGUF_STRING) return (size_t)kv->count * gguf_type_size(kv->elem);
    if (kv->count == 0) return 0;
    struct gguf_str last = gguf_elem_str(g, kv, kv->count - 1);
    return (size_t)((const unsigned char *)last.ptr + last.len - kv->data);
}

void gguf_put_kv(struct gguf_writer *w, const struct gguf *from, const struct gguf_kv *kv) {
    struct entry *n = begin(w, kv->key, kv->type);
    if (n == NULL) return;
    if (kv->type == GGUF_ARRAY) {
        add_u32(&w->values, kv->elem);
        add_u64(&w->values, kv->count);
    }
    if (kv->elem == GGUF_BOOL) { /* any byte but 0 is true; 1 is what is written */
        for (uint64_t i = 0; i < kv->count; i++) buf_chr(&w->values, kv->data[i] != 0);
    } else {
        buf_add(&w->values, kv->data, stored_size(from, kv));
    }
    end(w, n);
}

void gguf_put_all(struct gguf_writer *w, const struct gguf *from) {
    for (size_t i = 0; i < gguf_n_kv(from); i++) gguf_put_kv(w, from, gguf_kv_at(from, i));
}

void gguf_drop(struct gguf_writer *w, const char *key) {
    uint32_t i;
    if (map_get(&w->keys, key, strlen(key), &i)) w->entry[i].len = 0;
}

void gguf_writer_sort(struct gguf_writer *w) { w->sort = true; }

/* ---- tensors ---- */

static bool tensor_mistake(struct gguf_writer *w, struct gguf_str name, const char *why) {
    err_set(&w->first, ST_INVALID, "GGUF tensor '%.*s': %s", (int)(name.len < 64 ? name.len : 64),
            name.ptr, why);
    return false;
}

/* Fills in the size. */
static bool check_shape(struct gguf_writer *w, struct info *t) {
    const struct dtype_info *type = dtype_info(t->type);
    uint64_t n = 1;
    if (type == NULL) return tensor_mistake(w, t->name, "unknown type");
    for (unsigned d = 0; d < 4; d++) {
        if (t->dim[d] < 0) return tensor_mistake(w, t->name, "negative dimension");
        if (t->dim[d] != 0 && n > (uint64_t)(INT64_MAX / t->dim[d]))
            return tensor_mistake(w, t->name, "the dimensions' product is too large");
        n *= (uint64_t)t->dim[d];
    }
    if (t->dim[0] % type->elems != 0)
        return tensor_mistake(w, t->name, "rows are no whole number of blocks");
    if (n / type->elems > (uint64_t)INT64_MAX / type->bytes)
        return tensor_mistake(w, t->name, "the size in bytes is too large");
    t->size = n / type->elems * type->bytes;
    return true;
}

static bool check_tensor(struct gguf_writer *w, struct info *t) {
    if (t->name.len == 0) return tensor_mistake(w, t->name, "the name is empty");
    if (t->name.len > MAX_NAME)
        return tensor_mistake(w, t->name, "the name is longer than 63 bytes");
    if (memchr(t->name.ptr, '\0', t->name.len) != NULL)
        return tensor_mistake(w, t->name, "NUL in the name");
    if (map_get(&w->tensors, t->name.ptr, t->name.len, &(uint32_t){0}))
        return tensor_mistake(w, t->name, "the name appears more than once");
    return check_shape(w, t);
}

void gguf_add_tensor(struct gguf_writer *w, struct gguf_str name, enum dtype type, uint32_t n_dims,
                     const int64_t *dim) {
    struct info t = {.name = name, .type = type, .n_dims = n_dims, .dim = {1, 1, 1, 1}};
    assert(n_dims <= 4 && w->sink == NULL);
    for (uint32_t d = 0; d < n_dims; d++) t.dim[d] = dim[d];
    if (failed(w) || !check_tensor(w, &t)) return;
    struct info *list = room(w, w->info, w->n_infos, &w->cap_infos, sizeof *list);
    if (list == NULL) return;
    w->info = list;
    t.name.ptr = arena_strndup(&w->names, name.ptr, name.len);
    if (t.name.ptr == NULL ||
        !map_put(&w->tensors, t.name.ptr, t.name.len, (uint32_t)w->n_infos, NULL)) {
        no_memory(w);
        return;
    }
    list[w->n_infos++] = t;
}

void gguf_add_tensors(struct gguf_writer *w, const struct gguf *from) {
    for (size_t i = 0; i < gguf_n_tensors(from); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(from, i);
        gguf_add_tensor(w, t->name, t->type, t->n_dims, t->dim);
    }
}

/* ---- metadata out ---- */

static int by_key(const void *a, const void *b) {
    const struct entry *x = a, *y = b;
    size_t n = x->key.len < y->key.len ? x->key.len : y->key.len;
    int c = memcmp(x->key.ptr, y->key.ptr, n);
    return c != 0 ? c : (x->key.len > y->key.len) - (x->key.len < y->key.len);
}

static enum status find_alignment(struct gguf_writer *w, struct err *e) {
    static const char key[] = "general.alignment";
    uint32_t i;
    w->alignment = DEFAULT_ALIGNMENT;
    if (!map_get(&w->keys, key, sizeof key - 1, &i) || w->entry[i].len == 0) return ST_OK;
    const unsigned char *v = (const unsigned char *)w->values.data + w->entry[i].at;
    uint32_t a = gguf_le(v, 4) == GGUF_U32 ? (uint32_t)gguf_le(v + 4, 4) : 0;
    if (a == 0 || (a & (a - 1)) != 0)
        return err_set(e, ST_INVALID, "general.alignment is no power of two as u32");
    w->alignment = a;
    return ST_OK;
}

static uint64_t padding(const struct gguf_writer *w, uint64_t n) {
    return (0 - n) & (uint64_t)(w->alignment - 1);
}

static enum status put_infos(struct gguf_writer *w, struct buf *b, uint64_t *data_size,
                             struct err *e) {
    uint64_t offset = 0;
    for (size_t i = 0; i < w->n_infos; i++) {
        const struct info *t = &w->info[i];
        add_str(b, t->name);
        add_u32(b, t->n_dims);
        for (uint32_t d = 0; d < t->n_dims; d++) add_u64(b, (uint64_t)t->dim[d]);
        add_u32(b, t->type);
        add_u64(b, offset);
        if (t->size > (uint64_t)INT64_MAX - w->alignment - offset)
            return err_set(e, ST_INVALID, "the sum of the tensors' sizes is too large");
        offset += t->size;
        offset += padding(w, offset);
    }
    *data_size = offset;
    return ST_OK;
}

static void put_header(const struct gguf_writer *w, struct buf *b) {
    uint64_t n = 0;
    for (size_t i = 0; i < w->n_entries; i++) n += w->entry[i].len != 0;
    buf_str(b, "GGUF");
    add_u32(b, VERSION);
    add_u64(b, w->n_infos);
    add_u64(b, n);
    for (size_t i = 0; i < w->n_entries; i++) {
        const struct entry *p = &w->entry[i];
        if (p->len == 0) continue;
        add_str(b, p->key);
        buf_add(b, w->values.data + p->at, p->len);
    }
}

/* Everything before the data section but its padding, of which *pad_bytes are needed: an alignment
 * of gigabytes is legal, and without data there is nothing to align. */
static enum status compose(struct gguf_writer *w, struct buf *b, uint64_t *pad_bytes,
                           struct err *e) {
    uint64_t data_size = 0;
    if (failed(w)) return err_set(e, w->first.code, "%s", w->first.msg);
    enum status st = find_alignment(w, e); /* before the map's indices are void */
    if (st != ST_OK) return st;
    if (w->sort) qsort(w->entry, w->n_entries, sizeof *w->entry, by_key);
    put_header(w, b);
    st = put_infos(w, b, &data_size, e);
    if (st != ST_OK) return st;
    if (b->failed) return err_no_memory(e);
    *pad_bytes = data_size != 0 ? padding(w, b->len) : 0;
    w->file_size = b->len + *pad_bytes + data_size;
    return ST_OK;
}

static enum status pad(struct gguf_writer *w, uint64_t n, struct err *e) {
    static const unsigned char zeros[4096];
    enum status st = ST_OK;
    while (n != 0 && st == ST_OK) {
        size_t piece = n < sizeof zeros ? (size_t)n : sizeof zeros;
        st = w->sink(w->sink_arg, zeros, piece, e);
        n -= piece;
    }
    return st;
}

static void skip_empty(struct gguf_writer *w) {
    while (w->at < w->n_infos && w->info[w->at].size == 0) w->at++;
}

enum status gguf_write_to(struct gguf_writer *w, gguf_sink *sink, void *arg, struct err *e) {
    struct buf b = {0};
    uint64_t pad_bytes = 0;
    assert(w->sink == NULL);
    enum status st = compose(w, &b, &pad_bytes, e);
    if (st == ST_OK) {
        w->sink = sink;
        w->sink_arg = arg;
        st = sink(arg, b.data, b.len, e);
        if (st == ST_OK) st = pad(w, pad_bytes, e);
    }
    buf_free(&b);
    skip_empty(w);
    return st;
}

static enum status file_sink(void *arg, const void *data, size_t n, struct err *e) {
    struct gguf_writer *w = arg;
    return os_out_write(&w->out, data, n, e);
}

enum status gguf_write_file(struct gguf_writer *w, const char *path, struct err *e) {
    if (failed(w)) return err_set(e, w->first.code, "%s", w->first.msg);
    enum status st = os_out_begin(&w->out, path, e);
    w->to_file = true;
    return st == ST_OK ? gguf_write_to(w, file_sink, w, e) : st;
}

enum status gguf_to_buf(void *arg, const void *data, size_t n, struct err *e) {
    struct buf *b = arg;
    buf_add(b, data, n);
    return b->failed ? err_no_memory(e) : ST_OK;
}

uint64_t gguf_writer_size(const struct gguf_writer *w) { return w->file_size; }

/* ---- data out ---- */

enum status gguf_write_data(struct gguf_writer *w, const void *data, size_t n, struct err *e) {
    assert(w->sink != NULL);
    if (n == 0) return ST_OK;
    assert(w->at < w->n_infos && n <= w->info[w->at].size - w->done);
    enum status st = w->sink(w->sink_arg, data, n, e);
    if (st != ST_OK) return st;
    w->done += n;
    if (w->done < w->info[w->at].size) return ST_OK;
    st = pad(w, padding(w, w->done), e);
    w->at++;
    w->done = 0;
    skip_empty(w);
    return st;
}

enum status gguf_write_tensors(struct gguf_writer *w, const struct gguf *from, struct err *e) {
    enum status st = ST_OK;
    for (size_t i = 0; i < gguf_n_tensors(from) && st == ST_OK; i++)
        st = gguf_write_data(w, gguf_tensor_at(from, i)->data, gguf_tensor_at(from, i)->size, e);
    return st;
}

enum status gguf_write_finish(struct gguf_writer *w, struct err *e) {
    assert(w->sink != NULL && w->at == w->n_infos && w->done == 0);
    return w->to_file ? os_out_commit(&w->out, e) : ST_OK;
}
