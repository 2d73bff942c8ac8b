/* dfa.c - see dfa.h: making automata state by state; products, complements, lengths, multiples. */
#include "engine/grammar/dfa_make.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"

void *dfa_scratch(struct rules *r, size_t n, size_t size) {
    void *p = r->st == ST_OK ? arena_zalloc(&r->scratch, n, size) : NULL;
    if (p == NULL && r->st == ST_OK) r->st = err_no_memory(r->e);
    return p;
}

/* ---- making one, state by state ---- */

uint32_t dfa_add_state(struct dfa_maker *m, bool accepts) {
    if (m->d.n == DFA_MAX) {
        rules_fail(m->r, ST_LIMIT, "a pattern or range needs more than %d states", DFA_MAX);
        return 0;
    }
    if (m->d.n == m->cap) {
        uint32_t cap = m->cap != 0 ? 2 * m->cap : 32;
        struct dfa_state *s = dfa_scratch(m->r, cap, sizeof *s);
        if (s == NULL) return 0;
        if (m->d.n > 0) memcpy(s, m->d.state, m->d.n * sizeof *s);
        m->d.state = s;
        m->cap = cap;
    }
    if (m->d.n % 64 == 63) rules_in_time(m->r);
    m->d.state[m->d.n] = (struct dfa_state){.accepts = accepts};
    return m->d.n++;
}

void dfa_set_edges(struct dfa_maker *m, uint32_t state, const struct dfa_edge *edge, uint32_t n) {
    struct dfa_edge *out = dfa_scratch(m->r, n, sizeof *out);
    uint32_t kept = 0;
    if (out == NULL) return;
    for (uint32_t i = 0; i < n; i++) {
        if (kept > 0 && out[kept - 1].to == edge[i].to && out[kept - 1].hi + 1 == edge[i].lo)
            out[kept - 1].hi = edge[i].hi;
        else
            out[kept++] = edge[i];
    }
    m->d.state[state].edge = out;
    m->d.state[state].n = kept;
}

const struct dfa *dfa_finished(struct dfa_maker *m) {
    struct rules *r = m->r;
    if (r->st != ST_OK) return NULL;
    bool *alive = dfa_scratch(r, m->d.n, sizeof *alive), changed = true;
    struct dfa *d = dfa_scratch(r, 1, sizeof *d);
    if (d == NULL || alive == NULL) return NULL;
    *d = m->d;
    for (uint32_t i = 0; i < d->n; i++) alive[i] = d->state[i].accepts;
    while (changed && rules_in_time(r)) { /* backwards: edges mostly lead forward */
        changed = false;
        for (uint32_t i = d->n; i-- > 0;)
            for (uint32_t k = 0; k < d->state[i].n && !alive[i]; k++)
                if (alive[d->state[i].edge[k].to]) alive[i] = changed = true;
    }
    for (uint32_t i = 0; i < d->n; i++) {
        uint32_t kept = 0;
        struct dfa_state *s = &d->state[i];
        for (uint32_t k = 0; k < s->n; k++)
            if (alive[s->edge[k].to]) s->edge[kept++] = s->edge[k];
        s->n = kept;
    }
    return r->st == ST_OK ? d : NULL;
}

/* ---- combining ---- */

struct product {
    struct dfa_maker m;
    const struct dfa *a, *b;
    uint32_t *pair; /* left and right of each state */
    uint32_t cap;
    struct map by_pair; /* (left, right) -> state; keys in the arena */
};

static uint32_t product_state(struct product *p, uint32_t left, uint32_t right) {
    const uint32_t pair[2] = {left, right};
    uint32_t found;
    if (p->m.d.n == p->cap) {
        uint32_t cap = p->cap != 0 ? 2 * p->cap : 32;
        void *q = mem_grow(p->pair, cap, 2 * sizeof *p->pair);
        if (q == NULL) {
            p->m.r->st = err_no_memory(p->m.r->e);
            return 0;
        }
        p->pair = q;
        p->cap = cap;
    }
    if (map_get(&p->by_pair, (const char *)pair, sizeof pair, &found)) return found;
    char *key = arena_strndup(&p->m.r->scratch, (const char *)pair, sizeof pair);
    found = dfa_add_state(&p->m, p->a->state[left].accepts && p->b->state[right].accepts);
    if (p->m.r->st == ST_OK &&
        (key == NULL || !map_put(&p->by_pair, key, sizeof pair, found, NULL)))
        p->m.r->st = err_no_memory(p->m.r->e);
    if (p->m.r->st != ST_OK) return 0;
    p->pair[2 * found] = left;
    p->pair[2 * found + 1] = right;
    return found;
}

static void product_edges(struct product *p, uint32_t state) {
    const struct dfa_state *x = &p->a->state[p->pair[2 * state]];
    const struct dfa_state *y = &p->b->state[p->pair[2 * state + 1]];
    struct dfa_edge *out = mem_array((size_t)x->n + y->n, sizeof *out);
    uint32_t n = 0;
    if (out == NULL) {
        p->m.r->st = err_no_memory(p->m.r->e);
        return;
    }
    for (uint32_t i = 0, k = 0; i < x->n && k < y->n && p->m.r->st == ST_OK;) {
        uint32_t lo = x->edge[i].lo > y->edge[k].lo ? x->edge[i].lo : y->edge[k].lo;
        uint32_t hi = x->edge[i].hi < y->edge[k].hi ? x->edge[i].hi : y->edge[k].hi;
        if (lo <= hi)
            out[n++] = (struct dfa_edge){lo, hi, product_state(p, x->edge[i].to, y->edge[k].to)};
        if (x->edge[i].hi < y->edge[k].hi)
            i++;
        else
            k++;
    }
    if (p->m.r->st == ST_OK) dfa_set_edges(&p->m, state, out, n);
    mem_free(out);
}

const struct dfa *dfa_and(struct rules *r, const struct dfa *a, const struct dfa *b) {
    if (a == NULL || b == NULL || r->st != ST_OK) return NULL;
    struct product p = {.m = {.r = r}, .a = a, .b = b};
    if (r->st == ST_OK) product_state(&p, 0, 0);
    for (uint32_t i = 0; r->st == ST_OK && i < p.m.d.n; i++) product_edges(&p, i);
    map_free(&p.by_pair);
    mem_free(p.pair);
    return dfa_finished(&p.m);
}

const struct dfa *dfa_not(struct rules *r, const struct dfa *a) {
    if (a == NULL || r->st != ST_OK) return NULL;
    struct dfa_maker m = {.r = r};
    const uint32_t sink = a->n;
    for (uint32_t i = 0; i <= a->n && r->st == ST_OK; i++)
        dfa_add_state(&m, i == sink || !a->state[i].accepts);
    for (uint32_t i = 0; i <= a->n && r->st == ST_OK; i++) {
        const uint32_t n_old = i < a->n ? a->state[i].n : 0;
        struct dfa_edge *edge = mem_array(2 * (size_t)n_old + 1, sizeof *edge);
        uint32_t n = 0, next = 0;
        if (edge == NULL) {
            r->st = err_no_memory(r->e);
            break;
        }
        for (uint32_t k = 0; k < n_old; k++) {
            const struct dfa_edge *x = &a->state[i].edge[k];
            if (x->lo > next) edge[n++] = (struct dfa_edge){next, x->lo - 1, sink};
            edge[n++] = *x;
            next = x->hi + 1;
        }
        if (next <= CHAR_LAST) edge[n++] = (struct dfa_edge){next, CHAR_LAST, sink};
        dfa_set_edges(&m, i, edge, n);
        mem_free(edge);
    }
    return dfa_finished(&m);
}

const struct dfa *dfa_of_length(struct rules *r, uint32_t min, uint32_t max) {
    struct dfa_maker m = {.r = r};
    const uint32_t last = max == REPEAT_ENDLESS ? min : max;
    for (uint32_t i = 0; i <= last && r->st == ST_OK; i++) {
        dfa_add_state(&m, i >= min);
        struct dfa_edge any = {0, CHAR_LAST, i < last ? i + 1 : i};
        if (r->st == ST_OK && (i < last || max == REPEAT_ENDLESS)) dfa_set_edges(&m, i, &any, 1);
    }
    return dfa_finished(&m);
}

/* Remainder of the number if zeros follow up to the last place. */
static uint32_t ends_at(uint32_t rest, uint32_t c, uint32_t places) {
    while (places-- > 0) rest = rest * 10 % c;
    return rest;
}

static void whole_edges(struct dfa_maker *m, uint32_t rest, uint32_t c, uint32_t k, bool integer) {
    struct dfa_edge edge[11];
    uint32_t n = 0;
    if (!integer) edge[n++] = (struct dfa_edge){'.', '.', 2 + (k + 1) * c + rest};
    for (uint32_t d = 0; d < 10; d++)
        edge[n++] = (struct dfa_edge){'0' + d, '0' + d, 2 + (rest * 10 + d) % c};
    dfa_set_edges(m, 2 + rest, edge, n);
}

/* States: 0 the start, 1 behind a sign, then one for each place and remainder. Places: 0 before the
 * point, 1..k behind it, k + 1 just behind the point, k + 2 further digits, which must be 0. */
const struct dfa *dfa_of_multiples(struct rules *r, uint32_t c, uint32_t k, bool integer) {
    struct dfa_maker m = {.r = r};
    struct dfa_edge edge[11];
    const uint32_t places = integer ? 1 : k + 3, after = k + 1, zeros = k + 2;
    if (2 + (uint64_t)places * c > DFA_MAX) return NULL;
    dfa_add_state(&m, false);
    dfa_add_state(&m, false);
    for (uint32_t p = 0; p < places; p++)
        for (uint32_t rest = 0; rest < c; rest++)
            dfa_add_state(&m, p != after && ends_at(rest, c, p == zeros ? 0 : k - p) == 0);
    for (uint32_t s = 0; s < 2 && r->st == ST_OK; s++) {
        uint32_t n = 0;
        if (s == 0) edge[n++] = (struct dfa_edge){'-', '-', 1};
        for (uint32_t d = 0; d < 10; d++)
            edge[n++] = (struct dfa_edge){'0' + d, '0' + d, 2 + d % c};
        dfa_set_edges(&m, s, edge, n);
    }
    for (uint32_t rest = 0; rest < c && r->st == ST_OK; rest++) {
        whole_edges(&m, rest, c, k, integer);
        for (uint32_t p = 1; p < places && r->st == ST_OK; p++) {
            /* from place p (or just behind the point) one digit leads to the next place */
            uint32_t to = p == after ? (k > 0 ? 1 : zeros) : p >= k ? zeros : p + 1, n = 0;
            for (uint32_t d = 0; d < (to == zeros ? 1u : 10u); d++) {
                uint32_t next = to == zeros ? rest : (rest * 10 + d) % c;
                edge[n++] = (struct dfa_edge){'0' + d, '0' + d, 2 + to * c + next};
            }
            dfa_set_edges(&m, 2 + p * c + rest, edge, n);
        }
    }
    return dfa_finished(&m);
}

const struct dfa *dfa_but(struct rules *r, const char *const *text, const size_t *len, size_t n) {
    struct expr *alt = expr_new(r, EXPR_ALT);
    for (size_t i = 0; i < n && r->st == ST_OK; i++) {
        struct expr *seq = expr_new(r, EXPR_SEQ);
        for (size_t at = 0; at < len[i] && r->st == ST_OK;) {
            uint32_t c;
            at += utf8_decode(text[i] + at, len[i] - at, &c);
            expr_add(seq, expr_char(r, c));
        }
        expr_add(alt, seq);
    }
    if (n == 0) return dfa_of_length(r, 0, REPEAT_ENDLESS);
    return dfa_not(r, r->st == ST_OK ? dfa_of_expr(r, alt, false) : NULL);
}

bool dfa_is_empty(const struct dfa *a) { return a->state[0].n == 0 && !a->state[0].accepts; }

bool dfa_matches(const struct dfa *a, const char *text, size_t len) {
    uint32_t state = 0;
    for (size_t at = 0; at < len;) {
        uint32_t c, next = UINT32_MAX;
        at += utf8_decode(text + at, len - at, &c);
        for (uint32_t i = 0; i < a->state[state].n; i++)
            if (a->state[state].edge[i].lo <= c && c <= a->state[state].edge[i].hi)
                next = a->state[state].edge[i].to;
        if (next == UINT32_MAX) return false;
        state = next;
    }
    return a->state[state].accepts;
}

void dfa_emit(struct rules *r, const struct dfa *a, uint32_t from, uint32_t to) {
    uint32_t *node = a != NULL ? dfa_scratch(r, a->n, sizeof *node) : NULL;
    if (node == NULL) return;
    for (uint32_t i = 0; i < a->n; i++) node[i] = rules_node(r);
    rules_empty(r, from, node[0]);
    for (uint32_t i = 0; i < a->n && r->st == ST_OK; i++) {
        if (a->state[i].accepts) rules_empty(r, node[i], to);
        for (uint32_t k = 0; k < a->state[i].n; k++) {
            struct char_range range = {a->state[i].edge[k].lo, a->state[i].edge[k].hi};
            rules_chars(r, node[i], node[a->state[i].edge[k].to],
                        &(struct charset){.range = &range, .n = 1});
        }
    }
}
