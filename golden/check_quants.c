/* check_quants.c - golden-check of the block formats (kind quants; contract: the README of the
 * folder, spec/quants.md).
 *
 * index.tsv here: decoders must give the golden values bit by bit; encoders the golden bytes, or,
 * where codes are searched, at most the golden error; activation rows packed by the CPU kernels
 * must have the codes of Q8_0. Products are in check_quants_dots.c, conversions in
 * check_quants_conv.c. */
#include <lzma.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/os.h"
#include "golden/check_quants.h"

/* ---- decoders ---- */

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
    size_t q_bytes, deq_bytes, n, n_want;
    const unsigned char *q = set_bytes(s, l, I_Q, &q_bytes),
                        *deq = set_bytes(s, l, I_DEQ, &deq_bytes);
    n = q_bytes / t->bytes * t->elems;
    float *x = mem_array(n + 1, sizeof *x), *want = NULL;
    t->decode(q, x, n);
    bool ok = strcmp(l->col[I_CRC_DEQ], "-") == 0;
    if (deq != NULL) {
        want = set_floats(s, l, I_DEQ, &n_want);
        ok = deq_bytes == n * sizeof *x && same_value_bits(x, want, n);
    } else if (!ok) {
        ok = crc_is(l->col[I_CRC_DEQ], crc_of_values(x, n));
    }
    mem_free(x);
    mem_free(want);
    return ok;
}

/* ---- encoders ---- */

/* An input matrix, the importance of its columns (NULL: none), and what cria makes of it. */
struct encoded {
    size_t rows, cols, bytes;
    float *x, *iw;
    unsigned char *block;
};

static void free_encoded(struct encoded *m) {
    mem_free(m->x);
    mem_free(m->iw);
    mem_free(m->block);
}

static bool encode(struct set *s, const struct line *l, enum dtype t, struct encoded *m) {
    const struct dtype_info *info = dtype_info(t);
    const struct line *in = set_find(s, "input", "F32", l->col[I_CASE], "-", NULL), *iw = NULL;
    size_t n = 0, n_iw = 0;
    *m = (struct encoded){.rows = strtoull(l->col[I_ROWS], NULL, 10),
                          .cols = strtoull(l->col[I_COLS], NULL, 10)};
    m->x = in != NULL ? set_floats(s, in, I_Q, &n) : NULL;
    if (!check_that(s->c, m->x != NULL && m->cols % info->elems == 0 && n == m->rows * m->cols,
                    set_where(l), "its input is missing"))
        return false;
    if (strcmp(l->col[I_IMATRIX], "-") != 0) {
        iw = set_find(s, "imatrix", "F32", l->col[I_IMATRIX], "-", l->col[I_COLS]);
        m->iw = iw != NULL ? set_floats(s, iw, I_Q, &n_iw) : NULL;
        if (!check_that(s->c, m->iw != NULL && n_iw == m->cols, set_where(l),
                        "its importance vector is missing"))
            return false;
    }
    size_t row = dtype_row_bytes(t, m->cols);
    m->bytes = m->rows * row;
    m->block = mem_alloc(m->bytes + 1);
    for (size_t r = 0; r < m->rows; r++) {
        const float *x = m->x + r * m->cols;
        if (strcmp(l->col[I_KIND], "ref") == 0)
            dtype_encode_fast(t, x, m->block + r * row, m->cols);
        else
            info->encode(x, m->block + r * row, m->cols, m->iw);
    }
    return true;
}

/* Root of the mean squared error, each column counted by its importance. */
static double error_of(const struct encoded *m, const float *y) {
    double sum = 0, weights = 0;
    for (size_t i = 0; i < m->rows * m->cols; i++) {
        double e = (double)m->x[i] - (double)y[i];
        double w = m->iw != NULL ? (double)m->iw[i % m->cols] : 1;
        sum += w * e * e;
        weights += w;
    }
    return sqrt(sum / weights);
}

static bool same_numbers(const struct dtype_info *t, const unsigned char *want, const float *y,
                         size_t n) {
    float *z = mem_array(n + 1, sizeof *z);
    bool ok = true;
    t->decode(want, z, n);
    for (size_t i = 0; i < n; i++) ok = ok && y[i] == z[i];
    mem_free(z);
    return ok;
}

/* The golden bytes are right for every class; else it depends on how strict the class is. */
static void judge(struct set *s, const struct line *l, const struct dtype_info *t,
                  const struct encoded *m) {
    size_t q_bytes, n = m->rows * m->cols;
    const unsigned char *want = set_bytes(s, l, I_Q, &q_bytes);
    const char *cmp = l->col[I_CMP];
    if (crc_is(l->col[I_CRC_Q], lzma_crc32(m->block, m->bytes, 0))) {
        check_pass(s->c);
        return;
    }
    float *y = mem_array(n + 1, sizeof *y);
    t->decode(m->block, y, n);
    if (strcmp(cmp, "value") == 0 && want != NULL && q_bytes == m->bytes) {
        check_that(s->c, same_numbers(t, want, y, n), set_where(l), "encoded values differ");
    } else if (strcmp(cmp, "rmse") == 0) { /* the figures have nine digits */
        double slack = strcmp(l->col[I_KIND], "rmse") == 0 ? 1 + 1e-8 : 1.02;
        double limit = strtod(l->col[m->iw != NULL ? I_WRMSE : I_RMSE], NULL) * slack;
        double error = error_of(m, y);
        check_that(s->c, error <= limit, set_where(l), "error %.9g, limit %.9g", error, limit);
    } else {
        check_fail(s->c, set_where(l), "encoded bytes differ");
    }
    mem_free(y);
}

/* Lines quant, ref, rmse, blocks, blocks_raw: the given bytes are decoded; inputs are encoded. */
static void check_format(struct set *s, const struct line *l, enum dtype t) {
    size_t n;
    const struct dtype_info *info = dtype_info(t);
    const char *kind = l->col[I_KIND], *cmp = l->col[I_CMP];
    bool has_bytes = set_bytes(s, l, I_Q, &n) != NULL, blocks = strncmp(kind, "blocks", 6) == 0;
    struct encoded m = {0};
    if (has_bytes) check_that(s->c, decodes(s, l, info), set_where(l), "decoded values differ");
    if (blocks && !has_bytes) set_skip(s, l, "blocks are not in this set");
    if (blocks || strcmp(cmp, "info") == 0) return;
    if (info->encode == NULL)
        set_skip(s, l, "encoder is not there");
    else if (encode(s, l, t, &m))
        judge(s, l, info, &m);
    free_encoded(&m);
}

/* ---- activations ---- */

static bool same_q8(const unsigned char *want, const unsigned char *row, size_t n) {
    for (size_t b = 0; b < n / 32; b++) {
        float d;
        memcpy(&d, row + n + b * sizeof d, sizeof d);
        uint16_t h = (uint16_t)(want[34 * b] | want[34 * b + 1] << 8);
        if (d != f16_to_f32(h) || memcmp(want + 34 * b + 2, row + 32 * b, 32) != 0) return false;
    }
    return true;
}

/* Packed by the kernels, into rows of their own layout; blocks do not know rows. */
static void check_packed(struct set *s, const struct line *l, const unsigned char *want,
                         const float *x, size_t n) {
    unsigned char *row = mem_aligned(64, act_row_bytes(ACT_ROW_Q8, n));
    s->isa->pack[ACT_ROW_Q8](x, n, row);
    check_that(s->c, same_q8(want, row, n), set_where(l), "%s: packed activations differ",
               s->isa->name);
    mem_free(row);
}

static void check_activation(struct set *s, const struct line *l, enum dtype t) {
    const struct dtype_info *info = dtype_info(t);
    const struct line *in = set_find(s, "activation", "F32", l->col[I_CASE], "-", NULL);
    size_t n = 0, q_bytes = 0;
    const unsigned char *want = set_bytes(s, l, I_Q, &q_bytes);
    float *x = in != NULL ? set_floats(s, in, I_Q, &n) : NULL;
    bool there = want != NULL && x != NULL && n % info->elems == 0;
    if (check_that(s->c, there && q_bytes == dtype_row_bytes(t, n), set_where(l),
                   "its data is missing")) {
        unsigned char *q = mem_alloc(q_bytes);
        info->encode(x, q, n, NULL);
        check_that(s->c, memcmp(q, want, q_bytes) == 0, set_where(l), "encoded bytes differ");
        mem_free(q);
        if (t == DT_Q8_0 && s->isa != NULL) check_packed(s, l, want, x, n);
    }
    mem_free(x);
}

static void check_item(struct set *s, const struct line *l) {
    const char *kind = l->col[I_KIND];
    const enum dtype id = dtype_by_name(l->col[I_TYPE]);
    const struct dtype_info *t = dtype_info(id);
    bool activation = strcmp(kind, "activation_q") == 0;
    if (strcmp(l->col[I_CMP], "data") == 0 && !activation) return;
    if (t == NULL || t->decode == NULL)
        set_skip(s, l, "is no type of arithmetic");
    else if (activation)
        check_activation(s, l, id);
    else
        check_format(s, l, id);
}

void check_quants(struct check *c, const char *dir) {
    struct set s;
    const struct cpu_isa *isa = NULL;
    if (strcmp(c->backend, "cpu") == 0) {
        isa = cpu_pick(os_env("CPU_ISA"));
        if (!check_that(c, isa != NULL, dir, "the instruction set cannot be used here")) return;
    }
    if (!set_open(&s, c, dir)) return;
    s.isa = isa;
    for (size_t i = 0; i < s.n_items; i++) check_item(&s, &s.items[i]);
    check_quants_dots(&s);
    check_quants_conv(&s);
    set_close(&s);
}
