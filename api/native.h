/* native.h - the request of /api/generate and /api/chat as fields, for the native routes and for
 * the dialects that translate into it. */
#ifndef CRIA_API_NATIVE_H
#define CRIA_API_NATIVE_H

#include "api/generate.h"
#include "api/request.h"

struct native_request { /* members: see request.h */
    const json *model, *stream, *format, *keep_alive, *think, *options, *truncate, *shift,
        *logprobs, *top_logprobs, *debug;
    const json *grammar, *regex, *choice, *lora, *report_truncation; /* cria's own */
    const json *prompt, *suffix, *system, *template, *raw, *context, *images;
    const json *messages, *tools, *tool_choice; /* tool_choice: cria's own, as OpenAI's */
};
extern const struct fields native_chat_fields, native_generate_fields;

/* stream: the dialect's default. */
struct gen_request native_to_gen(const struct native_request *n, bool chat, bool stream);
/* `"_debug_info":{...}` */
void native_put_debug(struct buf *b, const struct gen_piece *p);

#endif
