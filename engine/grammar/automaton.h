/* automaton.h - runs a grammar over bytes: a pushdown automaton, made deterministic as it goes.
 *
 * A *state* is everything that can be the case after some text: a set of items (node, frame). A
 * *frame* is where a rule returns to: a set of (node, frame) again, shared by all calls of that
 * rule at the same place, as in a GLL or Earley parser, so ambiguity costs polynomial time, not
 * more. Both are interned: equal sets have equal numbers, whatever text led there. So `[1,` and
 * `[1,2,` are the same state, and a step once made is found again in a table.
 *
 * Because the grammar has no left recursion, the frames made at one place can be made in the order
 * of the rules (rules.h `order`), callers first, and are complete when made. Calls at the very end
 * of a rule hand on the caller's frame, so right recursion does not grow the stack.
 *
 * Every state but STATE_DEAD can be completed to a text of the grammar (rules_finish removed the
 * rest). FRAME_LOCAL stands for "whatever is around": a state built on it is true in every context;
 * `exits` tells that the rule may have ended.
 *
 * Not thread-safe: grammar.h has the lock. Failures (memory, too many items, time) are sticky in
 * `st`; steps then give STATE_DEAD. */
#ifndef CRIA_ENGINE_GRAMMAR_AUTOMATON_H
#define CRIA_ENGINE_GRAMMAR_AUTOMATON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "engine/grammar/rules.h"

typedef uint32_t state_id;
enum { STATE_DEAD, STATES_FIRST };
enum { FRAME_ROOT, FRAME_LOCAL };
enum { STATE_ACCEPTS = 1, STATE_EXITS = 2 };
enum { ITEMS_MAX = 100000 }; /* of one state */

#define STEP_UNKNOWN UINT32_MAX

struct pair { /* item: node and frame; part of a frame: node to return to and its frame */
    uint32_t node, frame;
};
struct pair_set {
    uint32_t first, n, flags, hash;
};
struct pool { /* interned sets of pairs */
    struct pair *pair;
    struct pair_set *set;
    uint32_t *slot; /* hash table of set numbers plus 1 */
    uint32_t n_pairs, cap_pairs, n_sets, cap_sets, cap_slots;
};

struct mask;

struct state_tables {  /* what is known about a state; NULL: not yet */
    uint32_t *next;    /* [256] state_id or STEP_UNKNOWN */
    struct mask *mask; /* owned by mask.c's tables */
};

struct automaton {
    const struct rules *rules; /* borrowed */
    struct pool frames, states;
    struct state_tables *tables; /* [states.cap_sets] */
    uint32_t cap_tables;
    size_t bytes;        /* of tables and masks */
    int64_t deadline_ns; /* 0: none */
    enum status st;
    struct closure *closure; /* scratch */
};

enum status automaton_open(struct automaton *a, const struct rules *r, struct err *e);
void automaton_close(struct automaton *a); /* masks are freed by their owner before */
size_t automaton_bytes(const struct automaton *a);

state_id automaton_start(struct automaton *a);
state_id automaton_make_step(struct automaton *a, state_id s, uint8_t byte);
/* Consumes a token by the edges that name tokens. */
state_id automaton_token(struct automaton *a, state_id s, uint32_t token);
state_id automaton_pop(struct automaton *a, uint32_t frame);  /* what follows the rule */
state_id automaton_local(struct automaton *a, uint32_t node); /* the node, on FRAME_LOCAL */
state_id automaton_union(struct automaton *a, state_id x, state_id y);
state_id automaton_of_items(struct automaton *a, const struct pair *items, uint32_t n);
/* The same state in another automaton of the same rules. */
state_id automaton_copy(struct automaton *to, const struct automaton *from, state_id s);

static inline const struct pair_set *automaton_state(const struct automaton *a, state_id s) {
    return &a->states.set[s];
}
static inline const struct pair *automaton_items(const struct automaton *a, state_id s) {
    return a->states.pair + a->states.set[s].first;
}
static inline bool automaton_accepts(const struct automaton *a, state_id s) {
    return (a->states.set[s].flags & STATE_ACCEPTS) != 0;
}
static inline state_id automaton_step(struct automaton *a, state_id s, uint8_t byte) {
    const uint32_t *next = a->tables[s].next;
    if (next != NULL && next[byte] != STEP_UNKNOWN) return next[byte];
    return automaton_make_step(a, s, byte);
}

#endif
