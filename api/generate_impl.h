/* generate_impl.h - the state of one answer, shared by generate.c (checks, loading, prompt) and
 * generate_out.c (from chunks to pieces). */
#ifndef CRIA_API_GENERATE_IMPL_H
#define CRIA_API_GENERATE_IMPL_H

#include "api/call_parts.h"
#include "api/format/parse.h"
#include "api/generate.h"
#include "api/pictures.h"
#include "api/prompt.h"
#include "api/server_impl.h"
#include "api/think.h"
#include "api/toolcall.h"

enum { GEN_VISIBLE = 24 };

struct gen {
    struct server *server;
    struct http_exchange *x;
    const struct gen_request *r;
    const struct gen_sink *sink;
    struct gen_failure *f;
    struct catalog_model model;
    struct template *own_template; /* of the request; NULL: the model's is used */
    struct options options;
    struct prompt_think think;
    struct arena arena;
    struct cancel cancel;
    struct activity *activity; /* of the exchange */
    struct runner *runner;
    struct cria_generation *generation;
    struct prompt prompt;
    struct pictures pictures; /* its images, encoded */
    struct token_list tokens;
    int64_t start_ns, ready_ns;
    int64_t sent_ns; /* when the client last got something */

    /* output; see generate_out.c */
    struct parser *parser;         /* of the model's format; NULL: the two generic ones below */
    const char *parser_name;       /* static, or the model's */
    token_id visible[GEN_VISIBLE]; /* special tokens that it must see */
    size_t n_visible;
    bool thinks, calls; /* the generic parsers are in use */
    struct think_parser think_parser;
    struct tool_parser tool_parser;
    struct call_parts parts;                            /* of a call that goes out already */
    struct buf answer;                                  /* everything generated, for `context` */
    struct buf content, thinking, tool_calls, logprobs; /* of the next piece */
};

static inline const struct template *gen_template(const struct gen *g) {
    return g->own_template != NULL ? g->own_template : g->model.template;
}

/* By the model's config, or what its Jinja template tells: sets parser and visible. */
enum status gen_choose_parser(struct gen *g, struct err *e);
/* The tags between which the model thinks, if it does and they are known (else NULL); in: whether
 * the prompt has opened it already. */
void gen_thinking_tags(const struct gen *g, const char **open, const char **close, bool *in);
/* Runs the generation to its end and hands out the pieces. */
enum status gen_output(struct gen *g, struct err *e);

#endif
