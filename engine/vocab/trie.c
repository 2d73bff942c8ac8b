/* trie.c - see trie.h. The sorted strings below a node are a range of the array; the ranges of a
 * level are walked in order, and each gives the ranges of its children, which are the next level.
 */
#include "engine/vocab/trie.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* The first 8 bytes as a number that orders like them; zeros behind the end. Nearly all comparisons
 * end with it, without a look at the texts. */
struct sort_key {
    uint64_t begin;
    struct trie_key key;
};

static uint64_t begin_of(const struct trie_key *k) {
    uint64_t begin = 0;
    for (uint32_t i = 0; i < 8; i++)
        begin = begin << 8 | (i < k->len ? (unsigned char)k->text[i] : 0u);
    return begin;
}

static int by_text(const void *a, const void *b) {
    const struct sort_key *p = a, *q = b;
    if (p->begin != q->begin) return p->begin < q->begin ? -1 : 1;
    const struct trie_key *x = &p->key, *y = &q->key;
    const uint32_t n = x->len < y->len ? x->len : y->len;
    const int c = n != 0 ? memcmp(x->text, y->text, n) : 0;
    if (c != 0) return c;
    if (x->len != y->len) return x->len < y->len ? -1 : 1;
    return x->value < y->value ? -1 : x->value > y->value;
}

static bool sort_keys(struct trie_key *keys, size_t n) {
    if (n < 2) return true;
    struct sort_key *list = mem_array(n, sizeof *list);
    if (list == NULL) return false;
    for (size_t i = 0; i < n; i++) list[i] = (struct sort_key){begin_of(&keys[i]), keys[i]};
    qsort(list, n, sizeof *list, by_text);
    for (size_t i = 0; i < n; i++) keys[i] = list[i].key;
    mem_free(list);
    return true;
}

/* How many nodes there will be: the root, and for each string its bytes behind what it has in
 * common with the one before. */
static size_t count_nodes(const struct trie_key *key, size_t n) {
    size_t nodes = 1;
    for (size_t i = 0; i < n; i++) {
        size_t common = 0, max = 0;
        if (i > 0) max = key[i].len < key[i - 1].len ? key[i].len : key[i - 1].len;
        while (common < max && key[i].text[common] == key[i - 1].text[common]) common++;
        nodes += key[i].len - common;
    }
    return nodes;
}

struct builder {
    struct trie *t;
    const struct trie_key *key;
    uint32_t *begin, *end; /* [n_nodes]: the strings below each node */
    uint32_t cap_maps;
};

/* The children of node, from its range: all strings there have `depth` bytes in common. */
static void add_children(struct builder *b, uint32_t node, uint32_t depth) {
    struct trie *t = b->t;
    struct trie_node *n = &t->node[node];
    uint32_t i = b->begin[node];
    n->value = n->map = TRIE_NONE;
    for (; i < b->end[node] && b->key[i].len == depth; i++) n->value = b->key[i].value;
    n->first = t->n_nodes;
    while (i < b->end[node]) {
        const uint32_t child = t->n_nodes++;
        const char c = b->key[i].text[depth];
        b->begin[child] = i;
        while (i < b->end[node] && b->key[i].text[depth] == c) i++;
        b->end[child] = i;
        t->label[child] = (unsigned char)c;
    }
}

static bool add_map(struct builder *b, uint32_t node) {
    struct trie *t = b->t;
    if (t->n_maps == b->cap_maps) {
        const uint32_t cap = b->cap_maps * 2 + 64;
        struct trie_map *map = mem_grow(t->map, cap, sizeof *map);
        if (map == NULL) return false;
        t->map = map;
        b->cap_maps = cap;
    }
    struct trie_map *m = &t->map[t->n_maps];
    *m = (struct trie_map){{0}, {0}};
    for (uint32_t i = t->node[node].first; i < t->n_nodes; i++)
        m->bits[t->label[i] >> 6] |= 1ull << (t->label[i] & 63);
    for (unsigned w = 1; w < 4; w++)
        m->before[w] = (uint8_t)(m->before[w - 1] + trie_count_bits(m->bits[w - 1]));
    t->node[node].map = t->n_maps++;
    return true;
}

static bool add_levels(struct builder *b, uint32_t n_keys) {
    struct trie *t = b->t;
    t->n_nodes = 1;
    b->begin[0] = 0;
    b->end[0] = n_keys;
    uint32_t level_end = 1;
    for (uint32_t node = 0, depth = 0; node < t->n_nodes; node++) {
        if (node == level_end) {
            level_end = t->n_nodes;
            depth++;
        }
        add_children(b, node, depth);
        if (t->n_nodes - t->node[node].first > TRIE_FEW && !add_map(b, node)) return false;
    }
    t->node[t->n_nodes].first = t->n_nodes;
    for (unsigned c = 0; c < 256; c++) t->from_root[c] = TRIE_NONE;
    for (uint32_t i = t->node[0].first; i < t->node[1].first; i++) t->from_root[t->label[i]] = i;
    return true;
}

bool trie_build(struct trie *t, struct trie_key *keys, size_t n) {
    size_t skip = 0;
    *t = (struct trie){0};
    if (!sort_keys(keys, n)) return false;
    while (skip < n && keys[skip].len == 0) skip++;
    if (skip > 0) keys += skip; /* there may be no array at all */
    n -= skip;
    const size_t n_nodes = count_nodes(keys, n);
    if (n_nodes >= TRIE_NONE - 1 || n >= TRIE_NONE) return false;
    struct builder b = {.t = t, .key = keys};
    t->node = mem_array(n_nodes + 1, sizeof *t->node);
    t->label = mem_array(n_nodes, 1);
    b.begin = mem_array(n_nodes, sizeof *b.begin);
    b.end = mem_array(n_nodes, sizeof *b.end);
    const bool ok = t->node != NULL && t->label != NULL && b.begin != NULL && b.end != NULL &&
                    add_levels(&b, (uint32_t)n);
    assert(!ok || t->n_nodes == n_nodes);
    mem_free(b.begin);
    mem_free(b.end);
    if (!ok) trie_free(t);
    return ok;
}

void trie_free(struct trie *t) {
    mem_free(t->node);
    mem_free(t->label);
    mem_free(t->map);
    *t = (struct trie){0};
}

size_t trie_longest(const struct trie *t, const char *text, size_t len, uint32_t *value) {
    size_t best = 0;
    uint32_t node = TRIE_ROOT;
    if (t->n_nodes == 0) return 0;
    for (size_t i = 0; i < len;) {
        node = trie_step(t, node, text[i++]);
        if (node == TRIE_NONE) break;
        if (trie_value(t, node) == TRIE_NONE) continue;
        best = i;
        *value = trie_value(t, node);
    }
    return best;
}
