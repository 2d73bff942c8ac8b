/* generation.c - a request from its client's side: checked, started, read, ended. See generation.h.
 */
#include "engine/generation.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/os.h"

enum status cria_image_check(const struct cria_engine *eng, const struct cria_image *image,
                             struct err *e) {
    const bool axes = model_has_axes(eng->model);
    if (image->n_out != eng->n_given)
        return err_set(e, ST_UNSUPPORTED, "an image has rows of %u values, the model takes %u",
                       image->n_out, eng->n_given);
    if (axes ? image->nx == 0 || image->n_rows % image->nx != 0 : image->nx != 0)
        return err_set(e, ST_UNSUPPORTED, "the model knows %s positions of an image's rows",
                       axes ? "only two-dimensional" : "no two-dimensional");
    if (image->n_rows == 0 || image->n_positions == 0 || image->n_positions > image->n_rows)
        return err_set(e, ST_INVALID, "an image of %u rows takes %u positions", image->n_rows,
                       image->n_positions);
    if (image->non_causal && image->n_rows > eng->n_rows)
        return err_set(e, ST_LIMIT, "an image of %u rows does not fit into a step of %u",
                       image->n_rows, eng->n_rows);
    return ST_OK;
}

/* n: places for images in the prompt. */
static enum status check_images(const struct cria_engine *eng, const struct cria_request *r,
                                size_t n, struct err *e) {
    enum status st = ST_OK;
    if (n != r->n_images)
        return err_set(e, ST_INVALID, "the prompt has places for %zu images; %zu were given", n,
                       r->n_images);
    if (r->prompt[r->n_prompt - 1] == CRIA_TOKEN_IMAGE)
        return err_set(e, ST_INVALID, "the prompt ends with an image");
    for (size_t i = 0; st == ST_OK && i < n; i++) st = cria_image_check(eng, r->images[i], e);
    return st;
}

static enum status check_request(const struct cria_engine *eng, const struct cria_request *r,
                                 struct err *e) {
    if (!eng->info.causal || eng->info.n_output != eng->info.n_vocab || vocab_size(eng->vocab) == 0)
        return err_set(e, ST_UNSUPPORTED, "this engine gives embeddings, no text");
    if (r->n_prompt == 0) return err_set(e, ST_INVALID, "the prompt has no tokens");
    size_t n = r->n_prompt, n_images = 0;
    for (size_t i = 0; i < r->n_prompt; i++) {
        if (r->prompt[i] == CRIA_TOKEN_IMAGE) {
            if (n_images < r->n_images) n += r->images[n_images]->n_rows - 1;
            n_images++;
        } else if (r->prompt[i] < 0 || (uint32_t)r->prompt[i] >= eng->info.n_vocab) {
            return err_set(e, ST_INVALID, "token %d is not in the vocabulary", r->prompt[i]);
        }
    }
    if (n > eng->n_ctx - 1)
        return err_set(e, ST_LIMIT,
                       "request (%zu tokens) exceeds the available context size (%u tokens), try "
                       "increasing it",
                       n, eng->n_ctx);
    return check_images(eng, r, n_images, e);
}

static enum status copy_stops(struct cria_generation *g, const struct cria_request *r,
                              struct err *e) {
    g->stop = mem_zalloc(r->n_stop, sizeof *g->stop);
    if (g->stop == NULL) return err_no_memory(e);
    for (size_t i = 0; i < r->n_stop; i++) {
        if (r->stop[i][0] == '\0') continue; /* an empty one would end everything at once */
        g->stop[g->n_stop] = mem_strdup(r->stop[i]);
        if (g->stop[g->n_stop++] == NULL) return err_no_memory(e);
    }
    g->visible = mem_array(r->n_visible, sizeof *g->visible);
    if (g->visible == NULL) return err_no_memory(e);
    if (r->n_visible > 0) memcpy(g->visible, r->visible, r->n_visible * sizeof *g->visible);
    g->n_visible = r->n_visible;
    return textout_open(&g->textout, (const char *const *)g->stop, g->n_stop, e);
}

/* The sampler of the request, which never takes what the vocabulary suppresses. */
static enum status open_sampler(struct cria_generation *g, const struct cria_request *r,
                                struct err *e) {
    const uint32_t n_vocab = g->eng->info.n_vocab, n_ctx = g->eng->n_ctx;
    size_t n_suppressed;
    const token_id *suppressed = vocab_suppressed(g->eng->vocab, &n_suppressed);
    struct sampler_params p = r->sampler;
    if (n_suppressed == 0) return sampler_open(&g->sampler, &p, n_vocab, n_ctx, e);
    struct logit_bias *bias = mem_array(p.n_bias + n_suppressed, sizeof *bias);
    if (bias == NULL) return err_no_memory(e);
    if (p.n_bias > 0) memcpy(bias, p.bias, p.n_bias * sizeof *bias);
    for (size_t i = 0; i < n_suppressed; i++)
        bias[p.n_bias++] = (struct logit_bias){suppressed[i], -INFINITY};
    p.bias = bias;
    enum status st = sampler_open(&g->sampler, &p, n_vocab, n_ctx, e);
    mem_free(bias);
    return st;
}

static enum status constrain(struct cria_generation *g, const struct cria_request *r,
                             struct err *e) {
    struct err local = {0};
    struct token_index *ti = engine_token_index(g->eng, &local);
    enum status st = ti != NULL ? constraint_open(&g->constraint, ti, r, &local) : local.code;
    return st == ST_OK ? st : err_set(e, st, "%s", local.msg);
}

static enum status generation_fill(struct cria_generation *g, const struct cria_request *r,
                                   struct err *e) {
    const int64_t limit = 10 * (int64_t)g->eng->n_ctx;
    g->n_predict = r->n_predict <= 0 || r->n_predict > limit ? limit : r->n_predict;
    g->n_keep = r->n_keep;
    g->shift = r->shift;
    g->logprobs = r->logprobs;
    g->n_top = r->n_top_logprobs;
    g->progress = r->progress;
    g->domain = r->domain;
    enum status st = engine_adapt(g->eng, r->adapters, r->n_adapters, &g->adapt, e);
    if (st == ST_OK) st = copy_stops(g, r, e);
    if (st == ST_OK) st = open_sampler(g, r, e);
    if (st == ST_OK && r->grammar.kind != GRAMMAR_NONE) st = constrain(g, r, e);
    const struct cria_image *const *image = r->images;
    for (size_t i = 0; st == ST_OK && i < r->n_prompt; i++) {
        const token_id id = r->prompt[i];
        if (id == CRIA_TOKEN_IMAGE) {
            if (!seq_add_image(&g->seq, *image++)) st = err_no_memory(e);
            continue;
        }
        if (!seq_add(&g->seq, id) || !token_list_add(&g->history, id)) st = err_no_memory(e);
        sampler_accept(g->sampler, id);
    }
    g->stats.n_prompt = (uint32_t)g->seq.tokens.len;
    if (st == ST_OK)
        adapt_find_begin(&g->adapt, &g->eng->model->adapters, g->seq.tokens.ids, g->seq.tokens.len);
    return st;
}

static void generation_drop(struct cria_generation *g) {
    for (size_t i = 0; i < g->n_stop; i++) mem_free(g->stop[i]);
    mem_free(g->stop);
    mem_free(g->visible);
    textout_close(g->textout);
    sampler_close(g->sampler);
    constraint_close(g->constraint);
    seq_free(&g->seq);
    token_list_free(&g->history);
    buf_free(&g->text);
    buf_free(&g->chunk_text);
    mem_free(g->chunk_lps);
    mem_free(g->lps);
    mem_free(g->records);
    arena_free(&g->lp_arena);
    pthread_cond_destroy(&g->changed);
    mem_free(g);
}

enum status cria_generation_start(struct cria_generation **out, struct cria_engine *eng,
                                  const struct cria_request *r, struct err *e) {
    enum status st = check_request(eng, r, e);
    if (st != ST_OK) return st;
    struct cria_generation *g = mem_zalloc(1, sizeof *g);
    if (g == NULL) return err_no_memory(e);
    g->eng = eng;
    g->slot = SLOT_NONE;
    atomic_init(&g->cancelled, false);
    os_cond_init(&g->changed); /* for cria_generation_wait() */
    st = generation_fill(g, r, e);
    if (st != ST_OK) {
        generation_drop(g);
        return st;
    }
    g->asked_ns = os_time_mono_ns();
    tell_phase(g, CRIA_WAITING);
    pthread_mutex_lock(&eng->sched->lock);
    atomic_fetch_add(&eng->sched->n_waiting, 1);
    *eng->sched->last = g;
    eng->sched->last = &g->next;
    pthread_mutex_unlock(&eng->sched->lock);
    pthread_cond_signal(&eng->sched->work); /* who wakes up finds the lock free */
    *out = g;
    return ST_OK;
}

/* Copies record i for the reader (lock held): what the thread owns may move while it is read. */
static enum status copy_chunk(struct cria_generation *g, size_t i, struct cria_chunk *c,
                              struct err *e) {
    const struct record *r = &g->records[i], *before = i > 0 ? r - 1 : NULL;
    size_t text = before != NULL ? before->text_end : 0, lp = before != NULL ? before->lp_end : 0;
    buf_clear(&g->chunk_text);
    buf_add(&g->chunk_text, text != r->text_end ? g->text.data + text : "", r->text_end - text);
    void *lps = mem_grow(g->chunk_lps, r->lp_end - lp, sizeof *g->lps);
    if (g->chunk_text.failed || lps == NULL) return err_no_memory(e);
    g->chunk_lps = lps;
    if (r->lp_end != lp) memcpy(lps, g->lps + lp, (r->lp_end - lp) * sizeof *g->lps);
    *c = (struct cria_chunk){.text = g->chunk_text.data,
                             .len = g->chunk_text.len,
                             .n_logprobs = (uint32_t)(r->lp_end - lp),
                             .logprobs = g->chunk_lps,
                             .done = r->done};
    return ST_OK;
}

static bool is_ready(const struct cria_generation *g) {
    return g->n_read != g->n_records || g->done;
}

/* Sleeps until the end of the generation, or (WAITS) a chunk; false: the time has come first. */
static bool sleep_until(struct cria_generation *g, int64_t ns, enum reader reader) {
    bool late = false;
    g->reader = reader;
    while (!late && !(reader == READER_WAITS ? is_ready(g) : g->done))
        late = !os_cond_wait(&g->changed, &g->eng->sched->lock, ns);
    g->reader = READER_AWAY;
    return !late;
}

/* Waits for something to read, not longer than until `end` (lock held). To wake a thread costs the
 * one that computes more than 10 us, and on a machine whose processors all compute, what the woken
 * one does is taken from them. So chunks that come quickly are left to gather for a while. */
static bool await_chunk(struct cria_generation *g, int64_t end) {
    if (is_ready(g)) return true;
    const int64_t rested = g->woken_ns + PACE_NS;
    if (g->quick && rested < end) sleep_until(g, rested, READER_RESTS);
    sleep_until(g, end, READER_WAITS);
    g->woken_ns = os_time_mono_ns();
    return is_ready(g);
}

bool cria_generation_wait(struct cria_generation *g, int64_t ns) {
    struct sched *s = g->eng->sched;
    pthread_mutex_lock(&s->lock);
    const bool ready = ns > 0 ? await_chunk(g, os_time_mono_ns() + ns) : is_ready(g);
    pthread_mutex_unlock(&s->lock);
    return ready;
}

enum status cria_generation_next(struct cria_generation *g, struct cria_chunk *chunk,
                                 struct err *e) {
    struct sched *s = g->eng->sched;
    enum status st;
    pthread_mutex_lock(&s->lock);
    await_chunk(g, INT64_MAX);
    if (g->n_read < g->n_records) {
        st = copy_chunk(g, g->n_read, chunk, e);
        if (st == ST_OK && g->records[g->n_read].done == CRIA_RUNNING) g->n_read++;
    } else {
        st = err_set(e, g->failed, "%s", g->err.msg);
    }
    pthread_mutex_unlock(&s->lock);
    return st;
}

void cria_generation_cancel(struct cria_generation *g) { atomic_store(&g->cancelled, true); }

const struct cria_stats *cria_generation_stats(const struct cria_generation *g) {
    return &g->stats;
}

const token_id *cria_generation_tokens(const struct cria_generation *g, size_t *n) {
    *n = g->history.len;
    return g->history.ids;
}

void cria_generation_free(struct cria_generation *g) {
    if (g == NULL) return;
    struct sched *s = g->eng->sched;
    cria_generation_cancel(g);
    pthread_mutex_lock(&s->lock);
    while (!g->done) pthread_cond_wait(&g->changed, &s->lock);
    pthread_mutex_unlock(&s->lock);
    generation_drop(g);
}
