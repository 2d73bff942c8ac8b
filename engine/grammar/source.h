/* source.h - the compilers behind grammar_compile(): each writes a source into rules.
 *
 * They set rules.root, report through rules_fail(), and are bounded by the limits of rules.h. */
#ifndef CRIA_ENGINE_GRAMMAR_SOURCE_H
#define CRIA_ENGINE_GRAMMAR_SOURCE_H

#include "base/buf.h"
#include "base/json.h"
#include "engine/grammar/rules.h"

struct vocab;

/* vocab: for <token>; NULL: such a grammar is refused. */
void gbnf_compile(struct rules *r, const char *text, size_t len, const struct vocab *vocab);
void json_mode_compile(struct rules *r);
void schema_compile(struct rules *r, const char *text, size_t len, struct buf *notes);
/* {"open":TEXT,"close":TEXT,"list":BOOL,"tools":[{"name":NAME,"parameters":SCHEMA},...]}: one or
 * more calls {"name":NAME,"arguments":VALUE} ("parameters" may stand for "arguments"), each between
 * open and close (white space inside is free); list: one open and close around a JSON list of them.
 */
void tools_compile(struct rules *r, const char *text, size_t len, struct buf *notes);
void regex_compile(struct rules *r, const char *text, size_t len);
void choice_compile(struct rules *r, const char *text, size_t len);

#endif
