/* rules.h - a grammar under construction: rules as small graphs over bytes.
 *
 * All sources (GBNF, JSON schema, regular expressions, a choice of texts) are written into this one
 * form, which automaton.h runs. A rule is a graph of nodes from `start` to `end`; an edge consumes
 * nothing (empty), one byte of a range, one token, or a whole rule (call). Characters become byte
 * sequences here, so nothing behind knows of UTF-8.
 *
 * rules_finish() checks and prepares: calls of undefined rules and left recursion are errors that
 * name the rule; edges that cannot lead to an end are removed, so a graph position that can be
 * reached can always be completed; facts that the automaton needs are computed (nullable, order of
 * the rules along their left corners, tail calls). After it the rules never change.
 *
 * The builder's functions do nothing after the first failure, which rules_finish() (or `st`)
 * reports. Limits: RULES_MAX rules, ELEMENTS_MAX nodes and edges together, a deadline. */
#ifndef CRIA_ENGINE_GRAMMAR_RULES_H
#define CRIA_ENGINE_GRAMMAR_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/map.h"
#include "engine/grammar/charset.h"

enum {
    RULES_MAX = 65536,
    ELEMENTS_MAX = 1000000,
    GRAMMAR_DEPTH_MAX = 256,  /* nesting of any source */
    COMPILE_BUDGET_MS = 2000, /* spec/security.md S-PA-6 */
    REPEAT_CHAIN = 1024,      /* longer chains of a repetition are built from blocks */
    REPEAT_BLOCK = 256,
    REPEAT_MAX = REPEAT_BLOCK * 16384 /* more than any answer can hold */
};

#define REPEAT_ENDLESS UINT32_MAX

enum edge_kind { EDGE_EMPTY, EDGE_BYTES, EDGE_CALL, EDGE_TOKEN, EDGE_NOT_TOKEN };

struct edge {
    uint32_t to;
    uint32_t arg;   /* call: rule; token: id */
    uint8_t kind;   /* enum edge_kind */
    uint8_t lo, hi; /* bytes */
    bool tail;      /* call: nothing can follow in this rule (set by rules_finish) */
    uint32_t next;  /* while building: next edge of the node, plus 1 */
};

struct node {
    uint32_t first, n; /* its edges; while building: first edge plus 1 */
    bool is_end;       /* of its rule */
    uint8_t more;      /* so many more of rules.counted can follow here, at least */
};

struct rule {
    const char *name; /* in the arena; for messages */
    uint32_t start, end;
    bool defined, nullable;
    uint32_t order; /* a rule comes behind all that can call it before consuming anything */
};

struct rules {            /* a zeroed struct with `e` set is ready; owns all */
    struct arena arena;   /* names */
    struct arena scratch; /* of the compilers; gone after rules_finish */
    struct rule *rule;
    struct node *node;
    struct edge *edge;
    uint32_t n_rules, n_nodes, n_edges, cap_rules, cap_nodes, cap_edges;
    uint32_t *by_order;       /* [n_rules] order -> rule */
    uint32_t root, n_prelude; /* nodes that all JSON grammars begin with (json_text.h) */
    struct map by_name;
    uint32_t counted;    /* rule whose repetitions are marked in node.more; 0 marks none */
    bool may_be_empty;   /* a root that matches nothing is no error */
    int64_t deadline_ns; /* by the thread's own clock; 0: none */
    enum status st;
    struct err *e; /* borrowed until rules_finish */
};

/* Processor time of this thread: budgets must not depend on what else runs. */
int64_t grammar_clock_ns(void);

void rules_free(struct rules *r);
/* Remembers a failure; the first one counts. Returns the status. */
enum status rules_fail(struct rules *r, enum status st, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* False, and a failure is remembered, once the time is up. */
bool rules_in_time(struct rules *r);

/* The rule of this name, made (undefined) if there is none. NULL: a new rule without one. */
uint32_t rules_rule(struct rules *r, const char *name, size_t len);
/* Gives the rule a fresh start and end, dropping an earlier definition. */
void rules_define(struct rules *r, uint32_t rule);
uint32_t rules_node(struct rules *r);

void rules_empty(struct rules *r, uint32_t from, uint32_t to);
void rules_bytes(struct rules *r, uint32_t from, uint32_t to, uint8_t lo, uint8_t hi);
void rules_text(struct rules *r, uint32_t from, uint32_t to, const char *text, size_t len);
void rules_chars(struct rules *r, uint32_t from, uint32_t to, const struct charset *set);
void rules_call(struct rules *r, uint32_t from, uint32_t to, uint32_t rule);
void rules_token(struct rules *r, uint32_t from, uint32_t to, uint32_t id, bool negated);
/* The rule min to max times (REPEAT_ENDLESS: no upper bound). */
void rules_repeat(struct rules *r, uint32_t from, uint32_t to, uint32_t rule, uint32_t min,
                  uint32_t max);

/* Errors: what was remembered; ST_INVALID for undefined rules, left recursion, a root that matches
 * nothing. */
enum status rules_finish(struct rules *r);

#endif
