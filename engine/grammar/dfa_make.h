/* dfa_make.h - making an automaton state by state; for the files that do so (dfa.c, dfa_expr.c).
 * After a failure, which is remembered in r, everything still may be called. */
#ifndef CRIA_ENGINE_GRAMMAR_DFA_MAKE_H
#define CRIA_ENGINE_GRAMMAR_DFA_MAKE_H

#include "engine/grammar/dfa.h"

struct dfa_maker {
    struct rules *r;
    struct dfa d;
    uint32_t cap; /* of d.state */
};

void *dfa_scratch(struct rules *r, size_t n, size_t size); /* zeroed; lives as long as r's arena */
uint32_t dfa_add_state(struct dfa_maker *m, bool accepts);
/* Copies sorted edges; neighbours with one target become one. */
void dfa_set_edges(struct dfa_maker *m, uint32_t state, const struct dfa_edge *edge, uint32_t n);
/* Drops edges to states from which nothing is accepted; the states stay, unreachable. */
const struct dfa *dfa_finished(struct dfa_maker *m);

#endif
