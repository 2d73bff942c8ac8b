/* gguf_same.c - see gguf_same.h. */
#include "golden/gguf_same.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"

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
bool gguf_same_text(const json *want, struct gguf_str got) {
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
    if (kv->elem == GGUF_STRING) return gguf_same_text(want, gguf_elem_str(g, kv, i));
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

bool gguf_same_pair(const struct gguf *g, const json *want, const struct gguf_kv *kv) {
    const json *name = json_first(want), *type = json_next(name), *value = json_next(type);
    return gguf_same_text(name, kv->key) && same_type(json_string(type), kv) &&
           same_value(g, value, kv);
}

bool gguf_same_number(const json *want, uint64_t got) {
    int64_t v;
    return json_int(want, &v) && v >= 0 && (uint64_t)v == got;
}

/* [name, ne, type, offset, bytes, crc32] */
bool gguf_same_tensor(const json *want, const struct gguf_tensor *t, bool place) {
    const json *f[6];
    char crc[16];
    f[0] = json_first(want);
    for (size_t i = 1; i < 6; i++) f[i] = f[i - 1] != NULL ? json_next(f[i - 1]) : NULL;
    if (f[5] == NULL || json_len(f[1]) != t->n_dims) return false;
    const json *dim = json_first(f[1]);
    for (uint32_t d = 0; d < t->n_dims; d++, dim = json_next(dim)) {
        if (!gguf_same_number(dim, (uint64_t)t->dim[d])) return false;
    }
    snprintf(crc, sizeof crc, "%08" PRIx32, crc32_of(t->data, t->size));
    const char *type = json_string(f[2]), *want_crc = json_string(f[5]);
    return gguf_same_text(f[0], t->name) && (!place || gguf_same_number(f[3], t->offset)) &&
           gguf_same_number(f[4], t->size) && type != NULL && want_crc != NULL &&
           strcasecmp(type, dtype_info(t->type)->name) == 0 && strcmp(want_crc, crc) == 0;
}
