/* step.c - one step of an engine (engine_impl.h): the rows of its batch, the programs that run over
 * them, and where their results are. */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "engine/engine_impl.h"

/* Nothing of it stays for the rows of others (S-LC-8). */
void rows_clear(struct cria_engine *eng) {
    struct row_batch *r = &eng->rows;
    memset(r->token, 0, r->batch.n_tokens * sizeof *r->token);
    if (r->n_given != 0) memset(r->given, 0, (size_t)r->n_given * eng->n_given * sizeof *r->given);
    eng->rows.batch.n_tokens = eng->rows.batch.n_outputs = eng->rows.n_given = 0;
}

bool rows_full(const struct cria_engine *eng) {
    return eng->rows.batch.n_tokens >= eng->n_batch || eng->rows.batch.n_outputs == eng->n_outputs;
}

bool rows_reserve_given(struct cria_engine *eng, uint32_t n) {
    struct row_batch *r = &eng->rows;
    if (n > r->cap_given - r->n_given) {
        void *p = mem_grow(r->given, (size_t)(r->n_given + n) * eng->n_given, sizeof *r->given);
        if (p == NULL) return false;
        r->given = p;
        r->cap_given = r->n_given + n;
    }
    return true;
}

void rows_position(struct cria_engine *eng, uint32_t t, uint32_t first, struct position p) {
    struct row_batch *r = &eng->rows;
    r->pos[t] = (int32_t)(first + p.at[0]);
    for (uint32_t i = 1; r->axes != NULL && i < 4; i++)
        r->axes[3 * (size_t)t + i - 1] = (int32_t)(first + p.at[i]);
}

uint32_t rows_add(struct cria_engine *eng, uint32_t slot, uint32_t index, const float *given,
                  bool wanted) {
    struct row_batch *r = &eng->rows;
    const struct slot *sl = &eng->slots[slot];
    const uint32_t t = r->batch.n_tokens++;
    const token_id token = sl->seq.tokens.ids[index];
    assert(t < eng->n_rows && (token == CRIA_TOKEN_IMAGE) == (given != NULL));
    assert(given != NULL || (token >= 0 && (uint32_t)token < eng->model->hp.n_vocab));
    r->token[t] = given != NULL ? -1 : token;
    rows_position(eng, t, sl->first_pos, seq_position(&sl->seq, index));
    r->seq[t] = slot;
    r->index[t] = index;
    r->kv_len[t] = index + 1;
    rows_adapt(eng, t, index, &eng->slots[slot].adapt);
    if (given != NULL) {
        const struct image_span *span = seq_span(&sl->seq, index);
        assert(r->n_given < r->cap_given);
        memcpy(r->given + (size_t)r->n_given++ * eng->n_given, given, eng->n_given * sizeof *given);
        if (span->image.non_causal) r->kv_len[t] = span->first + span->image.n_rows;
    }
    if (!wanted) return 0;
    assert(r->batch.n_outputs < eng->n_outputs);
    r->output[r->batch.n_outputs] = t;
    return r->batch.n_outputs++;
}

void rows_adapt(struct cria_engine *eng, uint32_t t, uint32_t index, const struct adapt *a) {
    const uint32_t n = eng->model->adapters.n;
    for (uint32_t k = 0; k < n; k++)
        eng->rows.adapt[t * n + k] = index >= a->from[k] ? a->scale[k] : 0;
}

enum status engine_adapt(const struct cria_engine *eng, const struct cria_adapter *list, size_t n,
                         struct adapt *out, struct err *e) {
    const uint32_t n_adapters = eng->model->adapters.n;
    *out = (struct adapt){.from = {0}};
    for (uint32_t k = 0; k < n_adapters; k++) out->scale[k] = list == NULL ? 1 : 0;
    for (size_t i = 0; list != NULL && i < n; i++) {
        if (list[i].id >= n_adapters)
            return err_set(e, ST_INVALID, "adapter %u does not exist: the model has %u", list[i].id,
                           n_adapters);
        if (!isfinite(list[i].scale))
            return err_set(e, ST_INVALID, "the scale of adapter %u is not a finite number",
                           list[i].id);
        out->scale[list[i].id] = list[i].scale;
    }
    return ST_OK;
}

void step_enter(struct cria_engine *eng) {
    pthread_mutex_lock(&eng->turn_lock);
    pthread_mutex_lock(&eng->step_lock);
    pthread_mutex_unlock(&eng->turn_lock);
}

enum status engine_check_intact(const struct cria_engine *eng, struct err *e) {
    const struct adapters *a = &eng->model->adapters;
    enum status st = gguf_check_whole(eng->model->gguf, e);
    for (uint32_t i = 0; i < a->n && st == ST_OK; i++) st = gguf_check_whole(a->gguf[i], e);
    return st;
}

bool cria_engine_intact(const struct cria_engine *eng) {
    return engine_check_intact(eng, NULL) == ST_OK;
}

enum status engine_run(struct cria_engine *eng, const struct program *prog, struct kv *kv,
                       const float *embd, uint32_t n_results, struct err *e) {
    struct batch batch = eng->rows.batch;
    batch.embd = embd;
    batch.embd_width = embd == eng->rows.given ? eng->n_given : 0;
    batch.beside = eng->before;
    const struct step s = {.prog = prog,
                           .batch = &batch,
                           .kv = kv != NULL ? &kv->cache : NULL,
                           .n_rows = {eng->rows.batch.n_tokens, eng->rows.batch.n_outputs},
                           .scratch = eng->scratch,
                           .observer = eng->observe != NULL ? &eng->observer : NULL};
    enum status st = eng->dev.backend->run(&eng->dev, &s, e);
    if (st == ST_OK) st = engine_check_intact(eng, e);
    if (st != ST_OK || eng->results == NULL || n_results == 0) return st;
    const struct value *out = &prog->vals[prog->output];
    return eng->dev.backend->download(&eng->dev, eng->results,
                                      (unsigned char *)eng->scratch + out->off,
                                      (size_t)n_results * out->pitch * sizeof(float), e);
}

enum status engine_step(struct cria_engine *eng, struct err *e) {
    return engine_run(eng, &eng->prog, eng->kv, eng->rows.given, eng->rows.batch.n_outputs, e);
}

const float *engine_output(const struct cria_engine *eng, const struct program *prog,
                           uint32_t row) {
    const struct value *out = &prog->vals[prog->output];
    const void *base = eng->results != NULL
                           ? (const void *)eng->results
                           : (const void *)((const unsigned char *)eng->scratch + out->off);
    return (const float *)base + (size_t)row * out->pitch;
}

enum status engine_kept(struct cria_engine *eng, const struct program *prog, float *to,
                        struct err *e) {
    const struct value *v = &prog->vals[prog->hidden];
    const unsigned char *from = (const unsigned char *)eng->scratch + v->off;
    enum status st = ST_OK;
    for (uint32_t t = 0; st == ST_OK && t < eng->rows.batch.n_tokens; t++)
        st = eng->dev.backend->download(&eng->dev, to + (size_t)t * v->width,
                                        from + (size_t)t * v->pitch * sizeof *to,
                                        v->width * sizeof *to, e);
    return st;
}

/* Row t gets what was kept of the token before it: in this step, or by its slot. */
static void take_before(struct cria_engine *eng) {
    const struct row_batch *r = &eng->rows;
    const size_t n = eng->model->hp.n_embd;
    for (uint32_t t = 0; t < r->batch.n_tokens; t++) {
        float *to = eng->before + t * n;
        const struct slot *s = &eng->slots[r->seq[t]];
        if (r->index[t] == 0)
            memset(to, 0, n * sizeof *to);
        else if (t > 0 && r->seq[t - 1] == r->seq[t])
            memcpy(to, eng->hidden + (t - 1) * n, n * sizeof *to);
        else
            memcpy(to, s->hidden, n * sizeof *to);
    }
    for (uint32_t t = 0; t < r->batch.n_tokens; t++)
        memcpy(eng->slots[r->seq[t]].hidden, eng->hidden + t * n, n * sizeof *eng->hidden);
}

enum status engine_step_mtp(struct cria_engine *eng, struct err *e) {
    enum status st = engine_kept(eng, &eng->prog, eng->hidden, e);
    if (st != ST_OK) return st;
    take_before(eng);
    return engine_run(eng, &eng->mtp, eng->kv, eng->rows.given, eng->rows.batch.n_outputs, e);
}

const float *engine_result(const struct cria_engine *eng, uint32_t row) {
    return engine_output(eng, &eng->prog, row);
}
