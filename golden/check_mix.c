/* check_mix.c - golden-check of quantizing: which tensor gets which type (kind mix), and whole
 * files (kind e2e). Both lie inside a set of the kind quants, whose README is the contract.
 *
 * mix: FILE.json has the numbers of a model, its tensors in order, and the types for each file
 * type. e2e: every file type of e2e.json is made from the model of the set, in memory: types,
 * offsets, sizes and pairs must be equal; bytes where the format is exact, else the error must not
 * be larger than the recorded one times 1.02 (another search may be as good). */
#include <lzma.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/os.h"
#include "engine/quantize/quantize.h"
#include "golden/check.h"

static int64_t int_of(const json *v) {
    int64_t n = -1;
    json_int(v, &n);
    return n;
}

/* ---- mix ---- */

struct tensors {
    struct gguf_str *name;
    int64_t (*dim)[4];
    uint32_t *n_dims;
    size_t n;
};

static bool read_tensors(struct tensors *t, const json *list) {
    t->name = mem_array(json_len(list) + 1, sizeof *t->name);
    t->dim = mem_array(json_len(list) + 1, sizeof *t->dim);
    t->n_dims = mem_array(json_len(list) + 1, sizeof *t->n_dims);
    for (const json *v = json_first(list); v != NULL; v = json_next(v), t->n++) {
        const json *name = json_first(v), *dims = json_next(name);
        const char *text = json_string(name);
        if (text == NULL || json_len(dims) < 1 || json_len(dims) > 4) return false;
        t->name[t->n] = gguf_str_of(text);
        t->n_dims[t->n] = (uint32_t)json_len(dims);
        for (int d = 0; d < 4; d++) t->dim[t->n][d] = 1;
        int d = 0;
        for (const json *x = json_first(dims); x != NULL; x = json_next(x))
            t->dim[t->n][d++] = int_of(x);
    }
    return true;
}

static void free_tensors(struct tensors *t) {
    mem_free(t->name);
    mem_free(t->dim);
    mem_free(t->n_dims);
}

/* The type of tensor i; -1: there is none. */
static int64_t type_of(struct mix *m, const struct tensors *t, size_t i) {
    enum dtype type = ftype_default(m->ftype);
    if (!mix_quantizable(m->model.arch, t->name[i], t->n_dims[i], t->dim[i])) return 0;
    if (dtype_info(type)->elems > 1) type = mix_pick(m, t->name[i], t->dim[i]);
    return mix_fallback(type, t->dim[i][0], &type, NULL) == ST_OK ? (int64_t)type : -1;
}

static void check_types(struct check *c, const char *where, const struct mix_model *model,
                        const struct tensors *t, const json *want) {
    struct mix m;
    const enum ftype f = ftype_parse(json_key(want));
    const bool list = json_kind(want) == JSON_ARRAY;
    bool failed = false;
    if (!check_that(c, (unsigned)f < FT_COUNT, where, "unknown file type %s", json_key(want)))
        return;
    mix_begin(&m, f, model, false, t->name, t->n);
    const json *v = json_first(want);
    for (size_t i = 0; i < t->n; i++) {
        const int64_t got = type_of(&m, t, i);
        failed = failed || got < 0;
        if (list && got != int_of(v)) {
            check_fail(c, where, "%s: %.*s has type %d, expected %d", json_key(want),
                       (int)t->name[i].len, t->name[i].ptr, (int)got, (int)int_of(v));
            return;
        }
        if (list) v = json_next(v);
    }
    check_that(c, failed == !list, where, "%s: %s", json_key(want),
               list ? "no type for a tensor" : "must be an error");
}

static void check_model(struct check *c, const char *where, const json *doc) {
    const json *hp = json_get(doc, "hparams"), *flags = json_get(doc, "quantizable");
    const char *arch = json_string(json_get(hp, "arch"));
    struct tensors t = {0};
    const struct mix_model model = {.arch = arch,
                                    .n_layer = int_of(json_get(hp, "n_layer")),
                                    .n_head = int_of(json_get(hp, "n_head")),
                                    .n_head_kv = int_of(json_get(hp, "n_head_kv")),
                                    .n_expert = int_of(json_get(hp, "n_expert"))};
    if (check_that(c, arch != NULL && read_tensors(&t, json_get(doc, "tensors")), where,
                   "not of the documented layout")) {
        size_t i = 0, wrong = 0;
        for (const json *v = json_first(flags); v != NULL && i < t.n; v = json_next(v), i++) {
            bool want = int_of(v) == 1;
            json_bool(v, &want);
            wrong += mix_quantizable(arch, t.name[i], t.n_dims[i], t.dim[i]) != want;
        }
        check_that(c, wrong == 0, where, "%zu tensors are quantized or not, unlike the set", wrong);
        const json *types = json_get(doc, "types");
        for (const json *v = json_first(types); v != NULL; v = json_next(v))
            check_types(c, where, &model, &t, v);
    }
    free_tensors(&t);
}

void check_mix(struct check *c, const char *dir) {
    char **names = check_list(dir);
    for (char **n = names; *n != NULL; n++) {
        char file[256];
        size_t len = strlen(*n);
        if (len > 3 && strcmp(*n + len - 3, ".xz") == 0) len -= 3;
        if (len < 6 || memcmp(*n + len - 5, ".json", 5) != 0) continue;
        snprintf(file, sizeof file, "%.*s", (int)len, *n);
        json *doc = check_read_json(c, dir, file);
        if (doc != NULL) check_model(c, file, doc);
        json_free(doc);
    }
    check_list_free(names);
}

/* ---- e2e ---- */

struct e2e {
    struct check *c;
    struct gguf *from;
    struct imatrix *imatrix;
    const char *imatrix_file;
    char where[64];
};

/* Kept by value, where bytes need not be equal: the README's "exact class" without matrix. */
static bool is_search(enum dtype t, bool weighted) {
    static const enum dtype always[] = {
        DT_Q2_K,    DT_Q3_K,   DT_Q4_K,  DT_Q5_K,    DT_Q6_K,  DT_IQ1_S,  DT_IQ1_M,
        DT_IQ2_XXS, DT_IQ2_XS, DT_IQ2_S, DT_IQ3_XXS, DT_IQ3_S, DT_IQ4_NL, DT_IQ4_XS,
    };
    for (size_t i = 0; i < sizeof always / sizeof *always; i++)
        if (t == always[i]) return true;
    return weighted && (t == DT_Q4_0 || t == DT_Q4_1 || t == DT_Q5_0 || t == DT_Q5_1);
}

static double rmse(const struct gguf_tensor *a, const struct gguf_tensor *b) {
    const size_t n = (size_t)(a->dim[0] * a->dim[1] * a->dim[2] * a->dim[3]);
    float *x = mem_array(n + 1, sizeof *x), *y = mem_array(n + 1, sizeof *y);
    double sum = 0;
    dtype_info(a->type)->decode(a->data, x, n);
    dtype_info(b->type)->decode(b->data, y, n);
    for (size_t i = 0; i < n; i++)
        sum += ((double)x[i] - (double)y[i]) * ((double)x[i] - (double)y[i]);
    mem_free(x);
    mem_free(y);
    return sqrt(sum / (double)n);
}

/* [name, type, offset, bytes, crc32, rmse] */
static bool check_tensor(struct e2e *t, const struct gguf_tensor *got, const json *want) {
    const json *f[6];
    double limit = 0;
    char name[64] = "";
    f[0] = json_first(want);
    for (size_t i = 1; i < 6; i++) f[i] = f[i - 1] != NULL ? json_next(f[i - 1]) : NULL;
    const char *want_name = json_string(f[0]), *type = json_string(f[1]);
    if (f[5] == NULL || want_name == NULL || type == NULL) return false;
    memcpy(name, got->name.ptr, got->name.len);
    if (!check_that(t->c,
                    strcmp(name, want_name) == 0 && got->type == dtype_by_name(type) &&
                        (int64_t)got->offset == int_of(f[2]) && (int64_t)got->size == int_of(f[3]),
                    t->where, "%s %s at %llu, expected %s %s", name, dtype_info(got->type)->name,
                    (unsigned long long)got->offset, want_name, type))
        return false;
    const char *crc = json_string(f[4]);
    if (crc != NULL && strtoul(crc, NULL, 16) == lzma_crc32(got->data, got->size, 0)) return true;
    if (!is_search(got->type, t->imatrix != NULL))
        return check_that(t->c, false, t->where, "%s: %s bytes differ", name, type);
    const double error = rmse(got, gguf_find_tensor(t->from, name));
    json_number(f[5], &limit);
    return check_that(t->c, error <= 1.02 * limit, t->where, "%s: %s error %.6g, recorded %.6g",
                      name, type, error, limit);
}

static bool check_pair(struct e2e *t, const struct gguf *g, const json *want) {
    static const struct {
        const char *name;
        enum gguf_type type;
    } types[] = {{"STRING", GGUF_STRING}, {"UINT32", GGUF_U32}, {"FLOAT32", GGUF_F32},
                 {"INT32", GGUF_I32},     {"BOOL", GGUF_BOOL},  {"UINT64", GGUF_U64}};
    const struct gguf_kv *kv = gguf_find(g, json_key(want));
    const char *type = json_string(json_first(want));
    const json *value = json_next(json_first(want));
    bool ok = false, flag = false;
    double number = 0;
    for (size_t i = 0; kv != NULL && type != NULL && i < sizeof types / sizeof *types; i++)
        ok = ok || (strcmp(type, types[i].name) == 0 && kv->type == types[i].type);
    if (ok && kv->type == GGUF_STRING) {
        size_t len;
        const char *text = json_string_n(value, &len);
        const struct gguf_str s = gguf_elem_str(g, kv, 0);
        ok = text != NULL && len == s.len && memcmp(text, s.ptr, len) == 0;
    } else if (ok && json_bool(value, &flag)) {
        ok = flag == (gguf_elem_int(kv, 0) != 0);
    } else if (ok) {
        ok = json_number(value, &number) && number == gguf_elem_float(kv, 0);
    }
    return check_that(t->c, ok, t->where, "key %s differs", json_key(want));
}

static void check_file(struct e2e *t, const struct buf *b, const json *want) {
    struct gguf *g = NULL;
    struct err e = {0};
    if (!check_that(t->c, gguf_open_memory(&g, b->data, b->len, t->where, &e) == ST_OK, t->where,
                    "%s", e.msg))
        return;
    const json *kv = json_get(want, "kv"), *tensors = json_get(want, "tensors");
    bool ok = check_that(t->c,
                         (int64_t)b->len == int_of(json_get(want, "file_bytes")) &&
                             (int64_t)gguf_data_offset(g) == int_of(json_get(want, "data_offset")),
                         t->where, "%zu bytes, data at %llu", b->len,
                         (unsigned long long)gguf_data_offset(g));
    size_t n_kv = 0; /* arrays (the vocabulary) and what belongs to them are not recorded */
    for (size_t i = 0; i < gguf_n_kv(g); i++)
        n_kv += strncmp(gguf_kv_at(g, i)->key.ptr, "tokenizer.", 10) != 0;
    ok = check_that(t->c, json_len(kv) == n_kv && json_len(tensors) == gguf_n_tensors(g), t->where,
                    "%zu keys, %zu tensors", n_kv, gguf_n_tensors(g)) &&
         ok;
    for (const json *v = json_first(kv); v != NULL && ok; v = json_next(v))
        ok = check_pair(t, g, v);
    size_t i = 0;
    for (const json *v = json_first(tensors); v != NULL && ok; v = json_next(v))
        ok = check_tensor(t, gguf_tensor_at(g, i++), v);
    gguf_close(g);
}

static void check_ftype(struct e2e *t, const json *want) {
    struct quantize_params p = quantize_default_params(ftype_parse(json_key(want)));
    struct quantize_plan plan = {0};
    struct buf b = {0};
    struct err e = {0};
    p.imatrix = t->imatrix;
    p.imatrix_file = t->imatrix_file;
    p.n_threads = 2;
    if (!check_that(t->c, ftype_name(p.ftype) != NULL, t->where, "unknown type")) return;
    enum status st = quantize_plan(&plan, t->from, &p, &e);
    if (st == ST_OK) st = quantize_to(t->from, &plan, &p, gguf_to_buf, &b, &e);
    const bool is_error = json_get(want, "error") != NULL;
    if (st == ST_UNSUPPORTED && strstr(e.msg, "cannot be encoded") != NULL)
        check_skip(t->c, t->where, "e2e: a type has no encoder yet");
    else if (is_error)
        check_that(t->c, st == ST_INVALID && strstr(e.msg, "imatrix") != NULL, t->where,
                   "must be refused for want of an imatrix: '%s'", e.msg);
    else if (check_that(t->c, st == ST_OK, t->where, "%s", e.msg))
        check_file(t, &b, want);
    quantize_plan_free(&plan);
    buf_free(&b);
}

static void check_group(struct check *c, const char *dir, struct gguf *from, const json *group) {
    static const struct {
        const char *group, *file;
    } files[] = {{"imatrix_gguf", "imatrix.gguf"}, {"imatrix_dat", "imatrix.dat"}};
    struct e2e t = {.c = c, .from = from};
    struct err e = {0};
    size_t size = 0;
    char *data = NULL;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (strcmp(json_key(group), files[i].group) == 0) t.imatrix_file = files[i].file;
    if (t.imatrix_file != NULL) data = check_read(c, dir, t.imatrix_file, &size);
    if (data != NULL &&
        !check_that(c, imatrix_open_memory(&t.imatrix, data, size, t.imatrix_file, &e) == ST_OK,
                    dir, "%s", e.msg))
        group = NULL;
    for (const json *v = json_first(group); v != NULL; v = json_next(v)) {
        snprintf(t.where, sizeof t.where, "e2e %s %s", json_key(group), json_key(v));
        check_ftype(&t, v);
    }
    imatrix_close(t.imatrix);
    mem_free(data);
}

void check_e2e(struct check *c, const char *dir) {
    json *doc = check_read_json(c, dir, "e2e.json");
    struct gguf *from = NULL;
    struct err e = {0};
    size_t size;
    char *data = check_read(c, dir, "tiny-f16.gguf", &size);
    if (doc != NULL && data != NULL &&
        check_that(c, gguf_open_memory(&from, data, size, "tiny-f16.gguf", &e) == ST_OK, dir, "%s",
                   e.msg))
        for (const json *v = json_first(doc); v != NULL; v = json_next(v))
            check_group(c, dir, from, v);
    gguf_close(from);
    mem_free(data);
    json_free(doc);
}
