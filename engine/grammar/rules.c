/* rules.c - building a grammar (rules.h). The checks are in rules_finish.c. */
#include "engine/grammar/rules.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "base/utf8.h"

int64_t grammar_clock_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

void rules_free(struct rules *r) {
    mem_free(r->rule);
    mem_free(r->node);
    mem_free(r->edge);
    mem_free(r->by_order);
    map_free(&r->by_name);
    arena_free(&r->arena);
    arena_free(&r->scratch);
    *r = (struct rules){0};
}

enum status rules_fail(struct rules *r, enum status st, const char *fmt, ...) {
    char msg[ERR_MSG_SIZE];
    va_list args;
    if (r->st != ST_OK) return r->st;
    va_start(args, fmt);
    vsnprintf(msg, sizeof msg, fmt, args);
    va_end(args);
    r->st = st;
    return err_set(r->e, st, "%s", msg);
}

static void no_memory(struct rules *r) {
    if (r->st == ST_OK) r->st = err_no_memory(r->e);
}

bool rules_in_time(struct rules *r) {
    if (r->st == ST_OK && r->deadline_ns != 0 && grammar_clock_ns() > r->deadline_ns)
        rules_fail(r, ST_LIMIT, "the grammar takes longer than %d s to compile",
                   COMPILE_BUDGET_MS / 1000);
    return r->st == ST_OK;
}

/* Room for one more entry of an array; every 4096 entries the clock is asked. */
static bool room(struct rules *r, void **p, uint32_t n, uint32_t *cap, size_t size) {
    if (r->st != ST_OK) return false;
    if (n % 4096 == 4095 && !rules_in_time(r)) return false;
    if (n < *cap) return true;
    uint32_t more = *cap != 0 ? 2 * *cap : 64;
    void *q = mem_grow(*p, more, size);
    if (q == NULL) {
        no_memory(r);
        return false;
    }
    *p = q;
    *cap = more;
    return true;
}

static bool within_elements(struct rules *r) {
    if (r->n_nodes + r->n_edges < ELEMENTS_MAX) return true;
    rules_fail(r, ST_LIMIT, "the grammar has more than %d elements", ELEMENTS_MAX);
    return false;
}

/* ---- rules and nodes ---- */

uint32_t rules_rule(struct rules *r, const char *name, size_t len) {
    uint32_t found;
    void *p = r->rule;
    if (r->st != ST_OK) return 0;
    if (name != NULL && map_get(&r->by_name, name, len, &found)) return found;
    if (r->n_rules == RULES_MAX) {
        rules_fail(r, ST_LIMIT, "the grammar has more than %d rules", RULES_MAX);
        return 0;
    }
    if (!room(r, &p, r->n_rules, &r->cap_rules, sizeof *r->rule)) return 0;
    r->rule = p;
    char *copy = name != NULL ? arena_strndup(&r->arena, name, len) : NULL;
    if (name != NULL && (copy == NULL || !map_put(&r->by_name, copy, len, r->n_rules, NULL)))
        no_memory(r);
    r->rule[r->n_rules] = (struct rule){.name = copy != NULL ? copy : "(inner rule)"};
    return r->n_rules++;
}

void rules_define(struct rules *r, uint32_t rule) {
    uint32_t start = rules_node(r), end = rules_node(r);
    if (r->st != ST_OK) return;
    r->rule[rule].start = start;
    r->rule[rule].end = end;
    r->rule[rule].defined = true;
    r->node[end].is_end = true;
}

uint32_t rules_node(struct rules *r) {
    void *p = r->node;
    if (!within_elements(r) || !room(r, &p, r->n_nodes, &r->cap_nodes, sizeof *r->node)) return 0;
    r->node = p;
    r->node[r->n_nodes] = (struct node){0};
    return r->n_nodes++;
}

/* ---- edges ---- */

static void add_edge(struct rules *r, uint32_t from, struct edge x) {
    void *p = r->edge;
    if (r->st != ST_OK) return;
    if (!within_elements(r) || !room(r, &p, r->n_edges, &r->cap_edges, sizeof *r->edge)) return;
    assert(from < r->n_nodes && x.to < r->n_nodes);
    r->edge = p;
    x.next = r->node[from].first;
    r->edge[r->n_edges++] = x;
    r->node[from].first = r->n_edges;
    r->node[from].n++;
}

void rules_empty(struct rules *r, uint32_t from, uint32_t to) {
    add_edge(r, from, (struct edge){.to = to, .kind = EDGE_EMPTY});
}

void rules_bytes(struct rules *r, uint32_t from, uint32_t to, uint8_t lo, uint8_t hi) {
    add_edge(r, from, (struct edge){.to = to, .kind = EDGE_BYTES, .lo = lo, .hi = hi});
}

void rules_text(struct rules *r, uint32_t from, uint32_t to, const char *text, size_t len) {
    if (len == 0) rules_empty(r, from, to);
    for (size_t i = 0; i < len && r->st == ST_OK; i++) {
        uint32_t next = i + 1 == len ? to : rules_node(r);
        rules_bytes(r, from, next, (uint8_t)text[i], (uint8_t)text[i]);
        from = next;
    }
}

void rules_call(struct rules *r, uint32_t from, uint32_t to, uint32_t rule) {
    add_edge(r, from, (struct edge){.to = to, .arg = rule, .kind = EDGE_CALL});
}

void rules_token(struct rules *r, uint32_t from, uint32_t to, uint32_t id, bool negated) {
    add_edge(r, from,
             (struct edge){.to = to, .arg = id, .kind = negated ? EDGE_NOT_TOKEN : EDGE_TOKEN});
}

/* ---- characters as bytes ---- */

/* Nodes from which 1, 2 or 3 arbitrary continuation bytes lead to `to`: shared by all ranges. */
struct tails {
    uint32_t node[4];
    bool made[4];
};

static uint32_t tail_of(struct rules *r, struct tails *t, uint32_t n) {
    if (t->made[n]) return t->node[n];
    uint32_t next = tail_of(r, t, n - 1); /* n <= 3 */
    t->node[n] = rules_node(r);
    t->made[n] = true;
    rules_bytes(r, t->node[n], next, 0x80, 0xBF);
    return t->node[n];
}

/* Sequences lo..hi of n bytes that differ only as ranges of a last part: split until each byte is
 * fixed or followed by full ranges (the usual construction; n <= 4 bounds the depth). */
static void byte_range(struct rules *r, uint32_t from, struct tails *t, const uint8_t *lo,
                       const uint8_t *hi, uint32_t n) {
    if (n == 1) {
        rules_bytes(r, from, t->node[0], lo[0], hi[0]);
        return;
    }
    static const uint8_t least[4] = {0x80, 0x80, 0x80, 0x80}, most[4] = {0xBF, 0xBF, 0xBF, 0xBF};
    if (lo[0] == hi[0]) {
        uint32_t next = rules_node(r);
        rules_bytes(r, from, next, lo[0], lo[0]);
        byte_range(r, next, t, lo + 1, hi + 1, n - 1);
        return;
    }
    uint8_t first = lo[0], last = hi[0];
    if (memcmp(lo + 1, least, n - 1) != 0) {
        uint32_t next = rules_node(r);
        rules_bytes(r, from, next, first, first);
        byte_range(r, next, t, lo + 1, most, n - 1);
        first++;
    }
    if (memcmp(hi + 1, most, n - 1) != 0) {
        uint32_t next = rules_node(r);
        rules_bytes(r, from, next, last, last);
        byte_range(r, next, t, least, hi + 1, n - 1);
        last--;
    }
    if (first <= last) rules_bytes(r, from, tail_of(r, t, n - 1), first, last);
}

static void char_range(struct rules *r, uint32_t from, struct tails *t, uint32_t lo, uint32_t hi) {
    static const uint32_t last[] = {0x7F, 0x7FF, SURROGATE_FIRST - 1, 0xFFFF, CHAR_LAST};
    for (size_t i = 0; i < sizeof last / sizeof *last && lo <= hi; i++) {
        if (lo > last[i]) continue;
        uint32_t end = hi < last[i] ? hi : last[i];
        if (i == 3 && lo <= SURROGATE_LAST) lo = SURROGATE_LAST + 1;
        if (lo <= end) {
            char a[4], b[4];
            unsigned n = utf8_encode(lo, a);
            utf8_encode(end, b);
            byte_range(r, from, t, (const uint8_t *)a, (const uint8_t *)b, n);
        }
        lo = last[i] + 1;
    }
}

void rules_chars(struct rules *r, uint32_t from, uint32_t to, const struct charset *set) {
    struct tails t = {.node = {to}, .made = {true}};
    for (size_t i = 0; i < set->n && r->st == ST_OK; i++)
        char_range(r, from, &t, set->range[i].lo, set->range[i].hi);
}

/* ---- repetition ---- */

/* How many more repetitions a node promises; see mask.c. */
static void promise(struct rules *r, uint32_t node, uint32_t rule, uint32_t more) {
    if (r->st == ST_OK && rule == r->counted && rule != 0)
        r->node[node].more = (uint8_t)(more < UINT8_MAX ? more : UINT8_MAX);
}

/* `rule` exactly n times from `from`; returns the node behind, where `then` more may follow. */
static uint32_t repeat_exactly(struct rules *r, uint32_t from, uint32_t rule, uint32_t n,
                               uint32_t then) {
    for (; n > 0 && r->st == ST_OK; n--) {
        uint32_t next = rules_node(r);
        rules_call(r, from, next, rule);
        promise(r, next, rule, then > UINT8_MAX ? then : n - 1 + then);
        from = next;
    }
    return from;
}

/* At most n times, ending in `to` from every place. */
static uint32_t repeat_at_most(struct rules *r, uint32_t from, uint32_t to, uint32_t rule,
                               uint32_t n) {
    rules_empty(r, from, to);
    for (; n > 0 && r->st == ST_OK; n--) {
        uint32_t next = rules_node(r);
        rules_call(r, from, next, rule);
        promise(r, next, rule, n - 1);
        rules_empty(r, next, to);
        from = next;
    }
    return from;
}

static uint32_t block_of(struct rules *r, uint32_t rule) {
    uint32_t block = rules_rule(r, NULL, 0);
    rules_define(r, block);
    if (r->st != ST_OK) return 0;
    uint32_t end = repeat_exactly(r, r->rule[block].start, rule, REPEAT_BLOCK, 0);
    rules_empty(r, end, r->rule[block].end);
    return block;
}

/* At most n times for a large n: some blocks and less than a block, or all blocks and the rest. */
static void repeat_blocks(struct rules *r, uint32_t from, uint32_t to, uint32_t rule,
                          uint32_t block, uint32_t n) {
    uint32_t less = rules_node(r), at = from;
    for (uint32_t i = 0; i < n / REPEAT_BLOCK && r->st == ST_OK; i++) {
        rules_empty(r, at, less);
        at = repeat_exactly(r, at, block, 1, 0);
    }
    repeat_at_most(r, less, to, rule, REPEAT_BLOCK - 1);
    repeat_at_most(r, at, to, rule, n % REPEAT_BLOCK);
}

void rules_repeat(struct rules *r, uint32_t from, uint32_t to, uint32_t rule, uint32_t min,
                  uint32_t max) {
    assert(min <= max);
    if (max > REPEAT_MAX) max = REPEAT_ENDLESS;
    if (min > REPEAT_MAX) {
        rules_fail(r, ST_LIMIT, "%u repetitions are more than an answer can hold", min);
        return;
    }
    uint32_t more = max == REPEAT_ENDLESS ? 0 : max - min, block = 0;
    if (min > REPEAT_CHAIN || more > REPEAT_CHAIN) block = block_of(r, rule);
    if (min > REPEAT_CHAIN) {
        from = repeat_exactly(r, from, block, min / REPEAT_BLOCK, 0);
        min %= REPEAT_BLOCK;
    }
    from = repeat_exactly(r, from, rule, min, max == REPEAT_ENDLESS ? max : more);
    if (max == REPEAT_ENDLESS) {
        uint32_t loop = rules_node(r);
        rules_empty(r, from, loop);
        rules_call(r, loop, loop, rule);
        promise(r, loop, rule, UINT8_MAX);
        rules_empty(r, loop, to);
    } else if (more > REPEAT_CHAIN) {
        repeat_blocks(r, from, to, rule, block, more);
    } else {
        repeat_at_most(r, from, to, rule, more);
    }
}
