/* route_tokens.c - what a model makes of text, without generating: POST /tokenize, /detokenize,
 * /apply-template, and the same below /api (README.md, "Routes of our own"). */
#include <string.h>

#include "api/generate.h"
#include "api/native.h"
#include "api/server_impl.h"
#include "base/utf8.h"

route_fn route_tokenize, route_detokenize, route_apply_template;

struct tokens_request { /* members: see request.h */
    const json *model, *content, *prompt, *tokens, *add_special, *parse_special, *with_pieces;
};
#define AT(name) offsetof(struct tokens_request, name)
#define PLAIN(name, kind)                                                                          \
    { #name, kind, AT(name), NULL, FIELD_ANY, NULL, NULL, NULL }
static const struct field tokens_field[] = {
    PLAIN(model, FIELD_TEXT),
    PLAIN(content, FIELD_TEXT),
    PLAIN(prompt, FIELD_TEXT),
    {"tokens", FIELD_LIST, AT(tokens), "[]int", FIELD_INT, NULL, NULL, NULL},
    PLAIN(add_special, FIELD_FLAG),
    PLAIN(parse_special, FIELD_FLAG),
    PLAIN(with_pieces, FIELD_FLAG),
};
static const struct fields tokens_fields = {"TokensRequest", "api.TokensRequest", tokens_field,
                                            sizeof tokens_field / sizeof *tokens_field};

typedef enum status tokens_fn(const struct tokens_request *r, const struct vocab *v,
                              struct buf *out, struct err *e);

/* ---- the model ---- */

/* Its parameters count: other load options would load it again. */
static enum status with_runner(const struct route_call *c, const struct catalog_model *model,
                               const struct tokens_request *r, tokens_fn *fn, struct buf *out,
                               struct err *e) {
    struct options options;
    struct runner_wish wish = {model, &options, NULL};
    struct arena arena = {0};
    struct cancel cancel;
    struct runner *runner;
    enum status st = server_allow(c->x, &model->stored.entry.name, e);
    if (st == ST_OK) st = catalog_options(model, NULL, &options, &arena, e);
    cancel_init(&cancel);
    server_enter(c->server, c->x, &cancel);
    if (st == ST_OK) st = runner_acquire(c->server->runners, &wish, &cancel, &runner, e);
    if (st == ST_OK) {
        st = fn(r, cria_engine_vocab(runner_engine(runner)), out, e);
        runner_release(c->server->runners, runner);
    }
    server_leave(c->server, c->x, &cancel);
    cancel_destroy(&cancel);
    arena_free(&arena);
    return st;
}

static enum status with_model(const struct route_call *c, const struct tokens_request *r,
                              tokens_fn *fn, struct buf *out, struct err *e) {
    struct model_name name;
    struct catalog_model model;
    enum status st = server_name(field_text(r->model), &name, e);
    if (st != ST_OK) return st;
    st = catalog_find(c->server->catalog, &name, &model, e);
    if (st == ST_NOT_FOUND) err_set(e, st, "model '%.200s' not found", field_text(r->model));
    if (st != ST_OK) return st;
    st = with_runner(c, &model, r, fn, out, e);
    catalog_model_free(&model);
    return st;
}

static void run(const struct route_call *c, tokens_fn *fn) {
    struct tokens_request r = {0};
    struct buf out = {0};
    struct err e = {.msg = ""};
    json *root;
    if (!route_body(c, DIALECT_NATIVE, &tokens_fields, &r, &root)) return;
    if (with_model(c, &r, fn, &out, &e) == ST_OK) {
        answer_json(c->x, 200, TYPE_JSON_UTF8, &out);
    } else {
        answer_err(c->x, DIALECT_NATIVE, &e);
        buf_free(&out);
    }
    json_free(root);
}

/* ---- tokens ---- */

/* A piece may be a part of a character: then its bytes are told as numbers. */
static void put_piece(struct buf *b, const struct vocab *v, token_id id) {
    size_t len = 0;
    const char *piece = vocab_piece(v, id, true, &len);
    buf_printf(b, "{\"id\":%d", id);
    json_put_key(b, "piece");
    if (utf8_valid(piece, len)) {
        json_put_string(b, piece, len);
    } else {
        for (size_t i = 0; i < len; i++)
            buf_printf(b, "%c%u", i == 0 ? '[' : ',', (unsigned char)piece[i]);
        buf_chr(b, ']');
    }
    buf_chr(b, '}');
}

static enum status tokenize(const struct tokens_request *r, const struct vocab *v, struct buf *out,
                            struct err *e) {
    struct token_list ids = {0};
    size_t len = 0;
    const char *text = json_string_n(r->content != NULL ? r->content : r->prompt, &len);
    bool pieces = field_flag(r->with_pieces, false);
    unsigned flags = (field_flag(r->add_special, false) ? VOCAB_ADD_SPECIAL : 0) |
                     (field_flag(r->parse_special, true) ? VOCAB_PARSE_SPECIAL : 0);
    if (text == NULL) return err_set(e, ST_INVALID, "content is required");
    enum status st = vocab_encode(v, text, len, flags, &ids, e);
    buf_str(out, "{\"tokens\":[");
    for (size_t i = 0; i < ids.len && st == ST_OK; i++) {
        if (i > 0) buf_chr(out, ',');
        if (pieces)
            put_piece(out, v, ids.ids[i]);
        else
            buf_printf(out, "%d", ids.ids[i]);
    }
    buf_printf(out, "],\"count\":%zu}", ids.len);
    token_list_free(&ids);
    return st;
}

static enum status detokenize(const struct tokens_request *r, const struct vocab *v,
                              struct buf *out, struct err *e) {
    struct buf text = {0};
    if (r->tokens == NULL) return err_set(e, ST_INVALID, "tokens is required");
    for (const json *m = json_first(r->tokens); m != NULL; m = json_next(m)) {
        int64_t id = -1;
        size_t len = 0;
        json_int(m, &id);
        if (id < 0 || id >= (int64_t)vocab_size(v)) {
            buf_free(&text);
            return err_set(e, ST_INVALID, "tokens: %lld is not in the vocabulary", (long long)id);
        }
        const char *piece = vocab_piece(v, (token_id)id, true, &len);
        buf_add(&text, piece, len);
    }
    buf_chr(out, '{');
    json_put_key(out, "content");
    json_put_string(out, text.len > 0 ? text.data : "", text.len);
    buf_chr(out, '}');
    if (text.failed) out->failed = true;
    buf_free(&text);
    return ST_OK;
}

void route_tokenize(const struct route_call *c) { run(c, tokenize); }
void route_detokenize(const struct route_call *c) { run(c, detokenize); }

/* ---- templates ---- */

static enum status send_prompt(void *arg, const struct gen_piece *p) {
    struct http_exchange *x = arg;
    struct buf b = {0};
    buf_chr(&b, '{');
    json_put_key(&b, "prompt");
    json_put_string(&b, p->rendered == NULL ? "" : p->rendered, p->rendered_len);
    json_put_field_int(&b, "count", (int64_t)p->n_prompt);
    buf_chr(&b, '}');
    answer_json(x, 200, TYPE_JSON_UTF8, &b);
    return ST_OK;
}

/* The body is that of /api/chat. */
void route_apply_template(const struct route_call *c) {
    struct native_request n = {0};
    struct gen_failure f;
    json *root;
    if (!route_body(c, DIALECT_NATIVE, &native_chat_fields, &n, &root)) return;
    struct gen_request r = native_to_gen(&n, true, false);
    r.stream = false;
    r.count = true;
    if (!gen_run(c->server, c->x, &r, &(struct gen_sink){c->x, send_prompt, NULL}, &f))
        answer_error(c->x, DIALECT_NATIVE, f.http_status, TYPE_JSON_UTF8, f.err.msg);
    json_free(root);
}
