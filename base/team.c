/* team.c - see team.h.
 *
 * Two words carry everything. `epoch` counts runs: the caller raises it, the workers wait for that.
 * `phase` counts meetings: who arrives last raises it, the others wait for that; the end of a run
 * is one more meeting. A waiter remembers the old value, so a word may go on while it looks away,
 * and the count of arrivals is reset before the phase goes on: the next meeting can start at once.
 *
 * Sleeping: a waiter counts itself in `sleepers`, looks at the word again and calls FUTEX_WAIT,
 * which sleeps only if the word still has the old value. Who raises a word looks at `sleepers`
 * afterwards. Both use sequentially consistent order: either the waiter sees the new value, or the
 * raiser sees the sleeper; a wake-up cannot be lost. Without sleepers no system call is made.
 *
 * One run at a time; its caller may be any thread. */
#define _GNU_SOURCE 1 /* pthread_setname_np */

#include "base/team.h"

#include <assert.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/os.h"

#ifdef CRIA_HARD
enum { SPINS = 1 }; /* nearly every wait sleeps */
#else
enum { SPINS = 2000 };       /* 20 to 90 us, by the length of a pause on the processor */
#endif
enum { CACHE_LINE = 64 };

/* A word to wait for, alone on its cache line. */
struct signal_word {
    _Alignas(CACHE_LINE) atomic_uint value;
    atomic_uint sleepers;
};

struct worker {
    struct team *team;
    pthread_t thread;
    unsigned index;
};

struct team {
    struct signal_word epoch, phase;
    _Alignas(CACHE_LINE) atomic_uint arrived; /* at the present meeting */
    _Alignas(CACHE_LINE) unsigned n_workers;
    unsigned spins;
    bool stop;    /* together with fn and arg: written before epoch is raised, read after */
    bool running; /* only for the assertion */
    team_fn *fn;
    void *arg;
    struct worker worker[]; /* [0] is the caller's and has no thread */
};

/* ---- waiting ---- */

static void pause_briefly(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb"); /* about 10 ns; `yield` is nothing on most cores */
#endif
}

static unsigned peek(struct signal_word *w) {
    return atomic_load_explicit(&w->value, memory_order_acquire);
}

static void futex_wait(struct signal_word *w, unsigned old) {
    syscall(SYS_futex, &w->value, FUTEX_WAIT_PRIVATE, old, NULL, NULL, 0);
}

/* Returns when w no longer has the value `old`. */
static void word_wait(struct signal_word *w, unsigned old, unsigned spins) {
    for (unsigned i = 0; i < spins; i++) {
        if (peek(w) != old) return;
        pause_briefly();
    }
    atomic_fetch_add(&w->sleepers, 1);
    /* A signal or a stray wake-up may end a sleep early: hence the loop. */
    while (atomic_load(&w->value) == old) futex_wait(w, old);
    atomic_fetch_sub(&w->sleepers, 1);
}

static void word_raise(struct signal_word *w) {
    atomic_fetch_add(&w->value, 1);
    if (atomic_load(&w->sleepers) != 0)
        syscall(SYS_futex, &w->value, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

void team_barrier(struct team *t) {
    if (t->n_workers == 1) return;
    /* Read before arriving: until we have arrived, the phase cannot go on. */
    unsigned phase = peek(&t->phase);
    if (atomic_fetch_add_explicit(&t->arrived, 1, memory_order_acq_rel) + 1 < t->n_workers) {
        word_wait(&t->phase, phase, t->spins);
        return;
    }
    atomic_store_explicit(&t->arrived, 0, memory_order_relaxed);
    word_raise(&t->phase);
}

/* ---- workers ---- */

static void *worker_main(void *arg) {
    struct worker *w = arg;
    struct team *t = w->team;
    for (unsigned epoch = 0;; epoch++) { /* epochs follow each other: none is missed */
        word_wait(&t->epoch, epoch, t->spins);
        if (t->stop) return NULL;
        t->fn(t->arg, w->index, t->n_workers);
        team_barrier(t);
    }
}

void team_run(struct team *t, team_fn *fn, void *arg) {
    assert(!t->running);
    t->running = true;
    t->fn = fn;
    t->arg = arg;
    if (t->n_workers > 1) word_raise(&t->epoch);
    fn(arg, 0, t->n_workers);
    team_barrier(t);
    t->running = false;
}

unsigned team_size(const struct team *t) { return t->n_workers; }

/* ---- opening and closing ---- */

/* Starts one worker with all signals blocked: they are for the threads that expect them. */
static int start_worker(struct worker *w) {
    sigset_t all, before;
    sigfillset(&all);
    sigdelset(&all, SIGBUS); /* of files that are cut: os_map.c */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int code = pthread_create(&w->thread, NULL, worker_main, w);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (code == 0) pthread_setname_np(w->thread, "cria-team");
    return code;
}

/* Ends the workers 1 .. n_started - 1, which all wait for the next epoch. */
static void stop_workers(struct team *t, unsigned n_started) {
    t->stop = true;
    word_raise(&t->epoch);
    for (unsigned i = 1; i < n_started; i++) pthread_join(t->worker[i].thread, NULL);
}

enum status team_open(struct team **out, unsigned n_workers, struct err *e) {
    assert(n_workers > 0);
    size_t size;
    if (!mem_mul(n_workers, sizeof(struct worker), &size) ||
        !mem_add(size, sizeof(struct team), &size))
        return err_no_memory(e);
    struct team *t = mem_aligned(CACHE_LINE, size);
    if (t == NULL) return err_no_memory(e);
    memset(t, 0, size);
    t->n_workers = n_workers;
    /* With more workers than processors, who spins keeps the one waited for from running. */
    t->spins = n_workers <= os_cpu_count() ? SPINS : 1;
    for (unsigned i = 1; i < n_workers; i++) {
        t->worker[i] = (struct worker){.team = t, .index = i};
        int code = start_worker(&t->worker[i]);
        if (code == 0) continue;
        stop_workers(t, i);
        mem_free(t);
        return err_set(e, ST_UNAVAILABLE, "thread %u of %u: %s", i, n_workers, strerror(code));
    }
    *out = t;
    return ST_OK;
}

void team_close(struct team *t) {
    if (t == NULL) return;
    assert(!t->running);
    stop_workers(t, t->n_workers);
    mem_free(t);
}
