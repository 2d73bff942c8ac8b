/* dfa.h - regular languages over characters: deterministic automata that can be combined.
 *
 * Used where a JSON string or number has to meet several conditions at once (pattern and length,
 * "not one of these names", a range and a multiple). State 0 is the start; a character without an
 * edge leads nowhere. Automata lie in the rules' scratch arena and never change once made. All
 * functions return NULL after a failure, which is remembered in r; size is bounded by DFA_MAX. */
#ifndef CRIA_ENGINE_GRAMMAR_DFA_H
#define CRIA_ENGINE_GRAMMAR_DFA_H

#include "engine/grammar/expr.h"

#ifdef CRIA_FUZZ
enum { DFA_MAX = 300 }; /* the limit is met more often, and a run costs milliseconds */
#else
enum { DFA_MAX = 10000 }; /* states, spec/security.md S-PA-6 */
#endif

struct dfa_edge {
    uint32_t lo, hi, to;
};
struct dfa_state {
    struct dfa_edge *edge; /* sorted, disjoint */
    uint32_t n;
    bool accepts;
};
struct dfa {
    struct dfa_state *state;
    uint32_t n;
};

/* The texts that match the expression as a whole, or, for a search, have a part that matches. */
const struct dfa *dfa_of_expr(struct rules *r, const struct expr *x, bool search);
const struct dfa *dfa_and(struct rules *r, const struct dfa *a, const struct dfa *b);
const struct dfa *dfa_not(struct rules *r, const struct dfa *a);
/* Texts of min to max characters (max <= DFA_MAX - 1, or REPEAT_ENDLESS). */
const struct dfa *dfa_of_length(struct rules *r, uint32_t min, uint32_t max);
/* All texts but the n given ones. */
const struct dfa *dfa_but(struct rules *r, const char *const *text, const size_t *len, size_t n);
/* Decimal numbers, "-" allowed, that are multiples of c / 10^k, written without exponent; integer:
 * without a point. */
const struct dfa *dfa_of_multiples(struct rules *r, uint32_t c, uint32_t k, bool integer);
bool dfa_is_empty(const struct dfa *a); /* no text at all */
bool dfa_matches(const struct dfa *a, const char *text, size_t len);
/* Writes it into a graph: a node for each state, UTF-8 between them. */
void dfa_emit(struct rules *r, const struct dfa *a, uint32_t from, uint32_t to);

#endif
