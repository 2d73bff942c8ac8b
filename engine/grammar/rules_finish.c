/* rules_finish.c - the checks and facts of rules.h, each linear in the size of the grammar.
 *
 * Two questions are answered by the same backward walk from the ends of all rules: which nodes can
 * reach the end of their rule at all (the others are removed), and which can do so without
 * consuming anything (a rule whose start can is nullable). The left corners of a rule are the calls
 * it can reach from its start without consuming; a cycle among them is left recursion. */
#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "engine/grammar/rules.h"

struct finish {
    struct rules *r;
    uint32_t *from;               /* [n_edges] */
    uint32_t *in_first, *in;      /* edges into a node */
    uint32_t *call_first, *calls; /* edges that call a rule */
    uint32_t *starts;             /* [n_nodes] the rule that begins here, plus 1 */
    uint32_t *stack;              /* [n_nodes] */
    bool *mark, *ok;              /* [n_nodes], [n_rules] */
};

/* Linked lists become one array, ordered by node. */
static bool pack_edges(struct finish *f) {
    struct rules *r = f->r;
    struct edge *packed = mem_array(r->n_edges, sizeof *packed);
    if (packed == NULL) return false;
    uint32_t n = 0;
    for (uint32_t i = 0; i < r->n_nodes; i++) {
        uint32_t e = r->node[i].first;
        r->node[i].first = n;
        for (; e != 0; e = r->edge[e - 1].next) {
            f->from[n] = i;
            packed[n++] = r->edge[e - 1];
        }
        assert(n - r->node[i].first == r->node[i].n);
    }
    mem_free(r->edge);
    r->edge = packed;
    r->cap_edges = r->n_edges;
    return true;
}

/* Counting sort of the edges by a key. first has n_keys + 1 entries. */
static uint32_t edge_key(const struct edge *e, bool by_call) { return by_call ? e->arg : e->to; }

static void group_edges(struct finish *f, bool by_call, uint32_t *first, uint32_t n_keys,
                        uint32_t *out) {
    const struct rules *r = f->r;
    memset(first, 0, ((size_t)n_keys + 1) * sizeof *first);
    for (uint32_t i = 0; i < r->n_edges; i++)
        if (!by_call || r->edge[i].kind == EDGE_CALL) first[edge_key(&r->edge[i], by_call)]++;
    for (uint32_t i = 0; i < n_keys; i++) first[i + 1] += first[i]; /* now: where each group ends */
    for (uint32_t i = r->n_edges; i-- > 0;)
        if (!by_call || r->edge[i].kind == EDGE_CALL)
            out[--first[edge_key(&r->edge[i], by_call)]] = i;
}

static bool is_usable(const struct finish *f, const struct edge *e, bool only_empty) {
    if (e->kind == EDGE_CALL) return f->ok[e->arg];
    return e->kind == EDGE_EMPTY || !only_empty;
}

static void mark_node(struct finish *f, uint32_t node, uint32_t *n_stack) {
    if (f->mark[node]) return;
    f->mark[node] = true;
    f->stack[(*n_stack)++] = node;
}

/* mark: nodes that reach the end of their rule; ok: rules whose start does. */
static void walk_back(struct finish *f, bool only_empty) {
    struct rules *r = f->r;
    uint32_t n_stack = 0;
    memset(f->mark, 0, r->n_nodes * sizeof *f->mark);
    memset(f->ok, 0, r->n_rules * sizeof *f->ok);
    for (uint32_t i = 0; i < r->n_rules; i++) mark_node(f, r->rule[i].end, &n_stack);
    while (n_stack > 0) {
        uint32_t node = f->stack[--n_stack], rule = f->starts[node];
        for (uint32_t i = f->in_first[node]; i < f->in_first[node + 1]; i++)
            if (is_usable(f, &r->edge[f->in[i]], only_empty))
                mark_node(f, f->from[f->in[i]], &n_stack);
        if (rule == 0 || f->ok[rule - 1]) continue;
        f->ok[rule - 1] = true;
        for (uint32_t i = f->call_first[rule - 1]; i < f->call_first[rule]; i++)
            if (f->mark[r->edge[f->calls[i]].to]) mark_node(f, f->from[f->calls[i]], &n_stack);
    }
}

static void remove_dead_edges(struct finish *f) {
    struct rules *r = f->r;
    uint32_t n = 0;
    for (uint32_t i = 0; i < r->n_nodes; i++) {
        uint32_t first = r->node[i].first, end = first + r->node[i].n;
        r->node[i].first = n;
        for (uint32_t e = first; e < end; e++)
            if (f->mark[r->edge[e].to] && is_usable(f, &r->edge[e], false)) {
                f->from[n] = i;
                r->edge[n++] = r->edge[e];
            }
        r->node[i].n = n - r->node[i].first;
    }
    r->n_edges = n;
}

/* ---- left corners ---- */

struct corners {
    uint32_t *first, *to; /* rule -> rules it can call before consuming anything */
    uint32_t n;
};

/* Follows the rule's nodes that are reached without consuming; appends the rules called there. */
static void corners_of(struct finish *f, struct corners *c, uint32_t rule) {
    const struct rules *r = f->r;
    uint32_t n_stack = 0;
    c->first[rule] = c->n;
    mark_node(f, r->rule[rule].start, &n_stack);
    while (n_stack > 0) {
        const struct node *node = &r->node[f->stack[--n_stack]];
        for (uint32_t i = node->first; i < node->first + node->n; i++) {
            const struct edge *e = &r->edge[i];
            if (e->kind == EDGE_CALL) c->to[c->n++] = e->arg;
            if (e->kind == EDGE_EMPTY || (e->kind == EDGE_CALL && r->rule[e->arg].nullable))
                mark_node(f, e->to, &n_stack);
        }
    }
}

/* Depth-first search with its own stack: `at` is how far a rule's corners have been followed. */
static enum status order_rules(struct rules *r, const struct corners *c, uint32_t *stack,
                               uint32_t *at, bool *seen) {
    enum { DONE = UINT32_MAX };
    uint32_t left = r->n_rules;
    for (uint32_t top = 0; top < r->n_rules; top++) {
        if (seen[top]) continue;
        uint32_t n = 0;
        stack[n++] = top;
        seen[top] = true;
        at[top] = c->first[top];
        while (n > 0) {
            uint32_t rule = stack[n - 1];
            if (at[rule] == c->first[rule + 1]) {
                at[rule] = (uint32_t)DONE;
                r->rule[rule].order = --left;
                r->by_order[left] = rule;
                n--;
                continue;
            }
            uint32_t next = c->to[at[rule]++];
            if (seen[next] && at[next] != (uint32_t)DONE)
                return rules_fail(r, ST_INVALID, "left recursion in rule %s", r->rule[next].name);
            if (seen[next]) continue;
            seen[next] = true;
            at[next] = c->first[next];
            stack[n++] = next;
        }
    }
    return ST_OK;
}

static enum status left_corners(struct finish *f) {
    struct rules *r = f->r;
    const size_t n = (size_t)r->n_rules + 1;
    struct corners c = {0};
    uint32_t *numbers = mem_array(3 * n, sizeof *numbers);
    bool *seen = mem_zalloc(n, sizeof *seen);
    c.to = mem_array(r->n_edges, sizeof *c.to);
    r->by_order = mem_array(n, sizeof *r->by_order);
    enum status st = ST_OK;
    if (numbers == NULL || seen == NULL || c.to == NULL || r->by_order == NULL) {
        st = r->st = err_no_memory(r->e);
    } else {
        c.first = numbers;
        memset(f->mark, 0, r->n_nodes * sizeof *f->mark);
        for (uint32_t i = 0; i < r->n_rules; i++) corners_of(f, &c, i);
        c.first[r->n_rules] = c.n;
        st = order_rules(r, &c, numbers + n, numbers + 2 * n, seen);
    }
    mem_free(numbers);
    mem_free(seen);
    mem_free(c.to);
    return st;
}

/* Whether nothing but the end of the rule can follow. */
static bool ends_here(const struct rules *r, uint32_t node) {
    for (int hops = 0; hops < 16; hops++) {
        const struct node *n = &r->node[node];
        if (n->is_end) return n->n == 0;
        if (n->n != 1 || r->edge[n->first].kind != EDGE_EMPTY) return false;
        node = r->edge[n->first].to;
    }
    return false;
}

/* ---- all of it ---- */

static bool make_room(struct finish *f) {
    const struct rules *r = f->r;
    const size_t nodes = r->n_nodes, edges = r->n_edges, rules = r->n_rules;
    f->from = mem_array(edges, sizeof *f->from);
    f->in = mem_array(edges, sizeof *f->in);
    f->calls = mem_array(edges, sizeof *f->calls);
    f->in_first = mem_array(nodes + 1, sizeof *f->in_first);
    f->call_first = mem_array(rules + 1, sizeof *f->call_first);
    f->starts = mem_zalloc(nodes, sizeof *f->starts);
    f->stack = mem_array(nodes, sizeof *f->stack);
    f->mark = mem_array(nodes, sizeof *f->mark);
    f->ok = mem_array(rules, sizeof *f->ok);
    return f->from != NULL && f->in != NULL && f->calls != NULL && f->in_first != NULL &&
           f->call_first != NULL && f->starts != NULL && f->stack != NULL && f->mark != NULL &&
           f->ok != NULL && pack_edges(f);
}

static enum status finish(struct finish *f) {
    struct rules *r = f->r;
    if (!make_room(f)) return r->st = err_no_memory(r->e);
    group_edges(f, false, f->in_first, r->n_nodes, f->in);
    group_edges(f, true, f->call_first, r->n_rules, f->calls);
    for (uint32_t i = 0; i < r->n_rules; i++) f->starts[r->rule[i].start] = i + 1;
    walk_back(f, true);
    for (uint32_t i = 0; i < r->n_rules; i++) r->rule[i].nullable = f->ok[i];
    if (left_corners(f) != ST_OK) return r->st;
    walk_back(f, false);
    if (!f->ok[r->root] && !r->may_be_empty && *r->rule[r->root].name == '#')
        return rules_fail(r, ST_INVALID, "no value satisfies the JSON schema");
    if (!f->ok[r->root] && !r->may_be_empty)
        return rules_fail(r, ST_INVALID, "no text matches rule %s", r->rule[r->root].name);
    remove_dead_edges(f);
    for (uint32_t i = 0; i < r->n_edges; i++)
        if (r->edge[i].kind == EDGE_CALL) r->edge[i].tail = ends_here(r, r->edge[i].to);
    return ST_OK;
}

enum status rules_finish(struct rules *r) {
    for (uint32_t i = 0; i < r->n_rules && r->st == ST_OK; i++)
        if (!r->rule[i].defined)
            rules_fail(r, ST_INVALID, "rule %s is not defined", r->rule[i].name);
    if (r->st != ST_OK) return r->st;
    struct finish f = {.r = r};
    enum status st = finish(&f);
    void *const parts[] = {f.from,   f.in,    f.calls, f.in_first, f.call_first,
                           f.starts, f.stack, f.mark,  f.ok};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) mem_free(parts[i]);
    arena_free(&r->scratch);
    r->e = NULL;
    return st;
}
