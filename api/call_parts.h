/* call_parts.h - a tool call that goes out while the model still writes it (the streams of /v1).
 *
 * A call is sent in parts if it is one of the request's tools and its arguments are still open when
 * a second piece of text has come: a shorter one gains nothing, and goes out whole as in the peer.
 * The parser stays the judge: when it has the complete call, what was sent must mean the same. */
#ifndef CRIA_API_CALL_PARTS_H
#define CRIA_API_CALL_PARTS_H

#include "api/format/args.h"
#include "api/generate.h"
#include "base/err.h"

struct call_parts { /* zeroed: no call is open */
    bool open;
    bool seen; /* one has open arguments, and nothing of it went out */
    bool over; /* the open one is complete */
    struct buf name, id;
    unsigned index;
    struct args_text args;
    size_t sent; /* bytes of args.text */
};
/* The text that the parser gets, before it gets it. */
void parts_feed(struct call_parts *c, const char *text, size_t len);
/* Calls that the parser has completed (as in parser_out): the open one is the first, and is taken
 * away. ST_INVALID: it is not what was sent. */
enum status parts_settle(struct call_parts *c, struct buf *calls, struct err *e);
/* What the parser knows of the call that it holds; NULL: nothing. */
void parts_look(struct call_parts *c, const struct call_head *head);
/* What can be sent now, borrowed until the next parts_look(); false: nothing. cut: the answer ends
 * here. A part that is the last one closes the call. */
bool parts_next(struct call_parts *c, bool cut, struct gen_part *out);
bool parts_failed(const struct call_parts *c); /* memory has run out */
void parts_free(struct call_parts *c);

#endif
