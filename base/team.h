/* team.h - a team of threads that runs one function together.
 *
 * team_run() calls fn(arg, worker, n_workers) on all workers at once; the caller is worker 0.
 * Inside, workers meet at team_barrier(). Waiting spins for some microseconds, then sleeps in the
 * kernel (futex), so that a machine shared with others does not lose whole time slices
 * (spec/performance.md 4.7). Between runs the workers sleep. One run at a time, from any thread. */
#ifndef CRIA_BASE_TEAM_H
#define CRIA_BASE_TEAM_H

#include "base/err.h"

struct team;
typedef void team_fn(void *arg, unsigned worker, unsigned n_workers);

/* One worker is fine: no threads. */
enum status team_open(struct team **out, unsigned n_workers, struct err *e);
void team_close(struct team *t); /* NULL is fine */
unsigned team_size(const struct team *t);
void team_run(struct team *t, team_fn *fn, void *arg);
void team_barrier(struct team *t); /* called by every worker of the running function */

#endif
