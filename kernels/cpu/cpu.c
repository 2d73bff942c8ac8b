/* cpu.c - the CPU backend: a team of threads, an instruction set, and the walk over the program.
 *
 * One team_run() per step: the workers go through the list of ops in step with each other, with one
 * meeting after each op (and one inside LINEAR, after the activations are packed). An op without a
 * kernel here is done by worker 0 through its definition while the others wait. Scratch memory of
 * the backend grows before the walk, to the size of the largest step so far; a step of a size that
 * has been seen allocates nothing.
 *
 * A device is used by one thread at a time. */
#include "kernels/cpu/cpu.h"

#include <assert.h>
#include <string.h>

#include "base/buf.h"
#include "base/config.h"
#include "base/mem.h"
#include "base/os.h"

static cpu_fn *const table[OP_COUNT] = {
    [OP_EMBED] = cpu_embed,
    [OP_ROWS] = cpu_rows,
    [OP_LINEAR] = cpu_linear,
    [OP_NORM] = cpu_norm,
    [OP_ADD] = cpu_add,
    [OP_SCALE] = cpu_scale,
    [OP_ACT] = cpu_act,
    [OP_GLU] = cpu_glu,
    [OP_ROPE] = cpu_rope,
    [OP_ATTN] = cpu_attn,
    [OP_KV_STORE] = cpu_kv_store,
    [OP_LINEAR_ID] = cpu_linear_id,
    [OP_MUL] = cpu_mul,
    [OP_HEADS_MM] = cpu_heads_mm,
    [OP_CONCAT] = cpu_by_rows,
    [OP_CONV_STATE] = cpu_conv_state,
    [OP_SSM_SCAN] = cpu_ssm_scan,
    [OP_DELTA_NET] = cpu_delta_net,
    [OP_ADAPT] = cpu_by_rows,
    [OP_COLUMNS] = cpu_by_rows,
    [OP_RESCALE] = cpu_by_rows,
    [OP_CLAMP] = cpu_by_rows,
    [OP_SPARSIFY] = cpu_by_rows,
    [OP_POS_SCALE] = cpu_by_rows,
    [OP_ATTN_SELECT] = cpu_by_rows,
    [OP_MOE_ROUTE] = cpu_by_rows,
    [OP_MOE_SUM] = cpu_by_rows,
};

static cpu_reserve_fn *const reserve[OP_COUNT] = {
    [OP_LINEAR] = cpu_reserve_linear,   [OP_LINEAR_ID] = cpu_reserve_linear,
    [OP_HEADS_MM] = cpu_reserve_linear, [OP_ROPE] = cpu_reserve_rope,
    [OP_ATTN] = cpu_reserve_attn,
};

enum status cpu_area_grow(struct cpu_area *a, size_t size, struct err *e) {
    if (size <= a->size) return ST_OK;
    unsigned char *data = mem_aligned(64, size);
    if (data == NULL) return err_no_memory(e);
    mem_free(a->data);
    a->data = data;
    a->size = size;
    return ST_OK;
}

/* ---- open and close ---- */

static enum status no_isa(const char *name, struct err *e) {
    struct buf list = {0};
    for (const struct cpu_isa *const *isa = cpu_isas; *isa != NULL; isa++) {
        if ((*isa)->usable()) buf_printf(&list, " %s", (*isa)->name);
    }
    enum status st =
        err_set(e, ST_INVALID, "instruction set '%s' cannot be used here; there are:%s", name,
                list.failed ? "" : list.data);
    buf_free(&list);
    return st;
}

static void cpu_close(struct device *d) {
    struct cpu *c = d->impl;
    if (c == NULL) return;
    team_close(c->team);
    mem_free(c->acts.data);
    mem_free(c->list.data);
    mem_free(c->attn.data);
    mem_free(c->rope.area.data);
    mem_free(c);
    d->impl = NULL;
}

static enum status cpu_open(struct device *d, const struct device_params *p, struct err *e) {
    const char *name = p != NULL && p->isa != NULL ? p->isa : config_text(SET_cpu_isa);
    const struct cpu_isa *isa = cpu_pick(name);
    if (isa == NULL) return no_isa(name, e);
    struct cpu *c = mem_zalloc(1, sizeof *c);
    if (c == NULL) return err_no_memory(e);
    unsigned n_threads = p != NULL && p->n_threads != 0 ? p->n_threads : os_cpu_count();
    enum status st = team_open(&c->team, n_threads, e);
    if (st != ST_OK) {
        mem_free(c);
        return st;
    }
    c->isa = isa;
    d->impl = c;
    d->isa = isa->name;
    d->n_threads = team_size(c->team);
    d->uses_host_memory = true;
    return ST_OK;
}

/* ---- memory: the host's ---- */

static void *cpu_alloc(struct device *d, size_t size) {
    (void)d;
    return mem_pages(size);
}

static void cpu_release(struct device *d, void *mem) {
    (void)d;
    mem_pages_free(mem);
}

static enum status cpu_copy(struct device *d, void *dst, const void *src, size_t n, struct err *e) {
    (void)d;
    (void)e;
    if (n != 0) memcpy(dst, src, n);
    return ST_OK;
}

/* ---- run ---- */

struct walk {
    struct cpu *cpu;
    const struct step *step;
};

static void poison(struct cpu_worker *w, const struct op *op) {
#ifdef CRIA_HARD
    if (w->id == 0) step_poison(w->step, op);
    team_barrier(w->cpu->team);
#else
    (void)w;
    (void)op;
#endif
}

static void walk_ops(void *arg, unsigned id, unsigned n) {
    const struct walk *walk = arg;
    struct cpu *c = walk->cpu;
    struct cpu_worker w = {c, c->isa, walk->step, id, n, NULL};
    for (uint32_t i = 0; i < walk->step->prog->n_ops; i++) {
        const struct op *op = &walk->step->prog->ops[i];
        poison(&w, op);
        if (id == 0) step_observe(walk->step, op); /* the others begin: both only read the input */
        /* Nobody uses the other counter now: the op before is done, the op after not begun. */
        w.next = &c->next[i & 1];
        if (id == 0) atomic_store_explicit(&c->next[(i + 1) & 1], 0, memory_order_relaxed);
        if (table[op->code] != NULL)
            table[op->code](&w, op);
        else if (id == 0)
            ref_table[op->code](walk->step, op);
        team_barrier(c->team);
    }
}

static enum status cpu_run(struct device *d, const struct step *s, struct err *e) {
    struct cpu *c = d->impl;
    c->rope.made_for = NULL;
    for (uint32_t i = 0; i < s->prog->n_ops; i++) {
        const struct op *op = &s->prog->ops[i];
        enum status st = reserve[op->code] != NULL ? reserve[op->code](c, s, op, e) : ST_OK;
        if (st != ST_OK) return st;
    }
    atomic_store(&c->next[0], 0);
    struct walk walk = {c, s};
    team_run(c->team, walk_ops, &walk);
    return ST_OK;
}

extern const struct backend backend_cpu; /* backends.def */
const struct backend backend_cpu = {
    .name = "cpu",
    .open = cpu_open,
    .close = cpu_close,
    .alloc = cpu_alloc,
    .release = cpu_release,
    .upload = cpu_copy,
    .download = cpu_copy,
    .copy = cpu_copy,
    .run = cpu_run,
};
