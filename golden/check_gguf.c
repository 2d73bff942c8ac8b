/* check_gguf.c - golden-check of GGUF files (kind gguf; contract: the README of the folder).
 *
 * Valid files: what engine/file/gguf.h gives is compared with the parsed JSON, item by item in file
 * order. Bad files: refused with the class of spec/gguf.md 3 (or one of also_ok), with a message
 * that names the file, within the time and memory that the README allows. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/os.h"
#include "engine/cria.h"
#include "engine/file/gguf.h"
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

static void check_not_a_model(struct check *c, const char *path) {
    const struct cria_engine_params p = {.backend = "ref"};
    struct cria_engine *eng = NULL;
    struct err e = {0};
    enum status st = cria_engine_open(&eng, path, &p, &e);
    check_that(c, st != ST_OK && strstr(e.msg, ".gguf: ") != NULL, path,
               "must be refused as a model, naming the file: '%s'", e.msg);
    cria_engine_close(eng);
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
    if (strcmp(expect, "split") == 0 || strcmp(expect, "model") == 0) {
        /* The container is well formed; the refusal is the model loader's. */
        if (st != ST_OK)
            check_fail(c, path, "the container must be accepted: %s", e.msg);
        else
            check_not_a_model(c, path);
    } else if (strcmp(expect, "ok") == 0) {
        if (st != ST_OK)
            check_fail(c, path, "must be accepted: %s", e.msg);
        else
            check_valid(c, dir, path, g, json_string(json_get(entry, "parsed")));
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
