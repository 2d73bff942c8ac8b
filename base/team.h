/* team.h - a team of threads that does a job together.
 *
 * A job is a row of stages; a stage is a number of tasks, which may be done in any order and at the
 * same time; the next stage begins when all of them are done. Workers take tasks one at a time, so
 * a stage waits for tasks that somebody has begun, never for a worker: one that lost its processor
 * to another program holds up nothing but the task in its hands.
 *
 * Waiting spins for some microseconds, then sleeps in the kernel (futex), so that a machine shared
 * with others does not lose whole time slices (spec/performance.md 4.7). Between jobs the workers
 * sleep. One job at a time, from any thread, which works too. */
#ifndef CRIA_BASE_TEAM_H
#define CRIA_BASE_TEAM_H

#include "base/err.h"

struct team;
typedef void team_fn(void *arg, unsigned task, unsigned worker); /* worker < team_size() */

struct team_job {
    /* Prepares the next stage, of which the return value is the number of tasks; 0: the job is
     * done. Called by one worker, when all that went before is done: it may do what must be done
     * alone, and everybody sees it. */
    unsigned (*next)(void *arg);
    team_fn *task;
};

/* One worker is fine: no threads. */
enum status team_open(struct team **out, unsigned n_workers, struct err *e);
void team_close(struct team *t); /* NULL is fine */
unsigned team_size(const struct team *t);
void team_run(struct team *t, const struct team_job *job, void *arg);
/* A job of one stage. */
void team_share(struct team *t, unsigned n_tasks, team_fn *fn, void *arg);

#endif
