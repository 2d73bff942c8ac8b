/* engine.c - opening an engine, and the step (engine_impl.h, cria.h). */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/buf.h"
#include "base/config.h"
#include "base/mem.h"
#include "engine/engine_impl.h"
#include "engine/file/gguf.h"
#include "engine/grammar/token_index.h"

/* ---- the step ----------------------------------------------------------------------------------
 */

void rows_clear(struct cria_engine *eng) {
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

static enum status check_intact(const struct cria_engine *eng, struct err *e) {
    const struct adapters *a = &eng->model->adapters;
    enum status st = gguf_check_whole(eng->model->gguf, e);
    for (uint32_t i = 0; i < a->n && st == ST_OK; i++) st = gguf_check_whole(a->gguf[i], e);
    return st;
}

bool cria_engine_intact(const struct cria_engine *eng) { return check_intact(eng, NULL) == ST_OK; }

enum status engine_run(struct cria_engine *eng, const struct program *prog, struct kv *kv,
                       const float *embd, uint32_t n_results, struct err *e) {
    struct batch batch = eng->rows.batch;
    batch.embd = embd;
    batch.embd_width = embd == eng->rows.given ? eng->n_given : 0;
    const struct step s = {.prog = prog,
                           .batch = &batch,
                           .kv = kv != NULL ? &kv->cache : NULL,
                           .n_rows = {eng->rows.batch.n_tokens, eng->rows.batch.n_outputs},
                           .scratch = eng->scratch,
                           .observer = eng->observe != NULL ? &eng->observer : NULL};
    enum status st = eng->dev.backend->run(&eng->dev, &s, e);
    if (st == ST_OK) st = check_intact(eng, e);
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
    return engine_run(eng, &eng->mtp, eng->kv, eng->before, eng->rows.batch.n_outputs, e);
}

const float *engine_result(const struct cria_engine *eng, uint32_t row) {
    return engine_output(eng, &eng->prog, row);
}

static enum status rows_open(const struct cria_engine *eng, struct row_batch *r, size_t n,
                             struct err *e) {
    const bool axes = model_has_axes(eng->model);
    int32_t *i32 = mem_array(n, (axes ? 5 : 2) * sizeof *i32);
    uint32_t *u32 = mem_array(n, 4 * sizeof *u32);
    r->token = i32;
    r->seq = u32;
    r->adapt = mem_array(n, eng->model->adapters.n * sizeof *r->adapt);
    if (i32 == NULL || u32 == NULL || r->adapt == NULL) return err_no_memory(e);
    r->pos = i32 + n;
    r->axes = axes ? r->pos + n : NULL;
    r->index = u32 + n;
    r->kv_len = r->index + n;
    r->output = r->kv_len + n;
    r->batch = (struct batch){.token = r->token,
                              .pos = r->pos,
                              .axes = r->axes,
                              .seq = r->seq,
                              .index = r->index,
                              .kv_len = r->kv_len,
                              .output = r->output,
                              .adapt = r->adapt,
                              .n_adapters = eng->model->adapters.n};
    return ST_OK;
}

static void rows_close(struct row_batch *r) {
    mem_free(r->token);
    mem_free(r->seq);
    mem_free(r->adapt);
    mem_free(r->given);
}

/* ---- opening
 * ------------------------------------------------------------------------------------- */

struct cria_engine_params cria_engine_default_params(void) {
#ifdef CRIA_HARD
    return (struct cria_engine_params){
        .n_threads = 3, .n_parallel = 1, .n_batch = 3, .n_outputs = 2, .kv_type = DT_F16};
#else
    return (struct cria_engine_params){
        .n_parallel = 1, .n_batch = 512, .n_outputs = 16, .kv_type = DT_F16};
#endif
}

static void apply_params(struct cria_engine *eng, const struct cria_engine_params *p) {
    eng->n_ctx = p->n_ctx != 0 ? p->n_ctx : 4096;
    if (eng->n_ctx < 4) eng->n_ctx = 4;
    if (eng->n_ctx > eng->model->hp.n_ctx_train) eng->n_ctx = eng->model->hp.n_ctx_train;
    eng->n_parallel = p->n_parallel != 0 ? p->n_parallel : 1;
    /* Every generation can have its row and its result in each step: nobody starves. */
    eng->n_batch = p->n_batch > eng->n_parallel ? p->n_batch : eng->n_parallel;
    eng->n_outputs = p->n_outputs > eng->n_parallel ? p->n_outputs : eng->n_parallel;
    /* A text whose tokens see each other is evaluated in one step. */
    if (!eng->model->hp.causal && eng->n_batch < eng->n_ctx) eng->n_batch = eng->n_ctx;
    if (eng->n_outputs > eng->n_batch) eng->n_outputs = eng->n_batch;
    eng->n_rows = eng->n_batch;
    eng->n_given = eng->model->hp.n_embd * (1 + eng->model->hp.n_deepstack);
}

/* The vocabulary, unless the file has none; ids of the tokenizer must be rows of the embedding. */
static enum status open_vocab(struct cria_engine *eng, struct err *e) {
    enum status st = vocab_open(&eng->vocab, eng->model->gguf, e);
    if (st == ST_OK && vocab_size(eng->vocab) != eng->model->hp.n_vocab)
        st = err_set(e, ST_FORMAT, "vocabulary has %u tokens, the model %u", vocab_size(eng->vocab),
                     eng->model->hp.n_vocab);
    return st;
}

/* The second program and what goes between the two. */
static enum status record_mtp(struct cria_engine *eng, struct err *e) {
    const uint32_t max_rows[ROWS_KINDS] = {eng->n_batch, eng->n_outputs};
    const size_t n_embd = eng->model->hp.n_embd;
    struct recorder r = {.prog = &eng->mtp};
    val output;
    if (eng->model->hp.n_mtp == 0) return ST_OK;
    model_record_mtp(eng->model, &r, eng->n_ctx, &output);
    enum status st = program_seal(&r, output, max_rows, e);
    if (st != ST_OK) return st;
    eng->hidden = mem_zalloc(eng->n_batch, n_embd * sizeof *eng->hidden);
    eng->before = mem_zalloc(eng->n_batch, n_embd * sizeof *eng->before);
    if (eng->hidden == NULL || eng->before == NULL) return err_no_memory(e);
    for (uint32_t i = 0; i < eng->n_slots; i++) {
        eng->slots[i].hidden = mem_zalloc(n_embd, sizeof *eng->slots[i].hidden);
        if (eng->slots[i].hidden == NULL) return err_no_memory(e);
    }
    return ST_OK;
}

/* The program for steps of at most n_rows, and its memory. */
static enum status record_rows(const struct cria_engine *eng, uint32_t n_rows, struct program *prog,
                               void **memory, size_t *bytes, struct err *e) {
    struct recorder r = {.prog = prog};
    const uint32_t max_rows[ROWS_KINDS] = {n_rows, eng->n_outputs};
    const enum program_kind kind = eng->embeddings || !eng->model->hp.causal ? PROGRAM_EMBEDDING
                                   : eng->model->hp.n_mtp != 0               ? PROGRAM_HIDDEN
                                                                             : PROGRAM_LOGITS;
    val output;
    model_record(eng->model, &r, kind, eng->n_ctx, &output);
    enum status st = program_seal(&r, output, max_rows, e);
    if (st != ST_OK) return st;
    *bytes = prog->scratch;
    if (*bytes < eng->mtp.scratch) *bytes = eng->mtp.scratch;
    if (*bytes < embed_scratch(eng)) *bytes = embed_scratch(eng);
    struct device *dev = (struct device *)(uintptr_t)&eng->dev;
    *memory = dev->backend->alloc(dev, *bytes);
    return *memory != NULL ? ST_OK
                           : err_set(e, ST_NO_MEMORY, "no memory for %zu bytes of scratch", *bytes);
}

static enum status record(struct cria_engine *eng, struct err *e) {
    enum status st = record_mtp(eng, e);
    if (st == ST_OK)
        st = record_rows(eng, eng->n_rows, &eng->prog, &eng->scratch, &eng->info.scratch_bytes, e);
    if (st != ST_OK || eng->dev.uses_host_memory) return st;
    size_t results =
        (size_t)eng->n_outputs * eng->prog.vals[eng->prog.output].pitch * sizeof(float);
    if (results < embed_results(eng)) results = embed_results(eng);
    eng->results = mem_array(results, 1);
    return eng->results != NULL ? ST_OK : err_no_memory(e);
}

/* The cache for steps of n rows. */
static enum status open_cache(const struct cria_engine *eng, uint32_t n, struct kv **out,
                              struct err *e) {
    /* Encoders have no timelines and generations: embeddings bring their own cache. */
    const bool causal = eng->model->hp.causal;
    return kv_open(out, eng->model, causal ? eng->n_ctx : 1, causal ? eng->n_parallel : 1,
                   eng->n_slots, n, eng->kv_type, e);
}

/* Layers that keep only a window must hold a larger step, too. Nothing may be in use. */
static enum status reopen_cache(struct cria_engine *eng, uint32_t n, struct err *e) {
    struct kv *kv;
    if (eng->kv->n_window == 0) return ST_OK;
    if (eng->n_active > 0) return err_set(e, ST_BUSY, "sequences of the engine are in use");
    enum status st = open_cache(eng, n, &kv, e);
    if (st != ST_OK) return st;
    for (uint32_t i = 0; i < eng->n_slots; i++) slot_truncate(eng, (int)i, 0);
    kv_close(eng->kv);
    eng->kv = kv;
    eng->info.kv_bytes = kv->bytes;
    return ST_OK;
}

enum status engine_reserve_rows(struct cria_engine *eng, uint32_t n, struct err *e) {
    struct program prog = {0};
    struct row_batch rows = {0};
    void *scratch = NULL;
    size_t bytes = 0;
    step_enter(eng);
    const bool enough = n <= eng->n_rows;
    enum status st = enough ? ST_OK : rows_open(eng, &rows, n, e);
    if (st == ST_OK && !enough) st = record_rows(eng, n, &prog, &scratch, &bytes, e);
    if (st == ST_OK && !enough) st = reopen_cache(eng, n, e);
    if (st == ST_OK && !enough) { /* what is here takes the place of what was */
        const struct row_batch old_rows = eng->rows;
        const struct program old_prog = eng->prog;
        void *old_scratch = eng->scratch;
        eng->rows = rows;
        eng->prog = prog;
        eng->scratch = scratch;
        eng->n_rows = n;
        eng->info.scratch_bytes = bytes;
        rows = old_rows;
        prog = old_prog;
        scratch = old_scratch;
    }
    pthread_mutex_unlock(&eng->step_lock);
    rows_close(&rows);
    program_free(&prog);
    if (scratch != NULL) eng->dev.backend->release(&eng->dev, scratch);
    return st;
}

/* What one decoded token reads and computes, from the program itself. */
static void count_costs(struct cria_engine *eng) {
    struct cria_model_info *info = &eng->info;
    uint32_t zero = 0, one = 1;
    int32_t token = 0;
    const struct batch b = {.n_tokens = 1,
                            .n_outputs = 1,
                            .token = &token,
                            .pos = &token,
                            .seq = &zero,
                            .index = &zero,
                            .kv_len = &one,
                            .output = &zero};
    const struct step s = {
        .prog = &eng->prog, .batch = &b, .kv = &eng->kv->cache, .n_rows = {1, 1}};
    for (uint32_t i = 0; i < eng->prog.n_ops; i++) {
        const struct op *op = &eng->prog.ops[i];
        struct op_cost c = op_cost(&s, op);
        info->weight_bytes_per_token += c.weight_bytes;
        if (op->in[0] != VAL_NONE && eng->prog.vals[op->in[0]].rows == ROWS_TOKENS &&
            op->code != OP_ATTN)
            info->macs_per_token += c.macs;
    }
}

static enum status fill_info(struct cria_engine *eng, struct err *e) {
    const struct model *m = eng->model;
    struct gguf_str t = {NULL, 0};
    if (gguf_get_str(m->gguf, "tokenizer.chat_template", &t, NULL) == ST_OK && t.len != 0) {
        eng->chat_template = mem_strndup(t.ptr, t.len);
        if (eng->chat_template == NULL) return err_no_memory(e);
    }
    eng->info = (struct cria_model_info){.arch = m->arch->name,
                                         .n_ctx_train = m->hp.n_ctx_train,
                                         .n_embd = m->hp.n_embd,
                                         .n_vocab = m->hp.n_vocab,
                                         .n_layer = m->hp.n_layer,
                                         .n_output = eng->prog.vals[eng->prog.output].width,
                                         .pooling = (enum cria_pooling)m->hp.pooling,
                                         .causal = m->hp.causal,
                                         .n_params = gguf_parameter_count(m->gguf),
                                         .n_adapters = m->adapters.n,
                                         .n_mtp = m->hp.n_mtp,
                                         .file_type = gguf_file_type_name(m->gguf),
                                         .chat_template = eng->chat_template,
                                         .n_ctx = eng->n_ctx,
                                         .n_parallel = eng->n_parallel,
                                         .backend = eng->dev.backend->name,
                                         .isa = eng->dev.isa,
                                         .n_threads = eng->dev.n_threads,
                                         .weights_bytes = m->weights_bytes,
                                         .kv_bytes = eng->kv->bytes,
                                         .scratch_bytes = eng->info.scratch_bytes};
    count_costs(eng);
    return ST_OK;
}

static enum status add_adapter(struct cria_engine *eng, const char *path, struct err *e) {
    struct gguf *g;
    enum status st = gguf_open(&g, path, e);
    return st == ST_OK ? adapter_add(eng->model, g, e) : st;
}

/* Everything behind the device; the order is that of need. */
static enum status open_parts(struct cria_engine *eng, struct gguf *g,
                              const struct cria_engine_params *p, struct err *e) {
    enum status st = p->mtp && !p->embeddings ? model_load_mtp(&eng->model, g, &eng->dev, e)
                                              : model_load(&eng->model, g, &eng->dev, e);
    for (size_t i = 0; st == ST_OK && i < p->n_adapters; i++)
        st = add_adapter(eng, p->adapters[i], e);
    if (st == ST_OK) apply_params(eng, p);
    eng->embeddings = p->embeddings;
    eng->kv_type = p->kv_type;
    if (st == ST_OK) st = open_vocab(eng, e);
    if (st == ST_OK) st = rows_open(eng, &eng->rows, eng->n_rows, e);
    if (st == ST_OK) st = slots_open(eng, e);
    if (st == ST_OK) st = open_cache(eng, eng->n_batch, &eng->kv, e);
    if (st == ST_OK) st = embed_open(eng, p->kv_type, e);
    if (st == ST_OK) st = record(eng, e);
    if (st == ST_OK) st = adapters_check_used(eng->model, e);
    if (st == ST_OK) st = fill_info(eng, e);
    if (st == ST_OK) st = check_intact(eng, e);
    if (st == ST_OK) st = sched_open(eng, e);
    return st;
}

/* Takes g. */
static enum status open_gguf(struct cria_engine **out, struct gguf *g,
                             const struct cria_engine_params *p, struct err *e) {
    const struct device_params dp = {.n_threads = p->n_threads, .isa = p->isa};
    struct cria_engine *eng = mem_zalloc(1, sizeof *eng);
    if (eng == NULL) {
        gguf_close(g);
        return err_no_memory(e);
    }
    pthread_mutex_init(&eng->step_lock, NULL);
    pthread_mutex_init(&eng->index_lock, NULL);
    pthread_mutex_init(&eng->turn_lock, NULL);
    enum status st = device_open(&eng->dev, p->backend, &dp, e);
    if (st == ST_OK && config_bool(SET_check_tensors)) st = gguf_check_data(g, e);
    if (st != ST_OK)
        gguf_close(g);
    else
        st = open_parts(eng, g, p, e);
    if (st != ST_OK)
        cria_engine_close(eng);
    else
        *out = eng;
    return st;
}

enum status cria_engine_open(struct cria_engine **out, const char *path,
                             const struct cria_engine_params *p, struct err *e) {
    struct gguf *g;
    enum status st = gguf_open_set(&g, path, e);
    return st == ST_OK ? open_gguf(out, g, p, e) : st;
}

enum status cria_engine_open_memory(struct cria_engine **out, const void *data, size_t size,
                                    const char *label, const struct cria_engine_params *p,
                                    struct err *e) {
    struct gguf *g;
    enum status st = gguf_open_memory(&g, data, size, label, e);
    if (st != ST_OK) return st;
    st = gguf_check_set(g, e); /* a part of a split set is no model */
    if (st == ST_OK) return open_gguf(out, g, p, e);
    gguf_close(g);
    return st;
}

void cria_engine_close(struct cria_engine *eng) {
    if (eng == NULL) return;
    sched_close(eng);
    if (eng->scratch != NULL) eng->dev.backend->release(&eng->dev, eng->scratch);
    slots_close(eng);
    embed_close(eng);
    kv_close(eng->kv);
    program_free(&eng->prog);
    program_free(&eng->mtp);
    mem_free(eng->hidden);
    mem_free(eng->before);
    token_index_close(eng->token_index);
    vocab_close(eng->vocab);
    model_free(eng->model);
    device_close(&eng->dev);
    mem_free(eng->results);
    rows_close(&eng->rows);
    mem_free(eng->chat_template);
    pthread_mutex_destroy(&eng->step_lock);
    pthread_mutex_destroy(&eng->index_lock);
    pthread_mutex_destroy(&eng->turn_lock);
    mem_free(eng);
}

const struct cria_model_info *cria_engine_info(const struct cria_engine *eng) { return &eng->info; }
const struct gguf *cria_engine_gguf(const struct cria_engine *eng) { return eng->model->gguf; }
const struct vocab *cria_engine_vocab(const struct cria_engine *eng) { return eng->vocab; }
void cria_engine_print_program(const struct cria_engine *eng, struct buf *out) {
    program_print(&eng->prog, out);
}
