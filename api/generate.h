/* generate.h - one answer, from the request to the last piece: what /api/generate, /api/chat and
 * the other dialects share.
 *
 * A route fills a gen_request (the values of the native API) and gives a sink; gen_run() checks,
 * loads, renders, generates, splits thinking and tool calls off, and hands out pieces. Without
 * `stream` the sink gets one piece with everything. */
#ifndef CRIA_API_GENERATE_H
#define CRIA_API_GENERATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"

struct server;
struct http_exchange;

struct gen_request { /* texts are never NULL; json values may be (absent) */
    bool chat;
    const char *model;                               /* as sent */
    const json *messages, *tools, *tool_choice;      /* chat */
    const char *prompt, *suffix, *system, *template; /* generate */
    const json *context, *images;
    const json *format, *options, *keep_alive, *think;
    const json *grammar, *regex, *choice; /* cria's own: GBNF, an expression, a list of texts */
    const json *lora;                     /* cria's own: scales of adapters (lora.h) */
    bool stream, raw, truncate, shift, logprobs, debug;
    bool count; /* as debug, but for the number of tokens: nothing is cut off the prompt */
    bool report_truncation; /* native: the last piece has the field prompt_truncated */
    bool parts;             /* streams get calls in parts (gen_part) */
    bool any_think;         /* a think value that the model cannot follow is dropped, not refused */
    unsigned n_before;      /* choices made before this one of the request: a fixed seed moves on */
    int64_t top_logprobs;
};

struct gen_stats {
    int64_t total_ns, load_ns, prompt_ns, eval_ns;
    uint32_t n_prompt, n_generated;
    const char *stop_hit; /* the stop string that ended the answer; NULL */
    bool truncated;       /* the model did not see all of the prompt (docs/http.md) */
};

struct gen_part { /* of a call that the model is still writing; such a call does not come whole */
    const char *id, *name;
    unsigned index;
    const char *args; /* as far as they are known, as JSON text */
    size_t from, to;  /* of args: what this part adds; from 0: the first part */
    enum { PART_MORE, PART_LAST, PART_CUT } end; /* CUT: the answer ends inside of the call */
};

struct gen_piece { /* valid during the call */
    const char *content, *thinking;
    size_t content_len, thinking_len;
    const char *tool_calls;      /* members of a JSON list; "" if none */
    const char *logprobs;        /* the same */
    const struct gen_part *part; /* with nothing else in the piece; NULL: none */
    bool done;
    const char *done_reason;       /* "stop", "length", "load", "unload" */
    const struct gen_stats *stats; /* NULL: load, unload, debug */
    const char *context;           /* JSON list; NULL: none */
    const char *rendered;          /* debug: the prompt; NULL: not asked for */
    size_t rendered_len;
    size_t n_prompt; /* tokens of the prompt; 0: none was made (load, unload) */
    unsigned n_images;
};

struct gen_sink {
    void *arg;
    enum status (*piece)(void *arg, const struct gen_piece *p); /* ST_IO: the client has gone */
    /* A stream has had nothing to send for a while: in the queue, in a long prompt, inside of a
     * call. ST_IO as above. NULL: nothing is said. */
    enum status (*wait)(void *arg);
};

struct gen_failure {
    int http_status;
    bool late; /* found while generating: streams answer with another content type */
    struct err err;
};
/* False: failed, and why. Pieces may have been handed out before. */
bool gen_run(struct server *s, struct http_exchange *x, const struct gen_request *r,
             const struct gen_sink *sink, struct gen_failure *f);

#endif
