/* isa.h - the table of kernels that each instruction set provides.
 *
 * Every kernel exists once as text (*.inc over simd.h) and is compiled once per ISA; isa_<name>.c
 * yields one const table. cpu.c picks one at start. Kernels work on plain memory, never on a
 * program: cpu.c does the splitting among workers.
 *
 * Invariance: a result for one activation row never depends on how many rows are processed
 * together. Every kernel keeps one fixed order of summation per row. */
#ifndef CRIA_KERNELS_CPU_ISA_H
#define CRIA_KERNELS_CPU_ISA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/dtype.h"
#include "kernels/op.h"
#include "kernels/step.h"

/* Activations as the dot kernels want them. One row of n elements in one piece of memory,
 * act_row_bytes(kind, n) long, 64-byte aligned; the parts follow each other:
 *   ACT_ROW_F32   float x[n]
 *   ACT_ROW_Q8    int8 q[n]; float d[n/32]; int16 sum[n/16]    blocks of 32 (codes and d as Q8_0 of
 *                 spec/quants.md 4: d rounded to f16), and the sums of 16 codes each
 * K-quants use the same rows: a scale for each 32 activations is finer than Q8_K's for 256, and
 * where activations are heavy-tailed (after a GLU) that halves the error of the logits. */
enum act_row { ACT_ROW_F32, ACT_ROW_Q8, ACT_ROW_KINDS };
size_t act_row_bytes(enum act_row kind, size_t n);

/* y[j * y_pitch + i] = dot of weight row i (w + i * w_stride, n elements) with activation row j
 * (a + j * a_stride), i < n_rows, j < n_cols. */
typedef void dot_fn(size_t n, const void *w, size_t w_stride, size_t n_rows, const void *a,
                    size_t a_stride, size_t n_cols, float *y, size_t y_pitch);

typedef void dot_any_fn(enum dtype t, size_t n, const void *w, size_t w_stride, size_t n_rows,
                        const void *a, size_t a_stride, size_t n_cols, float *y, size_t y_pitch);

/* Attention of one row and one kv head: the n_head / n_head_kv query heads of its group. */
struct attn_args {
    const float *q;                       /* [group][head_dim] */
    float *out;                           /* [group][head_dim_v] */
    float *tmp;                           /* attn_tmp_floats() of the same shapes */
    uint32_t group, head_dim, head_dim_v; /* v may be k: its first elements are the values */
    float scale, softcap;
    const struct tensor *k, *v; /* cache planes */
    const struct kv_seq *seq;
    uint32_t head_kv, begin, end; /* cells begin..end-1 are visible */
    const float *list;  /* NULL, or those cells in rising order: begin and end count in it */
    const float *sinks; /* NULL, or [group] a score without a value */
    const float *slope; /* NULL, or [group] ALiBi: minus slope * distance to cell `index` */
    uint32_t index;
};

/* Scores, their largest, their sum, slopes; a page of keys and values if they must be decoded. */
static inline size_t attn_tmp_floats(size_t group, const struct tensor *k, const struct tensor *v) {
    bool plain = k->type == v->type && (k->type == DT_F16 || k->type == DT_F32);
    return group * (KV_PAGE + 3) + (plain ? 0 : KV_PAGE * (size_t)(k->dim[0] + v->dim[0]));
}

struct cpu_isa {
    const char *name;
    bool (*usable)(void);           /* the processor and the system support it */
    enum act_row act_row[DT_COUNT]; /* what the dot kernel of a weight type wants */
    dot_fn *dot[DT_COUNT];          /* NULL: no kernel; isa_dot then decodes and multiplies */
    dot_any_fn *dot_any;
    void (*pack[ACT_ROW_KINDS])(const float *x, size_t n, void *row); /* f32 to activation row */
    /* w and b may be NULL */
    void (*norm)(enum norm_kind kind, const float *x, const float *w, const float *b, float *y,
                 size_t n, float eps);
    void (*add)(const float *a, const float *b, float *y, size_t n);
    void (*mul)(const float *a, const float *b, float *y, size_t n);
    void (*scale)(const float *x, float *y, size_t n, float a, float b);
    void (*act)(enum act kind, float cap, const float *x, float *y, size_t n);
    void (*glu)(enum act kind, const float *gate, const float *up, float *y, size_t n);
    void (*attn)(const struct attn_args *a);
};

/* The products of rows of any type that can be decoded; the activation rows are of the kind that
 * act_row tells. */
static inline void isa_dot(const struct cpu_isa *isa, enum dtype t, size_t n, const void *w,
                           size_t w_stride, size_t n_rows, const void *a, size_t a_stride,
                           size_t n_cols, float *y, size_t y_pitch) {
    if (isa->dot[t] != NULL)
        isa->dot[t](n, w, w_stride, n_rows, a, a_stride, n_cols, y, y_pitch);
    else
        isa->dot_any(t, n, w, w_stride, n_rows, a, a_stride, n_cols, y, y_pitch);
}

/* Best first, NULL-terminated. The last one is scalar, which is always usable. */
extern const struct cpu_isa *const cpu_isas[];
const struct cpu_isa *cpu_pick(const char *name); /* NULL name: best usable; NULL: not there */

/* The `usable` functions (isa.c): compiled for the base instruction set, unlike the tables. */
bool cpu_has_scalar(void), cpu_has_avx2(void), cpu_has_avx512(void), cpu_has_avx512vnni(void);
bool cpu_has_neon(void), cpu_has_dotprod(void);

#endif
