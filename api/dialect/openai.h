/* openai.h - /v1/chat/completions and /v1/completions (spec/api.md 6): what both share. */
#ifndef CRIA_API_OPENAI_H
#define CRIA_API_OPENAI_H

#include "api/dialect/dialect.h"

enum { MAX_CHOICES = 128 }; /* `n` of a request */
/* Absent values count so, whatever the model's parameters say (spec/api.md 6.1). */
#define OPENAI_DEFAULTS "\"temperature\":1.0,\"top_p\":1.0"

struct openai_chat { /* members: see request.h */
    const json *model, *messages, *tools, *stream, *stream_options, *max_tokens,
        *max_completion_tokens, *temperature, *top_p, *seed, *frequency_penalty, *presence_penalty,
        *stop, *response_format, *reasoning, *reasoning_effort, *logprobs, *top_logprobs,
        *tool_choice, *n, *logit_bias, *options, *lora, *debug;
};
extern const struct fields openai_usage_fields; /* of stream_options */
enum status check_n(const json *n, struct err *e);
/* A text or a list; its entries, if they are looked at, must be texts. */
enum status openai_check_stop(const json *v, bool entries, struct err *e);

/* ---- answers of one or more choices ---- */

struct openai_answer {
    const struct gen_request *r;
    struct stream stream;
    const char *prefix, *object, *chunk_object; /* of the id; of whole answers and of chunks */
    unsigned long id;
    long long created;
    bool usage;                /* stream_options.include_usage */
    struct buf choices, debug; /* of a whole answer; members after them */
    unsigned choice;           /* the one that is being made */
    bool sent, called;         /* a chunk of it went out; with tool calls in it */
    uint32_t n_prompt, n_generated;
};

/* "{" and what every object begins with. */
void openai_put_head(struct buf *b, const struct openai_answer *a, const char *object);
void openai_put_usage(struct buf *b, const struct openai_answer *a);
/* Takes the counts of a choice that is complete. */
void openai_count(struct openai_answer *a, const struct gen_stats *s);
enum status openai_send(struct openai_answer *a, struct buf *chunk); /* frees it */
enum status openai_wait(void *answer);                               /* as gen_sink.wait */
/* Makes n choices, one after the other: they share the prompt in the prefix cache. Answers. */
void openai_run(const struct route_call *c, struct openai_answer *a, struct gen_request *r,
                int64_t n, const struct gen_sink *sink);

#endif
