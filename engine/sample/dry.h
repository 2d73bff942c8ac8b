/* dry.h - DRY ("don't repeat yourself"): a penalty for tokens that would go on with a repetition
 * (spec/sampling.md 3).
 *
 * If the text ends with a sequence that occurred before, the token that followed it then is made
 * less likely, the more the longer the sequence is: multiplier * base^(length - allowed). A
 * sequence breaker (line end, quotation mark, ...) is where a sequence may not reach across.
 *
 * A breaker is a string, but the history is tokens: for each string there are token sequences after
 * which it has been written for sure. The head is one token that contains the string, or one that
 * ends with its beginning and is followed by the tail. */
#ifndef CRIA_ENGINE_DRY_H
#define CRIA_ENGINE_DRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "engine/vocab/vocab.h"

enum { DRY_MAX_TAIL = 20, DRY_MAX_BREAKER = 40 };

struct dry_breaker {
    token_id head;
    uint32_t n_tail;
    token_id tail[DRY_MAX_TAIL];
};
struct dry_breakers { /* owns list, sorted by head; a zeroed struct has none */
    struct dry_breaker *list;
    size_t n, cap;
};
/* The token sequences of strings (cut to DRY_MAX_BREAKER bytes; empty ones are left out). */
enum status dry_breakers_make(struct dry_breakers *out, const struct vocab *v,
                              const char *const *strings, size_t n, struct err *e);
bool dry_breakers_add(struct dry_breakers *b, const token_id *ids, size_t n); /* n >= 1 */
void dry_breakers_sort(struct dry_breakers *b);
void dry_breakers_free(struct dry_breakers *b);

struct candidates;
struct dry { /* a zeroed struct is off */
    float multiplier, base;
    uint32_t allowed; /* lengths below cost nothing */
    uint32_t last_n;
    uint32_t n_vocab;
    token_id *history; /* owned [2 * last_n]; the last ones count */
    uint32_t n_history;
    uint32_t *repeat;    /* owned [last_n]: of each suffix, see dry.c */
    uint32_t *longest;   /* owned [n_vocab]: 1 + the longest repetition a token goes on with */
    unsigned char *role; /* owned [n_vocab]: enum dry_role bits */
    struct dry_breakers breakers; /* owned */
};
bool dry_is_on(float multiplier, float base, int64_t last_n);
/* Takes a copy of the breakers. False: no memory, nothing kept. */
bool dry_open(struct dry *d, uint32_t last_n, uint32_t n_vocab,
              const struct dry_breakers *breakers);
void dry_close(struct dry *d);
void dry_accept(struct dry *d, token_id id); /* ids outside the vocabulary are ignored */
void sample_dry(struct candidates *cs, struct dry *d);

#endif
