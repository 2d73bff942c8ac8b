/* wrap.h - word wrap of streamed text (spec/cli.md 3.10).
 *
 * Characters are printed as they come; when a line reaches the terminal's width - 5 the word that
 * is being printed is taken back and printed again on the next line. */
#ifndef CRIA_CLI_WRAP_H
#define CRIA_CLI_WRAP_H

#include "base/buf.h"

struct wrap {    /* set columns; the rest is zero at the start */
    int columns; /* 0: no wrapping */
    int column;
    int word_width;
    struct buf word; /* the word at the end of the line; owned */
    char partial[4]; /* beginning of a character that is not complete yet */
    unsigned n_partial;
};
void wrap_put(struct wrap *w, struct buf *out, const char *s, size_t n);
void wrap_free(struct wrap *w);

#endif
