/* team.c - see team.h.
 *
 * `claim` says how many tasks the stage has and which is the next one to take. It describes the
 * present state completely, so whoever raises it by one has a task of the present stage, however
 * long ago it looked at the word first. Who finishes the last task prepares the next stage alone. A
 * worker without a task reads nothing of a job: the job may be over, and its memory gone.
 *
 * `stage` counts stages, of all jobs; those without a task wait for it. A waiter has its old value
 * from before it looked for tasks, so it may go on while that one looks away.
 *
 * Sleeping: a waiter counts itself in `sleepers`, looks at the word again and calls FUTEX_WAIT,
 * which sleeps only if the word still has the old value. Who raises the word looks at `sleepers`
 * afterwards. Both use sequentially consistent order: either the waiter sees the new value, or the
 * raiser sees the sleeper; a wake-up cannot be lost. Without sleepers no system call is made. */
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
    struct signal_word stage;
    _Alignas(CACHE_LINE) atomic_uint_fast64_t claim; /* tasks << 32 | the next one to take */
    _Alignas(CACHE_LINE) atomic_uint done;           /* tasks of this stage */
    _Alignas(CACHE_LINE) unsigned n_workers;
    unsigned spins;
    atomic_bool over, stop;
    bool running;               /* only for the assertion */
    const struct team_job *job; /* with arg: for those who have a task */
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

/* Returns when the stage is no longer `old`. No sched_yield() before the sleep: it gives away a
 * time slice for good, where who sleeps is put before others when it wakes (bench/SPEED.md). */
static void wait_for_stage(struct team *t, unsigned old) {
    struct signal_word *w = &t->stage;
    for (unsigned i = 0; i < t->spins; i++) {
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

/* ---- work ---- */

/* Nobody has a task. A stage of a single one is done here: it is not worth a wake-up. Once `over`
 * is set, the team may have another job: no more than a needless look at `claim` may follow. */
static void go_on(struct team *t, unsigned worker) {
    const struct team_job *job = t->job;
    void *arg = t->arg;
    uint_fast64_t n;
    while ((n = job->next(arg)) == 1) job->task(arg, 0, worker);
    if (n != 0) {
        atomic_store_explicit(&t->done, 0, memory_order_relaxed);
        atomic_store_explicit(&t->claim, n << 32, memory_order_release);
    } else {
        atomic_store(&t->over, true);
    }
    word_raise(&t->stage);
}

static bool take(struct team *t, uint_fast64_t *claim) {
    *claim = atomic_load_explicit(&t->claim, memory_order_acquire);
    while ((uint32_t)*claim < *claim >> 32)
        if (atomic_compare_exchange_weak_explicit(&t->claim, claim, *claim + 1,
                                                  memory_order_acq_rel, memory_order_acquire))
            return true;
    return false;
}

/* Until there is no task to take. */
static void work(struct team *t, unsigned worker) {
    uint_fast64_t claim;
    while (take(t, &claim)) {
        t->job->task(t->arg, (uint32_t)claim, worker);
        if (atomic_fetch_add_explicit(&t->done, 1, memory_order_acq_rel) + 1 == claim >> 32)
            go_on(t, worker);
    }
}

static void *worker_main(void *arg) {
    struct worker *w = arg;
    struct team *t = w->team;
    os_thread_computes();
    for (;;) {
        const unsigned stage = peek(&t->stage);
        work(t, w->index);
        if (atomic_load(&t->stop)) return NULL;
        wait_for_stage(t, stage);
    }
}

void team_run(struct team *t, const struct team_job *job, void *arg) {
    assert(!t->running);
    t->running = true;
    t->job = job;
    t->arg = arg;
    atomic_store(&t->over, false);
    go_on(t, 0);
    for (;;) {
        const unsigned stage = peek(&t->stage);
        work(t, 0);
        if (atomic_load(&t->over)) break;
        wait_for_stage(t, stage);
    }
    t->running = false;
}

struct share {
    team_fn *fn;
    void *arg;
    unsigned n_tasks; /* to be offered yet */
};
static unsigned share_next(void *arg) {
    struct share *s = arg;
    const unsigned n = s->n_tasks;
    s->n_tasks = 0;
    return n;
}
static void share_task(void *arg, unsigned task, unsigned worker) {
    const struct share *s = arg;
    s->fn(s->arg, task, worker);
}
void team_share(struct team *t, unsigned n_tasks, team_fn *fn, void *arg) {
    static const struct team_job job = {share_next, share_task};
    struct share s = {fn, arg, n_tasks};
    team_run(t, &job, &s);
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

/* Ends the workers 1 .. n_started - 1; there is no job. */
static void stop_workers(struct team *t, unsigned n_started) {
    atomic_store(&t->stop, true);
    word_raise(&t->stage);
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
