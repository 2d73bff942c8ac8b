/* check_gguf.c - golden-check of GGUF files (kind gguf; contract: the README of the folder).
 *
 * Valid files: what engine/file/gguf.h gives is compared with the parsed JSON, item by item in file
 * order; the writer's copy of a file must hold the same, and the first part of a split set must
 * open as a whole set. Bad files: refused with the class of spec/gguf.md 3 (or one of also_ok),
 * with a message that names the file, within the time and memory that the README allows; bad split
 * sets when the set is put together, files that are no model by the engine. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/os.h"
#include "engine/cria.h"
#include "engine/file/gguf_write.h"
#include "golden/check.h"

enum { MAX_MILLISECONDS = 100, MAX_BASE_MEMORY = 16 * 1024 * 1024 };

/* CRC-32 of zlib and PNG: reflected polynomial EDB88320. */
static uint32_t crc32_of(const unsigned char *data, size_t n) {
    static uint32_t table[256];
    for (uint32_t i = 0; table[255] == 0 && i < 256; i++) {
        table[i] = i;
        for (int k = 0; k < 8; k++) table[i] = table[i] >> 1 ^ (table[i] & 1 ? 0xEDB88320u : 0);
    }
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < n; i++) crc = crc >> 8 ^ table[(crc ^ data[i]) & 0xFF];
    return ~crc;
}

/* -- comparison with the JSON; each gives true if equal ---------------------------------------- */

/* Strings are text, or {"hex": ...} if they are not UTF-8. */
static bool same_text(const json *want, struct gguf_str got) {
    size_t len;
    const char *text = json_string_n(want, &len), *hex = json_string(json_get(want, "hex"));
    if (text != NULL) return len == got.len && memcmp(text, got.ptr, len) == 0;
    if (hex == NULL || strlen(hex) != 2 * got.len) return false;
    char byte[3];
    for (size_t i = 0; i < got.len; i++) {
        snprintf(byte, sizeof byte, "%02x", (unsigned char)got.ptr[i]);
        if (memcmp(hex + 2 * i, byte, 2) != 0) return false;
    }
    return true;
}

/* Compared as text: u64 goes beyond what a JSON reader gives as a number. */
static bool same_int(const json *want, const struct gguf_kv *kv, uint64_t i) {
    char got[32];
    struct buf text = {0};
    if (kv->elem == GGUF_U64) {
        uint64_t v = 0;
        for (unsigned k = 0; k < 8; k++) v |= (uint64_t)kv->data[8 * i + k] << (8 * k);
        snprintf(got, sizeof got, "%" PRIu64, v);
    } else {
        snprintf(got, sizeof got, "%" PRId64, gguf_elem_int(kv, i));
    }
    json_print(&text, want);
    bool same = !text.failed && text.data != NULL && strcmp(text.data, got) == 0;
    buf_free(&text);
    return same && json_kind(want) == JSON_NUMBER;
}

/* Finite ones are numbers that read back exactly; others are {"f": "nan" | "inf" | "-inf"}. */
static bool same_float(const json *want, double got) {
    double v;
    if (json_number(want, &v)) return v == got && signbit(v) == signbit(got);
    const char *name = json_string(json_get(want, "f"));
    const char *mine = isnan(got) ? "nan" : got > 0 ? "inf" : "-inf";
    return name != NULL && !isfinite(got) && strcmp(name, mine) == 0;
}

static bool same_elem(const struct gguf *g, const json *want, const struct gguf_kv *kv,
                      uint64_t i) {
    bool v;
    if (kv->elem == GGUF_STRING) return same_text(want, gguf_elem_str(g, kv, i));
    if (kv->elem == GGUF_BOOL) return json_bool(want, &v) && v == (gguf_elem_int(kv, i) != 0);
    if (gguf_is_float(kv->elem)) return same_float(want, gguf_elem_float(kv, i));
    return same_int(want, kv, i);
}

static bool same_value(const struct gguf *g, const json *want, const struct gguf_kv *kv) {
    if (kv->type != GGUF_ARRAY) return same_elem(g, want, kv, 0);
    if (json_kind(want) != JSON_ARRAY || json_len(want) != kv->count) return false;
    uint64_t i = 0;
    for (const json *v = json_first(want); v != NULL; v = json_next(v)) {
        if (!same_elem(g, v, kv, i++)) return false;
    }
    return true;
}

/* The data set says "str" and "arr[str]" where cria says "string" and "array". */
static bool same_type(const char *want, const struct gguf_kv *kv) {
    char got[32];
    const char *elem = kv->elem == GGUF_STRING ? "str" : gguf_type_name(kv->elem);
    snprintf(got, sizeof got, kv->type == GGUF_ARRAY ? "arr[%s]" : "%s", elem);
    return want != NULL && strcmp(want, got) == 0;
}

static bool same_pair(const struct gguf *g, const json *want, const struct gguf_kv *kv) {
    const json *name = json_first(want), *type = json_next(name), *value = json_next(type);
    return same_text(name, kv->key) && same_type(json_string(type), kv) && same_value(g, value, kv);
}

static bool same_number(const json *want, uint64_t got) {
    int64_t v;
    return json_int(want, &v) && v >= 0 && (uint64_t)v == got;
}

/* [name, ne, type, offset, bytes, crc32] */
static bool same_tensor(const json *want, const struct gguf_tensor *t) {
    const json *f[6];
    char crc[16];
    f[0] = json_first(want);
    for (size_t i = 1; i < 6; i++) f[i] = f[i - 1] != NULL ? json_next(f[i - 1]) : NULL;
    if (f[5] == NULL || json_len(f[1]) != t->n_dims) return false;
    const json *dim = json_first(f[1]);
    for (uint32_t d = 0; d < t->n_dims; d++, dim = json_next(dim)) {
        if (!same_number(dim, (uint64_t)t->dim[d])) return false;
    }
    snprintf(crc, sizeof crc, "%08" PRIx32, crc32_of(t->data, t->size));
    const char *type = json_string(f[2]), *want_crc = json_string(f[5]);
    return same_text(f[0], t->name) && same_number(f[3], t->offset) && same_number(f[4], t->size) &&
           type != NULL && want_crc != NULL && strcasecmp(type, dtype_info(t->type)->name) == 0 &&
           strcmp(want_crc, crc) == 0;
}

/* NULL if all is equal, else what differs (in a static buffer). */
static const char *difference(const struct gguf *g, const json *want) {
    static char text[64];
    const json *kv = json_get(want, "kv"), *tensors = json_get(want, "tensors");
    if (!same_number(json_get(want, "version"), gguf_version(g))) return "version differs";
    if (!same_number(json_get(want, "alignment"), gguf_alignment(g))) return "alignment differs";
    if (!same_number(json_get(want, "data_offset"), gguf_data_offset(g)))
        return "data_offset differs";
    if (json_len(kv) != gguf_n_kv(g)) return "number of pairs differs";
    if (json_len(tensors) != gguf_n_tensors(g)) return "number of tensors differs";
    size_t i = 0;
    for (const json *v = json_first(kv); v != NULL; v = json_next(v), i++) {
        snprintf(text, sizeof text, "pair %zu differs", i);
        if (!same_pair(g, v, gguf_kv_at(g, i))) return text;
    }
    i = 0;
    for (const json *v = json_first(tensors); v != NULL; v = json_next(v), i++) {
        snprintf(text, sizeof text, "tensor %zu differs", i);
        if (!same_tensor(v, gguf_tensor_at(g, i))) return text;
    }
    return NULL;
}

/* -- cases ------------------------------------------------------------------------------------- */

static void check_valid(struct check *c, const char *dir, const char *where, const struct gguf *g,
                        const char *parsed) {
    json *want = parsed != NULL ? check_read_json(c, dir, parsed) : NULL;
    if (want == NULL) {
        if (parsed == NULL) check_pass(c); /* accepted, and nothing to compare with */
        return;
    }
    const char *diff = difference(g, want);
    check_that(c, diff == NULL, where, "%s", diff != NULL ? diff : "");
    json_free(want);
}

static enum status to_buf(void *arg, const void *data, size_t n, struct err *e) {
    struct buf *b = arg;
    buf_add(b, data, n);
    return b->failed ? err_no_memory(e) : ST_OK;
}

/* The file again, through the writer; *b holds its bytes. */
static enum status copy_file(const struct gguf *g, struct buf *b, struct err *e) {
    struct gguf_writer *w;
    enum status st = gguf_writer_new(&w, e);
    if (st != ST_OK) return st;
    gguf_put_all(w, g);
    for (size_t i = 0; i < gguf_n_tensors(g); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(g, i);
        gguf_add_tensor(w, t->name, t->type, t->n_dims, t->dim);
    }
    st = gguf_write_to(w, to_buf, b, e);
    for (size_t i = 0; st == ST_OK && i < gguf_n_tensors(g); i++)
        st = gguf_write_data(w, gguf_tensor_at(g, i)->data, gguf_tensor_at(g, i)->size, e);
    if (st == ST_OK) st = gguf_write_finish(w, e);
    gguf_writer_free(w);
    return st;
}

/* What does not depend on the version, which is 3 in the copy. */
static const char *copy_difference(const struct gguf *a, const struct gguf *b) {
    if (gguf_alignment(a) != gguf_alignment(b) || gguf_n_kv(a) != gguf_n_kv(b) ||
        gguf_n_tensors(a) != gguf_n_tensors(b))
        return "alignment or numbers differ";
    for (size_t i = 0; i < gguf_n_tensors(a); i++) {
        const struct gguf_tensor *x = gguf_tensor_at(a, i), *y = gguf_tensor_at(b, i);
        if (x->offset != y->offset || x->size != y->size || x->type != y->type ||
            x->name.len != y->name.len || memcmp(x->name.ptr, y->name.ptr, x->name.len) != 0 ||
            memcmp(x->data, y->data, x->size) != 0)
            return "a tensor differs";
    }
    return NULL;
}

static void check_copy(struct check *c, const char *dir, const char *where, const struct gguf *g,
                       const char *parsed) {
    struct buf b = {0};
    struct gguf *copy = NULL;
    struct err e = {0};
    enum status st = copy_file(g, &b, &e);
    if (st == ST_OK) st = gguf_open_memory(&copy, b.data, b.len, where, &e);
    if (check_that(c, st == ST_OK, where, "copy: %s", e.msg)) {
        const char *diff = copy_difference(g, copy);
        json *want = parsed != NULL ? check_read_json(c, dir, parsed) : NULL;
        const json *kv = json_get(want, "kv");
        size_t i = 0;
        for (const json *v = json_first(kv); v != NULL && diff == NULL; v = json_next(v))
            if (!same_pair(copy, v, gguf_kv_at(copy, i++))) diff = "a pair differs";
        check_that(c, diff == NULL, where, "copy: %s", diff != NULL ? diff : "");
        json_free(want);
    }
    gguf_close(copy);
    buf_free(&b);
}

static bool is_allowed(const json *entry, const char *expect, const char *class) {
    if (strcmp(expect, class) == 0 || strcmp(expect, "any") == 0) return true;
    const json *also = json_get(entry, "also_ok");
    for (const json *v = json_first(also); v != NULL; v = json_next(v)) {
        if (strcmp(json_string(v), class) == 0) return true;
    }
    return false;
}

/* What the refusal of a file of `size` bytes cost. The peak is the process's: its growth during
 * the call is a lower bound, which is good enough to see an allocation by a claimed count. */
static bool check_cost(struct check *c, const char *where, double seconds, size_t peak_growth,
                       size_t size) {
    if (seconds * 1000 > MAX_MILLISECONDS) {
        check_fail(c, where, "refused after %.0f ms", seconds * 1000);
        return false;
    }
    if (peak_growth > MAX_BASE_MEMORY + 10 * size) {
        check_fail(c, where, "%zu bytes of memory for a file of %zu", peak_growth, size);
        return false;
    }
    return true;
}

static void check_refused(struct check *c, const json *entry, const char *expect, const char *where,
                          const struct err *e) {
    const char *class = gguf_error_class();
    if (!is_allowed(entry, expect, class))
        check_fail(c, where, "class %s, expected %s (%s)", class, expect, e->msg);
    else
        check_that(c, strstr(e->msg, ".gguf: ") != NULL && e->code != ST_OK, where,
                   "message without file or code: %s", e->msg);
}

/* "split": each part is well formed, the set is not. */
static void check_not_a_set(struct check *c, const char *path) {
    struct gguf *g = NULL;
    struct err e = {0};
    enum status st = gguf_open_set(&g, path, &e);
    bool refused =
        st != ST_OK && strcmp(gguf_error_class(), "split") == 0 && strstr(e.msg, ".gguf: ") != NULL;
    check_that(c, refused, path, "must be refused as a set, naming the file: '%s'", e.msg);
    if (st == ST_OK) gguf_close(g);
}

/* The first part of a set stands for all: its own tensors and those of the other parts. */
static void check_set(struct check *c, const char *path, const struct gguf *first) {
    struct gguf *g = NULL;
    struct err e = {0};
    uint32_t count = 0;
    if (strstr(path, "-00001-of-") == NULL) return;
    bool ok = gguf_open_set(&g, path, &e) == ST_OK && gguf_split_count(g, &count, &e) == ST_OK &&
              gguf_n_kv(g) == gguf_n_kv(first) &&
              (count == 1 || gguf_n_tensors(g) > gguf_n_tensors(first));
    check_that(c, ok, path, "the set cannot be opened: %s", e.msg);
    gguf_close(g);
}

static void check_not_a_model(struct check *c, const char *path) {
    const struct cria_engine_params p = {.backend = "ref"};
    struct cria_engine *eng = NULL;
    struct err e = {0};
    enum status st = cria_engine_open(&eng, path, &p, &e);
    check_that(c, st != ST_OK && strstr(e.msg, ".gguf: ") != NULL, path,
               "must be refused as a model, naming the file: '%s'", e.msg);
    cria_engine_close(eng);
}

static void check_accepted(struct check *c, const char *dir, const char *path, const struct gguf *g,
                           const char *parsed) {
    check_valid(c, dir, path, g, parsed);
    check_copy(c, dir, path, g, parsed);
    check_set(c, path, g);
}

static void check_entry(struct check *c, const char *dir, const json *entry) {
    const char *file = json_string(json_get(entry, "file"));
    const char *expect = json_string(json_get(entry, "expect"));
    if (file == NULL || expect == NULL) {
        check_fail(c, dir, "entry of index.json without file or expect");
        return;
    }
    char path[4096];
    int64_t size = 0;
    struct gguf *g = NULL;
    struct err e = {0};
    snprintf(path, sizeof path, "%s/%s", dir, file);
    json_int(json_get(entry, "bytes"), &size);
    size_t peak = os_rss_peak_bytes();
    double start = os_time_mono();
    enum status st = gguf_open(&g, path, &e);
    double seconds = os_time_mono() - start;
    peak = os_rss_peak_bytes() - peak;
    const bool split = strcmp(expect, "split") == 0;
    if (split || strcmp(expect, "model") == 0) {
        /* The container is well formed; the refusal comes later. */
        if (st != ST_OK)
            check_fail(c, path, "the container must be accepted: %s", e.msg);
        else if (split)
            check_not_a_set(c, path);
        else
            check_not_a_model(c, path);
    } else if (strcmp(expect, "ok") == 0) {
        if (st != ST_OK)
            check_fail(c, path, "must be accepted: %s", e.msg);
        else
            check_accepted(c, dir, path, g, json_string(json_get(entry, "parsed")));
    } else if (st == ST_OK) {
        check_fail(c, path, "must be refused (%s)", expect);
    } else if (check_cost(c, path, seconds, peak, (size_t)size)) {
        check_refused(c, entry, expect, path, &e);
    }
    gguf_close(g);
}

void check_gguf(struct check *c, const char *dir) {
    json *index = check_read_json(c, dir, "index.json");
    for (const json *v = json_first(index); v != NULL; v = json_next(v)) check_entry(c, dir, v);
    json_free(index);
}
