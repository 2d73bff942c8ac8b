/* toolcall.h - finds tool calls in generated text, for models without a parser of their own
 * (spec/chat-formats.md 3): the template tells the tag that starts a call, the request the tools'
 * names; a name and the first JSON object that fits behind it make a call. */
#ifndef CRIA_API_TOOLCALL_H
#define CRIA_API_TOOLCALL_H

#include <stdbool.h>
#include <stddef.h>

#include "api/format/args.h"
#include "base/buf.h"
#include "base/json.h"

enum tool_state { TOOL_SEARCHING, TOOL_CALLING, TOOL_DONE };

struct tool_parser {
    const char *tag;   /* borrowed */
    const json *tools; /* borrowed: the request's list */
    enum tool_state state;
    struct buf held; /* text that may be, or is, a call */
    unsigned n_calls;
};
void tool_begin(struct tool_parser *p, const char *tag, const json *tools);
/* Takes the next piece of content. Text that belongs to no call is appended to *content, calls to
 * *calls as JSON: {"id":"call_x","function":{"index":0,"name":"f","arguments":{..}}}, separated by
 * commas; returns how many calls were added. */
unsigned tool_feed(struct tool_parser *p, const char *text, size_t len, struct buf *content,
                   struct buf *calls);
/* What is known of the call that is held; false: nothing (yet). */
bool tool_peek(const struct tool_parser *p, struct call_head *out);
/* The end of the answer: text that turned out to be no call. Frees the parser's memory. */
void tool_end(struct tool_parser *p, struct buf *content);

#endif
