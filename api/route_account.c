/* route_account.c - routes of accounts and of the peer's cloud (spec/api.md 9). There is neither
 * here; clients that ask are told so in the words they know. */
#include "api/request.h"
#include "api/server_impl.h"

route_fn route_web_search, route_web_fetch, route_recommendations, route_me, route_signout,
    route_user_key;

static const struct fields any_fields = {"WebRequest", "api.WebRequest", NULL, 0};

static void refuse(const struct route_call *c, const char *what) {
    struct buf b = {0};
    json *root;
    if (!route_body(c, DIALECT_NATIVE, &any_fields, NULL, &root)) return;
    buf_printf(&b, "ollama cloud is disabled: %s is unavailable", what);
    answer_error(c->x, DIALECT_NATIVE, 403, TYPE_JSON_UTF8, b.failed ? "" : b.data);
    buf_free(&b);
    json_free(root);
}

void route_web_search(const struct route_call *c) { refuse(c, "web search"); }
void route_web_fetch(const struct route_call *c) { refuse(c, "web fetch"); }

void route_recommendations(const struct route_call *c) {
    http_answer_text(c->x, 200, TYPE_JSON_UTF8, "{\"recommendations\":[]}");
}

void route_me(const struct route_call *c) {
    answer_error(c->x, DIALECT_NATIVE, 503, TYPE_JSON_UTF8, "account unavailable");
}

void route_signout(const struct route_call *c) {
    answer_error(c->x, DIALECT_NATIVE, 401, TYPE_JSON_UTF8, "you are not currently signed in");
}

void route_user_key(const struct route_call *c) { route_signout(c); }
