/* check_quants_dots.c - dots.tsv of a set of block formats: products of weight rows and activation
 * rows, by decoding and multiplying (backend ref) or by the kernels of the instruction set in use
 * (cpu; CRIA_CPU_ISA). */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "golden/check_quants.h"

enum { D_TYPE, D_CASE, D_ROW, D_IMATRIX, D_ACT, D_ACT_TYPE, D_F32, D_INT, D_SCALE, D_COLS };

/* Squared errors of one weight type, ours and the peer's: for activations of another form. */
static struct errors {
    double ours, theirs;
    unsigned n;
} other[DT_COUNT];

static double dot_ref(const struct dtype_info *t, const unsigned char *w, const float *a,
                      size_t n) {
    float *x = mem_array(n, sizeof *x);
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
    isa_dot(isa, t, n, w, dtype_row_bytes(t, n), 1, row, act_row_bytes(kind, n), 1, &y, 1);
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
        check_that(s->c, fabs(got - f32) <= 2e-6 * scale, set_where(l), "row %s: %.9g for %.9g",
                   l->col[D_ROW], got, f32);
    } else if (same_activations(kind, l->col[D_ACT_TYPE])) {
        check_that(s->c, fabs(got - whole) <= 4e-6 * scale, set_where(l), "row %s: %.9g for %.9g",
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
        check_skip(s->c, l->col[D_TYPE], "quants: dots of types that are not computed with");
        return;
    }
    const struct line *wl =
        set_find(s, "quant", l->col[D_TYPE], l->col[D_CASE], l->col[D_IMATRIX], NULL);
    const struct line *al = set_find(s, "activation", "F32", l->col[D_ACT], "-", NULL);
    size_t w_bytes = 0, n = 0, row = strtoull(l->col[D_ROW], NULL, 10);
    const unsigned char *w = wl != NULL ? set_bytes(s, wl, I_Q, &w_bytes) : NULL;
    float *a = al != NULL ? set_floats(s, al, I_Q, &n) : NULL;
    bool there =
        w != NULL && a != NULL && n % info->elems == 0 && w_bytes / dtype_row_bytes(t, n) > row;
    if (check_that(s->c, there, l->col[D_TYPE], "dot of %s: its data is missing", l->col[D_CASE])) {
        w += row * dtype_row_bytes(t, n);
        judge_dot(s, l, t, s->isa != NULL ? dot_isa(s->isa, t, w, a, n) : dot_ref(info, w, a, n));
    }
    mem_free(a);
}

void check_quants_dots(struct set *s) {
    size_t size, n;
    if (!check_exists(s->dir, "dots.tsv")) return;
    char *text = check_read(s->c, s->dir, "dots.tsv", &size);
    if (text == NULL) return;
    struct line *lines = set_table(text, D_COLS, &n);
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
