/* embed.h - vectors of texts: what /api/embed, /api/embeddings, /v1/embeddings and the rerank
 * routes share (spec/api.md 5.3, 5.4, 6.4).
 *
 * A job finds and loads a model, turns texts into tokens (cut to the context if allowed), and asks
 * the engine for all of them at once. */
#ifndef CRIA_API_EMBED_H
#define CRIA_API_EMBED_H

#include "api/lora.h"
#include "api/server_impl.h"
#include "base/arena.h"

enum { EMBED_MAX_TEXTS = 32768 }; /* of a request: what is made of them must fit in memory */

struct embed_job { /* begins zeroed; ends with embed_end */
    struct server *server;
    struct http_exchange *x;
    struct catalog_model model;
    struct options options;
    struct arena arena;
    struct cancel cancel;
    struct runner *runner;
    struct token_list tokens; /* of all texts, one behind the other */
    size_t *end, n_texts;     /* [n_texts] where each ends in tokens */
    float *vectors;           /* [n_texts][width] */
    uint32_t width;
    struct lora lora;
    int64_t start_ns, ready_ns;
};

void embed_begin(struct embed_job *j, struct server *s, struct http_exchange *x);
void embed_end(struct embed_job *j);

/* By the name as sent. ST_NOT_FOUND with the words of spec/api.md 2. */
enum status embed_find(struct embed_job *j, const char *name, struct err *e);
/* Options and keep_alive of the request; NULL: absent. Waits for the model. */
enum status embed_load(struct embed_job *j, const json *options, const json *keep_alive,
                       struct err *e);
/* What the request gets of the adapters; behind embed_load. NULL: all of them. */
enum status embed_lora(struct embed_job *j, const json *lora, struct err *e);
/* Appends a text. ST_LIMIT: it is too long and must not be cut. */
enum status embed_add(struct embed_job *j, const char *text, size_t len, bool truncate,
                      struct err *e);
/* Appends query and document as the one text that a reranker reads; the document is cut. */
enum status embed_add_pair(struct embed_job *j, const char *query, const char *document,
                           struct err *e);
/* Vectors of all texts. scores: what the rerank head says, else embeddings, each of length 1 if
 * `normalize`. ST_UNSUPPORTED: scores of a model that does not rank. */
enum status embed_run(struct embed_job *j, bool scores, bool normalize, struct err *e);
/* What the file says of the vectors of /api/embeddings. */
bool embed_wants_unit(const struct embed_job *j);

#endif
