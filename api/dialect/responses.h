/* responses.h - the dialect of OpenAI's /v1/responses (spec/api.md 7). */
#ifndef CRIA_API_RESPONSES_H
#define CRIA_API_RESPONSES_H

#include "api/dialect/dialect.h"

struct responses_request { /* members: see request.h */
    const json *model, *input, *instructions, *max_output_tokens, *temperature, *top_p, *stream,
        *reasoning, *text, *tools, *tool_choice, *truncation, *background, *metadata, *options;
};

/* What the object tells of the answer; the rest of it repeats the request. */
struct responses_state {
    const struct responses_request *request;
    const char *model, *status;
    unsigned long id;
    long long created, completed; /* completed 0: not yet */
    const struct buf *output;     /* items, without the brackets */
    bool null_output;             /* "output":null */
    const struct gen_stats *stats;
    bool usage;        /* false: null */
    const char *error; /* NULL: none */
};
void responses_put(struct buf *b, const struct responses_state *s);

#endif
