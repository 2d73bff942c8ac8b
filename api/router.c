/* router.c - from a request to its route: spec/api.md 1.2 to 1.4. The order of checks is that of
 * the peer: routes are matched first, but CORS and the host check answer before a handler or a 404.
 */
#include <string.h>

#include "api/limits.h"
#include "api/request.h"
#include "api/server_impl.h"
#include "api/unpack.h"
#include "base/hex.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/os.h"

#define ROUTE(method, path, fn, scope) route_fn fn;
#include "api/routes.def"
#undef ROUTE

static route_fn *const handler[] = {
#define ROUTE(method, path, fn, scope) fn,
#include "api/routes.def"
#undef ROUTE
};
static const struct metric_route table[] = {
#define ROUTE(method, path, fn, scope) {method, path},
#include "api/routes.def"
#undef ROUTE
};
static const enum key_scope scope_of[] = {
#define ROUTE(method, path, fn, scope) SCOPE_##scope,
#include "api/routes.def"
#undef ROUTE
};
enum { N_ROUTES = sizeof table / sizeof *table };
const struct metric_route *const router_routes = table;
const size_t router_n_routes = N_ROUTES;

/* ---- paths ---- */

/* Percent-decoding; broken escapes stay as they are. NULL: no memory. */
static char *decode(const char *s) {
    char *out = mem_strdup(s), *p = out;
    if (out == NULL) return NULL;
    for (; *s != '\0'; p++) {
        int high = *s == '%' ? hex_value(s[1]) : -1, low = high >= 0 ? hex_value(s[2]) : -1;
        *p = *s;
        if (low >= 0) *p = (char)(high << 4 | low);
        s += low >= 0 ? 3 : 1;
    }
    *p = '\0';
    return out;
}

/* Matches a decoded path; *param is what stands for ":name". */
static bool matches(const char *pattern, const char *path, const char **param) {
    size_t n = strcspn(pattern, ":*");
    *param = "";
    if (pattern[n] == '\0') return strcmp(pattern, path) == 0;
    if (strncmp(pattern, path, n) != 0 || path[n] == '\0') return false;
    *param = path + n;
    return pattern[n] == '*' || strchr(path + n, '/') == NULL;
}

struct match {
    size_t route; /* N_ROUTES: none for this method */
    bool known;   /* the path exists, with some method */
    const char *param;
};

static struct match find(const char *method, const char *path) {
    struct match m = {.route = N_ROUTES, .param = ""};
    for (size_t i = 0; i < N_ROUTES; i++) {
        const char *param;
        if (!matches(table[i].path, path, &param)) continue;
        m.known = true;
        m.param = param;
        if (strcmp(table[i].method, method) == 0) m.route = i;
    }
    return m;
}

static void add_allow(struct http_exchange *x, const char *path) {
    struct buf b = {0};
    const char *param;
    for (size_t i = 0; i < N_ROUTES; i++)
        if (matches(table[i].path, path, &param))
            buf_printf(&b, "%s%s", b.len > 0 ? ", " : "", table[i].method);
    if (b.len > 0) http_add_header(x, "Allow", b.data);
    buf_free(&b);
}

/* ---- CORS and host ---- */

static bool is_options(const struct http_exchange *x) {
    return strcmp(http_method(x), "OPTIONS") == 0;
}

static void preflight(const struct guard *g, struct http_exchange *x, const char *origin) {
    static const char *const vary[] = {"Origin", "Access-Control-Request-Method",
                                       "Access-Control-Request-Headers"};
    http_add_header(x, "Access-Control-Allow-Origin", g->all_origins ? "*" : origin);
    http_add_header(x, "Access-Control-Allow-Methods", guard_allow_methods);
    http_add_header(x, "Access-Control-Allow-Headers", guard_allow_headers);
    http_add_header(x, "Access-Control-Max-Age", "43200");
    for (size_t i = 0; i < 3 && !g->all_origins; i++) http_add_header(x, "Vary", vary[i]);
    http_answer(x, 204, NULL, NULL, 0);
}

/* False: answered. */
static bool pass_origin(const struct guard *g, struct http_exchange *x) {
    const char *origin = http_header(x, "Origin");
    if (origin == NULL || *origin == '\0' || guard_same_origin(origin, http_host(x))) return true;
    if (!g->all_origins && !guard_origin_ok(g, origin)) {
        if (http_has_body(x)) http_close_after(x);
        http_answer(x, 403, NULL, NULL, 0);
        return false;
    }
    if (is_options(x)) {
        preflight(g, x, origin);
        return false;
    }
    http_add_header(x, "Access-Control-Allow-Origin", g->all_origins ? "*" : origin);
    if (!g->all_origins) http_add_header(x, "Vary", "Origin");
    return true;
}

/* Before the body is read. */
static bool pass_forgery(struct http_exchange *x) {
    const struct guard_request r = {.method = http_method(x),
                                    .origin = http_header(x, "Origin"),
                                    .host = http_host(x),
                                    .site = http_header(x, "Sec-Fetch-Site"),
                                    .type = http_header(x, "Content-Type"),
                                    .has_body = http_has_body(x)};
    if (!guard_is_forged(&r)) return true;
    http_close_after(x);
    http_answer(x, 403, NULL, NULL, 0);
    return false;
}

static bool pass_host(const struct guard *g, struct http_exchange *x) {
    if (!guard_host_ok(g, http_host(x))) {
        if (http_has_body(x)) http_close_after(x);
        http_answer(x, 403, NULL, NULL, 0);
        return false;
    }
    if (g->loopback && is_options(x) && guard_host_is_name(http_host(x))) {
        http_answer(x, 204, NULL, NULL, 0);
        return false;
    }
    return true;
}

/* ---- redirects ---- */

/* "//a/./b/" -> "/a/b/" (only duplicate slashes and single dots; ".." is never followed). */
static char *clean(const char *path) {
    char *out = mem_strdup(path), *p = out;
    if (out == NULL) return NULL;
    for (const char *s = path; *s != '\0'; s++) {
        if (*s == '/' && (s[1] == '/' || (s[1] == '.' && s[2] == '/'))) {
            if (s[1] == '.') s++;
            continue;
        }
        *p++ = *s;
    }
    *p = '\0';
    return out;
}

static void redirect(struct http_exchange *x, int status, const char *to) {
    struct buf b = {0};
    bool get = strcmp(http_method(x), "GET") == 0;
    http_add_header(x, "Location", to);
    if (get) buf_printf(&b, "<a href=\"%s\">%s</a>.\n\n", to, http_status_text(status));
    http_answer(x, status, get ? "text/html; charset=utf-8" : NULL, b.data, b.len);
    buf_free(&b);
}

/* A path that would be known without its last slash, or after cleaning. False: no such. */
static bool redirected(struct http_exchange *x, const char *path) {
    char *other = clean(path);
    if (other == NULL) return false;
    bool get = strcmp(http_method(x), "GET") == 0, changed = strcmp(other, path) != 0;
    size_t n = strlen(other);
    bool slash = n > 1 && other[n - 1] == '/';
    if (slash) other[n - 1] = '\0';
    bool found = (slash || changed) && find(http_method(x), other).known;
    if (found) redirect(x, get && !changed ? 301 : 307, other);
    mem_free(other);
    return found;
}

/* ---- the way in ---- */

static void call(struct server *s, struct http_exchange *x, const char *path, struct match m) {
    if (is_options(x) || (m.known && m.route == N_ROUTES)) add_allow(x, path);
    const struct guard *g = atomic_load(&s->guard);
    if (!pass_origin(g, x) || !pass_host(g, x)) return;
    if (m.route < N_ROUTES) {
        struct route_call c = {s, x, m.param, scope_of[m.route]};
        struct activity *a = server_activity(x);
        if (!pass_forgery(x) || !access_enter(&s->access, x, scope_of[m.route], &a->pass)) return;
        handler[m.route](&c);
        access_leave(&a->pass);
    } else if (m.known) {
        http_answer_text(x, 405, TYPE_TEXT, "405 method not allowed");
    } else if (!redirected(x, path)) {
        http_answer_text(x, 404, TYPE_TEXT, "404 page not found");
    }
}

/* What was asked for is told as its route: a path may hold anything. */
static void tell(struct server *s, const struct http_exchange *x, const struct activity *a,
                 size_t route) {
    const int status = http_answer_status(x) != 0 ? http_answer_status(x) : 500;
    metrics_request(&s->metrics, route, status);
    log_info("http", "%s %s %d %.1f ms id=%s", a->method, a->route, status,
             (double)(os_time_mono_ns() - a->since_mono_ns) / 1e6, a->id);
}

void router_handle(void *arg, struct http_exchange *x) {
    struct server *s = arg;
    struct activity a = {.method = "", .route = "-"};
    struct match m = {.route = N_ROUTES};
    char *path = decode(http_path(x));
    const bool too_long = path != NULL && strlen(path) > LIMIT_PATH_BYTES;
    if (path != NULL && !too_long)
        m = find(http_method(x), path); /* else answered with 500 by the caller */
    if (m.route < N_ROUTES) {
        a.method = table[m.route].method;
        a.route = table[m.route].path;
    }
    const bool open = activities_add(&s->activities, &a, http_header(x, "X-Request-Id"));
    http_set_tag(x, &a);
    http_add_header(x, "X-Request-Id", a.id);
    if (!open) {
        http_close_after(x);
        answer_error(x, DIALECT_NATIVE, 503, TYPE_JSON_UTF8, "the server is shutting down");
    } else if (too_long) {
        http_close_after(x);
        http_answer_text(x, 414, TYPE_TEXT, "414 URI Too Long");
    } else if (path != NULL) {
        call(s, x, path, m);
    }
    tell(s, x, &a, m.route);
    mem_free(path);
    if (open) activities_remove(&s->activities, &a);
}

static void answer_body_error(struct http_exchange *x, enum dialect d, const struct err *e) {
    bool blank = d == DIALECT_NATIVE && strcmp(e->msg, "EOF") == 0;
    int status = e->code == ST_LIMIT ? 413 : e->code == ST_NO_MEMORY ? 500 : 400;
    answer_error(x, d, status, TYPE_JSON_UTF8, blank ? "missing request body" : e->msg);
}

enum status route_read(const struct route_call *c, enum dialect d, struct buf *body,
                       struct err *e) {
    const struct activity *a = server_activity(c->x);
    enum status st = d == DIALECT_NATIVE ? http_read_all(c->x, BODY_MAX, body, e)
                                         : unpack_body(c->x, BODY_MAX, body, e);
    buf_str(body, ""); /* also of no bytes */
    if (st == ST_OK && body->failed) st = err_no_memory(e);
    if (st != ST_OK || c->scope != SCOPE_INFER) return st; /* others may hold passwords (pull) */
    request_log_add(c->server->request_log, &(struct request_copy){a->route, a->id, http_host(c->x),
                                                                   body->data, body->len});
    return ST_OK;
}

bool route_body(const struct route_call *c, enum dialect d, const struct fields *f, void *out,
                json **root) {
    struct buf body = {0};
    struct err e = {.msg = ""};
    *root = NULL;
    enum status st = route_read(c, d, &body, &e);
    if (st == ST_OK) st = request_decode(f, body.data, body.len, out, root, &e);
    buf_free(&body);
    if (st == ST_OK) return true;
    answer_body_error(c->x, d, &e);
    json_free(*root);
    *root = NULL;
    return false;
}
