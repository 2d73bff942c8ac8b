/* route_rerank.c - POST /v1/rerank, /rerank, /api/rerank: documents in the order of what a reranker
 * thinks of them for a query, in the form that Jina's and Cohere's clients know:
 * {model, query, documents: [text or {"text"}], top_n, return_documents}. */
#include <stdlib.h>
#include <string.h>

#include "api/embed.h"
#include "api/request.h"
#include "base/mem.h"

route_fn route_rerank, route_openai_rerank;

struct rerank_request {
    const json *model, *query, *documents, *top_n, *return_documents, *options, *keep_alive;
};
#define PLAIN(name, kind)                                                                          \
    { #name, kind, offsetof(struct rerank_request, name), NULL, FIELD_ANY, NULL, NULL, NULL }
static const struct field rerank_field[] = {
    PLAIN(model, FIELD_TEXT),
    PLAIN(query, FIELD_TEXT),
    PLAIN(documents, FIELD_ANY),
    PLAIN(top_n, FIELD_INT),
    PLAIN(return_documents, FIELD_FLAG),
    {"options", FIELD_MAP, offsetof(struct rerank_request, options), "map[string]interface {}",
     FIELD_ANY, NULL, NULL, NULL},
    {"keep_alive", FIELD_CHECK, offsetof(struct rerank_request, keep_alive), "", FIELD_ANY, NULL,
     NULL, check_keep_alive},
};
static const struct fields rerank_fields = {"RerankRequest", "api.RerankRequest", rerank_field,
                                            sizeof rerank_field / sizeof *rerank_field};

static const char *document_text(const json *d) {
    return json_kind(d) == JSON_OBJECT ? json_string(json_get(d, "text")) : json_string(d);
}

static enum status check(const struct rerank_request *r, struct err *e) {
    if (*field_text(r->query) == '\0') return err_set(e, ST_INVALID, "query must not be empty");
    if (json_kind(r->documents) != JSON_ARRAY || json_len(r->documents) == 0)
        return err_set(e, ST_INVALID, "documents must be a list of texts, and not empty");
    size_t i = 0;
    for (const json *d = json_first(r->documents); d != NULL; d = json_next(d), i++)
        if (document_text(d) == NULL)
            return err_set(e, ST_INVALID, "documents[%zu] must be a text, or an object with one",
                           i);
    return ST_OK;
}

static enum status rank(struct embed_job *j, const struct rerank_request *r, struct err *e) {
    enum status st = check(r, e);
    if (st == ST_OK) st = embed_find(j, field_text(r->model), e);
    if (st == ST_OK) st = embed_load(j, r->options, r->keep_alive, e);
    if (st == ST_OK && cria_engine_info(runner_engine(j->runner))->pooling != CRIA_POOL_RANK)
        st = err_set(e, ST_UNSUPPORTED, "\"%s\" does not support rerank", field_text(r->model));
    for (const json *d = json_first(r->documents); st == ST_OK && d != NULL; d = json_next(d))
        st = embed_add_pair(j, field_text(r->query), document_text(d), e);
    return st == ST_OK ? embed_run(j, true, false, e) : st;
}

struct ranked {
    float score;
    size_t index;
    const json *document;
};
static int best_first(const void *a, const void *b) { /* of equals the earlier document */
    const struct ranked *x = a, *y = b;
    if (x->score != y->score) return x->score > y->score ? -1 : 1;
    return (x->index > y->index) - (x->index < y->index);
}

static void put_results(struct buf *b, const struct ranked *list, size_t n, bool documents) {
    for (size_t i = 0; i < n; i++) {
        buf_str(b, i > 0 ? ",{" : "{");
        json_put_field_int(b, "index", (int64_t)list[i].index);
        json_put_key(b, "relevance_score");
        json_put_float(b, list[i].score);
        if (documents) {
            json_put_key(b, "document");
            buf_chr(b, '{');
            json_put_field(b, "text", document_text(list[i].document));
            buf_chr(b, '}');
        }
        buf_chr(b, '}');
    }
}

static enum status put_answer(struct buf *b, const struct embed_job *j,
                              const struct rerank_request *r, struct err *e) {
    struct ranked *list = mem_array(j->n_texts, sizeof *list);
    const int64_t top = field_int(r->top_n, 0);
    const json *d = json_first(r->documents);
    if (list == NULL) return err_no_memory(e);
    for (size_t i = 0; i < j->n_texts; i++, d = json_next(d)) /* label 0 is "relevant" */
        list[i] = (struct ranked){j->vectors[i * (size_t)j->width], i, d};
    qsort(list, j->n_texts, sizeof *list, best_first);
    buf_chr(b, '{');
    json_put_field(b, "model", field_text(r->model));
    json_put_field(b, "object", "list");
    json_put_key(b, "results");
    buf_chr(b, '[');
    put_results(b, list, top > 0 && top < (int64_t)j->n_texts ? (size_t)top : j->n_texts,
                field_flag(r->return_documents, false));
    buf_chr(b, ']');
    json_put_key(b, "usage");
    buf_printf(b, "{\"prompt_tokens\":%zu,\"total_tokens\":%zu}}", j->tokens.len, j->tokens.len);
    mem_free(list);
    return ST_OK;
}

static void answer(const struct route_call *c, enum dialect d) {
    struct rerank_request r = {0};
    struct embed_job j;
    struct err e = {.msg = ""};
    struct buf b = {0};
    json *root;
    if (!route_body(c, d, &rerank_fields, &r, &root)) return;
    embed_begin(&j, c->server, c->x);
    enum status st = rank(&j, &r, &e);
    if (st == ST_OK) st = put_answer(&b, &j, &r, &e);
    if (st == ST_OK)
        answer_json(c->x, 200, TYPE_JSON_UTF8, &b);
    else
        answer_err(c->x, d, &e);
    embed_end(&j);
    json_free(root);
}

void route_rerank(const struct route_call *c) { answer(c, DIALECT_NATIVE); }
/* The same; errors as everywhere below /v1. */
void route_openai_rerank(const struct route_call *c) { answer(c, DIALECT_OPENAI); }
