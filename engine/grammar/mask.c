/* mask.c - see mask.h. */
#include "engine/grammar/mask.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"

#ifdef CRIA_HARD
enum { WIDE_NODES = 1 }; /* every node takes the long way round */
#else
enum { WIDE_NODES = 8192 }; /* tree nodes below a node's first bytes */
#endif
enum { LOCAL_BYTES_MAX = 16 << 20 };

static void set_bit(uint32_t *bits, token_id id) { bits[id / 32] |= 1u << (id % 32); }

/* Masks have thousands of words: the inner loops have a constant length, so that they become vector
 * instructions at -O2. */
enum { BLOCK = 16 };

static void add_bits(uint32_t *restrict to, const uint32_t *restrict from, size_t n_words) {
    size_t w = 0;
    for (; w + BLOCK <= n_words; w += BLOCK)
        for (size_t k = 0; k < BLOCK; k++) to[w + k] |= from[w + k];
    for (; w < n_words; w++) to[w] |= from[w];
}

/* How many bits of each byte are set. */
static uint32_t bits_of_bytes(uint32_t x) {
    x -= x >> 1 & 0x55555555u;
    x = (x & 0x33333333u) + (x >> 2 & 0x33333333u);
    return (x + (x >> 4)) & 0x0F0F0F0Fu;
}

static uint32_t count_bits(const uint32_t *bits, size_t n_words) {
    uint32_t n = 0;
    for (size_t w = 0; w < n_words; w += BLOCK) {
        uint32_t bytes = 0; /* at most 16 times 8 in each of its four */
        const size_t left = n_words - w;
        if (left >= BLOCK)
            for (size_t k = 0; k < BLOCK; k++) bytes += bits_of_bytes(bits[w + k]);
        else
            for (size_t k = 0; k < left; k++) bytes += bits_of_bytes(bits[w + k]);
        n += (bytes & 0xFF) + (bytes >> 8 & 0xFF) + (bytes >> 16 & 0xFF) + (bytes >> 24);
    }
    return n;
}

/* ---- walking the tree ---- */

/* The nodes from i up to end: all that begins with one byte; at[0]: the state before it. */
static void walk_below(struct automaton *a, const struct token_tree *t, uint32_t i, uint32_t end,
                       state_id *at, uint32_t *bits) {
    while (i < end) {
        const struct tree_node *n = &t->node[i];
        const state_id s = automaton_step(a, at[n->depth - 1], n->byte);
        if (s == STATE_DEAD) {
            i = n->skip;
            continue;
        }
        at[n->depth] = s;
        for (uint32_t k = n->first; k < n->first + n->n; k++) set_bit(bits, t->id[k]);
        i++;
    }
}

/* The first bytes are looked at without their nodes, which lie far from each other. */
static void walk(struct automaton *a, const struct token_tree *t, state_id from, uint32_t *bits) {
    state_id at[TOKEN_BYTES_MAX + 1];
    at[0] = from;
    if (from == STATE_DEAD) return;
    for (unsigned b = 0; b < 256; b++)
        if (t->weight[b] != t->weight[b + 1] && automaton_step(a, from, (uint8_t)b) != STATE_DEAD)
            walk_below(a, t, t->weight[b], t->weight[b + 1], at, bits);
}

/* ---- a node on its own ---- */

struct remains { /* of tokens that leave the rule */
    struct token_text *list;
    size_t n, cap;
};

static bool add_remainder(struct remains *r, const struct token_text *t, uint32_t used) {
    if (r->n == r->cap) {
        size_t cap = r->cap != 0 ? 2 * r->cap : 256;
        void *p = mem_grow(r->list, cap, sizeof *r->list);
        if (p == NULL) return false;
        r->list = p;
        r->cap = cap;
    }
    r->list[r->n++] = (struct token_text){t->text + used, t->len - used, t->id};
    return true;
}

/* As walk(), and notes where the tokens may leave. Below a place where the rule can end, all tokens
 * are visited, dead or not. */
static bool walk_local(struct automaton *a, const struct token_index *ti, state_id from,
                       uint32_t *bits, struct remains *out) {
    const struct token_tree *t = &ti->tree;
    state_id at[TOKEN_BYTES_MAX + 1];
    uint32_t exits[TOKEN_BYTES_MAX + 1], n_exits = 0; /* depths on the path where it can end */
    const size_t most = ti->n_vocab / 8;
    at[0] = from;
    for (uint32_t i = 0; i < t->n_nodes;) {
        const struct tree_node *n = &t->node[i];
        while (n_exits > 0 && exits[n_exits - 1] >= n->depth) n_exits--;
        const state_id s = automaton_step(a, at[n->depth - 1], n->byte);
        if (s == STATE_DEAD && n_exits == 0) {
            i = n->skip;
            continue;
        }
        at[n->depth] = s;
        for (uint32_t k = n->first; k < n->first + n->n; k++) {
            if (s != STATE_DEAD) set_bit(bits, t->id[k]);
            for (uint32_t x = 0; x < n_exits && s == STATE_DEAD; x++)
                if (!add_remainder(out, &ti->text[t->id[k]], exits[x])) return false;
        }
        if (out->n > most) return true; /* useless: the caller sees it by the count */
        if (automaton_state(a, s)->flags & STATE_EXITS) exits[n_exits++] = n->depth;
        i++;
    }
    return true;
}

void local_free(struct local *l) {
    if (l == NULL) return;
    mem_free(l->bits);
    token_tree_free(&l->exits);
    mem_free(l);
}

static struct local *make_local(struct masks *m, struct automaton *a, uint32_t node) {
    struct remains out = {0};
    struct local *l = mem_zalloc(1, sizeof *l);
    if (l != NULL) l->bits = mem_zalloc(m->ti->n_words, sizeof *l->bits);
    bool ok = l != NULL && l->bits != NULL;
    ok = ok && walk_local(a, m->ti, automaton_local(a, node), l->bits, &out);
    if (ok && out.n > m->ti->n_vocab / 8) {
        l->useless = true;
        mem_free(l->bits);
        l->bits = NULL;
    } else {
        ok = ok && token_tree_build(&l->exits, out.list, out.n, NULL) == ST_OK;
    }
    mem_free(out.list);
    if (ok && a->st == ST_OK) return l;
    if (a->st == ST_OK) a->st = ST_NO_MEMORY;
    local_free(l);
    return NULL;
}

static size_t local_bytes(const struct masks *m, const struct local *l) {
    return l->useless ? sizeof *l
                      : sizeof *l + m->ti->n_words * sizeof *l->bits +
                            l->exits.n_nodes * (sizeof *l->exits.node + sizeof *l->exits.id);
}

/* The prelude's nodes are the same in all JSON grammars of this vocabulary. */
static const struct local *shared_local(struct masks *m, struct automaton *a, uint32_t node) {
    pthread_mutex_lock(&m->ti->shared_lock);
    if (m->ti->shared[node] == NULL) m->ti->shared[node] = make_local(m, a, node);
    const struct local *l = m->ti->shared[node];
    pthread_mutex_unlock(&m->ti->shared_lock);
    return l;
}

/* NULL: none (too many, or a failure). */
static const struct local *local_of(struct masks *m, struct automaton *a, uint32_t node) {
    if (node < m->n_shared) return shared_local(m, a, node);
    if (m->local == NULL) m->local = mem_zalloc(m->n_nodes, sizeof(struct local *));
    if (m->local == NULL) {
        a->st = ST_NO_MEMORY;
        return NULL;
    }
    if (m->local[node] == NULL && m->bytes < LOCAL_BYTES_MAX) {
        m->local[node] = make_local(m, a, node);
        if (m->local[node] != NULL) m->bytes += local_bytes(m, m->local[node]);
    }
    return m->local[node];
}

void masks_free(struct masks *m) {
    for (uint32_t i = 0; m->local != NULL && i < m->n_nodes; i++) local_free(m->local[i]);
    mem_free(m->local);
    *m = (struct masks){0};
}

/* ---- the mask of a state ---- */

static bool is_wide(const struct masks *m, const struct rules *r, uint32_t node) {
    const struct node *n = &r->node[node];
    uint32_t weight = 0;
    for (uint32_t i = n->first; i < n->first + n->n; i++)
        if (r->edge[i].kind == EDGE_BYTES)
            weight += m->ti->tree.weight[r->edge[i].hi + 1] - m->ti->tree.weight[r->edge[i].lo];
    return weight >= WIDE_NODES;
}

bool mask_is_wide(struct masks *m, const struct automaton *a, state_id s) {
    const struct pair *item = automaton_items(a, s);
    for (uint32_t i = 0; i < automaton_state(a, s)->n; i++)
        if (is_wide(m, a->rules, item[i].node)) return true;
    return false;
}

/* Tokens that an edge names. */
static void add_named(const struct masks *m, const struct rules *r, uint32_t node, uint32_t *bits) {
    const struct node *n = &r->node[node];
    for (uint32_t i = n->first; i < n->first + n->n; i++) {
        const struct edge *e = &r->edge[i];
        if (e->kind == EDGE_TOKEN && e->arg < m->ti->n_vocab) set_bit(bits, (token_id)e->arg);
        if (e->kind != EDGE_NOT_TOKEN) continue;
        for (uint32_t id = 0; id < m->ti->n_vocab; id++)
            if (id != e->arg && m->ti->text[id].len > 0) set_bit(bits, (token_id)id);
    }
}

/* Adds what the wide nodes allow; keep[] gets the others, which need a walk. Returns how many. */
static uint32_t add_wide(struct masks *m, struct automaton *a, state_id s, uint32_t *bits,
                         struct pair *keep) {
    uint32_t n_keep = 0;
    const uint32_t n = automaton_state(a, s)->n;
    for (uint32_t i = 0; i < n && a->st == ST_OK; i++) {
        const struct pair x = automaton_items(a, s)[i]; /* the pool moves: look again each time */
        const struct local *l = is_wide(m, a->rules, x.node) ? local_of(m, a, x.node) : NULL;
        add_named(m, a->rules, x.node, bits);
        if (l == NULL || l->useless) {
            keep[n_keep++] = x;
            continue;
        }
        add_bits(bits, l->bits, m->ti->n_words);
        walk(a, &l->exits, automaton_pop(a, x.frame), bits);
    }
    return n_keep;
}

/* Strings with a largest length: every place is another state, and nearly all tokens fit in each. A
 * place with room for many more characters takes all tokens of a slice. NULL: no such place. */
static const struct slice *slice_of(const struct masks *m, const struct automaton *a, state_id s) {
    const struct rules *r = a->rules;
    uint32_t room = 0;
    if (r->counted == 0) return NULL;
    for (uint32_t i = 0; i < automaton_state(a, s)->n; i++) {
        const struct pair x = automaton_items(a, s)[i];
        if (x.node != r->rule[r->counted].start) continue;
        const struct pair_set *f = &a->frames.set[x.frame];
        for (uint32_t k = 0; k < f->n; k++) {
            uint32_t more = 1u + r->node[a->frames.pair[f->first + k].node].more;
            if (more > room) room = more;
        }
    }
    for (int k = 0; k < N_SLICES; k++)
        if (room >= m->ti->slice[k].chars) return &m->ti->slice[k];
    return NULL;
}

static void count(const struct token_index *ti, struct mask *mask) {
    mask->only = TOKEN_NONE;
    mask->n = count_bits(mask->bits, ti->n_words);
    for (size_t w = 0; mask->n == 1 && w < ti->n_words; w++)
        if (mask->bits[w] != 0) mask->only = (token_id)(32 * w) + __builtin_ctz(mask->bits[w]);
}

static bool fill(struct masks *m, struct automaton *a, state_id s, struct mask *mask) {
    const uint32_t n = automaton_state(a, s)->n;
    struct pair *keep = mem_array(n, sizeof *keep);
    if (keep == NULL) {
        a->st = ST_NO_MEMORY;
        return false;
    }
    a->deadline_ns = grammar_clock_ns() + MASK_BUDGET_MS * 1000000ll;
    uint32_t n_keep = add_wide(m, a, s, mask->bits, keep);
    const struct slice *slice = slice_of(m, a, s);
    if (slice != NULL) add_bits(mask->bits, slice->mask, m->ti->n_words);
    if (a->st == ST_OK && n_keep > 0)
        walk(a, slice != NULL ? &slice->rest : &m->ti->tree,
             n_keep == n ? s : automaton_of_items(a, keep, n_keep), mask->bits);
    a->deadline_ns = 0;
    mem_free(keep);
    if (automaton_accepts(a, s)) add_bits(mask->bits, m->ti->eog_mask, m->ti->n_words);
    count(m->ti, mask);
    return a->st == ST_OK;
}

const struct mask *mask_of(struct masks *m, struct automaton *a, state_id s) {
    if (a->tables[s].mask != NULL) return a->tables[s].mask;
    const size_t size = sizeof(struct mask) + m->ti->n_words * sizeof(uint32_t);
    struct mask *mask = mem_zalloc(1, size);
    if (mask == NULL) {
        a->st = ST_NO_MEMORY;
        return NULL;
    }
    if (!fill(m, a, s, mask)) {
        mem_free(mask);
        return NULL;
    }
    a->bytes += size;
    return a->tables[s].mask = mask;
}

/* ---- one token ---- */

state_id mask_accept(const struct token_index *ti, struct automaton *a, state_id s, token_id id) {
    const struct token_text *t = &ti->text[id];
    state_id by_name = STATE_DEAD, by_text = t->len > 0 ? s : STATE_DEAD;
    for (uint32_t i = 0; i < t->len && by_text != STATE_DEAD; i++)
        by_text = automaton_step(a, by_text, (uint8_t)t->text[i]);
    const struct pair *item = automaton_items(a, s);
    bool names = false;
    for (uint32_t i = 0; i < automaton_state(a, s)->n && !names; i++) {
        const struct node *n = &a->rules->node[item[i].node];
        for (uint32_t k = n->first; k < n->first + n->n; k++)
            names = names || a->rules->edge[k].kind >= EDGE_TOKEN;
    }
    if (names && (t->len > 0 || !token_index_is_eog(ti, id)))
        by_name = automaton_token(a, s, (uint32_t)id);
    return automaton_union(a, by_name, by_text);
}
