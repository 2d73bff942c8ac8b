/* cpu_row.c - the ops that work row by row, shared out in pieces of a row, so that a step of one
 * row keeps all workers busy. */
#include <assert.h>
#include <string.h>

#include "kernels/cpu/cpu.h"

void cpu_embed(const struct cpu_task *w, const struct op *op) {
    const struct batch *b = w->step->batch;
    const struct tensor *table = op->w[0];
    size_t begin, end, given = 0, width = w->step->prog->vals[op->out[0]].width;
    const size_t given_width = b->embd_width != 0 ? b->embd_width : width;
    const bool takes = op->p.embed.kind == EMBED_TOKENS || op->p.embed.kind == EMBED_GIVEN;
    cpu_share(w, b->n_tokens, &begin, &end);
    if (op->p.embed.kind == EMBED_BESIDE) {
        for (size_t t = begin; t < end; t++)
            memcpy(step_row(w->step, op->out[0], (uint32_t)t), b->beside + t * width,
                   width * sizeof(float));
        return;
    }
    const struct dtype_info *type = table != NULL ? dtype_info(table->type) : NULL;
    assert(op->p.embed.kind == EMBED_GIVEN || (type != NULL && type->decode != NULL));
    for (size_t t = 0; t < end; t++) {
        float *y = step_row(w->step, op->out[0], (uint32_t)t);
        int32_t at = op->p.embed.kind == EMBED_POSITIONS ? b->pos[t] : b->token[t];
        if (takes && at < 0) {
            const float *from = b->embd + given * given_width + op->p.embed.col;
            if (t >= begin) memcpy(y, from, width * sizeof *y);
            given++; /* rows of other tasks are counted too */
        } else if (op->p.embed.kind == EMBED_GIVEN) {
            if (t >= begin) memset(y, 0, width * sizeof *y);
        } else if (t >= begin) {
            if (op->p.embed.kind == EMBED_FIRST) at = 0;
            type->decode(tensor_row(table, at >= 0 ? at : 0), y, width);
            if (op->p.embed.scale != 1.0f) w->isa->scale(y, y, width, op->p.embed.scale, 0);
        }
    }
}

void cpu_rows(const struct cpu_task *w, const struct op *op) {
    size_t begin, end, bytes = w->step->prog->vals[op->out[0]].width * sizeof(float);
    cpu_share(w, w->step->batch->n_outputs, &begin, &end);
    for (uint32_t o = (uint32_t)begin; o < end; o++) {
        memcpy(step_row(w->step, op->out[0], o),
               step_row(w->step, op->in[0], w->step->batch->output[o]), bytes);
    }
}

void cpu_norm(const struct cpu_task *w, const struct op *op) {
    const struct step *s = w->step;
    const float *weight = op->w[0] != NULL ? op->w[0]->data : NULL;
    const float *bias = op->b[0] != NULL ? op->b[0]->data : NULL;
    size_t group = op->p.norm.group, pieces = s->prog->vals[op->in[0]].width / group, begin, end;
    size_t n_w = op->w[0] != NULL ? (size_t)(op->w[0]->dim[0] * op->w[0]->dim[1]) : group;
    assert(n_w % group == 0 && (op->w[0] == NULL || op->w[0]->type == DT_F32));
    cpu_share(w, step_rows(s, op->in[0]) * pieces, &begin, &end);
    for (size_t k = begin; k < end; k++) {
        uint32_t r = (uint32_t)(k / pieces);
        size_t i = k % pieces * group;
        const float *wi = weight != NULL ? weight + i % n_w : NULL;
        w->isa->norm(op->p.norm.kind, step_row(s, op->in[0], r) + i, wi,
                     bias != NULL ? bias + i % n_w : NULL, step_row(s, op->out[0], r) + i, group,
                     op->p.norm.eps);
    }
}

/* Pointwise ops: calls fn for each piece of at most PIECE elements of the task's share. */
enum { PIECE = 1024 };
struct piece {
    const float *a, *b; /* b: the second input, or the weight; NULL if there is neither */
    float *y;
    size_t n;
};
typedef void piece_fn(const struct cpu_task *w, const struct op *op, const struct piece *p);

static void pointwise(const struct cpu_task *w, const struct op *op, piece_fn *fn) {
    const struct step *s = w->step;
    size_t width = s->prog->vals[op->out[0]].width, pieces = (width + PIECE - 1) / PIECE, begin,
           end;
    cpu_share(w, step_rows(s, op->out[0]) * pieces, &begin, &end);
    for (size_t k = begin; k < end; k++) {
        uint32_t r = (uint32_t)(k / pieces);
        size_t i = k % pieces * PIECE;
        struct piece p = {.a = step_row(s, op->in[0], r) + i, .y = step_row(s, op->out[0], r) + i};
        if (op->in[1] != VAL_NONE) p.b = step_row(s, op->in[1], r) + i;
        if (op->w[0] != NULL) p.b = (const float *)op->w[0]->data + i;
        p.n = width - i < PIECE ? width - i : PIECE;
        fn(w, op, &p);
    }
}

static void piece_add(const struct cpu_task *w, const struct op *op, const struct piece *p) {
    (void)op;
    w->isa->add(p->a, p->b, p->y, p->n);
}
static void piece_scale(const struct cpu_task *w, const struct op *op, const struct piece *p) {
    w->isa->scale(p->a, p->y, p->n, op->p.scale.a, op->p.scale.b);
}
static void piece_act(const struct cpu_task *w, const struct op *op, const struct piece *p) {
    w->isa->act(op->p.act.kind, op->p.act.cap, p->a, p->y, p->n);
}
static void piece_glu(const struct cpu_task *w, const struct op *op, const struct piece *p) {
    w->isa->glu(op->p.glu.kind, p->a, p->b, p->y, p->n);
}

static void piece_mul(const struct cpu_task *w, const struct op *op, const struct piece *p) {
    (void)op;
    w->isa->mul(p->a, p->b, p->y, p->n);
}

/* One factor for each piece of a row, or one for each element. */
void cpu_mul(const struct cpu_task *w, const struct op *op) {
    const struct step *s = w->step;
    const float *weight = op->w[0] != NULL ? op->w[0]->data : NULL;
    size_t width = s->prog->vals[op->out[0]].width, begin, end;
    size_t n = weight != NULL ? (size_t)op->w[0]->dim[0] : s->prog->vals[op->in[1]].width;
    if (n == width) {
        pointwise(w, op, piece_mul);
        return;
    }
    cpu_share(w, step_rows(s, op->out[0]) * n, &begin, &end);
    for (size_t k = begin; k < end; k++) {
        uint32_t r = (uint32_t)(k / n);
        size_t i = k % n * (width / n);
        float factor = weight != NULL ? weight[k % n] : step_row(s, op->in[1], r)[k % n];
        w->isa->scale(step_row(s, op->in[0], r) + i, step_row(s, op->out[0], r) + i, width / n,
                      factor, 0);
    }
}

/* Gate and up of each piece side by side in one input. */
static void glu_halves(const struct cpu_task *w, const struct op *op) {
    const struct step *s = w->step;
    size_t n = op->p.glu.piece, pieces = s->prog->vals[op->out[0]].width / n, begin, end;
    cpu_share(w, step_rows(s, op->out[0]) * pieces, &begin, &end);
    for (size_t k = begin; k < end; k++) {
        uint32_t r = (uint32_t)(k / pieces);
        const float *gate = step_row(s, op->in[0], r) + k % pieces * 2 * n;
        w->isa->glu(op->p.glu.kind, gate, gate + n, step_row(s, op->out[0], r) + k % pieces * n, n);
    }
}

void cpu_add(const struct cpu_task *w, const struct op *op) { pointwise(w, op, piece_add); }
void cpu_scale(const struct cpu_task *w, const struct op *op) { pointwise(w, op, piece_scale); }
void cpu_act(const struct cpu_task *w, const struct op *op) { pointwise(w, op, piece_act); }
void cpu_glu(const struct cpu_task *w, const struct op *op) {
    if (op->in[1] == VAL_NONE)
        glu_halves(w, op);
    else
        pointwise(w, op, piece_glu);
}

/* Ops that are rare or small: their definition, the rows shared out. */
void cpu_by_rows(const struct cpu_task *w, const struct op *op) {
    struct step part = *w->step;
    size_t begin, end;
    const enum rows kind = part.prog->vals[op->in[0]].rows;
    cpu_share(w, part.n_rows[kind], &begin, &end);
    part.first_row = (uint32_t)begin;
    part.n_rows[kind] = (uint32_t)end;
    if (begin < end) ref_table[op->code](&part, op);
}
