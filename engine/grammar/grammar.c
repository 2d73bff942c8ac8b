/* grammar.c - see grammar.h: grammars and their shared tables, runs, the cache. */
#include "engine/grammar/grammar.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/mem.h"
#include "engine/grammar/automaton.h"
#include "engine/grammar/mask.h"
#include "engine/grammar/source.h"

#ifdef CRIA_HARD
enum { TABLE_BYTES = 64 << 10 };
#else
enum { TABLE_BYTES = 16 << 20 }; /* steps and masks of a grammar before it starts afresh */
#endif

struct tables { /* counted by the grammar and by the runs that stand in it; guarded by its lock */
    struct automaton a;
    unsigned refs;
    size_t base; /* bytes that the runs have brought with them */
};

struct grammar {
    atomic_uint refs;
    struct rules rules;
    struct token_index *ti;
    struct buf notes;
    pthread_mutex_t lock; /* of everything below */
    struct tables *tables;
    struct masks masks;
};

struct grammar_run {
    struct grammar *g;
    struct tables *t;
    state_id state;
    enum status st;
};

/* ---- tables (lock held) ---- */

static void tables_unref(struct tables *t) {
    if (t == NULL || --t->refs > 0) return;
    for (uint32_t i = 0; t->a.tables != NULL && i < t->a.states.n_sets; i++)
        mem_free(t->a.tables[i].mask);
    automaton_close(&t->a);
    mem_free(t);
}

static struct tables *tables_new(const struct rules *r, struct err *e) {
    struct tables *t = mem_zalloc(1, sizeof *t);
    if (t == NULL) {
        err_no_memory(e);
        return NULL;
    }
    t->refs = 1;
    if (automaton_open(&t->a, r, e) == ST_OK) return t;
    mem_free(t);
    return NULL;
}

/* What a deep nesting needs anyway does not count: moving it at each step would gain nothing. */
static bool is_full(const struct tables *t) {
    return automaton_bytes(&t->a) > TABLE_BYTES + 2 * t->base;
}

/* Tables that have grown too large, or failed, are left to the runs that stand in them. */
static struct tables *fresh_tables(struct grammar *g) {
    if (!is_full(g->tables) && g->tables->a.st == ST_OK) return g->tables;
    struct tables *t = tables_new(&g->rules, NULL);
    if (t == NULL) return NULL;
    tables_unref(g->tables);
    return g->tables = t;
}

static void move_to_fresh(struct grammar_run *r) {
    struct tables *t = fresh_tables(r->g);
    if (t == NULL) {
        r->st = ST_NO_MEMORY;
        return;
    }
    if (t == r->t) return;
    const size_t before = automaton_bytes(&t->a);
    state_id s = automaton_copy(&t->a, &r->t->a, r->state);
    t->base += automaton_bytes(&t->a) - before;
    if (t->a.st != ST_OK) {
        r->st = t->a.st;
        return;
    }
    t->refs++;
    tables_unref(r->t);
    r->t = t;
    r->state = s;
}

/* ---- grammars ---- */

static void compile_source(struct grammar *g, const struct grammar_source *s) {
    struct rules *r = &g->rules;
    switch (s->kind) {
    case GRAMMAR_GBNF:
        gbnf_compile(r, s->text, s->len, g->ti != NULL ? g->ti->vocab : NULL);
        break;
    case GRAMMAR_SCHEMA:
        schema_compile(r, s->text, s->len, &g->notes);
        break;
    case GRAMMAR_JSON:
        json_mode_compile(r);
        break;
    case GRAMMAR_REGEX:
        regex_compile(r, s->text, s->len);
        break;
    case GRAMMAR_TOOLS:
        tools_compile(r, s->text, s->len, &g->notes);
        break;
    case GRAMMAR_CHOICE:
        choice_compile(r, s->text, s->len);
        break;
    default:
        rules_fail(r, ST_INVALID, "no grammar given");
    }
}

enum status grammar_compile(struct grammar **out, const struct grammar_source *source,
                            struct token_index *ti, struct err *e) {
    struct err local = {0};
    struct grammar *g = mem_zalloc(1, sizeof *g);
    if (g == NULL) return err_no_memory(e);
    pthread_mutex_init(&g->lock, NULL);
    atomic_init(&g->refs, 1);
    g->ti = ti;
    g->rules.e = e != NULL ? e : &local;
    g->rules.deadline_ns = grammar_clock_ns() + COMPILE_BUDGET_MS * 1000000ll;
    compile_source(g, source);
    enum status st = rules_finish(&g->rules);
    if (st == ST_OK && g->notes.failed) st = err_no_memory(e);
    if (st == ST_OK && (g->tables = tables_new(&g->rules, e)) == NULL) st = ST_NO_MEMORY;
    g->masks = (struct masks){.ti = ti, .n_nodes = g->rules.n_nodes};
    g->masks.n_shared = g->rules.n_prelude < SHARED_NODES ? g->rules.n_prelude : 0;
    if (st != ST_OK)
        grammar_unref(g);
    else
        *out = g;
    return st;
}

struct grammar *grammar_ref(struct grammar *g) {
    atomic_fetch_add(&g->refs, 1);
    return g;
}

void grammar_unref(struct grammar *g) {
    if (g == NULL || atomic_fetch_sub(&g->refs, 1) > 1) return;
    masks_free(&g->masks);
    tables_unref(g->tables);
    rules_free(&g->rules);
    buf_free(&g->notes);
    pthread_mutex_destroy(&g->lock);
    mem_free(g);
}

const char *grammar_notes(const struct grammar *g) { return g->notes.len > 0 ? g->notes.data : ""; }

size_t grammar_bytes(struct grammar *g) {
    pthread_mutex_lock(&g->lock);
    size_t n = automaton_bytes(&g->tables->a) + g->masks.bytes;
    pthread_mutex_unlock(&g->lock);
    return n + g->rules.cap_nodes * sizeof *g->rules.node +
           g->rules.cap_edges * sizeof *g->rules.edge;
}

/* ---- the cache ---- */

static struct cached_grammar *oldest(struct token_index *ti) {
    struct cached_grammar *old = NULL;
    for (size_t i = 0; i < GRAMMAR_CACHE; i++) {
        struct cached_grammar *c = &ti->cache[i];
        if (c->grammar == NULL) return c;
        if (old == NULL || c->last_used < old->last_used) old = c;
    }
    return old;
}

static void forget(struct cached_grammar *c) {
    grammar_unref(c->grammar);
    mem_free(c->key);
    *c = (struct cached_grammar){0};
}

static void forget_if_large(struct token_index *ti) {
    for (;;) {
        size_t bytes = 0, n = 0;
        struct cached_grammar *old = NULL;
        for (size_t i = 0; i < GRAMMAR_CACHE; i++) {
            struct cached_grammar *c = &ti->cache[i];
            if (c->grammar == NULL) continue;
            bytes += grammar_bytes(c->grammar) + c->len;
            n++;
            if (old == NULL || c->last_used < old->last_used) old = c;
        }
        if (n <= 1 || bytes <= GRAMMAR_CACHE_BYTES) return;
        forget(old);
    }
}

/* The key: the kind in front of the text. */
static struct grammar *find(struct token_index *ti, const char *key, size_t len) {
    for (size_t i = 0; i < GRAMMAR_CACHE; i++) {
        struct cached_grammar *c = &ti->cache[i];
        if (c->grammar == NULL || c->len != len || memcmp(c->key, key, len) != 0) continue;
        c->last_used = ++ti->clock;
        return grammar_ref(c->grammar);
    }
    return NULL;
}

static void keep(struct token_index *ti, char *key, size_t len, struct grammar *g) {
    forget_if_large(ti);
    struct cached_grammar *c = oldest(ti);
    forget(c);
    *c = (struct cached_grammar){key, len, grammar_ref(g), ++ti->clock};
}

enum status grammar_get(struct grammar **out, const struct grammar_source *source,
                        struct token_index *ti, struct err *e) {
    struct buf b = {0};
    buf_chr(&b, (char)('0' + (int)source->kind));
    if (source->kind != GRAMMAR_JSON) buf_add(&b, source->text, source->len);
    size_t len = b.len;
    char *key = buf_take(&b);
    if (key == NULL) return err_no_memory(e);
    pthread_mutex_lock(&ti->lock);
    *out = find(ti, key, len);
    pthread_mutex_unlock(&ti->lock);
    enum status st = *out != NULL ? ST_OK : grammar_compile(out, source, ti, e);
    if (st == ST_OK) {
        pthread_mutex_lock(&ti->lock);
        struct grammar *there = find(ti, key, len); /* maybe compiled twice at once */
        if (there == NULL) {
            keep(ti, key, len, *out);
            key = NULL;
        }
        pthread_mutex_unlock(&ti->lock);
        grammar_unref(there);
    }
    mem_free(key);
    return st;
}

/* ---- runs ---- */

enum status grammar_run_open(struct grammar_run **out, struct grammar *g, struct err *e) {
    struct grammar_run *r = mem_zalloc(1, sizeof *r);
    if (r == NULL) return err_no_memory(e);
    pthread_mutex_lock(&g->lock);
    r->t = fresh_tables(g);
    if (r->t != NULL) {
        r->state = automaton_start(&r->t->a);
        r->st = r->t->a.st;
        r->t->refs++;
    }
    pthread_mutex_unlock(&g->lock);
    if (r->t == NULL || r->st != ST_OK) {
        enum status st = r->t == NULL ? ST_NO_MEMORY : r->st;
        r->g = r->t != NULL ? grammar_ref(g) : NULL;
        grammar_run_close(r);
        return st == ST_NO_MEMORY ? err_no_memory(e)
                                  : err_set(e, st, "the grammar is too ambiguous");
    }
    r->g = grammar_ref(g);
    *out = r;
    return ST_OK;
}

void grammar_run_close(struct grammar_run *r) {
    if (r == NULL) return;
    if (r->g != NULL) {
        pthread_mutex_lock(&r->g->lock);
        tables_unref(r->t);
        pthread_mutex_unlock(&r->g->lock);
        grammar_unref(r->g);
    }
    mem_free(r);
}

/* Tables in which another run has failed are of no use to this one. */
static void enter(struct grammar_run *r) {
    pthread_mutex_lock(&r->g->lock);
    if (r->st == ST_OK && r->t->a.st != ST_OK) move_to_fresh(r);
}

static void leave(struct grammar_run *r) {
    if (r->t->a.st != ST_OK && r->st == ST_OK) r->st = r->t->a.st;
    pthread_mutex_unlock(&r->g->lock);
}

size_t grammar_run_text(struct grammar_run *r, const char *text, size_t len) {
    size_t n = 0;
    enter(r);
    for (; n < len && r->st == ST_OK; n++) {
        if (is_full(r->t)) move_to_fresh(r);
        state_id s = automaton_step(&r->t->a, r->state, (uint8_t)text[n]);
        if (s == STATE_DEAD) break;
        r->state = s;
    }
    leave(r);
    return n;
}

bool grammar_run_accepts(const struct grammar_run *r) {
    pthread_mutex_lock(&r->g->lock);
    bool yes = automaton_accepts(&r->t->a, r->state);
    pthread_mutex_unlock(&r->g->lock);
    return yes;
}

bool grammar_run_ended(const struct grammar_run *r) {
    pthread_mutex_lock(&r->g->lock);
    bool yes = automaton_accepts(&r->t->a, r->state) && automaton_state(&r->t->a, r->state)->n == 0;
    pthread_mutex_unlock(&r->g->lock);
    return yes;
}

static bool in_vocabulary(const struct grammar_run *r, token_id id) {
    return id >= 0 && (uint32_t)id < r->g->ti->n_vocab;
}

/* STATE_DEAD: not allowed. An end token leaves the state as it is. */
static state_id behind(struct grammar_run *r, token_id id) {
    if (!in_vocabulary(r, id) || r->st != ST_OK) return STATE_DEAD;
    state_id s = STATE_DEAD;
    if (token_index_is_eog(r->g->ti, id) && automaton_accepts(&r->t->a, r->state)) return r->state;
    s = mask_accept(r->g->ti, &r->t->a, r->state, id);
    return r->t->a.st == ST_OK ? s : (state_id)STATE_DEAD;
}

bool grammar_run_allows(struct grammar_run *r, token_id id) {
    enter(r);
    bool yes = behind(r, id) != STATE_DEAD;
    leave(r);
    return yes;
}

const uint32_t *grammar_run_mask(struct grammar_run *r, uint32_t *n) {
    enter(r);
    if (r->st == ST_OK && is_full(r->t)) move_to_fresh(r);
    const struct mask *m = r->st == ST_OK ? mask_of(&r->g->masks, &r->t->a, r->state) : NULL;
    leave(r);
    if (m != NULL && n != NULL) *n = m->n;
    return m != NULL ? m->bits : NULL;
}

bool grammar_run_accept(struct grammar_run *r, token_id id) {
    enter(r);
    state_id s = behind(r, id);
    if (s != STATE_DEAD) r->state = s;
    if (s != STATE_DEAD && is_full(r->t)) move_to_fresh(r);
    leave(r);
    return s != STATE_DEAD;
}

token_id grammar_run_forced(struct grammar_run *r) {
    token_id id = TOKEN_NONE;
    enter(r);
    if (r->st == ST_OK && !mask_is_wide(&r->g->masks, &r->t->a, r->state)) {
        const struct mask *m = mask_of(&r->g->masks, &r->t->a, r->state);
        if (m != NULL && m->n == 1 && !token_index_is_eog(r->g->ti, m->only)) id = m->only;
    }
    leave(r);
    return id;
}

enum status grammar_run_status(const struct grammar_run *r, struct err *e) {
    if (r->st == ST_OK) return ST_OK;
    if (r->st == ST_NO_MEMORY) return err_no_memory(e);
    return err_set(e, r->st, "the grammar is too ambiguous: the next token takes too long to find");
}
