/* textout.h - from tokens to the text a client sees (spec/sampling.md 7).
 *
 * Pieces of tokens go in, text that may be sent comes out. Held back are: text that ends inside a
 * UTF-8 character, and text whose end may be the beginning of a stop string. A stop string ends the
 * text; it is matched on bytes, across token borders, and is never part of what comes out.
 *
 *     textout_push(t, piece, len, is_eog);     once per token
 *     text = textout_ready(t, &len);           send it if len > 0
 *     if (textout_ended(t)) ...                stop string or end of generation: done_reason "stop"
 *     else if (count == num_predict) textout_finish(t), textout_ready(t, &len): "length"
 *
 * Bytes that are not UTF-8 pass through; the JSON writer shows them as U+FFFD. Memory is what is
 * held back, time is linear in the text (times the number of stop strings). Not thread-safe; one
 * request, one textout. */
#ifndef CRIA_ENGINE_TEXTOUT_H
#define CRIA_ENGINE_TEXTOUT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

enum { TEXTOUT_NO_STOP = -1 };

struct textout;
/* The stop strings are copied; empty ones are dropped. Errors: ST_NO_MEMORY. */
enum status textout_open(struct textout **out, const char *const *stop, size_t n_stop,
                         struct err *e);
void textout_close(struct textout *t); /* NULL is fine */

/* The text of one more token ("" for a control token). With is_eog the rest is released, as by
 * textout_finish. After the end nothing is taken. */
void textout_push(struct textout *t, const char *piece, size_t len, bool is_eog);
/* The text that may be sent now (no NUL; "" if none), borrowed until the next push, finish or
 * close. Each byte is given once: the call counts as sending. Who does not call collects. */
const char *textout_ready(struct textout *t, size_t *len);
/* No more tokens: what is held back for a stop string is released, an unfinished character is
 * dropped. */
void textout_finish(struct textout *t);

bool textout_ended(const struct textout *t); /* by stop string, end of generation or finish */
int textout_stop(const struct textout *t);   /* index of the stop string that was hit, or -1 */
/* An allocation failed: text was lost, and the request must fail. Stays so. */
bool textout_failed(const struct textout *t);

#endif
