/* think.h - splits generated text into thinking and content by the template's two tags, however the
 * text is cut into pieces (spec/chat-formats.md 2). */
#ifndef CRIA_API_THINK_H
#define CRIA_API_THINK_H

#include <stddef.h>

#include "base/buf.h"

enum think_state { THINK_LOOKING, THINK_SKIP_IN, THINK_INSIDE, THINK_SKIP_OUT, THINK_DONE };

struct think_parser {
    const char *open, *close; /* borrowed */
    enum think_state state;
    struct buf held; /* text whose fate is not known yet */
};
void think_begin(struct think_parser *p, const char *open, const char *close);
/* Takes the next piece; what is known now is appended to the two buffers. */
void think_feed(struct think_parser *p, const char *text, size_t len, struct buf *content,
                struct buf *thinking);
/* The end of the answer: a tag that was begun and never finished is text after all, as is white
 * space that waited for a tag. (The peer loses it: spec/chat-formats.md 2.) Nothing may be fed
 * behind it. */
void think_flush(struct think_parser *p, struct buf *content, struct buf *thinking);
void think_end(struct think_parser *p); /* frees; text still held is dropped */

/* Bytes of white space (Unicode) at the beginning of the text. */
size_t text_skip_space(const char *s, size_t n);
/* Length of the longest suffix of s that is a proper prefix of tag. */
size_t text_overlap(const char *s, size_t n, const char *tag);

#endif
