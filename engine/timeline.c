/* timeline.c - one sequence driven by hand (cria.h): bench, perplexity, golden tests. */
#include <string.h>

#include "base/mem.h"
#include "engine/engine_impl.h"

struct cria_timeline {
    struct cria_engine *eng;
    int slot;
};

enum status cria_timeline_open(struct cria_timeline **out, struct cria_engine *eng, struct err *e) {
    if (!eng->model->hp.causal)
        return err_set(e, ST_UNSUPPORTED, "the model's tokens see all of their text: no timelines");
    struct cria_timeline *tl = mem_zalloc(1, sizeof *tl);
    if (tl == NULL) return err_no_memory(e);
    struct adapt all;
    engine_adapt(eng, NULL, 0, &all, NULL);
    pthread_mutex_lock(&eng->step_lock);
    *tl = (struct cria_timeline){.eng = eng, .slot = slot_acquire(eng, NULL, &all, 0)};
    pthread_mutex_unlock(&eng->step_lock);
    if (tl->slot == SLOT_NONE) {
        mem_free(tl);
        return err_set(e, ST_BUSY, "all %u sequences of the engine are in use", eng->n_parallel);
    }
    *out = tl;
    return ST_OK;
}

void cria_timeline_close(struct cria_timeline *tl) {
    if (tl == NULL) return;
    pthread_mutex_lock(&tl->eng->step_lock);
    tl->eng->slots[tl->slot].first_pos = 0;
    slot_truncate(tl->eng, tl->slot,
                  0); /* its tokens were not checked by a tokenizer: no prefix cache */
    slot_release(tl->eng, tl->slot);
    pthread_mutex_unlock(&tl->eng->step_lock);
    mem_free(tl);
}

enum status cria_timeline_start_at(struct cria_timeline *tl, uint32_t first_pos, struct err *e) {
    const uint32_t n_ctx_train = tl->eng->model->hp.n_ctx_train;
    if (cria_timeline_len(tl) != 0) return err_set(e, ST_INVALID, "the timeline has begun");
    if (first_pos > n_ctx_train - tl->eng->n_ctx)
        return err_set(e, ST_INVALID, "position %u and a context of %u are more than %u", first_pos,
                       tl->eng->n_ctx, n_ctx_train);
    pthread_mutex_lock(&tl->eng->step_lock);
    tl->eng->slots[tl->slot].first_pos = first_pos;
    pthread_mutex_unlock(&tl->eng->step_lock);
    return ST_OK;
}

enum status cria_timeline_adapt(struct cria_timeline *tl, const struct cria_adapter *list, size_t n,
                                struct err *e) {
    struct adapt a;
    if (cria_timeline_len(tl) != 0) return err_set(e, ST_INVALID, "the timeline has begun");
    enum status st = engine_adapt(tl->eng, list, n, &a, e);
    if (st != ST_OK) return st;
    pthread_mutex_lock(&tl->eng->step_lock);
    tl->eng->slots[tl->slot].adapt = a;
    pthread_mutex_unlock(&tl->eng->step_lock);
    return ST_OK;
}

uint32_t cria_timeline_len(const struct cria_timeline *tl) {
    return (uint32_t)tl->eng->slots[tl->slot].seq.tokens.len;
}

uint32_t cria_timeline_truncate(struct cria_timeline *tl, uint32_t n_tokens) {
    pthread_mutex_lock(&tl->eng->step_lock);
    if (n_tokens < cria_timeline_len(tl)) {
        float *hidden = tl->eng->slots[tl->slot].hidden;
        slot_truncate(tl->eng, tl->slot, n_tokens);
        if (hidden != NULL) memset(hidden, 0, tl->eng->info.n_embd * sizeof *hidden);
    }
    const uint32_t left = cria_timeline_len(tl);
    pthread_mutex_unlock(&tl->eng->step_lock);
    return left;
}

/* What is to be appended: tokens, or an image alone. */
struct piece {
    struct sequence seq;
    const struct cria_image *image; /* NULL: tokens */
    uint32_t done;                  /* entries that the timeline has */
    uint32_t first_wanted;          /* results of these and all behind go to out */
    struct cria_rows out;           /* moves on */
};

/* How many entries the next step takes. */
static uint32_t step_size(const struct cria_engine *eng, const struct piece *p) {
    const uint32_t left = (uint32_t)p->seq.tokens.len - p->done;
    const uint32_t plain = p->first_wanted > p->done ? p->first_wanted - p->done : 0;
    if (p->image != NULL && p->image->non_causal) return left; /* in one step: checked before */
    uint32_t n = left < eng->n_batch ? left : eng->n_batch;
    return n > plain + eng->n_outputs ? plain + eng->n_outputs : n;
}

/* Copies what is asked of the step's wanted rows; `out` moves on. */
static enum status take_results(struct cria_engine *eng, struct cria_rows *out, struct err *e) {
    const size_t n_output = eng->info.n_output, n_embd = eng->info.n_embd;
    const uint32_t n_rows = eng->rows.batch.n_outputs;
    for (uint32_t i = 0; out->logits != NULL && i < n_rows; i++, out->logits += n_output)
        memcpy(out->logits, engine_result(eng, i), n_output * sizeof *out->logits);
    if (eng->info.n_mtp == 0) return ST_OK;
    enum status st = engine_step_mtp(eng, e);
    for (uint32_t i = 0; st == ST_OK && i < n_rows; i++) {
        const float *hidden = eng->hidden + eng->rows.output[i] * n_embd;
        if (out->hidden != NULL) memcpy(out->hidden, hidden, n_embd * sizeof *hidden);
        if (out->hidden != NULL) out->hidden += n_embd;
        if (out->drafts == NULL) continue;
        memcpy(out->drafts, engine_output(eng, &eng->mtp, i), n_output * sizeof *out->drafts);
        out->drafts += n_output;
    }
    return st;
}

static enum status eval_step(struct cria_timeline *tl, struct piece *p, struct err *e) {
    struct cria_engine *eng = tl->eng;
    const uint32_t start = cria_timeline_len(tl), n = step_size(eng, p);
    rows_clear(eng);
    if (p->image != NULL && !rows_reserve_given(eng, n)) return err_no_memory(e);
    if (!slot_extend(eng, tl->slot, &p->seq, p->done, n)) return err_no_memory(e);
    for (uint32_t i = 0; i < n; i++, p->done++) {
        const float *row =
            p->image != NULL ? p->image->rows + (size_t)p->done * p->image->n_out : NULL;
        rows_add(eng, (uint32_t)tl->slot, start + i, row, p->done >= p->first_wanted);
    }
    enum status st = engine_step(eng, e);
    return st == ST_OK ? take_results(eng, &p->out, e) : st;
}

static enum status eval(struct cria_timeline *tl, struct piece *p, struct err *e) {
    struct cria_engine *eng = tl->eng;
    const uint32_t n = (uint32_t)p->seq.tokens.len;
    enum status st = ST_OK;
    pthread_mutex_lock(&eng->step_lock);
    const uint32_t before = cria_timeline_len(tl);
    if (n > eng->n_ctx - before)
        st = err_set(e, ST_LIMIT, "%u tokens more than the context of %u holds",
                     n - (eng->n_ctx - before), eng->n_ctx);
    while (st == ST_OK && p->done < n) st = eval_step(tl, p, e);
    if (st != ST_OK && cria_timeline_len(tl) > before) slot_truncate(eng, tl->slot, before);
    pthread_mutex_unlock(&eng->step_lock);
    return st;
}

enum status cria_timeline_eval(struct cria_timeline *tl, const token_id *tokens, uint32_t n,
                               uint32_t n_logits, float *logits, struct err *e) {
    const struct cria_rows rows = {.n_rows = n_logits, .logits = logits};
    return cria_timeline_eval_rows(tl, tokens, n, &rows, e);
}

enum status cria_timeline_eval_rows(struct cria_timeline *tl, const token_id *tokens, uint32_t n,
                                    const struct cria_rows *rows, struct err *e) {
    struct piece p = {.first_wanted = n - rows->n_rows, .out = *rows};
    enum status st = ST_OK;
    if (tl->eng->info.n_mtp == 0 && (rows->hidden != NULL || rows->drafts != NULL))
        return err_set(e, ST_UNSUPPORTED, "the engine has no block that predicts a further token");
    for (uint32_t i = 0; st == ST_OK && i < n; i++) {
        if (tokens[i] < 0 || (uint32_t)tokens[i] >= tl->eng->model->hp.n_vocab)
            st = err_set(e, ST_INVALID, "token %d is not in the vocabulary", tokens[i]);
        else if (!seq_add(&p.seq, tokens[i]))
            st = err_no_memory(e);
    }
    if (st == ST_OK) st = eval(tl, &p, e);
    seq_free(&p.seq);
    return st;
}

enum status cria_timeline_eval_image(struct cria_timeline *tl, const struct cria_image *image,
                                     struct err *e) {
    struct piece p = {.image = image, .first_wanted = image->n_rows}; /* none */
    enum status st = cria_image_check(tl->eng, image, e);
    if (st == ST_OK && !seq_add_image(&p.seq, image)) st = err_no_memory(e);
    if (st == ST_OK) st = eval(tl, &p, e);
    seq_free(&p.seq);
    return st;
}
