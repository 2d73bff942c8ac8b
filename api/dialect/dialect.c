/* dialect.c - see dialect.h. */
#include "api/dialect/dialect.h"

#include <string.h>

#include "base/base64.h"

#define N(a) (sizeof(a) / sizeof *(a))

/* ---- reading a request ---- */

/* Names of cloud models are refused before anything else is looked at. */
static enum status check_cloud(const json *root, struct err *e) {
    struct model_name name;
    struct err local;
    enum status st = server_name(field_text(json_get(root, "model")), &name, &local);
    return st == ST_DENIED ? err_set(e, ST_DENIED, "%s", local.msg) : ST_OK;
}

enum status dialect_decode(const struct dialect_reader *d, const char *text, size_t len,
                           void *request, struct dialect_request *out, struct err *e) {
    struct native_request native = {0};
    struct buf body = {0};
    *out = (struct dialect_request){.root = NULL};
    enum status st = request_decode(d->fields, text, len, request, &out->root, e);
    if (st == ST_OK) st = check_cloud(out->root, e);
    if (st == ST_OK) st = d->translate(request, &body, e);
    if (st == ST_OK && body.failed) st = err_no_memory(e);
    if (st == ST_OK)
        st = request_decode(d->chat ? &native_chat_fields : &native_generate_fields, body.data,
                            body.len, &native, &out->native_root, e);
    buf_free(&body);
    if (st != ST_OK) return st;
    out->gen = native_to_gen(&native, d->chat, false);
    out->gen.parts = true;
    return ST_OK;
}

void dialect_free(struct dialect_request *r) {
    json_free(r->native_root);
    json_free(r->root);
}

/* Refused cloud models are told in native form. */
static enum dialect form(enum dialect d, enum status st) {
    return st == ST_DENIED ? DIALECT_NATIVE : d;
}

bool dialect_read(const struct route_call *c, const struct dialect_reader *d, void *request,
                  struct dialect_request *out) {
    struct buf body = {0};
    struct err e = {.msg = ""};
    memset(request, 0, d->size);
    *out = (struct dialect_request){.root = NULL};
    enum status st = route_read(c, d->id, &body, &e);
    bool too_large = st == ST_LIMIT;
    if (st == ST_OK) st = dialect_decode(d, body.data, body.len, request, out, &e);
    buf_free(&body);
    if (st == ST_OK) return true;
    answer_error(c->x, form(d->id, st), too_large ? 413 : answer_status(st), TYPE_JSON_UTF8, e.msg);
    dialect_free(out);
    return false;
}

void dialect_answer_failure(struct http_exchange *x, enum dialect d, const struct gen_failure *f) {
    bool cloud = f->err.code == ST_DENIED;
    answer_error(x, form(d, f->err.code), f->http_status, cloud ? TYPE_JSON_UTF8 : TYPE_JSON,
                 f->err.msg);
}

unsigned long dialect_id(const struct route_call *c) {
    return atomic_fetch_add(&c->server->last_id, 1) + 1;
}

/* ---- values ---- */

void put_value(struct buf *b, const char *key, const json *v) {
    if (v == NULL) return;
    json_put_key(b, key);
    json_print(b, v);
}

void put_text(struct buf *b, const char *key, const char *text, size_t len) {
    json_put_key(b, key);
    json_put_string(b, text, len);
}

/* ---- options ---- */

/* A text, or a list of which other values are dropped. */
static void put_stop(struct buf *b, const json *stop) {
    size_t len;
    const char *one = json_string_n(stop, &len);
    bool first = true;
    if (one == NULL && json_len(stop) == 0) return;
    json_put_key(b, "stop");
    buf_chr(b, '[');
    if (one != NULL) json_put_string(b, one, len);
    for (const json *v = one == NULL ? json_first(stop) : NULL; v != NULL; v = json_next(v)) {
        const char *text = json_string_n(v, &len);
        if (text == NULL) continue;
        if (!first) buf_chr(b, ',');
        first = false;
        json_put_string(b, text, len);
    }
    buf_chr(b, ']');
}

/* Later members win, so what is said by more special means comes later. */
void put_options(struct buf *b, const struct dialect_options *o) {
    const struct {
        const char *name;
        const json *v;
    } row[] = {{"temperature", o->temperature},
               {"top_p", o->top_p},
               {"top_k", o->top_k},
               {"seed", o->seed},
               {"frequency_penalty", o->frequency_penalty},
               {"presence_penalty", o->presence_penalty},
               {"num_predict", o->num_predict},
               {"logit_bias", o->logit_bias}};
    json_put_key(b, "options");
    buf_chr(b, '{');
    if (o->defaults != NULL) buf_str(b, o->defaults);
    for (const json *v = json_first(o->options); v != NULL; v = json_next(v))
        put_value(b, json_key(v), v);
    for (size_t i = 0; i < N(row); i++) put_value(b, row[i].name, row[i].v);
    put_stop(b, o->stop);
    buf_chr(b, '}');
}

/* ---- thinking ---- */

enum status put_effort(struct buf *b, const char *effort, struct err *e) {
    static const struct {
        const char *effort, *think;
    } row[] = {{"none", "false"},        {"minimal", "\"low\""}, {"low", "\"low\""},
               {"medium", "\"medium\""}, {"high", "\"high\""},   {"max", "\"max\""},
               {"xhigh", "\"max\""},     {"ultra", "\"max\""}};
    if (*effort == '\0') return ST_OK;
    for (size_t i = 0; i < N(row); i++) {
        if (strcmp(row[i].effort, effort) != 0) continue;
        json_put_key(b, "think");
        buf_str(b, row[i].think);
        return ST_OK;
    }
    return err_set(e, ST_INVALID,
                   "invalid reasoning value: \"%.100s\" (must be \"minimal\", \"low\", \"medium\", "
                   "\"high\", \"xhigh\", \"ultra\", \"max\", or \"none\")",
                   effort);
}

/* ---- tools ---- */

void add_list(struct buf *list) { buf_chr(list, list->len == 0 ? '[' : ','); }

void add_web_search(struct buf *tools) {
    add_list(tools);
    buf_str(tools, "{\"type\":\"function\",\"function\":{\"name\":\"web_search\",\"description\":"
                   "\"Search the web for current information\",\"parameters\":{\"type\":\"object\","
                   "\"required\":[\"query\"],\"properties\":{\"query\":{\"type\":\"string\","
                   "\"description\":\"The search query\"}}}}}");
}

enum status put_tools(struct buf *b, const struct buf *tools, const struct tool_choice *c,
                      struct err *e) {
    if (tools->len == 0 && (c->use == TOOLS_REQUIRED || c->use == TOOLS_NAMED))
        return err_set(e, ST_INVALID, "tool_choice: a call is required, and there are no tools");
    if (c->use == TOOLS_NONE || tools->len == 0) return ST_OK;
    json_put_key(b, "tools");
    buf_add(b, tools->data, tools->len);
    if (c->use == TOOLS_REQUIRED) json_put_field(b, "tool_choice", "required");
    if (c->use != TOOLS_NAMED) return ST_OK;
    json_put_key(b, "tool_choice");
    buf_str(b, "{\"type\":\"function\",\"function\":{");
    json_put_field(b, "name", c->name);
    buf_str(b, "}}");
    return ST_OK;
}

enum status read_tool_choice(const json *v, struct tool_choice *out, struct err *e) {
    static const char *const word[] = {
        [TOOLS_AUTO] = "auto", [TOOLS_NONE] = "none", [TOOLS_REQUIRED] = "required"};
    const char *text = json_string(v);
    *out = (struct tool_choice){TOOLS_AUTO, ""};
    if (json_kind(v) == JSON_NULL) return ST_OK;
    for (size_t i = 0; text != NULL && i < N(word); i++) {
        if (strcmp(text, word[i]) != 0) continue;
        out->use = (enum tool_use)i;
        return ST_OK;
    }
    const char *name = json_string(json_get(v, "name"));
    if (name == NULL) name = json_string(json_get(json_get(v, "function"), "name"));
    if (text != NULL || name == NULL)
        return err_set(e, ST_INVALID,
                       "invalid tool_choice: must be \"auto\", \"none\", \"required\", or a "
                       "function with a name");
    *out = (struct tool_choice){TOOLS_NAMED, name};
    return ST_OK;
}

void put_call(struct buf *b, const char *id, long long index, const char *name, const json *args) {
    buf_chr(b, '{');
    json_put_field(b, "id", id);
    buf_printf(b, ",\"function\":{\"index\":%lld", index);
    json_put_field(b, "name", name);
    json_put_key(b, "arguments");
    if (args != NULL)
        json_print(b, args);
    else
        buf_str(b, "{}");
    buf_str(b, "}}");
}

/* ---- images ---- */

const char *image_data(const char *url, struct err *e) {
    static const char *const prefix[] = {"data:image/jpeg;base64,", "data:image/jpg;base64,",
                                         "data:image/png;base64,", "data:image/webp;base64,",
                                         "data:;base64,"};
    size_t bad;
    if (strncmp(url, "http://", 7) == 0 || strncmp(url, "https://", 8) == 0) {
        err_set(e, ST_INVALID,
                "image URLs are not currently supported, please use base64 encoded data instead");
        return NULL;
    }
    for (size_t i = 0; i < N(prefix); i++) {
        size_t n = strlen(prefix[i]);
        if (strncmp(url, prefix[i], n) == 0 && base64_get(NULL, url + n, strlen(url + n), &bad))
            return url + n;
    }
    err_set(e, ST_INVALID, "invalid image input");
    return NULL;
}

/* ---- pieces ---- */

json *piece_calls(const struct gen_piece *p) {
    struct buf text = {0};
    if (*p->tool_calls == '\0') return NULL;
    buf_chr(&text, '[');
    buf_str(&text, p->tool_calls);
    buf_chr(&text, ']');
    json *list =
        text.failed ? NULL : json_parse(text.data, text.len, &json_default_limits, NULL, NULL);
    buf_free(&text);
    return list;
}

void call_read(struct call *c, const json *v) {
    const json *f = json_get(v, "function");
    *c = (struct call){field_text(json_get(v, "id")),
                       field_text(json_get(f, "name")),
                       field_int(json_get(f, "index"), 0),
                       {0}};
    const json *args = json_get(f, "arguments");
    if (args != NULL)
        json_print(&c->args, args);
    else
        buf_str(&c->args, "{}");
}

void call_free(struct call *c) { buf_free(&c->args); }
