/* token_tree.h - the bytes of all tokens of a vocabulary as one tree, laid out for walking.
 *
 * Nodes lie in depth-first order; each knows where its subtree ends, so a walk whose automaton dies
 * at a node jumps over everything below (spec/sampling.md 11 a). Tokens that print nothing, begin
 * with a NUL, or are control tokens are not in it. Built once per vocabulary, never changed,
 * thread-safe. */
#ifndef CRIA_ENGINE_GRAMMAR_TOKEN_TREE_H
#define CRIA_ENGINE_GRAMMAR_TOKEN_TREE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "engine/vocab/vocab.h"

enum { TOKEN_BYTES_MAX = 512 }; /* longer tokens are never allowed under a grammar */

struct tree_node {
    uint32_t skip;     /* index behind the subtree */
    uint32_t first, n; /* tokens that end here: tree.id[first..first + n) */
    uint16_t depth;    /* bytes from the root, at least 1 */
    uint8_t byte;
};

struct token_text {
    const char *text; /* borrowed while the tree is built */
    uint32_t len;
    token_id id;
};

struct token_tree {
    struct tree_node *node;
    uint32_t n_nodes;
    token_id *id;         /* in the order of the nodes */
    uint32_t weight[257]; /* weight[b]: nodes below first bytes < b */
};

/* The tokens need no order and are reordered; texts may be empty (left out). An id may come with
 * several texts. */
enum status token_tree_build(struct token_tree *t, struct token_text *tokens, size_t n,
                             struct err *e);
void token_tree_free(struct token_tree *t);

#endif
