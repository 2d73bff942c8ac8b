/* display.h - shows an answer while it streams in (spec/cli.md 3.7-3.10).
 *
 * One struct serves one answer of /api/generate or /api/chat: lines go to display_line(), the text
 * is on stdout at once, and what later needs it (the conversation, the statistics) is kept. */
#ifndef CRIA_CLI_DISPLAY_H
#define CRIA_CLI_DISPLAY_H

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "cli/progress.h"
#include "cli/wrap.h"

struct display {
    bool hide_thinking;       /* set by the caller */
    bool plain, visible;      /* no colours; control characters are shown escaped */
    struct progress *spinner; /* taken back at the first text; borrowed, may be NULL */
    struct wrap wrap;
    bool thinking_open; /* "Thinking..." has been printed, its end not yet */
    bool any;           /* some text was printed */
    struct buf content, thinking;
    struct {
        int64_t total, load, prompt_count, prompt, eval_count, eval;
    } stats; /* of the last line: nanoseconds and tokens */
};
void display_open(struct display *a, bool wordwrap);
void display_free(struct display *a);
/* Fits struct client_call: arg is the answer. */
enum status display_line(void *arg, const json *line, struct err *e);
void display_tick(void *arg);
/* After the last line, or where the answer was cut off: closes what is open. */
void display_end(struct display *a);
/* On stderr, each line only if it is not zero. */
void display_print_stats(const struct display *a);

#endif
