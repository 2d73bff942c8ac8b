/* dfa_expr.c - an expression as an automaton: first a graph of places (Thompson), then its subsets
 * as states (Rabin and Scott). */
#include "engine/grammar/dfa_make.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* ---- an expression as a graph ---- */

enum place_kind { PLACE_JUMP, PLACE_CHARS, PLACE_BEGIN, PLACE_FINISH };

struct place { /* jump: to both; else: to `to`, if the character or the position fits */
    enum place_kind kind;
    uint32_t to, also; /* NO_PLACE */
    const struct charset *chars;
};
enum {
    PLACES_MAX = 100000,
    WORK_MAX = 10000000 /* places looked at while subsets are made: a fraction of a second */
};
#define NO_PLACE UINT32_MAX

struct graph {
    struct rules *r;
    struct place *place; /* owned */
    uint32_t n, cap;
};

static uint32_t add_place(struct graph *g, enum place_kind kind, uint32_t to, uint32_t also) {
    if (g->r->st != ST_OK) return 0;
    if (g->n == PLACES_MAX) {
        rules_fail(g->r, ST_LIMIT, "a pattern is too long");
        return 0;
    }
    if (g->n == g->cap) {
        uint32_t cap = g->cap != 0 ? 2 * g->cap : 64;
        void *p = mem_grow(g->place, cap, sizeof *g->place);
        if (p == NULL) {
            g->r->st = err_no_memory(g->r->e);
            return 0;
        }
        g->place = p;
        g->cap = cap;
    }
    g->place[g->n] = (struct place){.kind = kind, .to = to, .also = also};
    return g->n++;
}

/* Built from behind: `next` is where the expression leads; returns where it begins. */
static uint32_t place_expr(struct graph *g, const struct expr *x, uint32_t next);

static uint32_t place_seq(struct graph *g, const struct expr *child, uint32_t next) {
    if (child == NULL) return next;
    /* Brothers are linked forward: collect, then build the last one first. */
    size_t n = 0, i = 0;
    for (const struct expr *c = child; c != NULL; c = c->next) n++;
    const struct expr **list = dfa_scratch(g->r, n, sizeof(struct expr *));
    if (list == NULL) return next;
    for (const struct expr *c = child; c != NULL; c = c->next) list[i++] = c;
    while (n > 0) next = place_expr(g, list[--n], next);
    return next;
}

static uint32_t place_loop(struct graph *g, const struct expr *body, uint32_t next) {
    uint32_t loop = add_place(g, PLACE_JUMP, NO_PLACE, next);
    uint32_t begin = place_expr(g, body, loop);
    if (g->r->st == ST_OK) g->place[loop].to = begin;
    return loop;
}

static uint32_t place_repeat(struct graph *g, const struct expr *x, uint32_t next) {
    uint32_t end = next, at = next;
    if (x->max == REPEAT_ENDLESS) at = place_loop(g, x->first, next);
    for (uint32_t i = x->min; x->max != REPEAT_ENDLESS && i < x->max && g->r->st == ST_OK; i++)
        at = add_place(g, PLACE_JUMP, place_expr(g, x->first, at), end);
    for (uint32_t i = 0; i < x->min && g->r->st == ST_OK; i++) at = place_expr(g, x->first, at);
    return at;
}

static uint32_t place_expr(struct graph *g, const struct expr *x, uint32_t next) {
    uint32_t at = NO_PLACE;
    if (x == NULL || g->r->st != ST_OK) return next;
    switch (x->kind) {
    case EXPR_SEQ:
        return place_seq(g, x->first, next);
    case EXPR_ALT:
        for (const struct expr *i = x->first; i != NULL; i = i->next)
            at = add_place(g, PLACE_JUMP, place_expr(g, i, next), at);
        return at;
    case EXPR_CHARS:
        at = add_place(g, PLACE_CHARS, next, NO_PLACE);
        if (g->r->st == ST_OK) g->place[at].chars = &x->chars;
        return at;
    case EXPR_REPEAT:
        return place_repeat(g, x, next);
    case EXPR_BEGIN:
        return add_place(g, PLACE_BEGIN, next, NO_PLACE);
    case EXPR_FINISH:
        return add_place(g, PLACE_FINISH, next, NO_PLACE);
    default:
        assert(false && "not in a regular expression");
        return next;
    }
}

/* ---- subsets ---- */

struct subset {
    uint32_t *place;
    uint32_t n, hash;
};
struct subsets {
    struct graph *g;
    struct dfa_maker m;
    struct subset *set; /* of each state */
    uint32_t *slot;     /* hash table: state plus 1; at most half full */
    uint32_t cap_sets, n_slots, final, work;
    bool *seen;            /* [places] */
    uint64_t *bits;        /* a bit for each place; all 0 between uses */
    uint32_t *stack;       /* [places] */
    struct dfa_edge *edge; /* of the subset at hand: `to` is a place */
    uint32_t n_edges, cap_edges;
};

/* Adds everything that is reached from `from` without a character. */
static void reach(struct subsets *s, uint32_t from, bool at_begin, bool at_end, uint32_t *out,
                  uint32_t *n) {
    uint32_t n_stack = 0;
    if (from == NO_PLACE || s->seen[from]) return;
    s->seen[from] = true;
    s->stack[n_stack++] = from;
    while (n_stack > 0) {
        uint32_t at = s->stack[--n_stack];
        const struct place *p = &s->g->place[at];
        out[(*n)++] = at;
        s->work++;
        uint32_t to[2] = {NO_PLACE, NO_PLACE};
        if (p->kind == PLACE_JUMP || (p->kind == PLACE_BEGIN && at_begin) ||
            (p->kind == PLACE_FINISH && at_end))
            to[0] = p->to;
        if (p->kind == PLACE_JUMP) to[1] = p->also;
        for (int i = 0; i < 2; i++) {
            if (to[i] == NO_PLACE || s->seen[to[i]]) continue;
            s->seen[to[i]] = true;
            s->stack[n_stack++] = to[i];
        }
    }
}

static int by_number(const void *a, const void *b) {
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

enum { FEW = 32 };

/* Places differ, so a large set is sorted by writing it down as bits. */
static void sort_places(const struct subsets *s, uint32_t *place, uint32_t n) {
    if (n < FEW) {
        if (n > 1) qsort(place, n, sizeof *place, by_number);
        return;
    }
    uint32_t k = 0;
    for (uint32_t i = 0; i < n; i++) s->bits[place[i] / 64] |= (uint64_t)1 << place[i] % 64;
    for (uint32_t w = 0; k < n; w++) {
        for (uint64_t word = s->bits[w]; word != 0; word &= word - 1)
            place[k++] = 64 * w + (uint32_t)__builtin_ctzll(word);
        s->bits[w] = 0;
    }
}

/* Whether the end may be here. */
static bool subset_accepts(struct subsets *s, const uint32_t *place, uint32_t n, bool at_begin,
                           uint32_t *room) {
    uint32_t k = 0;
    bool found = false;
    for (uint32_t i = 0; i < n; i++) reach(s, place[i], at_begin, true, room, &k);
    for (uint32_t i = 0; i < k; i++) {
        found = found || room[i] == s->final;
        s->seen[room[i]] = false;
    }
    return found;
}

/* Only places that wait for a character, or are the end, make a difference. */
static uint32_t essential(const struct subsets *s, uint32_t *place, uint32_t n) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < n; i++) {
        enum place_kind kind = s->g->place[place[i]].kind;
        if (kind == PLACE_CHARS || kind == PLACE_FINISH || place[i] == s->final)
            place[kept++] = place[i];
    }
    sort_places(s, place, kept);
    return kept;
}

/* Room for one more state; false: no memory. */
static bool room_for_state(struct subsets *s) {
    const uint32_t n = s->m.d.n;
    if (n < s->cap_sets) return true;
    const uint32_t cap = s->cap_sets != 0 ? 2 * s->cap_sets : 32;
    struct subset *set = mem_grow(s->set, cap, sizeof *set);
    if (set == NULL) return false;
    s->set = set;
    s->cap_sets = cap;
    uint32_t *slot = mem_zalloc(4 * (size_t)cap, sizeof *slot);
    if (slot == NULL) return false;
    mem_free(s->slot);
    s->slot = slot;
    s->n_slots = 4 * cap;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t at = s->set[i].hash % s->n_slots;
        while (slot[at] != 0) at = (at + 1) % s->n_slots;
        slot[at] = i + 1;
    }
    return true;
}

/* The state of a set of places; a new one is added to the list of work. */
static uint32_t state_of(struct subsets *s, uint32_t *place, uint32_t n, bool at_begin,
                         uint32_t *room) {
    uint64_t hash = at_begin;
    bool accepts = subset_accepts(s, place, n, at_begin, room);
    n = essential(s, place, n);
    if (!room_for_state(s)) {
        s->g->r->st = err_no_memory(s->g->r->e);
        return 0;
    }
    for (uint32_t i = 0; i < n; i++) hash = (hash ^ place[i]) * 0x9E3779B97F4A7C15u;
    const uint32_t short_hash = (uint32_t)(hash >> 32);
    uint32_t at = short_hash % s->n_slots;
    for (; s->slot[at] != 0; at = (at + 1) % s->n_slots) {
        const struct subset *x = &s->set[s->slot[at] - 1];
        /* The first state may accept where an equal set later does not: it is never met again. */
        if (s->slot[at] != 1 && x->n == n && memcmp(x->place, place, n * sizeof *place) == 0)
            return s->slot[at] - 1;
    }
    uint32_t *copy = dfa_scratch(s->g->r, n, sizeof *copy);
    uint32_t state = dfa_add_state(&s->m, accepts);
    if (copy == NULL || s->g->r->st != ST_OK) return 0;
    if (n > 0) memcpy(copy, place, n * sizeof *place);
    s->set[state] = (struct subset){copy, n, short_hash};
    s->slot[at] = state + 1;
    return state;
}

static bool gather_edges(struct subsets *s, const struct subset *set) {
    s->n_edges = 0;
    for (uint32_t i = 0; i < set->n; i++) {
        const struct place *p = &s->g->place[set->place[i]];
        if (p->kind != PLACE_CHARS) continue;
        if (s->n_edges + p->chars->n > s->cap_edges) {
            uint32_t cap = 2 * (s->n_edges + (uint32_t)p->chars->n);
            void *q = mem_grow(s->edge, cap, sizeof *s->edge);
            if (q == NULL) return false;
            s->edge = q;
            s->cap_edges = cap;
        }
        for (size_t k = 0; k < p->chars->n; k++)
            s->edge[s->n_edges++] =
                (struct dfa_edge){p->chars->range[k].lo, p->chars->range[k].hi, p->to};
    }
    return true;
}

/* Where edges begin, and behind their ends: in order, each once. Most of a large subset's edges are
 * the same few. */
static uint32_t list_borders(const struct subsets *s, uint32_t *border) {
    uint32_t n = 0, last[2] = {UINT32_MAX, UINT32_MAX};
    for (uint32_t i = 0; i < s->n_edges; i++) {
        const uint32_t pair[2] = {s->edge[i].lo, s->edge[i].hi + 1};
        if (pair[0] == last[0] && pair[1] == last[1]) continue;
        memcpy(last, pair, sizeof last);
        for (int k = 0; k < 2; k++) {
            uint32_t low = 0, high = n < FEW ? n : FEW; /* the first ones are kept in order */
            while (low < high) {
                const uint32_t mid = (low + high) / 2;
                if (border[mid] < pair[k])
                    low = mid + 1;
                else
                    high = mid;
            }
            if (low < n && low < FEW && border[low] == pair[k]) continue;
            if (n < FEW) memmove(border + low + 1, border + low, (n - low) * sizeof *border);
            border[n < FEW ? low : n] = pair[k];
            n++;
        }
    }
    if (n > FEW) qsort(border, n, sizeof *border, by_number);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < n; i++)
        if (kept == 0 || border[kept - 1] != border[i]) border[kept++] = border[i];
    return kept;
}

/* Numbers of the edges by the border where they begin: those of b are order[first[b]] to
 * order[first[b + 1] - 1]. */
static void sort_edges(const struct subsets *s, const uint32_t *border, uint32_t n_borders,
                       uint32_t *first, uint32_t *order) {
    memset(first, 0, (n_borders + 2) * sizeof *first);
    for (int fill = 0; fill < 2; fill++) {
        for (uint32_t i = 0; i < s->n_edges; i++) {
            uint32_t low = 0, high = n_borders;
            while (low + 1 < high) {
                const uint32_t mid = (low + high) / 2;
                if (border[mid] <= s->edge[i].lo)
                    low = mid;
                else
                    high = mid;
            }
            if (fill == 0)
                first[low + 2]++;
            else
                order[first[low + 1]++] = i;
        }
        for (uint32_t b = 0; fill == 0 && b < n_borders; b++) first[b + 2] += first[b + 1];
    }
}

/* Cuts the overlapping edges at every border, and finds the state of each piece. */
static void cut_edges(struct subsets *s, uint32_t state, const uint32_t *border, uint32_t n_borders,
                      uint32_t *first, uint32_t *order, struct dfa_edge *out, uint32_t *places,
                      uint32_t *room) {
    uint32_t *active = order + s->n_edges, n_active = 0, n_out = 0;
    sort_edges(s, border, n_borders, first, order);
    for (uint32_t b = 0; s->g->r->st == ST_OK && b + 1 < n_borders; b++) {
        uint32_t k = 0;
        for (uint32_t i = first[b]; i < first[b + 1]; i++) active[n_active++] = order[i];
        for (uint32_t i = 0; i < n_active;) {
            const struct dfa_edge *x = &s->edge[active[i]];
            if (x->hi < border[b]) {
                active[i] = active[--n_active];
                continue;
            }
            reach(s, x->to, false, false, places, &k);
            i++;
        }
        for (uint32_t i = 0; i < k; i++) s->seen[places[i]] = false;
        if (k > 0)
            out[n_out++] = (struct dfa_edge){border[b], border[b + 1] - 1,
                                             state_of(s, places, k, false, room)};
    }
    if (s->g->r->st == ST_OK) dfa_set_edges(&s->m, state, out, n_out);
}

static void expand(struct subsets *s, uint32_t state, uint32_t *places, uint32_t *room) {
    struct rules *r = s->g->r;
    if (s->work > WORK_MAX) {
        rules_fail(r, ST_LIMIT, "a pattern is too complicated");
        return;
    }
    if (!gather_edges(s, &s->set[state])) {
        r->st = err_no_memory(r->e);
        return;
    }
    const size_t n = s->n_edges;
    uint32_t *border = mem_array(2 * n + 1, sizeof *border);
    uint32_t *first = mem_array(2 * n + 3, sizeof *first);
    uint32_t *order = mem_array(2 * n + 1, sizeof *order);
    struct dfa_edge *out = mem_array(2 * n + 1, sizeof *out);
    if (border == NULL || first == NULL || order == NULL || out == NULL)
        r->st = err_no_memory(r->e);
    else
        cut_edges(s, state, border, list_borders(s, border), first, order, out, places, room);
    mem_free(border);
    mem_free(first);
    mem_free(order);
    mem_free(out);
}

static const struct dfa *determinize(struct graph *g, uint32_t begin, uint32_t final) {
    struct rules *r = g->r;
    struct subsets s = {.g = g, .m = {.r = r}, .final = final};
    uint32_t *room = dfa_scratch(r, 2 * (size_t)g->n, sizeof *room), n = 0;
    s.seen = dfa_scratch(r, g->n, sizeof *s.seen);
    s.stack = dfa_scratch(r, g->n, sizeof *s.stack);
    s.bits = dfa_scratch(r, g->n / 64 + 1, sizeof *s.bits);
    if (r->st == ST_OK) {
        reach(&s, begin, true, false, room, &n);
        for (uint32_t i = 0; i < n; i++) s.seen[room[i]] = false;
        state_of(&s, room, n, true, room + g->n);
    }
    for (uint32_t i = 0; r->st == ST_OK && i < s.m.d.n; i++) expand(&s, i, room, room + g->n);
    mem_free(s.edge);
    mem_free(s.set);
    mem_free(s.slot);
    return dfa_finished(&s.m);
}

const struct dfa *dfa_of_expr(struct rules *r, const struct expr *x, bool search) {
    static struct char_range any = {0, CHAR_LAST};
    static const struct charset all = {.range = &any, .n = 1};
    struct expr one = {.kind = EXPR_CHARS, .chars = all};
    struct expr anything = {.kind = EXPR_REPEAT, .first = &one, .max = REPEAT_ENDLESS};
    struct graph g = {.r = r};
    uint32_t final = add_place(&g, PLACE_JUMP, NO_PLACE, NO_PLACE), at = final;
    if (search) at = place_expr(&g, &anything, at);
    at = place_expr(&g, x, at);
    if (search) at = place_expr(&g, &anything, at);
    const struct dfa *d = r->st == ST_OK ? determinize(&g, at, final) : NULL;
    mem_free(g.place);
    return d;
}
