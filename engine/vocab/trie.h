/* trie.h - which of a set of byte strings begin at a place of a text.
 *
 * The nodes lie in level order, so the children of a node are neighbours and those of one node end
 * where those of the next begin: a node needs only the number of its first child, and memory is 13
 * bytes for each different prefix, whatever the strings are. A node with few children is searched
 * in order, one with many has a bit map of them (the rank of a bit is the number of the child).
 *
 *     uint32_t node = TRIE_ROOT;
 *     while (i < len && (node = trie_step(&t, node, text[i++])) != TRIE_NONE)
 *         if (trie_value(&t, node) != TRIE_NONE) ... a string ends here
 *
 * Building sorts the strings; nothing recurses. Read-only afterwards: any thread may look up. */
#ifndef CRIA_ENGINE_TRIE_H
#define CRIA_ENGINE_TRIE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TRIE_NONE UINT32_MAX
enum { TRIE_ROOT = 0, TRIE_FEW = 4 };

struct trie_key { /* borrowed while trie_build runs; empty strings are ignored */
    const char *text;
    uint32_t len, value; /* value < TRIE_NONE */
};
struct trie_node {
    uint32_t first; /* child; children end where those of the next node begin */
    uint32_t value; /* of the string that ends here, or TRIE_NONE */
    uint32_t map;   /* bit map of the children, or TRIE_NONE: few */
};
struct trie_map {
    uint64_t bits[4];
    uint8_t before[4]; /* children in the words before */
};
struct trie {                /* owns its arrays; a zeroed struct is the empty set */
    uint32_t from_root[256]; /* children of the root, where every walk begins */
    struct trie_node *node;  /* [n_nodes + 1], the last one only ends the children */
    unsigned char *label;    /* [n_nodes]: the byte that leads to it */
    struct trie_map *map;
    uint32_t n_nodes, n_maps;
};

/* Orders `keys` anew. Of equal strings the one with the highest value stays. False: no memory, or
 * more than 2^32 - 2 prefixes. */
bool trie_build(struct trie *t, struct trie_key *keys, size_t n);
void trie_free(struct trie *t);

static inline uint32_t trie_value(const struct trie *t, uint32_t node) {
    return t->node[node].value;
}

/* Without a library call, which is what the builtin is where the processor may lack the
 * instruction. */
static inline uint32_t trie_count_bits(uint64_t x) {
    x -= x >> 1 & 0x5555555555555555u;
    x = (x & 0x3333333333333333u) + (x >> 2 & 0x3333333333333333u);
    return (uint32_t)(((x + (x >> 4)) & 0x0F0F0F0F0F0F0F0Fu) * 0x0101010101010101u >> 56);
}

static inline uint32_t trie_step(const struct trie *t, uint32_t node, char byte) {
    const unsigned char c = (unsigned char)byte;
    if (node == TRIE_ROOT) return t->from_root[c];
    const struct trie_node *n = &t->node[node];
    if (n->map != TRIE_NONE) {
        const struct trie_map *m = &t->map[n->map];
        const uint64_t word = m->bits[c >> 6], bit = 1ull << (c & 63);
        if ((word & bit) == 0) return TRIE_NONE;
        return n->first + m->before[c >> 6] + trie_count_bits(word & (bit - 1));
    }
    for (uint32_t i = n->first; i < n[1].first; i++) {
        if (t->label[i] == c) return i;
    }
    return TRIE_NONE;
}

/* The longest string that text begins with: its length (0: none) and value. */
size_t trie_longest(const struct trie *t, const char *text, size_t len, uint32_t *value);

#endif
