/* token_tree.c - see token_tree.h: the tokens are sorted by their bytes; then each new byte behind
 * the prefix that it shares with its predecessor is a node. */
#include "engine/grammar/token_tree.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* The first 8 bytes as a number that orders like them; zeros behind the end. */
static uint64_t first_bytes(const struct token_text *t) {
    uint64_t key = 0;
    for (uint32_t i = 0; i < 8; i++) key = key << 8 | (i < t->len ? (unsigned char)t->text[i] : 0u);
    return key;
}

struct sort_key {
    uint64_t first;
    struct token_text token;
};

static int by_text(const void *a, const void *b) {
    const struct sort_key *x = a, *y = b;
    if (x->first != y->first) return x->first < y->first ? -1 : 1;
    const uint32_t n = x->token.len < y->token.len ? x->token.len : y->token.len;
    int c = memcmp(x->token.text, y->token.text, n);
    if (c != 0) return c;
    if (x->token.len != y->token.len) return x->token.len < y->token.len ? -1 : 1;
    return x->token.id < y->token.id ? -1 : x->token.id > y->token.id;
}

static bool sort_texts(struct token_text *tokens, size_t n) {
    struct sort_key *key = mem_array(n, sizeof *key);
    if (key == NULL) return false;
    for (size_t i = 0; i < n; i++) key[i] = (struct sort_key){first_bytes(&tokens[i]), tokens[i]};
    if (n > 1) qsort(key, n, sizeof *key, by_text);
    for (size_t i = 0; i < n; i++) tokens[i] = key[i].token;
    mem_free(key);
    return true;
}

static uint32_t shared_prefix(const struct token_text *a, const struct token_text *b) {
    uint32_t n = a->len < b->len ? a->len : b->len, i = 0;
    while (i < n && a->text[i] == b->text[i]) i++;
    return i;
}

static size_t keep_usable(struct token_text *tokens, size_t n) {
    size_t kept = 0;
    for (size_t i = 0; i < n; i++)
        if (tokens[i].len > 0 && tokens[i].len <= TOKEN_BYTES_MAX && tokens[i].text[0] != '\0')
            tokens[kept++] = tokens[i];
    return kept;
}

static void fill(struct token_tree *t, const struct token_text *tokens, size_t n) {
    uint32_t open[TOKEN_BYTES_MAX + 1]; /* node of each depth on the path of the last token */
    uint32_t depth = 0;
    for (size_t i = 0; i < n; i++) {
        const struct token_text *x = &tokens[i];
        uint32_t keep = i > 0 ? shared_prefix(&tokens[i - 1], x) : 0;
        for (; depth > keep; depth--) t->node[open[depth]].skip = t->n_nodes;
        for (; depth < x->len; t->n_nodes++) {
            t->node[t->n_nodes] = (struct tree_node){.first = (uint32_t)i,
                                                     .byte = (uint8_t)x->text[depth],
                                                     .depth = (uint16_t)(depth + 1)};
            open[++depth] = t->n_nodes;
        }
        t->node[open[x->len]].n++;
        t->id[i] = x->id;
    }
    for (; depth > 0; depth--) t->node[open[depth]].skip = t->n_nodes;
}

static void weigh(struct token_tree *t) {
    uint32_t size[256] = {0};
    for (uint32_t i = 0; i < t->n_nodes; i = t->node[i].skip)
        size[t->node[i].byte] = t->node[i].skip - i;
    for (int b = 0; b < 256; b++) t->weight[b + 1] = t->weight[b] + size[b];
}

enum status token_tree_build(struct token_tree *t, struct token_text *tokens, size_t n,
                             struct err *e) {
    size_t n_nodes = 0;
    *t = (struct token_tree){0};
    n = keep_usable(tokens, n);
    if (!sort_texts(tokens, n)) return err_no_memory(e);
    for (size_t i = 0; i < n; i++)
        n_nodes += tokens[i].len - (i > 0 ? shared_prefix(&tokens[i - 1], &tokens[i]) : 0);
    if (n_nodes > UINT32_MAX) return err_set(e, ST_LIMIT, "the tokens' texts are too long");
    t->node = mem_array(n_nodes, sizeof *t->node);
    t->id = mem_array(n, sizeof *t->id);
    if (t->node == NULL || t->id == NULL) {
        token_tree_free(t);
        return err_no_memory(e);
    }
    fill(t, tokens, n);
    weigh(t);
    return ST_OK;
}

void token_tree_free(struct token_tree *t) {
    mem_free(t->node);
    mem_free(t->id);
    *t = (struct token_tree){0};
}
