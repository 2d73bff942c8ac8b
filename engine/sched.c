/* sched.c - continuous batching: one thread makes the steps of all running generations.
 *
 * A generation is a list of tokens of which a first part is in the cache; what is behind has still
 * to be evaluated. So prefill (many tokens behind), decode (one), and going on after a context
 * shift are one thing. A step takes one token of every generation that decodes, then fills up with
 * the longest waiting prompts. Where the result of a list's last token arrives, the next token is
 * sampled, and its text goes to the reader (generation.[ch]). */
#include <assert.h>
#include <math.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "base/os.h"
#include "engine/generation.h"

enum { MAX_FORCED = 32 }; /* rows that a decoding generation may take before any prompt */

/* ---- output (thread -> reader)
 * -------------------------------------------------------------------- */

static bool grow_array(void **p, size_t n, size_t *cap, size_t size) {
    if (n < *cap) return true;
    size_t more = *cap != 0 ? 2 * *cap : 16;
    void *q = mem_grow(*p, more, size);
    if (q == NULL) return false;
    *p = q;
    *cap = more;
    return true;
}

/* Adds what has become ready as a chunk (lock held). */
static bool add_record(struct cria_generation *g, enum cria_done done) {
    void *records = g->records;
    if (!grow_array(&records, g->n_records, &g->cap_records, sizeof *g->records)) return false;
    g->records = records;
    g->records[g->n_records++] = (struct record){g->text.len, g->n_lps, done};
    return true;
}

static bool emit_text(struct cria_generation *g) {
    size_t len;
    const char *text = textout_ready(g->textout, &len);
    if (len == 0) return true;
    buf_add(&g->text, text, len);
    return !g->text.failed && add_record(g, CRIA_RUNNING);
}

static void finish(struct cria_generation *g, enum cria_done done, enum status failed,
                   const struct err *e) {
    struct sched *s = g->eng->sched;
    pthread_mutex_lock(&s->lock);
    bool told = failed == ST_OK && emit_text(g) && add_record(g, done);
    g->failed = told ? ST_OK : failed != ST_OK ? failed : ST_NO_MEMORY;
    if (!told && failed != ST_OK && e != NULL)
        g->err = *e;
    else if (!told)
        err_no_memory(&g->err);
    g->done = true;
    pthread_cond_broadcast(&g->changed);
    pthread_mutex_unlock(&s->lock);
}

/* ---- one sampled token
 * -------------------------------------------------------------------------------- */

static struct cria_logprob logprob_of(const struct vocab *v, token_id id, float value) {
    struct cria_logprob r = {.id = id, .logprob = value};
    r.piece = vocab_piece(v, id, true, &r.len);
    return r;
}

/* Keeps the log probabilities of a token until its text is sent (lock held). */
static bool add_logprobs(struct cria_generation *g, token_id id, const float *logits) {
    enum { MAX_TOP = 64 };
    token_id ids[MAX_TOP];
    float values[MAX_TOP];
    const uint32_t n = g->n_top < MAX_TOP ? g->n_top : MAX_TOP;
    void *lps = g->lps;
    if (!grow_array(&lps, g->n_lps, &g->cap_lps, sizeof *g->lps)) return false;
    g->lps = lps;
    struct cria_logprob *top = arena_zalloc(&g->lp_arena, n, sizeof *top);
    if (top == NULL) return false;
    float own = sampler_logprobs(logits, g->eng->info.n_vocab, id, n, ids, values);
    for (uint32_t i = 0; i < n; i++) top[i] = logprob_of(g->eng->vocab, ids[i], values[i]);
    g->lps[g->n_lps++] = (struct cria_token_logprobs){logprob_of(g->eng->vocab, id, own), n, top};
    return true;
}

/* The context is full: forget half of what is behind the first n_keep tokens, whole images only.
 * The rest is evaluated again at its new positions, so the result is that of a fresh, shorter
 * prompt. */
static void shift_context(struct cria_generation *g) {
    uint32_t n_ctx = g->eng->n_ctx, keep = g->n_keep < 0 ? g->stats.n_prompt : (uint32_t)g->n_keep;
    if (keep > n_ctx - 2) keep = n_ctx - 2; /* the newest token must stay: it is to be evaluated */
    uint32_t drop = (n_ctx - keep) / 2 != 0 ? (n_ctx - keep) / 2 : 1;
    const uint32_t to = seq_ceil(&g->seq, keep + drop); /* the newest token is no image: it stays */
    keep = seq_floor(&g->seq, keep);
    seq_remove(&g->seq, keep, to);
    /* Forced tokens may wait to be evaluated: the slot can hold less than what is kept. */
    if (keep < g->eng->slots[g->slot].seq.tokens.len) slot_truncate(g->eng, g->slot, keep);
    adapt_shift(&g->eng->slots[g->slot].adapt, g->eng->model->adapters.n, keep, to - keep);
}

/* Whether the generation ends with the token just taken. */
static enum cria_done after_token(struct cria_generation *g) {
    int stop = textout_stop(g->textout);
    if (stop >= 0) g->stats.stop_hit = g->stop[stop];
    if (textout_ended(g->textout)) return CRIA_DONE_STOP;
    if (g->stats.n_generated >= g->n_predict || (g->seq.tokens.len >= g->eng->n_ctx && !g->shift)) {
        textout_finish(g->textout);
        return CRIA_DONE_LENGTH;
    }
    if (g->seq.tokens.len >= g->eng->n_ctx) shift_context(g);
    return CRIA_RUNNING;
}

static bool is_visible(const struct cria_generation *g, token_id id) {
    size_t i = 0;
    while (i < g->n_visible && g->visible[i] != id) i++;
    return i < g->n_visible;
}

/* Takes a chosen token. logits: of this place; NULL only without logprobs. */
static enum cria_done take_token(struct cria_generation *g, token_id id, const float *logits) {
    struct sched *s = g->eng->sched;
    const bool eog = vocab_is_eog(g->eng->vocab, id);
    size_t len = 0;
    const char *piece = eog ? "" : vocab_piece(g->eng->vocab, id, is_visible(g, id), &len);
    bool ok = true;
    sampler_accept(g->sampler, id);
    g->stats.n_generated++;
    pthread_mutex_lock(&s->lock);
    if (!eog) {
        if (g->logprobs) ok = add_logprobs(g, id, logits);
        ok = ok && seq_add(&g->seq, id) && token_list_add(&g->history, id);
    }
    textout_push(g->textout, piece, len, eog);
    enum cria_done done = ok ? after_token(g) : CRIA_RUNNING;
    if (ok && done == CRIA_RUNNING) ok = emit_text(g);
    const int64_t now = os_time_mono_ns();
    g->quick = now - g->token_ns < PACE_NS / 2;
    g->token_ns = now;
    const bool wake = g->reader == READER_WAITS && g->n_read != g->n_records;
    pthread_mutex_unlock(&s->lock);
    if (wake) pthread_cond_signal(&g->changed); /* g lives: only this thread ends it */
    if (!ok || textout_failed(g->textout)) {
        err_no_memory(&g->err);
        g->failed = ST_NO_MEMORY;
    }
    return done;
}

/* The grammar is at its end, and there is no token to say so. */
static enum cria_done end_without_token(struct cria_generation *g) {
    struct sched *s = g->eng->sched;
    pthread_mutex_lock(&s->lock);
    textout_finish(g->textout);
    pthread_mutex_unlock(&s->lock);
    return CRIA_DONE_STOP;
}

/* Under a grammar: chooses and takes the next token, and behind it those that are left no choice
 * about: they need no step of their own. With logprobs each waits for its logits. */
static enum cria_done take_constrained(struct cria_generation *g, const float *logits) {
    struct constraint *c = g->constraint;
    token_id id = constraint_forced(c); /* left over, with logprobs */
    if (id == TOKEN_NONE && constraint_is_over(c)) return end_without_token(g);
    if (id == TOKEN_NONE) id = constraint_sample(c, g->sampler, logits, &g->err);
    while (id != TOKEN_NONE) {
        enum cria_done done = take_token(g, id, logits);
        if (g->logprobs || done != CRIA_RUNNING || g->failed != ST_OK) return done;
        id = constraint_forced(c);
        if (id == TOKEN_NONE) return constraint_is_over(c) ? end_without_token(g) : done;
    }
    g->failed = g->err.code;
    return CRIA_RUNNING;
}

static enum cria_done take_next(struct cria_generation *g, const float *logits) {
    if (g->constraint != NULL) return take_constrained(g, logits);
    return take_token(g, sampler_sample(g->sampler, logits), logits);
}

/* ---- the step
 * ------------------------------------------------------------------------------------------ */

static uint32_t n_pending(const struct cria_generation *g) {
    return (uint32_t)(g->seq.tokens.len - g->eng->slots[g->slot].seq.tokens.len);
}

/* Of the n entries from `begin` on, how many a step can take that has `room` rows left: an image
 * whose rows see each other goes in as a whole. An empty step takes any image. */
static uint32_t whole_images(const struct cria_generation *g, uint32_t begin, uint32_t n,
                             uint32_t room) {
    for (uint32_t k = 0; k < g->seq.n_spans; k++) {
        const struct image_span *x = &g->seq.spans[k];
        const uint32_t end = x->first + x->image.n_rows;
        if (!x->image.non_causal || x->first >= begin + n || end <= begin + n) continue;
        if (x->first > begin) return x->first - begin;
        return x->image.n_rows <= room ? x->image.n_rows : 0;
    }
    return n;
}

/* How many of the pending entries, of which there are `left`, to take into the step. */
static uint32_t rows_to_take(const struct cria_generation *g, uint32_t left, uint32_t most) {
    const struct cria_engine *eng = g->eng;
    const uint32_t used = eng->rows.batch.n_tokens;
    const uint32_t room = used < eng->n_batch ? eng->n_batch - used : 0;
    uint32_t n = left < most ? left : most;
    if (n > room) n = room;
    n = whole_images(g, (uint32_t)eng->slots[g->slot].seq.tokens.len, n,
                     used == 0 ? eng->n_rows : room);
    /* No result row left for the last token: it waits for the next step. */
    return n == left && eng->rows.batch.n_outputs == eng->n_outputs ? n - 1 : n;
}

static uint32_t count_images(const struct sequence *s, uint32_t begin, uint32_t n) {
    uint32_t rows = 0;
    for (uint32_t i = begin; s->n_spans != 0 && i < begin + n; i++)
        rows += s->tokens.ids[i] == CRIA_TOKEN_IMAGE;
    return rows;
}

static const float *image_row(const struct sequence *s, uint32_t i) {
    if (s->tokens.ids[i] != CRIA_TOKEN_IMAGE) return NULL;
    const struct image_span *x = seq_span(s, i);
    return x->image.rows + (size_t)(i - x->first) * x->image.n_out;
}

/* Takes up to `most` pending tokens into the step. */
static void add_rows(struct cria_generation *g, uint32_t most) {
    struct cria_engine *eng = g->eng;
    const uint32_t begin = (uint32_t)eng->slots[g->slot].seq.tokens.len, left = n_pending(g);
    const uint32_t n = rows_to_take(g, left, most);
    const struct image_span *span = seq_span(&g->seq, begin);
    g->starved = n == 0 && span != NULL && span->image.non_causal;
    if (n == 0) return;
    if (!rows_reserve_given(eng, count_images(&g->seq, begin, n)) ||
        !slot_extend(eng, g->slot, &g->seq, begin, n)) {
        g->failed = err_no_memory(&g->err);
        return;
    }
    for (uint32_t i = begin; i < begin + n; i++) {
        bool last = i + 1 == begin + left;
        uint32_t row = rows_add(eng, (uint32_t)g->slot, i, image_row(&g->seq, i), last);
        if (last) g->result_row = row;
    }
    g->in_step = true;
    g->wants_result = n == left;
}

/* A prompt. Of a recurrent model its last token waits for a step of its own: what is before it is
 * worth a copy, since the same prompt will come again, but never the state behind its answer. */
static void add_prompt(struct cria_generation *g) {
    const bool first = g->eng->kv->recurrent && g->stats.n_generated == 0 && n_pending(g) > 1;
    add_rows(g, first ? n_pending(g) - 1 : UINT32_MAX);
}

static void add_next(struct cria_generation *g) {
    if (g->stats.n_generated == 0) slot_checkpoint(g->eng, g->slot);
    add_rows(g, 1);
}

static void build_step(struct sched *s, struct cria_engine *eng) {
    rows_clear(eng);
    for (uint32_t i = 0; i < s->n_run; i++) s->run[i]->in_step = s->run[i]->wants_result = false;
    for (uint32_t i = 0; i < s->n_run; i++) /* an image too large for what others left */
        if (s->run[i]->starved && eng->rows.batch.n_tokens == 0) add_rows(s->run[i], 1);
    for (uint32_t i = 0; i < s->n_run; i++)
        if (!s->run[i]->in_step && n_pending(s->run[i]) == 1) add_next(s->run[i]);
    for (uint32_t i = 0; i < s->n_run; i++) /* those with forced tokens go before prompts */
        if (!s->run[i]->in_step && s->run[i]->stats.n_generated > 0)
            add_rows(s->run[i], MAX_FORCED);
    for (uint32_t i = 0; i < s->n_run; i++)
        if (!s->run[i]->in_step) add_prompt(s->run[i]);
}

static enum cria_done use_result(struct cria_generation *g, int64_t now) {
    if (g->stats.n_generated == 0) {
        g->stats.prompt_ns = now - g->started_ns;
        g->sampled_ns = now;
    }
    enum cria_done done = take_next(g, engine_result(g->eng, g->result_row));
    tell_phase(g, CRIA_DECODING);
    if (g->progress != NULL) atomic_store(&g->progress->n_generated, g->stats.n_generated);
    g->stats.eval_ns = os_time_mono_ns() - g->sampled_ns;
    return done;
}

static void leave(struct sched *s, uint32_t i, enum cria_done done, const struct err *e) {
    struct cria_generation *g = s->run[i];
    slot_release(g->eng, g->slot);
    s->run[i] = s->run[--s->n_run];
    atomic_store(&s->n_running, s->n_run);
    atomic_store(&s->n_free_pages, g->eng->kv->all.n_free);
    finish(g, done, g->failed, e);
}

/* False: there was nothing to compute. */
static bool make_step(struct sched *s, struct cria_engine *eng) {
    struct err e = {0};
    build_step(s, eng);
    const bool work = eng->rows.batch.n_tokens != 0;
    const enum status st = work ? engine_step(eng, &e) : ST_OK;
    const int64_t now = os_time_mono_ns();
    atomic_store(&s->n_free_pages, eng->kv->all.n_free);
    for (uint32_t i = s->n_run; i-- > 0;) { /* downwards: leave() moves the last one here */
        struct cria_generation *g = s->run[i];
        enum cria_done done = CRIA_RUNNING;
        if (st != ST_OK && g->in_step) {
            g->failed = st;
            slot_truncate(eng, g->slot, 0); /* its newest cells are unknown */
        } else if (g->wants_result) {
            done = use_result(g, now);
        }
        if (g->failed != ST_OK)
            leave(s, i, done, st != ST_OK ? &e : &g->err);
        else if (done != CRIA_RUNNING)
            leave(s, i, done, NULL);
    }
    return work;
}

/* ---- the thread
 * ---------------------------------------------------------------------------------------- */

static struct cria_generation *queue_pop(struct sched *s) {
    struct cria_generation *g = s->first;
    s->first = g->next;
    if (s->first == NULL) s->last = &s->first;
    atomic_fetch_sub(&s->n_waiting, 1);
    return g;
}

/* Gives slots to waiting generations, in order. */
static void admit(struct sched *s, struct cria_engine *eng) {
    for (;;) {
        pthread_mutex_lock(&s->lock);
        struct cria_generation *g = s->first;
        bool cancelled = g != NULL && atomic_load(&g->cancelled);
        if (g != NULL && !cancelled) g->slot = slot_acquire(eng, &g->seq, &g->adapt, g->domain);
        if (g != NULL && (cancelled || g->slot != SLOT_NONE)) queue_pop(s);
        pthread_mutex_unlock(&s->lock);
        if (g == NULL || (!cancelled && g->slot == SLOT_NONE)) return;
        if (cancelled) {
            finish(g, CRIA_DONE_CANCELLED, ST_OK, NULL);
            continue;
        }
        g->stats.n_cached = (uint32_t)eng->slots[g->slot].seq.tokens.len;
        g->started_ns = os_time_mono_ns();
        g->stats.wait_ns = g->started_ns - g->asked_ns;
        tell_phase(g, CRIA_PROMPT);
        s->run[s->n_run++] = g;
        atomic_store(&s->n_running, s->n_run);
    }
}

static void drop_cancelled(struct sched *s) {
    for (uint32_t i = s->n_run; i-- > 0;)
        if (atomic_load(&s->run[i]->cancelled)) leave(s, i, CRIA_DONE_CANCELLED, NULL);
}

/* Waits for work; false: the engine closes. */
static bool wait_for_work(struct sched *s) {
    pthread_mutex_lock(&s->lock);
    while (!s->quit && s->first == NULL && s->n_run == 0) pthread_cond_wait(&s->work, &s->lock);
    bool go_on = !s->quit;
    pthread_mutex_unlock(&s->lock);
    return go_on;
}

static void *sched_thread(void *arg) {
    struct cria_engine *eng = arg;
    struct sched *s = eng->sched;
    os_thread_computes();
    while (wait_for_work(s)) {
        step_enter(eng);
        drop_cancelled(s);
        admit(s, eng);
        bool worked = make_step(s, eng);
        pthread_mutex_unlock(&eng->step_lock);
        /* Waiting without work can only mean that timelines hold all slots: look again soon. */
        if (!worked) nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    }
    return NULL;
}

enum status sched_open(struct cria_engine *eng, struct err *e) {
    struct sched *s = mem_zalloc(1, sizeof *s);
    if (s == NULL) return err_no_memory(e);
    s->last = &s->first;
    atomic_init(&s->n_running, 0);
    atomic_init(&s->n_waiting, 0);
    atomic_init(&s->n_free_pages, eng->kv->all.n_free);
    s->run = mem_zalloc(eng->n_parallel, sizeof *s->run);
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->work, NULL);
    eng->sched = s;
    if (s->run != NULL && pthread_create(&s->thread, NULL, sched_thread, eng) == 0) return ST_OK;
    eng->sched = NULL;
    mem_free(s->run);
    mem_free(s);
    return err_set(e, ST_NO_MEMORY, "cannot start the scheduler's thread");
}

void sched_close(struct cria_engine *eng) {
    struct sched *s = eng->sched;
    if (s == NULL) return;
    pthread_mutex_lock(&s->lock);
    assert(s->first == NULL); /* all generations have been freed: see cria_engine_close */
    s->quit = true;
    pthread_cond_signal(&s->work);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->thread, NULL);
    pthread_cond_destroy(&s->work);
    pthread_mutex_destroy(&s->lock);
    mem_free(s->run);
    mem_free(s);
}
struct cria_load cria_engine_load(const struct cria_engine *eng) {
    const struct sched *s = eng->sched;
    if (s == NULL) return (struct cria_load){0};
    return (struct cria_load){.n_running = atomic_load(&s->n_running),
                              .n_waiting = atomic_load(&s->n_waiting),
                              .n_pages = eng->kv->cache.n_pages,
                              .n_free_pages = atomic_load(&s->n_free_pages)};
}
