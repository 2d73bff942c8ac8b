/* client_calls.c - small requests that several commands make. */
#include "cli/client.h"

static enum status send_body(struct client *c, const char *method, const char *path,
                             struct buf *body, struct err *e) {
    const struct client_call call = {.method = method, .path = path, .body = body};
    enum status st = body->failed ? err_no_memory(e) : client_call(c, &call, NULL, NULL, e);
    buf_free(body);
    return st;
}

enum status client_model(struct client *c, const char *method, const char *path, const char *model,
                         struct err *e) {
    struct buf body = {0};
    buf_chr(&body, '{');
    json_put_field(&body, "model", model);
    buf_chr(&body, '}');
    return send_body(c, method, path, &body, e);
}

enum status client_unload(struct client *c, const char *model, struct err *e) {
    struct buf body = {0};
    buf_chr(&body, '{');
    json_put_field(&body, "model", model);
    json_put_field_int(&body, "keep_alive", 0);
    buf_chr(&body, '}');
    return send_body(c, "POST", "/api/generate", &body, e);
}
