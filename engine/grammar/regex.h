/* regex.h - regular expressions, ECMA 262 and Python's common part, into automata: linear time by
 * construction, nothing backtracks.
 *
 * Supported: characters, classes, `.`, \d \w \s and their opposites, escapes (\n \r \t \f \v \0
 * \xHH \uHHHH \u{H..} \cX and punctuation), groups (named and (?: ) too), | * + ? {n} {n,} {n,m}
 * {,m} with lazy forms, ^ and $ anywhere, lookahead at the beginning ("^(?=..)(?!..)"). \d \w \s
 * are the ASCII characters and their opposites leave out what Unicode-aware engines count in, so a
 * text made here is a match for both kinds of engines. Lookahead elsewhere, lookbehind, back
 * references, \b, \p are "unsupported": the result says so. */
#ifndef CRIA_ENGINE_GRAMMAR_REGEX_H
#define CRIA_ENGINE_GRAMMAR_REGEX_H

#include "engine/grammar/dfa.h"

/* NULL with *unsupported set (a word for it) and no failure; NULL with a failure for what is not a
 * regular expression. search: part of the text may match (JSON schema), else all of it must. */
const struct dfa *regex_dfa(struct rules *r, const char *text, size_t len, bool search,
                            const char **unsupported);
/* The same for a text of our own, which is right. */
const struct dfa *regex_own(struct rules *r, const char *text);

#endif
