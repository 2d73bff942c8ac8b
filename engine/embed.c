/* embed.c - vectors of texts (cria.h; spec/models/common.md 8).
 *
 * Texts are packed: a step takes as many whole ones as there are rows, each a sequence of its own.
 * All tokens of a text of an encoder see each other, so such a text is never cut; a causal one that
 * is longer than a step goes through in several. Two programs: the body gives the wanted rows' last
 * hidden state; pooling happens here; the head (rerank scores, projections) takes pooled vectors.
 * The cache is the embedder's own, made when first needed and as large as texts have been: nothing
 * in it outlives a step group, and it takes no cells from generations. */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "engine/engine_impl.h"

enum { MAX_PACKED = 64 }; /* texts in a step: each takes a page at least */

struct embedder {
    struct program body, head;
    bool has_head;
    enum dtype kv_type;
    struct kv *kv;
    uint32_t longest; /* tokens that kv has room for in a sequence */
    uint32_t n_embd, n_pooled;
};

/* ---- opening ----------------------------------------------------------------------------------
 */

static enum status seal(struct recorder *r, val output, uint32_t n_batch, struct err *e) {
    const uint32_t max_rows[ROWS_KINDS] = {n_batch, n_batch}; /* each row may be wanted */
    return program_seal(r, output, max_rows, e);
}

static enum status record_head(struct cria_engine *eng, struct embedder *m, struct err *e) {
    struct recorder r = {.prog = &m->head};
    val output;
    model_record_head(eng->model, &r, &output);
    enum status st = seal(&r, output, eng->n_batch, e);
    if (st == ST_OK) m->n_pooled = m->head.vals[output].width;
    return st;
}

enum status embed_open(struct cria_engine *eng, enum dtype kv_type, struct err *e) {
    struct embedder *m = mem_zalloc(1, sizeof *m);
    val output = VAL_NONE;
    if (m == NULL) return err_no_memory(e);
    eng->embed = m;
    m->kv_type = eng->model->hp.causal ? kv_type : DT_F32; /* encoders know no rounded keys */
    m->n_embd = m->n_pooled = eng->model->hp.n_embd;
    m->has_head = model_has_head(eng->model);
    struct recorder body = {.prog = &m->body};
    model_record(eng->model, &body, PROGRAM_EMBEDDING, eng->n_ctx, &output);
    enum status st = seal(&body, output, eng->n_batch, e);
    if (st == ST_OK && m->has_head) st = record_head(eng, m, e);
    return st;
}

void embed_close(struct cria_engine *eng) {
    struct embedder *m = eng->embed;
    if (m == NULL) return;
    kv_close(m->kv);
    program_free(&m->body);
    program_free(&m->head);
    mem_free(m);
    eng->embed = NULL;
}

size_t embed_scratch(const struct cria_engine *eng) {
    const struct embedder *m = eng->embed;
    return m->body.scratch > m->head.scratch ? m->body.scratch : m->head.scratch;
}

size_t embed_results(const struct cria_engine *eng) {
    const struct embedder *m = eng->embed;
    size_t width = m->body.vals[m->body.output].pitch;
    if (m->has_head && m->head.vals[m->head.output].pitch > width)
        width = m->head.vals[m->head.output].pitch;
    return eng->n_batch * width * sizeof(float);
}

/* ---- one group: texts that share steps (step_lock held) ----------------------------------------
 */

struct group {
    struct cria_engine *eng;
    const struct cria_embed_request *r;
    const struct cria_text *text; /* [n] */
    struct adapt adapt, of_text;  /* how much they get of the adapters; the text at hand */
    uint32_t n;
    size_t n_vecs; /* n, or all tokens of the texts */
    bool to_head;
    double *sum; /* [n][n_embd] of what is pooled */
    float *x;    /* [n_vecs][n_embd]: out itself, or what goes to the head */
    float *out;  /* where the group's vectors go */
};

/* Room for sequences of `longest` tokens, and for a step full of short ones. */
static enum status reserve_cells(struct cria_engine *eng, size_t longest, struct err *e) {
    struct embedder *m = eng->embed;
    if (m->kv != NULL && longest <= m->longest) return ST_OK;
    uint32_t n = 2 * m->longest > longest ? 2 * m->longest : (uint32_t)longest;
    if (n > eng->n_ctx) n = eng->n_ctx;
    const uint32_t seq_pages = n / KV_PAGE + 1, pages = eng->n_batch / KV_PAGE + MAX_PACKED;
    kv_close(m->kv);
    m->kv = NULL;
    m->longest = 0;
    enum status st = kv_open(&m->kv, eng->model, seq_pages * KV_PAGE, pages / seq_pages + 1,
                             MAX_PACKED, 0, m->kv_type, e);
    if (st == ST_OK) m->longest = n;
    return st;
}

static enum cria_pooling row_pooling(const struct group *g) {
    const struct model *m = g->eng->model;
    if (g->r->pooling != CRIA_POOL_RANK) return g->r->pooling;
    if (m->arch->style.cls_act != ACT_NONE) return CRIA_POOL_MEAN; /* modern-bert */
    return m->hp.causal ? CRIA_POOL_LAST : CRIA_POOL_CLS;
}

static bool is_wanted(enum cria_pooling pooling, size_t i, size_t n) {
    return pooling == CRIA_POOL_CLS ? i == 0 : pooling != CRIA_POOL_LAST || i + 1 == n;
}

/* Row i of text k. */
static void add_row(struct group *g, uint32_t k, size_t i, enum cria_pooling pooling) {
    struct row_batch *r = &g->eng->rows;
    const uint32_t t = r->batch.n_tokens++;
    const size_t n = g->text[k].n;
    if (i == 0) {
        g->of_text = g->adapt;
        adapt_find_begin(&g->of_text, &g->eng->model->adapters, g->text[k].ids, n);
    }
    r->token[t] = g->text[k].ids[i];
    rows_position(g->eng, t, 0,
                  (struct position){{(uint32_t)i, (uint32_t)i, (uint32_t)i, (uint32_t)i}});
    r->seq[t] = k;
    r->index[t] = (uint32_t)i;
    rows_adapt(g->eng, t, (uint32_t)i, &g->of_text);
    r->kv_len[t] = g->eng->model->hp.causal ? (uint32_t)i + 1 : (uint32_t)n;
    if (is_wanted(pooling, i, n)) r->output[r->batch.n_outputs++] = t;
}

/* What the step gave, to where it belongs. Rows of NONE come in the order of the texts. */
static void take_rows(struct group *g, enum cria_pooling pooling, size_t *n_done) {
    const struct row_batch *r = &g->eng->rows;
    const uint32_t n_embd = g->eng->embed->n_embd;
    for (uint32_t o = 0; o < r->batch.n_outputs; o++) {
        const float *x = engine_output(g->eng, &g->eng->embed->body, o);
        const uint32_t k = r->seq[r->output[o]];
        double *sum = g->sum + (size_t)k * n_embd;
        if (pooling == CRIA_POOL_NONE)
            memcpy(g->x + (*n_done)++ * n_embd, x, n_embd * sizeof *x);
        else
            for (uint32_t i = 0; i < n_embd; i++) sum[i] += (double)x[i];
    }
}

static enum status run_body(struct group *g, enum cria_pooling pooling, struct err *e) {
    struct cria_engine *eng = g->eng;
    struct kv *kv = eng->embed->kv;
    enum status st = ST_OK;
    size_t n_done = 0, i = 0;
    for (uint32_t k = 0; k < g->n; k++) {
        const bool ok =
            kv_seq_assign(kv, k, g->r->domain) && kv_seq_extend(kv, k, (uint32_t)g->text[k].n);
        assert(ok); /* reserve_cells made room */
        (void)ok;
    }
    for (uint32_t k = 0; st == ST_OK && k < g->n;) {
        rows_clear(eng);
        while (k < g->n && eng->rows.batch.n_tokens < eng->n_batch) {
            add_row(g, k, i++, pooling);
            if (i < g->text[k].n) continue;
            i = 0;
            k++;
        }
        st = engine_run(eng, &eng->embed->body, kv, NULL, eng->rows.batch.n_outputs, e);
        if (st == ST_OK) take_rows(g, pooling, &n_done);
    }
    for (uint32_t k = 0; k < g->n; k++) kv_seq_truncate(kv, k, 0);
    return st;
}

static void softmax(float *x, uint32_t n) {
    float max = x[0], sum = 0;
    for (uint32_t i = 1; i < n; i++) max = x[i] > max ? x[i] : max;
    for (uint32_t i = 0; i < n; i++) sum += x[i] = expf(x[i] - max);
    for (uint32_t i = 0; i < n; i++) x[i] /= sum;
}

static void normalize(float *x, uint32_t n) {
    double sum = 0;
    for (uint32_t i = 0; i < n; i++) sum += (double)x[i] * (double)x[i];
    const double length = sqrt(sum) > 1e-12 ? sqrt(sum) : 1e-12;
    for (uint32_t i = 0; i < n; i++) x[i] = (float)((double)x[i] / length);
}

/* Vectors through the head, a step's rows at a time. */
static enum status run_head(struct group *g, struct err *e) {
    struct cria_engine *eng = g->eng;
    const struct embedder *m = eng->embed;
    struct row_batch *r = &eng->rows;
    for (size_t k = 0; k < g->n_vecs;) {
        rows_clear(eng);
        const size_t first = k;
        for (; k < g->n_vecs && r->batch.n_tokens < eng->n_batch; k++) {
            const uint32_t t = r->batch.n_tokens++;
            r->token[t] = -1; /* given as a vector */
            rows_position(eng, t, 0, (struct position){{0}});
            r->seq[t] = r->index[t] = r->kv_len[t] = 0;
            rows_adapt(eng, t, UINT32_MAX, &g->adapt);
        }
        enum status st =
            engine_run(eng, &m->head, NULL, g->x + first * m->n_embd, (uint32_t)(k - first), e);
        if (st != ST_OK) return st;
        for (size_t i = first; i < k; i++)
            memcpy(g->out + i * m->n_pooled, engine_output(eng, &m->head, (uint32_t)(i - first)),
                   m->n_pooled * sizeof(float));
    }
    return ST_OK;
}

static void take_pooled(struct group *g, enum cria_pooling pooling) {
    const uint32_t n_embd = g->eng->embed->n_embd;
    for (uint32_t k = 0; k < g->n; k++) {
        const double n = pooling == CRIA_POOL_MEAN ? (double)g->text[k].n : 1;
        for (size_t i = (size_t)k * n_embd; i < (size_t)(k + 1) * n_embd; i++)
            g->x[i] = (float)(g->sum[i] / n);
    }
}

/* step_lock held */
static enum status run_steps(struct group *g, struct err *e) {
    const struct embedder *m = g->eng->embed;
    const enum cria_pooling pooling = row_pooling(g);
    size_t longest = 0;
    for (uint32_t k = 0; k < g->n; k++) longest = g->text[k].n > longest ? g->text[k].n : longest;
    enum status st = reserve_cells(g->eng, longest, e);
    if (st == ST_OK) st = run_body(g, pooling, e);
    if (st == ST_OK && pooling != CRIA_POOL_NONE) take_pooled(g, pooling);
    if (st == ST_OK && g->to_head) st = run_head(g, e);
    if (st == ST_OK && g->r->pooling == CRIA_POOL_RANK && g->eng->model->arch->style.softmax_scores)
        for (size_t k = 0; k < g->n_vecs; k++) softmax(g->out + k * m->n_pooled, m->n_pooled);
    return st;
}

static enum status run_group(struct group *g, struct err *e) {
    const uint32_t n_embd = g->eng->embed->n_embd;
    g->sum = mem_zalloc((size_t)g->n * n_embd, sizeof *g->sum);
    g->x = g->to_head ? mem_array(g->n_vecs * n_embd, sizeof *g->x) : g->out;
    enum status st = g->sum != NULL && g->x != NULL ? ST_OK : err_no_memory(e);
    if (st == ST_OK) {
        step_enter(g->eng);
        st = run_steps(g, e);
        pthread_mutex_unlock(&g->eng->step_lock);
    }
    if (g->to_head) mem_free(g->x);
    mem_free(g->sum);
    return st;
}

/* ---- the whole ---------------------------------------------------------------------------------
 */

static enum status check(const struct cria_engine *eng, const struct cria_embed_request *r,
                         struct err *e) {
    if (r->pooling == CRIA_POOL_RANK && eng->model->hp.pooling != POOLING_RANK)
        return err_set(e, ST_UNSUPPORTED, "the model does not rank");
    for (size_t k = 0; k < r->n_texts; k++) {
        const struct cria_text *t = &r->texts[k];
        if (t->n == 0) return err_set(e, ST_INVALID, "text %zu has no tokens", k);
        if (t->n > eng->n_ctx)
            return err_set(e, ST_LIMIT, "the input length exceeds the context length");
        for (size_t i = 0; i < t->n; i++)
            if (t->ids[i] < 0 || (uint32_t)t->ids[i] >= eng->info.n_vocab)
                return err_set(e, ST_INVALID, "token %d is not in the vocabulary", t->ids[i]);
    }
    return ST_OK;
}

/* How many of the texts from `first` on share a step; one at least. */
static uint32_t group_size(const struct cria_engine *eng, const struct cria_embed_request *r,
                           size_t first) {
    size_t rows = r->texts[first].n;
    uint32_t n = 1;
    for (; first + n < r->n_texts && n < MAX_PACKED; n++) {
        rows += r->texts[first + n].n;
        if (rows > eng->n_batch) break;
    }
    return n;
}

/* Scores are for ranking; projections are a part of every vector. */
static bool goes_to_head(const struct cria_engine *eng, enum cria_pooling pooling) {
    return eng->embed->has_head &&
           (eng->model->hp.pooling != POOLING_RANK || pooling == CRIA_POOL_RANK);
}

uint32_t cria_embed_width(const struct cria_engine *eng, enum cria_pooling pooling) {
    return goes_to_head(eng, pooling) ? eng->embed->n_pooled : eng->embed->n_embd;
}

enum status cria_embed(struct cria_engine *eng, const struct cria_embed_request *r, float *out,
                       struct err *e) {
    const uint32_t width = cria_embed_width(eng, r->pooling);
    struct adapt adapt;
    enum status st = check(eng, r, e);
    if (st == ST_OK) st = engine_adapt(eng, r->adapters, r->n_adapters, &adapt, e);
    for (size_t first = 0; st == ST_OK && first < r->n_texts;) {
        struct group g = {.eng = eng,
                          .r = r,
                          .text = r->texts + first,
                          .n = group_size(eng, r, first),
                          .to_head = goes_to_head(eng, r->pooling),
                          .adapt = adapt,
                          .out = out};
        g.n_vecs = r->pooling == CRIA_POOL_NONE ? 0 : g.n;
        for (uint32_t k = 0; r->pooling == CRIA_POOL_NONE && k < g.n; k++) g.n_vecs += g.text[k].n;
        if (r->cancelled != NULL && r->cancelled(r->arg))
            return err_set(e, ST_CANCELLED, "request canceled");
        st = run_group(&g, e);
        for (size_t i = 0; st == ST_OK && r->normalize && i < g.n_vecs; i++)
            normalize(out + i * width, width);
        out += g.n_vecs * width;
        first += g.n;
    }
    return st;
}
