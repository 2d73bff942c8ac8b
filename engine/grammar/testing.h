/* testing.h - a small vocabulary, and what its masks must be by definition; for grammar_test.c and
 * the fuzz targets. Static functions only. */
#ifndef CRIA_ENGINE_GRAMMAR_TESTING_H
#define CRIA_ENGINE_GRAMMAR_TESTING_H

#include <stdlib.h>
#include <string.h>

#include "engine/grammar/grammar.h"
#include "engine/grammar/token_index.h"

enum { PIECES_MAX = 64 };

struct pieces {
    const char *const *text;
    token_id n; /* less than PIECES_MAX; token n ends the text */
};

static inline enum status pieces_index(struct token_index **out, const struct pieces *v,
                                       struct err *e) {
    const char *text[PIECES_MAX];
    size_t len[PIECES_MAX];
    bool eog[PIECES_MAX] = {0};
    for (token_id i = 0; i <= v->n; i++) {
        text[i] = i < v->n ? v->text[i] : "</s>";
        len[i] = strlen(text[i]);
    }
    eog[v->n] = true;
    return token_index_of_texts(out, text, len, eog, (uint32_t)v->n + 1, e);
}

/* The text so far, which must have been accepted, and the token's bytes are a beginning of a text.
 */
static inline bool piece_fits(const struct pieces *v, struct grammar *g, const char *so_far,
                              size_t len, token_id t) {
    struct grammar_run *r = NULL;
    const size_t n = t < v->n ? strlen(v->text[t]) : 0;
    if (grammar_run_open(&r, g, NULL) != ST_OK || grammar_run_text(r, so_far, len) != len) abort();
    const bool fits =
        t == v->n ? grammar_run_accepts(r) : n > 0 && grammar_run_text(r, v->text[t], n) == n;
    grammar_run_close(r);
    return fits;
}

#endif
