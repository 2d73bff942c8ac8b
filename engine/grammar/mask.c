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

/* ---- walking the tree ---- */

static void walk(struct automaton *a, const struct token_tree *t, state_id from, uint32_t *bits) {
    state_id at[TOKEN_BYTES_MAX + 1];
    at[0] = from;
    if (from == STATE_DEAD) return;
    for (uint32_t i = 0; i < t->n_nodes;) {
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
        for (size_t w = 0; w < m->ti->n_words; w++) bits[w] |= l->bits[w];
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
    for (size_t w = 0; w < ti->n_words; w++) {
        if (mask->bits[w] != 0 && mask->n == 0)
            mask->only = (token_id)(32 * w) + __builtin_ctz(mask->bits[w]);
        mask->n += (uint32_t)__builtin_popcount(mask->bits[w]);
    }
    if (mask->n != 1) mask->only = TOKEN_NONE;
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
    for (size_t w = 0; slice != NULL && w < m->ti->n_words; w++) mask->bits[w] |= slice->mask[w];
    if (a->st == ST_OK && n_keep > 0)
        walk(a, slice != NULL ? &slice->rest : &m->ti->tree,
             n_keep == n ? s : automaton_of_items(a, keep, n_keep), mask->bits);
    a->deadline_ns = 0;
    mem_free(keep);
    if (automaton_accepts(a, s))
        for (size_t w = 0; w < m->ti->n_words; w++) mask->bits[w] |= m->ti->eog_mask[w];
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
