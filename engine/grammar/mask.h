/* mask.h - which tokens may come next in a state: a bit for each token.
 *
 * A token is allowed if all its bytes can be consumed. Most states allow few first bytes, and a
 * walk over the tree ends soon. Nodes that take many (inside of a string) would visit most of the
 * vocabulary; what they allow hardly depends on what is around, so it is computed once for the node
 * on its own: the tokens that stay within its rule (`bits`), and those that leave it somewhere in
 * the middle, as a tree of what remains of them (`exits`). The mask of a state is then an OR of
 * words and a walk over the remainders, from the state behind the rule. This is the split into
 * context-independent and context-dependent tokens of XGrammar (Dong et al. 2024). Masks are kept
 * with their state. */
#ifndef CRIA_ENGINE_GRAMMAR_MASK_H
#define CRIA_ENGINE_GRAMMAR_MASK_H

#include "engine/grammar/automaton.h"
#include "engine/grammar/token_index.h"

enum { MASK_BUDGET_MS = 1000 }; /* spec/security.md S-PA-6 */

struct mask {
    uint32_t n;      /* tokens allowed */
    token_id only;   /* the token, if n is 1 */
    uint32_t bits[]; /* [token_index.n_words] */
};

struct local {      /* a node on its own, in any context */
    bool useless;   /* nearly everything leaves the rule: walk the whole tree instead */
    uint32_t *bits; /* [token_index.n_words] */
    struct token_tree exits;
};
void local_free(struct local *l);

struct masks {                  /* of one grammar */
    struct token_index *ti;     /* borrowed */
    struct local **local;       /* [n_nodes] by node; NULL: not computed, or shared */
    uint32_t n_nodes, n_shared; /* nodes below n_shared are the JSON prelude's */
    size_t bytes;
};
void masks_free(struct masks *m);

/* The mask of a state, kept in a->tables. NULL: failed, a->st tells why. */
const struct mask *mask_of(struct masks *m, struct automaton *a, state_id s);
/* Whether the mask surely allows more than one token; cheap, may say no wrongly. */
bool mask_is_wide(struct masks *m, const struct automaton *a, state_id s);
/* The state behind a token; STATE_DEAD if it is not allowed. Not for end tokens. */
state_id mask_accept(const struct token_index *ti, struct automaton *a, state_id s, token_id id);

#endif
