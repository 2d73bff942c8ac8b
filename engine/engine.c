/* engine.c - opening an engine: model, vocabulary, programs and room for their steps, caches
 * (engine_impl.h, cria.h). */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/buf.h"
#include "base/config.h"
#include "base/mem.h"
#include "engine/engine_impl.h"
#include "engine/file/gguf.h"
#include "engine/grammar/token_index.h"

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

/* ---- room for steps of a number of rows ---- */

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

struct room { /* the engine's parts of these names */
    uint32_t n_rows;
    struct row_batch rows;
    struct program prog, mtp;
    float *hidden, *before;
    void *scratch;
    size_t scratch_bytes;
};

/* The second program and what goes between the two. */
static enum status record_mtp(const struct cria_engine *eng, struct room *m, struct err *e) {
    const uint32_t max_rows[ROWS_KINDS] = {m->n_rows, eng->n_outputs};
    const size_t n_embd = eng->model->hp.n_embd;
    struct recorder r = {.prog = &m->mtp};
    val output;
    if (eng->model->hp.n_mtp == 0) return ST_OK;
    model_record_mtp(eng->model, &r, eng->n_ctx, &output);
    enum status st = program_seal(&r, output, max_rows, e);
    if (st != ST_OK) return st;
    m->hidden = mem_zalloc(m->n_rows, n_embd * sizeof *m->hidden);
    m->before = mem_zalloc(m->n_rows, n_embd * sizeof *m->before);
    return m->hidden != NULL && m->before != NULL ? ST_OK : err_no_memory(e);
}

static enum status record_main(const struct cria_engine *eng, struct room *m, struct err *e) {
    struct recorder r = {.prog = &m->prog};
    const uint32_t max_rows[ROWS_KINDS] = {m->n_rows, eng->n_outputs};
    const enum program_kind kind = eng->embeddings || !eng->model->hp.causal ? PROGRAM_EMBEDDING
                                   : eng->model->hp.n_mtp != 0               ? PROGRAM_HIDDEN
                                                                             : PROGRAM_LOGITS;
    val output;
    model_record(eng->model, &r, kind, eng->n_ctx, &output);
    return program_seal(&r, output, max_rows, e);
}

/* Memory for any of the engine's programs, one at a time. */
static enum status room_scratch(struct cria_engine *eng, struct room *m, struct err *e) {
    const size_t needed[] = {m->prog.scratch, m->mtp.scratch, embed_scratch(eng)};
    for (int i = 0; i < 3; i++)
        if (m->scratch_bytes < needed[i]) m->scratch_bytes = needed[i];
    m->scratch = eng->dev.backend->alloc(&eng->dev, m->scratch_bytes);
    if (m->scratch != NULL) return ST_OK;
    return err_set(e, ST_NO_MEMORY, "no memory for %zu bytes of scratch", m->scratch_bytes);
}

/* On failure, too, room_close. */
static enum status room_open(struct cria_engine *eng, uint32_t n_rows, struct room *m,
                             struct err *e) {
    *m = (struct room){.n_rows = n_rows};
    enum status st = rows_open(eng, &m->rows, n_rows, e);
    if (st == ST_OK) st = record_mtp(eng, m, e);
    if (st == ST_OK) st = record_main(eng, m, e);
    return st == ST_OK ? room_scratch(eng, m, e) : st;
}

static void room_close(struct cria_engine *eng, struct room *m) {
    rows_close(&m->rows);
    program_free(&m->prog);
    program_free(&m->mtp);
    mem_free(m->hidden);
    mem_free(m->before);
    if (m->scratch != NULL) eng->dev.backend->release(&eng->dev, m->scratch);
}

/* The engine gets this room, and `m` what it had. */
static void room_exchange(struct cria_engine *eng, struct room *m) {
    const struct room new = *m;
    *m = (struct room){.n_rows = eng->n_rows,
                       .rows = eng->rows,
                       .prog = eng->prog,
                       .mtp = eng->mtp,
                       .hidden = eng->hidden,
                       .before = eng->before,
                       .scratch = eng->scratch,
                       .scratch_bytes = eng->info.scratch_bytes};
    eng->n_rows = new.n_rows;
    eng->rows = new.rows;
    eng->prog = new.prog;
    eng->mtp = new.mtp;
    eng->hidden = new.hidden;
    eng->before = new.before;
    eng->scratch = new.scratch;
    eng->info.scratch_bytes = new.scratch_bytes;
}

static enum status open_slot_hidden(struct cria_engine *eng, struct err *e) {
    for (uint32_t i = 0; eng->model->hp.n_mtp != 0 && i < eng->n_slots; i++) {
        eng->slots[i].hidden = mem_zalloc(eng->model->hp.n_embd, sizeof *eng->slots[i].hidden);
        if (eng->slots[i].hidden == NULL) return err_no_memory(e);
    }
    return ST_OK;
}

static enum status record(struct cria_engine *eng, struct err *e) {
    struct room m;
    enum status st = room_open(eng, eng->n_batch, &m, e);
    if (st == ST_OK) room_exchange(eng, &m);
    room_close(eng, &m);
    if (st == ST_OK) st = open_slot_hidden(eng, e);
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
    struct room m = {.n_rows = 0};
    enum status st = ST_OK;
    step_enter(eng);
    if (n > eng->n_rows) {
        st = room_open(eng, n, &m, e);
        if (st == ST_OK) st = reopen_cache(eng, n, e);
        if (st == ST_OK) room_exchange(eng, &m);
    }
    pthread_mutex_unlock(&eng->step_lock);
    room_close(eng, &m);
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

static enum status go_on(const struct cria_engine_params *p, struct err *e) {
    if (p->cancelled == NULL || !p->cancelled(p->arg)) return ST_OK;
    return err_set(e, ST_CANCELLED, "opening the model was cancelled");
}

/* Everything behind the device; the order is that of need. */
static enum status open_parts(struct cria_engine *eng, struct gguf *g,
                              const struct cria_engine_params *p, struct err *e) {
    enum status st = p->mtp && !p->embeddings ? model_load_mtp(&eng->model, g, &eng->dev, e)
                                              : model_load(&eng->model, g, &eng->dev, e);
    for (size_t i = 0; st == ST_OK && i < p->n_adapters; i++) {
        st = go_on(p, e);
        if (st == ST_OK) st = add_adapter(eng, p->adapters[i], e);
    }
    if (st == ST_OK) st = go_on(p, e);
    if (st == ST_OK) apply_params(eng, p);
    eng->embeddings = p->embeddings;
    eng->kv_type = p->kv_type;
    if (st == ST_OK) st = open_vocab(eng, e);
    if (st == ST_OK) st = go_on(p, e);
    if (st == ST_OK) st = slots_open(eng, e);
    if (st == ST_OK) st = open_cache(eng, eng->n_batch, &eng->kv, e);
    if (st == ST_OK) st = embed_open(eng, p->kv_type, e);
    if (st == ST_OK) st = record(eng, e);
    if (st == ST_OK) st = adapters_check_used(eng->model, e);
    if (st == ST_OK) st = fill_info(eng, e);
    if (st == ST_OK) st = engine_check_intact(eng, e);
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
    if (st == ST_OK && config_bool(SET_check_tensors))
        st = gguf_check_data(g, p->cancelled, p->arg, e);
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
    struct room m = {.n_rows = 0};
    room_exchange(eng, &m);
    room_close(eng, &m);
    slots_close(eng);
    embed_close(eng);
    kv_close(eng->kv);
    token_index_close(eng->token_index);
    vocab_close(eng->vocab);
    model_free(eng->model);
    device_close(&eng->dev);
    mem_free(eng->results);
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
