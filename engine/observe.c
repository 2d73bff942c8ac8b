/* observe.c - who wants to see what goes into products with weights (cria.h): from the ops of a
 * step to one call for each row, matrix and weight. */
#include "engine/engine_impl.h"

/* All weights of an op share their input. */
static void linear(const struct cria_engine *eng, const struct op *op, uint32_t n_rows,
                   const float *x, size_t pitch) {
    for (int k = 0; k < OP_MAX_W && op->w[k] != NULL; k++)
        for (uint32_t r = 0; r < n_rows; r++)
            eng->observe(eng->observe_arg, op->w[k]->name, (size_t)op->w[k]->dim[0], 1, 0,
                         x + r * pitch);
}

/* Slot j of row r goes into the matrix of expert ids[r][j]. */
static void linear_id(const struct cria_engine *eng, const struct op *op, uint32_t n_rows,
                      const float *x, size_t pitch, const float *ids, size_t ids_pitch) {
    const uint32_t n_used = op->p.linear_id.n_used;
    for (int k = 0; k < OP_MAX_W && op->w[k] != NULL; k++) {
        const struct tensor *w = op->w[k];
        const size_t n_cols = (size_t)w->dim[0];
        const size_t piece = op->p.linear_id.per_expert_input ? n_cols : 0;
        for (uint32_t r = 0; r < n_rows; r++)
            for (uint32_t j = 0; j < n_used; j++)
                eng->observe(eng->observe_arg, w->name, n_cols, (size_t)w->dim[2],
                             (size_t)ids[r * ids_pitch + j], x + r * pitch + j * piece);
    }
}

static void product(void *arg, const struct op *op, uint32_t n_rows, const float *x, size_t x_pitch,
                    const float *ids, size_t ids_pitch) {
    const struct cria_engine *eng = arg;
    if (op->code == OP_LINEAR_ID)
        linear_id(eng, op, n_rows, x, x_pitch, ids, ids_pitch);
    else
        linear(eng, op, n_rows, x, x_pitch);
}

void cria_engine_observe(struct cria_engine *eng, cria_observe_fn *fn, void *arg) {
    pthread_mutex_lock(&eng->step_lock);
    eng->observer = (struct step_observer){product, eng};
    eng->observe = fn;
    eng->observe_arg = arg;
    pthread_mutex_unlock(&eng->step_lock);
}
