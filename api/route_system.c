/* route_system.c - looking at the server itself: GET /api/requests, DELETE /api/requests/:id,
 * GET /api/system, GET /metrics. Nothing here tells a prompt, a key or a path (S-NET-14). */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "api/server_impl.h"
#include "base/json.h"
#include "base/os.h"
#include "base/version.h"
#include "kernels/cpu/isa.h"

route_fn route_requests, route_request_cancel, route_system, route_metrics;

/* ---- requests ---- */

void route_requests(const struct route_call *c) {
    struct buf b = {0};
    buf_str(&b, "{\"requests\":");
    activities_put_list(&c->server->activities, &b);
    buf_chr(&b, '}');
    answer_json(c->x, 200, TYPE_JSON_UTF8, &b);
}

void route_request_cancel(const struct route_call *c) {
    struct buf b = {0};
    const char *id = request_id_ok(c->param) ? c->param : "";
    const enum cancel_result r = activities_cancel(&c->server->activities, id);
    if (r == CANCEL_DONE) {
        buf_chr(&b, '{');
        json_put_field(&b, "id", id);
        buf_str(&b, ",\"status\":\"canceled\"}");
        answer_json(c->x, 200, TYPE_JSON_UTF8, &b);
        return;
    }
    if (r == CANCEL_UNKNOWN)
        answer_error(c->x, DIALECT_NATIVE, 404, TYPE_JSON_UTF8, "no such request");
    else
        answer_error(c->x, DIALECT_NATIVE, 409, TYPE_JSON_UTF8, "this request cannot be canceled");
}

/* ---- the system ---- */

static void put_memory(struct buf *b) {
    const int64_t page = sysconf(_SC_PAGESIZE);
    buf_printf(b, ",\"memory\":{\"total\":%lld,\"free\":%lld,\"resident\":%zu}",
               (long long)(sysconf(_SC_PHYS_PAGES) * page),
               (long long)(sysconf(_SC_AVPHYS_PAGES) * page), os_rss_bytes());
}

void route_system(const struct route_call *c) {
    struct buf b = {0};
    buf_chr(&b, '{');
    json_put_field(&b, "version", CRIA_VERSION);
    json_put_field(&b, "backend", "cpu");
    const struct cpu_isa *isa = cpu_pick(NULL);
    json_put_field(&b, "isa", isa != NULL ? isa->name : "");
    json_put_field_int(&b, "cores", os_cpu_count());
    put_memory(&b);
    json_put_field_int(&b, "uptime", os_time_mono_ns() - c->server->start_ns);
    json_put_field_bool(&b, "api_keys", access_has_keys(&c->server->access));
    if (c->server->insecure && !access_has_keys(&c->server->access))
        json_put_field(&b, "warning", "anybody who can reach this server may use and change it");
    json_put_key(&b, "models");
    runner_put_list(c->server->runners, &b);
    buf_chr(&b, '}');
    answer_json(c->x, 200, TYPE_JSON_UTF8, &b);
}

/* ---- metrics ---- */

struct gauges {
    struct buf kv;
    unsigned n_running, n_waiting;
};

static void add_load(void *arg, const struct runner_load *l) {
    struct gauges *g = arg;
    const struct cria_load *load = &l->load;
    const double used = (double)(load->n_pages - load->n_free_pages);
    g->n_running += load->n_running;
    g->n_waiting += load->n_waiting;
    buf_printf(&g->kv, "cria:kv_cache_usage_perc{model_name=\"%s\"} %g\n", l->name,
               load->n_pages > 0 ? used / load->n_pages : 0);
}

static void put_gauge(struct buf *b, const char *name, const char *help, double value) {
    metrics_put_head(b, name, "gauge", help);
    buf_printf(b, "cria:%s %.15g\n", name, value);
}

void route_metrics(const struct route_call *c) {
    struct buf b = {0};
    struct gauges g = {.n_running = 0};
    g.n_waiting += runner_each(c->server->runners, add_load, &g);
    put_gauge(&b, "num_requests_running", "Generations that have a slot.", g.n_running);
    put_gauge(&b, "num_requests_waiting", "Requests that wait for a model or a slot.", g.n_waiting);
    put_gauge(&b, "resident_memory_bytes", "Resident memory of the process.",
              (double)os_rss_bytes());
    metrics_put_head(&b, "kv_cache_usage_perc", "gauge",
                     "Part of the KV cache in use, 0 to 1; idle prefixes count.");
    if (g.kv.len > 0) buf_add(&b, g.kv.data, g.kv.len);
    buf_free(&g.kv);
    metrics_put(&c->server->metrics, router_routes, &b);
    answer_json(c->x, 200, "text/plain; version=0.0.4; charset=utf-8", &b);
}
