/* route_create.c - POST /api/create (spec/api.md 5.8): the request as a store_create_spec, the
 * store's progress as a stream. Nothing is decided here but the wording of the answer. */
#include <string.h>
#include <strings.h>

#include "api/learn_jinja.h"
#include "api/request.h"
#include "api/server_impl.h"
#include "api/template/named.h"
#include "api/work.h"
#include "engine/file/gguf.h"
#include "store/registry/registry.h"
#include "store/store.h"

route_fn route_create;

struct create_request {
    const json *model, *name, *stream, *from, *files, *adapters, *draft_files, *template, *system,
        *license, *parameters, *messages, *quantize, *quantization, *draft_quantize, *renderer,
        *parser,
        *
            requires,
                    *
                    info,
        *remote_host;
};
#define AT(name) offsetof(struct create_request, name)
#define TEXT(name)                                                                                 \
    { #name, FIELD_TEXT, AT(name), NULL, FIELD_ANY, NULL, NULL, NULL }
#define FILES(name)                                                                                \
    { #name, FIELD_TEXT_MAP, AT(name), "map[string]string", FIELD_ANY, NULL, NULL, NULL }
#define MAP(name)                                                                                  \
    { #name, FIELD_MAP, AT(name), "map[string]interface {}", FIELD_ANY, NULL, NULL, NULL }
static const struct field create_field[] = {
    TEXT(model),
    TEXT(name),
    TEXT(from),
    TEXT(template),
    TEXT(system),
    TEXT(quantize),
    TEXT(quantization),
    TEXT(draft_quantize),
    TEXT(renderer),
    TEXT(parser),
    TEXT(requires),
    TEXT(remote_host),
    FILES(files),
    FILES(adapters),
    FILES(draft_files),
    MAP(parameters),
    MAP(info),
    {"stream", FIELD_FLAG, AT(stream), NULL, FIELD_ANY, NULL, NULL, NULL},
    {"license", FIELD_ANY, AT(license), NULL, FIELD_ANY, NULL, NULL, NULL},
    {"messages", FIELD_LIST, AT(messages), "[]api.Message", FIELD_STRUCT, "api.Alias",
     &message_fields, NULL},
};
static const struct fields create_fields = {"CreateRequest", "api.CreateRequest", create_field,
                                            sizeof create_field / sizeof *create_field};

struct create {
    const struct route_call *call;
    struct arena arena;
    struct work work;
    struct store_create_spec spec;
    struct model_name name, from;
    bool pull_failed; /* that of `from` */
};

/* ---- the spec ---- */

static enum status read_files(struct create *c, const json *map, const struct store_file **files,
                              size_t *n, struct err *e) {
    struct store_file *list = arena_zalloc(&c->arena, json_len(map) + 1, sizeof *list);
    if (list == NULL) return err_no_memory(e);
    for (const json *v = json_first(map); v != NULL; v = json_next(v))
        list[(*n)++] = (struct store_file){json_key(v), field_text(v)};
    *files = list;
    return ST_OK;
}

/* A text or a list of texts. */
static enum status read_licenses(struct create *c, const json *v, struct err *e) {
    const char **list = arena_zalloc(&c->arena, json_len(v) + 1, sizeof *list);
    if (list == NULL) return err_no_memory(e);
    c->spec.licenses = list;
    if (v == NULL) return ST_OK;
    if (json_kind(v) == JSON_STRING) {
        list[c->spec.n_licenses++] = json_string(v);
        return ST_OK;
    }
    if (json_kind(v) != JSON_ARRAY)
        return err_set(e, ST_INVALID, "json: cannot unmarshal %s into Go value of type []string",
                       json_kind_name(v));
    for (const json *m = json_first(v); m != NULL; m = json_next(m)) {
        if (json_kind(m) != JSON_STRING)
            return err_set(e, ST_INVALID, "json: cannot unmarshal %s into Go value of type string",
                           json_kind_name(m));
        list[c->spec.n_licenses++] = json_string(m);
    }
    return ST_OK;
}

/* Roles in lower case, as chat reads them. */
static json *lower_roles(const json *messages) {
    struct buf b = {0};
    for (const json *m = json_first(messages); m != NULL; m = json_next(m)) {
        buf_str(&b, b.len == 0 ? "[{" : ",{");
        for (const json *v = json_first(m); v != NULL; v = json_next(v)) {
            size_t at;
            json_put_key(&b, json_key(v));
            at = b.len;
            json_print(&b, v);
            if (b.failed || strcasecmp(json_key(v), "role") != 0) continue;
            for (; at < b.len; at++)
                if (b.data[at] >= 'A' && b.data[at] <= 'Z') b.data[at] = (char)(b.data[at] + 32);
        }
        buf_chr(&b, '}');
    }
    buf_str(&b, b.len == 0 ? "[]" : "]");
    json *list = b.failed ? NULL : json_parse(b.data, b.len, &json_default_limits, NULL, NULL);
    buf_free(&b);
    return list;
}

static enum status check_template(void *arg, const char *text, size_t len, struct err *e) {
    struct template *t = NULL;
    (void)arg;
    enum status st = template_parse(&t, text, len, e);
    if (st == ST_OK) template_free(t);
    return st;
}

static const char *detect_template(void *arg, const struct gguf *g, const char **name,
                                   const char **params) {
    struct gguf_str jinja;
    (void)arg;
    if (gguf_get_str(g, "tokenizer.chat_template", &jinja, NULL) != ST_OK) return NULL;
    struct jinja *tree = jinja_load(jinja.ptr, jinja.len);
    if (tree != NULL) { /* the model's own template renders its prompts better than any other */
        jinja_free(tree);
        return NULL;
    }
    const struct named_template *t = named_template_detect(jinja.ptr, jinja.len);
    if (t == NULL) return NULL;
    *name = t->name;
    *params = t->params;
    return t->text;
}

/* All items of a pull but its "success": the create goes on. */
static bool pull_item(void *arg, const char *status, const char *digest, uint64_t total,
                      uint64_t completed) {
    if (strcmp(status, "success") == 0) return true;
    return work_progress(arg, status, digest, total, completed);
}

/* FROM a model that is not stored: it is pulled, and its items are part of this answer. */
static enum status pull_base(void *arg, const struct model_name *name, struct err *e) {
    struct create *c = arg;
    const struct registry_options o = {.insecure = false};
    enum status st = registry_pull(c->call->server->store, name, &o, pull_item, &c->work, e);
    c->pull_failed = st != ST_OK;
    return st;
}

static const char *or_null(const json *v) {
    const char *text = json_string(v);
    return text != NULL && *text != '\0' ? text : NULL;
}

static enum status fill(struct create *c, const struct create_request *r, struct err *e) {
    struct store_create_spec *s = &c->spec;
    const char *from = or_null(r->from);
    enum name_source source;
    *s = (struct store_create_spec){.name = &c->name,
                                    .has_files = r->files != NULL,
                                    .template = or_null(r->template),
                                    .system = or_null(r->system),
                                    .parameters = r->parameters,
                                    .messages = r->messages,
                                    .renderer = or_null(r->renderer),
                                    .parser = or_null(r->parser),
                                    .requires = or_null(r->requires),
                                    .quantize = or_null(r->quantize),
                                    .draft_quantize = or_null(r->draft_quantize),
                                    .remote_host = or_null(r->remote_host),
                                    .info = r->info,
                                    .check_template = check_template,
                                    .detect_template = detect_template,
                                    .pull = pull_base,
                                    .hook_arg = c};
    if (s->quantize == NULL) s->quantize = or_null(r->quantization);
    name_parse(&c->name,
               server_model_of(r->model, r->name)); /* bad ones are the store's to refuse */
    if (from != NULL) {
        if (name_parse_ref(&c->from, from, &source, NULL) != ST_OK)
            c->from = (struct model_name){.model = ""};
        else if (source ==
                 NAME_SOURCE_CLOUD) /* not the local model that has the rest of the name */
            return err_set(e, ST_DENIED, "ollama cloud is disabled: remote model is unavailable");
        s->from = &c->from;
    }
    enum status st = read_files(c, r->files, &s->files, &s->n_files, e);
    if (st == ST_OK) st = read_files(c, r->adapters, &s->adapters, &s->n_adapters, e);
    if (st == ST_OK) st = read_files(c, r->draft_files, &s->drafts, &s->n_drafts, e);
    return st;
}

/* ---- the work ---- */

static void run(struct create *c, const struct create_request *r) {
    struct server *s = c->call->server;
    struct err e;
    json *messages = NULL;
    enum status st = fill(c, r, &e);
    if (st == ST_OK) st = store_create_check(&c->spec, &e);
    if (st != ST_OK) {
        answer_err(c->call->x, DIALECT_NATIVE, &e);
        return;
    }
    work_begin(&c->work, c->call, field_flag(r->stream, true));
    if (r->messages != NULL) c->spec.messages = messages = lower_roles(r->messages);
    st = read_licenses(c, r->license, &e);
    if (st == ST_OK) st = store_spell(s->store, &c->name, &e);
    if (st == ST_OK) st = store_create(s->store, &c->spec, work_progress, &c->work, &e);
    work_finish(&c->work, st, c->pull_failed ? 500 : answer_status(st), &e); /* as /api/pull does */
    json_free(messages);
}

void route_create(const struct route_call *call) {
    struct create_request r = {0};
    struct create c = {.call = call};
    json *root;
    if (!route_body(call, DIALECT_NATIVE, &create_fields, &r, &root)) return;
    run(&c, &r);
    arena_free(&c.arena);
    json_free(root);
}
