/* cpu.c - the CPU backend: a team of threads, an instruction set, and the walk over the program.
 *
 * A step is one job of the team: the ops in their order, each in tasks for whoever has time. An op
 * without a kernel here is a single task, done by its definition. Scratch memory of
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

/* Tasks of ops whose work is measured by their output: a worker that is called needs a microsecond
 * or two for that, and as long as this takes another one has finished this much. */
enum { SMALL = 8192 };
static size_t by_size(struct cpu *c, const struct step *s, const struct op *op) {
    const val v = op->out[0] != VAL_NONE ? op->out[0] : op->in[0];
    const size_t size = step_rows(s, v) * s->prog->vals[v].width;
    return size == 0 ? 0 : cpu_shares(c, size / SMALL + 1);
}
static size_t for_all(struct cpu *c, const struct step *s, const struct op *op) {
    (void)op;
    return s->batch->n_tokens == 0 ? 0 : team_size(c->team);
}

static const struct stage {
    cpu_tasks_fn *tasks;
    cpu_fn *run;
} table[OP_COUNT][2] = {
    [OP_EMBED] = {{by_size, cpu_embed}},
    [OP_ROWS] = {{by_size, cpu_rows}},
    [OP_LINEAR] = {{cpu_pack_tasks, cpu_pack}, {cpu_linear_tasks, cpu_linear}},
    [OP_NORM] = {{by_size, cpu_norm}},
    [OP_ADD] = {{by_size, cpu_add}},
    [OP_SCALE] = {{by_size, cpu_scale}},
    [OP_ACT] = {{by_size, cpu_act}},
    [OP_GLU] = {{by_size, cpu_glu}},
    [OP_ROPE] = {{cpu_rope_table_tasks, cpu_rope_table}, {by_size, cpu_rope}},
    [OP_ATTN] = {{cpu_attn_tasks, cpu_attn}},
    [OP_KV_STORE] = {{by_size, cpu_kv_store}},
    [OP_LINEAR_ID] = {{cpu_pack_tasks, cpu_pack}, {cpu_linear_id_tasks, cpu_linear_id}},
    [OP_MUL] = {{by_size, cpu_mul}},
    [OP_HEADS_MM] = {{cpu_pack_tasks, cpu_pack}, {cpu_heads_mm_tasks, cpu_heads_mm}},
    [OP_CONCAT] = {{by_size, cpu_by_rows}},
    [OP_CONV_STATE] = {{for_all, cpu_conv_state}},
    [OP_SSM_SCAN] = {{for_all, cpu_ssm_scan}},
    [OP_DELTA_NET] = {{for_all, cpu_delta_net}},
    [OP_ADAPT] = {{for_all, cpu_by_rows}},
    [OP_COLUMNS] = {{by_size, cpu_by_rows}},
    [OP_RESCALE] = {{by_size, cpu_by_rows}},
    [OP_CLAMP] = {{by_size, cpu_by_rows}},
    [OP_SPARSIFY] = {{by_size, cpu_by_rows}},
    [OP_POS_SCALE] = {{by_size, cpu_by_rows}},
    [OP_ATTN_SELECT] = {{for_all, cpu_by_rows}},
    [OP_MOE_ROUTE] = {{for_all, cpu_by_rows}},
    [OP_MOE_SUM] = {{by_size, cpu_by_rows}},
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
    mem_free(c->gather.data);
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

static enum status cpu_clear(struct device *d, void *dst, size_t n, struct err *e) {
    (void)d;
    (void)e;
    memset(dst, 0, n);
    return ST_OK;
}

/* ---- run ---- */

struct walk { /* the job of a step */
    struct cpu *cpu;
    const struct step *step;
    uint32_t op, stage; /* where it is */
    size_t n_tasks;
};

static void begin_op(const struct walk *w, const struct op *op) {
#ifdef CRIA_HARD
    step_poison(w->step, op);
#endif
    step_observe(w->step, op);
}

static size_t stage_tasks(const struct walk *w) {
    const struct op *op = &w->step->prog->ops[w->op];
    const struct stage *s = &table[op->code][w->stage];
    if (s->tasks != NULL) return s->tasks(w->cpu, w->step, op);
    return w->stage == 0 ? 1 : 0; /* an op without a kernel here: a single task */
}

static unsigned walk_next(void *arg) {
    struct walk *w = arg;
    do {
        if (++w->stage == 2) w->op++, w->stage = 0;
        if (w->op == w->step->prog->n_ops) return 0;
        if (w->stage == 0) begin_op(w, &w->step->prog->ops[w->op]);
        w->n_tasks = stage_tasks(w);
    } while (w->n_tasks == 0);
    assert(w->n_tasks <= UINT32_MAX);
    return (unsigned)w->n_tasks;
}

static void walk_task(void *arg, unsigned task, unsigned worker) {
    const struct walk *w = arg;
    const struct op *op = &w->step->prog->ops[w->op];
    const struct stage *s = &table[op->code][w->stage];
    const struct cpu_task t = {w->cpu, w->cpu->isa, w->step, worker, task, (unsigned)w->n_tasks};
    if (s->run != NULL)
        s->run(&t, op);
    else
        ref_table[op->code](w->step, op);
}

static enum status cpu_run(struct device *d, const struct step *s, struct err *e) {
    struct cpu *c = d->impl;
    c->rope.made_for = NULL;
    for (uint32_t i = 0; i < s->prog->n_ops; i++) {
        const struct op *op = &s->prog->ops[i];
        enum status st = reserve[op->code] != NULL ? reserve[op->code](c, s, op, e) : ST_OK;
        if (st != ST_OK) return st;
    }
    static const struct team_job job = {walk_next, walk_task};
    struct walk walk = {.cpu = c, .step = s, .op = UINT32_MAX, .stage = 1};
    team_run(c->team, &job, &walk);
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
    .clear = cpu_clear,
    .run = cpu_run,
};
