/* gguf_values.c - reading the values of a parsed GGUF (see gguf.h): typed getters, elements, and
 * the names of types. Works on the public view of a file that gguf.c has checked; nothing here can
 * go out of bounds. A value of an unexpected type is an error with the key's name, never a crash:
 * the types come from the file's author (spec/gguf.md 3.1). */
#include "engine/file/gguf.h"

#include <assert.h>
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "engine/file/gguf_bytes.h"

/* -- elements ---------------------------------------------------------------------------------- */

const char *gguf_type_name(enum gguf_type t) {
    static const char *const name[GGUF_TYPE_COUNT] = {
        [GGUF_U8] = "u8",       [GGUF_I8] = "i8",   [GGUF_U16] = "u16", [GGUF_I16] = "i16",
        [GGUF_U32] = "u32",     [GGUF_I32] = "i32", [GGUF_F32] = "f32", [GGUF_BOOL] = "bool",
        [GGUF_U64] = "u64",     [GGUF_I64] = "i64", [GGUF_F64] = "f64", [GGUF_STRING] = "string",
        [GGUF_ARRAY] = "array",
    };
    return (unsigned)t < GGUF_TYPE_COUNT ? name[t] : "unknown";
}

static bool is_unsigned(enum gguf_type t) {
    return t == GGUF_U8 || t == GGUF_U16 || t == GGUF_U32 || t == GGUF_U64;
}

static bool is_signed(enum gguf_type t) {
    return t == GGUF_I8 || t == GGUF_I16 || t == GGUF_I32 || t == GGUF_I64;
}

bool gguf_is_int(enum gguf_type t) { return is_unsigned(t) || is_signed(t); }
bool gguf_is_float(enum gguf_type t) { return t == GGUF_F32 || t == GGUF_F64; }

/* The stored bits of element i, zero-extended. */
static uint64_t elem_bits(const struct gguf_kv *kv, uint64_t i) {
    unsigned size = gguf_type_size(kv->elem);
    assert(size != 0 && i < kv->count);
    return gguf_le(kv->data + i * size, size);
}

int64_t gguf_elem_int(const struct gguf_kv *kv, uint64_t i) {
    assert(gguf_is_int(kv->elem) || kv->elem == GGUF_BOOL);
    uint64_t bits = elem_bits(kv, i);
    if (kv->elem == GGUF_BOOL) return bits != 0; /* any byte but 0 is true */
    if (is_unsigned(kv->elem)) return bits > INT64_MAX ? INT64_MAX : (int64_t)bits;
    uint64_t sign = UINT64_C(1) << (8 * gguf_type_size(kv->elem) - 1);
    return (int64_t)((bits ^ sign) - sign); /* sign extension */
}

double gguf_elem_float(const struct gguf_kv *kv, uint64_t i) {
    assert(gguf_is_int(kv->elem) || gguf_is_float(kv->elem));
    uint64_t bits = elem_bits(kv, i);
    uint32_t low = (uint32_t)bits;
    float f;
    double d;
    switch (kv->elem) {
    case GGUF_F32:
        memcpy(&f, &low, sizeof f);
        return (double)f;
    case GGUF_F64:
        memcpy(&d, &bits, sizeof d);
        return d;
    case GGUF_U64:
        return (double)bits; /* gguf_elem_int would saturate */
    default:
        return (double)gguf_elem_int(kv, i);
    }
}

/* -- typed getters ----------------------------------------------------------------------------- */

/* "array of i32" */
static const char *type_text(const struct gguf_kv *kv, char out[32]) {
    const char *of = kv->type == GGUF_ARRAY ? " of " : "";
    const char *elem = kv->type == GGUF_ARRAY ? gguf_type_name(kv->elem) : "";
    snprintf(out, 32, "%s%s%s", gguf_type_name(kv->type), of, elem);
    return out;
}

/* The pair if its type passes `accepts`; an array never does. */
static enum status find_scalar(const struct gguf *g, const char *key,
                               bool (*accepts)(enum gguf_type), const char *expected,
                               const struct gguf_kv **kv, struct err *e) {
    char text[32];
    *kv = gguf_find(g, key);
    if (*kv == NULL) return err_set(e, ST_NOT_FOUND, "%s: key %s not found", gguf_label(g), key);
    if (accepts((*kv)->type)) return ST_OK;
    return err_set(e, ST_FORMAT, "%s: key %s has wrong type %s but expected type %s", gguf_label(g),
                   key, type_text(*kv, text), expected);
}

static enum status out_of_range(const struct gguf *g, const struct gguf_kv *kv, const char *key,
                                const char *expected, struct err *e) {
    char value[32];
    if (is_unsigned(kv->type))
        snprintf(value, sizeof value, "%" PRIu64, elem_bits(kv, 0));
    else if (is_signed(kv->type))
        snprintf(value, sizeof value, "%" PRId64, gguf_elem_int(kv, 0));
    else
        snprintf(value, sizeof value, "%g", gguf_elem_float(kv, 0));
    return err_set(e, ST_FORMAT, "%s: key %s has value %s, which is no %s", gguf_label(g), key,
                   value, expected);
}

/* Any integer from min to max. */
static enum status get_int(const struct gguf *g, const char *key, const char *expected, int64_t min,
                           int64_t max, int64_t *out, struct err *e) {
    const struct gguf_kv *kv;
    enum status st = find_scalar(g, key, gguf_is_int, expected, &kv, e);
    if (st != ST_OK) return st;
    int64_t v = gguf_elem_int(kv, 0);
    bool saturated = kv->type == GGUF_U64 && elem_bits(kv, 0) > INT64_MAX;
    if (saturated || v < min || v > max) return out_of_range(g, kv, key, expected, e);
    *out = v;
    return ST_OK;
}

enum status gguf_get_u32(const struct gguf *g, const char *key, uint32_t *out, struct err *e) {
    int64_t v = 0;
    enum status st = get_int(g, key, "u32", 0, UINT32_MAX, &v, e);
    if (st == ST_OK) *out = (uint32_t)v;
    return st;
}

enum status gguf_get_i64(const struct gguf *g, const char *key, int64_t *out, struct err *e) {
    return get_int(g, key, "i64", INT64_MIN, INT64_MAX, out, e);
}

static bool is_number(enum gguf_type t) { return gguf_is_int(t) || gguf_is_float(t); }
static bool is_bool(enum gguf_type t) { return t == GGUF_BOOL; }
static bool is_string(enum gguf_type t) { return t == GGUF_STRING; }

enum status gguf_get_f32(const struct gguf *g, const char *key, float *out, struct err *e) {
    const struct gguf_kv *kv;
    enum status st = find_scalar(g, key, is_number, "f32", &kv, e);
    if (st != ST_OK) return st;
    double v = gguf_elem_float(kv, 0);
    /* Infinity and NaN are values; a finite number that would turn into infinity is a mistake. */
    if (isfinite(v) && fabs(v) > (double)FLT_MAX) return out_of_range(g, kv, key, "f32", e);
    *out = (float)v;
    return ST_OK;
}

enum status gguf_get_bool(const struct gguf *g, const char *key, bool *out, struct err *e) {
    const struct gguf_kv *kv;
    enum status st = find_scalar(g, key, is_bool, "bool", &kv, e);
    if (st == ST_OK) *out = gguf_elem_int(kv, 0) != 0;
    return st;
}

enum status gguf_get_str(const struct gguf *g, const char *key, struct gguf_str *out,
                         struct err *e) {
    const struct gguf_kv *kv;
    enum status st = find_scalar(g, key, is_string, "string", &kv, e);
    if (st == ST_OK) *out = gguf_elem_str(g, kv, 0);
    return st;
}

/* -- file type (spec/gguf.md 6.3) -------------------------------------------------------------- */

/* Indexed by general.file_type. name: as the peer server shows it, NULL: "unknown". guess: the
 * tensor type that stands for this row in a file without the key, DT_COUNT: none. */
static const struct file_type {
    const char *name;
    enum dtype guess;
} file_types[] = {
    [0] = {"F32", DT_F32},          [1] = {"F16", DT_F16},          [2] = {"Q4_0", DT_Q4_0},
    [3] = {"Q4_1", DT_Q4_1},        [4] = {NULL, DT_COUNT}, /* Q4_1_F16, Q4_2, Q4_3: removed */
    [5] = {NULL, DT_COUNT},         [6] = {NULL, DT_COUNT},         [7] = {"Q8_0", DT_Q8_0},
    [8] = {"Q5_0", DT_Q5_0},        [9] = {"Q5_1", DT_Q5_1},        [10] = {"Q2_K", DT_Q2_K},
    [11] = {"Q3_K_S", DT_COUNT},    [12] = {"Q3_K_M", DT_Q3_K},     [13] = {"Q3_K_L", DT_COUNT},
    [14] = {"Q4_K_S", DT_COUNT},    [15] = {"Q4_K_M", DT_Q4_K},     [16] = {"Q5_K_S", DT_COUNT},
    [17] = {"Q5_K_M", DT_Q5_K},     [18] = {"Q6_K", DT_Q6_K},       [19] = {"IQ2_XXS", DT_IQ2_XXS},
    [20] = {"IQ2_XS", DT_IQ2_XS},   [21] = {"Q2_K_S", DT_COUNT},    [22] = {"IQ3_XS", DT_COUNT},
    [23] = {"IQ3_XXS", DT_IQ3_XXS}, [24] = {"IQ1_S", DT_IQ1_S},     [25] = {"IQ4_NL", DT_IQ4_NL},
    [26] = {"IQ3_S", DT_IQ3_S},     [27] = {"IQ3_M", DT_COUNT},     [28] = {"IQ2_S", DT_IQ2_S},
    [29] = {"IQ2_M", DT_COUNT},     [30] = {"IQ4_XS", DT_IQ4_XS},   [31] = {"IQ1_M", DT_IQ1_M},
    [32] = {"BF16", DT_BF16},       [33] = {NULL, DT_COUNT}, /* Q4_0_4_4, Q4_0_4_8, Q4_0_8_8:
                                                                removed */
    [34] = {NULL, DT_COUNT},        [35] = {NULL, DT_COUNT},        [36] = {"TQ1_0", DT_TQ1_0},
    [37] = {"TQ2_0", DT_TQ2_0},     [38] = {"MXFP4_MOE", DT_MXFP4}, [39] = {"NVFP4", DT_NVFP4},
    [40] = {"Q1_0", DT_Q1_0},       [41] = {NULL, DT_Q2_0}, /* Q2_0: newer than the peer server */
};
enum { N_FILE_TYPES = sizeof file_types / sizeof file_types[0] };

/* Where a tensor stands in layer order: "blk.N." by N, all others before; then by name. */
static int layer_of(struct gguf_str name) {
    int n = 0;
    if (name.len < 5 || memcmp(name.ptr, "blk.", 4) != 0) return -1;
    for (size_t i = 4; i < name.len && name.ptr[i] != '.'; i++) {
        if (name.ptr[i] < '0' || name.ptr[i] > '9' || n > 1000 * 1000) return -1;
        n = n * 10 + (name.ptr[i] - '0');
    }
    return n;
}

static bool comes_before(const struct gguf_tensor *a, const struct gguf_tensor *b) {
    int la = layer_of(a->name), lb = layer_of(b->name);
    if (la != lb) return la < lb;
    size_t n = a->name.len < b->name.len ? a->name.len : b->name.len;
    int c = memcmp(a->name.ptr, b->name.ptr, n);
    return c != 0 ? c < 0 : a->name.len < b->name.len;
}

/* The most frequent tensor type; of equals the one that reaches the number first in layer order,
 * which is the one whose last tensor comes first: no sorting needed. DT_COUNT: no tensors. */
static enum dtype most_frequent(const struct gguf *g) {
    size_t count[DT_COUNT] = {0};
    const struct gguf_tensor *last[DT_COUNT] = {0};
    enum dtype best = DT_COUNT;
    for (size_t i = 0; i < gguf_n_tensors(g); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(g, i);
        count[t->type]++;
        if (last[t->type] == NULL || comes_before(last[t->type], t)) last[t->type] = t;
    }
    for (unsigned t = 0; t < DT_COUNT; t++) {
        if (count[t] == 0) continue;
        bool more = best == DT_COUNT || count[t] > count[best];
        if (more || (count[t] == count[best] && comes_before(last[t], last[best])))
            best = (enum dtype)t;
    }
    return best;
}

static const char *shown(uint32_t file_type) {
    const char *name = file_type < N_FILE_TYPES ? file_types[file_type].name : NULL;
    return name != NULL ? name : "unknown";
}

const char *gguf_file_type_name(const struct gguf *g) {
    uint32_t v = 0;
    if (gguf_find(g, "general.file_type") != NULL)
        return gguf_get_u32(g, "general.file_type", &v, NULL) == ST_OK ? shown(v) : "unknown";
    enum dtype t = most_frequent(g);
    if (t == DT_COUNT) return "unknown"; /* nothing to guess from */
    for (v = 0; v < N_FILE_TYPES; v++) {
        if (file_types[v].guess == t) return shown(v);
    }
    return "F32"; /* a type that stands for no file type: I8, F64, Q8_K, ... */
}
