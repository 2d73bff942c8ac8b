/* learn_jinja.h - what the text of a Jinja chat template tells of its model (spec/templates.md 5.3,
 * 6.2, 6.6). */
#ifndef CRIA_API_LEARN_JINJA_H
#define CRIA_API_LEARN_JINJA_H

#include <stdbool.h>
#include <stddef.h>

#include "api/jinja/jinja.h"

struct jinja_facts {
    bool tools, thinking, round_trip;
};
struct jinja_facts jinja_learn(const char *text, size_t len);

/* Parses a GGUF's template, known mistakes of templates in the wild repaired; NULL: it is broken.
 */
struct jinja *jinja_load(const char *text, size_t len);

/* The parser for what a model with this template generates; NULL: the generic ones.
 * thinking: the prompt ends inside of thinking. */
const char *jinja_parser(const char *text, size_t len, bool thinking);

#endif
