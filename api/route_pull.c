/* route_pull.c - POST /api/pull and /api/push (spec/api.md 5.11). */
#include <string.h>

#include "api/request.h"
#include "api/work.h"
#include "store/registry/registry.h"

route_fn route_pull, route_push;

struct pull_request {
    const json *model, *name, *insecure, *username, *password, *stream;
};
#define AT(member) offsetof(struct pull_request, member)
static const struct field pull_field[] = {
    {"model", FIELD_TEXT, AT(model), NULL, FIELD_ANY, NULL, NULL, NULL},
    {"name", FIELD_TEXT, AT(name), NULL, FIELD_ANY, NULL, NULL, NULL},
    {"insecure", FIELD_FLAG, AT(insecure), NULL, FIELD_ANY, NULL, NULL, NULL},
    {"username", FIELD_TEXT, AT(username), NULL, FIELD_ANY, NULL, NULL, NULL},
    {"password", FIELD_TEXT, AT(password), NULL, FIELD_ANY, NULL, NULL, NULL},
    {"stream", FIELD_FLAG, AT(stream), NULL, FIELD_ANY, NULL, NULL, NULL},
};
enum { N_FIELDS = sizeof pull_field / sizeof *pull_field };
static const struct fields pull_fields = {"PullRequest", "api.PullRequest", pull_field, N_FIELDS};
static const struct fields push_fields = {"PushRequest", "api.PushRequest", pull_field, N_FIELDS};

static struct registry_options options_of(const struct pull_request *r) {
    return (struct registry_options){.insecure = field_flag(r->insecure, false),
                                     .username = json_string(r->username),
                                     .password = json_string(r->password)};
}

/* The name that the registry gets: without the scheme, which is the registry's to know. */
static enum status pull_name(const char *text, struct model_name *n, struct err *e) {
    struct buf plain = {0};
    enum status st = name_pull_text(text, &plain, e);
    if (st == ST_OK && plain.failed) st = err_no_memory(e);
    if (st == ST_OK && !name_parse(n, plain.data))
        st = err_set(e, ST_INVALID, "invalid model name");
    buf_free(&plain);
    strcpy(n->scheme, "https");
    return st;
}

void route_pull(const struct route_call *call) {
    struct pull_request r = {0};
    struct model_name name = {.model = ""};
    struct work w;
    struct err e;
    json *root;
    if (!route_body(call, DIALECT_NATIVE, &pull_fields, &r, &root)) return;
    enum status st = pull_name(server_model_of(r.model, r.name), &name, &e);
    if (st == ST_INVALID) err_set(&e, st, "invalid model name");
    if (st == ST_OK) st = store_spell(call->server->store, &name, &e);
    if (st != ST_OK) {
        answer_err(call->x, DIALECT_NATIVE, &e);
    } else {
        const struct registry_options o = options_of(&r);
        work_begin(&w, call, field_flag(r.stream, true));
        st = registry_pull(call->server->store, &name, &o, work_progress, &w, &e);
        work_finish(&w, st, 500, &e);
    }
    json_free(root);
}

void route_push(const struct route_call *call) {
    struct pull_request r = {0};
    struct model_name name;
    struct work w;
    struct err e;
    json *root;
    if (!route_body(call, DIALECT_NATIVE, &push_fields, &r, &root)) return;
    const char *text = server_model_of(r.model, r.name);
    if (*text == '\0') {
        err_set(&e, ST_INVALID, "model is required");
        answer_err(call->x, DIALECT_NATIVE, &e);
        json_free(root);
        return;
    }
    const struct registry_options o = options_of(&r);
    char full[NAME_TEXT_MAX];
    enum status st = ST_OK;
    work_begin(&w, call, field_flag(r.stream, true));
    if (!name_parse(&name, text)) {
        name_full(&name, full);
        work_progress(&w, "retrieving manifest", "", 0, 0);
        st = err_set(&e, ST_INVALID, "unqualified name: %s", full);
    }
    strcpy(name.scheme, "https");
    if (st == ST_OK) st = registry_push(call->server->store, &name, &o, work_progress, &w, &e);
    work_finish(&w, st, st == ST_NOT_FOUND ? 404 : 500, &e);
    json_free(root);
}
