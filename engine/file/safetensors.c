/* safetensors.c - see safetensors.h. */
#include "engine/file/safetensors.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/json.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/os.h"
#include "base/utf8.h"

enum { MAX_HEADER = 100 * 1000 * 1000, MAX_DEPTH = 32 };

struct sft_file {
    struct os_map map;
    struct sft_tensor *tensors; /* owned */
    size_t n_tensors;
    struct map by_name;
    struct arena arena; /* names */
};

static const struct {
    const char *name;
    unsigned bits;
} dtypes[SFT_COUNT] = {
#define SFT_DTYPE(name, bits) {#name, bits},
#include "engine/file/safetensors.def"
#undef SFT_DTYPE
};

const char *sft_dtype_name(enum sft_dtype t) { return dtypes[t].name; }
unsigned sft_dtype_bits(enum sft_dtype t) { return dtypes[t].bits; }

/* ---- errors ---- */

static _Thread_local const char *error_class = "";
const char *sft_error_class(void) { return error_class; }

static enum status refuse(const char *class, struct err *e, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static enum status refuse(const char *class, struct err *e, const char *fmt, ...) {
    char text[400];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    error_class = class;
    return err_set(e, ST_FORMAT, "%s", text);
}

/* ---- one entry ---- */

/* json_get takes any case; here it has to be exact. */
static const json *member(const json *object, const char *key) {
    for (const json *v = json_first(object); v != NULL; v = json_next(v))
        if (strcmp(json_key(v), key) == 0) return v;
    return NULL;
}

/* Shape and offsets are integers written in digits only: no sign, fraction or exponent. */
static bool is_count(const json *v, struct buf *text) {
    if (json_kind(v) != JSON_NUMBER) return false;
    buf_clear(text);
    json_print(text, v);
    return !text->failed && text->len != 0 && strspn(text->data, "0123456789") == text->len;
}

static enum status read_dtype(struct sft_tensor *t, const json *entry, struct err *e) {
    const char *name = json_string(member(entry, "dtype"));
    if (name == NULL) return refuse("entry", e, "tensor '%s' has no dtype", t->name);
    for (int i = 0; i < SFT_COUNT; i++) {
        if (strcmp(dtypes[i].name, name) != 0) continue;
        t->dtype = (enum sft_dtype)i;
        return ST_OK;
    }
    return refuse("entry", e, "tensor '%s': unknown dtype '%.40s'", t->name, name);
}

static enum status read_shape(struct sft_tensor *t, const json *entry, struct buf *text,
                              struct err *e) {
    const json *shape = member(entry, "shape");
    if (json_kind(shape) != JSON_ARRAY)
        return refuse("entry", e, "tensor '%s' has no shape", t->name);
    if (json_len(shape) > SFT_MAX_DIMS)
        return refuse("entry", e, "tensor '%s' has %zu dimensions, more than %d", t->name,
                      json_len(shape), SFT_MAX_DIMS);
    for (const json *v = json_first(shape); v != NULL; v = json_next(v)) {
        if (!is_count(v, text) || !json_int(v, &t->dim[t->n_dims]))
            return refuse("entry", e, "tensor '%s': dimension %u is not a count", t->name,
                          t->n_dims);
        t->n_dims++;
    }
    return ST_OK;
}

/* Elements. Zeros do not hide an overflow of the other dimensions: products of some of them are
 * taken later, too. */
static enum status measure(struct sft_tensor *t, struct err *e) {
    int64_t n = 1;
    bool zero = false;
    for (uint32_t d = 0; d < t->n_dims; d++) {
        zero = zero || t->dim[d] == 0;
        if (t->dim[d] != 0 && __builtin_mul_overflow(n, t->dim[d], &n))
            return refuse("size", e, "tensor '%s': shape overflows", t->name);
    }
    t->n_elems = zero ? 0 : n;
    return ST_OK;
}

static enum status read_offsets(struct sft_file *f, struct sft_tensor *t, const json *entry,
                                size_t base, struct buf *text, struct err *e) {
    const json *offsets = member(entry, "data_offsets");
    int64_t begin, end;
    if (json_kind(offsets) != JSON_ARRAY || json_len(offsets) != 2)
        return refuse("entry", e, "tensor '%s': data_offsets is not a pair", t->name);
    if (!is_count(json_first(offsets), text) || !is_count(json_next(json_first(offsets)), text))
        return refuse("entry", e, "tensor '%s': data_offsets are not counts", t->name);
    if (!json_int(json_first(offsets), &begin) || !json_int(json_next(json_first(offsets)), &end))
        return refuse("offset", e, "tensor '%s': data_offsets are far behind the end", t->name);
    const unsigned __int128 bits = (unsigned __int128)t->n_elems * dtypes[t->dtype].bits;
    if (begin > end)
        return refuse("offset", e, "tensor '%s' begins at %lld, behind its end %lld", t->name,
                      (long long)begin, (long long)end);
    if (bits % 8 != 0 || bits / 8 != (unsigned __int128)(end - begin))
        return refuse("size", e, "tensor '%s': %lld bytes do not hold its shape", t->name,
                      (long long)(end - begin));
    if ((uint64_t)end > f->map.size - base)
        return refuse("offset", e, "tensor '%s' ends at %lld, the data at %zu", t->name,
                      (long long)end, f->map.size - base);
    t->data = f->map.data + base + begin;
    t->size = (size_t)(end - begin);
    return ST_OK;
}

static enum status read_entry(struct sft_file *f, const json *entry, size_t base, struct buf *text,
                              struct err *e) {
    struct sft_tensor *t = &f->tensors[f->n_tensors];
    bool inserted;
    t->name = json_key(entry);
    const size_t len = strlen(t->name);
    if (len == 0) return refuse("name", e, "a tensor has an empty name");
    if (len > SFT_MAX_NAME)
        return refuse("entry", e, "a tensor name has %zu bytes, more than %d", len, SFT_MAX_NAME);
    t->name = arena_strndup(&f->arena, t->name, len);
    if (t->name == NULL || !map_put(&f->by_name, t->name, len, (uint32_t)f->n_tensors, &inserted))
        return err_no_memory(e);
    if (!inserted) return refuse("name", e, "tensor '%s' is there twice", t->name);
    if (json_kind(entry) != JSON_OBJECT)
        return refuse("entry", e, "tensor '%s' is no object", t->name);
    enum status st = read_dtype(t, entry, e);
    if (st == ST_OK) st = read_shape(t, entry, text, e);
    if (st == ST_OK) st = measure(t, e);
    if (st == ST_OK) st = read_offsets(f, t, entry, base, text, e);
    if (st == ST_OK) f->n_tensors++;
    return st;
}

/* ---- the header ---- */

static enum status check_metadata(const json *meta, struct err *e) {
    bool ok = json_kind(meta) == JSON_OBJECT;
    for (const json *v = json_first(meta); ok && v != NULL; v = json_next(v))
        ok = json_kind(v) == JSON_STRING;
    return ok ? ST_OK : refuse("json", e, "__metadata__ is not an object of strings");
}

static int by_place(const void *a, const void *b) {
    const struct sft_tensor *x = *(const struct sft_tensor *const *)a,
                            *y = *(const struct sft_tensor *const *)b;
    if (x->data != y->data) return x->data < y->data ? -1 : 1;
    return x->size < y->size ? -1 : x->size > y->size;
}

/* Each tensor begins where the one before it ends, the last one ends with the file. */
static enum status check_cover(const struct sft_file *f, size_t base, struct err *e) {
    const struct sft_tensor **sorted = mem_array(f->n_tensors + 1, sizeof *sorted);
    if (sorted == NULL) return err_no_memory(e);
    for (size_t i = 0; i < f->n_tensors; i++) sorted[i] = &f->tensors[i];
    qsort(sorted, f->n_tensors, sizeof *sorted, by_place);
    const unsigned char *at = f->map.data + base, *end = f->map.data + f->map.size;
    enum status st = ST_OK;
    for (size_t i = 0; i < f->n_tensors && st == ST_OK; i++) {
        if (sorted[i]->data != at)
            st = refuse("offset", e, "tensor '%s' %s", sorted[i]->name,
                        sorted[i]->data < at ? "overlaps another" : "leaves a gap before it");
        at = sorted[i]->data + sorted[i]->size;
    }
    if (st == ST_OK && at != end)
        st = refuse("offset", e, "%zu bytes behind the last tensor", (size_t)(end - at));
    mem_free(sorted);
    return st;
}

static enum status read_entries(struct sft_file *f, const json *root, size_t base, struct err *e) {
    enum status st = ST_OK;
    struct buf text = {0};
    if (json_len(root) > SFT_MAX_TENSORS + 1)
        return refuse("entry", e, "%zu tensors are too many", json_len(root));
    f->tensors = mem_zalloc(json_len(root) + 1, sizeof *f->tensors);
    if (f->tensors == NULL || !map_reserve(&f->by_name, json_len(root))) return err_no_memory(e);
    for (const json *v = json_first(root); v != NULL && st == ST_OK; v = json_next(v))
        st = strcmp(json_key(v), "__metadata__") == 0 ? check_metadata(v, e)
                                                      : read_entry(f, v, base, &text, e);
    if (text.failed) st = err_no_memory(e); /* it looked like a number that is none */
    buf_free(&text);
    return st == ST_OK ? check_cover(f, base, e) : st;
}

static enum status parse_header(struct sft_file *f, const char *text, size_t n, json **root,
                                struct err *e) {
    const struct json_limits limits = {MAX_HEADER, (size_t)SFT_MAX_TENSORS * 24, MAX_DEPTH};
    struct err why = {0};
    size_t used = 0;
    (void)f;
    if (n == 0 || text[0] != '{') return refuse("json", e, "the header is no JSON object");
    if (!utf8_valid(text, n)) return refuse("json", e, "the header is not UTF-8");
    *root = json_parse(text, n, &limits, &used, &why);
    if (*root == NULL && why.code == ST_NO_MEMORY) return err_no_memory(e);
    if (*root == NULL) return refuse("json", e, "header: %s", why.msg);
    while (used < n && text[used] == ' ') used++;
    if (used != n) return refuse("json", e, "something follows the header's object");
    return ST_OK;
}

static enum status check(struct sft_file *f, struct err *e) {
    const unsigned char *p = f->map.data;
    uint64_t n = 0;
    json *root = NULL;
    if (f->map.size < 8) return refuse("truncated", e, "%zu bytes are no header", f->map.size);
    for (int i = 0; i < 8; i++) n |= (uint64_t)p[i] << (8 * i);
    if (n > MAX_HEADER)
        return refuse("header_length", e, "header of %llu bytes, more than %d",
                      (unsigned long long)n, MAX_HEADER);
    if (n > f->map.size - 8)
        return refuse("truncated", e, "header of %llu bytes in a file of %zu",
                      (unsigned long long)n, f->map.size);
    enum status st = parse_header(f, (const char *)p + 8, (size_t)n, &root, e);
    if (st == ST_OK) st = read_entries(f, root, 8 + (size_t)n, e);
    json_free(root);
    return st;
}

/* ---- opening ---- */

static enum status open_map(struct sft_file **out, const struct os_map *map, const char *label,
                            struct err *e) {
    struct err mine = {0};
    struct sft_file *f = mem_zalloc(1, sizeof *f);
    *out = NULL;
    error_class = "";
    if (f == NULL) return err_no_memory(e);
    f->map = *map;
    enum status st = check(f, &mine);
    if (st == ST_OK) {
        *out = f;
        return ST_OK;
    }
    f->map.owned = false; /* the caller's, as before */
    sft_close(f);
    return err_set(e, st, "%s: %s", label, mine.msg);
}

enum status sft_open(struct sft_file **out, const char *path, const char *label, struct err *e) {
    struct os_map map;
    *out = NULL;
    enum status st = os_map_open(&map, path, e);
    if (st != ST_OK) return st;
    st = open_map(out, &map, label, e);
    if (st != ST_OK) os_map_close(&map);
    return st;
}

enum status sft_open_memory(struct sft_file **out, const void *data, size_t size, const char *label,
                            struct err *e) {
    struct os_map map;
    os_map_borrow(&map, data, size);
    return open_map(out, &map, label, e);
}

void sft_close(struct sft_file *f) {
    if (f == NULL) return;
    os_map_close(&f->map);
    mem_free(f->tensors);
    map_free(&f->by_name);
    arena_free(&f->arena);
    mem_free(f);
}

size_t sft_n_tensors(const struct sft_file *f) { return f->n_tensors; }
const struct sft_tensor *sft_tensor_at(const struct sft_file *f, size_t i) {
    return &f->tensors[i];
}

const struct sft_tensor *sft_find(const struct sft_file *f, const char *name) {
    uint32_t i;
    return map_get(&f->by_name, name, strlen(name), &i) ? &f->tensors[i] : NULL;
}

void sft_forget(const struct sft_file *f, const struct sft_tensor *t) {
    os_map_forget(&f->map, t->data, t->size);
}
