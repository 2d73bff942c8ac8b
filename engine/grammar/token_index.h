/* token_index.h - what masks need to know about a vocabulary: built once per model.
 *
 * The texts of all tokens that a grammar may allow, as a tree; the tokens that end a generation;
 * masks of the places that every JSON grammar has in common (json_text.h); and a bounded cache of
 * compiled grammars, so that requests with the same schema share one with its warm tables. Owned by
 * the engine; everything but the two locked parts is constant. Thread-safe. */
#ifndef CRIA_ENGINE_GRAMMAR_TOKEN_INDEX_H
#define CRIA_ENGINE_GRAMMAR_TOKEN_INDEX_H

#include <pthread.h>
#include <stdbool.h>

#include "engine/grammar/token_tree.h"

struct grammar;
struct local;

enum { SHARED_NODES = 1024, GRAMMAR_CACHE = 32, GRAMMAR_CACHE_BYTES = 128 << 20 };

/* Tokens that are nothing but plain characters of a JSON string, up to a number, and the others: in
 * a string with room for that many more, the first are allowed without a look (mask.c). */
enum { N_SLICES = 2 };
struct slice {
    uint32_t chars; /* at most so many */
    uint32_t *mask; /* [n_words] */
    struct token_tree rest;
};

struct cached_grammar {
    char *key;
    size_t len;
    struct grammar *grammar;
    uint64_t last_used;
};

struct token_index {
    uint32_t n_vocab;
    size_t n_words;          /* of a mask: 32 tokens in each */
    struct token_text *text; /* [n_vocab] by id; len 0: never allowed by its text */
    struct token_tree tree;
    struct slice slice[N_SLICES]; /* falling `chars` */
    uint32_t *eog_mask;           /* [n_words] */
    uint32_t n_eog;
    token_id first_eog;
    const struct vocab *vocab; /* borrowed; NULL if the texts were given. For <token> in GBNF */
    pthread_mutex_t shared_lock;
    struct local *shared[SHARED_NODES]; /* masks of the JSON prelude's nodes, once computed */
    pthread_mutex_t lock; /* of what follows; taken before any grammar's, shared_lock after it */
    struct cached_grammar cache[GRAMMAR_CACHE];
    uint64_t clock;
};

/* From a vocabulary, which outlives the index. */
enum status token_index_open(struct token_index **out, const struct vocab *v, struct err *e);
/* From texts (copied pointers: they outlive the index); eog[i] tells whether token i ends. */
enum status token_index_of_texts(struct token_index **out, const char *const *text,
                                 const size_t *len, const bool *eog, uint32_t n_vocab,
                                 struct err *e);
void token_index_close(struct token_index *ti); /* all runs have been closed; NULL is fine */

static inline bool token_index_is_eog(const struct token_index *ti, token_id id) {
    return (ti->eog_mask[id / 32] >> (id % 32) & 1) != 0;
}

#endif
