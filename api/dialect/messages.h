/* messages.h - the Anthropic dialect, /v1/messages (spec/api.md 8). */
#ifndef CRIA_API_MESSAGES_H
#define CRIA_API_MESSAGES_H

#include "api/dialect/dialect.h"

struct messages_request { /* members: see request.h */
    const json *model, *max_tokens, *messages, *system, *stream, *temperature, *top_p, *top_k,
        *stop_sequences, *tools, *tool_choice, *thinking, *output_config, *options;
};

#endif
