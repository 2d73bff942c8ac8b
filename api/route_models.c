/* route_models.c - which models there are: GET /api/tags, /api/ps, /v1/models, /v1/models/:model;
 * POST /api/copy, DELETE /api/delete (spec/api.md 5.5, 5.6, 5.10, 6.5). */
#include <string.h>

#include "api/request.h"
#include "api/server_impl.h"
#include "base/config.h"
#include "base/os.h"

route_fn route_tags, route_ps, route_copy, route_delete, route_openai_models, route_openai_model;

/* ---- lists ---- */

/* `"details":{...},"capabilities":[...]`: they follow from the manifest, so from its digest, and
 * from a setting. False: the model cannot be read. */
static bool put_about(struct server *s, struct buf *b, const struct store_entry *entry) {
    struct catalog_model m;
    const bool keep = !config_is_set(SET_go_template);
    if (keep && tag_cache_put(&s->tags, entry->digest, b)) return true;
    if (catalog_find(s->catalog, &entry->name, &m, NULL) != ST_OK) return false;
    const size_t from = b->len;
    buf_str(b, "\"details\":");
    catalog_put_details(b, &m, entry->parent_model, true);
    if (m.n_can > 0) {
        json_put_key(b, "capabilities");
        catalog_put_capabilities(b, &m);
    }
    if (keep && !b->failed && m.facts->readable)
        tag_cache_remember(&s->tags, entry->digest, b->data + from, b->len - from);
    catalog_model_free(&m);
    return true;
}

/* One entry; a model that cannot be read is left out. */
static void put_tag(struct server *s, struct buf *b, const struct store_entry *entry) {
    char shortest[NAME_TEXT_MAX], when[48];
    const size_t from = b->len;
    name_shortest(&entry->name, shortest);
    os_time_rfc3339(entry->modified_ns, false, when);
    buf_str(b, b->len > 1 && b->data[b->len - 1] == '}' ? ",{" : "{");
    json_put_field(b, "name", shortest);
    json_put_field(b, "model", shortest);
    json_put_field(b, "modified_at", when);
    json_put_field_int(b, "size", (int64_t)entry->size);
    json_put_field(b, "digest", entry->digest);
    buf_chr(b, ',');
    if (put_about(s, b, entry))
        buf_chr(b, '}');
    else
        buf_cut(b, from);
}

void route_tags(const struct route_call *c) {
    struct store_list list;
    struct buf b = {0};
    struct err e;
    if (store_list(c->server->store, &list, &e) != ST_OK) {
        answer_err(c->x, DIALECT_NATIVE, &e);
        return;
    }
    buf_str(&b, "{\"models\":[");
    for (size_t i = 0; i < list.n_entries; i++) put_tag(c->server, &b, &list.entries[i]);
    buf_str(&b, "]}");
    store_list_free(&list);
    answer_json(c->x, 200, TYPE_JSON_UTF8, &b);
}

void route_ps(const struct route_call *c) {
    struct buf b = {0};
    buf_str(&b, "{\"models\":");
    runner_put_list(c->server->runners, &b);
    buf_chr(&b, '}');
    answer_json(c->x, 200, TYPE_JSON_UTF8, &b);
}

/* ---- OpenAI ---- */

static void put_openai_model(struct buf *b, const struct store_entry *entry, const char *id) {
    buf_chr(b, '{');
    json_put_field(b, "id", id);
    json_put_field(b, "object", "model");
    json_put_field_int(b, "created", entry->modified_ns / 1000000000);
    json_put_field(b, "owned_by", entry->name.namespace);
    buf_chr(b, '}');
}

void route_openai_models(const struct route_call *c) {
    struct store_list list;
    struct buf b = {0};
    struct err e;
    if (store_list(c->server->store, &list, &e) != ST_OK) {
        answer_err(c->x, DIALECT_OPENAI, &e);
        return;
    }
    /* An empty list is null in the peer and in its recorded answers (README.md, "Deviations"). */
    buf_str(&b, list.n_entries == 0 ? "{\"object\":\"list\",\"data\":null"
                                    : "{\"object\":\"list\",\"data\":[");
    for (size_t i = 0; i < list.n_entries; i++) {
        char shortest[NAME_TEXT_MAX];
        name_shortest(&list.entries[i].name, shortest);
        if (i > 0) buf_chr(&b, ',');
        put_openai_model(&b, &list.entries[i], shortest);
    }
    buf_str(&b, list.n_entries == 0 ? "}\n" : "]}\n");
    store_list_free(&list);
    answer_json(c->x, 200, TYPE_JSON, &b);
}

/* A name with "/" is the rest of the path; one that is not stored is an unknown path as in the
 * peer. */
static void openai_model_error(struct http_exchange *x, const char *name, const struct err *e) {
    if (strchr(name, '/') != NULL && e->code == ST_NOT_FOUND)
        http_answer_text(x, 404, TYPE_TEXT, "404 page not found");
    else if (e->code == ST_DENIED)
        answer_error(x, DIALECT_NATIVE, 403, TYPE_JSON_UTF8,
                     "ollama cloud is disabled: remote model details are unavailable");
    else
        answer_error(x, DIALECT_OPENAI, answer_status(e->code), TYPE_JSON, e->msg);
}

void route_openai_model(const struct route_call *c) {
    struct model_name name;
    struct catalog_model m;
    struct buf b = {0};
    struct err e;
    enum status st = server_name(c->param, &name, &e);
    if (st == ST_OK) st = catalog_find(c->server->catalog, &name, &m, &e);
    if (st != ST_OK) {
        openai_model_error(c->x, c->param, &e);
        return;
    }
    put_openai_model(&b, &m.stored.entry, c->param);
    buf_chr(&b, '\n');
    catalog_model_free(&m);
    answer_json(c->x, 200, TYPE_JSON, &b);
}

/* ---- copy and delete ---- */

struct two_names {
    const json *first, *second;
};
#define AT(name) offsetof(struct two_names, name)
static const struct field copy_field[] = {
    {"source", FIELD_TEXT, AT(first), NULL, FIELD_ANY, NULL, NULL, NULL},
    {"destination", FIELD_TEXT, AT(second), NULL, FIELD_ANY, NULL, NULL, NULL},
};
static const struct fields copy_fields = {"CopyRequest", "api.CopyRequest", copy_field, 2};
static const struct field delete_field[] = {
    {"model", FIELD_TEXT, AT(first), NULL, FIELD_ANY, NULL, NULL, NULL},
    {"name", FIELD_TEXT, AT(second), NULL, FIELD_ANY, NULL, NULL, NULL},
};
static const struct fields delete_fields = {"DeleteRequest", "api.DeleteRequest", delete_field, 2};

/* The words of copy for every bad name. */
static enum status copy_name(const struct server *s, const char *what, const char *text,
                             struct model_name *name, struct err *e) {
    enum name_source source;
    enum status st = name_parse_ref(name, text, &source, e);
    if (st != ST_OK && strncmp(e->msg, "use either", 10) == 0) return st;
    if (st != ST_OK) return err_set(e, ST_INVALID, "%s \"%.200s\" is invalid", what, text);
    return store_spell(s->store, name, e);
}

void route_copy(const struct route_call *c) {
    struct two_names names = {0};
    struct model_name from, to;
    struct err e;
    json *root;
    if (!route_body(c, DIALECT_NATIVE, &copy_fields, &names, &root)) return;
    const char *source = field_text(names.first);
    enum status st = copy_name(c->server, "source", source, &from, &e);
    if (st == ST_OK) st = copy_name(c->server, "destination", field_text(names.second), &to, &e);
    if (st == ST_OK) st = store_copy(c->server->store, &from, &to, &e);
    if (st == ST_NOT_FOUND) err_set(&e, st, "model \"%s\" not found", source);
    if (st == ST_OK)
        http_answer(c->x, 200, NULL, NULL, 0);
    else
        answer_err(c->x, DIALECT_NATIVE, &e);
    json_free(root);
}

void route_delete(const struct route_call *c) {
    struct two_names names = {0};
    struct model_name name;
    struct err e;
    json *root;
    if (!route_body(c, DIALECT_NATIVE, &delete_fields, &names, &root)) return;
    const char *text = server_model_of(names.first, names.second);
    enum name_source source;
    enum status st = name_parse_ref(&name, text, &source, &e);
    if (st != ST_OK && strcmp(e.msg, "invalid model name") == 0)
        err_set(&e, ST_INVALID, "name \"%.200s\" is invalid", text);
    if (st == ST_OK) st = store_delete(c->server->store, &name, &e);
    if (st == ST_NOT_FOUND) err_set(&e, st, "model '%s' not found", text);
    if (st == ST_OK)
        http_answer(c->x, 200, NULL, NULL, 0);
    else
        answer_err(c->x, DIALECT_NATIVE, &e);
    json_free(root);
}
