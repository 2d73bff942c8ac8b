/* args.h - the arguments of a tool call while the model is still writing them.
 *
 * A parser holds a call until it is complete. Where the model writes the arguments as one JSON
 * object, the parser can tell before that whose they are and where they begin (struct call_head);
 * from there struct args_text makes, of text in pieces of any size, the compact text that may go
 * out at once. Other formats (XML parameters, calls as code) have nothing to show until the end. */
#ifndef CRIA_API_ARGS_H
#define CRIA_API_ARGS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

struct call_head { /* borrowed from the parser until it is fed again */
    const char *name;
    size_t name_len;
    unsigned index;  /* that the call will have */
    const char *raw; /* from the arguments' opening brace on, as the model wrote it */
    size_t raw_len;
    const char *raw_more; /* what goes on behind it, in another buffer */
    size_t raw_more_len;
};
/* Sets raw if the text begins, after white space, with an object. */
bool args_begin(const char *s, size_t n, struct call_head *out);
/* The same for {"name": NAME, ..., "arguments": {; with parameters, that key counts, too. Only for
 * names without escapes that come before the arguments. */
bool args_in_object(const char *s, size_t n, bool parameters, struct call_head *out);

/* Normalised text of one object: white space outside of strings is dropped, all else stays as the
 * model wrote it. Zeroed: nothing has come yet. */
struct args_text {
    struct buf text;
    size_t ready; /* bytes of it that end neither in an escape nor in a character */
    bool ended;   /* the object is closed; what follows it is not taken */
    bool in_string;
    unsigned escape; /* bytes that an escape still needs, or ESCAPE_BEGUN */
    unsigned depth;
};
void args_text_feed(struct args_text *a, const char *s, size_t n);
void args_text_free(struct args_text *a);

#endif
