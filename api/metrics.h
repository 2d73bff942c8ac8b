/* metrics.h - counters and histograms of the server, in Prometheus' text form (version 0.0.4).
 *
 * Everything is atomic: any thread adds, and a reader may see the parts of one request singly. */
#ifndef CRIA_API_METRICS_H
#define CRIA_API_METRICS_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

enum metric_counter {
#define COUNTER(id, ...) COUNT_##id,
#define HISTOGRAM(...)
#include "api/metrics.def"
#undef COUNTER
#undef HISTOGRAM
    N_COUNTERS
};
enum metric_histogram {
#define COUNTER(...)
#define HISTOGRAM(id, ...) HIST_##id,
#include "api/metrics.def"
#undef COUNTER
#undef HISTOGRAM
    N_HISTOGRAMS
};

enum { METRICS_BOUNDS = 20, METRICS_STATUSES = 24 };

struct histogram {
    atomic_ullong bucket[METRICS_BOUNDS + 1]; /* the last: above all bounds */
    atomic_ullong sum_ns;
};

struct metrics {
    atomic_ullong counter[N_COUNTERS];
    struct histogram histogram[N_HISTOGRAMS];
    atomic_ullong *requests; /* [n_routes + 1][METRICS_STATUSES]; the last row: no route. Owned */
    size_t n_routes;
};

struct metric_route {
    const char *method, *path;
};

enum status metrics_open(struct metrics *m, size_t n_routes, struct err *e);
void metrics_close(struct metrics *m);
static inline void metrics_add(struct metrics *m, enum metric_counter c, uint64_t n) {
    atomic_fetch_add_explicit(&m->counter[c], n, memory_order_relaxed);
}
void metrics_time(struct metrics *m, enum metric_histogram h, int64_t ns);
/* route: its number; n_routes: none matched. */
void metrics_request(struct metrics *m, size_t route, int http_status);

/* Appends all that is here; routes[n_routes] names the rows. */
void metrics_put(const struct metrics *m, const struct metric_route *routes, struct buf *b);
/* A gauge's head; then `cria:NAME VALUE` lines are the caller's. */
void metrics_put_head(struct buf *b, const char *name, const char *type, const char *help);

#endif
