/* json_text.h - JSON as rules: the parts that all JSON grammars have in common.
 *
 * The prelude is written first into every schema's grammar, always the same, so the masks of its
 * nodes are shared by all of them (token_index.h). White space, strings and numbers are those of
 * spec/sampling.md 10.4. */
#ifndef CRIA_ENGINE_GRAMMAR_JSON_TEXT_H
#define CRIA_ENGINE_GRAMMAR_JSON_TEXT_H

#include "base/json.h"
#include "engine/grammar/dfa.h"

struct json_rules {                 /* numbers of rules */
    uint32_t space;                 /* nothing, a space, or newlines with indentation */
    uint32_t one_char, strict_char; /* of a string; strict: a \u pair is one, halves are none */
    uint32_t string_tail;           /* characters and the closing quote */
    uint32_t string, number, integer, boolean, null, object, array, value;
};

/* First thing in a grammar; r->n_prelude tells how many nodes it made. */
void json_prelude(struct rules *r, struct json_rules *out);

/* How many characters of a JSON string the text is, each as it is (no escapes); 0: it is not. */
uint32_t json_plain_chars(const char *text, size_t len);

/* A string, quotes included, whose value is in the language: each character as it is or escaped. */
void json_string_of_dfa(struct rules *r, const struct dfa *d, uint32_t from, uint32_t to);
/* The value as compact JSON. */
void json_literal(struct rules *r, const json *v, uint32_t from, uint32_t to);
/* The text as a JSON string, quotes included. */
void json_literal_string(struct rules *r, const char *s, size_t len, uint32_t from, uint32_t to);

#endif
