/* device.c - choosing a backend by name; what every op costs. */
#include "kernels/device.h"

#include <string.h>

#include "base/buf.h"

#define BACKEND(name) extern const struct backend backend_##name;
#include "kernels/backends.def"
#undef BACKEND

static const struct backend *const backends[] = {
#define BACKEND(name) &backend_##name,
#include "kernels/backends.def"
#undef BACKEND
};
enum { N_BACKENDS = sizeof backends / sizeof backends[0] };

const struct op_info op_infos[OP_COUNT] = {
#define OP(NAME, name, ins, outs, weights, text) [OP_##NAME] = {#name, text, ins, outs, weights},
#include "kernels/ops.def"
#undef OP
};

static const struct backend *find(const char *name) {
    if (name == NULL || name[0] == '\0') return backends[0];
    for (size_t i = 0; i < N_BACKENDS; i++)
        if (strcmp(backends[i]->name, name) == 0) return backends[i];
    return NULL;
}

enum status device_open(struct device *d, const char *name, const struct device_params *p,
                        struct err *e) {
    const struct backend *b = find(name);
    *d = (struct device){0};
    if (b == NULL) {
        char list[128] = "";
        for (size_t i = 0; i < N_BACKENDS; i++) {
            strncat(list, " ", sizeof list - strlen(list) - 1);
            strncat(list, backends[i]->name, sizeof list - strlen(list) - 1);
        }
        return err_set(e, ST_NOT_FOUND, "backend '%s' is not known; there are:%s", name, list);
    }
    enum status st = b->open(d, p, e);
    if (st == ST_OK) d->backend = b;
    return st;
}

void device_close(struct device *d) {
    if (d->backend != NULL) d->backend->close(d);
    *d = (struct device){0};
}

void step_observe(const struct step *s, const struct op *op) {
    const struct step_observer *o = s->observer;
    if (o == NULL || (op->code != OP_LINEAR && op->code != OP_LINEAR_ID)) return;
    const struct value *x = &s->prog->vals[op->in[0]];
    const float *ids = NULL;
    size_t ids_pitch = 0;
    if (op->code == OP_LINEAR_ID) {
        ids = step_row(s, op->in[1], 0);
        ids_pitch = s->prog->vals[op->in[1]].pitch;
    }
    o->product(o->arg, op, step_rows(s, op->in[0]), step_row(s, op->in[0], 0), x->pitch, ids,
               ids_pitch);
}

static uint64_t weight_cost(const struct tensor *w, uint64_t rows, struct op_cost *c) {
    uint64_t n_out = (uint64_t)(w->dim[1] * w->dim[2] * w->dim[3]);
    c->weight_bytes += n_out * w->stride[1];
    return rows * n_out * (uint64_t)w->dim[0];
}

/* Of n_expert matrices at most rows * n_used are read. */
static uint64_t expert_cost(const struct tensor *w, uint64_t rows, uint32_t n_used,
                            struct op_cost *c) {
    uint64_t chosen = rows * n_used < (uint64_t)w->dim[2] ? rows * n_used : (uint64_t)w->dim[2];
    c->weight_bytes += chosen * w->stride[2];
    return rows * n_used * (uint64_t)(w->dim[0] * w->dim[1]);
}

static void attn_cost(const struct step *s, const struct op *op, struct op_cost *c) {
    const struct tensor *k = &s->kv->k[op->p.attn.layer], *v = &s->kv->v[op->p.attn.layer];
    for (uint32_t t = 0; t < s->batch->n_tokens; t++) {
        uint64_t cells = step_end_cell(s, t, op) - step_first_cell(s, t, op);
        if (op->in[1] != VAL_NONE && cells > s->prog->vals[op->in[1]].width)
            cells = s->prog->vals[op->in[1]].width;
        c->kv_bytes +=
            cells * op->p.attn.n_head_kv * (k->stride[1] + (op->p.attn.latent ? 0 : v->stride[1]));
        c->macs += cells * op->p.attn.n_head * (op->p.attn.head_dim + op->p.attn.head_dim_v);
    }
}

struct op_cost op_cost(const struct step *s, const struct op *op) {
    struct op_cost c = {0};
    const uint32_t rows = op->in[0] != VAL_NONE ? step_rows(s, op->in[0]) : s->n_rows[ROWS_TOKENS];
    for (int i = 0; i < OP_MAX_IN; i++)
        if (op->in[i] != VAL_NONE)
            c.act_bytes += (uint64_t)step_rows(s, op->in[i]) * s->prog->vals[op->in[i]].width * 4;
    for (int i = 0; i < OP_MAX_OUT; i++)
        if (op->out[i] != VAL_NONE)
            c.act_bytes += (uint64_t)step_rows(s, op->out[i]) * s->prog->vals[op->out[i]].width * 4;
    if (op->code == OP_ATTN) attn_cost(s, op, &c);
    if (op->code == OP_EMBED && op->w[0] != NULL)
        c.weight_bytes += (uint64_t)rows * op->w[0]->stride[1];
    if (op->code == OP_HEADS_MM) c.macs += weight_cost(op->w[0], rows, &c);
    if (op->code == OP_LINEAR)
        for (int i = 0; i < OP_MAX_W && op->w[i] != NULL; i++)
            c.macs += weight_cost(op->w[i], rows, &c);
    if (op->code == OP_LINEAR_ID)
        for (int i = 0; i < OP_MAX_W && op->w[i] != NULL; i++)
            c.macs += expert_cost(op->w[i], rows, op->p.linear_id.n_used, &c);
    return c;
}
