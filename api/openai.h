/* openai.h - the OpenAI dialect (spec/api.md 6): requests become native ones, pieces become
 * choices. */
#ifndef CRIA_API_OPENAI_H
#define CRIA_API_OPENAI_H

#include "api/request.h"
#include "base/buf.h"

struct openai_chat { /* members: see request.h */
    const json *model, *messages, *tools, *stream, *stream_options, *max_tokens,
        *max_completion_tokens, *temperature, *top_p, *seed, *frequency_penalty, *presence_penalty,
        *stop, *response_format, *reasoning, *reasoning_effort, *logprobs, *top_logprobs,
        *tool_choice, *n, *debug;
};
extern const struct fields openai_chat_fields;

/* Appends the body of the /api/chat request that means the same. ST_INVALID with the texts of
 * spec/api.md 6.2. */
enum status openai_to_native(const struct openai_chat *r, struct buf *out, struct err *e);

#endif
