/* automaton.c - see automaton.h: interned sets, the closure of a place, steps. */
#include "engine/grammar/automaton.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { NO_SET = UINT32_MAX };

/* ---- interned sets ---- */

static bool grow(void **p, uint32_t need, uint32_t *cap, size_t size) {
    if (need <= *cap) return true;
    uint32_t more = *cap != 0 ? *cap : 64;
    while (more < need) more *= 2;
    void *q = mem_grow(*p, more, size);
    if (q == NULL) return false;
    *p = q;
    *cap = more;
    return true;
}

static uint32_t hash_pairs(const struct pair *p, uint32_t n, uint32_t flags) {
    uint64_t h = 0x9E3779B97F4A7C15u + flags;
    for (uint32_t i = 0; i < n; i++) {
        h ^= ((uint64_t)p[i].frame << 32) | p[i].node;
        h *= 0xD6E8FEB86659FD93u;
        h ^= h >> 32;
    }
    return (uint32_t)h;
}

static bool grow_slots(struct pool *t) {
    uint32_t cap = t->cap_slots != 0 ? 2 * t->cap_slots : 256;
    uint32_t *slot = mem_zalloc(cap, sizeof *slot);
    if (slot == NULL) return false;
    for (uint32_t i = 0; i < t->n_sets; i++) {
        uint32_t at = t->set[i].hash & (cap - 1);
        while (slot[at] != 0) at = (at + 1) & (cap - 1);
        slot[at] = i + 1;
    }
    mem_free(t->slot);
    t->slot = slot;
    t->cap_slots = cap;
    return true;
}

static bool same_set(const struct pool *t, const struct pair_set *s, const struct pair *p,
                     uint32_t n, uint32_t flags) {
    return s->n == n && s->flags == flags &&
           (n == 0 || memcmp(t->pair + s->first, p, n * sizeof *p) == 0);
}

/* The number of the set, which must be sorted; NO_SET: no memory. */
static uint32_t pool_intern(struct pool *t, const struct pair *p, uint32_t n, uint32_t flags) {
    if (2 * (t->n_sets + 1) > t->cap_slots && !grow_slots(t)) return NO_SET;
    uint32_t hash = hash_pairs(p, n, flags), at = hash & (t->cap_slots - 1);
    for (; t->slot[at] != 0; at = (at + 1) & (t->cap_slots - 1)) {
        const struct pair_set *s = &t->set[t->slot[at] - 1];
        if (s->hash == hash && same_set(t, s, p, n, flags)) return t->slot[at] - 1;
    }
    void *pairs = t->pair, *sets = t->set;
    bool ok = grow(&pairs, t->n_pairs + n, &t->cap_pairs, sizeof *t->pair);
    t->pair = pairs;
    ok = ok && grow(&sets, t->n_sets + 1, &t->cap_sets, sizeof *t->set);
    t->set = sets;
    if (!ok) return NO_SET;
    if (n > 0) memcpy(t->pair + t->n_pairs, p, n * sizeof *p);
    t->set[t->n_sets] = (struct pair_set){t->n_pairs, n, flags, hash};
    t->n_pairs += n;
    t->slot[at] = ++t->n_sets;
    return t->n_sets - 1;
}

static void pool_free(struct pool *t) {
    mem_free(t->pair);
    mem_free(t->set);
    mem_free(t->slot);
    *t = (struct pool){0};
}

static size_t pool_bytes(const struct pool *t) {
    return t->cap_pairs * sizeof *t->pair + t->cap_sets * sizeof *t->set +
           t->cap_slots * sizeof *t->slot;
}

static int by_frame(const void *x, const void *y) {
    const struct pair *a = x, *b = y;
    if (a->frame != b->frame) return a->frame < b->frame ? -1 : 1;
    return a->node < b->node ? -1 : a->node > b->node;
}

/* Sorts and removes what is there twice; returns how many are left. */
static uint32_t make_set(struct pair *p, uint32_t n) {
    if (n > 1) qsort(p, n, sizeof *p, by_frame);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < n; i++)
        if (kept == 0 || by_frame(&p[kept - 1], &p[i]) != 0) p[kept++] = p[i];
    return kept;
}

/* ---- the closure: everything that is the case before the next byte ---- */

struct list { /* of pairs */
    struct pair *p;
    uint32_t n, cap;
};
struct call { /* a call that waits for its rule's turn */
    struct pair to;
    uint32_t next; /* of the same rule, plus 1 */
};
struct closure {
    struct list work;  /* all pairs met, in order; the first `done` have been looked at */
    struct list items; /* those that can consume something */
    struct list gather;
    struct call *call;
    uint32_t n_calls, cap_calls;
    uint32_t *waiting; /* [n_rules] first call plus 1 */
    uint32_t *heap;    /* orders of the rules that wait, smallest first */
    uint32_t n_heap;
    uint64_t *seen; /* hash set of pairs; an entry counts if its stamp is today's */
    uint32_t *stamp;
    uint32_t today, cap_seen;
    uint32_t flags;
};

static void give_up(struct automaton *a, enum status st) {
    if (a->st == ST_OK) a->st = st;
}

static bool push(struct automaton *a, struct list *l, struct pair x) {
    void *p = l->p;
    if (l->n >= ITEMS_MAX) {
        give_up(a, ST_LIMIT);
        return false;
    }
    if (!grow(&p, l->n + 1, &l->cap, sizeof *l->p)) {
        give_up(a, ST_NO_MEMORY);
        return false;
    }
    l->p = p;
    l->p[l->n++] = x;
    return true;
}

static bool grow_seen(struct closure *c) {
    uint32_t cap = c->cap_seen != 0 ? 2 * c->cap_seen : 256;
    uint64_t *seen = mem_array(cap, sizeof *seen);
    uint32_t *stamp = mem_zalloc(cap, sizeof *stamp);
    if (seen == NULL || stamp == NULL) {
        mem_free(seen);
        mem_free(stamp);
        return false;
    }
    for (uint32_t i = 0; i < c->cap_seen; i++) {
        if (c->stamp[i] != c->today) continue;
        uint32_t at = (uint32_t)((c->seen[i] * 0x9E3779B97F4A7C15u) >> 32) & (cap - 1);
        while (stamp[at] == c->today) at = (at + 1) & (cap - 1);
        seen[at] = c->seen[i];
        stamp[at] = c->today;
    }
    mem_free(c->seen);
    mem_free(c->stamp);
    c->seen = seen;
    c->stamp = stamp;
    c->cap_seen = cap;
    return true;
}

/* Adds a pair to the work unless it has been met. */
static void meet(struct automaton *a, uint32_t node, uint32_t frame) {
    struct closure *c = a->closure;
    if (2 * (c->work.n + 1) > c->cap_seen && !grow_seen(c)) {
        give_up(a, ST_NO_MEMORY);
        return;
    }
    const uint64_t key = (uint64_t)frame << 32 | node;
    uint32_t at = (uint32_t)((key * 0x9E3779B97F4A7C15u) >> 32) & (c->cap_seen - 1);
    for (; c->stamp[at] == c->today; at = (at + 1) & (c->cap_seen - 1))
        if (c->seen[at] == key) return;
    if (!push(a, &c->work, (struct pair){node, frame})) return;
    c->seen[at] = key;
    c->stamp[at] = c->today;
}

static void heap_push(struct closure *c, uint32_t order) {
    uint32_t i = c->n_heap++;
    for (; i > 0 && c->heap[(i - 1) / 2] > order; i = (i - 1) / 2)
        c->heap[i] = c->heap[(i - 1) / 2];
    c->heap[i] = order;
}

static uint32_t heap_pop(struct closure *c) {
    uint32_t least = c->heap[0], x = c->heap[--c->n_heap], i = 0;
    for (;;) {
        uint32_t kid = 2 * i + 1;
        if (kid >= c->n_heap) break;
        if (kid + 1 < c->n_heap && c->heap[kid + 1] < c->heap[kid]) kid++;
        if (c->heap[kid] >= x) break;
        c->heap[i] = c->heap[kid];
        i = kid;
    }
    c->heap[i] = x;
    return least;
}

static void wait_for(struct automaton *a, uint32_t rule, struct pair to) {
    struct closure *c = a->closure;
    void *p = c->call;
    if (c->n_calls >= ITEMS_MAX) {
        give_up(a, ST_LIMIT);
        return;
    }
    if (!grow(&p, c->n_calls + 1, &c->cap_calls, sizeof *c->call)) {
        give_up(a, ST_NO_MEMORY);
        return;
    }
    c->call = p;
    if (c->waiting[rule] == 0) heap_push(c, a->rules->rule[rule].order);
    c->call[c->n_calls++] = (struct call){to, c->waiting[rule]};
    c->waiting[rule] = c->n_calls;
}

/* A call in tail position returns straight to where its caller returns to. */
static void meet_call(struct automaton *a, const struct edge *e, uint32_t frame) {
    const struct rule *rule = &a->rules->rule[e->arg];
    if (rule->nullable) meet(a, e->to, frame);
    if (!e->tail || frame <= FRAME_LOCAL) {
        wait_for(a, e->arg, (struct pair){e->to, frame});
        return;
    }
    for (uint32_t i = 0; i < a->frames.set[frame].n; i++)
        wait_for(a, e->arg, a->frames.pair[a->frames.set[frame].first + i]);
}

static void meet_end(struct automaton *a, uint32_t frame) {
    if (frame == FRAME_ROOT) a->closure->flags |= STATE_ACCEPTS;
    if (frame == FRAME_LOCAL) a->closure->flags |= STATE_EXITS;
    for (uint32_t i = 0; i < a->frames.set[frame].n && a->st == ST_OK; i++) {
        struct pair to = a->frames.pair[a->frames.set[frame].first + i];
        meet(a, to.node, to.frame);
    }
}

static void look_at(struct automaton *a, struct pair x) {
    const struct node *node = &a->rules->node[x.node];
    bool consumes = false;
    if (node->is_end) meet_end(a, x.frame);
    for (uint32_t i = node->first; i < node->first + node->n && a->st == ST_OK; i++) {
        const struct edge *e = &a->rules->edge[i];
        if (e->kind == EDGE_EMPTY)
            meet(a, e->to, x.frame);
        else if (e->kind == EDGE_CALL)
            meet_call(a, e, x.frame);
        else
            consumes = true;
    }
    if (consumes) push(a, &a->closure->items, x);
}

/* Enters the waiting rule with the smallest order: all its calls of this place are known. */
static void enter_rule(struct automaton *a) {
    struct closure *c = a->closure;
    uint32_t rule = a->rules->by_order[heap_pop(c)], i = c->waiting[rule];
    c->gather.n = 0;
    for (; i != 0; i = c->call[i - 1].next) push(a, &c->gather, c->call[i - 1].to);
    c->waiting[rule] = 0;
    c->gather.n = make_set(c->gather.p, c->gather.n);
    uint32_t frame = pool_intern(&a->frames, c->gather.p, c->gather.n, 0);
    if (frame == NO_SET)
        give_up(a, ST_NO_MEMORY);
    else
        meet(a, a->rules->rule[rule].start, frame);
}

static bool begin_closure(struct automaton *a) {
    struct closure *c = a->closure;
    while (c->n_heap > 0)
        c->waiting[a->rules->by_order[c->heap[--c->n_heap]]] = 0; /* a failure's */
    c->work.n = c->items.n = c->n_calls = 0;
    c->flags = 0;
    if (++c->today == 0) { /* the stamps of long ago would count again */
        memset(c->stamp, 0, c->cap_seen * sizeof *c->stamp);
        c->today = 1;
    }
    return a->st == ST_OK;
}

static bool in_time(struct automaton *a) {
    if (a->deadline_ns != 0 && a->states.n_sets % 64 == 0 && grammar_clock_ns() > a->deadline_ns)
        give_up(a, ST_LIMIT);
    return a->st == ST_OK;
}

static state_id intern_state(struct automaton *a, struct pair *items, uint32_t n, uint32_t flags) {
    if (!in_time(a)) return STATE_DEAD;
    const uint32_t before = a->states.n_sets;
    uint32_t s = pool_intern(&a->states, items, n, flags);
    void *p = a->tables;
    if (s == NO_SET || !grow(&p, a->states.n_sets, &a->cap_tables, sizeof *a->tables)) {
        give_up(a, ST_NO_MEMORY);
        return STATE_DEAD;
    }
    a->tables = p;
    if (a->states.n_sets != before) a->tables[s] = (struct state_tables){0};
    return s;
}

/* The state that the pairs met so far stand for. */
static state_id end_closure(struct automaton *a) {
    struct closure *c = a->closure;
    for (uint32_t done = 0; a->st == ST_OK; done++) {
        if (done == c->work.n && c->n_heap > 0) enter_rule(a);
        if (done >= c->work.n) break;
        look_at(a, c->work.p[done]);
    }
    if (a->st != ST_OK) return STATE_DEAD;
    c->items.n = make_set(c->items.p, c->items.n);
    return intern_state(a, c->items.p, c->items.n, c->flags);
}

/* ---- steps ---- */

/* Bytes that no edge takes are known to be dead from the beginning: most of them, for most states.
 */
static void init_table(const struct automaton *a, state_id s, uint32_t *next) {
    const struct pair_set *set = automaton_state(a, s);
    for (int i = 0; i < 256; i++) next[i] = STATE_DEAD;
    for (uint32_t i = 0; i < set->n; i++) {
        const struct node *node = &a->rules->node[a->states.pair[set->first + i].node];
        for (uint32_t k = node->first; k < node->first + node->n; k++) {
            const struct edge *e = &a->rules->edge[k];
            for (uint32_t b = e->lo; e->kind == EDGE_BYTES && b <= e->hi; b++)
                next[b] = STEP_UNKNOWN;
        }
    }
}

static uint32_t *next_table(struct automaton *a, state_id s) {
    uint32_t *next = a->tables[s].next;
    if (next != NULL) return next;
    next = mem_array(256, sizeof *next);
    if (next == NULL) {
        give_up(a, ST_NO_MEMORY);
        return NULL;
    }
    init_table(a, s, next);
    a->bytes += 256 * sizeof *next;
    return a->tables[s].next = next;
}

static bool takes_byte(const struct edge *e, uint32_t byte) {
    return e->kind == EDGE_BYTES && e->lo <= byte && byte <= e->hi;
}

static bool takes_token(const struct edge *e, uint32_t token) {
    return (e->kind == EDGE_TOKEN && e->arg == token) ||
           (e->kind == EDGE_NOT_TOKEN && e->arg != token);
}

static state_id advance(struct automaton *a, state_id s, uint32_t what,
                        bool (*takes)(const struct edge *e, uint32_t what)) {
    if (!begin_closure(a)) return STATE_DEAD;
    const struct pair_set *set = automaton_state(a, s);
    for (uint32_t i = 0; i < set->n; i++) {
        struct pair x = a->states.pair[set->first + i];
        const struct node *node = &a->rules->node[x.node];
        for (uint32_t k = node->first; k < node->first + node->n; k++)
            if (takes(&a->rules->edge[k], what)) meet(a, a->rules->edge[k].to, x.frame);
    }
    return a->closure->work.n == 0 ? STATE_DEAD : end_closure(a);
}

state_id automaton_make_step(struct automaton *a, state_id s, uint8_t byte) {
    uint32_t *next = next_table(a, s);
    if (next == NULL) return STATE_DEAD;
    if (next[byte] != STEP_UNKNOWN) return next[byte];
    state_id to = advance(a, s, byte, takes_byte);
    if (a->st == ST_OK) next[byte] = to;
    return to;
}

state_id automaton_token(struct automaton *a, state_id s, uint32_t token) {
    return advance(a, s, token, takes_token);
}

state_id automaton_start(struct automaton *a) {
    if (!begin_closure(a)) return STATE_DEAD;
    wait_for(a, a->rules->root, (struct pair){a->rules->rule[a->rules->root].end, FRAME_ROOT});
    if (a->rules->rule[a->rules->root].nullable) a->closure->flags |= STATE_ACCEPTS;
    return end_closure(a);
}

state_id automaton_pop(struct automaton *a, uint32_t frame) {
    if (!begin_closure(a)) return STATE_DEAD;
    meet_end(a, frame);
    return a->closure->work.n == 0 && a->closure->flags == 0 ? STATE_DEAD : end_closure(a);
}

state_id automaton_local(struct automaton *a, uint32_t node) {
    if (!begin_closure(a)) return STATE_DEAD;
    meet(a, node, FRAME_LOCAL);
    return end_closure(a);
}

state_id automaton_of_items(struct automaton *a, const struct pair *items, uint32_t n) {
    struct list *l = &a->closure->gather;
    l->n = 0;
    for (uint32_t i = 0; i < n; i++) push(a, l, items[i]);
    if (a->st != ST_OK || n == 0) return STATE_DEAD;
    return intern_state(a, l->p, make_set(l->p, n), 0);
}

state_id automaton_union(struct automaton *a, state_id x, state_id y) {
    if (x == STATE_DEAD || y == STATE_DEAD) return x == STATE_DEAD ? y : x;
    struct list *l = &a->closure->gather;
    uint32_t flags = automaton_state(a, x)->flags | automaton_state(a, y)->flags;
    l->n = 0;
    for (uint32_t i = 0; i < automaton_state(a, x)->n; i++) push(a, l, automaton_items(a, x)[i]);
    for (uint32_t i = 0; i < automaton_state(a, y)->n; i++) push(a, l, automaton_items(a, y)[i]);
    return a->st == ST_OK ? intern_state(a, l->p, make_set(l->p, l->n), flags) : STATE_DEAD;
}

/* ---- moving to a fresh automaton ---- */

/* A frame's parts are older frames, so one pass in falling order finds all that is needed, and one
 * in rising order copies it. new_id: 0 while not needed. */
static uint32_t copy_frames(struct automaton *to, const struct automaton *from, uint32_t *new_id) {
    enum { NEEDED = 1 };
    const struct pool *f = &from->frames;
    struct list *l = &to->closure->gather;
    for (uint32_t i = f->n_sets; i-- > 0;)
        for (uint32_t k = 0; new_id[i] == NEEDED && k < f->set[i].n; k++)
            new_id[f->pair[f->set[i].first + k].frame] = NEEDED;
    new_id[FRAME_ROOT] = FRAME_ROOT;
    new_id[FRAME_LOCAL] = FRAME_LOCAL;
    for (uint32_t i = FRAME_LOCAL + 1; i < f->n_sets; i++) {
        if (new_id[i] != NEEDED) continue;
        l->n = 0;
        for (uint32_t k = 0; k < f->set[i].n; k++) {
            struct pair p = f->pair[f->set[i].first + k];
            push(to, l, (struct pair){p.node, new_id[p.frame]});
        }
        new_id[i] = pool_intern(&to->frames, l->p, make_set(l->p, l->n), 0);
        if (new_id[i] == NO_SET) give_up(to, ST_NO_MEMORY);
        if (to->st != ST_OK) return 0;
    }
    return f->n_sets;
}

state_id automaton_copy(struct automaton *to, const struct automaton *from, state_id s) {
    const struct pair_set *set = automaton_state(from, s);
    const struct pair *items = automaton_items(from, s);
    struct list *l = &to->closure->gather;
    uint32_t *new_id = mem_zalloc(from->frames.n_sets, sizeof *new_id);
    state_id result = STATE_DEAD;
    if (new_id == NULL) {
        give_up(to, ST_NO_MEMORY);
        return STATE_DEAD;
    }
    for (uint32_t i = 0; i < set->n; i++) new_id[items[i].frame] = 1;
    if (copy_frames(to, from, new_id) != 0) {
        l->n = 0;
        for (uint32_t i = 0; i < set->n; i++)
            push(to, l, (struct pair){items[i].node, new_id[items[i].frame]});
        if (to->st == ST_OK) result = intern_state(to, l->p, make_set(l->p, l->n), set->flags);
    }
    mem_free(new_id);
    return result;
}

/* ---- life ---- */

enum status automaton_open(struct automaton *a, const struct rules *r, struct err *e) {
    *a = (struct automaton){.rules = r};
    struct closure *c = a->closure = mem_zalloc(1, sizeof *c);
    if (c == NULL) return err_no_memory(e);
    c->waiting = mem_zalloc(r->n_rules, sizeof *c->waiting);
    c->heap = mem_array(r->n_rules, sizeof *c->heap);
    bool ok = c->waiting != NULL && c->heap != NULL && grow_seen(c);
    /* There is a first pair to point at, also while no set has any. */
    struct pool *const pool[] = {&a->frames, &a->states};
    for (int i = 0; i < 2 && ok; i++) {
        void *p = NULL;
        ok = grow(&p, 1, &pool[i]->cap_pairs, sizeof *pool[i]->pair);
        pool[i]->pair = p;
    }
    /* The two frames without parts differ only by their flags. */
    ok = ok && pool_intern(&a->frames, NULL, 0, 0) == FRAME_ROOT &&
         pool_intern(&a->frames, NULL, 0, 1) == FRAME_LOCAL;
    if (ok) intern_state(a, NULL, 0, 0);
    if (ok && a->st == ST_OK) return ST_OK;
    automaton_close(a);
    return err_no_memory(e);
}

void automaton_close(struct automaton *a) {
    struct closure *c = a->closure;
    for (uint32_t i = 0; a->tables != NULL && i < a->states.n_sets; i++)
        mem_free(a->tables[i].next);
    mem_free(a->tables);
    pool_free(&a->frames);
    pool_free(&a->states);
    if (c != NULL) {
        mem_free(c->work.p);
        mem_free(c->items.p);
        mem_free(c->gather.p);
        mem_free(c->call);
        mem_free(c->waiting);
        mem_free(c->heap);
        mem_free(c->seen);
        mem_free(c->stamp);
    }
    mem_free(c);
    *a = (struct automaton){0};
}

size_t automaton_bytes(const struct automaton *a) {
    return a->bytes + pool_bytes(&a->frames) + pool_bytes(&a->states) +
           a->cap_tables * sizeof *a->tables;
}
