/* route_root.c - GET /, /api/version, /api/status, /health: what a client asks to see who is there.
 */
#include "api/server_impl.h"
#include "base/config.h"
#include "base/json.h"
#include "base/version.h"

route_fn route_root, route_version, route_status, route_health;

void route_root(const struct route_call *c) {
    /* Clients compare this text to tell whether a server of this kind is running. */
    http_answer_text(c->x, 200, "text/plain; charset=utf-8", "Ollama is running");
}

void route_version(const struct route_call *c) {
    http_answer_text(c->x, 200, TYPE_JSON_UTF8, "{\"version\":\"" CRIA_API_VERSION "\"}");
}

/* There is no cloud; the source is what a user of the peer would expect to read. */
void route_status(const struct route_call *c) {
    struct buf b = {0};
    struct setting_value v;
    config_get(SET_no_cloud, &v);
    const bool off = config_bool(SET_no_cloud);
    buf_printf(&b, "{\"cloud\":{\"disabled\":%s,\"source\":\"%s\"}}", off ? "true" : "false",
               !off                    ? "none"
               : v.origin == FROM_FILE ? "config"
                                       : "env");
    answer_json(c->x, 200, TYPE_JSON_UTF8, &b);
}

/* For probes: no model is loaded or looked at. A server that is closing answers 503 before any
 * route is found. */
void route_health(const struct route_call *c) {
    http_answer_text(c->x, 200, TYPE_JSON_UTF8, "{\"status\":\"ok\"}");
}
