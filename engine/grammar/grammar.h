/* grammar.h - constrained output: a grammar, and where a generation is in it (spec/sampling.md
 * 9-11).
 *
 * A *grammar* is compiled from GBNF, a JSON schema, a regular expression or a list of texts. It is
 * shared: requests with the same source get the same one from the model's token_index, together
 * with the steps and masks that earlier ones have worked out. A *run* is one text on its way: it
 * tells which tokens may come next. A text that a run has accepted can always be completed.
 *
 * What a schema asks and cannot be enforced is listed in `notes`, one line each.
 *
 * Threads: a grammar may be used by any number of runs on any threads (it has a lock); a run
 * belongs to one thread at a time. Tables of a grammar are bounded; a run that outgrows them moves
 * on to fresh ones by itself. */
#ifndef CRIA_ENGINE_GRAMMAR_GRAMMAR_H
#define CRIA_ENGINE_GRAMMAR_GRAMMAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "engine/vocab/vocab.h"

struct token_index;
struct grammar;
struct grammar_run;

enum grammar_kind {
    GRAMMAR_NONE,
    GRAMMAR_GBNF,   /* text in llama.cpp's notation */
    GRAMMAR_SCHEMA, /* JSON schema as JSON text */
    GRAMMAR_JSON,   /* "format": "json": any JSON object; the text is ignored */
    GRAMMAR_REGEX,  /* the whole answer matches; anchors are optional */
    GRAMMAR_CHOICE, /* JSON list of strings: the answer is one of them */
    GRAMMAR_TOOLS,  /* calls of tools: JSON text, see tools_compile in source.h */
};

struct grammar_source {
    enum grammar_kind kind;
    const char *text; /* borrowed while it is compiled */
    size_t len;
};

/* ti (borrowed: outlives the grammar) may be NULL for checking texts only; GBNF with <token> then
 * needs one. Errors: ST_INVALID, ST_LIMIT, with a message that names rule, path or position. */
enum status grammar_compile(struct grammar **out, const struct grammar_source *source,
                            struct token_index *ti, struct err *e);
/* The same through the cache of the token_index; grammar_unref when done. */
enum status grammar_get(struct grammar **out, const struct grammar_source *source,
                        struct token_index *ti, struct err *e);
struct grammar *grammar_ref(struct grammar *g);
void grammar_unref(struct grammar *g);              /* NULL is fine */
const char *grammar_notes(const struct grammar *g); /* "" if everything is enforced */
size_t grammar_bytes(struct grammar *g);

enum status grammar_run_open(struct grammar_run **out, struct grammar *g, struct err *e);
void grammar_run_close(struct grammar_run *r); /* NULL is fine */

/* Text: consumes bytes as long as they fit; returns how many did. */
size_t grammar_run_text(struct grammar_run *r, const char *text, size_t len);
bool grammar_run_accepts(const struct grammar_run *r); /* the text so far is complete */
bool grammar_run_ended(const struct grammar_run *r);   /* ... and nothing can follow */

/* Tokens. End tokens are allowed where the text is complete. */
bool grammar_run_allows(struct grammar_run *r, token_id id);
/* Bits of all allowed tokens (32 in a word), valid until the next call; NULL: failed, see
 * grammar_run_status. *n (may be NULL): how many. */
const uint32_t *grammar_run_mask(struct grammar_run *r, uint32_t *n);
/* Moves on by an allowed token; false and nothing changes if it is not (or on failure). */
bool grammar_run_accept(struct grammar_run *r, token_id id);
/* The token that must come next, if only one can; TOKEN_NONE if there is a choice. An end token is
 * never given: see grammar_run_ended. */
token_id grammar_run_forced(struct grammar_run *r);
enum status grammar_run_status(const struct grammar_run *r, struct err *e);

#endif
