/* runner.c - see runner.h. One mutex guards everything here; it is never held while an engine is
 * opened or closed. One condition is broadcast at every change: the waiting threads are few. */
#include "api/runner.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/duration.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/os.h"

enum {
    MIN_CTX = 4,
    MIN_VISION_CTX = 2048,
    DEFAULT_CTX = 4096,
    DEFAULT_BATCH = 512,
    THREADS_PER_CPU = 4, /* most that a request may ask for: a thousand took seconds to meet */
    FEWEST_MOST_THREADS = 16,
};

struct load_key { /* what makes two loads of a file different */
    uint32_t n_ctx, n_batch, n_thread;
    bool auto_ctx, auto_batch;
};

enum runner_state { RUNNER_LOADING, RUNNER_READY, RUNNER_CLOSING };

struct runner {
    char *key;      /* path of the model; owned */
    char *adapters; /* their paths, a line each; owned */
    struct load_key load;
    enum runner_state state;
    struct cria_engine *engine;
    struct cria_vision *vision; /* NULL: no projector, or vision_error tells */
    char *projector;            /* its path, "" if none; owned */
    char *vision_error;         /* owned; NULL */
    unsigned refs;
    bool expiring;               /* to be unloaded when idle; takes no new requests */
    int64_t keep_ns, expires_ns; /* expires_ns: monotonic, while idle */
    char *name, *details;        /* for ps; owned */
    char digest[65];
    struct runner *next;
};

struct waiter { /* a request in the queue; on its thread's stack */
    const struct runner_wish *wish;
    const struct load_key *load;
    struct cancel *cancel;
    struct waiter *next;
};

struct runner_pool {
    struct settings settings;
    pthread_mutex_t mutex;
    pthread_cond_t changed; /* on the monotonic clock */
    pthread_t thread;
    bool closing;
    struct runner *runners;
    struct waiter *head; /* queue, first in front */
    uint32_t n_waiting;
};

struct cria_engine *runner_engine(const struct runner *r) { return r->engine; }

struct cria_vision *runner_vision(const struct runner *r, const char **why) {
    if (why != NULL) *why = r->vision_error;
    return r->vision;
}

static void runner_free(struct runner *r) {
    mem_free(r->key);
    mem_free(r->adapters);
    mem_free(r->name);
    mem_free(r->details);
    mem_free(r->projector);
    mem_free(r->vision_error);
    mem_free(r);
}

static struct runner *find_runner(struct runner_pool *p, const char *key) {
    for (struct runner *r = p->runners; r != NULL; r = r->next)
        if (strcmp(r->key, key) == 0) return r;
    return NULL;
}

static void unlink_runner(struct runner_pool *p, struct runner *r) {
    struct runner **at = &p->runners;
    while (*at != r) at = &(*at)->next;
    *at = r->next;
}

/* `now` may be before 1970. */
static int64_t add_time(int64_t now, int64_t ns) {
    int64_t then;
    return __builtin_add_overflow(now, ns, &then) ? INT64_MAX : then;
}

/* ---- the thread that unloads ---- */

static bool is_over(const struct runner *r, int64_t now) {
    return r->state == RUNNER_READY && r->refs == 0 && (r->expiring || r->expires_ns <= now);
}

/* Closes one engine; the mutex is let go meanwhile. */
static void unload(struct runner_pool *p, struct runner *r) {
    r->state = RUNNER_CLOSING;
    pthread_mutex_unlock(&p->mutex);
    log_info("runner", "unloading %s", r->name);
    cria_vision_close(r->vision);
    cria_engine_close(r->engine);
    pthread_mutex_lock(&p->mutex);
    unlink_runner(p, r);
    runner_free(r);
    pthread_cond_broadcast(&p->changed);
}

static void *unload_thread(void *arg) {
    struct runner_pool *p = arg;
    pthread_mutex_lock(&p->mutex);
    for (;;) {
        int64_t now = os_time_mono_ns(), next = INT64_MAX;
        struct runner *over = NULL;
        for (struct runner *r = p->runners; r != NULL && over == NULL; r = r->next) {
            if (is_over(r, now))
                over = r;
            else if (r->state == RUNNER_READY && r->refs == 0 && r->expires_ns < next)
                next = r->expires_ns;
        }
        if (over != NULL)
            unload(p, over);
        else if (p->closing)
            break;
        else
            os_cond_wait(&p->changed, &p->mutex, next);
    }
    pthread_mutex_unlock(&p->mutex);
    return NULL;
}

enum status runner_pool_open(struct runner_pool **out, const struct settings *s, struct err *e) {
    struct runner_pool *p = mem_zalloc(1, sizeof *p);
    if (p == NULL) return err_no_memory(e);
    p->settings = *s;
    pthread_mutex_init(&p->mutex, NULL);
    os_cond_init(&p->changed);
    if (pthread_create(&p->thread, NULL, unload_thread, p) != 0) {
        pthread_cond_destroy(&p->changed);
        pthread_mutex_destroy(&p->mutex);
        mem_free(p);
        return err_set(e, ST_INTERNAL, "cannot start a thread");
    }
    *out = p;
    return ST_OK;
}

void runner_pool_close(struct runner_pool *p) {
    if (p == NULL) return;
    pthread_mutex_lock(&p->mutex);
    p->closing = true;
    for (struct runner *r = p->runners; r != NULL; r = r->next) r->expiring = true;
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->mutex);
    pthread_join(p->thread, NULL);
    pthread_cond_destroy(&p->changed);
    pthread_mutex_destroy(&p->mutex);
    mem_free(p);
}

void runner_wake(struct runner_pool *p) {
    pthread_mutex_lock(&p->mutex);
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->mutex);
}

void runner_pool_configure(struct runner_pool *p, const struct settings *s) {
    pthread_mutex_lock(&p->mutex);
    p->settings = *s;
    pthread_cond_broadcast(&p->changed); /* there may be room for more models now */
    pthread_mutex_unlock(&p->mutex);
}

/* ---- load options ---- */

static uint32_t clamp_u32(int64_t v, uint32_t min, uint32_t max) {
    return v < (int64_t)min ? min : v > (int64_t)max ? max : (uint32_t)v;
}

static uint32_t most_threads(void) {
    const uint32_t n = os_cpu_count() * THREADS_PER_CPU;
    return n > FEWEST_MOST_THREADS ? n : FEWEST_MOST_THREADS;
}

/* With the mutex. */
static struct load_key load_key(const struct runner_pool *p, const struct runner_wish *w) {
    const struct options *o = w->options;
    struct load_key k = {.auto_ctx = o->num_ctx <= 0, .auto_batch = o->num_batch <= 0};
    int64_t ctx = o->num_ctx, train = w->model->facts->context_length;
    if (k.auto_ctx) ctx = p->settings.context_length > 0 ? p->settings.context_length : DEFAULT_CTX;
    if (train > 0 && ctx > train) ctx = train;
    k.n_ctx = clamp_u32(ctx, w->model->can[CAN_VISION] ? MIN_VISION_CTX : MIN_CTX, 1U << 30);
    k.n_batch = k.auto_batch ? DEFAULT_BATCH : clamp_u32(o->num_batch, 1, 65536);
    if (o->num_thread > 0) k.n_thread = clamp_u32(o->num_thread, 1, most_threads());
    return k;
}

static bool same_load(const struct load_key *a, const struct load_key *b) {
    return ((a->auto_ctx && b->auto_ctx) || a->n_ctx == b->n_ctx) &&
           ((a->auto_batch && b->auto_batch) || a->n_batch == b->n_batch) &&
           a->n_thread == b->n_thread;
}

/* ---- taking and giving back ---- */

static void take(struct runner_pool *p, struct runner *r, const struct runner_wish *w) {
    r->refs++;
    if (w->keep_alive_ns != NULL) r->keep_ns = *w->keep_alive_ns;
    (void)p;
}

void runner_release(struct runner_pool *p, struct runner *r) {
    pthread_mutex_lock(&p->mutex);
    r->refs--;
    if (!cria_engine_intact(r->engine)) r->expiring = true;
    if (r->refs == 0) {
        r->expires_ns = add_time(os_time_mono_ns(), r->keep_ns);
        if (r->keep_ns <= 0) r->expiring = true;
    }
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->mutex);
}

void runner_expire(struct runner_pool *p, const struct catalog_model *m) {
    pthread_mutex_lock(&p->mutex);
    struct runner *r = find_runner(p, m->facts->key);
    if (r != NULL) {
        r->expiring = true;
        r->keep_ns = 0;
    }
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->mutex);
}

/* The runner to give way: idle before busy, then the shortest time to live, then by path. */
static struct runner *victim(struct runner_pool *p) {
    struct runner *best = NULL;
    for (struct runner *r = p->runners; r != NULL; r = r->next) {
        if (r->state != RUNNER_READY || r->expiring) continue;
        bool idle = r->refs == 0, best_idle = best != NULL && best->refs == 0;
        bool better =
            best == NULL || (idle != best_idle             ? idle
                             : r->keep_ns != best->keep_ns ? r->keep_ns < best->keep_ns
                                                           : strcmp(r->key, best->key) < 0);
        if (better) best = r;
    }
    return best;
}

static uint32_t count_runners(const struct runner_pool *p, bool *one_is_going) {
    uint32_t n = 0;
    *one_is_going = false;
    for (const struct runner *r = p->runners; r != NULL; r = r->next, n++)
        if (r->expiring || r->state == RUNNER_CLOSING) *one_is_going = true;
    return n;
}

/* Whether the head of the queue must wait for something to be unloaded first. */
static bool must_wait(struct runner_pool *p, struct runner *same) {
    bool going;
    if (same != NULL) { /* loaded with other options, or on its way out */
        if (same->state == RUNNER_READY) same->expiring = true;
        pthread_cond_broadcast(&p->changed);
        return true;
    }
    if (count_runners(p, &going) < p->settings.max_loaded) return false;
    struct runner *v = going ? NULL : victim(p);
    if (v != NULL) {
        v->expiring = true;
        pthread_cond_broadcast(&p->changed);
    }
    return true;
}

/* ---- loading ---- */

/* A file of its own, or the model's, which may have an encoder inside. */
static const char *projector_of(const struct runner_wish *w) {
    const struct store_model *m = &w->model->stored;
    if (m->n_projectors > 0) return m->projectors[0];
    return w->model->facts->vision && m->model_path != NULL ? m->model_path : "";
}

static bool same_adapters(const struct runner *r, const struct catalog_model *m) {
    const char *p = r->adapters;
    for (size_t i = 0; i < m->stored.n_adapters; i++) {
        const size_t n = strlen(m->stored.adapters[i]);
        if (strncmp(p, m->stored.adapters[i], n) != 0 || p[n] != '\n') return false;
        p += n + 1;
    }
    return *p == '\0';
}

/* Whether what is loaded, or being loaded, is what somebody asks for. */
static bool fits(const struct runner *r, const struct runner_wish *w, const struct load_key *k) {
    return strcmp(r->key, w->model->facts->key) == 0 && same_load(&r->load, k) &&
           same_adapters(r, w->model) && strcmp(r->projector, projector_of(w)) == 0;
}

struct loading {
    struct runner_pool *pool;
    const struct runner *runner;
    const struct waiter *by;
};

/* The client has gone, and no other one waits for the same. */
static bool nobody_wants(void *arg) {
    const struct loading *l = arg;
    pthread_mutex_lock(&l->pool->mutex);
    bool wanted = !cancel_fired(l->by->cancel);
    for (const struct waiter *x = l->pool->head; x != NULL && !wanted; x = x->next)
        wanted = x != l->by && fits(l->runner, x->wish, x->load) && !cancel_fired(x->cancel);
    pthread_mutex_unlock(&l->pool->mutex);
    return !wanted;
}

static enum status open_engine(struct loading *l, const struct settings *s,
                               struct cria_engine **out, struct err *e) {
    const struct runner_wish *w = l->by->wish;
    const struct load_key *k = l->by->load;
    const struct store_model *m = &w->model->stored;
    struct cria_engine_params ep = cria_engine_default_params();
    struct err local = {.msg = ""};
    ep.n_ctx = k->n_ctx;
    ep.n_batch = k->n_batch;
    ep.n_threads = k->n_thread;
    ep.n_parallel = s->num_parallel;
    ep.kv_type = s->kv_type;
    ep.adapters = m->adapters;
    ep.n_adapters = m->n_adapters;
    ep.cancelled = nobody_wants;
    ep.arg = l;
    if (m->tensor_layers)
        return err_set(e, ST_INTERNAL,
                       "this model requires MLX support, but the MLX runtime is not available");
    if (m->model_path == NULL && m->model_data == NULL)
        return err_set(e, ST_INTERNAL, "the model has no weights");
    enum status st = m->model_path != NULL
                         ? cria_engine_open(out, m->model_path, &ep, &local)
                         : cria_engine_open_memory(out, m->model_data, m->model_size,
                                                   w->model->facts->key, &ep, &local);
    if (st == ST_CANCELLED) return err_set(e, st, "request canceled");
    /* Whatever is wrong with the file is not the request's fault. */
    return st == ST_OK ? ST_OK : err_set(e, ST_INTERNAL, "%s", local.msg);
}

/* A projector that cannot be used is no reason to refuse text: who sends an image is told why. */
static enum status open_vision(struct runner *r, struct err *e) {
    struct err why = {.msg = ""};
    if (*r->projector == '\0') return ST_OK;
    const enum status st = cria_vision_open(&r->vision, r->engine, r->projector, NULL, &why);
    if (st == ST_OK) return ST_OK;
    log_warn("runner", "projector of %s: %s", r->name, why.msg);
    r->vision_error = mem_strdup(why.msg);
    return st == ST_NO_MEMORY || r->vision_error == NULL ? err_no_memory(e) : ST_OK;
}

static enum status open_runner(struct runner *r, struct loading *l, const struct settings *s,
                               struct err *e) {
    enum status st = open_engine(l, s, &r->engine, e);
    if (st != ST_OK) return st;
    st = nobody_wants(l) ? err_set(e, ST_CANCELLED, "request canceled") : open_vision(r, e);
    if (st != ST_OK) cria_engine_close(r->engine);
    return st;
}

/* The paths of the model's adapters, a line each; NULL: no memory. */
static char *adapter_paths(const struct catalog_model *m) {
    struct buf b = {0};
    for (size_t i = 0; i < m->stored.n_adapters; i++) buf_printf(&b, "%s\n", m->stored.adapters[i]);
    buf_str(&b, "");
    return buf_take(&b);
}

static struct runner *runner_new(const struct runner_wish *w, const struct load_key *k,
                                 int64_t keep_ns) {
    char shortest[NAME_TEXT_MAX];
    struct buf details = {0};
    struct runner *r = mem_zalloc(1, sizeof *r);
    if (r == NULL) return NULL;
    name_shortest(&w->model->stored.entry.name, shortest);
    catalog_put_details(&details, w->model, "", false);
    *r = (struct runner){.load = *k, .keep_ns = keep_ns, .refs = 1};
    memcpy(r->digest, w->model->stored.entry.digest, sizeof r->digest);
    r->key = mem_strdup(w->model->facts->key);
    r->name = mem_strdup(shortest);
    r->details = buf_take(&details);
    r->projector = mem_strdup(projector_of(w));
    r->adapters = adapter_paths(w->model);
    if (r->adapters != NULL && r->projector != NULL && r->key != NULL && r->name != NULL &&
        r->details != NULL)
        return r;
    runner_free(r);
    return NULL;
}

/* Called with the mutex, by the head of the queue, when there is room. A load that nobody wants any
 * more ends half-way. */
static enum status load(struct runner_pool *p, const struct waiter *me, struct runner **out,
                        struct err *e) {
    const struct runner_wish *w = me->wish;
    int64_t keep = w->keep_alive_ns != NULL ? *w->keep_alive_ns : p->settings.keep_alive_ns;
    struct runner *r = runner_new(w, me->load, keep);
    if (r == NULL) return err_no_memory(e);
    struct loading l = {p, r, me};
    r->state = RUNNER_LOADING;
    r->next = p->runners;
    p->runners = r;
    const struct settings settings = p->settings;
    pthread_mutex_unlock(&p->mutex);
    int64_t start = os_time_mono_ns();
    enum status st = open_runner(r, &l, &settings, e);
    log_info("runner", "load of %s: %s, %.0f ms", r->name, st == ST_OK ? "done" : e->msg,
             (double)(os_time_mono_ns() - start) / 1e6);
    pthread_mutex_lock(&p->mutex);
    if (st == ST_OK) {
        r->state = RUNNER_READY;
        *out = r;
    } else {
        unlink_runner(p, r);
        runner_free(r);
    }
    return st;
}

/* ---- the queue ---- */

static void enqueue(struct runner_pool *p, struct waiter *me) {
    struct waiter **at = &p->head;
    while (*at != NULL) at = &(*at)->next;
    me->next = NULL;
    *at = me;
    p->n_waiting++;
}

static void dequeue(struct runner_pool *p, struct waiter *me) {
    struct waiter **at = &p->head;
    while (*at != me) at = &(*at)->next;
    *at = me->next;
    p->n_waiting--;
    pthread_cond_broadcast(&p->changed);
}

/* A runner that can be used at once, taken; NULL: none. */
static struct runner *take_ready(struct runner_pool *p, const struct runner_wish *w,
                                 const struct load_key *k) {
    struct runner *r = find_runner(p, w->model->facts->key);
    if (r == NULL || r->state != RUNNER_READY || r->expiring || !fits(r, w, k)) return NULL;
    take(p, r, w);
    return r;
}

static enum status wait_in_queue(struct runner_pool *p, const struct runner_wish *w,
                                 const struct load_key *k, struct cancel *c, struct runner **out,
                                 struct err *e) {
    struct waiter me = {.wish = w, .load = k, .cancel = c};
    enum status st = ST_OK;
    if (p->n_waiting >= p->settings.max_queue)
        return err_set(e, ST_BUSY,
                       "server busy, please try again.  maximum pending requests exceeded");
    enqueue(p, &me);
    for (;;) {
        if (cancel_fired(c) || p->closing) st = err_set(e, ST_CANCELLED, "request canceled");
        if (st != ST_OK || (*out = take_ready(p, w, k)) != NULL) break;
        if (p->head == &me && !must_wait(p, find_runner(p, w->model->facts->key))) {
            st = load(p, &me, out, e);
            break;
        }
        pthread_cond_wait(&p->changed, &p->mutex);
    }
    dequeue(p, &me);
    return st;
}

enum status runner_acquire(struct runner_pool *p, const struct runner_wish *w, struct cancel *c,
                           struct runner **out, struct err *e) {
    struct err local;
    if (e == NULL) e = &local;
    enum status st = ST_OK;
    pthread_mutex_lock(&p->mutex);
    const struct load_key k = load_key(p, w);
    *out = take_ready(p, w, &k);
    if (*out == NULL) st = wait_in_queue(p, w, &k, c, out, e);
    pthread_mutex_unlock(&p->mutex);
    return st;
}

/* ---- ps ---- */

static int by_expiry(const void *a, const void *b) {
    const struct runner *const *x = a, *const *y = b;
    return ((*x)->expires_ns < (*y)->expires_ns) - ((*x)->expires_ns > (*y)->expires_ns);
}

uint32_t runner_each(struct runner_pool *p, void (*fn)(void *arg, const struct runner_load *l),
                     void *arg) {
    pthread_mutex_lock(&p->mutex);
    for (struct runner *r = p->runners; r != NULL; r = r->next) {
        if (r->state != RUNNER_READY) continue;
        const struct runner_load l = {r->name, cria_engine_load(r->engine)};
        fn(arg, &l);
    }
    const uint32_t n = p->n_waiting;
    pthread_mutex_unlock(&p->mutex);
    return n;
}

static void put_runner(struct buf *b, const struct runner *r, int64_t now) {
    const struct cria_model_info *info = cria_engine_info(r->engine);
    size_t size = info->weights_bytes + info->kv_bytes + info->scratch_bytes;
    if (r->vision != NULL) size += cria_vision_info(r->vision)->weights_bytes;
    int64_t left = r->expires_ns == INT64_MAX ? INT64_MAX : r->expires_ns - now;
    char when[48];
    os_time_rfc3339(add_time(os_time_unix_ns(), left), false, when);
    buf_chr(b, '{');
    json_put_field(b, "name", r->name);
    json_put_field(b, "model", r->name);
    json_put_field_int(b, "size", (int64_t)size);
    json_put_field(b, "digest", r->digest);
    json_put_key(b, "details");
    buf_str(b, r->details);
    json_put_field(b, "expires_at", when);
    json_put_field_int(b, "size_vram", 0); /* the CPU backend has none */
    json_put_field_int(b, "context_length", info->n_ctx);
    buf_chr(b, '}');
}

void runner_put_list(struct runner_pool *p, struct buf *b) {
    enum { MAX_SHOWN = 256 };
    struct runner *shown[MAX_SHOWN];
    size_t n = 0;
    int64_t now = os_time_mono_ns();
    pthread_mutex_lock(&p->mutex);
    for (struct runner *r = p->runners; r != NULL && n < MAX_SHOWN; r = r->next) {
        if (r->state != RUNNER_READY || is_over(r, now)) continue;
        if (r->refs > 0) r->expires_ns = add_time(now, r->keep_ns);
        shown[n++] = r;
    }
    qsort(shown, n, sizeof *shown, by_expiry);
    buf_chr(b, '[');
    for (size_t i = 0; i < n; i++) {
        if (i > 0) buf_chr(b, ',');
        put_runner(b, shown[i], now);
    }
    buf_chr(b, ']');
    pthread_mutex_unlock(&p->mutex);
}
