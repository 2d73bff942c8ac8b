/* metrics.c - see metrics.h. */
#include "api/metrics.h"

#include <stdio.h>

#include "base/mem.h"

/* Upper bounds of the buckets, in milliseconds: from a token of a small model to a long answer. */
static const unsigned bound_ms[METRICS_BOUNDS] = {1,    2,    5,     10,    20,    40,   60,
                                                  80,   100,  250,   500,   750,   1000, 2500,
                                                  5000, 7500, 10000, 20000, 40000, 80000};

static const int status_row[] = {200, 201, 204, 301, 307, 400, 401, 403, 404, 405, 408,
                                 409, 411, 413, 414, 429, 431, 499, 500, 501, 503, 505};
enum { N_STATUSES = sizeof status_row / sizeof *status_row };
_Static_assert((int)N_STATUSES < (int)METRICS_STATUSES, "the last column is for other ones");

static const struct {
    const char *name, *labels, *help;
} counter[] = {
#define COUNTER(id, name, labels, help) {name, labels, help},
#define HISTOGRAM(...)
#include "api/metrics.def"
#undef COUNTER
#undef HISTOGRAM
};
static const struct {
    const char *name, *help;
} histogram[] = {
#define COUNTER(...)
#define HISTOGRAM(id, name, help) {name, help},
#include "api/metrics.def"
#undef COUNTER
#undef HISTOGRAM
};

enum status metrics_open(struct metrics *m, size_t n_routes, struct err *e) {
    *m = (struct metrics){.n_routes = n_routes};
    m->requests = mem_zalloc((n_routes + 1) * METRICS_STATUSES, sizeof *m->requests);
    return m->requests != NULL ? ST_OK : err_no_memory(e);
}

void metrics_close(struct metrics *m) {
    mem_free(m->requests);
    m->requests = NULL;
}

void metrics_time(struct metrics *m, enum metric_histogram h, int64_t ns) {
    struct histogram *to = &m->histogram[h];
    size_t i = 0;
    if (ns < 0) ns = 0;
    while (i < METRICS_BOUNDS && ns > (int64_t)bound_ms[i] * 1000000) i++;
    atomic_fetch_add_explicit(&to->bucket[i], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&to->sum_ns, (unsigned long long)ns, memory_order_relaxed);
}

void metrics_request(struct metrics *m, size_t route, int http_status) {
    size_t i = 0;
    while (i < N_STATUSES && status_row[i] != http_status) i++;
    atomic_fetch_add_explicit(&m->requests[route * METRICS_STATUSES + i], 1, memory_order_relaxed);
}

/* ---- text ---- */

void metrics_put_head(struct buf *b, const char *name, const char *type, const char *help) {
    buf_printf(b, "# HELP cria:%s %s\n# TYPE cria:%s %s\n", name, help, name, type);
}

static void put_histogram(struct buf *b, const char *name, const struct histogram *h) {
    unsigned long long n = 0;
    for (size_t i = 0; i < METRICS_BOUNDS; i++) {
        n += atomic_load(&h->bucket[i]);
        buf_printf(b, "cria:%s_bucket{le=\"%g\"} %llu\n", name, bound_ms[i] / 1e3, n);
    }
    n += atomic_load(&h->bucket[METRICS_BOUNDS]); /* the count is that of the buckets just read */
    buf_printf(b, "cria:%s_bucket{le=\"+Inf\"} %llu\n", name, n);
    buf_printf(b, "cria:%s_sum %.9f\n", name, (double)atomic_load(&h->sum_ns) / 1e9);
    buf_printf(b, "cria:%s_count %llu\n", name, n);
}

static void put_requests(struct buf *b, const struct metrics *m, const struct metric_route *r) {
    metrics_put_head(b, "http_requests_total", "counter", "Requests by route and status.");
    for (size_t i = 0; i <= m->n_routes; i++)
        for (size_t k = 0; k <= N_STATUSES; k++) {
            const unsigned long long n = atomic_load(&m->requests[i * METRICS_STATUSES + k]);
            if (n == 0) continue;
            buf_printf(b, "cria:http_requests_total{method=\"%s\",route=\"%s\",status=\"",
                       i < m->n_routes ? r[i].method : "", i < m->n_routes ? r[i].path : "");
            if (k < N_STATUSES)
                buf_printf(b, "%d\"} %llu\n", status_row[k], n);
            else
                buf_printf(b, "other\"} %llu\n", n);
        }
}

void metrics_put(const struct metrics *m, const struct metric_route *routes, struct buf *b) {
    char name[96];
    for (size_t i = 0; i < N_COUNTERS; i++) {
        snprintf(name, sizeof name, "%s_total", counter[i].name);
        if (*counter[i].help != '\0') metrics_put_head(b, name, "counter", counter[i].help);
        buf_printf(b, "cria:%s%s %llu\n", name, counter[i].labels, atomic_load(&m->counter[i]));
    }
    for (size_t i = 0; i < N_HISTOGRAMS; i++) {
        metrics_put_head(b, histogram[i].name, "histogram", histogram[i].help);
        put_histogram(b, histogram[i].name, &m->histogram[i]);
    }
    put_requests(b, m, routes);
}
