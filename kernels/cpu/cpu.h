/* cpu.h - inside of the CPU backend: the device, its workers, and how ops are split among them.
 *
 * All workers walk the list of ops together; after each op they meet (cpu.c). An op's function is
 * called by every worker and does that worker's part: a fixed share (cpu_share), or tasks taken
 * from a counter (cpu_task) where the parts are long enough that a worker which lost its processor
 * would hold up the others. How an op is split never shows in its results. */
#ifndef CRIA_KERNELS_CPU_CPU_H
#define CRIA_KERNELS_CPU_CPU_H

#include <stdatomic.h>

#include "base/team.h"
#include "kernels/cpu/isa.h"
#include "kernels/device.h"

/* Memory that grows to what the largest step so far needed; owned by the device. */
struct cpu_area {
    unsigned char *data;
    size_t size;
};

/* cos and sin of every row of the step for one kind of rope (cpu_attn.c). */
struct cpu_rope {
    struct cpu_area area;      /* float [n_tokens][n_rot / 2][2] */
    const struct op *made_for; /* the op whose parameters it has; NULL: none in this step */
};

struct cpu {
    struct team *team;
    const struct cpu_isa *isa;
    struct cpu_area acts; /* packed activation rows, one part for each kind (cpu_linear.c) */
    struct cpu_area list; /* LINEAR_ID: which rows chose which expert */
    struct cpu_area attn; /* scores, one part for each worker */
    struct cpu_rope rope;
    atomic_uint next[2]; /* task counters: of this op, and of the next one (0) */
};

struct cpu_worker {
    struct cpu *cpu;
    const struct cpu_isa *isa;
    const struct step *step;
    unsigned id, n;
    atomic_uint *next;
};

typedef void cpu_fn(struct cpu_worker *w, const struct op *op);
cpu_fn cpu_embed, cpu_rows, cpu_norm, cpu_add, cpu_mul, cpu_scale, cpu_act, cpu_glu; /* cpu_row.c */
cpu_fn cpu_by_rows;                                 /* cpu_row.c: the definition, rows shared out */
cpu_fn cpu_linear, cpu_linear_id, cpu_heads_mm;     /* cpu_linear.c */
cpu_fn cpu_rope, cpu_kv_store, cpu_attn;            /* cpu_attn.c */
cpu_fn cpu_conv_state, cpu_ssm_scan, cpu_delta_net; /* cpu_recur.c */

/* Grows the areas that the op needs in this step. */
typedef enum status cpu_reserve_fn(struct cpu *c, const struct step *s, const struct op *op,
                                   struct err *e);
cpu_reserve_fn cpu_reserve_linear, cpu_reserve_rope, cpu_reserve_attn;
enum status cpu_area_grow(struct cpu_area *a, size_t size, struct err *e);

/* This worker's share of n things: begin..end-1. */
static inline void cpu_share(const struct cpu_worker *w, size_t n, size_t *begin, size_t *end) {
    *begin = n * w->id / w->n;
    *end = n * (w->id + 1) / w->n;
}
/* The next task of this op; every number is given out once. */
static inline unsigned cpu_task(struct cpu_worker *w) {
    return atomic_fetch_add_explicit(w->next, 1, memory_order_relaxed);
}

#endif
