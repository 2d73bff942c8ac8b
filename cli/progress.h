/* progress.h - spinners and bars on stderr (spec/cli.md 5).
 *
 * A display is a list of lines; the last spinner turns until the next line begins. There is no
 * thread: whoever waits calls progress_tick() often, which draws every 100 ms. */
#ifndef CRIA_CLI_PROGRESS_H
#define CRIA_CLI_PROGRESS_H

#include <stdint.h>

#include "base/buf.h"

struct progress;
struct progress *progress_new(void); /* NULL: no memory; all functions take NULL and do nothing */

/* The line of that key changes, or is added: the texts of one file or layer share a key. */
void progress_spinner(struct progress *p, const char *key, const char *text);
void progress_bar(struct progress *p, const char *key, const char *text, uint64_t total,
                  uint64_t completed);
void progress_tick(struct progress *p);
/* Spinners end, a last drawing, newline. Or: every line is erased. Both leave the display empty, so
 * that it can begin again. */
void progress_stop(struct progress *p);
void progress_clear(struct progress *p);
void progress_free(struct progress *p); /* without drawing */

#endif
