/* constrain.c - see constrain.h. */
#include "engine/constrain.h"

#include <assert.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "engine/engine_impl.h"
#include "engine/grammar/token_index.h"

enum {
    SPACE_TOKENS = 4, /* of white space between the thinking and the constrained part */
    MAX_REJECTED = 16 /* tokens that cross the end of the thinking in a wrong way */
};

enum phase {
    PHASE_LOOKING,  /* nothing yet but white space and a beginning of the opening tag */
    PHASE_THINKING, /* free, until the closing tag */
    PHASE_GAP,      /* behind it: white space */
    PHASE_GRAMMAR
};

struct constraint {
    struct token_index *ti;
    struct grammar *grammar;
    struct grammar_run *run;
    enum phase phase;
    char *open, *close; /* owned; NULL without thinking */
    struct buf tail;    /* looking: all text; thinking: its last bytes, which may begin a tag */
    unsigned n_spaces;
    uint32_t *mask; /* [n_words], for choices outside of the grammar */
};

/* ---- life ---- */

static enum status set_tags(struct constraint *c, const struct cria_request *r, struct err *e) {
    c->phase = PHASE_GRAMMAR;
    if (r->think_open == NULL || r->think_close == NULL || *r->think_close == '\0') return ST_OK;
    c->phase = r->in_thinking || *r->think_open == '\0' ? PHASE_THINKING : PHASE_LOOKING;
    c->open = mem_strdup(r->think_open);
    c->close = mem_strdup(r->think_close);
    c->mask = mem_array(c->ti->n_words, sizeof *c->mask);
    return c->open != NULL && c->close != NULL && c->mask != NULL ? ST_OK : err_no_memory(e);
}

enum status constraint_open(struct constraint **out, struct token_index *ti,
                            const struct cria_request *r, struct err *e) {
    struct constraint *c = mem_zalloc(1, sizeof *c);
    if (c == NULL) return err_no_memory(e);
    c->ti = ti;
    enum status st = grammar_get(&c->grammar, &r->grammar, ti, e);
    if (st == ST_OK) st = grammar_run_open(&c->run, c->grammar, e);
    if (st == ST_OK) st = set_tags(c, r, e);
    if (st != ST_OK)
        constraint_close(c);
    else
        *out = c;
    return st;
}

void constraint_close(struct constraint *c) {
    if (c == NULL) return;
    grammar_run_close(c->run);
    grammar_unref(c->grammar);
    mem_free(c->open);
    mem_free(c->close);
    mem_free(c->mask);
    buf_free(&c->tail);
    mem_free(c);
}

/* ---- thinking ---- */

static size_t skip_space(const char *s, size_t n) {
    size_t i = 0;
    while (i < n && strchr(" \t\r\n", s[i]) != NULL && s[i] != '\0') i++;
    return i;
}

/* Text behind the closing tag: it must fit the grammar. */
static bool enter_grammar(struct constraint *c, const char *text, size_t len) {
    size_t skip = skip_space(text, len);
    if (skip == len) {
        c->phase = PHASE_GAP;
        return true;
    }
    /* Only a part may fit: try on a run of its own. */
    struct grammar_run *run = NULL;
    if (grammar_run_open(&run, c->grammar, NULL) != ST_OK) return false;
    if (grammar_run_text(run, text + skip, len - skip) != len - skip) {
        grammar_run_close(run);
        return false;
    }
    grammar_run_close(c->run);
    c->run = run;
    c->phase = PHASE_GRAMMAR;
    return true;
}

/* Adds thought text; false: what follows the closing tag does not fit the grammar. */
static bool think(struct constraint *c, const char *text, size_t len) {
    const size_t before = c->tail.len, n_close = strlen(c->close);
    buf_add(&c->tail, text, len);
    if (c->tail.failed || c->tail.len == 0) return !c->tail.failed;
    const char *end = memmem(c->tail.data, c->tail.len, c->close, n_close);
    if (end == NULL) {
        if (c->tail.len > n_close) buf_drop(&c->tail, c->tail.len - n_close);
        return true;
    }
    const char *rest = end + n_close;
    bool fits = enter_grammar(c, rest, (size_t)(c->tail.data + c->tail.len - rest));
    if (!fits) buf_cut(&c->tail, before);
    return fits;
}

/* The beginning of the answer: thinking, maybe thinking, or (false) something else. */
static bool look(struct constraint *c, const char *text, size_t len) {
    const size_t before = c->tail.len, n_open = strlen(c->open);
    buf_add(&c->tail, text, len);
    if (c->tail.failed || c->tail.len == 0) return !c->tail.failed;
    size_t skip = skip_space(c->tail.data, c->tail.len), left = c->tail.len - skip;
    const char *s = c->tail.data + skip;
    if (left >= n_open && memcmp(s, c->open, n_open) == 0) {
        struct buf rest = {0};
        buf_add(&rest, s + n_open, left - n_open);
        buf_clear(&c->tail);
        c->phase = PHASE_THINKING;
        bool fits = !rest.failed && think(c, rest.len > 0 ? rest.data : "", rest.len);
        buf_free(&rest);
        return fits;
    }
    if (left < n_open && memcmp(s, c->open, left) == 0) return true;
    buf_cut(&c->tail, before);
    return false;
}

/* Takes a token outside of the grammar, if it fits there. */
static bool take_outside(struct constraint *c, token_id id) {
    size_t len = 0;
    const char *text = "";
    if (token_index_is_eog(c->ti, id)) return false;
    if (c->ti->vocab != NULL) text = vocab_piece(c->ti->vocab, id, false, &len);
    if (c->phase == PHASE_LOOKING) return look(c, text, len);
    if (c->phase == PHASE_THINKING) return think(c, text, len);
    return len > 0 && skip_space(text, len) == len && c->n_spaces++ < SPACE_TOKENS;
}

/* Thinking: every token but the ends and the few that cross the closing tag in a wrong way. */
static token_id sample_thought(struct constraint *c, struct sampler *s, const float *logits,
                               token_id id) {
    for (size_t w = 0; w < c->ti->n_words; w++) c->mask[w] = ~c->ti->eog_mask[w];
    for (int i = 0; i < MAX_REJECTED; i++) {
        c->mask[id / 32] &= ~(1u << (id % 32));
        id = sampler_sample_masked(s, logits, c->mask);
        if (take_outside(c, id)) return id;
    }
    return TOKEN_NONE;
}

/* ---- sampling ---- */

static token_id sample_in_grammar(struct constraint *c, struct sampler *s, const float *logits,
                                  token_id id, struct err *e) {
    uint32_t n = 0;
    if (grammar_run_accept(c->run, id)) return id;
    const uint32_t *mask = grammar_run_mask(c->run, &n);
    if (mask == NULL) {
        grammar_run_status(c->run, e);
        return TOKEN_NONE;
    }
    if (n == 0) {
        err_set(e, ST_INVALID, "no token of this model's vocabulary can continue the grammar");
        return TOKEN_NONE;
    }
    id = sampler_sample_masked(s, logits, mask);
    if (grammar_run_accept(c->run, id)) return id;
    if (grammar_run_status(c->run, e) == ST_OK)
        err_set(e, ST_INTERNAL, "a token of the mask does not fit the grammar");
    return TOKEN_NONE;
}

token_id constraint_sample(struct constraint *c, struct sampler *s, const float *logits,
                           struct err *e) {
    token_id id = sampler_sample(s, logits);
    if (c->phase != PHASE_GRAMMAR) {
        if (take_outside(c, id)) return id;
        if (c->tail.failed) {
            err_no_memory(e);
            return TOKEN_NONE;
        }
        if (c->phase == PHASE_THINKING) {
            id = sample_thought(c, s, logits, id);
            if (id == TOKEN_NONE) err_set(e, ST_INVALID, "the end of the thinking does not come");
            return id;
        }
        c->phase = PHASE_GRAMMAR; /* no thinking, or an end to the gap */
    }
    return sample_in_grammar(c, s, logits, id, e);
}

token_id constraint_forced(struct constraint *c) {
    if (c->phase != PHASE_GRAMMAR) return TOKEN_NONE;
    if (grammar_run_ended(c->run)) return c->ti->first_eog;
    token_id id = grammar_run_forced(c->run);
    return id != TOKEN_NONE && grammar_run_accept(c->run, id) ? id : TOKEN_NONE;
}

bool constraint_is_over(const struct constraint *c) {
    return c->phase == PHASE_GRAMMAR && c->ti->first_eog == TOKEN_NONE && grammar_run_ended(c->run);
}

/* ---- the engine's part ---- */

struct token_index *engine_token_index(struct cria_engine *eng, struct err *e) {
    pthread_mutex_lock(&eng->index_lock);
    if (eng->token_index == NULL) token_index_open(&eng->token_index, eng->vocab, e);
    struct token_index *ti = eng->token_index;
    pthread_mutex_unlock(&eng->index_lock);
    return ti;
}

enum status cria_grammar_check(struct cria_engine *eng, const struct grammar_source *source,
                               struct buf *notes, struct err *e) {
    struct grammar *g = NULL;
    struct err local = {0};
    struct token_index *ti = engine_token_index(eng, &local);
    enum status st = ti != NULL ? grammar_get(&g, source, ti, &local) : local.code;
    if (st == ST_OK && notes != NULL) buf_str(notes, grammar_notes(g));
    if (st != ST_OK) err_set(e, st, "%s", local.msg);
    grammar_unref(g);
    return st;
}
