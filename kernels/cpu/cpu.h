/* cpu.h - inside of the CPU backend: the device, and how ops are split into tasks for its workers.
 *
 * An op is one stage of a job (base/team.h), or two: what must be done before, and the op. A stage
 * has a function that tells how many tasks there are in this step, and one that does a task. How an
 * op is split never shows in its results. */
#ifndef CRIA_KERNELS_CPU_CPU_H
#define CRIA_KERNELS_CPU_CPU_H

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
    struct cpu_area acts;   /* packed activation rows, one part for each kind (cpu_linear.c) */
    struct cpu_area list;   /* LINEAR_ID: which rows chose which expert */
    size_t n_chosen;        /* experts */
    struct cpu_area gather; /* what an expert multiplies, one part for each worker */
    struct cpu_area attn;   /* scores, one part for each worker */
    struct cpu_rope rope;
};

struct cpu_task {
    struct cpu *cpu;
    const struct cpu_isa *isa;
    const struct step *step;
    unsigned worker; /* whose part of the scratch memory it may use */
    unsigned id, n;  /* this one of n */
};

typedef void cpu_fn(const struct cpu_task *w, const struct op *op);
cpu_fn cpu_embed, cpu_rows, cpu_norm, cpu_add, cpu_mul, cpu_scale, cpu_act, cpu_glu; /* cpu_row.c */
cpu_fn cpu_by_rows; /* cpu_row.c: the definition, rows shared out */
cpu_fn cpu_pack, cpu_linear, cpu_linear_id, cpu_heads_mm; /* cpu_linear.c */
cpu_fn cpu_rope_table, cpu_rope, cpu_kv_store, cpu_attn;  /* cpu_attn.c */
cpu_fn cpu_conv_state, cpu_ssm_scan, cpu_delta_net;       /* cpu_recur.c */

/* The number of tasks. Called alone, right before the stage: it may prepare what they share. */
typedef size_t cpu_tasks_fn(struct cpu *c, const struct step *s, const struct op *op);
cpu_tasks_fn cpu_pack_tasks, cpu_linear_tasks, cpu_linear_id_tasks, cpu_heads_mm_tasks;
cpu_tasks_fn cpu_rope_table_tasks, cpu_attn_tasks;

/* Grows the areas that the op needs in this step. */
typedef enum status cpu_reserve_fn(struct cpu *c, const struct step *s, const struct op *op,
                                   struct err *e);
cpu_reserve_fn cpu_reserve_linear, cpu_reserve_rope, cpu_reserve_attn;
enum status cpu_area_grow(struct cpu_area *a, size_t size, struct err *e);

/* Tasks that share n things out: one for each worker, not more than there are things. */
static inline size_t cpu_shares(const struct cpu *c, size_t n) {
    const size_t workers = team_size(c->team);
    return n < workers ? n : workers;
}
/* The task's share of n things: begin..end-1. */
static inline void cpu_share(const struct cpu_task *w, size_t n, size_t *begin, size_t *end) {
    *begin = n * w->id / w->n;
    *end = n * (w->id + 1) / w->n;
}

#endif
