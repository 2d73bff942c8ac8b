/* gguf.c - the parser behind gguf.h (spec/gguf.md 1-3); values are read in gguf_values.c.
 *
 * One pass: header, pairs, tensor infos, then the infos are placed in the data section. A reader
 * holds the position; every step first compares what it needs with the bytes that remain (never
 * position + n with the size, which could wrap) and allocates only for counts whose minimum bytes
 * are there. So the tables cost at most a small multiple of the file: per pair 48 bytes and two to
 * four map slots, per tensor 88 and the same, per array string 8.
 *
 * Steps return false after fail(), which composes the message from the file's label, the item at
 * hand (key or tensor) and the defect, and notes the class of the check in spec/gguf.md 3.
 *
 * A struct gguf never changes after gguf_open(), but for gguf_split.c that adds the tensors of
 * other parts, and gguf_edit.c, before anybody has seen it: any number of threads may read it. */
#include "engine/file/gguf.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/os.h"
#include "base/utf8.h"
#include "engine/file/gguf_bytes.h"
#include "engine/file/gguf_impl.h"

_Static_assert(SIZE_MAX >= UINT64_MAX, "file sizes are handled as size_t");

enum {
    MIN_PAIR = 13,   /* bytes: key length, type, one byte of value */
    MIN_TENSOR = 24, /* bytes: name length, number of dimensions, type, offset */
    MIN_STRING = 8,
    MAX_LENGTH = 1 << 30, /* of a string and of an array, as in the peer reader */
    MAX_KEY = 65535,
    MAX_NAME = 63,
    DEFAULT_ALIGNMENT = 32,
    MAX_SHOWN = 100, /* bytes of a name in a message */
};

struct reader {
    struct gguf *g;
    const unsigned char *data; /* == g->map.data */
    size_t size, pos;          /* pos <= size, always */
    /* The item at hand, for messages: no kind outside of pairs and tensors, no name until read. */
    const char *kind;
    size_t index;
    struct gguf_str name;
    int64_t elem; /* string of an array, else -1 */
    struct err err;
};

static _Thread_local const char *last_class = "";

const char *gguf_error_class(void) { return last_class; }
void gguf_set_error_class(const char *name) { last_class = name; }

/* -- messages ---------------------------------------------------------------------------------- */

/* A name from the file in quotes; bytes that are no printable UTF-8 as \xNN, long ones cut. */
static const char *quoted(char out[MAX_SHOWN + 16], struct gguf_str s) {
    size_t n = 0;
    out[n++] = '\'';
    for (size_t i = 0; i < s.len;) {
        uint32_t cp;
        unsigned used = utf8_decode(s.ptr + i, s.len - i, &cp);
        if (n + 4 > MAX_SHOWN) {
            n += (size_t)snprintf(out + n, 4, "...");
            break;
        }
        if (cp == UTF8_BAD || cp < 0x20 || cp == 0x7F) {
            used = 1;
            n += (size_t)snprintf(out + n, 5, "\\x%02x", (unsigned char)s.ptr[i]);
        } else {
            memcpy(out + n, s.ptr + i, used);
            n += used;
        }
        i += used;
    }
    out[n++] = '\'';
    out[n] = '\0';
    return out;
}

/* "label: key 'general.name': defect". Notes the class; always false. */
__attribute__((format(printf, 4, 5))) static bool fail(struct reader *r, enum status code,
                                                       const char *class, const char *fmt, ...) {
    char defect[256], item[MAX_SHOWN + 32] = "", elem[32] = "", name[MAX_SHOWN + 16];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(defect, sizeof defect, fmt, ap);
    va_end(ap);
    if (r->kind != NULL && r->name.len != 0)
        snprintf(item, sizeof item, "%s %s: ", r->kind, quoted(name, r->name));
    else if (r->kind != NULL)
        snprintf(item, sizeof item, "%s #%zu: ", r->kind, r->index);
    if (r->elem >= 0) snprintf(elem, sizeof elem, "element %" PRId64 ": ", r->elem);
    /* Of a long path the end tells more; what follows must not be cut off. */
    const char *label = r->g->label;
    size_t len = strlen(label);
    const char *dots = len > MAX_SHOWN ? "..." : "";
    if (len > MAX_SHOWN) label += len - MAX_SHOWN;
    while ((*label & 0xC0) == 0x80) label++; /* not from inside a character */
    err_set(&r->err, code, "%s%s: %s%s%s", dots, label, item, elem, defect);
    last_class = class;
    return false;
}

static bool no_memory(struct reader *r) { return fail(r, ST_NO_MEMORY, "", "out of memory"); }

/* -- reading ----------------------------------------------------------------------------------- */

static size_t left(const struct reader *r) {
    assert(r->pos <= r->size);
    return r->size - r->pos;
}

static bool skip(struct reader *r, size_t n, const char *what) {
    if (n > left(r))
        return fail(r, ST_FORMAT, "truncated", "file ends in the %s: %zu bytes needed, %zu left",
                    what, n, left(r));
    r->pos += n;
    return true;
}

static bool read_u32(struct reader *r, const char *what, uint32_t *v) {
    if (!skip(r, 4, what)) return false;
    *v = (uint32_t)gguf_le(r->data + r->pos - 4, 4);
    return true;
}

static bool read_u64(struct reader *r, const char *what, uint64_t *v) {
    if (!skip(r, 8, what)) return false;
    *v = gguf_le(r->data + r->pos - 8, 8);
    return true;
}

static bool read_string(struct reader *r, const char *what, struct gguf_str *s) {
    uint64_t len;
    if (!read_u64(r, what, &len)) return false;
    if (len > MAX_LENGTH)
        return fail(r, ST_LIMIT, "string", "%s of %" PRIu64 " bytes is longer than %d", what, len,
                    MAX_LENGTH);
    if (len > left(r))
        return fail(r, ST_FORMAT, "string", "%s of %" PRIu64 " bytes, but the file has %zu left",
                    what, len, left(r));
    *s = (struct gguf_str){(const char *)r->data + r->pos, (size_t)len};
    r->pos += (size_t)len;
    return true;
}

/* -- header ------------------------------------------------------------------------------------ */

static bool read_magic(struct reader *r) {
    /* Containers before GGUF: their magic is a number, so its text stands in reverse. */
    static const char old[][2][5] = {
        {"lmgg", "ggml"}, {"fmgg", "ggmf"}, {"tjgg", "ggjt"}, {"algg", "ggla"}};
    if (!skip(r, 4, "magic")) return false;
    if (memcmp(r->data, "GGUF", 4) == 0) return true;
    for (size_t i = 0; i < sizeof old / sizeof old[0]; i++) {
        if (memcmp(r->data, old[i][0], 4) == 0)
            return fail(r, ST_UNSUPPORTED, "magic", "a %s file, older than GGUF: convert it again",
                        old[i][1]);
    }
    char text[MAX_SHOWN + 16];
    quoted(text, (struct gguf_str){(const char *)r->data, 4});
    return fail(r, ST_FORMAT, "magic", "not a GGUF file: it begins with %s", text);
}

/* The wording is the peer reader's (spec/gguf.md 2.2), in its order. */
static bool read_version(struct reader *r) {
    uint32_t v;
    if (!read_u32(r, "version", &v)) return false;
    if (v == 0) return fail(r, ST_UNSUPPORTED, "version", "bad GGUF version: 0");
    if ((v & 0xFFFF) == 0)
        return fail(r, ST_UNSUPPORTED, "endian",
                    "version 0x%08" PRIx32 ": the file is in big-endian byte order, "
                    "only little-endian files can be read",
                    v);
    if (v == 1)
        return fail(r, ST_UNSUPPORTED, "version",
                    "GGUFv1 is no longer supported, please use a more up-to-date version");
    if (v > 3)
        return fail(r, ST_UNSUPPORTED, "version",
                    "this GGUF file is version %" PRIu32
                    " but this software only supports up to version 3",
                    v);
    r->g->version = v;
    return true;
}

static bool read_count(struct reader *r, const char *what, uint64_t *n) {
    if (!read_u64(r, what, n)) return false;
    if (*n > INT64_MAX) return fail(r, ST_FORMAT, "count", "%s is %" PRId64, what, (int64_t)*n);
    return true;
}

/* Called right before n things of at least `min` bytes are read: then n is safe to allocate. */
static bool check_count(struct reader *r, const char *what, uint64_t n, size_t min) {
    if (n > left(r) / min)
        return fail(r, ST_FORMAT, "truncated",
                    "%s is %" PRIu64 ", which takes at least %zu bytes each, but %zu are left",
                    what, n, min, left(r));
    if (n > UINT32_MAX) /* the maps hold 32-bit indices */
        return fail(r, ST_LIMIT, "count", "%s is %" PRIu64 ", more than can be handled", what, n);
    return true;
}

/* -- pairs ------------------------------------------------------------------------------------- */

static bool check_key(struct reader *r, struct gguf_str key) {
    if (key.len == 0) return fail(r, ST_FORMAT, "key", "key is empty");
    if (key.len > MAX_KEY)
        return fail(r, ST_FORMAT, "key", "key of %zu bytes is longer than %d", key.len, MAX_KEY);
    /* Whoever compares C strings would take it for another key. */
    if (memchr(key.ptr, '\0', key.len) != NULL) return fail(r, ST_FORMAT, "key", "NUL in the key");
    return true;
}

/* Room for n more array strings in the table; their 8 bytes each are known to be there. */
static bool reserve_strings(struct reader *r, size_t n) {
    struct gguf *g = r->g;
    size_t need = g->n_str + n, cap = g->cap_str + g->cap_str / 2;
    if (need > UINT32_MAX)
        return fail(r, ST_LIMIT, "array", "%zu strings in arrays, more than can be handled", need);
    if (need <= g->cap_str) return true;
    if (cap < need) cap = need;
    uint64_t *grown = mem_grow(g->str_at, cap, sizeof *grown);
    if (grown == NULL) return no_memory(r);
    g->str_at = grown;
    g->cap_str = cap;
    return true;
}

static bool read_string_array(struct reader *r, struct gguf_kv *kv) {
    struct gguf *g = r->g;
    struct gguf_str s;
    if (!reserve_strings(r, kv->count)) return false;
    kv->first_str = (uint32_t)g->n_str;
    for (uint64_t i = 0; i < kv->count; i++) {
        r->elem = (int64_t)i;
        g->str_at[g->n_str++] = r->pos;
        if (!read_string(r, "string", &s)) return false;
    }
    r->elem = -1;
    assert(g->n_str == kv->first_str + kv->count);
    return true;
}

static bool read_array(struct reader *r, struct gguf_kv *kv) {
    uint32_t elem;
    if (!read_u32(r, "array element type", &elem)) return false;
    if (elem == GGUF_ARRAY) return fail(r, ST_FORMAT, "type", "arrays of arrays are not allowed");
    if (elem >= GGUF_TYPE_COUNT)
        return fail(r, ST_FORMAT, "type", "array element type %" PRIu32 " is not known", elem);
    if (!read_u64(r, "array length", &kv->count)) return false;
    kv->elem = (enum gguf_type)elem;
    if (kv->count > MAX_LENGTH)
        return fail(r, ST_LIMIT, "array", "array of %" PRIu64 " elements is longer than %d",
                    kv->count, MAX_LENGTH);
    size_t size = elem == GGUF_STRING ? MIN_STRING : gguf_type_size(kv->elem);
    if (kv->count > left(r) / size)
        return fail(r, ST_FORMAT, "array", "array of %" PRIu64 " x %zu bytes, but %zu are left",
                    kv->count, size, left(r));
    kv->data = r->data + r->pos;
    if (elem == GGUF_STRING) return read_string_array(r, kv);
    r->pos += (size_t)kv->count * size;
    return true;
}

static bool read_pair(struct reader *r, struct gguf_kv *kv) {
    uint32_t type;
    struct gguf_str ignored;
    if (!read_string(r, "key", &kv->key)) return false;
    r->name = kv->key;
    if (!check_key(r, kv->key) || !read_u32(r, "value type", &type)) return false;
    if (type >= GGUF_TYPE_COUNT)
        return fail(r, ST_FORMAT, "type", "value type %" PRIu32 " is not known", type);
    kv->type = kv->elem = (enum gguf_type)type;
    kv->count = 1;
    kv->data = r->data + r->pos;
    if (type == GGUF_ARRAY) return read_array(r, kv);
    if (type == GGUF_STRING) return read_string(r, "string", &ignored);
    return skip(r, gguf_type_size(kv->type), "value");
}

/* After all pairs are read, so that the map is sized by pairs that exist, not by a claim. */
static bool index_keys(struct reader *r) {
    struct gguf *g = r->g;
    if (!map_reserve(&g->keys, g->n_kv)) return no_memory(r);
    for (size_t i = 0; i < g->n_kv; i++) {
        bool fresh;
        r->name = g->kv[i].key;
        if (!map_put(&g->keys, r->name.ptr, r->name.len, (uint32_t)i, &fresh)) return no_memory(r);
        if (!fresh) return fail(r, ST_FORMAT, "key", "key appears more than once");
    }
    return true;
}

static bool read_pairs(struct reader *r, uint64_t n) {
    struct gguf *g = r->g;
    if (!check_count(r, "number of keys", n, MIN_PAIR)) return false;
    r->kind = "key";
    g->kv = mem_zalloc((size_t)n, sizeof *g->kv);
    if (g->kv == NULL) return no_memory(r);
    for (; g->n_kv < n; g->n_kv++) {
        r->index = g->n_kv;
        r->name = (struct gguf_str){0};
        if (!read_pair(r, &g->kv[g->n_kv])) return false;
    }
    bool ok = index_keys(r);
    r->kind = NULL; /* what follows is about no single key */
    return ok;
}

static bool read_alignment(struct reader *r) {
    const struct gguf_kv *kv = gguf_find(r->g, "general.alignment");
    r->g->alignment = DEFAULT_ALIGNMENT;
    if (kv == NULL) return true;
    if (kv->type != GGUF_U32)
        return fail(r, ST_FORMAT, "alignment", "general.alignment has type %s, not u32",
                    gguf_type_name(kv->type));
    uint32_t a = (uint32_t)gguf_le(kv->data, 4);
    if (a == 0 || (a & (a - 1)) != 0)
        return fail(r, ST_FORMAT, "alignment",
                    "general.alignment is %" PRIu32 ", not a power of two", a);
    r->g->alignment = a;
    return true;
}

/* -- tensor infos ------------------------------------------------------------------------------ */

static bool check_name(struct reader *r, struct gguf_str name) {
    if (name.len == 0) return fail(r, ST_FORMAT, "tensor_name", "name is empty");
    if (name.len > MAX_NAME)
        return fail(r, ST_FORMAT, "tensor_name", "name of %zu bytes is longer than %d", name.len,
                    MAX_NAME);
    if (memchr(name.ptr, '\0', name.len) != NULL)
        return fail(r, ST_FORMAT, "tensor_name", "NUL in the name");
    return true;
}

/* Reads the dimensions; *n_elems is their product. */
static bool read_dims(struct reader *r, struct gguf_tensor *t, uint64_t *n_elems) {
    if (!read_u32(r, "number of dimensions", &t->n_dims)) return false;
    if (t->n_dims > 4)
        return fail(r, ST_FORMAT, "dims", "%" PRIu32 " dimensions, at most 4 are allowed",
                    t->n_dims);
    uint64_t product = 1;
    for (uint32_t d = 0; d < 4; d++) {
        uint64_t n = 1;
        if (d < t->n_dims && !read_u64(r, "dimensions", &n)) return false;
        if (n > INT64_MAX)
            return fail(r, ST_FORMAT, "dims", "dimension %" PRIu32 " is %" PRId64, d, (int64_t)n);
        if (n != 0 && product > INT64_MAX / n)
            return fail(r, ST_FORMAT, "dims", "the dimensions' product is too large");
        product *= n;
        t->dim[d] = (int64_t)n;
    }
    *n_elems = product;
    return true;
}

/* Ids that had a meaning once (spec/gguf.md 5); NULL for those that never had one. */
static const char *removed_type(uint32_t id) {
    static const char *const name[] = {
        [4] = "Q4_2",      [5] = "Q4_3",        [31] = "Q4_0_4_4",   [32] = "Q4_0_4_8",
        [33] = "Q4_0_8_8", [36] = "IQ4_NL_4_4", [37] = "IQ4_NL_4_8", [38] = "IQ4_NL_8_8",
    };
    return id < sizeof name / sizeof name[0] ? name[id] : NULL;
}

static bool read_dtype(struct reader *r, struct gguf_tensor *t, uint64_t n_elems) {
    uint32_t id;
    if (!read_u32(r, "tensor type", &id)) return false;
    const struct dtype_info *info = dtype_info(id);
    if (info == NULL && removed_type(id) != NULL)
        return fail(r, ST_UNSUPPORTED, "tensor_type",
                    "type %" PRIu32 " (%s) was removed from the format", id, removed_type(id));
    if (info == NULL)
        return fail(r, ST_UNSUPPORTED, "tensor_type", "type %" PRIu32 " is not known", id);
    if (t->dim[0] % info->elems != 0)
        return fail(r, ST_FORMAT, "block",
                    "rows of %" PRId64 " elements are no whole blocks of %s (%" PRIu32 " elements)",
                    t->dim[0], info->name, info->elems);
    uint64_t n_blocks = n_elems / info->elems;
    if (n_blocks > (uint64_t)INT64_MAX / info->bytes)
        return fail(r, ST_FORMAT, "dims", "the size in bytes is too large");
    t->type = (enum dtype)id;
    t->size = (size_t)(n_blocks * info->bytes);
    return true;
}

static bool read_tensor(struct reader *r, struct gguf_tensor *t) {
    uint64_t n_elems = 0;
    if (!read_string(r, "tensor name", &t->name)) return false;
    r->name = t->name;
    return check_name(r, t->name) && read_dims(r, t, &n_elems) && read_dtype(r, t, n_elems) &&
           read_u64(r, "tensor offset", &t->offset);
}

static bool index_tensors(struct reader *r) {
    struct gguf *g = r->g;
    if (!map_reserve(&g->names, g->n_tensors)) return no_memory(r);
    for (size_t i = 0; i < g->n_tensors; i++) {
        bool fresh;
        r->name = g->tensor[i].name;
        if (!map_put(&g->names, r->name.ptr, r->name.len, (uint32_t)i, &fresh)) return no_memory(r);
        if (!fresh) return fail(r, ST_FORMAT, "tensor_name", "name appears more than once");
    }
    return true;
}

static bool read_tensors(struct reader *r, uint64_t n) {
    struct gguf *g = r->g;
    if (!check_count(r, "number of tensors", n, MIN_TENSOR)) return false;
    r->kind = "tensor";
    g->tensor = mem_zalloc((size_t)n, sizeof *g->tensor);
    if (g->tensor == NULL) return no_memory(r);
    for (; g->n_tensors < n; g->n_tensors++) {
        r->index = g->n_tensors;
        r->name = (struct gguf_str){0};
        if (!read_tensor(r, &g->tensor[g->n_tensors])) return false;
    }
    return index_tensors(r);
}

/* -- data section ------------------------------------------------------------------------------ */

/* v up to the next multiple of the power of two a; false if the result leaves i63. */
static bool round_up(uint64_t v, uint32_t a, uint64_t *out) {
    assert(a != 0 && (a & (a - 1)) == 0);
    if (v > (uint64_t)INT64_MAX - (a - 1)) return false;
    *out = (v + (a - 1)) & ~(uint64_t)(a - 1);
    return true;
}

/* Tensors lie one after the other in the order of their infos, each start rounded up: the stored
 * offsets can only confirm that. The padding after the last tensor may be missing. */
static bool place_tensor(struct reader *r, struct gguf_tensor *t, uint64_t *next) {
    struct gguf *g = r->g;
    uint64_t start = g->data_offset, room = start < r->size ? r->size - start : 0;
    if (t->offset != *next)
        return fail(r, ST_FORMAT, "offset", "offset is %" PRIu64 ", expected %" PRIu64, t->offset,
                    *next);
    if (t->size != 0 && (t->offset > room || t->size > room - t->offset))
        return fail(r, ST_FORMAT, "bounds",
                    "data of %zu bytes at offset %" PRIu64 " goes past the end of the file "
                    "(%" PRIu64 " bytes of data)",
                    t->size, t->offset, room);
    /* A tensor without elements may lie behind the end: its pointer is never followed. */
    t->data = r->data + (t->size != 0 ? start + t->offset : r->size);
    if (t->size > INT64_MAX - *next || !round_up(*next + t->size, g->alignment, next))
        return fail(r, ST_FORMAT, "bounds", "the sum of the tensors' sizes is too large");
    return true;
}

static bool place_tensors(struct reader *r) {
    struct gguf *g = r->g;
    uint64_t next = 0;
    g->data_offset = r->pos;
    if (g->n_tensors == 0) return true;
    if (!round_up(r->pos, g->alignment, &g->data_offset))
        return fail(r, ST_FORMAT, "bounds", "the data section's start is too large");
    for (size_t i = 0; i < g->n_tensors; i++) {
        r->name = g->tensor[i].name;
        if (!place_tensor(r, &g->tensor[i], &next)) return false;
    }
    return true;
}

/* -- open and close ---------------------------------------------------------------------------- */

static bool parse(struct reader *r) {
    uint64_t n_tensors, n_kv;
    return read_magic(r) && read_version(r) && read_count(r, "number of tensors", &n_tensors) &&
           read_count(r, "number of keys", &n_kv) && read_pairs(r, n_kv) && read_alignment(r) &&
           read_tensors(r, n_tensors) && place_tensors(r);
}

/* Takes the map, also on failure. */
static enum status open_map(struct gguf **out, struct os_map map, const char *label,
                            struct err *e) {
    struct gguf *g = mem_zalloc(1, sizeof *g);
    if (g == NULL) {
        os_map_close(&map);
        return err_no_memory(e);
    }
    g->map = map;
    g->label = mem_strdup(label);
    if (g->label == NULL) {
        gguf_close(g);
        return err_no_memory(e);
    }
    struct reader r = {.g = g, .data = map.data, .size = map.size, .elem = -1};
    if (!parse(&r)) {
        assert(r.err.code != ST_OK);
        if (e != NULL) *e = r.err;
        gguf_close(g);
        return r.err.code;
    }
    *out = g;
    return ST_OK;
}

enum status gguf_open(struct gguf **out, const char *path, struct err *e) {
    assert(out != NULL && path != NULL);
    struct os_map map = {0};
    last_class = "";
    enum status st = os_map_open(&map, path, e);
    return st == ST_OK ? open_map(out, map, path, e) : st;
}

enum status gguf_open_memory(struct gguf **out, const void *data, size_t size, const char *label,
                             struct err *e) {
    assert(out != NULL && label != NULL && (data != NULL || size == 0));
    struct os_map map = {0};
    last_class = "";
    os_map_borrow(&map, data, size);
    return open_map(out, map, label, e);
}

void gguf_close(struct gguf *g) {
    if (g == NULL) return;
    for (size_t i = 0; i < g->n_parts; i++) gguf_close(g->part[i]); /* they have no parts */
    mem_free(g->part);
    map_free(&g->keys);
    map_free(&g->names);
    mem_free(g->str_at);
    mem_free(g->tensor);
    mem_free(g->kv);
    mem_free(g->label);
    arena_free(&g->edits);
    os_map_close(&g->map);
    mem_free(g);
}

void gguf_forget(const struct gguf *g, const unsigned char *data, size_t n) {
    os_map_forget(&g->map, data, n);
    for (size_t i = 0; i < g->n_parts; i++) os_map_forget(&g->part[i]->map, data, n);
}

enum status gguf_check_whole(const struct gguf *g, struct err *e) {
    bool cut = os_map_cut(&g->map);
    for (size_t i = 0; i < g->n_parts; i++) cut = cut || os_map_cut(&g->part[i]->map);
    return cut ? err_set(e, ST_IO, "%s was cut short while it was in use", g->label) : ST_OK;
}

/* -- access ------------------------------------------------------------------------------------ */

const char *gguf_label(const struct gguf *g) { return g->label; }
uint32_t gguf_version(const struct gguf *g) { return g->version; }
uint32_t gguf_alignment(const struct gguf *g) { return g->alignment; }
uint64_t gguf_data_offset(const struct gguf *g) { return g->data_offset; }
size_t gguf_file_size(const struct gguf *g) {
    size_t sum = g->map.size;
    for (size_t i = 0; i < g->n_parts; i++) sum += g->part[i]->map.size;
    return sum;
}
size_t gguf_n_kv(const struct gguf *g) { return g->n_kv; }
size_t gguf_n_tensors(const struct gguf *g) { return g->n_tensors; }

const struct gguf_kv *gguf_kv_at(const struct gguf *g, size_t i) {
    assert(i < g->n_kv);
    return &g->kv[i];
}

const struct gguf_tensor *gguf_tensor_at(const struct gguf *g, size_t i) {
    assert(i < g->n_tensors);
    return &g->tensor[i];
}

const struct gguf_kv *gguf_find(const struct gguf *g, const char *key) {
    uint32_t i;
    return map_get(&g->keys, key, strlen(key), &i) ? &g->kv[i] : NULL;
}

const struct gguf_tensor *gguf_find_tensor(const struct gguf *g, const char *name) {
    uint32_t i;
    return map_get(&g->names, name, strlen(name), &i) ? &g->tensor[i] : NULL;
}

struct gguf_str gguf_elem_str(const struct gguf *g, const struct gguf_kv *kv, uint64_t i) {
    assert(kv->elem == GGUF_STRING && i < kv->count);
    const unsigned char *at = kv->data;
    if (kv->type == GGUF_ARRAY) at = g->map.data + g->str_at[kv->first_str + i];
    return (struct gguf_str){(const char *)at + 8, (size_t)gguf_le(at, 8)};
}

uint64_t gguf_parameter_count(const struct gguf *g) {
    /* Neither wraps: the dimensions' product was checked, and the data is in an address space of
     * less than 2^57 bytes, with fewer than 8 elements in a byte whatever the type. */
    uint64_t sum = 0;
    for (size_t i = 0; i < g->n_tensors; i++) {
        const int64_t *dim = g->tensor[i].dim;
        sum += (uint64_t)(dim[0] * dim[1] * dim[2] * dim[3]);
    }
    return sum;
}
