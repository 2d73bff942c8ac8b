/* cpu_linear.c - matrix products.
 *
 * First the activation rows are packed into the form the weight types want (isa.h), shared out by
 * rows; F32 rows are used where they are. Then a task is a chunk of weight rows. It goes through
 * the activations in blocks of COL_BLOCK rows, so that both stay in the second-level cache while
 * weights come from memory once.
 *
 * HEADS_MM is a product for each head: its rows are pieces of the value's rows.
 *
 * The products with chosen experts (LINEAR_ID) sort the (row, slot) pairs by expert, so that each
 * expert's matrix is read once however many rows chose it. */
#include <assert.h>
#include <string.h>

#include "kernels/cpu/cpu.h"

enum { COL_BLOCK = 64, CHUNK_BYTES = 128 * 1024, CHUNKS_PER_WORKER = 8 };

/* The activation rows of an op: `n` of them, each `width` long. */
struct acts {
    size_t n, width;
    size_t per_row; /* activation rows in a row of the value: 1, or one for each expert slot */
    size_t step; /* from one of them to the next in a row: width, or more where heads have tails */
    val in;
};

static struct acts acts_of(const struct step *s, const struct op *op) {
    const size_t width = (size_t)op->w[0]->dim[0];
    struct acts a = {step_rows(s, op->in[0]), width, 1, width, op->in[0]};
    if (op->code == OP_LINEAR_ID && op->p.linear_id.per_expert_input)
        a.per_row = op->p.linear_id.n_used;
    if (op->code == OP_HEADS_MM) {
        a.per_row = op->p.heads_mm.n_head;
        a.step += op->p.heads_mm.tail;
    }
    a.n *= a.per_row;
    assert(s->prog->vals[op->in[0]].width == a.step * a.per_row);
    return a;
}

static const float *act_source(const struct step *s, const struct acts *a, size_t j) {
    return step_row(s, a->in, (uint32_t)(j / a->per_row)) + j % a->per_row * a->step;
}

static bool uses_q8(const struct cpu_isa *isa, const struct op *op) {
    for (int k = 0; k < OP_MAX_W && op->w[k] != NULL; k++) {
        if (isa->act_row[op->w[k]->type] == ACT_ROW_Q8) return true;
    }
    return false;
}

/* ---- before the walk: memory ---- */

struct moe_list {     /* in cpu->list */
    uint32_t *first;  /* [n_expert + 1] where an expert's pairs begin */
    uint32_t *chosen; /* [n_expert] the experts that have any */
    uint32_t *pair;   /* [n_rows * n_used] row * n_used + slot, sorted by expert */
};
static struct moe_list moe_list_at(const struct cpu *c, size_t n_expert) {
    uint32_t *first = (uint32_t *)(void *)c->list.data;
    return (struct moe_list){first, first + n_expert + 1, first + 2 * n_expert + 1};
}

/* What a worker multiplies with an expert's chunk at once: room for the activation rows of so many
 * pairs, and for their results with so many weight rows. */
enum { GATHER_PAIRS = 16, GATHER_ROWS = 64 };
static size_t gather_row(size_t width) {
    return act_row_bytes(ACT_ROW_F32, width); /* the larger kind */
}
static size_t gather_part(size_t width) {
    return GATHER_PAIRS * (gather_row(width) + GATHER_ROWS * sizeof(float));
}

enum status cpu_reserve_linear(struct cpu *c, const struct step *s, const struct op *op,
                               struct err *e) {
    const struct acts a = acts_of(s, op);
    for (int k = 0; k < OP_MAX_W && op->w[k] != NULL; k++) {
        if (dtype_info(op->w[k]->type)->decode != NULL) continue;
        return err_set(e, ST_UNSUPPORTED, "tensor '%s': no product for its type", op->w[k]->name);
    }
    size_t packed = uses_q8(c->isa, op) ? a.n * act_row_bytes(ACT_ROW_Q8, a.width) : 0;
    enum status st = cpu_area_grow(&c->acts, packed, e);
    if (st != ST_OK || op->code != OP_LINEAR_ID) return st;
    size_t pairs = (size_t)step_rows(s, op->in[0]) * op->p.linear_id.n_used;
    st = cpu_area_grow(&c->gather, team_size(c->team) * gather_part(a.width), e);
    if (st != ST_OK) return st;
    return cpu_area_grow(&c->list, (pairs + 2 * (size_t)op->w[0]->dim[2] + 1) * sizeof(uint32_t),
                         e);
}

/* ---- activations ---- */

size_t cpu_pack_tasks(struct cpu *c, const struct step *s, const struct op *op) {
    return uses_q8(c->isa, op) ? cpu_shares(c, acts_of(s, op).n) : 0;
}

void cpu_pack(const struct cpu_task *w, const struct op *op) {
    const struct acts a = acts_of(w->step, op);
    size_t begin, end, bytes = act_row_bytes(ACT_ROW_Q8, a.width);
    cpu_share(w, a.n, &begin, &end);
    for (size_t j = begin; j < end; j++) {
        w->isa->pack[ACT_ROW_Q8](act_source(w->step, &a, j), a.width,
                                 w->cpu->acts.data + j * bytes);
    }
}

/* First activation row in the form that weight matrix k wants, and the bytes from row to row (of
 * F32 from row to row of the value: expert_chunk knows the pieces in it). */
static const void *act_rows(const struct cpu_task *w, const struct op *op, const struct acts *a,
                            int k, size_t *stride) {
    enum act_row kind = w->isa->act_row[op->w[k]->type];
    if (kind == ACT_ROW_F32) {
        *stride = w->step->prog->vals[a->in].pitch * sizeof(float);
        return step_row(w->step, a->in, 0);
    }
    *stride = act_row_bytes(kind, a->width);
    return w->cpu->acts.data;
}

/* ---- LINEAR ---- */

/* How the rows of a weight matrix are cut. */
struct chunks {
    size_t rows, n; /* rows in a chunk, chunks */
};
/* A chunk is not more than fits the cache, and there are several for each worker; `total` rows are
 * multiplied in this stage. */
static struct chunks chunks_of(const struct tensor *t, size_t total, unsigned n_workers) {
    size_t rows = total / (n_workers * CHUNKS_PER_WORKER) + 1;
    size_t fit = CHUNK_BYTES / t->stride[1] + 1;
    if (rows > fit) rows = fit;
    rows = (rows + 15) / 16 * 16;
    return (struct chunks){rows, ((size_t)t->dim[1] + rows - 1) / rows};
}
/* Rows of chunk i. */
static size_t chunk_length(const struct chunks *c, const struct tensor *t, size_t i) {
    const size_t left = (size_t)t->dim[1] - i * c->rows;
    return left < c->rows ? left : c->rows;
}

/* y = W x + b for rows first..first+n-1 of matrix k and all activation rows. */
static void linear_chunk(const struct cpu_task *w, const struct op *op, int k, size_t first,
                         size_t n, const struct acts *a) {
    const struct tensor *t = op->w[k];
    const struct value *out = &w->step->prog->vals[op->out[k]];
    const float *bias = op->b[k] != NULL ? (const float *)op->b[k]->data + first : NULL;
    size_t stride;
    const unsigned char *x = act_rows(w, op, a, k, &stride);
    for (size_t j = 0; j < a->n; j += COL_BLOCK) {
        size_t cols = a->n - j < COL_BLOCK ? a->n - j : COL_BLOCK;
        float *y = step_row(w->step, op->out[k], (uint32_t)j) + first;
        isa_dot(w->isa, t->type, a->width, tensor_row(t, (int64_t)first), t->stride[1], n,
                x + j * stride, stride, cols, y, out->pitch);
        for (size_t c = 0; bias != NULL && c < cols; c++) {
            w->isa->add(y + c * out->pitch, bias, y + c * out->pitch, n);
        }
    }
}

static struct chunks linear_chunks(const struct cpu *c, const struct op *op, int k) {
    size_t total = 0;
    for (int i = 0; i < OP_MAX_W && op->w[i] != NULL; i++) total += (size_t)op->w[i]->dim[1];
    return chunks_of(op->w[k], total, team_size(c->team));
}

size_t cpu_linear_tasks(struct cpu *c, const struct step *s, const struct op *op) {
    size_t n = 0;
    if (acts_of(s, op).n == 0) return 0; /* a step without outputs: no head */
    for (int k = 0; k < OP_MAX_W && op->w[k] != NULL; k++) n += linear_chunks(c, op, k).n;
    return n;
}

/* The chunks of all matrices are counted through. */
void cpu_linear(const struct cpu_task *w, const struct op *op) {
    const struct acts a = acts_of(w->step, op);
    size_t i = w->id;
    int k = 0;
    struct chunks c = linear_chunks(w->cpu, op, 0);
    for (; i >= c.n; c = linear_chunks(w->cpu, op, k)) i -= c.n, k++;
    assert(op->w[k]->dim[0] == op->w[0]->dim[0]);
    linear_chunk(w, op, k, i * c.rows, chunk_length(&c, op->w[k], i), &a);
}

/* ---- LINEAR_ID ---- */

/* Counting sort of the (row, slot) pairs by expert. Returns how many experts have any. */
static size_t sort_by_expert(const struct cpu *c, const struct step *s, const struct op *op) {
    const uint32_t n_used = op->p.linear_id.n_used, n_expert = (uint32_t)op->w[0]->dim[2];
    const uint32_t n_rows = step_rows(s, op->in[1]);
    struct moe_list l = moe_list_at(c, n_expert);
    size_t n_chosen = 0;
    memset(l.first, 0, (n_expert + 1) * sizeof *l.first);
    for (uint32_t r = 0; r < n_rows; r++) {
        const float *ids = step_row(s, op->in[1], r);
        for (uint32_t j = 0; j < n_used; j++) {
            assert(ids[j] >= 0 && ids[j] < (float)n_expert);
            l.first[(uint32_t)ids[j] + 1]++;
        }
    }
    for (uint32_t x = 0; x < n_expert; x++) l.first[x + 1] += l.first[x];
    for (uint32_t p = n_rows * n_used; p-- > 0;) { /* first[x + 1] falls to the start of x */
        uint32_t x = (uint32_t)step_row(s, op->in[1], p / n_used)[p % n_used];
        l.pair[--l.first[x + 1]] = p;
    }
    memmove(l.first, l.first + 1, n_expert * sizeof *l.first);
    l.first[n_expert] = n_rows * n_used;
    for (uint32_t x = 0; x < n_expert; x++)
        if (l.first[x] != l.first[x + 1]) l.chosen[n_chosen++] = x;
    return n_chosen;
}

/* An expert's part of matrix k: weight rows first..first+n-1, for every pair that chose it. */
struct expert_part {
    const struct op *op;
    const struct acts *a;
    const struct tensor *t;
    const void *weights;
    const float *bias; /* [n] or NULL */
    int k;
    size_t first, n;
};

static const void *pair_acts(const struct cpu_task *w, const struct expert_part *x, uint32_t pair) {
    const size_t j = x->a->per_row == 1 ? pair / x->op->p.linear_id.n_used : pair;
    size_t stride;
    if (w->isa->act_row[x->t->type] == ACT_ROW_F32) return act_source(w->step, x->a, j);
    const unsigned char *rows = act_rows(w, x->op, x->a, x->k, &stride);
    return rows + j * stride;
}
static float *pair_out(const struct cpu_task *w, const struct expert_part *x, uint32_t pair) {
    const uint32_t n_used = x->op->p.linear_id.n_used;
    return step_row(w->step, x->op->out[x->k], pair / n_used) +
           pair % n_used * (size_t)x->t->dim[1] + x->first;
}

static void expert_pair(const struct cpu_task *w, const struct expert_part *x, uint32_t pair) {
    float *y = pair_out(w, x, pair);
    isa_dot(w->isa, x->t->type, x->a->width, x->weights, x->t->stride[1], x->n,
            pair_acts(w, x, pair), 0, 1, y, 0);
    if (x->bias != NULL) w->isa->add(y, x->bias, y, x->n);
}

/* Several pairs at once, as tiles want them: activations and results go through memory where they
 * are side by side. */
static void expert_pairs(const struct cpu_task *w, const struct expert_part *x,
                         const uint32_t *pair, size_t n_pairs) {
    const enum act_row kind = w->isa->act_row[x->t->type];
    const size_t stride = act_row_bytes(kind, x->a->width);
    unsigned char *acts = w->cpu->gather.data + w->worker * gather_part(x->a->width);
    float *y = (float *)(void *)(acts + GATHER_PAIRS * gather_row(x->a->width));
    for (size_t i = 0; i < n_pairs; i++)
        memcpy(acts + i * stride, pair_acts(w, x, pair[i]),
               kind == ACT_ROW_F32 ? x->a->width * sizeof(float) : stride);
    for (size_t r = 0; r < x->n; r += GATHER_ROWS) {
        const size_t n = x->n - r < GATHER_ROWS ? x->n - r : GATHER_ROWS;
        isa_dot(w->isa, x->t->type, x->a->width,
                (const unsigned char *)x->weights + r * x->t->stride[1], x->t->stride[1], n, acts,
                stride, n_pairs, y, GATHER_ROWS);
        for (size_t i = 0; i < n_pairs; i++) {
            float *out = pair_out(w, x, pair[i]) + r;
            if (x->bias != NULL)
                w->isa->add(y + i * GATHER_ROWS, x->bias + r, out, n);
            else
                memcpy(out, y + i * GATHER_ROWS, n * sizeof *out);
        }
    }
}

static void expert_chunk(const struct cpu_task *w, const struct op *op, int k, uint32_t expert,
                         size_t first, size_t n, const struct acts *a) {
    const struct tensor *t = op->w[k];
    const struct moe_list l = moe_list_at(w->cpu, (size_t)t->dim[2]);
    const float *bias = op->b[k] != NULL ? op->b[k]->data : NULL; /* [out][n_expert] */
    const struct expert_part x = {
        .op = op,
        .a = a,
        .t = t,
        .weights = tensor_row(t, (int64_t)expert * t->dim[1] + (int64_t)first),
        .bias = bias != NULL ? bias + (size_t)expert * (size_t)t->dim[1] + first : NULL,
        .k = k,
        .first = first,
        .n = n};
    for (uint32_t p = l.first[expert], end = l.first[expert + 1]; p < end;) {
        const size_t some = end - p < GATHER_PAIRS ? end - p : GATHER_PAIRS;
        if (some >= 4)
            expert_pairs(w, &x, l.pair + p, some);
        else
            for (size_t i = 0; i < some; i++) expert_pair(w, &x, l.pair[p + i]);
        p += (uint32_t)some;
    }
}

static struct chunks expert_chunks(const struct cpu *c, const struct op *op, int k) {
    return chunks_of(op->w[k], (size_t)op->w[k]->dim[1], team_size(c->team));
}

size_t cpu_linear_id_tasks(struct cpu *c, const struct step *s, const struct op *op) {
    size_t chunks = 0;
    if (acts_of(s, op).n == 0) return 0;
    for (int k = 0; k < OP_MAX_W && op->w[k] != NULL; k++) chunks += expert_chunks(c, op, k).n;
    c->n_chosen = sort_by_expert(c, s, op);
    return chunks * c->n_chosen;
}

/* Matrix after matrix, in each expert after expert, in each chunk after chunk. */
void cpu_linear_id(const struct cpu_task *w, const struct op *op) {
    const struct acts a = acts_of(w->step, op);
    const size_t n_chosen = w->cpu->n_chosen;
    size_t i = w->id;
    int k = 0;
    struct chunks c = expert_chunks(w->cpu, op, 0);
    for (; i >= c.n * n_chosen; c = expert_chunks(w->cpu, op, k)) i -= c.n * n_chosen, k++;
    const uint32_t x = moe_list_at(w->cpu, (size_t)op->w[0]->dim[2]).chosen[i / c.n];
    i %= c.n;
    expert_chunk(w, op, k, x, i * c.rows, chunk_length(&c, op->w[k], i), &a);
}

/* ---- HEADS_MM ---- */

/* Rows first..first+n-1 of head h's matrix and that head of all activation rows. */
static void heads_chunk(const struct cpu_task *w, const struct op *op, uint32_t h, size_t first,
                        size_t n, const struct acts *a) {
    const struct tensor *t = op->w[0];
    const struct value *out = &w->step->prog->vals[op->out[0]];
    const size_t col = h * ((size_t)t->dim[1] + op->p.heads_mm.tail), n_rows = a->n / a->per_row;
    const void *weights = tensor_row(t, (int64_t)h * t->dim[1] + (int64_t)first);
    size_t stride;
    const unsigned char *x = act_rows(w, op, a, 0, &stride);
    if (w->isa->act_row[t->type] == ACT_ROW_F32) {
        x = (const unsigned char *)act_source(w->step, a, h);
    } else {
        x += h * stride;
        stride *= a->per_row;
    }
    for (size_t j = 0; j < n_rows; j += COL_BLOCK) {
        size_t cols = n_rows - j < COL_BLOCK ? n_rows - j : COL_BLOCK;
        isa_dot(w->isa, t->type, a->width, weights, t->stride[1], n, x + j * stride, stride, cols,
                step_row(w->step, op->out[0], (uint32_t)j) + col + first, out->pitch);
    }
}

/* The tails of head h: not a part of the product. */
static void heads_tail(const struct cpu_task *w, const struct op *op, uint32_t h,
                       const struct acts *a) {
    const size_t out = (size_t)op->w[0]->dim[1], tail = op->p.heads_mm.tail;
    for (size_t r = 0; r < a->n / a->per_row; r++)
        memcpy(step_row(w->step, op->out[0], (uint32_t)r) + h * (out + tail) + out,
               act_source(w->step, a, r * a->per_row + h) + a->width, tail * sizeof(float));
}

size_t cpu_heads_mm_tasks(struct cpu *c, const struct step *s, const struct op *op) {
    const struct acts a = acts_of(s, op);
    (void)c;
    assert(op->w[0]->dim[2] == (int64_t)op->p.heads_mm.n_head);
    return a.n == 0 ? 0 : chunks_of(op->w[0], (size_t)op->w[0]->dim[1], 1).n * a.per_row;
}

void cpu_heads_mm(const struct cpu_task *w, const struct op *op) {
    const struct acts a = acts_of(w->step, op);
    const struct chunks c = chunks_of(op->w[0], (size_t)op->w[0]->dim[1], 1);
    const uint32_t h = (uint32_t)(w->id / c.n);
    const size_t i = w->id % c.n;
    if (i == 0) heads_tail(w, op, h, &a);
    heads_chunk(w, op, h, i * c.rows, chunk_length(&c, op->w[0], i), &a);
}
