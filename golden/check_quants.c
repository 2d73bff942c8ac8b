/* check_quants.c - golden-check of the block formats (kind quants; contract: the README of the
 * folder, spec/quants.md).
 *
 * index.tsv: decoders must give the golden values bit by bit, encoders of the exact class the
 * golden bytes; activation rows packed by the CPU kernels must have the codes of Q8_0.
 * dots.tsv: products, by decoding and multiplying (backend ref) or by the kernels of the
 * instruction set in use (cpu; CRIA_CPU_ISA). conv/: the 16-bit floats. Types cria does not compute
 * with are skipped. */
#include <lzma.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/os.h"
#include "golden/check.h"
#include "kernels/cpu/isa.h"

enum { MAX_FILES = 64, MAX_COLS = 17 };

/* A line of a table, cut at tabs. */
struct line {
    char *col[MAX_COLS];
    int n;
};
enum {
    I_KIND,
    I_TYPE,
    I_CASE,
    I_ROWS,
    I_COLS,
    I_IMATRIX,
    I_Q,
    I_DEQ = I_Q + 3,
    I_CMP = 14,
    I_CRC_Q,
    I_CRC_DEQ
};
enum { D_TYPE, D_CASE, D_ROW, D_IMATRIX, D_ACT, D_ACT_TYPE, D_F32, D_INT, D_SCALE, D_COLS };

struct set {
    struct check *c;
    const char *dir;
    const struct cpu_isa *isa; /* NULL: backend ref */
    struct {
        char *name, *data;
        size_t size;
    } file[MAX_FILES];  /* each read once */
    struct line *items; /* of index.tsv */
    size_t n_items;
};

/* ---- files and tables ---- */

static const unsigned char *data_of(struct set *s, const char *name, size_t *size) {
    for (int i = 0; i < MAX_FILES; i++) {
        if (s->file[i].name == NULL) {
            s->file[i].name = mem_strdup(name);
            if (check_exists(s->dir, name)) {
                s->file[i].data = check_read(s->c, s->dir, name, &s->file[i].size);
            }
        }
        if (strcmp(s->file[i].name, name) != 0) continue;
        *size = s->file[i].size;
        return (unsigned char *)s->file[i].data;
    }
    return NULL;
}

/* The bytes that three columns (file, offset, length) point at; NULL: none, or not in this set. */
static const unsigned char *bytes_at(struct set *s, const struct line *l, int col, size_t *n) {
    size_t size, off = strtoull(l->col[col + 1], NULL, 10);
    *n = strtoull(l->col[col + 2], NULL, 10);
    if (strcmp(l->col[col], "-") == 0) return NULL;
    const unsigned char *data = data_of(s, l->col[col], &size);
    if (data == NULL || off > size || *n > size - off) return NULL;
    return data + off;
}

/* Cuts a text into lines and columns, in place; comment lines are dropped. */
static struct line *parse_table(char *text, int min_cols, size_t *n_lines) {
    size_t cap = 1, n = 0;
    for (const char *p = text; *p != '\0'; p++) cap += *p == '\n';
    struct line *lines = mem_zalloc(cap, sizeof *lines);
    char *save = NULL;
    for (char *row = strtok_r(text, "\n", &save); row != NULL; row = strtok_r(NULL, "\n", &save)) {
        struct line *l = &lines[n];
        if (row[0] == '#') continue;
        for (l->n = 0; row != NULL && l->n < MAX_COLS; l->n++) l->col[l->n] = strsep(&row, "\t\r");
        if (l->n >= min_cols) n++;
    }
    *n_lines = n;
    return lines;
}

static const struct line *find(const struct set *s, const char *kind, const char *type,
                               const char *name, const char *imatrix) {
    for (size_t i = 0; i < s->n_items; i++) {
        char **col = s->items[i].col;
        if (strcmp(col[I_KIND], kind) == 0 && strcmp(col[I_TYPE], type) == 0 &&
            strcmp(col[I_CASE], name) == 0 && strcmp(col[I_IMATRIX], imatrix) == 0) {
            return &s->items[i];
        }
    }
    return NULL;
}

static const char *where(const struct line *l) {
    static char text[256];
    snprintf(text, sizeof text, "quants %s %s %s imatrix %s", l->col[0], l->col[1], l->col[2],
             l->col[5]);
    return text;
}

static void skip(struct set *s, const struct line *l, const char *type, const char *why) {
    char reason[100];
    snprintf(reason, sizeof reason, "quants: %s %s", type, why);
    check_skip(s->c, where(l), reason);
}

static float *floats(size_t n) { return mem_array(n + 1, sizeof(float)); }

static float *copy_floats(const unsigned char *p, size_t bytes) {
    float *x = floats(bytes / sizeof *x);
    memcpy(x, p, bytes);
    return x;
}

/* ---- index.tsv: formats ---- */

static bool same_value_bits(const float *a, const float *b, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (memcmp(&a[i], &b[i], sizeof *a) != 0 && !(isnan(a[i]) && isnan(b[i]))) return false;
    }
    return true;
}

static uint32_t crc_of_values(float *x, size_t n) {
    const uint32_t nan = 0x7FC00000u;
    for (size_t i = 0; i < n; i++) {
        if (isnan(x[i])) memcpy(&x[i], &nan, sizeof nan);
    }
    return lzma_crc32((const uint8_t *)x, n * sizeof *x, 0);
}

static bool crc_is(const char *hex, uint32_t crc) { return strtoul(hex, NULL, 16) == crc; }

/* The golden bytes decoded: equal to the golden values, or to their checksum. */
static bool decodes(struct set *s, const struct line *l, const struct dtype_info *t) {
    size_t q_bytes, deq_bytes, n;
    const unsigned char *q = bytes_at(s, l, I_Q, &q_bytes),
                        *deq = bytes_at(s, l, I_DEQ, &deq_bytes);
    n = q_bytes / t->bytes * t->elems;
    float *x = floats(n), *want = NULL;
    t->decode(q, x, n);
    bool ok = strcmp(l->col[I_CRC_DEQ], "-") == 0;
    if (deq != NULL) {
        want = copy_floats(deq, deq_bytes);
        ok = deq_bytes == n * sizeof *x && same_value_bits(x, want, n);
    } else if (!ok) {
        ok = crc_is(l->col[I_CRC_DEQ], crc_of_values(x, n));
    }
    mem_free(x);
    mem_free(want);
    return ok;
}

/* The input encoded: the golden bytes, or (cmp value) bytes that mean the same values. */
static bool encodes(struct set *s, const struct line *l, const struct dtype_info *t) {
    const struct line *in = find(s, "input", "F32", l->col[I_CASE], "-");
    size_t x_bytes, q_bytes;
    const unsigned char *data = in != NULL ? bytes_at(s, in, I_Q, &x_bytes) : NULL;
    if (data == NULL) return true; /* the set has no input for it: nothing to compare */
    float *x = copy_floats(data, x_bytes);
    size_t n = x_bytes / sizeof *x, bytes = n / t->elems * t->bytes;
    unsigned char *got = mem_alloc(bytes);
    t->encode(x, got, n, NULL);
    const unsigned char *want = bytes_at(s, l, I_Q, &q_bytes);
    bool ok = crc_is(l->col[I_CRC_Q], lzma_crc32(got, bytes, 0));
    if (strcmp(l->col[I_CMP], "value") == 0 && want != NULL) {
        float *y = floats(n);
        t->decode(got, x, n);
        t->decode(want, y, n);
        for (size_t i = 0; i < n; i++) ok = (i == 0 || ok) && x[i] == y[i];
        mem_free(y);
    } else if (want != NULL) {
        ok = q_bytes == bytes && memcmp(got, want, bytes) == 0;
    }
    mem_free(got);
    mem_free(x);
    return ok;
}

static void check_format(struct set *s, const struct line *l, const struct dtype_info *t) {
    size_t n;
    bool has_bytes = bytes_at(s, l, I_Q, &n) != NULL;
    bool encode = t->encode != NULL && strcmp(l->col[I_IMATRIX], "-") == 0 &&
                  (strcmp(l->col[I_KIND], "quant") == 0 || strcmp(l->col[I_KIND], "rmse") == 0);
    if (!has_bytes && !encode) {
        skip(s, l, l->col[I_TYPE], "encoder is not there");
        return;
    }
    if (has_bytes && !decodes(s, l, t))
        check_fail(s->c, where(l), "decoded values differ");
    else if (encode && !encodes(s, l, t))
        check_fail(s->c, where(l), "encoded bytes differ");
    else
        check_pass(s->c);
}

/* ---- index.tsv: activations packed by the kernels ---- */

static bool same_q8(const unsigned char *want, const unsigned char *row, size_t n) {
    for (size_t b = 0; b < n / 32; b++) {
        float d;
        memcpy(&d, row + n + b * sizeof d, sizeof d);
        uint16_t h = (uint16_t)(want[34 * b] | want[34 * b + 1] << 8);
        if (d != f16_to_f32(h) || memcmp(want + 34 * b + 2, row + 32 * b, 32) != 0) return false;
    }
    return true;
}

static void check_packed(struct set *s, const struct line *l) {
    bool act = strcmp(l->col[I_KIND], "activation_q") == 0;
    const struct line *in = find(s, act ? "activation" : "input", "F32", l->col[I_CASE], "-");
    size_t x_bytes, q_bytes;
    const unsigned char *data = in != NULL ? bytes_at(s, in, I_Q, &x_bytes) : NULL;
    const unsigned char *want = bytes_at(s, l, I_Q, &q_bytes);
    if (s->isa == NULL || data == NULL || want == NULL || strcmp(l->col[I_CMP], "value") == 0) {
        skip(s, l, l->col[I_TYPE], "is not packed here");
        return;
    }
    float *x = copy_floats(data, x_bytes);
    size_t n = x_bytes / sizeof *x;
    unsigned char *row = mem_aligned(64, act_row_bytes(ACT_ROW_Q8, n));
    s->isa->pack[ACT_ROW_Q8](
        x, n, row); /* rows of a matrix one after the other: blocks do not know rows */
    check_that(s->c, same_q8(want, row, n), where(l), "%s: packed activations differ",
               s->isa->name);
    mem_free(row);
    mem_free(x);
}

static void check_item(struct set *s, const struct line *l) {
    const char *kind = l->col[I_KIND], *type = l->col[I_TYPE];
    const struct dtype_info *t = dtype_info(dtype_by_name(type));
    if (strcmp(l->col[I_CMP], "data") == 0 && strcmp(kind, "activation_q") != 0) return;
    if (strcmp(kind, "activation_q") == 0 && strcmp(type, "Q8_0") == 0)
        check_packed(s, l);
    else if (t == NULL || t->decode == NULL)
        skip(s, l, type, "is no type of arithmetic");
    else if (strcmp(l->col[I_CMP], "info") == 0)
        skip(s, l, type, "row for information only");
    else
        check_format(s, l, t);
}

/* ---- dots.tsv ---- */

/* Squared errors of one weight type, ours and the peer's: for activations of another form. */
static struct errors {
    double ours, theirs;
    unsigned n;
} other[DT_COUNT];

static double dot_ref(const struct dtype_info *t, const unsigned char *w, const float *a,
                      size_t n) {
    float *x = floats(n);
    double sum = 0;
    t->decode(w, x, n);
    for (size_t i = 0; i < n; i++) sum += (double)x[i] * (double)a[i];
    mem_free(x);
    return sum;
}

static double dot_isa(const struct cpu_isa *isa, enum dtype t, const unsigned char *w,
                      const float *a, size_t n) {
    enum act_row kind = isa->act_row[t];
    unsigned char *row = mem_aligned(64, act_row_bytes(kind, n));
    float y = 0;
    isa->pack[kind](a, n, row);
    isa->dot[t](n, w, dtype_row_bytes(t, n), 1, row, act_row_bytes(kind, n), 1, &y, 1);
    mem_free(row);
    return (double)y;
}

/* The golden integer result belongs to these activations; ours are finer or other elsewhere. */
static bool same_activations(enum act_row kind, const char *type) {
    return kind == ACT_ROW_Q8 && strcmp(type, "Q8_0") == 0;
}

static void judge_dot(struct set *s, const struct line *l, enum dtype t, double got) {
    double f32 = strtod(l->col[D_F32], NULL), whole = strtod(l->col[D_INT], NULL);
    double scale = strtod(l->col[D_SCALE], NULL);
    enum act_row kind = s->isa != NULL ? s->isa->act_row[t] : ACT_ROW_F32;
    if (kind == ACT_ROW_F32) {
        check_that(s->c, fabs(got - f32) <= 2e-6 * scale, where(l), "row %s: %.9g for %.9g",
                   l->col[D_ROW], got, f32);
    } else if (same_activations(kind, l->col[D_ACT_TYPE])) {
        check_that(s->c, fabs(got - whole) <= 4e-6 * scale, where(l), "row %s: %.9g for %.9g",
                   l->col[D_ROW], got, whole);
    } else {
        other[t].ours += (got - f32) / scale * ((got - f32) / scale);
        other[t].theirs += (whole - f32) / scale * ((whole - f32) / scale);
        other[t].n++;
    }
}

static void check_dot(struct set *s, const struct line *l) {
    enum dtype t = dtype_by_name(l->col[D_TYPE]);
    const struct dtype_info *info = dtype_info(t);
    if (info == NULL || info->decode == NULL) {
        skip(s, l, l->col[D_TYPE], "is no type of arithmetic");
        return;
    }
    const struct line *wl = find(s, "quant", l->col[D_TYPE], l->col[D_CASE], l->col[D_IMATRIX]);
    const struct line *al = find(s, "activation", "F32", l->col[D_ACT], "-");
    size_t w_bytes, a_bytes;
    const unsigned char *w = wl != NULL ? bytes_at(s, wl, I_Q, &w_bytes) : NULL;
    const unsigned char *a = al != NULL ? bytes_at(s, al, I_Q, &a_bytes) : NULL;
    if (!check_that(s->c, w != NULL && a != NULL, where(l), "its data is missing")) return;
    size_t n = a_bytes / sizeof(float), row = strtoull(l->col[D_ROW], NULL, 10);
    float *x = copy_floats(a, a_bytes);
    w += row * dtype_row_bytes(t, n);
    judge_dot(s, l, t, s->isa != NULL ? dot_isa(s->isa, t, w, x, n) : dot_ref(info, w, x, n));
    mem_free(x);
}

static void check_dots(struct set *s) {
    size_t size, n;
    char *text = check_read(s->c, s->dir, "dots.tsv", &size);
    if (text == NULL) return;
    struct line *lines = parse_table(text, D_COLS, &n);
    memset(other, 0, sizeof other);
    for (size_t i = 0; i < n; i++) check_dot(s, &lines[i]);
    for (uint32_t t = 0; t < DT_COUNT; t++) {
        if (other[t].n == 0) continue;
        double ours = sqrt(other[t].ours / other[t].n), theirs = sqrt(other[t].theirs / other[t].n);
        check_that(s->c, ours <= theirs, "quants dots", "%s: RMS error %.3g, reference %.3g",
                   dtype_info(t)->name, ours, theirs);
    }
    mem_free(lines);
    mem_free(text);
}

/* ---- conv/ ---- */

static void check_conv(struct set *s) {
    size_t n_f16, n_in, n_half, n_brain;
    const unsigned char *f16 = data_of(s, "conv/f16_to_f32.bin", &n_f16);
    const unsigned char *in = data_of(s, "conv/f32_inputs.bin", &n_in);
    const unsigned char *half = data_of(s, "conv/f32_to_f16.bin", &n_half);
    const unsigned char *brain = data_of(s, "conv/f32_to_bf16.bin", &n_brain);
    size_t bad_f16 = 0, bad_half = 0, bad_brain = 0;
    for (uint32_t h = 0; f16 != NULL && h < n_f16 / 4; h++) {
        float x = f16_to_f32((uint16_t)h);
        bad_f16 += memcmp(&x, f16 + 4 * h, sizeof x) != 0;
    }
    for (size_t i = 0; in != NULL && half != NULL && brain != NULL && i < n_in / 4; i++) {
        float x;
        memcpy(&x, in + 4 * i, sizeof x);
        uint16_t h = f32_to_f16(x), b = f32_to_bf16(x);
        bad_half += memcmp(&h, half + 2 * i, sizeof h) != 0;
        bad_brain += memcmp(&b, brain + 2 * i, sizeof b) != 0;
    }
    if (f16 != NULL)
        check_that(s->c, bad_f16 == 0, "quants conv f16_to_f32", "%zu differ", bad_f16);
    if (in == NULL) return;
    check_that(s->c, bad_half == 0, "quants conv f32_to_f16", "%zu differ", bad_half);
    check_that(s->c, bad_brain == 0, "quants conv f32_to_bf16", "%zu differ", bad_brain);
}

void check_quants(struct check *c, const char *dir) {
    struct set s = {.c = c, .dir = dir};
    size_t size;
    if (strcmp(c->backend, "cpu") == 0) {
        s.isa = cpu_pick(os_env("CPU_ISA"));
        if (!check_that(c, s.isa != NULL, dir, "the instruction set cannot be used here")) return;
    }
    char *index = check_read(c, dir, "index.tsv", &size);
    if (index == NULL) return;
    s.items = parse_table(index, MAX_COLS, &s.n_items);
    for (size_t i = 0; i < s.n_items; i++) check_item(&s, &s.items[i]);
    if (check_exists(dir, "dots.tsv")) check_dots(&s);
    check_conv(&s);
    for (int i = 0; i < MAX_FILES; i++) {
        mem_free(s.file[i].name);
        mem_free(s.file[i].data);
    }
    mem_free(s.items);
    mem_free(index);
}
