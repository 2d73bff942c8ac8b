/* constrain.h - what a request says about the form of its answer, as a grammar for the engine:
 * `format` (spec/api.md 3.4), cria's own `grammar`, `regex` and `choice`, and a tool choice that
 * asks for a call. */
#ifndef CRIA_API_CONSTRAIN_H
#define CRIA_API_CONSTRAIN_H

#include "api/generate.h"
#include "engine/cria.h"

/* Refuses a format that is neither "json" nor an object; absent, null and "" are none. */
enum status constrain_check(const struct gen_request *r, struct err *e);
/* The grammar of the answer; kind GRAMMAR_NONE if nothing is asked for. Its text lies in *text.
 * tool_tag: what starts a call in the model's template. */
enum status constrain_source(const struct gen_request *r, const char *tool_tag, struct buf *text,
                             struct grammar_source *out, struct err *e);

#endif
